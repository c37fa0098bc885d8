"""Under which names things stand in the registry (design.md, "What is pushed, and under which name")."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hubstack.errors import UsageError
from hubstack.reference import Fingerprint, ImageRef, Layout

if TYPE_CHECKING:
    from hubstack.model import Settings

TESTED = "ok-"  # what tags begin with that say that an image has passed its tests
FINGERPRINT_LABEL = "io.github.hubstack.fingerprint"  # in an image's config: from a digest back to a fingerprint

SETTLED_LABEL = "io.github.hubstack.settled"  # of a merge: what its packages had to be told of each other, a line each


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names of one project's images, from its registry, prefix and layout."""

    prefix: ImageRef
    layout: Layout

    @classmethod
    def of(cls, settings: Settings) -> Names:
        if settings.registry is None:
            raise UsageError(
                f"{settings.source.path} names no registry",
                hint="Write `registry: HOST/PREFIX` there, or give --registry HOST/PREFIX.",
            )
        return cls(prefix=settings.registry, layout=settings.layout)

    @property
    def build(self) -> ImageRef:
        """The repository of built nodes; its tags are never moved, but for ``last-``."""
        return self.prefix if self.layout is Layout.SINGLE else self.prefix.child("build")

    def node(self, fingerprint: Fingerprint) -> ImageRef:
        return self.build.with_tag(node_tag(fingerprint))

    def tested(self, fingerprint: Fingerprint, tests: str) -> ImageRef:
        return self.build.with_tag(tested_tag(fingerprint, tests))

    def record(self, fingerprint: Fingerprint) -> ImageRef:
        """What is in the image, as an artifact beside it."""
        return self.build.with_tag(f"info-{fingerprint}")

    def index(self, fingerprint: Fingerprint) -> ImageRef:
        """What a node changes in the file tree, for merging."""
        return self.build.with_tag(f"index-{fingerprint}")

    def certificate(self, key: str) -> ImageRef:
        """What came out when two nodes were merged and built on each other, by a :class:`~hubstack.certificate.Pair`'s key."""
        return self.build.with_tag(f"pair-{key}")

    def last(self, node: str) -> ImageRef:
        """The newest record of a node: moves, is trusted by nothing, and serves reasons and estimates alone."""
        return self.build.with_tag(f"last-{node[-123:]}")  # a tag has at most 128 characters

    def published(self, stack: str, variant: str, fingerprint: Fingerprint) -> ImageRef:
        return self._image(stack, f"{variant}-{fingerprint.short}")

    def channel(self, stack: str, variant: str, channel: str) -> ImageRef:
        return self._image(stack, f"{variant}-{channel}")

    def _image(self, stack: str, tag: str) -> ImageRef:
        if self.layout is Layout.SINGLE:
            return self.prefix.with_tag(f"{stack}-{tag}")
        return self.prefix.child(stack).with_tag(tag)


def joint(fingerprints: Iterable[Fingerprint]) -> Fingerprint:
    """What identifies an image of several platforms, in whatever order they come; of one, that one's fingerprint."""
    parts = sorted(fingerprints)
    if len(parts) == 1:
        return parts[0]
    return Fingerprint(hashlib.sha256(" ".join(parts).encode()).hexdigest())


def node_tag(fingerprint: Fingerprint) -> str:
    return f"fp-{fingerprint}"


def tested_tag(fingerprint: Fingerprint, tests: str) -> str:
    return f"{TESTED}{fingerprint}-{tests}"
