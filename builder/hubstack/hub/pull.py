"""Which image each choice names now: asked of the registry just before a ConfigMap is written, as the hub would ask.

Promise 1 is kept here: what has no digest behind its channel, or can't be read with the hub's own credentials, is
never offered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from hubstack.errors import Problem, ProjectError, RegistryDenied, RegistryError
from hubstack.hub.choice import Offer
from hubstack.hub.profiles import Images
from hubstack.model import Digest, Fingerprint, Hub, ImageRef
from hubstack.names import FINGERPRINT_LABEL, Names
from hubstack.oci import CONFIG_LIMIT_BYTES, ImageConfig, Manifest
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
        built = [offer for offer in offers if offer.stack]
        channels = {offer.id: self.names.channel(offer.stack, offer.variant, hub.follow) for offer in built}
        try:
            there = registry.heads([*channels.values(), *(expected[one.stack, one.variant] for one in built)])
        except RegistryDenied as error:
            raise RegistryDenied(
                f"{hub.name} could not pull: {error.message}",
                hint="Let everybody read it, or give the hub's own credentials with --pull-config.",
                code=error.code,
            ) from None
        problems = [*self._missing(hub, built, channels, there), *self._missing_external(hub, offers)]
        if problems:
            raise ProjectError(problems)
        found: dict[tuple[str, str], ImageRef] = {}
        for offer in built:
            digest, name = there[channels[offer.id]], expected[offer.stack, offer.variant]
            assert digest is not None  # _missing has seen to it
            if there[name] != digest:
                name = self._own_name(registry, offer, channels[offer.id].with_digest(digest))
            found[offer.stack, offer.variant] = replace(name, digest=digest)
        return found

    def _missing(
        self, hub: Hub, built: Sequence[Offer], channels: dict[str, ImageRef], there: dict[ImageRef, Digest | None]
    ) -> Iterator[Problem]:
        for offer in {offer.id: offer for offer in built}.values():
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
        manifest = registry.manifest(ref)
        if manifest is not None and manifest.is_index:
            manifest = registry.manifest(ref.with_digest(manifest.manifests[0].digest))
        fingerprint = self._label(registry, ref, manifest)
        name = self.names.published(offer.stack, offer.variant, fingerprint) if fingerprint else None
        if name is None or registry.head(name) != ref.digest:
            raise RegistryError(
                f"{ref} has no immutable name",
                hint=f"Somebody else has moved that channel. `hubstack build --push {offer.id}` puts it right.",
            )
        return name

    def _label(self, registry: Registry, ref: ImageRef, manifest: Manifest | None) -> Fingerprint | None:
        if manifest is None or manifest.config is None:
            return None
        content = registry.blob(ref, manifest.config.digest, limit_bytes=CONFIG_LIMIT_BYTES)
        try:
            return Fingerprint(ImageConfig.parse(content).labels.get(FINGERPRINT_LABEL, ""))
        except ValueError:
            return None  # none of ours
