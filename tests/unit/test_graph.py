"""Nodes: which there are, in which order, on what, for whom; and that nothing but what they are decides that."""

from __future__ import annotations

from collections.abc import Mapping

import networkx as nx
import pytest
from hubstack.graph import digraph, drafts, needed, resolve
from hubstack.model import Graph, Node

from tests.tree import faults, tree

RELEASE = "variables: {release: {type: version, default: trixie, choices: {bookworm: Debian 12, trixie: Debian 13}}}"
LAB = 'variables: {jupyterlab: {type: version, default: "4.4"}}'
SCIENCE = {
    "base/debian": RELEASE,
    "layers/build-tools": "",
    "layers/python": "",
    "layers/nodejs": "",
    "layers/jupyterlab": f"requires: [python]\ncopy_from: [nodejs]\n{LAB}",
    "layers/scipy": "requires: [jupyterlab]\nafter: [build-tools]",
    "layers/dask": "requires: [scipy]",
    "layers/r": "",
    "layers/r-kernel": "requires: [r, jupyterlab]",
    "stacks/scipy.yaml": "base: debian\nlayers: [scipy]\nmatrix: {release: [bookworm, trixie]}",
    "stacks/dask.yaml": "base: debian\nlayers: [dask]",
}


def chain(graph: Graph, variant: str) -> list[str]:
    """The layers of a variant's image, lowest first."""
    (top,) = (image.node for image in graph.images if image.variant.id == variant)
    return [graph.nodes[node].layer for node in graph.lineage[top]]


def only(layers: Mapping[str, str], listed: str, *, base: str = "debian") -> list[str]:
    """The chain of one stack."""
    files = {"base/debian": "", **{f"layers/{name}": text for name, text in layers.items()}}
    return chain(resolve(tree({**files, "stacks/one.yaml": f"base: {base}\nlayers: [{listed}]"})), "one/default")


def nodes_of(graph: Graph, layer: str) -> list[Node]:
    return [node for node in graph.nodes.values() if node.layer == layer]


# --- nodes -------------------------------------------------------------------------------------------------------------


def test_stacks_share_the_nodes_of_a_common_beginning() -> None:
    graph = resolve(tree(SCIENCE))
    trixie, bookworm = nodes_of(graph, "scipy")
    assert bookworm.stacks == ("scipy/bookworm",)
    assert trixie.stacks == ("dask/default", "scipy/trixie")
    assert {trixie.values["release"], bookworm.values["release"]} == {"bookworm", "trixie"}


def test_a_node_has_the_values_of_its_own_and_all_lower_layers_and_no_others() -> None:
    graph = resolve(tree(SCIENCE))
    seen = {node.layer: list(node.values) for node in graph.nodes.values()}
    assert (seen["debian"], seen["python"], seen["scipy"]) == (["release"], ["release"], ["jupyterlab", "release"])


def test_a_value_above_a_node_does_not_change_it() -> None:
    other = {**SCIENCE, "stacks/next.yaml": 'base: debian\nlayers: [scipy]\nvalues: {jupyterlab: "4.5"}'}
    graph = resolve(tree(other))
    assert len(nodes_of(graph, "python")) == len(nodes_of(resolve(tree(SCIENCE)), "python"))
    assert len(nodes_of(graph, "scipy")) == len(nodes_of(resolve(tree(SCIENCE)), "scipy")) + 1


def test_parents_stand_before_children_and_what_is_copied_from_too() -> None:
    graph = resolve(tree(SCIENCE))
    place = {node: number for number, node in enumerate(graph.nodes)}
    assert all(place[one] < place[node.id] for node in graph.nodes.values() for one in node.inputs)
    assert [len(node.parents) for node in nodes_of(graph, "debian")] == [0, 0]


def test_what_is_copied_from_is_built_by_itself_with_the_same_base_and_values() -> None:
    graph = resolve(tree(SCIENCE))
    for node in nodes_of(graph, "jupyterlab"):
        source = graph.nodes[node.copies["nodejs"]]
        assert source.values == {"release": node.values["release"]}
        assert [graph.nodes[one].layer for one in graph.lineage[source.id]] == ["debian", "nodejs"]
        assert set(node.stacks) <= set(source.stacks)
        assert source.id not in graph.lineage[node.id]


