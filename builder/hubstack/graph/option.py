"""The combinations of a stack's options: which there are, how they are called, and which of them can be.

A combination holds, of an option's layers, exactly those that were chosen. So one in which something requires a layer
that was not chosen is left out, as is one whose layers can't stand together: its label would lie, or there is no image.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import TypeAlias

from hubstack.errors import Problem
from hubstack.graph.chain import Chain, Chains
from hubstack.graph.variant import DEFAULT, Point, Types, expand
from hubstack.model import NOTHING, Option, Stack
from hubstack.source import Position
from hubstack.spelling import enumerate_words

MAX_COMBINATIONS = 64
"""Images of a stack with options, those of its matrix included."""
MAX_WAYS = 1024
"""The same before any is left out: each is looked at, to know whether it can be."""

_Candidate: TypeAlias = tuple[Point, Chain | None]  # None: nothing is known of its base


def find_points(stack: Stack, types: Types, chains: Chains) -> tuple[tuple[Point, ...], tuple[Problem, ...]]:
    """Those of the stack's matrix, once for each combination of its options that can be."""
    points, wrong = expand(stack, types)
    combined, crowded = combine(stack, points)
    found, never = possible(stack, combined, chains)
    if stack.options and len(found) > MAX_COMBINATIONS:
        return (), (*wrong, _too_many(stack, len(points), found=len(found)), *never)
    return found, (*wrong, *crowded, *never)


def combine(stack: Stack, points: Sequence[Point]) -> tuple[tuple[Point, ...], tuple[Problem, ...]]:
    """Each point of the matrix once for each way to choose; the points as they are where the stack has no options.

    What is chosen stands behind the point's own name, in the order of the options, and nothing chosen adds nothing: a
    further layer, or an option at the end that may be left at none, renames no image that is there.
    """
    if not stack.options:
        return tuple(points), ()
    if _count(stack) * len(points) > MAX_WAYS:
        return (), (_too_many(stack, len(points)),)
    ways = list(product(*(option.ways() for option in stack.options)))
    return tuple(_chosen(stack, point, way) for point in points for way in ways), ()


def listed(stack: Stack, point: Point) -> tuple[str, ...]:
    """The stack's layers, then those chosen at ``point``, in the order of the options."""
    return (*stack.layers, *(layer for layers in point.chosen.values() for layer in layers))


def place_of(stack: Stack, layer: str) -> Position:
    """Where the stack's file names one of its own or of its options' layers."""
    if layer in stack.layers:
        return stack.source.at("layers", stack.layers.index(layer))
    return next(position for _, one, position in _entries(stack) if one == layer)


def possible(stack: Stack, points: Sequence[Point], chains: Chains) -> tuple[tuple[Point, ...], tuple[Problem, ...]]:
    """The points whose layers can stand together, and what people could never choose.

    Where the stack's own layers can't at a point of the matrix, one stays, so that its chain tells why.
    """
    if not stack.options or not points:
        return tuple(points), ()
    candidates = [(point, _chain(stack, point, chains)) for point in points]
    kept = [point for point, chain in candidates if chain is None or _obstacle(stack, point, chain) is None]
    there = {point.point for point in kept}
    lost: dict[str, _Candidate] = {}
    for point, chain in candidates:
        if point.point not in there:
            lost.setdefault(point.point, (point, chain))
    bare = {name: replace(point, chosen=dict.fromkeys(point.chosen, ())) for name, (point, _) in lost.items()}
    telling = {name: point for name, point in bare.items() if not _stands_alone(stack, point, chains)}
    if telling and not kept:
        return tuple(telling.values()), ()
    taken = {(name, layer) for point in kept for name, some in point.chosen.items() for layer in some or (NOTHING,)}
    never = [*_never(stack, candidates, taken)]
    if kept:
        never += [_lost(stack, point, chain) for name, (point, chain) in lost.items() if chain and name not in telling]
    return (*kept, *telling.values()), tuple(never)


# --- ways to choose ----------------------------------------------------------------------------------------------------


def _chosen(stack: Stack, point: Point, way: Sequence[tuple[str, ...]]) -> Point:
    chosen = dict(zip((option.name for option in stack.options), way, strict=True))
    parts = [layer for layers in way for layer in sorted(layers)]
    own = [] if parts and point.name == DEFAULT and not point.given else [point.name]
    return replace(point, name="-".join((*own, *parts)), point=point.name, chosen=chosen)


