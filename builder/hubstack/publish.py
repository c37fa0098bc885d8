"""What leaves this machine, in the order that promises 1 and 5 need: blobs, manifests, tags, channels.

A failed stack keeps its last good image; the others move on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from hubstack.errors import RegistryDenied, RegistryError, RegistryUnreachable, TagTaken
from hubstack.model import Image
from hubstack.names import TESTED, Names
from hubstack.oci import Layout, Manifest, make_index
from hubstack.plan import Action, Known, Plan
from hubstack.record import MEDIA_TYPE, Record, parse_record, record_json
from hubstack.reference import Digest, Fingerprint, ImageRef
from hubstack.registry import Registry
from hubstack.schedule import GOOD, Outcome, Result

if TYPE_CHECKING:
    from hubstack.supply.seal import Seal

K = TypeVar("K", bound=str)
T = TypeVar("T")

_WORTH_A_LIST = 16  # questions


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What people can choose now: one (stack, variant), all platforms."""

    stack: str
    variant: str
    ref: ImageRef  # name:tag@digest
    moved: tuple[str, ...]  # the channels that had to be moved


def whereabouts(plan: Plan) -> dict[str, Outcome]:
    """The outcomes of a run that builds nothing: what isn't there, or isn't tested, has failed."""
    found: dict[str, Outcome] = {}
    for step in plan.steps:
        if step.action is Action.REUSE:
            found[step.node.id] = Outcome(node=step.node.id, result=Result.REUSED, digest=step.digest)
            continue
        below = next((one for one in step.node.inputs if found[one].result not in GOOD), None)
        if step.action is Action.BUILD and below is not None:
            result, why = Result.SKIPPED, f"{below} isn't built"
        else:
            result, why = Result.FAILED, _ABSENT.get(step.action, step.reason)
        found[step.node.id] = Outcome(node=step.node.id, result=result, message=why)
    return found


_ABSENT = {Action.BUILD: "it isn't built", Action.TEST: "it is built, but its tests have not passed"}