def test_what_is_copied_from_may_copy_itself_and_has_variables_that_the_stack_may_set() -> None:
    files = {
        "base/debian": "",
        "layers/go": "variables: {go: {type: version, default: one}}",
        "layers/nodejs": "copy_from: [go]",
        "layers/web": "copy_from: [nodejs]",
        "stacks/one.yaml": "base: debian\nlayers: [web]\nvalues: {go: two}",
    }
    graph = resolve(tree(files))
    (image,) = graph.images
    nodejs = graph.nodes[graph.nodes[image.node].copies["nodejs"]]
    assert graph.nodes[nodejs.copies["go"]].values == {"go": "two"}
    assert nodejs.values == {}
    assert image.variant.values == {"go": "two"}


def test_each_platform_has_nodes_and_images_of_its_own() -> None:
    graph = resolve(tree({**SCIENCE, "hubstack.yaml": "platforms: [linux/amd64, linux/arm64]"}))
    assert [image.platform for image in graph.images if image.variant.id == "dask/default"] == [
        "linux/amd64",
        "linux/arm64",
    ]
    assert all(
        graph.nodes[parent].platform == node.platform for node in graph.nodes.values() for parent in node.parents
    )
    assert [graph.nodes[node].platform for node in graph.alone["r"]] == [
        "linux/amd64",
        "linux/arm64",
    ]
    assert set(graph.nodes) > set(resolve(tree(SCIENCE)).nodes)


def test_ids_are_the_same_in_every_version() -> None:
    """They are in the registry (``build:last-…``) and in people's notes: changing how they are made is a decision."""
    graph = resolve(tree(SCIENCE))
    (top,) = (image.node for image in graph.images if image.variant.id == "dask/default")
    assert graph.lineage[top] == (
        "debian-5d77f23e",
        "python-e1ff0d12",
        "jupyterlab-d0e7a3ba",
        "scipy-c1fc6c8e",
        "dask-cb3a7597",
    )


def test_two_nodes_with_one_short_id_stay_two() -> None:
    """A pair of values whose nodes agree in the first eight digits, found by trying."""
    first, second = 77513, 156596
    files = {
        "base/debian": f"variables: {{n: {{type: int, default: {first}}}}}",
        "layers/lab": "",
        "stacks/one.yaml": f"base: debian\nlayers: [lab]\nmatrix: {{n: [{first}, {second}]}}",
    }
    one, other = nodes_of(resolve(tree(files)), "debian")
    assert one.id != other.id
    assert other.id.startswith(one.id)
    assert (one.values["n"], other.values["n"]) == (first, second)


# --- order -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "listed", "order"),
    [
        ({"a": "", "b": "", "c": ""}, "c, a, b", "debian c a b"),
        ({"a": "requires: [y, x]", "x": "", "y": ""}, "a", "debian y x a"),
        ({"a": "requires: [x]", "b": "requires: [y, x]", "x": "", "y": ""}, "b, a", "debian y x b a"),
        ({"a": "after: [b]", "b": ""}, "a", "debian a"),
        ({"a": "after: [b]", "b": ""}, "a, b", "debian b a"),
        ({"a": "after: [b]", "b": "requires: [c]", "c": ""}, "a, b", "debian c b a"),
        ({"a": "requires: [x]\nafter: [b]", "b": "", "x": ""}, "a, b", "debian x b a"),
        ({"a": "after: [name]", "b": "provides: [name]", "c": "provides: [name]"}, "a, c, b", "debian c b a"),
        ({"a": "requires: [x]", "b": "requires: [x]", "x": "after: [z]", "z": ""}, "a, b, z", "debian z x a b"),
    ],
)
def test_the_authors_order_is_kept_where_requirements_allow(layers: Mapping[str, str], listed: str, order: str) -> None:
    assert only(layers, listed) == order.split()


