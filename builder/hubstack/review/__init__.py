"""What a change costs and whom it touches: (the project at a commit, the project now, what is known) → a review.

Pure: what is known of built images is given (:mod:`hubstack.review.evidence`). Sizes are compressed bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from hubstack.ci.estimate import Task, Work
from hubstack.errors import Problem
from hubstack.graph import drafts, needed
from hubstack.model import Image
from hubstack.pipeline import Inputs
from hubstack.policy.size import Growth, growths
from hubstack.reference import Digest, Fingerprint
from hubstack.review.evidence import Blobs, Evidence
from hubstack.review.launcher import launcher_changes
from hubstack.rulebook import Policy
from hubstack.schedule import DEFAULT_SECONDS
from hubstack.since import Past, reasons
from hubstack.source import Position


class Kind(StrEnum):
    NEW = "new"
    CHANGED = "changed"
    TESTED = "other tests"  # the image stays, and is tested again
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageChange:
    """``size`` and ``pulls`` are None where nobody knows. ``pulls``: what a machine downloads that has the image before."""

    image: str  # STACK/VARIANT
    platform: str
    kind: Kind
    size: int | None = None
    size_before: int | None = None
    pulls: int | None = None


@dataclass(frozen=True, kw_only=True)
class Review:
    ref: str
    fault: str  # why there is nothing to compare with; empty: there is
    reasons: Mapping[str, str]  # nodes to build, parents first → why
    tests: tuple[str, ...]  # nodes that are only to be tested again
    work: Work
    images: tuple[ImageChange, ...]
    pulls: int | None  # what a machine downloads that has all images before; each blob counts once
    unmeasured: int  # images of which that is not known
    launchers: Sequence[Mapping[str, Any]]
    growths: tuple[Growth, ...]
    unread: str  # why the registry could not be read
    other_policy: bool  # whether the policy, by which it is judged, is part of the change
    problems: tuple[Problem, ...] = ()


def fingerprints(past: Past, now: Inputs) -> set[Fingerprint]:
    """Those of which a review wants to know something, then and now: what has changed, and what it stands on."""
    found: set[Fingerprint] = set()
    for node in needed(now.graph, now.selection.nodes):
        if past.changed(now, node):
            found |= _with_parents(now, node) | (_with_parents(past.inputs, node) if past.inputs else set())
    if past.inputs:
        changed = {(image.variant.id, image.platform) for image in now.selection.images}
        found |= {past.inputs.fingerprint(one.node) for one in _ready(past.inputs) if _key(one) in changed}
    return found


def _with_parents(inputs: Inputs, node: str) -> set[Fingerprint]:
    if node not in inputs.identities:
        return set()
    return {inputs.fingerprint(one) for one in (node, *inputs.graph.nodes[node].parents)}


def make_review(past: Past, now: Inputs, evidence: Evidence) -> Review:
    """``now`` selects what has changed since ``past``."""
    known = {fingerprint for fingerprint, _ in past.states}
    built = [node for node in needed(now.graph, now.selection.nodes) if now.fingerprint(node) not in known]
    tested = [node for node in now.selection.nodes if now.fingerprint(node) in known]
    why = reasons(past, now)
    images = tuple(_image_changes(past, now, evidence))
    return Review(
        ref=past.ref,
        fault=past.fault.message if past.fault else "",
        reasons={node: why.get(node, "") for node in built},
        tests=tuple(tested),
        work=_work(now, built, evidence),
        images=images,
        pulls=_together(past, now, evidence),
        unmeasured=sum(one.pulls is None and one.kind is not Kind.GONE for one in images),
        launchers=launcher_changes(past.inputs, now, past.ref),
        growths=tuple(_growths(past, now, built, evidence)),
        unread=evidence.fault,
        other_policy=past.inputs is not None and _rules(past.inputs) != _rules(now),
    )


def _rules(inputs: Inputs) -> Policy:
    """The policy, wherever its exceptions stand in the file."""
    policy = inputs.project.settings.policy
    here = Position(path="")
    return replace(policy, exceptions=tuple(replace(one, position=here) for one in policy.exceptions))


def _work(now: Inputs, built: Sequence[str], evidence: Evidence) -> Work:
    names = set(built)
    tasks = []
    for node in (now.graph.nodes[one] for one in built):
        inputs = tuple(one for one in dict.fromkeys(node.inputs) if one in names)
        seconds = evidence.seconds.get(node.id, DEFAULT_SECONDS)
        tasks.append(Task(node=node.id, layer=node.label, platform=node.platform, inputs=inputs, seconds=seconds))
    return Work(tasks=tuple(tasks), recorded=sum(node in evidence.seconds for node in built))


# --- images ------------------------------------------------------------------------------------------------------------


def _ready(inputs: Inputs) -> Iterator[Image]:
    withheld = drafts(inputs.project, inputs.graph)
    return (
        image for image in inputs.graph.images if image.variant.id not in withheld and image.node in inputs.identities
    )


def _key(image: Image) -> tuple[str, str]:
    return image.variant.id, image.platform


def _image_changes(past: Past, now: Inputs, evidence: Evidence) -> Iterator[ImageChange]:
    before = {_key(image): past.inputs.fingerprint(image.node) for image in _ready(past.inputs)} if past.inputs else {}
    after = {_key(image): now.fingerprint(image.node) for image in _ready(now)}
    retested = {_key(image) for image in now.selection.images}
    for key, fingerprint in after.items():
        was = before.get(key)
        if was == fingerprint and key not in retested:
            continue
        kind = Kind.NEW if was is None else Kind.TESTED if was == fingerprint else Kind.CHANGED
        blobs, old = evidence.blobs.get(fingerprint), evidence.blobs.get(was) if was else {}
        yield ImageChange(
            image=key[0],
            platform=key[1],
            kind=kind,
            size=_size(blobs),
            size_before=_size(old) if was else None,
            pulls=0 if kind is Kind.TESTED else _new_bytes(blobs, old),
        )
    for key, was in before.items():
        if key not in after:
            old = evidence.blobs.get(was)
            yield ImageChange(image=key[0], platform=key[1], kind=Kind.GONE, size_before=_size(old))


def _size(blobs: Blobs | None) -> int | None:
    return None if blobs is None else sum(blobs.values())


def _new_bytes(now: Blobs | None, before: Blobs | None) -> int | None:
    if now is None or before is None:
        return None
    return sum(size for digest, size in now.items() if digest not in before)


def _together(past: Past, now: Inputs, evidence: Evidence) -> int | None:
    """Of the images that are known; None where none is."""
    before: dict[Digest, int] = {}
    after: dict[Digest, int] = {}
    old = {_key(image): past.inputs.fingerprint(image.node) for image in _ready(past.inputs)} if past.inputs else {}
    measured = 0
    for image in now.selection.images:
        was = old.get(_key(image))
        blobs, previous = evidence.blobs.get(now.fingerprint(image.node)), evidence.blobs.get(was) if was else {}
        if blobs is not None and previous is not None:
            measured += 1
            after |= blobs
            before |= previous
    return _new_bytes(after, before) if measured or not now.selection.images else None


def _growths(past: Past, now: Inputs, built: Iterable[str], evidence: Evidence) -> Iterator[Growth]:
    sizes = _sizes(now, evidence)
    before = _sizes(past.inputs, evidence) if past.inputs else {}
    return growths(now.graph, built, sizes, past.inputs.graph if past.inputs else None, before)


def _sizes(inputs: Inputs, evidence: Evidence) -> dict[str, int]:
    found = ((node, evidence.blobs.get(inputs.fingerprint(node))) for node in inputs.identities)
    return {node: sum(blobs.values()) for node, blobs in found if blobs is not None}