@dataclass(frozen=True, kw_only=True)
class Publisher:
    registry: Registry
    names: Names
    seal: Seal | None = None  # signs nodes before they get their tag, and images before they get their name
    _pushed: dict[Digest, Manifest] = field(default_factory=dict)  # by this run: need not be fetched

    # --- nodes -------------------------------------------------------------------------------------------------------

    def push_node(
        self, layout: Layout, fingerprint: Fingerprint, on_bytes: Callable[..., None], *, exact: bool = False
    ) -> Digest:
        """Push a built and tested node; the digest that its tag names, which is another run's if that one was first.

        ``exact``: whoever makes it makes the same bytes, and nobody has to wait to see whose are there.
        """
        ref, mine = self.names.node(fingerprint), layout.manifest.digest
        if self.seal is not None and self.registry.head(ref) in {None, mine}:
            self.registry.push_image(layout, ref.with_tag(""), progress=on_bytes)
            self.seal.node(fingerprint, mine)
        found = self.registry.push_image(layout, ref, adopt=True, progress=on_bytes)
        if not exact:
            found = self.registry.settled(ref)
        if found == mine:
            self._pushed[found] = layout.manifest
        elif self.seal is not None:
            self.seal.check_node(fingerprint, found)
        return found

    def push_nameless(self, layout: Layout) -> ImageRef:
        """Push an image by its digest alone, for an engine to fetch it."""
        ref = self.names.build.with_digest(layout.manifest.digest)
        self.registry.push_image(layout, ref)
        return ref

    def mark_tested(self, fingerprint: Fingerprint, tests: str, digest: Digest) -> None:
        self.registry.put_tag_once(self.names.tested(fingerprint, tests), self.built(digest))

    def remember(self, record: Record) -> None:
        """Store what is in a node's image beside it: as the node's newest, and then once for good."""
        last, before = self.names.last(record.node), ""
        with suppress(RegistryError):  # somebody's own tag, or something broken: the next lines write it anew
            before = self._previous(record, last)
        value = record_json(replace(record, previous=before))
        with suppress(RegistryError):  # where tags never move there is no newest one; what is final shows below
            self.registry.write_record(last, value, artifact_type=MEDIA_TYPE)
        self.registry.write_record(self.names.record(record.fingerprint), value, artifact_type=MEDIA_TYPE, once=True)

    def _previous(self, record: Record, last: ImageRef) -> str:
        """What the node's newest record is about; of an image whose own that is already, what it says."""
        if not record.packages:
            return ""  # nobody compares what nobody can choose
        before = parse_record(self.registry.read_record(last, artifact_type=MEDIA_TYPE))
        if before is None:
            return ""
        return before.previous if before.fingerprint == record.fingerprint else before.fingerprint

    def remembers(self, fingerprint: Fingerprint) -> bool:
        return self.registry.head(self.names.record(fingerprint)) is not None

    # --- images ------------------------------------------------------------------------------------------------------

    def publish(
        self, plan: Plan, outcomes: Mapping[str, Outcome], *, channels: Sequence[str], all_or_nothing: bool
    ) -> tuple[Published, ...]:
        """Give every good image its name, then move the channels.

        A (stack, variant) is good when each of its platforms is. With ``all_or_nothing`` nothing moves unless all are.

        Raises TagTaken where a name is taken, once everything else is published, and any other RegistryError at once.
        """
        groups = [list(group) for _, group in groupby(plan.images, key=lambda image: image.variant.id)]
        good = [images for images in groups if all(outcomes[image.node].result in GOOD for image in images)]
        if all_or_nothing and len(good) < len(groups):
            return ()
        choices = [self._choice(plan, images, outcomes, channels) for images in good]
        if self.seal is not None:
            from hubstack.supply.seal import at_once

            at_once(self._sign, choices)
        settled = self._settled(choices)
        manifests: dict[ImageRef, Manifest] = {}
        taken: list[TagTaken] = []
        for choice in choices:
            if choice.name not in settled:
                try:
                    manifests[choice.name] = self._give_name(choice)
                except TagTaken as error:
                    taken.append(error)
        if taken and all_or_nothing:
            raise taken[0]
        moved = {name: self._move(choice, manifests[name]) for choice in choices if (name := choice.name) in manifests}
        if taken:
            raise taken[0]
        return tuple(settled.get(choice.name) or moved[choice.name] for choice in choices)

    def _choice(
        self, plan: Plan, images: Sequence[Image], outcomes: Mapping[str, Outcome], channels: Sequence[str]
    ) -> _Choice:
        variant = images[0].variant
        digests: dict[str, Digest] = {}
        for image in images:
            digest = outcomes[image.node].digest
            assert digest is not None  # the plan asks for every image's node, and a good outcome has one
            digests[image.platform] = digest
        return _Choice(
            stack=variant.stack,
            variant=variant.name,
            name=plan.published(self.names, images[0]),
            channels={channel: self.names.channel(variant.stack, variant.name, channel) for channel in channels},
            digests=digests,
            images=images,
        )

    def _settled(self, choices: Sequence[_Choice]) -> dict[ImageRef, Published]:
        """What is named rightly already: one HEAD a name, in parallel, and nothing else when nothing has changed."""
        single = [choice for choice in choices if len(choice.digests) == 1]  # an index's digest shows once it is made
        there = self.registry.heads(ref for choice in single for ref in choice.refs)
        return {
            choice.name: choice.published(digest)
            for choice in single
            for digest in choice.digests.values()
            if all(there[ref] == digest for ref in choice.refs)
        }

    def _give_name(self, choice: _Choice) -> Manifest:
        """The image or index behind the immutable name of one (stack, variant)."""
        whole = self._whole(choice)
        self.registry.put_tag_once(choice.name, whole)
        return whole

    def _whole(self, choice: _Choice) -> Manifest:
        parts = {platform: self._bring(digest, choice.name) for platform, digest in choice.digests.items()}
        if len(parts) == 1:
            return next(iter(parts.values()))
        return make_index(part.descriptor(platform) for platform, part in parts.items())

    def _sign(self, choice: _Choice) -> None:
        """Before it has a name. What has one may be from before signing was on."""
        assert self.seal is not None
        digest = self.registry.push_image(self._whole(choice), choice.name.with_tag(""))
        self.seal.image(choice.name.with_digest(digest), {choice.digests[one.platform]: one for one in choice.images})

    def _bring(self, digest: Digest, target: ImageRef) -> Manifest:
        """Have a built node's blobs and manifest in the target's repository."""
        manifest = self.built(digest)
        if target.repository != self.names.build.repository:
            self.registry.push_image(manifest, target.with_tag(""), sources=(self.names.build,))
        return manifest

    def built(self, digest: Digest) -> Manifest:
        if digest in self._pushed:
            return self._pushed[digest]
        ref = self.names.build.with_digest(digest)
        manifest = self.registry.manifest(ref)
        if manifest is None:
            raise RegistryError(f"{ref} was there a moment ago and is gone")
        return manifest

    def _move(self, choice: _Choice, whole: Manifest) -> Published:
        moved = [name for name, ref in choice.channels.items() if self.registry.move_tag(ref, whole)]
        return choice.published(whole.digest, moved)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """What is to be published for one (stack, variant): its names, and the built image of each platform."""

    stack: str
    variant: str
    name: ImageRef
    channels: Mapping[str, ImageRef]
    digests: Mapping[str, Digest]
    images: Sequence[Image]

    @property
    def refs(self) -> tuple[ImageRef, ...]:
        return (self.name, *self.channels.values())

    def published(self, digest: Digest, moved: Sequence[str] = ()) -> Published:
        ref = replace(self.name, digest=digest)
        return Published(stack=self.stack, variant=self.variant, ref=ref, moved=tuple(moved))