def _entries(stack: Stack) -> Iterator[tuple[Option, str, Position]]:
    """Everything that options list, NOTHING included, with its place."""
    for number, option in enumerate(stack.options):
        kind = "one_of" if option.one_of else "any_of"
        for index, layer in enumerate(option.one_of or option.any_of):
            yield option, layer, stack.source.at("options", number, kind, index)


def _count(stack: Stack) -> int:
    """Ways to choose, at one point of the matrix."""
    return math.prod(option.count for option in stack.options)


def _too_many(stack: Stack, points: int, found: int | None = None) -> Problem:
    """``found`` are those that can be, where that is known."""
    several, count = len(stack.options) > 1, _count(stack)
    product_of = " × ".join(f"{option.count} of {option.name}" for option in stack.options)
    what = f"the options give {count} combinations{f' ({product_of})' if several else ''}"
    what += f", and with the matrix's {points} points {count * points} images" if points > 1 else ""
    what += f", of which {found} can be" if found not in {None, count * points} else ""
    widest = max(stack.options, key=lambda option: option.count)
    cut = "a smaller `at_most`" if widest.any_of else "fewer layers"
    most = (
        f"{MAX_COMBINATIONS} at most"
        if found is not None
        else f"{MAX_COMBINATIONS} at most, of {MAX_WAYS:,} that are looked at"
    )
    remedy = f"A stack has {most}: give {widest.name} {cut}, or make two stacks."
    return Problem(position=stack.source.key("options"), what=what, remedy=remedy)


# --- which of them can be ----------------------------------------------------------------------------------------------


def _chain(stack: Stack, point: Point, chains: Chains) -> Chain | None:
    """None where a name is unknown, which is told elsewhere."""
    names = listed(stack, point)
    if not chains.shelf.is_base(point.base) or any(name not in chains.shelf.layers for name in names):
        return None
    return chains.of(point.base, names)


def _obstacle(stack: Stack, point: Point, chain: Chain) -> tuple[str, str] | None:
    """Why the point can't be: what is wrong, and how to mend it. None: it can."""
    if chain.faults:
        return chain.faults[0].what, chain.faults[0].remedy
    for option in stack.options:
        asked = (*point.chosen[option.name], point.base)  # a base in an option is told elsewhere
        unasked = [one for one in option.layers if one in chain.layers and one not in asked]
        if unasked:
            who = f", as {chain.brought[unasked[0]]} requires it" if unasked[0] in chain.brought else ""
            return f"{unasked[0]} is there all the same{who}", "Take one of them out of the options."
    return None


def _stands_alone(stack: Stack, point: Point, chains: Chains) -> bool:
    """Whether the stack's own layers can stand together there, so that it is the options that can't."""
    bare = _chain(stack, replace(point, chosen={}), chains)
    return bare is not None and not bare.faults


def _lost(stack: Stack, point: Point, chain: Chain) -> Problem:
    """A point of the matrix at which nothing can be chosen."""
    obstacle = _obstacle(stack, point, chain)
    assert obstacle is not None  # else it is kept
    what = f"nothing can be chosen of the options at {point.point}: {obstacle[0]}"
    return Problem(position=point.position, what=what, remedy=f"{obstacle[1]} Or `exclude:` that point of the matrix.")


def _never(
    stack: Stack, candidates: Sequence[_Candidate], taken: Collection[tuple[str, str]] = ()
) -> Iterator[Problem]:
    """What no combination holds, each with what keeps it out of the first that might."""
    for option, layer, position in _entries(stack):
        if (option.name, layer) in taken:
            continue
        wanted = [one for one in candidates if layer in (one[0].chosen[option.name] or (NOTHING,))]
        found = (_obstacle(stack, point, chain) for point, chain in wanted if chain is not None)
        if reason := next(found, None):
            what, remedy = reason
            others = enumerate_words(other.name for other in stack.options if other is not option)
            ways = f"whatever is chosen of {others}" if others else "ever"
            yield Problem(position=position, what=f"{layer} can't be chosen, {ways}: {what}", remedy=remedy)


def label(stack: Stack, chosen: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Position]]:
    """`Language: R` for each option of which something was chosen, with the place that is to blame for it."""
    for number, option in enumerate(stack.options):
        if layers := chosen.get(option.name):
            yield f"{option.title}: {option.title_of(layers)}", stack.source.at("options", number)
