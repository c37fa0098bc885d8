"""Moves onto a newer base of which a plan can say beforehand that they will fail: lock-step packages (perl with perl-base).

What the lock says that the lower nodes will have is put into the list of packages that the old build has, and the relations
between these are looked at. What else a move relies on shows once the new build below is there (:mod:`hubstack.merge.rebase`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from hubstack.merge.built import Built
from hubstack.merge.debian import breaches
from hubstack.merge.mergers import STATUS
from hubstack.merge.mergers.stanza import parse_stanzas, render_stanzas
from hubstack.model import Graph
from hubstack.plan import Plan, Step
from hubstack.reference import Fingerprint


def foresee(plan: Plan, graph: Graph, look: Callable[[Fingerprint], Built | None]) -> Plan:
    """The plan with those to be built, and why. ``look`` finds what is known of an old build without its blobs."""
    return replace(plan, steps=tuple(_foreseen(step, plan, graph, look) for step in plan.steps))


def _foreseen(step: Step, plan: Plan, graph: Graph, look: Callable[[Fingerprint], Built | None]) -> Step:
    if step.moved is None or not (newer := _newer(step, plan, graph)) or (old := look(step.moved)) is None:
        return step
    status = old.index.contents.get(STATUS, b"")
    known = set(breaches(status))  # what a newer package itself will need, only its own stanza will say
    found = [one for one in breaches(_refreshed(status, newer)) if one not in known and one.package not in newer]
    if not found:
        return step
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return replace(step, moved=None, reason=f"{step.reason}; not to be moved: {found[0]}{more}")


def _newer(step: Step, plan: Plan, graph: Graph) -> Mapping[str, str]:
    """Package → version that the lock gives the nodes below."""
    below = [plan.by_node[one] for one in graph.lineage[step.node.id][:-1] if one in plan.by_node]
    return {fact.name: fact.value for lower in below for fact in lower.identity.facts if fact.kind == "deb"}


def _refreshed(status: bytes, newer: Mapping[str, str]) -> bytes:
    stanzas = [dict(stanza) for stanza in parse_stanzas(status)]
    for stanza in stanzas:
        if version := newer.get(stanza.get("Package", "").strip()):
            stanza["Version"] = f" {version}"
    return render_stanzas(stanzas)
