"""Mappings that are put onto each other without being copied: the trees of a merge have most of their files in common."""

from __future__ import annotations

from collections.abc import Iterator, KeysView, Mapping, Set
from functools import lru_cache
from typing import TypeVar, overload

V = TypeVar("V")
D = TypeVar("D")


class Stacked(Mapping[str, V]):
    """``over`` is what doesn't stand in ``layers`` as it is in the end: every key that several of them have is in it, or in
    ``gone``, if it isn't in the whole.
    """

    def __init__(
        self, layers: tuple[Mapping[str, V], ...], over: Mapping[str, V] | None = None, gone: Set[str] = frozenset()
    ) -> None:
        self.layers, self.over, self.gone = layers, {} if over is None else over, gone

    @property
    def changed(self) -> Set[str]:
        """The keys that may not be as each layer that has them says."""
        return self.over.keys() | self.gone

    def __getitem__(self, key: str) -> V:
        if key in self.over:
            return self.over[key]
        if key not in self.gone:
            for layer in self.layers:
                if key in layer:
                    return layer[key]
        raise KeyError(key)

    @overload
    def get(self, key: str, /) -> V | None: ...
    @overload
    def get(self, key: str, /, default: V | D) -> V | D: ...
    def get(self, key: str, /, default: V | D | None = None) -> V | D | None:
        if key in self.over:
            return self.over[key]
        if key not in self.gone:
            for layer in self.layers:
                if (found := layer.get(key)) is not None:
                    return found
        return default

    def __contains__(self, key: object) -> bool:
        return key in self.over or (key not in self.gone and any(key in layer for layer in self.layers))

    def __iter__(self) -> Iterator[str]:
        yield from self.over
        for layer in self.layers:
            for key in layer:
                if key not in self.over and key not in self.gone:
                    yield key

    def __bool__(self) -> bool:
        return any(True for _ in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr({key: self[key] for key in sorted(self)})

    def but(self, over: Mapping[str, V]) -> Stacked[V]:
        return Stacked(self.layers, {**self.over, **over}, self.gone - over.keys())

    def without(self, keys: Set[str]) -> Stacked[V]:
        over = {key: value for key, value in self.over.items() if key not in keys}
        return Stacked(self.layers, over, self.gone | keys)


def stacked(one: Mapping[str, V]) -> Stacked[V]:
    return one if isinstance(one, Stacked) else Stacked((one,))


def pile(below: Mapping[str, V], above: Mapping[str, V], both: Set[str]) -> Stacked[V]:
    """What ``both`` have, is as ``above`` has it."""
    lower, upper = stacked(below), stacked(above)
    over = {**lower.over, **upper.over}
    over |= {key: upper[key] for key in both}
    over |= {key: upper[key] for key in lower.gone if key in upper}
    over |= {key: lower[key] for key in upper.gone if key in lower}
    layers = tuple(layer for layer in (*lower.layers, *upper.layers) if layer)
    return Stacked(layers, over, (lower.gone | upper.gone) - over.keys())


def shared(one: Mapping[str, V], other: Mapping[str, V]) -> set[str]:
    """The keys that both have."""
    lower, upper = stacked(one), stacked(other)
    both = (_both(_Same(low), _Same(high)) for low in lower.layers for high in upper.layers)
    found = set[str]().union(*both, among(one, upper.over.keys()), among(other, lower.over.keys()))
    return found - (lower.gone - lower.over.keys()) - (upper.gone - upper.over.keys())


class _Same:
    """A layer, equal to itself alone."""

    def __init__(self, layer: Mapping[str, object]) -> None:
        self.layer = layer

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.layer is other.layer

    def __hash__(self) -> int:
        return id(self.layer)


@lru_cache(128)  # two parts meet when they are merged, and again in each merge of more
def _both(one: _Same, other: _Same) -> Set[str]:
    return one.layer.keys() & other.layer.keys()


def among(one: Mapping[str, V], keys: Set[str]) -> set[str]:
    """Those of ``keys`` that it has: C looks for them, a layer at a time."""
    whole = stacked(one)
    return set[str]().union(*(keys & some for some in _keys(whole))) - (whole.gone - whole.over.keys())


def different(one: Mapping[str, V], other: Mapping[str, V]) -> set[str]:
    """The keys that are in one of them only, or have another value. What is in a layer of both isn't looked at."""
    wholes = stacked(one), stacked(other)
    layers = {id(layer): layer for whole in wholes for layer in whole.layers}
    common = set[int].intersection(*({id(layer) for layer in whole.layers} for whole in wholes))
    keys = set[str]().union(*(layer for at, layer in layers.items() if at not in common))
    keys = keys.union(*(whole.over for whole in wholes), *(whole.gone for whole in wholes))
    return {key for key in keys if wholes[0].get(key) != wholes[1].get(key)}


def _keys(one: Mapping[str, V]) -> Iterator[KeysView[str]]:
    whole = stacked(one)
    return (layer.keys() for layer in (*whole.layers, whole.over))
