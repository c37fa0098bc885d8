"""The graph as text, Mermaid, SVG and JSON. ``tests/golden/graph`` holds how they look."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import networkx as nx
import pytest
from hubstack.graph import digraph, needed, resolve
from hubstack.graph.select import select
from hubstack.picture import graph_json, graph_mermaid, graph_svg, graph_text
from hubstack.picture.diagram import Box, BoxKind, Diagram, layer_diagram, node_diagram
from hubstack.picture.svg import render_svg

from tests.tree import tree

GOLDEN = Path(__file__).parents[1] / "golden" / "graph"
FILES = {
    "base/debian": "variables: {release: {type: version, default: trixie, choices: {bookworm: Twelve, trixie: Thirteen}}}",
    "layers/build-tools": "",
    "layers/python": "",
    "layers/nodejs": "",
    "layers/jupyterlab": "requires: [python]\nvariables: {jupyterlab: {type: version, default: '4.4'}}",
    "layers/web": "requires: [jupyterlab]\ncopy_from: [nodejs]",
    "layers/r": "after: [build-tools]",
    "layers/r-kernel": "requires: [jupyterlab, r]",
    "layers/scipy": "requires: [jupyterlab, python]",
    "layers/conda": "provides: [python]\ndraft: needs conda-forge",
    "stacks/minimal.yaml": "title: Notebooks\nbase: debian\nlayers: [jupyterlab]",
    "stacks/datascience.yaml": "title: Python & R\nbase: debian\nlayers: [scipy, r-kernel]",
    "stacks/scipy.yaml": "title: Scientific Python\nbase: debian\nlayers: [jupyterlab, scipy, web]\n"
    "matrix: {release: [bookworm, trixie], jupyterlab: ['4.4', '4.5']}",
    "stacks/conda.yaml": "title: conda\nbase: debian\nlayers: [conda, scipy]",
}
DRAWN = {"text": graph_text, "mermaid": graph_mermaid, "svg": graph_svg}


def drawn(kind: str, *terms: str, files: Mapping[str, str] = FILES, nodes: bool = False) -> str:
    project = tree(files)
    graph = resolve(project)
    return DRAWN[kind](project, graph, select(project, graph, terms), nodes=nodes)


def diagram(*terms: str, nodes: bool = False) -> Diagram:
    project = tree(FILES)
    graph = resolve(project)
    return (node_diagram if nodes else layer_diagram)(project, graph, select(project, graph, terms))


def arrows(found: Diagram) -> set[str]:
    return {f"{arrow.start} {arrow.kind} {arrow.end}" for arrow in found.arrows}


@pytest.mark.parametrize("kind", sorted(DRAWN))
def test_looks_as_it_did(kind: str, golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / f"layers.{kind}", drawn(kind))


def test_text_of_nodes_looks_as_it_did(golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / "nodes.text", drawn("text", "scipy", "+datascience", "layer:conda", nodes=True))


def test_json_is_what_networkx_reads() -> None:
    project = tree(FILES)
    graph = resolve(project)
    selection = select(project, graph, ["scipy"])
    document = json.loads(graph_json(project, graph, selection))
    found = nx.node_link_graph(document, edges="edges")
    inside = digraph(graph).subgraph(needed(graph, selection.nodes))
    assert [node["id"] for node in document["nodes"]] == list(needed(graph, selection.nodes))
    assert dict(found.edges) == dict(inside.edges)
    assert found.nodes[selection.nodes[0]]["values"] == graph.nodes[selection.nodes[0]].values
    assert [image["variant"] for image in document["images"]] == [image.variant.name for image in selection.images]


# --- what is drawn -----------------------------------------------------------------------------------------------------


def test_layers_have_one_box_however_many_nodes_they_have() -> None:
    boxes = diagram().by_key
    assert (boxes["jupyterlab"].count, boxes["stack:scipy"].count) == (4, 4)
    assert boxes["jupyterlab"].notes == ("jupyterlab 4.4 | 4.5",)
    assert boxes["debian"].notes == ("release bookworm | trixie",)
    assert boxes["scipy"].notes == ()


def test_arrows_are_requirements_and_none_says_what_others_say() -> None:
    assert arrows(diagram("datascience")) == {
        "debian needs python",
        "debian needs r",
        "python needs jupyterlab",
        "jupyterlab needs scipy",  # not python → scipy, though scipy requires it
        "jupyterlab needs r-kernel",
        "r needs r-kernel",
        "scipy needs stack:datascience",
        "r-kernel needs stack:datascience",
    }


def test_who_stands_for_a_name_is_drawn() -> None:
    assert {"conda needs jupyterlab", "debian needs conda"} <= arrows(diagram("conda"))
    assert diagram("conda").by_key["conda"].draft


def test_copies_are_told_apart() -> None:
    assert "nodejs copies web" in arrows(diagram("scipy"))


def test_nodes_are_drawn_as_they_are_built() -> None:
    project = tree(FILES)
    graph = resolve(project)
    selection = select(project, graph, ["scipy"])
    found = node_diagram(project, graph, selection)
    nodes = needed(graph, selection.nodes)
    assert {box.key for box in found.boxes} == {*nodes, *(image.variant.id for image in selection.images)}
    assert {f"{parent} needs {node}" for node in nodes for parent in graph.nodes[node].parents} <= arrows(found)


def test_what_two_stacks_need_the_other_way_round_is_drawn_all_the_same() -> None:
    """Each of two layers provides what the other one requires, which no stack minds that lists a third."""
    files = {
        "base/debian": "",
        "layers/a": "requires: [x]\nprovides: [y]",
        "layers/b": "requires: [y]\nprovides: [x]",
        "layers/p": "provides: [x]",
        "layers/q": "provides: [y]",
        "stacks/one.yaml": "base: debian\nlayers: [p, a, b]",
        "stacks/two.yaml": "base: debian\nlayers: [q, b, a]",
    }
    assert all(name in drawn("svg", files=files) for name in ("one", "two"))


# --- every form --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [False, True])
@pytest.mark.parametrize("kind", sorted(DRAWN))
def test_the_order_of_files_changes_no_byte(kind: str, nodes: bool) -> None:  # noqa: FBT001 — pytest's way
    assert drawn(kind, nodes=nodes) == drawn(kind, nodes=nodes, files=dict(reversed(FILES.items())))


@pytest.mark.parametrize("kind", sorted(DRAWN))
def test_a_layer_without_a_stack_can_be_drawn(kind: str) -> None:
    assert "conda" in drawn(kind, "layer:conda")
    assert "minimal" not in drawn(kind, "layer:conda")


def test_text_marks_what_stacks_share() -> None:
    lines = drawn("text").splitlines()
    assert "[3 stacks]" in next(line for line in lines if "jupyterlab" in line)
    assert not any("stacks]" in line for line in lines if "r-kernel" in line)


EVIL = '</title><script>alert("1")</script> & "]; click n0'


def test_no_text_becomes_markup() -> None:
    """The files' parser refuses < and > in titles; a picture doesn't count on it."""
    box = Box(key="one", kind=BoxKind.LAYER, title=EVIL, notes=(EVIL,))
    svg = ET.fromstring(render_svg(Diagram(boxes=(box,), arrows=())))
    assert not list(svg.iter("{http://www.w3.org/2000/svg}script"))
    assert EVIL in [element.text for element in svg.iter("{http://www.w3.org/2000/svg}tspan")]


def test_mermaid_labels_hold_nothing_but_words_and_entities() -> None:
    files = {**FILES, "stacks/minimal.yaml": 'title: "a \\"]; click & #quot"\nbase: debian\nlayers: [jupyterlab]'}
    (line,) = (line for line in drawn("mermaid", files=files).splitlines() if "minimal" in line)
    label = re.fullmatch(r'  n\d+\(\["(.*)"\]\)', line)
    assert label
    assert re.fullmatch(r"minimal<br>(?:[\w ]|#\d+;)+", label[1])
    assert re.sub(r"#(\d+);", lambda match: chr(int(match[1])), label[1]) == 'minimal<br>a "]; click & #quot'


def test_svg_says_in_words_what_it_shows() -> None:
    svg = ET.fromstring(drawn("svg"))
    space = "{http://www.w3.org/2000/svg}"
    assert svg.get("role") == "img"
    assert svg.get("aria-labelledby") == "hubstack-title hubstack-desc"
    description = svg.findtext(f"{space}desc") or ""
    assert "1 base: debian." in description
    assert "3 stacks: datascience, minimal and scipy." in description


def test_svg_needs_no_other_file_and_knows_dark_pages() -> None:
    text = drawn("svg")
    assert "prefers-color-scheme: dark" in text
    assert set(re.findall(r'https?://[^"]*', text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(script|image|foreignObject|use)\b|@import|url\((?!#)", text)