@dataclass(frozen=True, kw_only=True)
class Remote:
    """What a registry has: the plan's question, asked in parallel."""

    registry: Registry
    names: Names

    def digests(self, tags: Sequence[str]) -> Mapping[str, Digest]:
        refs = {self.names.build.with_tag(tag): tag for tag in self._listed(tags)}
        return {refs[ref]: digest for ref, digest in self.registry.heads(refs).items() if digest is not None}

    def records(self, nodes: Sequence[str]) -> Mapping[str, Record]:
        from concurrent.futures import ThreadPoolExecutor

        there = set(self._listed([self.names.last(node).tag for node in nodes]))
        listed = [node for node in nodes if self.names.last(node).tag in there]
        with ThreadPoolExecutor(8) as pool:
            found = zip(listed, pool.map(lambda node: self._read(self.names.last(node)), listed), strict=True)
            return {node: record for node, record in found if record is not None}

    def recorded(self, fingerprints: Iterable[Fingerprint]) -> Mapping[Fingerprint, Record]:
        """What is remembered of images, whichever is a node's newest; those without a record are left out."""
        from concurrent.futures import ThreadPoolExecutor

        wanted = list(dict.fromkeys(fingerprints))
        with ThreadPoolExecutor(8) as pool:
            found = zip(wanted, pool.map(lambda one: self._read(self.names.record(one)), wanted), strict=True)
            return {fingerprint: record for fingerprint, record in found if record is not None}

    def _listed(self, tags: Sequence[str]) -> Sequence[str]:
        """Those that may be there: one question for a list instead of one for each.

        What says that nothing is to be done is always asked for itself, for a registry's list may lag behind.
        """
        if len(tags) < _WORTH_A_LIST or tags[0].startswith(TESTED):
            return tags
        there = self.registry.tags_within(self.names.build, pages=1 + len(tags) // 100)
        return tags if there is None else [tag for tag in tags if tag in there]

    def _read(self, ref: ImageRef) -> Record | None:
        content = self.registry.read_record(ref, artifact_type=MEDIA_TYPE)
        return parse_record(content) if content is not None else None


@dataclass(kw_only=True)
class IfReadable:
    """A place that one can do without: where it can't be read it has nothing, is not asked again, and ``on_fault`` is told.

    Who builds for this machine alone needs no registry; who publishes does, and asks it without this.
    """

    place: Known
    on_fault: Callable[[RegistryError], None]
    _readable: bool = True

    def digests(self, tags: Sequence[str]) -> Mapping[str, Digest]:
        return self._asked(lambda: self.place.digests(tags))

    def records(self, nodes: Sequence[str]) -> Mapping[str, Record]:
        return self._asked(lambda: self.place.records(nodes))

    def recorded(self, fingerprints: Iterable[Fingerprint]) -> Mapping[Fingerprint, Record]:
        return self._asked(lambda: self.place.recorded(fingerprints))

    def _asked(self, ask: Callable[[], Mapping[K, T]]) -> Mapping[K, T]:
        try:
            return ask() if self._readable else {}
        except (RegistryDenied, RegistryUnreachable) as fault:
            self._readable = False
            self.on_fault(fault)
            return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstOf:
    """Several places at once; the first that has a thing answers for it."""

    places: Sequence[Known]

    def digests(self, tags: Sequence[str]) -> Mapping[str, Digest]:
        found: dict[str, Digest] = {}
        for place in self.places:
            found |= place.digests([tag for tag in tags if tag not in found])
        return found

    def records(self, nodes: Sequence[str]) -> Mapping[str, Record]:
        found: dict[str, Record] = {}
        for place in self.places:
            found |= place.records([node for node in nodes if node not in found])
        return found

    def recorded(self, fingerprints: Iterable[Fingerprint]) -> Mapping[Fingerprint, Record]:
        found: dict[Fingerprint, Record] = {}
        wanted = list(fingerprints)
        for place in self.places:
            found |= place.recorded([one for one in wanted if one not in found])
        return found
