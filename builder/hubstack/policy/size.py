"""Whether layers keep to the size budget; sizes are compressed bytes, as images are pulled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from hubstack.errors import Problem
from hubstack.model import Graph, Project
from hubstack.policy.violation import Day, Violation, settle
from hubstack.rulebook import Rule

Sizes = Mapping[str, int]
"""Node id → its whole image, with what it stands on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What a node adds to the image below it. ``before`` and ``image_before`` are None where there was none, or unknown."""

    node: str
    layer: str
    own: int
    before: int | None = None
    image_before: int | None = None

    @property
    def more(self) -> int | None:
        return None if self.before is None else self.own - self.before


def growths(graph: Graph, nodes: Iterable[str], now: Sizes, old_graph: Graph | None, before: Sizes) -> Iterator[Growth]:
    """Of those ``nodes`` whose size is known, and whose parent's is. A merge adds what it has to."""
    for node in nodes:
        if graph.nodes[node].is_merge or (own := _own(graph, node, now)) is None:
            continue
        there = old_graph is not None and node in old_graph.nodes
        was = _own(old_graph, node, before) if there and old_graph is not None else None
        image_before = before.get(node) if was is not None else None
        layer = graph.nodes[node].layer
        yield Growth(node=node, layer=layer, own=own, before=was, image_before=image_before)


def _own(graph: Graph, node: str, sizes: Sizes) -> int | None:
    whole, parents = sizes.get(node), [sizes.get(one) for one in graph.nodes[node].parents]
    if whole is None or None in parents:
        return None
    return whole - sum(one for one in parents if one is not None)


def check_sizes(project: Project, found: Iterable[Growth], today: Day) -> list[Problem]:
    """At the layer's first line, of a layer's nodes the one that breaks most; and exceptions that have ended."""
    policy = project.settings.policy
    worst: dict[tuple[str, str], tuple[int, Violation]] = {}
    grown = list(found)
    for one in grown:
        for limit, over, what, remedy in _excesses(project, one):
            problem = Problem(position=project.layers[one.layer].source.at(), what=what, remedy=remedy)
            entry = over, Violation(layer=one.layer, rule=Rule.SIZE, problem=problem)
            worst[one.layer, limit] = max(worst.get((one.layer, limit), entry), entry, key=lambda pair: pair[0])
    violations = [violation for _, violation in worst.values()]
    seen = {one.layer for one in grown}  # of the others nobody can say whether they need their exceptions
    return list(settle(policy, violations, (Rule.SIZE,), today, seen))


def _excesses(project: Project, one: Growth) -> Iterator[tuple[str, int, str, str]]:
    """limit, bytes over it, what is wrong, how to mend it"""
    budget, remedy = project.settings.policy.size, "Leave something out, or agree on an exception in hubstack.yaml."
    if budget.layer is not None and one.own > budget.layer:
        what = f"{one.node} adds {shown(one.own)}, and a layer may add {shown(budget.layer)}"
        yield "layer", one.own - budget.layer, what, remedy
    if one.more is None:
        return
    grew = f"{one.node} adds {shown(one.own)}, {shown(one.more)} more than before"
    if budget.growth is not None and one.more > budget.growth:
        yield "growth", one.more - budget.growth, f"{grew}, and it may be {shown(budget.growth)} more", remedy
    if budget.percent is not None and one.image_before and one.more * 100 > budget.percent * one.image_before:
        share = 100 * one.more / one.image_before
        what = f"{grew}: {share:.1f} % of the image as it was, and it may be {budget.percent} %"
        yield "percent", one.more, what, remedy


def shown(size_bytes: int) -> str:
    """As people write budgets."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if abs(size_bytes) >= unit:
            return f"{size_bytes / unit:.1f} {name}".replace(".0 ", " ")
    return f"{size_bytes} B"
