"""Which nodes that are to be built might be moved onto what they stand on instead (:mod:`hubstack.merge.rebase`).

Those of which nothing changes but what they stand on, and of that only what a refresh changes: the same files ask for the
same packages, and newer ones came. After any other change below, nobody can know what a build would make of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from hubstack.fingerprint import Identity, fingerprint_of
from hubstack.plan import Action, Former, Plan, Step
from hubstack.record import Fact, Record
from hubstack.reference import Fingerprint

REFRESH = frozenset({"deb", "epoch", "image", "pin"})  # kinds of facts that `hubstack update` changes


Recorded: TypeAlias = Callable[[Iterable[Fingerprint]], Mapping[Fingerprint, Record]]
"""Looks up the records of builds."""


def with_rebases(
    plan: Plan,
    identities: Mapping[str, Identity],
    sources: Mapping[str, Mapping[str, str]],
    recorded: Recorded,
    nodes: Collection[str],
) -> Plan:
    """The plan with those builds of ``nodes`` that may be moved. ``sources`` are the project's files behind each node."""
    past = _Past(identities, sources, recorded)
    moved = {step.node.id: _moved(step, past) for step in plan.steps if step.node.id in nodes}
    steps = tuple(replace(step, moved=moved.get(step.node.id)) for step in plan.steps)
    records = {step.node.id: step.record for step in steps if step.moved is not None and step.record is not None}
    return replace(plan, steps=steps, former=_former(plan, records, past))


def _former(plan: Plan, records: Mapping[str, Record], past: _Past) -> Mapping[Fingerprint, Former]:
    """These builds, and what they stand on, but for what is as it was."""
    found: dict[Fingerprint, Former] = {}
    waiting = [*records.items()]
    while waiting:
        node, record = waiting.pop()
        parents = _parents(record.facts)
        found[record.fingerprint] = Former(node=plan.by_node[node].node, parents=tuple(sorted(parents.values())))
        for parent, fingerprint in parents.items():
            if fingerprint not in found and (below := past.before(parent, fingerprint)) is not None:
                waiting.append((parent, below))
    return found


def _moved(step: Step, past: _Past) -> Fingerprint | None:
    node, record = step.node, step.record
    if step.action is not Action.BUILD or record is None or len(node.parents) != 1:
        return None
    movable = past.is_sound(record) and not past.own(node.id, record) and past.only_refreshed(node.id, record)
    return record.fingerprint if movable else None


@dataclass
class _Past:
    identities: Mapping[str, Identity]
    sources: Mapping[str, Mapping[str, str]]
    recorded: Recorded
    _records: dict[Fingerprint, Record | None] = field(default_factory=dict)
    _refreshed: dict[tuple[str, Fingerprint], bool] = field(default_factory=dict)

    def is_sound(self, record: Record) -> bool:
        """Whether it is consistent: its facts are those of the build that it is about."""
        return fingerprint_of(record.facts) == record.fingerprint

    def own(self, node: str, record: Record) -> set[str]:
        """The kinds of facts, but for parents, in which a node is another than it was."""
        was, now = (set(facts) for facts in (record.facts, self.identities[node].facts))
        kinds = {fact.kind for fact in was ^ now} - {"parent"}
        if "image" in kinds and record.sources == self.sources[node]:
            kinds -= {"docker"}  # the Dockerfile names the image by its digest
        same = _parents(record.facts).keys() == _parents(self.identities[node].facts).keys()
        return kinds if same else kinds | {"parent"}

    def only_refreshed(self, node: str, record: Record) -> bool:
        """Whether of what it stands on only refreshes are other than they were."""
        now = _parents(self.identities[node].facts)
        return all(
            fingerprint == now[parent] or self._is_refreshed(parent, fingerprint)
            for parent, fingerprint in _parents(record.facts).items()
        )

    def before(self, node: str, fingerprint: Fingerprint) -> Record | None:
        """The record of a build that a node has been; None if it is that still."""
        return None if fingerprint == self.identities[node].fingerprint else self._record(fingerprint)

    def _is_refreshed(self, node: str, old: Fingerprint) -> bool:
        key = node, old
        if key not in self._refreshed:
            record = self._record(old)
            self._refreshed[key] = (
                record is not None
                and self.is_sound(record)
                and node in self.identities
                and self.own(node, record) <= REFRESH
                and self.only_refreshed(node, record)
            )
        return self._refreshed[key]

    def _record(self, fingerprint: Fingerprint) -> Record | None:
        if fingerprint not in self._records:
            self._records[fingerprint] = self.recorded([fingerprint]).get(fingerprint)
        return self._records[fingerprint]


def _parents(facts: Iterable[Fact]) -> dict[str, Fingerprint]:
    return {fact.name: Fingerprint(fact.value) for fact in facts if fact.kind == "parent"}
