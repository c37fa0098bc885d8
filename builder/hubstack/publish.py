"""What leaves this machine, in the order that promises 1 and 5 need: blobs, manifests, tags, channels.

A failed stack keeps its last good image; the others move on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from hubstack.errors import RegistryError
from hubstack.model import Digest, Fingerprint, Image, ImageRef
from hubstack.names import Names
from hubstack.oci import Layout, Manifest, make_index
from hubstack.plan import Known, Plan
from hubstack.record import MEDIA_TYPE, Record, parse_record, record_json
from hubstack.registry import Registry
from hubstack.schedule import GOOD, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What people can choose now: one (stack, variant), all platforms."""

    stack: str
    variant: str
    ref: ImageRef  # name:tag@digest
    moved: tuple[str, ...]  # the channels that had to be moved


@dataclass(frozen=True, kw_only=True)
class Publisher:
    registry: Registry
    names: Names

    # --- nodes -------------------------------------------------------------------------------------------------------

    def push_node(self, layout: Layout, fingerprint: Fingerprint, on_bytes: Callable[..., None]) -> Digest:
        """Push a built and tested node; the digest that its tag names, which is another run's if that one was first."""
        return self.registry.push_image(layout, self.names.node(fingerprint), adopt=True, progress=on_bytes)

    def mark_tested(self, fingerprint: Fingerprint, tests: str, digest: Digest) -> None:
        self.registry.copy_image(
            self.names.build.with_digest(digest), self.names.tested(fingerprint, tests), adopt=True
        )

    def remember(self, record: Record) -> None:
        for ref in (self.names.record(record.fingerprint), self.names.last(record.node)):
            self.registry.write_record(ref, record_json(record), artifact_type=MEDIA_TYPE)

    # --- images ------------------------------------------------------------------------------------------------------

    def publish(
        self, plan: Plan, outcomes: Mapping[str, Outcome], *, channels: Sequence[str], all_or_nothing: bool
    ) -> tuple[Published, ...]:
        """Give every good image its name, then move the channels.

        A (stack, variant) is good when each of its platforms is. With ``all_or_nothing`` nothing moves unless all are.
        """
        groups = [list(group) for _, group in groupby(plan.images, key=lambda image: image.variant.id)]
        good = [images for images in groups if all(outcomes[image.node].result in GOOD for image in images)]
        if all_or_nothing and len(good) < len(groups):
            return ()
        settled = self._settled(plan, good, outcomes, channels)
        manifests = {
            group[0].variant.id: self._publish(plan, group, outcomes)
            for group in good
            if group[0].variant.id not in settled
        }
        return tuple(
            settled.get(group[0].variant.id) or self._move(plan, group, manifests[group[0].variant.id], channels)
            for group in good
        )

    def _settled(
        self, plan: Plan, groups: Sequence[Sequence[Image]], outcomes: Mapping[str, Outcome], channels: Sequence[str]
    ) -> dict[str, Published]:
        """What is named rightly already: one HEAD a name, in parallel, and nothing else when nothing has changed."""
        wanted = {
            group[0].variant.id: (self._digest(plan, group[0], outcomes), self._all_names(plan, group[0], channels))
            for group in groups
            if len(group) == 1  # an index's digest is known only once it is made
        }
        there = self.registry.heads(ref for _, refs in wanted.values() for ref in refs)
        return {
            group[0].variant.id: self._published(plan, group[0], digest, ())
            for group in groups
            if group[0].variant.id in wanted
            for digest, refs in [wanted[group[0].variant.id]]
            if all(there[ref] == digest for ref in refs)
        }

    def _all_names(self, plan: Plan, image: Image, channels: Sequence[str]) -> list[ImageRef]:
        variant = image.variant
        moving = [self.names.channel(variant.stack, variant.name, channel) for channel in channels]
        return [plan.published(self.names, image), *moving]

    def _publish(self, plan: Plan, images: Sequence[Image], outcomes: Mapping[str, Outcome]) -> Manifest:
        """The image or index behind the immutable name of one (stack, variant)."""
        target = plan.published(self.names, images[0])
        parts = [self._bring(self._digest(plan, image, outcomes), target) for image in images]
        if len(parts) == 1:
            whole = parts[0]
        else:
            whole = make_index(part.descriptor(image.platform) for part, image in zip(parts, images, strict=True))
        self.registry.put_tag_once(target, whole)
        return whole

    def _digest(self, plan: Plan, image: Image, outcomes: Mapping[str, Outcome]) -> Digest:
        digest = outcomes[image.node].digest or plan.by_node[image.node].digest
        assert digest is not None  # the plan asks for every image's node, and a good outcome has one
        return digest

    def _bring(self, digest: Digest, target: ImageRef) -> Manifest:
        """Have a built node's blobs and manifest in the target's repository."""
        source = self.names.build.with_digest(digest)
        manifest = self.registry.manifest(source)
        if manifest is None:
            raise RegistryError(f"{source} was there a moment ago and is gone")
        if source.repository != target.repository:
            self.registry.push_image(manifest, target.with_tag(""), sources=(source,))
        return manifest

    def _move(self, plan: Plan, images: Sequence[Image], whole: Manifest, channels: Sequence[str]) -> Published:
        variant = images[0].variant
        moved = tuple(
            channel
            for channel in channels
            if self.registry.move_tag(self.names.channel(variant.stack, variant.name, channel), whole)
        )
        return self._published(plan, images[0], whole.digest, moved)

    def _published(self, plan: Plan, image: Image, digest: Digest, moved: tuple[str, ...]) -> Published:
        ref = plan.published(self.names, image)
        full = ImageRef(host=ref.host, repository=ref.repository, tag=ref.tag, digest=digest)
        return Published(stack=image.variant.stack, variant=image.variant.name, ref=full, moved=moved)


@dataclass(frozen=True, kw_only=True)
class RemoteKnown:
    """What a registry has: the plan's question, asked in parallel."""

    registry: Registry
    names: Names

    def digests(self, tags: Sequence[str]) -> Mapping[str, Digest]:
        refs = {self.names.build.with_tag(tag): tag for tag in tags}
        return {refs[ref]: digest for ref, digest in self.registry.heads(refs).items() if digest is not None}

    def records(self, nodes: Sequence[str]) -> Mapping[str, Record]:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(8) as pool:
            found = zip(nodes, pool.map(self._record, nodes), strict=True)
            return {node: record for node, record in found if record is not None}

    def _record(self, node: str) -> Record | None:
        content = self.registry.read_record(self.names.last(node), artifact_type=MEDIA_TYPE)
        return parse_record(content) if content is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
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
