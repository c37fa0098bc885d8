"""Which image each choice names now: asked of the registry just before a ConfigMap is written, as the hub would ask.

Promise 1 is kept here: what has no digest behind its channel, or can't be read with the hub's own credentials, is
never offered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from hubstack.errors import Problem, ProjectError, RegistryDenied, RegistryError
from hubstack.hub.choice import built
from hubstack.hub.menu import Offer
from hubstack.hub.profiles import Images
from hubstack.names import FINGERPRINT_LABEL, Names, joint
from hubstack.oci import CONFIG_LIMIT_BYTES, ImageConfig
from hubstack.offer import Hub
from hubstack.reference import Digest, Fingerprint, ImageRef
from hubstack.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Pull:
    """A hub's view of registries. ``client`` gives one for a host, with the hub's credentials or none."""

    names: Names
    client: Callable[[str], Registry]

    def images(self, hub: Hub, offers: Sequence[Offer], expected: Images) -> Images:
        """(stack, variant) → ``name:tag@digest`` for every offer that is built here.

        ``expected`` are the names that the tree as it stands would publish; where a channel still names an older
        image (its stack failed since), that image's own immutable name is found.

        Raises ProjectError with every choice that the hub could not pull, and RegistryError.
        """
        registry = self.client(self.names.prefix.host)
        stacks = built(offers)
        channels = {offer.id: self.names.channel(offer.stack, offer.variant, hub.follow) for offer in stacks}
        there = self._heads(hub, [*channels.values(), *(expected[one.stack, one.variant] for one in stacks)])
        problems = [*self._missing(hub, stacks, channels, there), *self._missing_external(hub, offers)]
        if problems:
            raise ProjectError(problems)
        found: dict[tuple[str, str], ImageRef] = {}
        for offer in stacks:
            digest, name = there[channels[offer.id]], expected[offer.stack, offer.variant]
            assert digest is not None  # _missing has seen to it
            if there[name] != digest:
                name = self._own_name(registry, offer, channels[offer.id].with_digest(digest))
            found[offer.stack, offer.variant] = replace(name, digest=digest)
        return self._not_withdrawn(hub, offers, found)

    def fixed(self, hub: Hub, offers: Sequence[Offer], images: Images) -> Images:
        """``images`` as they are, for every offer that is built here: what a promotion gave.

        Raises ProjectError with every choice that the hub could not pull, and RegistryError.
        """
        there = self._named(hub, [images[one.stack, one.variant] for one in built(offers)])
        problems = [*self._missing_fixed(hub, offers, images, there), *self._missing_external(hub, offers)]
        if problems:
            raise ProjectError(problems)
        return self._not_withdrawn(hub, offers, images)

    def usable(self, hub: Hub, refs: Iterable[ImageRef]) -> frozenset[ImageRef]:
        """Those of some published images that are still there under their names, and not withdrawn."""
        withdrawn = {one.digest for one in hub.withdrawn}
        return self._named(hub, [ref for ref in refs if ref.digest not in withdrawn])

    def _named(self, hub: Hub, refs: Iterable[ImageRef]) -> frozenset[ImageRef]:
        """Those whose tag is there and names their digest: so only what ``publish`` has named, which is tested."""
        tags = {ref: ref.with_tag(ref.tag) for ref in refs}
        there = self._heads(hub, tags.values())
        return frozenset(ref for ref, tag in tags.items() if there[tag] == ref.digest)

    def _heads(self, hub: Hub, refs: Iterable[ImageRef]) -> dict[ImageRef, Digest | None]:
        try:
            return self.client(self.names.prefix.host).heads(refs)
        except RegistryDenied as error:
            raise RegistryDenied(
                f"{hub.name} could not pull: {error.message}",
                hint="Let everybody read it, or give the hub's own credentials with --pull-config.",
                code=error.code,
            ) from None

    def _not_withdrawn(self, hub: Hub, offers: Sequence[Offer], images: Images) -> Images:
        withdrawn = {one.digest: one for one in hub.withdrawn}
        problems = []
        for offer in built(offers):
            ref = images[offer.stack, offer.variant]
            if ref.digest in withdrawn:
                entry = withdrawn[ref.digest]
                problems.append(
                    Problem(
                        position=offer.position,
                        what=f"{offer.id} is {ref} now, which is withdrawn ({entry.position}: {entry.reason})",
                        remedy="Publish a newer one (`hubstack update`, `hubstack build --push "
                        f"{offer.id}`), or remove it here and retire its key.",
                    )
                )
        if problems:
            raise ProjectError(problems)
        return images

    def _missing_fixed(
        self, hub: Hub, offers: Sequence[Offer], images: Images, there: frozenset[ImageRef]
    ) -> Iterator[Problem]:
        for offer in built(offers):
            if (ref := images[offer.stack, offer.variant]) not in there:
                yield Problem(
                    position=offer.position,
                    what=f"{offer.id} can't be pulled as {hub.name} would: {ref} is not there",
                    remedy=f"Promote what is there: `hubstack profiles --promote {hub.promoted_from or 'HUB'} {hub.name}`.",
                )

    def _missing(
        self, hub: Hub, offers: Sequence[Offer], channels: dict[str, ImageRef], there: dict[ImageRef, Digest | None]
    ) -> Iterator[Problem]:
        for offer in offers:
            if there[channels[offer.id]] is None:
                yield Problem(
                    position=offer.position,
                    what=f"{offer.id} can't be pulled as {hub.name} would: {channels[offer.id]} is not there",
                    remedy=f"Publish it (`hubstack build --push {offer.id}`), or make its repository readable.",
                )

    def _missing_external(self, hub: Hub, offers: Sequence[Offer]) -> Iterator[Problem]:
        for offer in offers:
            if offer.external is not None and self.client(offer.external.host).head(offer.external) is None:
                yield Problem(
                    position=offer.position,
                    what=f"{offer.external} can't be pulled as {hub.name} would: it is not there",
                    remedy="Correct its digest, or remove the entry.",
                )

    def _own_name(self, registry: Registry, offer: Offer, ref: ImageRef) -> ImageRef:
        """The immutable name of the older image that a channel names: its config's label holds the fingerprint."""
        found = fingerprints_of(registry, ref)
        name = self.names.published(offer.stack, offer.variant, joint(found)) if found else None
        if name is None or registry.head(name) != ref.digest:
            raise RegistryError(
                f"{ref} has no immutable name",
                hint=f"Somebody else has moved that channel. `hubstack build --push {offer.id}` puts it right.",
            )
        return name


def fingerprints_of(registry: Registry, ref: ImageRef) -> tuple[Fingerprint, ...]:
    """What the labels in the configs of an image's platforms say; nothing where it is none of ours."""
    manifest = registry.manifest(ref)
    if manifest is None:
        return ()
    if manifest.is_index:
        parts = [fingerprints_of(registry, ref.with_digest(part.digest)) for part in manifest.manifests]
        return tuple(one for part in parts for one in part) if all(parts) else ()
    if manifest.config is None:
        return ()
    content = registry.blob(ref, manifest.config.digest, limit_bytes=CONFIG_LIMIT_BYTES)
    try:
        return (Fingerprint(ImageConfig.parse(content).labels.get(FINGERPRINT_LABEL, "")),)
    except ValueError:
        return ()
