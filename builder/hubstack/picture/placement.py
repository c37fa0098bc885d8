"""Where the boxes of a diagram stand: columns from left to right, with few crossings and short, straight lines.

The steps are those of Sugiyama, Tagawa and Toda (IEEE Trans. SMC 11(2), 1981): columns, an order inside each column by
barycentres, then heights. A line over several columns passes a *bend* in each column between. Nothing here is random, so
that the same graph gives the same picture.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

Size: TypeAlias = tuple[float, float]
Place: TypeAlias = tuple[float, float]
Edge: TypeAlias = tuple[str, str]

_SWEEPS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Rectangle:
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Boxes, each as wide as its column, and for each edge the points that its line passes, from box to box.

    A line is level between its second and its third point, its fourth and its fifth, and so on: there it passes a column.
    """

    boxes: Mapping[str, Rectangle]
    lines: Mapping[Edge, tuple[Place, ...]]
    size: Size


@dataclass(frozen=True, kw_only=True)
class Gaps:
    column: float  # between the boxes of two columns
    box: float  # between two boxes of one column
    line: float  # between a line and what is next to it


def place(sizes: Mapping[str, Size], edges: Sequence[Edge], last: Iterable[str], gaps: Gaps) -> Placement:
    """``sizes``, in an order in which no edge goes back, are what the boxes need. ``last`` make the last column."""
    graph = _Layered.of(_columns(list(sizes), edges, set(last)), edges)
    _untangle(graph)
    y = _heights(graph, sizes, gaps)
    top = min((y[item] - _half(item, sizes) for item in y), default=0.0)
    bottom = max((y[item] + _half(item, sizes) for item in y), default=0.0)
    spans = _spans(graph, sizes, gaps)

    def rectangle(box: str) -> Rectangle:
        left, right = spans[graph.column[box]]
        return Rectangle(left=left, top=y[box] - _half(box, sizes) - top, width=right - left, height=sizes[box][1])

    def points(line: Sequence[str]) -> tuple[Place, ...]:
        sides = [(x, y[item] - top) for item in line for x in spans[graph.column[item]]]
        return tuple(sides[1:-1])

    return Placement(
        boxes={box: rectangle(box) for box in sizes},
        lines={edge: points(line) for edge, line in graph.lines.items()},
        size=(spans[-1][1] if spans else 0.0, bottom - top),
    )


def _columns(boxes: Sequence[str], edges: Sequence[Edge], last: set[str]) -> dict[str, int]:
    """As far left as the edges allow; then what more lines leave than reach moves right, where that shortens them."""
    column = dict.fromkeys(boxes, 0)
    above: dict[str, list[str]] = {box: [] for box in boxes}
    below: dict[str, list[str]] = {box: [] for box in boxes}
    for start, end in edges:
        above[start].append(end)
        below[end].append(start)
    for box in boxes:
        column[box] = max((column[one] + 1 for one in below[box]), default=0)
    rightmost = max(column.values(), default=0)
    column |= dict.fromkeys(
        last, max(rightmost, 1 + max((column[box] for box in boxes if box not in last), default=-1))
    )
    for box in reversed(boxes):
        if box not in last and below[box] and len(above[box]) > len(below[box]):
            column[box] = min(column[one] for one in above[box]) - 1
    return column


@dataclass(kw_only=True)
class _Layered:
    """Boxes and bends by column. Between neighbouring columns run pieces of lines, and nowhere else."""

    column: dict[str, int]
    order: list[list[str]]
    lines: dict[Edge, list[str]]
    left: dict[str, list[str]]
    right: dict[str, list[str]]

    @classmethod
    def of(cls, columns: Mapping[str, int], edges: Sequence[Edge]) -> _Layered:
        column, lines = dict(columns), dict[Edge, list[str]]()
        for start, end in edges:
            bends = [f"{start}\n{end}\n{number}" for number in range(columns[start] + 1, columns[end])]
            column |= {bend: columns[start] + 1 + number for number, bend in enumerate(bends)}
            lines[start, end] = [start, *bends, end]
        order: list[list[str]] = [[] for _ in range(max(column.values(), default=-1) + 1)]
        left: dict[str, list[str]] = {item: [] for item in column}
        right: dict[str, list[str]] = {item: [] for item in column}
        for item, number in column.items():
            order[number].append(item)
        for line in lines.values():
            for one, other in pairwise(line):
                right[one].append(other)
                left[other].append(one)
        return cls(column=column, order=order, lines=lines, left=left, right=right)

    def bend(self, item: str) -> bool:
        return "\n" in item


