"""What a picture of the graph shows: boxes and arrows, however they are drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TypeAlias

from hubstack.graph import needed
from hubstack.graph.select import Selection
from hubstack.model import Graph, Image, Kind, Node, Project, Value, Variable
from hubstack.value import value_text

Edge: TypeAlias = tuple[str, str]


class BoxKind(StrEnum):
    BASE = "base"
    LAYER = "layer"
    MERGE = "merge"
    STACK = "stack"


class ArrowKind(StrEnum):
    NEEDS = "needs"
    COPIES = "copies"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    key: str
    kind: BoxKind
    title: str
    count: int = 1  # nodes of a layer, variants of a stack
    notes: tuple[str, ...] = ()  # lines
    draft: bool = False


@dataclass(frozen=True, slots=True)
class Arrow:
    """From what is needed to what needs it."""

    start: str
    end: str
    kind: ArrowKind = ArrowKind.NEEDS


@dataclass(frozen=True, kw_only=True)
class Diagram:
    """Boxes lowest first. There is no way round in circles along the arrows."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]

    @cached_property
    def by_key(self) -> Mapping[str, Box]:
        return {box.key: box for box in self.boxes}


def layer_diagram(project: Project, graph: Graph, selection: Selection) -> Diagram:
    """One box a layer, however many nodes it has, and one a stack. Arrows are requirements, not the order of a chain.

    Notes tell the values by which a layer's nodes differ.
    """
    nodes = [graph.nodes[node] for node in needed(graph, selection.nodes)]
    groups: dict[str, list[Node]] = {}
    for node in nodes:
        if not node.is_merge:
            groups.setdefault(node.layer, []).append(node)
    needs: dict[tuple[str, str], None] = {}
    copies: dict[tuple[str, str], None] = {}
    for node in (node for found in groups.values() for node in found):
        needs |= {(one, node.layer): None for one in _requirements(project, graph, node)}
        copies |= {(one, node.layer): None for one in node.copies}
    for image in selection.images:
        stack = project.stacks[image.variant.stack]
        chosen = [layer for layers in image.variant.chosen.values() for layer in layers] if stack.options else []
        listed = [one for one in (*stack.layers, *chosen, *([stack.name] if stack.repository else [])) if one in groups]
        needs |= {(layer, _stack_key(image)): None for layer in listed}
    boxes = [_layer_box(project, name, found) for name, found in groups.items()]
    boxes += _stack_boxes(project, selection.images)
    return _diagram(boxes, _without_detours(needs), copies)


def node_diagram(project: Project, graph: Graph, selection: Selection) -> Diagram:
    """One box a node and one a variant; an arrow is what a node is built on."""
    nodes = [graph.nodes[node] for node in needed(graph, selection.nodes)]
    boxes = [
        Box(key=node.id, kind=BoxKind.MERGE, title=node.id) if node.is_merge else _node_box(project, node)
        for node in nodes
    ]
    for variant, stack in {image.variant.id: image.variant.stack for image in selection.images}.items():
        boxes.append(Box(key=variant, kind=BoxKind.STACK, title=variant, draft=bool(project.stacks[stack].draft)))
    tops = [(image.node, image.variant.id) for image in selection.images]
    parents = [(parent, node.id) for node in nodes for parent in node.parents]
    return _diagram(boxes, [*parents, *tops], [(one, node.id) for node in nodes for one in node.copies.values()])


def _node_box(project: Project, node: Node) -> Box:
    layer = project.layers[node.layer]
    notes = tuple(f"{name} {_text(node.values[name])}" for name in layer.variables)
    return Box(key=node.id, kind=_kind(project, node.layer), title=node.id, notes=notes, draft=bool(layer.draft))


def _diagram(boxes: Iterable[Box], needs: Iterable[Edge], copies: Iterable[Edge]) -> Diagram:
    """Boxes sorted so that no arrow goes back. Where two stacks meet requirements the other way round, an arrow is lost."""
    import networkx as nx

    arrows = [Arrow(*edge) for edge in needs]
    there = {(arrow.start, arrow.end) for arrow in arrows}
    arrows += [Arrow(*edge, ArrowKind.COPIES) for edge in dict.fromkeys(copies) if edge not in there]
    graph: nx.DiGraph[str] = nx.DiGraph([(arrow.start, arrow.end) for arrow in arrows])
    while not nx.is_directed_acyclic_graph(graph):
        graph.remove_edge(*list(nx.find_cycle(graph))[-1][:2])
    by_key = {box.key: box for box in boxes}
    graph.add_nodes_from(by_key)
    rank = {key: number for number, key in enumerate(by_key)}
    order = nx.lexicographical_topological_sort(graph, key=rank.__getitem__)
    return Diagram(
        boxes=tuple(by_key[key] for key in order),
        arrows=tuple(arrow for arrow in arrows if graph.has_edge(arrow.start, arrow.end)),
    )


def _requirements(project: Project, graph: Graph, node: Node) -> Iterator[str]:
    """Who stands for the layer's requirements in this node's image; its base, where it has none.

    A repository stands on all of a stack, and so on its topmost layer.
    """
    below = [graph.nodes[one].layer for one in graph.lineage[node.id][:-1]]
    if project.layers[node.layer].repository is not None:
        yield below[-1]
        return
    required = project.layers[node.layer].requires
    for name in required:
        providers = [layer for layer in below if name in project.layers[layer].provides]
        yield from [name] if name in below else providers[:1]
    if not required and below:
        yield node.base


def _without_detours(edges: Iterable[Edge]) -> list[Edge]:
    """Edges without those that a way over other boxes shows as well."""
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph(list(edges))
    if nx.is_directed_acyclic_graph(graph):
        kept = nx.transitive_reduction(graph)
        return [edge for edge in graph.edges if kept.has_edge(*edge)]
    return list(graph.edges)


def _layer_box(project: Project, name: str, nodes: Sequence[Node]) -> Box:
    layer = project.layers[name]
    values = {variable: {node.values[variable] for node in nodes} for variable in layer.variables}
    return Box(
        key=name,
        kind=_kind(project, name),
        title=name,
        count=len(nodes),
        notes=tuple(
            f"{name} {' | '.join(shown_values(layer.variables[name], found))}"
            for name, found in values.items()
            if len(found) > 1
        ),
        draft=bool(layer.draft),
    )


def shown_values(variable: Variable, values: Iterable[Value]) -> list[str]:
    """In the order of the variable's choices, else of the alphabet."""
    choices = {text: number for number, text in enumerate(variable.choices)}
    return sorted(map(_text, values), key=lambda text: (choices.get(text, len(choices)), text))


def _text(value: Value) -> str:
    return value_text(value) or "–"


def _stack_boxes(project: Project, images: Iterable[Image]) -> list[Box]:
    variants: dict[str, dict[str, None]] = {}
    for image in images:
        variants.setdefault(image.variant.stack, {})[image.variant.name] = None
    return [
        Box(
            key=f"stack:{name}",
            kind=BoxKind.STACK,
            title=name,
            count=len(found),
            notes=(project.stacks[name].title,),
            draft=bool(project.stacks[name].draft),
        )
        for name, found in variants.items()
    ]


def _stack_key(image: Image) -> str:
    return f"stack:{image.variant.stack}"


def _kind(project: Project, layer: str) -> BoxKind:
    return BoxKind.BASE if project.layers[layer].kind is Kind.BASE else BoxKind.LAYER
