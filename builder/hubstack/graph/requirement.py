"""What layers say of each other: which names there are, who stands for a name, and where layers need each other in a circle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import TypeAlias

from hubstack.errors import Problem
from hubstack.model import Kind, Layer, Project
from hubstack.source import Position
from hubstack.spelling import did_you_mean, enumerate_words, quote


class Relation(StrEnum):
    """The keys of a layer's file that name other layers and order them."""

    REQUIRES = "requires"
    AFTER = "after"
    COPY_FROM = "copy_from"


_WORDS = {Relation.REQUIRES: "requires", Relation.AFTER: "stands after", Relation.COPY_FROM: "copies from"}


@dataclass(frozen=True, slots=True)
class Unmet:
    """Why nobody stands for a required name. It names what could: several layers, or bases the image is not made on."""

    candidates: tuple[str, ...]
    base: bool


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """A project's layers and bases, to take from by name.

    A required name is met by what the stack lists (or its base), under its own name or one that it provides; else by the
    layer of that name; else by the only layer that provides it. So a further provider changes nothing for stacks that
    don't list it, as long as a layer carries the name itself.
    """

    layers: Mapping[str, Layer]

    @classmethod
    def of(cls, project: Project) -> Shelf:
        """All but repositories, which no layer can name."""
        return cls(layers={name: one for name, one in project.layers.items() if one.kind is not Kind.REPOSITORY})

    @cached_property
    def providers(self) -> Mapping[str, tuple[str, ...]]:
        """For each provided name the layers and bases that provide it, in their names' order."""
        found: dict[str, list[str]] = {}
        for name in sorted(self.layers):
            for provided in dict.fromkeys(self.layers[name].provides):
                found.setdefault(provided, []).append(name)
        return {provided: tuple(layers) for provided, layers in found.items()}

    @cached_property
    def known(self) -> frozenset[str]:
        """Every name that a layer may require, stand after or conflict with."""
        return frozenset((*self.layers, *self.providers))

    def is_base(self, name: str) -> bool:
        return name in self.layers and self.layers[name].kind is Kind.BASE

    def names(self, layer: str) -> tuple[str, ...]:
        return (layer, *self.layers[layer].provides)

    def pick(self, name: str, here: Mapping[str, str]) -> str | Unmet | None:
        """Who stands for ``name``; ``here`` holds the names that are met already. None: the name is unknown."""
        if name in here:
            return here[name]
        if name in self.layers:
            return Unmet((name,), base=True) if self.is_base(name) else name
        providers = self.providers.get(name)
        if providers is None:
            return None
        layers = tuple(one for one in providers if not self.is_base(one))
        if not layers:
            return Unmet(providers, base=True)
        return layers[0] if len(layers) == 1 else Unmet(layers, base=False)

    @cached_property
    def edges(self) -> Mapping[str, Mapping[str, tuple[Relation, int]]]:
        """What each layer needs where no stack decides otherwise, and the entry of its file that says so."""
        return {name: dict(self._needs(self.layers[name])) for name in sorted(self.layers)}

    def _needs(self, layer: Layer) -> Iterator[tuple[str, tuple[Relation, int]]]:
        for relation in reversed(Relation):  # so that of several entries the strongest stays
            for number, name in enumerate(getattr(layer, relation)):
                if isinstance(found := self.pick(name, {}), str):
                    yield found, (relation, number)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Every layer and base, each after all that it needs. Empty where some need each other."""
        from graphlib import CycleError, TopologicalSorter

        try:
            return tuple(TopologicalSorter({name: sorted(needs) for name, needs in self.edges.items()}).static_order())
        except CycleError:
            return ()

    @cached_property
    def rank(self) -> Mapping[str, int]:
        return {name: number for number, name in enumerate(self.order)}


Edges: TypeAlias = Mapping[str, Mapping[str, tuple[Relation, int]]]
"""What layers need → the entry that says so."""


@dataclass(frozen=True, slots=True)
class Circle:
    """Layers that need each other; the first by name, and the entry of its file that needs the next one."""

    first: str
    entry: tuple[Relation, int]
    what: str
    remedy: str


def circles(edges: Edges) -> Iterator[Circle]:
    """One for each group of layers that need each other: the shortest through the group's first by name."""
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph([(layer, need) for layer, needs in edges.items() for need in needs])
    for group in sorted(map(sorted, nx.strongly_connected_components(graph))):
        first, inside = group[0], graph.subgraph(group)
        ways = [nx.shortest_path(inside, need, first) for need in inside[first]]
        if ways:
            line = [first, *min(ways, key=lambda way: (len(way), way))]
            says = [f"{one} {_WORDS[edges[one][need][0]]} {need}" for one, need in pairwise(line)]
            remedy = f"Give up one of these: {enumerate_words(says)}." if len(says) > 1 else "Remove it."
            yield Circle(first, edges[first][line[1]], " needs ".join(line), remedy)


def layer_problems(shelf: Shelf) -> Iterator[Problem]:
    """Unknown names, and layers that need each other in a circle."""
    for name in sorted(shelf.layers):
        yield from _name_problems(shelf, shelf.layers[name])
    if not shelf.order:
        for circle in circles(shelf.edges):
            position = shelf.layers[circle.first].source.at(*circle.entry)
            yield Problem(position=position, what=circle.what, remedy=circle.remedy)


def _name_problems(shelf: Shelf, layer: Layer) -> Iterator[Problem]:
    for key in ("requires", "after", "conflicts"):
        for number, name in enumerate(getattr(layer, key)):
            if name not in shelf.known:
                what = f"unknown layer {quote(name)}{did_you_mean(name, shelf.known)}"
                remedy = "Correct it: no layer has that name or provides it."
                yield Problem(position=layer.source.at(key, number), what=what, remedy=remedy)
    for number, name in enumerate(layer.copy_from):
        place = layer.source.at("copy_from", number)
        if name in shelf.layers:
            continue
        if name in shelf.providers:
            remedy = f"Name the layer itself: {enumerate_words(shelf.providers[name])}."
            yield Problem(position=place, what=f"{quote(name)} is a name that layers provide", remedy=remedy)
        else:
            yield unknown_layer(name, shelf.layers, place)


def unknown_layer(name: str, known: Iterable[str], position: Position) -> Problem:
    what = f"unknown layer {quote(name)}{did_you_mean(name, known)}"
    return Problem(position=position, what=what, remedy=f"Correct it, or make layers/{name}/layer.yaml.")