def _untangle(graph: _Layered) -> None:
    best, fewest = [list(column) for column in graph.order], _crossings(graph)
    for sweep in range(_SWEEPS):
        neighbours, columns = (graph.left, graph.order) if sweep % 2 == 0 else (graph.right, graph.order[::-1])
        for fixed, column in pairwise(columns):
            rank = {item: number for number, item in enumerate(fixed)}
            own = {item: number for number, item in enumerate(column)}
            column.sort(key=lambda item: (_mean([rank[one] for one in neighbours[item]], own[item]), own[item]))
        _exchange(graph)
        if (crossings := _crossings(graph)) < fewest:
            best, fewest = [list(column) for column in graph.order], crossings
    graph.order[:] = best


def _exchange(graph: _Layered) -> None:
    """Swaps neighbours of a column while that takes crossings away; barycentres alone leave some."""
    for number, column in enumerate(graph.order):
        sides = [
            (neighbours, {item: place for place, item in enumerate(graph.order[other])})
            for neighbours, other in ((graph.left, number - 1), (graph.right, number + 1))
            if 0 <= other < len(graph.order)
        ]
        better = True
        while better:
            better = False
            for place, (upper, lower) in enumerate(pairwise(list(column))):
                if column[place] is not upper:
                    continue
                gain = sum(
                    _pair(side[upper], side[lower], rank) - _pair(side[lower], side[upper], rank)
                    for side, rank in sides
                )
                if gain > 0:
                    column[place], column[place + 1] = lower, upper
                    better = True


def _pair(upper: Sequence[str], lower: Sequence[str], rank: Mapping[str, int]) -> int:
    return sum(rank[one] > rank[other] for one in upper for other in lower)


def _crossings(graph: _Layered) -> int:
    count = 0
    for column, following in pairwise(graph.order):
        rank = {item: number for number, item in enumerate(following)}
        seen: list[int] = []
        for end in (end for item in column for end in sorted(rank[other] for other in graph.right[item])):
            count += len(seen) - bisect_right(seen, end)
            insort(seen, end)
    return count


def _mean(numbers: Sequence[float], otherwise: float) -> float:
    return sum(numbers) / len(numbers) if numbers else otherwise


def _heights(graph: _Layered, sizes: Mapping[str, Size], gaps: Gaps) -> dict[str, float]:
    """Each item as near as its neighbours' mean as the order and the gaps in its column allow."""
    distance = {
        (one, other): _half(one, sizes)
        + _half(other, sizes)
        + (gaps.line if graph.bend(one) or graph.bend(other) else gaps.box)
        for column in graph.order
        for one, other in pairwise(column)
    }
    heights: dict[str, float] = {}
    for column in graph.order:
        height = 0.0
        for number, item in enumerate(column):
            height += distance[column[number - 1], item] if number else 0.0
            heights[item] = height
    for sweep in range(_SWEEPS):
        for column in graph.order if sweep % 2 == 0 else graph.order[::-1]:
            wanted, weights = [], []
            for item in column:
                near = graph.left[item] + graph.right[item]
                bends = [one for one in near if graph.bend(item) and graph.bend(one)]
                near += bends * 3  # a line over several columns looks best where it is straight
                wanted.append(_mean([heights[one] for one in near], heights[item]))
                weights.append(float(max(len(near), 1)))
            heights |= _separated(column, wanted, weights, distance)
    return heights


def _half(item: str, sizes: Mapping[str, Size]) -> float:
    return sizes[item][1] / 2 if item in sizes else 0.0


def _separated(
    column: Sequence[str], wanted: Sequence[float], weights: Sequence[float], distance: Mapping[Edge, float]
) -> dict[str, float]:
    """The heights nearest to ``wanted`` (least squares) that keep the distances: pools of adjacent violators."""
    offsets = [0.0]
    for pair in pairwise(column):
        offsets.append(offsets[-1] + distance[pair])
    pools: list[tuple[float, float, int]] = []  # of neighbours that touch: mean, weight, length
    for goal, weight, offset in zip(wanted, weights, offsets, strict=False):
        pool = (goal - offset, weight, 1)
        while pools and pools[-1][0] > pool[0]:
            before = pools.pop()
            together = before[1] + pool[1]
            pool = ((before[0] * before[1] + pool[0] * pool[1]) / together, together, before[2] + pool[2])
        pools.append(pool)
    means = [mean for mean, _, length in pools for _ in range(length)]
    return {item: mean + offset for item, mean, offset in zip(column, means, offsets, strict=False)}


def _spans(graph: _Layered, sizes: Mapping[str, Size], gaps: Gaps) -> list[tuple[float, float]]:
    """Where each column begins and ends."""
    spans, left = [], 0.0
    for column in graph.order:
        right = left + max((sizes[item][0] for item in column if item in sizes), default=0.0)
        spans.append((left, right))
        left = right + gaps.column
    return spans
