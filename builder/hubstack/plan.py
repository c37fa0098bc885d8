"""What a build would do, and why: (graph, what is already there) → a step for every node.

The plan asks for the topmost nodes first and walks down only where one is missing: a registry that has every image is
asked once for each of them, however many nodes lie below.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Protocol

from hubstack.fingerprint import Identity, difference
from hubstack.graph import needed
from hubstack.model import Graph, Image, Node
from hubstack.names import Names, joint, node_tag, tested_tag
from hubstack.record import Record
from hubstack.reference import Digest, Fingerprint, ImageRef
from hubstack.value import value_text


class Action(StrEnum):
    BUILD = "build"
    TEST = "test"  # it is built, but these tests have not passed on it
    REUSE = "reuse"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"  # --offline


class Known(Protocol):
    """What is there already: a registry, a local store, or both."""

    def digests(self, tags: Sequence[str]) -> Mapping[str, Digest]:
        """The digest behind each of the build repository's ``tags`` that is there."""
        ...

    def records(self, nodes: Sequence[str]) -> Mapping[str, Record]:
        """The newest record of each node id that has one."""
        ...

    def recorded(self, fingerprints: Iterable[Fingerprint]) -> Mapping[Fingerprint, Record]:
        """The record of each of these builds that has one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    node: Node
    identity: Identity
    tests: str  # the test fingerprint, 32 hex digits
    action: Action
    reason: str
    digest: Digest | None = None  # known when the node is there and somebody needs it
    seconds: float | None = None  # what it took last time
    record: Record | None = None  # of the newest build of a node that is to be built again
    moved: Fingerprint | None = (
        None  # the build of it that may be moved onto what it stands on now, instead of building
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """An earlier build of a node."""

    node: Node
    parents: tuple[Fingerprint, ...]  # sorted


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Steps in build order, parents before children, and the images that the selection publishes."""

    steps: tuple[Step, ...]
    images: tuple[Image, ...]
    former: Mapping[Fingerprint, Former] = field(default_factory=dict)  # builds to be moved, and what these stand on

    @cached_property
    def by_node(self) -> Mapping[str, Step]:
        return {step.node.id: step for step in self.steps}

    def published(self, names: Names, image: Image) -> ImageRef:
        """The immutable name under which ``image`` is offered."""
        return names.published(image.variant.stack, image.variant.name, self._joint[image.variant.id])

    @cached_property
    def _joint(self) -> Mapping[str, Fingerprint]:
        return over_platforms(self.images, lambda node: self.by_node[node].identity.fingerprint)

    def dirty(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.action in (Action.BUILD, Action.TEST))


def over_platforms(images: Iterable[Image], fingerprint: Callable[[str], Fingerprint]) -> Mapping[str, Fingerprint]:
    """STACK/VARIANT → what its immutable name carries: over all platforms, so that none can change under that name."""
    found: dict[str, list[Fingerprint]] = {}
    for image in images:
        found.setdefault(image.variant.id, []).append(fingerprint(image.node))
    return {variant: joint(fingerprints) for variant, fingerprints in found.items()}


def make_plan(
    graph: Graph,
    identities: Mapping[str, Identity],
    tests: Mapping[str, str],
    *,
    targets: Collection[str],
    images: Iterable[Image],
    known: Known | None,
    sources: Mapping[str, Mapping[str, str]],
    blocked: Mapping[str, str] | None = None,
) -> Plan:
    """The plan for ``targets`` and all that they stand on.

    ``known`` is None with ``--offline``. ``sources`` holds for each node the project files behind it, ``blocked`` the
    nodes that can't be built here and why; what stands on them is blocked too.
    """
    if known is None:
        actions, digests = dict.fromkeys(needed(graph, targets), Action.UNKNOWN), dict[str, Digest]()
    else:
        actions, digests = _survey(graph, identities, tests, targets, known)
    why = _block(graph, actions, blocked or {})
    dirty = [node for node, action in actions.items() if action is Action.BUILD]
    records = known.records(dirty) if known is not None else {}
    steps = []
    for node in (graph.nodes[one] for one in needed(graph, targets)):
        record, action = records.get(node.id), actions.get(node.id, Action.REUSE)
        reason = why.get(node.id) or _reason(node, action, record, identities[node.id], sources[node.id])
        if action is Action.REUSE and node.id not in digests:
            reason = "what stands on it is there"
        step = Step(
            node=node,
            identity=identities[node.id],
            tests=tests[node.id],
            action=action,
            reason=reason,
            digest=digests.get(node.id),
            seconds=record.seconds if record else None,
            record=record,
        )
        steps.append(step)
    return Plan(steps=tuple(steps), images=tuple(images))


