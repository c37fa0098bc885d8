"""A stack's options: which combinations there are, how they are called, and what is said where there can be none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hubstack.graph import resolve
from hubstack.graph.select import complete
from hubstack.model import Graph
from hubstack.project import load_project

from tests.tree import faults, tree

OPTIONS = Path(__file__).parents[1] / "projects" / "good-options"
LAYERS = {"base/debian": "", **{f"layers/{name}": "requires: [lab]" for name in ("r", "octave", "geo", "dask", "sql")}}
LANGUAGE = "{name: language, one_of: [none, r, octave]}"
TOOLS = "{name: tools, any_of: [geo, dask, sql], at_most: 2}"


def graph_of(*options: str, layers: Mapping[str, str] | None = None, more: str = "") -> Graph:
    return resolve(tree(files(*options, layers=layers, more=more)))


def files(*options: str, layers: Mapping[str, str] | None = None, more: str = "") -> dict[str, str]:
    changed = {f"layers/{name}": text for name, text in (layers or {}).items()}
    stack = f"base: debian\nlayers: [lab]\noptions: [{', '.join(options)}]\n{more}"
    return {**LAYERS, "layers/lab": "", **changed, "stacks/one.yaml": stack}


def names(graph: Graph) -> list[str]:
    return [image.variant.name for image in graph.images]


def layers_of(graph: Graph, variant: str) -> list[str]:
    (top,) = (image.node for image in graph.images if image.variant.name == variant)
    return [graph.nodes[node].layer for node in graph.lineage[top]]


def test_every_combination_is_an_image_with_the_stacks_layers_and_those_chosen() -> None:
    graph = graph_of(LANGUAGE, TOOLS)
    assert names(graph)[:8] == ["default", "geo", "dask", "sql", "dask-geo", "geo-sql", "dask-sql", "r"]
    assert len(names(graph)) == 3 * 7
    assert layers_of(graph, "default") == ["debian", "lab"]
    assert layers_of(graph, "octave-geo-sql") == ["debian", "lab", "octave", "geo", "sql"]


def test_without_at_most_all_may_be_chosen() -> None:
    assert names(graph_of("{name: tools, any_of: [geo, dask]}")) == ["default", "geo", "dask", "dask-geo"]


def test_options_come_on_top_of_the_matrix() -> None:
    variables = {"lab": "variables: {release: {type: version, default: a}}"}
    graph = graph_of("{name: language, one_of: [r, none]}", layers=variables, more="matrix: {release: [a, b]}")
    assert names(graph) == ["a-r", "a", "b-r", "b"]
    assert {image.variant.point for image in graph.images} == {"a", "b"}
    assert [image.variant.chosen["language"] for image in graph.images] == [("r",), (), ("r",), ()]


@pytest.mark.parametrize(
    "later",
    [
        (LANGUAGE, "{name: tools, any_of: [sql, geo, dask], at_most: 2}"),
        (LANGUAGE, "{name: tools, any_of: [geo, dask, sql], at_most: 3}"),
        (LANGUAGE, TOOLS, "{name: extra, one_of: [none, extra]}"),
        ("{name: language, one_of: [octave, none, extra, r]}", TOOLS),
    ],
)
def test_what_is_added_or_moved_renames_nothing(later: tuple[str, ...]) -> None:
    before, after = graph_of(LANGUAGE, TOOLS), graph_of(*later, layers={"extra": ""})
    assert set(names(before)) <= set(names(after))
    for name in names(before):
        assert set(layers_of(before, name)) == set(layers_of(after, name))


def test_what_is_in_conflict_is_left_out() -> None:
    graph = graph_of(LANGUAGE, TOOLS, layers={"octave": "conflicts: [sql]"})
    assert [name for name in names(graph) if "octave" in name] == [
        "octave",
        "octave-geo",
        "octave-dask",
        "octave-dask-geo",
    ]


def test_a_combination_never_holds_what_was_not_chosen() -> None:
    """Without r, geo would bring it: a person who chose no language would have one."""
    graph = graph_of(LANGUAGE, TOOLS, layers={"geo": "requires: [r]"})
    assert all(("geo" in layers_of(graph, name)) <= ("r" in name.split("-")) for name in names(graph))
    assert "r-geo" in names(graph)


def test_a_value_for_a_variable_of_an_optional_layer_is_for_those_that_have_it() -> None:
    workers = {"dask": "variables: {workers: {type: int, default: 1}}"}
    graph = graph_of(TOOLS, layers=workers, more="values: {workers: 4}")
    found = {image.variant.name: image.variant.values for image in graph.images}
    assert found["dask"] == {"workers": 4}
    assert found["geo"] == {}
    assert faults(files(TOOLS, layers=workers, more="values: {wokers: 4}")) != []


def test_sixty_four_are_the_most() -> None:
    six = [f"l{number}" for number in range(6)]
    layers = dict.fromkeys((*six, "one-more"), "")
    assert len(names(graph_of(f"{{name: a, any_of: [{', '.join(six)}]}}", layers=layers))) == 64
    (said,) = faults(files(f"{{name: a, any_of: [{', '.join(six)}]}}", LANGUAGE, layers=layers))
    assert "the options give 192 combinations (64 of a × 3 of language)" in said
    assert "A stack has 64 at most: give a a smaller `at_most`, or make two stacks." in said


def test_what_is_left_out_is_not_counted() -> None:
    seven = [f"l{number}" for number in range(7)]
    alone = {name: f"conflicts: [{', '.join(one for one in seven if one != name)}]" for name in seven}
    option = f"{{name: a, any_of: [{', '.join(seven)}]}}"
    assert names(graph_of(option, layers=alone)) == ["default", *seven]
    (said,) = faults(files(option, layers={**dict.fromkeys(seven, ""), "l0": "conflicts: [l1]"}))
    assert "the options give 128 combinations, of which 96 can be. A stack has 64 at most" in said


def test_twenty_layers_are_counted_and_not_listed() -> None:
    many = {f"l{number}": "" for number in range(20)}
    (said,) = faults(files(f"{{name: a, any_of: [{', '.join(many)}]}}", layers=many))
    assert "1048576 combinations" in said


def test_the_stacks_own_fault_is_told_once() -> None:
    (said,) = faults(files(LANGUAGE, TOOLS, layers={"lab": "conflicts: [debian]"}))
    assert "lab and debian are in conflict" in said


TWO_BASES = {
    "hubstack.yaml": "",
    "base/bookworm": "provides: [old]",
    "base/trixie": "",
    "layers/lab": "",
    "layers/legacy": "requires: [old]",
    "layers/r": "conflicts: [trixie]",
    "layers/geo": "conflicts: [trixie]",
    "layers/octave": "",
}


@pytest.mark.parametrize(
    ("layers", "ways", "said"),
    [
        ("lab, legacy", "none, r", "1:15: legacy requires old, and the base is trixie. Stand on bookworm, or leave"),
        ("lab", "r, octave", ""),
        ("lab", "r, geo", "2:1: nothing can be chosen of the options at trixie: r and trixie are in conflict. "),
    ],
)
def test_a_point_of_the_matrix_is_not_left_out_as_a_whole(layers: str, ways: str, said: str) -> None:
    stack = (
        f"layers: [{layers}]\nmatrix: {{base: [bookworm, trixie]}}\noptions: [{{name: language, one_of: [{ways}]}}]\n"
    )
    found = faults({**TWO_BASES, "stacks/one.yaml": stack})
    assert len(found) == bool(said)
    assert all(one.startswith(f"stacks/one.yaml:{said}") for one in found)


def test_a_shell_completes_what_there_is() -> None:
    project, _ = load_project(OPTIONS)
    found = complete(project, "science/trixie-octave")
    assert found == (
        "science/trixie-octave",
        "science/trixie-octave-geo",
        "science/trixie-octave-dask",
        "science/trixie-octave-dask-geo",
    )


def test_a_repository_stands_on_every_combination_or_on_one() -> None:
    all_of_them = {**files(LANGUAGE), "stacks/notes.yaml": "repository: {url: https://example.org/x, stack: one}"}
    one = {**files(LANGUAGE), "stacks/notes.yaml": "repository: {url: https://example.org/x, stack: one/r}"}
    on_all, on_one = resolve(tree(all_of_them)), resolve(tree(one))
    assert [image.variant.id for image in on_all.images if image.variant.stack == "notes"] == [
        "notes/default",
        "notes/r",
        "notes/octave",
    ]
    (found,) = (image.variant for image in on_one.images if image.variant.stack == "notes")
    assert (found.name, found.point, found.chosen) == ("default", "default", {})
