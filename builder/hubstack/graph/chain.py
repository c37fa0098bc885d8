"""A stack's layers, with all that they require, as one line: each is built on the one before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hubstack.errors import Problem
from hubstack.graph.requirement import Relation, Shelf, Unmet, circles
from hubstack.model import Layer, Variable
from hubstack.source import Position
from hubstack.spelling import enumerate_words


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why layers can't stand together. It is the stack's author who has to mend it, so it has no position yet."""

    layer: str
    what: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Layers lowest first, the base included. With ``faults`` their order means nothing."""

    base: str
    listed: tuple[str, ...]
    layers: tuple[str, ...]
    below: Mapping[str, tuple[str, ...]]  # what each requires, and what it stands after of what is there
    brought: Mapping[str, str]  # a layer that nobody listed → the one that requires it
    faults: tuple[Fault, ...] = ()

    def entry(self, layer: str) -> str:
        """The listed layer through which ``layer`` came in."""
        while layer in self.brought:
            layer = self.brought[layer]
        return layer

    def problems(self, place: Callable[[str], Position]) -> Iterator[Problem]:
        """``place`` says where a listed layer stands."""
        for fault in self.faults:
            yield Problem(position=place(self.entry(fault.layer)), what=fault.what, remedy=fault.remedy)


class Chains:
    """Chains of one project, each made once."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self._made: dict[tuple[str, tuple[str, ...]], Chain] = {}

    def of(self, base: str, listed: Sequence[str]) -> Chain:
        """Depth first over the author's list: what a layer requires, then what it stands after, then itself.

        So the order depends on nothing but the list and the layers. ``base`` and ``listed`` must be known names.
        """
        key = (base, tuple(listed))
        if key not in self._made:
            self._made[key] = _chain(self.shelf, *key)
        return self._made[key]

    def alone(self, base: str, layer: str) -> Chain:
        """The layer by itself, on what it requires. A base stands on nothing, so that ``base`` says nothing then."""
        return self.of(layer, ()) if self.shelf.is_base(layer) else self.of(base, (layer,))

    def copied(self, chain: Chain) -> tuple[str, ...]:
        """What the chain's layers copy from, and what those copy from in turn; each after all that it needs."""
        found: dict[str, None] = {}
        waiting = list(chain.layers)
        while waiting:
            for name in self.shelf.layers[waiting.pop()].copy_from:
                if name not in found and name in self.shelf.layers:
                    found[name] = None
                    waiting += self.alone(chain.base, name).layers
        rank = self.shelf.rank  # empty where layers need each other, which is an error by itself
        return tuple(sorted(found, key=lambda name: rank.get(name, 0)))

    def variables(self, chain: Chain) -> tuple[Mapping[str, Variable], tuple[Problem, ...]]:
        """The variables of a chain's layers and of those that they copy from; a name declared twice is a problem."""
        layers = dict.fromkeys(chain.layers)
        for name in self.copied(chain):
            layers |= dict.fromkeys(self.alone(chain.base, name).layers)
        return _declared(self.shelf.layers[name] for name in layers)


def _declared(layers: Iterable[Layer]) -> tuple[Mapping[str, Variable], tuple[Problem, ...]]:
    found: dict[str, Variable] = {}
    problems = []
    for variable in (variable for layer in layers for variable in layer.variables.values()):
        first = found.setdefault(variable.name, variable)
        if first is not variable:
            early, late = sorted((first.position, variable.position), key=lambda position: position.sort_key)
            what = f"the variable {variable.name} is declared here and in {early}"
            remedy = "One layer declares it, and those above may read it. Give the other one another name."
            problems.append(Problem(position=late, what=what, remedy=remedy))
    return found, tuple(problems)


