"""What holds for the graph of any project, and of large ones."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hubstack.errors import ProjectError
from hubstack.graph import resolve
from hubstack.model import Graph, Kind, Layer, Project, Settings, Stack, Variable, VariableType
from hubstack.source import Source
from hypothesis import given, settings
from hypothesis import strategies as st


def handmade(name: str, kind: Kind = Kind.LAYER, **fields: Any) -> Layer:
    return Layer(name=name, kind=kind, summary=name, source=Source(path=f"layers/{name}/layer.yaml"), **fields)


def stack(name: str, layers: Iterable[str], **fields: Any) -> Stack:
    return Stack(
        name=name, title=name, base="debian", layers=tuple(layers), source=Source(path=f"stacks/{name}.yaml"), **fields
    )


def assembled(layers: Sequence[Layer], stacks: Sequence[Stack]) -> Project:
    return Project(
        settings=Settings(source=Source(path="hubstack.yaml")),
        layers={one.name: one for one in layers},
        stacks={one.name: one for one in stacks},
        hubs={},
    )


@st.composite
def projects(draw: st.DrawFn) -> Project:
    """Up to nine layers that need only those before them, and stacks of some of them."""
    names = [f"l{number}" for number in range(draw(st.integers(1, 9)))]
    layers = [handmade("debian", Kind.BASE)]
    for number, name in enumerate(names):
        lower = st.lists(st.sampled_from(names[:number]), unique=True, max_size=3) if number else st.just([])
        variable = Variable(
            name=f"v{number}", type=VariableType.INT, default=0, choices={}, help="", position=Source(path=name).at()
        )
        layers.append(
            handmade(
                name,
                requires=tuple(draw(lower)),
                after=tuple(draw(lower)),
                copy_from=tuple(draw(lower)[:1]),
                variables={variable.name: variable} if draw(st.booleans()) else {},
            )
        )
    chosen = st.lists(st.sampled_from(names), unique=True, min_size=1)
    stacks = [stack(f"s{number}", draw(chosen)) for number in range(draw(st.integers(1, 4)))]
    return assembled(layers, stacks)


def images(graph: Graph) -> dict[str, list[tuple[str, tuple[str, ...], tuple[str, ...]]]]:
    """For each variant its image's nodes with what they are built from."""
    return {
        image.variant.id: [
            (node, graph.nodes[node].parents, tuple(graph.nodes[node].copies.values()))
            for node in graph.lineage[image.node]
        ]
        for image in graph.images
    }


@settings(deadline=None)  # the machine may be busy
@given(projects())
def test_another_stack_changes_no_node_of_the_others(project: Project) -> None:
    whole = images(resolve(project))
    for name in project.stacks:
        fewer = replace(project, stacks={other: one for other, one in project.stacks.items() if other != name})
        assert images(resolve(fewer)) == {
            variant: nodes for variant, nodes in whole.items() if variant != f"{name}/default"
        }


@settings(deadline=None)  # the machine may be busy
@given(projects(), st.randoms(use_true_random=False))
def test_the_order_of_files_changes_nothing(project: Project, random: Random) -> None:
    def shuffled(mapping: Mapping[str, Any]) -> dict[str, Any]:
        return dict(random.sample(list(mapping.items()), len(mapping)))

    one, other = (
        resolve(project),
        resolve(replace(project, layers=shuffled(project.layers), stacks=shuffled(project.stacks))),
    )
    assert one == other
    assert list(one.nodes) == list(other.nodes)


@settings(deadline=None)  # the machine may be busy
@given(projects())
def test_every_chain_keeps_what_its_layers_ask_for(project: Project) -> None:
    graph = resolve(project)
    for image in graph.images:
        order = [graph.nodes[node].layer for node in graph.lineage[image.node]]
        assert len(set(order)) == len(order)
        assert set(project.stacks[image.variant.stack].layers) <= set(order)
        for place, name in enumerate(order):
            assert set(project.layers[name].requires) <= set(order[:place])
            assert not set(project.layers[name].after) & set(order[place:])


@settings(deadline=None)  # the machine may be busy
@given(projects(), st.data())
def test_a_requirement_of_a_lower_layer_on_a_higher_one_is_always_a_fault(
    project: Project, data: st.DataObject
) -> None:
    layers = [layer for layer in project.layers.values() if layer.requires]
    if layers:
        upper = data.draw(st.sampled_from(layers))
        lower = project.layers[upper.requires[0]]
        circle = replace(lower, requires=(*lower.requires, upper.name))
        with pytest.raises(ProjectError, match=f"{lower.name} needs|needs {lower.name}"):
            resolve(replace(project, layers={**project.layers, lower.name: circle}))


def wide(size: int) -> Project:
    """A fifth of the layers under the others, and a stack for each of these."""
    lower = [handmade(f"m{number}") for number in range(size // 5)]
    upper = [handmade(f"l{number}", requires=(f"m{number % len(lower)}",)) for number in range(size - len(lower) - 1)]
    return assembled(
        [handmade("debian", Kind.BASE), *lower, *upper], [stack(f"s-{one.name}", [one.name]) for one in upper]
    )


def deep(size: int) -> Project:
    layers = [handmade(f"l{number}", requires=(f"l{number - 1}",) if number else ()) for number in range(size - 1)]
    return assembled([handmade("debian", Kind.BASE), *layers], [stack("one", [layers[-1].name])])


@pytest.mark.parametrize("shape", [wide, deep])
def test_5000_nodes_are_resolved_in_a_moment(shape: Any) -> None:
    """Below a second on the machine of the first measurements; anything quadratic takes tens of them."""
    project = shape(5000)
    started = time.perf_counter()
    assert len(resolve(project).nodes) == 5000
    assert time.perf_counter() - started < 5


FILES = {"base/debian": "", "layers/python": "", "stacks/one.yaml": "base: debian\nlayers: [python]"}


def test_a_project_without_faults_is_resolved_without_networkx() -> None:
    """Its import takes longer than everything that a run with nothing to do may take."""
    code = (
        "import sys; from tests.tree import tree; from hubstack.graph import resolve; "
        f"resolve(tree({FILES!r})); sys.exit('networkx' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0