# --- who stands for a name ---------------------------------------------------------------------------------------------

SERVERS = {"lab": "provides: [server]", "classic": "provides: [server]", "hub": "requires: [server]"}


@pytest.mark.parametrize(("listed", "order"), [("hub, lab", "lab hub"), ("hub, classic", "classic hub")])
def test_of_several_providers_the_listed_one_is_taken(listed: str, order: str) -> None:
    assert only(SERVERS, listed) == ["debian", *order.split()]


def test_the_only_provider_comes_by_itself() -> None:
    assert only({"lab": "provides: [server]", "hub": "requires: [server]"}, "hub") == ["debian", "lab", "hub"]


PYTHONS = {"python": "", "conda": "provides: [python]\nconflicts: [python]", "lab": "requires: [python]"}


@pytest.mark.parametrize(("listed", "order"), [("lab", "python lab"), ("lab, conda", "conda lab")])
def test_the_layer_of_that_name_is_taken_unless_an_alternative_is_listed(listed: str, order: str) -> None:
    assert only(PYTHONS, listed) == ["debian", *order.split()]


def test_a_base_can_bring_what_layers_require() -> None:
    files = {
        "base/upstream": "provides: [python, jupyterlab]",
        "layers/python": "",
        "layers/jupyterlab": "requires: [python]",
        "layers/scipy": "requires: [jupyterlab]",
        "stacks/one.yaml": "base: upstream\nlayers: [scipy]",
    }
    graph = resolve(tree(files))
    assert chain(graph, "one/default") == ["upstream", "scipy"]
    assert graph.alone["scipy"] == tuple(image.node for image in graph.images)


# --- by itself ---------------------------------------------------------------------------------------------------------


def test_every_layer_stands_by_itself_on_what_it_requires() -> None:
    graph = resolve(tree(SCIENCE))
    below = {layer: [graph.nodes[one].layer for one in graph.lineage[node]] for layer, (node,) in graph.alone.items()}
    assert below["debian"] == ["debian"]
    assert below["jupyterlab"] == ["debian", "python", "jupyterlab"]
    assert below["r-kernel"] == ["debian", "r", "python", "jupyterlab", "r-kernel"]
    assert set(below) == {"debian", *(name.removeprefix("layers/") for name in SCIENCE if name.startswith("layers/"))}


def test_a_layer_by_itself_is_the_node_of_a_stack_that_lists_only_it() -> None:
    files = {name: text for name, text in SCIENCE.items() if not name.startswith("stacks/")}
    layers = [name.removeprefix("layers/") for name in files if name.startswith("layers/")]
    files |= {f"stacks/{layer}.yaml": f"base: debian\nlayers: [{layer}]" for layer in layers}
    graph = resolve(tree(files))
    assert {image.variant.stack: (image.node,) for image in graph.images} == {
        layer: nodes for layer, nodes in graph.alone.items() if layer != "debian"
    }


def test_what_can_not_stand_by_itself_is_left_out_and_no_fault() -> None:
    graph = resolve(
        tree(
            {
                "base/debian": "",
                "layers/torch": "variables: {cuda: {type: version}}",
                "layers/a": "",
                **{f"layers/{name}": text for name, text in SERVERS.items()},
            }
        )
    )
    assert set(graph.alone) == {"debian", "a", "lab", "classic"}


@pytest.mark.parametrize(
    ("settings", "drafted", "base"),
    [("base: cuda", "", "cuda"), ("", "", None), ("", "cuda", "debian"), ("", "debian", "cuda")],
)
def test_which_base_a_layer_by_itself_stands_on(settings: str, drafted: str, base: str | None) -> None:
    files = {f"base/{name}": "draft: no network" if name == drafted else "" for name in ("debian", "cuda")}
    graph = resolve(tree({**files, "hubstack.yaml": settings, "layers/a": ""}))
    assert [graph.nodes[node].base for node in graph.alone.get("a", ())] == ([base] if base else [])


