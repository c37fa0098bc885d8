"""Which nodes there are where layers are merged, and how a plan calls that."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import pytest
from hubstack.fingerprint import fingerprints
from hubstack.graph import resolve
from hubstack.lock import Lock
from hubstack.model import Graph, Rendered, Revision
from hubstack.pipeline import prepare
from hubstack.record import Record, parse_record, record_json
from hubstack.reference import Digest, Fingerprint
from hubstack.tier import Tier, judge

from tests.family import MERGED
from tests.tree import faults, tree

SETTINGS = "base: debian\nassembly: merge\n"
FILES = {
    "hubstack.yaml": SETTINGS,
    "base/debian": "",
    "layers/lab": "",
    "layers/scipy": "requires: [lab]",
    "layers/r": "",
    "layers/kernel": "requires: [lab, r]",
    "layers/tools": "after: [r]",
    "stacks/science.yaml": "base: debian\nlayers: [scipy]",
    "stacks/both.yaml": "base: debian\nlayers: [scipy, kernel]",
    "stacks/turned.yaml": "base: debian\nlayers: [kernel, scipy]",
}


def parents(graph: Graph) -> dict[str, list[str]]:
    """Labels of nodes → those of their parents."""
    return {node.label: [graph.nodes[one].label for one in node.parents] for node in graph.nodes.values()}


def tops(graph: Graph) -> dict[str, str]:
    return {image.variant.stack: graph.nodes[image.node].label for image in graph.images}


def test_each_layer_stands_on_what_it_requires_and_nothing_else() -> None:
    assert parents(resolve(tree(FILES))) == {
        "debian": [],
        "lab": ["debian"],
        "scipy": ["lab"],
        "r": ["debian"],
        "lab + r": ["lab", "r"],
        "kernel": ["lab + r"],
        "kernel + scipy": ["kernel", "scipy"],
        "tools": ["debian"],
    }


def test_a_stack_is_the_merge_of_what_nothing_else_of_it_stands_on_in_whichever_order() -> None:
    graph = resolve(tree(FILES))
    assert tops(graph) == {"science": "scipy", "both": "kernel + scipy", "turned": "kernel + scipy"}
    assert len({image.node for image in graph.images}) == 2


def test_a_chain_beside_it_is_built_as_ever() -> None:
    files = {**FILES, "stacks/line.yaml": "base: debian\nassembly: chain\nlayers: [scipy, r]"}
    graph = resolve(tree(files))
    line = next(image.node for image in graph.images if image.variant.stack == "line")
    assert [graph.nodes[node].label for node in graph.lineage[line]] == ["debian", "lab", "scipy", "r"]
    assert tops(graph)["both"] == "kernel + scipy"


def test_a_stack_may_be_merged_where_the_project_builds_chains() -> None:
    files = {**FILES, "hubstack.yaml": "base: debian\n"}
    files["stacks/both.yaml"] += "\nassembly: merge"
    graph = resolve(tree(files))
    assert tops(graph) == {"science": "scipy", "both": "kernel + scipy", "turned": "scipy"}


def test_what_stands_after_another_layer_is_built_on_it_where_both_are() -> None:
    files = {**FILES, "stacks/both.yaml": "base: debian\nlayers: [r, tools]"}
    graph = resolve(tree(files))
    assert parents(graph)["tools"] in (["r"], ["debian"])  # in the stack, and by itself
    assert tops(graph)["both"] == "tools"


def test_lineage_names_layers_and_no_merge() -> None:
    graph = resolve(tree(FILES))
    node = next(image.node for image in graph.images if image.variant.stack == "both")
    layers = [graph.nodes[one].layer for one in graph.lineage[node]]
    assert sorted(layers) == ["debian", "kernel", "lab", "r", "scipy"]
    assert layers.index("r") < layers.index("kernel")


def test_a_resolve_is_part_of_the_merge_that_it_is_about_and_of_no_other() -> None:
    files = dict(FILES)
    files["stacks/turned.yaml"] += "\nresolve: {/etc/motd: {layer: r, reason: It is the newer one}}"
    graph = resolve(tree(files))
    nodes = {image.variant.stack: graph.nodes[image.node] for image in graph.images}
    assert [one.path for one in nodes["turned"].resolve] == ["etc/motd"]
    assert nodes["both"].resolve == ()
    assert nodes["both"].id != nodes["turned"].id
    rendered = {node.id: RENDERED for node in graph.nodes.values() if not node.is_merge}
    identities = fingerprints(graph, rendered, {})
    assert identities[nodes["both"].id].fingerprint != identities[nodes["turned"].id].fingerprint


RENDERED = Rendered(dockerfile="FROM parent\n", origins=(), context=())


def test_a_merges_fingerprint_is_that_of_its_parents_whatever_these_are_called() -> None:
    graph = resolve(tree(FILES))
    rendered = {node.id: RENDERED for node in graph.nodes.values() if not node.is_merge}
    before = fingerprints(graph, rendered, {})
    after = fingerprints(graph, rendered, {"scipy": "2026-11-29"})
    changed = {graph.nodes[node].label for node in before if before[node] != after[node]}
    assert changed == {"scipy", "kernel + scipy"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("assembly: both", 'assembly is "both"'),
        ("resolve: {etc/motd: {layer: r, reason: x}}", "etc/motd"),
        ("resolve: {/etc/motd: {layer: nobody, reason: x}}", "nobody"),
        ("resolve: {/etc/motd: {layer: r}}", "reason"),
    ],
)
def test_what_can_not_be_meant_is_said_where_it_stands(text: str, said: str) -> None:
    (problem,) = faults({**FILES, "stacks/both.yaml": f"base: debian\nlayers: [scipy, kernel]\n{text}"})
    assert problem.startswith("stacks/both.yaml:3:")
    assert said in problem


# --- tiers ---------------------------------------------------------------------------------------------------------------


def judged(records: Mapping[str, tuple[str, ...]] = {}) -> dict[str, tuple[Tier, str]]:
    inputs = MERGED.inputs()

    def recorded(fingerprints: Iterable[Fingerprint]) -> Mapping[Fingerprint, Record]:
        known = {inputs.fingerprint(node): settled for node, settled in records.items()}
        return {one: record(one, known[one]) for one in fingerprints if one in known}

    found = judge(inputs, inputs.plan(None), recorded, None)
    return {variant: (one.tier, one.why) for variant, one in found.items()}


def record(fingerprint: Fingerprint, settled: tuple[str, ...]) -> Record:
    return Record(node="x", fingerprint=fingerprint, facts=(), sources={}, seconds=1.0, size_bytes=1, settled=settled)


def test_tiers_are_what_merges_have_come_to() -> None:
    assert judged()["all/default"] == (Tier.UNKNOWN, "the registry was not asked")
    assert judged()["minimal/default"] == (Tier.MERGE, "each layer stands on the one below")
    assert judged({"lab.r": (), "kernel.scipy": ()})["all/default"][0] is Tier.MERGE
    said = "mime of r has to be told of what lab has (/x)"
    assert judged({"lab.r": (said,), "kernel.scipy": ()})["all/default"] == (Tier.SETTLE, said)
    assert judged({"lab.r": (said,)})["all/default"][0] is Tier.UNKNOWN


LOCK = Lock(
    images={"example.org/one:1": Digest("sha256:" + "1" * 64)},
    repositories={"nb": Revision(url="https://example.org/nb", ref="", commit="a" * 40)},
)


def planned(files: Mapping[str, str]) -> dict[str, str]:
    inputs = prepare(tree(files), LOCK, [])
    return {name: one.why for name, one in judge(inputs, inputs.plan(None), lambda _: {}, None).items()}


def test_a_repository_is_judged_as_the_stack_that_it_stands_on() -> None:
    two = {"base/debian": "", "layers/a": "", "layers/b": ""}
    on = {"stacks/nb.yaml": "repository: {url: 'https://example.org/nb', stack: s}"}
    for project, stack in (("merge", "chain"), ("chain", "merge")):
        below = {"stacks/s.yaml": f"base: debian\nassembly: {stack}\nlayers: [a, b]"}
        found = planned({"hubstack.yaml": f"assembly: {project}", **two, **below, **on})
        assert found["nb/default"] == found["s/default"]
        assert (found["s/default"] == "its layers are a chain") is (stack == "chain")


def test_a_layer_that_is_required_anyway_is_built_on_for_no_order_s_sake() -> None:
    files = {
        "hubstack.yaml": "assembly: merge",
        "base/debian": "",
        "layers/python": "",
        "layers/lab": "requires: [python]",
        "layers/scipy": "requires: [lab]\nafter: [python]",
        "stacks/s.yaml": "base: debian\nlayers: [scipy]",
    }
    assert planned(files)["s/default"] == "each layer stands on the one below"
    apart = {
        **files,
        "layers/scipy": "requires: [python]\nafter: [lab]",
        "stacks/s.yaml": "base: debian\nlayers: [lab, scipy]",
    }
    assert planned(apart)["s/default"] == "scipy is built after lab"


def test_what_was_settled_is_remembered() -> None:
    one = record(Fingerprint("a" * 64), ("mime of r has to be told",))
    assert parse_record(json.loads(json.dumps(record_json(one)))) == one