def _survey(
    graph: Graph, identities: Mapping[str, Identity], tests: Mapping[str, str], targets: Collection[str], known: Known
) -> tuple[dict[str, Action], dict[str, Digest]]:
    """Ask from the top down; what stands below a node that is there is never asked for."""
    actions: dict[str, Action] = {}
    digests: dict[str, Digest] = {}
    frontier = list(dict.fromkeys(targets))
    while frontier:
        tested = {node: tested_tag(identities[node].fingerprint, tests[node]) for node in frontier}
        there = known.digests(list(tested.values()))
        untested = {n: node_tag(identities[n].fingerprint) for n in frontier if tested[n] not in there}
        built = known.digests(list(untested.values())) if untested else {}
        below: dict[str, None] = {}
        for node in frontier:
            if (digest := there.get(tested[node])) is not None:
                actions[node], digests[node] = Action.REUSE, digest
            elif (digest := built.get(untested[node])) is not None:
                actions[node], digests[node] = Action.TEST, digest
            else:
                actions[node] = Action.BUILD
                below.update(dict.fromkeys(graph.nodes[node].inputs))
        frontier = [node for node in below if node not in actions]
    return actions, digests


def _block(graph: Graph, actions: dict[str, Action], blocked: Mapping[str, str]) -> dict[str, str]:
    """Mark what can't be built, and what would stand on it; the reasons of both."""
    reasons: dict[str, str] = {}
    for node in graph.nodes.values():
        if actions.get(node.id) not in (Action.BUILD, Action.UNKNOWN):
            continue
        below = next((one for one in node.inputs if one in reasons), None)
        why = blocked.get(node.id) or (below and f"{below} is blocked")
        if why:
            reasons[node.id] = why
            actions[node.id] = Action.BLOCKED
    return reasons


def _reason(node: Node, action: Action, record: Record | None, identity: Identity, sources: Mapping[str, str]) -> str:
    match action:
        case Action.UNKNOWN:
            return "the registry was not asked"
        case Action.REUSE:
            return "built and tested"
        case Action.TEST:
            return "built, but these tests have not passed on it"
        case _ if record is not None:
            return difference(record.facts, record.sources, identity.facts, sources)
        case _:
            values = ", ".join(f"{name}={value_text(value)}" for name, value in node.values.items())
            return f"never built{f' with {values}' if values else ''}"


def plan_json(plan: Plan, names: Names) -> dict[str, Any]:
    """The plan as design.md shows it; ``format`` changes when a field changes its meaning."""
    return {
        "format": 1,
        "nodes": [
            {
                "id": step.node.id,
                "layer": step.node.label,
                "values": {k: list(v) if isinstance(v, tuple) else v for k, v in step.node.values.items()},
                "platform": step.node.platform,
                "fingerprint": step.identity.fingerprint,
                "parents": list(step.node.parents),
                "action": step.action,
                "reason": step.reason,
                "stacks": list(step.node.stacks),
                **({"rebase": step.moved} if step.moved is not None else {}),
            }
            for step in plan.steps
        ],
        "images": [
            {
                "stack": image.variant.stack,
                "variant": image.variant.name,
                "platform": image.platform,
                "node": image.node,
                "ref": str(plan.published(names, image)),
            }
            for image in plan.images
        ],
    }