def test_a_layer_that_needs_another_base_stands_on_that() -> None:
    files = {"base/cuda": "", "base/debian": "", "hubstack.yaml": "base: debian", "layers/torch": "requires: [cuda]"}
    graph = resolve(tree(files))
    assert graph.nodes[graph.alone["torch"][0]].base == "cuda"


# --- drafts, edges, closures -------------------------------------------------------------------------------------------

DRAFTS = {
    "base/debian": "",
    "base/upstream": "draft: needs quay.io",
    "layers/conda": "draft: needs conda-forge",
    "layers/lab": "",
    "layers/web": "copy_from: [conda]",
    "stacks/conda.yaml": "base: debian\nlayers: [conda, lab]",
    "stacks/both.yaml": "layers: [lab]\nmatrix: {base: [debian, upstream]}",
    "stacks/later.yaml": "base: debian\nlayers: [lab]\ndraft: not asked for",
    "stacks/web.yaml": "base: debian\nlayers: [web]",
}


def test_drafts_are_in_the_graph_and_say_why() -> None:
    project = tree(DRAFTS)
    graph = resolve(project)
    found = drafts(project, graph)
    assert {name: why for name, why in found.items() if "/" in name} == {
        "conda/default": "conda: needs conda-forge",
        "both/upstream": "upstream: needs quay.io",
        "later/default": "later: not asked for",
        "web/default": "conda: needs conda-forge",
    }
    assert {graph.nodes[name].layer for name in found if "/" not in name} == {"conda", "lab", "upstream", "web"}
    assert len({image.variant.id for image in graph.images}) == 5


def test_digraph_has_every_edge_and_its_kind() -> None:
    graph = resolve(tree(SCIENCE))
    found = digraph(graph)
    assert nx.is_directed_acyclic_graph(found)
    assert set(found) == set(graph.nodes)
    assert {edge for edge in found.edges if found.edges[edge]["kind"] == "copy"} == {
        (copied, node.id) for node in graph.nodes.values() for copied in node.copies.values()
    }
    for node in graph.nodes:
        assert set(needed(graph, [node])) == {node, *nx.ancestors(found, node)}


def test_needed_is_in_build_order() -> None:
    graph = resolve(tree(SCIENCE))
    everything = needed(graph, [image.node for image in reversed(graph.images)])
    assert list(everything) == [node for node in graph.nodes if node in everything]


# --- faults ------------------------------------------------------------------------------------------------------------
# Single ones are in tests/projects/graph-* and matrix-*.


def test_all_faults_of_all_files_at_once() -> None:
    said = faults(
        {
            "hubstack.yaml": "base: debin",
            "base/debian": RELEASE,
            "layers/a": "requires: [b]",
            "layers/b": "requires: [a]",
            "layers/c": "conflicts: [d]\nvariables: {release: {type: text, default: x}}",
            "layers/d": "after: [nobody]",
            "stacks/one.yaml": "base: debian\nlayers: [c, d]\nvalues: {relese: bookworm}\nmatrix: {release: [sid]}",
            "stacks/two.yaml": "base: debian\nlayers: [e]",
        }
    )
    places = [":".join(line.split(":")[:2]) for line in said]
    assert places == [
        "hubstack.yaml:1",
        "layers/a/layer.yaml:1",
        "layers/c/layer.yaml:2",
        "layers/d/layer.yaml:1",
        "stacks/one.yaml:2",
        "stacks/one.yaml:3",
        "stacks/one.yaml:4",
        "stacks/two.yaml:2",
    ]


def test_the_variables_of_a_misspelt_layer_are_not_missed_too() -> None:
    files = {"base/debian": RELEASE, "layers/jupyterlab": LAB}
    said = faults({**files, "stacks/one.yaml": 'base: debian\nlayers: [jupiterlab]\nvalues: {jupyterlab: "4.5"}'})
    assert [line.split(": ")[1].split(" (")[0] for line in said] == ['unknown layer "jupiterlab"']


def test_a_fault_that_no_stack_shows_is_found_all_the_same() -> None:
    assert len(faults({"base/debian": RELEASE, "layers/a": RELEASE, "layers/b": "requires: [a]"})) == 1