def _chain(shelf: Shelf, base: str, listed: tuple[str, ...]) -> Chain:
    here = _names(shelf, (*listed, base))
    needs: dict[str, tuple[str, ...]] = {}
    brought: dict[str, str] = {}
    faults: list[Fault] = []
    waiting = [*reversed(listed), base]
    while waiting:
        layer = waiting.pop()
        if layer in needs:
            continue
        met = []
        for name in shelf.layers[layer].requires:
            found = shelf.pick(name, here)
            if isinstance(found, Unmet):
                faults.append(_unmet(layer, name, found, base))
            elif found is not None:
                met.append(found)
                if found != base and found not in listed:
                    brought.setdefault(found, layer)
        needs[layer] = tuple(met)
        waiting += reversed(met)
    below = _below(shelf, needs)
    order, circular = _order(shelf, base, listed, needs, below)
    faults += circular
    faults += _conflicts(shelf, order, brought)
    return Chain(base=base, listed=listed, layers=order, below=below, brought=brought, faults=tuple(faults))


def _names(shelf: Shelf, layers: Iterable[str]) -> dict[str, str]:
    """Who stands for a name among ``layers``: the one it belongs to, else the first that provides it."""
    layers = tuple(layers)
    names = {layer: layer for layer in layers}
    for layer in layers:
        for name in shelf.layers[layer].provides:
            names.setdefault(name, layer)
    return names


def _below(shelf: Shelf, needs: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    present = _everyone(shelf, needs)
    return {
        layer: (
            *required,
            *(one for name in shelf.layers[layer].after for one in present.get(name, ()) if one != layer),
        )
        for layer, required in needs.items()
    }


def _order(
    shelf: Shelf,
    base: str,
    listed: tuple[str, ...],
    needs: Mapping[str, tuple[str, ...]],
    below: Mapping[str, tuple[str, ...]],
) -> tuple[tuple[str, ...], list[Fault]]:
    order = tuple(_depth_first((base, *listed), below))
    height = {layer: number for number, layer in enumerate(order)}
    if all(height[need] < height[layer] for layer, required in below.items() for need in required):
        return order, []
    if not shelf.order:
        return order, []  # a circle without this stack, which is told without it
    edges = {
        layer: {need: (Relation.REQUIRES if need in needs[layer] else Relation.AFTER, 0) for need in required}
        for layer, required in below.items()
    }
    return order, [Fault(layer=circle.first, what=circle.what, remedy=circle.remedy) for circle in circles(edges)]


def _everyone(shelf: Shelf, layers: Iterable[str]) -> dict[str, list[str]]:
    """All of ``layers`` that a name stands for: what stands after a provided name stands above each that provides it."""
    names: dict[str, list[str]] = {}
    for layer in layers:
        for name in dict.fromkeys(shelf.names(layer)):
            names.setdefault(name, []).append(layer)
    return names


def _depth_first(layers: Iterable[str], below: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Each layer after what is below it. No recursion: a line of layers may be longer than Python's stack is deep."""
    waiting, opened, done = list(reversed(tuple(layers))), set[str](), set[str]()
    while waiting:
        layer = waiting[-1]
        if layer not in opened:
            opened.add(layer)
            waiting += [one for one in reversed(below[layer]) if one not in opened]
        else:
            waiting.pop()
            if layer not in done:
                done.add(layer)
                yield layer


def _conflicts(shelf: Shelf, layers: tuple[str, ...], brought: Mapping[str, str]) -> Iterator[Fault]:
    present = _everyone(shelf, layers)
    told: set[frozenset[str]] = set()
    for layer in layers:
        for number, name in enumerate(shelf.layers[layer].conflicts):
            for other in present.get(name, ()):
                pair = frozenset((layer, other))
                if other != layer and pair not in told:
                    told.add(pair)
                    position = shelf.layers[layer].source.at("conflicts", number)
                    what = f"{_who(layer, brought)} and {_who(other, brought)} are in conflict"
                    yield Fault(layer=layer, what=what, remedy=f"Leave one of them out; {position} says so.")


def _who(layer: str, brought: Mapping[str, str]) -> str:
    return f"{layer} (which {brought[layer]} requires)" if layer in brought else layer


def _unmet(layer: str, name: str, unmet: Unmet, base: str) -> Fault:
    candidates = enumerate_words(unmet.candidates, "and" if not unmet.base else "or")
    if unmet.base:
        what = f"{layer} requires {name}, and the base is {base}"
        return Fault(layer=layer, what=what, remedy=f"Stand on {candidates}, or leave {layer} out.")
    what = f"{layer} requires {name}, which {candidates} provide"
    return Fault(layer=layer, what=what, remedy="List one of them.")
