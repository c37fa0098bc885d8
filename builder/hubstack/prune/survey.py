"""What the registry holds of a project: every manifest that has a tag, and what these tags say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

from hubstack.certificate.examination import read_certificate
from hubstack.errors import RegistryError
from hubstack.names import FINGERPRINT_LABEL, Names, joint
from hubstack.oci import CONFIG_LIMIT_BYTES, ImageConfig, Manifest
from hubstack.reference import Digest, Fingerprint, ImageRef, Layout
from hubstack.registry import THREADS, Registry

MARKS = "prune-marks"  # the tag of what prune itself remembers


class Kind(Enum):
    NODE = re.compile(r"fp-([0-9a-f]{64})")
    TESTED = re.compile(r"ok-([0-9a-f]{64})-[0-9a-f]{32}")
    RECORD = re.compile(r"(?:info|index)-([0-9a-f]{64})")
    CERTIFICATE = re.compile(r"pair-([0-9a-f]{64})")
    LAST = re.compile(r"last-(.+)")
    ATTACHED = re.compile(r"sha256-([0-9a-f]{64})(?:\..+)?")  # cosign's names, and the referrers tag schema
    PUBLISHED = re.compile(r".+-([0-9a-f]{12})")
    OTHER = re.compile(r"(.+)")  # channels, and whatever somebody else has put there


_OF_A_REPOSITORY = "repository-"  # where one repository holds all: made by `hubstack repo`, and none of the tree's
_OF_NODES = (Kind.NODE, Kind.TESTED, Kind.RECORD, Kind.CERTIFICATE, Kind.LAST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    name: str
    kind: Kind
    about: str  # a fingerprint or its beginning, a digest's digits, or the name


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A manifest in one repository. Of images that people choose also the platforms' manifests of an index, the digests
    of the configs, and the fingerprints that these state.
    """

    repository: ImageRef
    digest: Digest
    tags: tuple[Tag, ...]
    parts: tuple[Digest, ...] = ()
    configs: tuple[Digest, ...] = ()
    fingerprints: tuple[Fingerprint, ...] = ()
    certified: tuple[Digest, ...] = ()  # of a certificate: the two images that it is about

    @property
    def stated(self) -> frozenset[str]:
        """What the name of such an image ends in. Of several platforms it was the first one's, before it was of all."""
        joined = (joint(self.fingerprints),) if self.fingerprints else ()
        return frozenset(one.short for one in (*joined, *self.fingerprints))

    @property
    def name(self) -> str:
        return f"{self.repository.repository}@{self.digest}"


def repositories(names: Names, stacks: Iterable[str]) -> tuple[ImageRef, ...]:
    if names.layout is Layout.SINGLE:
        return (names.prefix,)
    return (names.build, *(names.prefix.child(stack) for stack in stacks))


def read_tag(names: Names, repository: ImageRef, tag: str) -> Tag:
    """By its shape. A name that only looks like another kind's is found out later, or is kept."""
    build, single = repository == names.build, names.layout is Layout.SINGLE
    for kind in Kind:
        if kind in _OF_NODES and not build:
            continue
        if kind is Kind.PUBLISHED and (tag.startswith(_OF_A_REPOSITORY) if single else build):
            continue
        if tag != MARKS and (match := kind.value.fullmatch(tag)):
            return Tag(name=tag, kind=kind, about=match[1])
    return Tag(name=tag, kind=Kind.OTHER, about=tag)


def take(registry: Registry, names: Names, where: Sequence[ImageRef]) -> tuple[Held, ...]:
    """Every tagged manifest, sorted. Raises RegistryError where anything can't be read."""
    refs = [repository.with_tag(tag) for repository in where for tag in registry.tags(repository)]
    held: dict[tuple[ImageRef, Digest], list[Tag]] = {}
    for ref, digest in registry.heads(refs).items():
        if digest is not None:  # else it has gone since the list was made
            bare = ref.with_tag("")
            held.setdefault((bare, digest), []).append(read_tag(names, bare, ref.tag))
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(lambda item: _look(registry, *item), [(*key, tuple(tags)) for key, tags in held.items()])
    return tuple(sorted(found, key=lambda one: one.name))


def _look(registry: Registry, repository: ImageRef, digest: Digest, tags: tuple[Tag, ...]) -> Held:
    if tags[0].kind is Kind.CERTIFICATE:
        found = read_certificate(registry, repository.with_tag(tags[0].name))
        return Held(repository=repository, digest=digest, tags=tags, certified=found.digests if found else ())
    if not {Kind.PUBLISHED, Kind.OTHER} & {tag.kind for tag in tags}:
        return Held(repository=repository, digest=digest, tags=tags)
    manifest = registry.manifest(repository.with_digest(digest))
    if manifest is None:
        raise RegistryError(f"{repository.with_digest(digest)} was there a moment ago and is gone")
    parts = tuple(dict.fromkeys(part.digest for part in manifest.manifests))
    images = [registry.manifest(repository.with_digest(part)) for part in parts] if parts else [manifest]
    whole = [image for image in images if image is not None and image.config is not None and not image.artifact_type]
    return Held(
        repository=repository,
        digest=digest,
        tags=tags,
        parts=parts,
        configs=tuple(image.config.digest for image in whole if image.config is not None),
        fingerprints=tuple(one for image in whole if (one := _stated(registry, repository, image)) is not None),
    )


def _stated(registry: Registry, repository: ImageRef, image: Manifest) -> Fingerprint | None:
    """The fingerprint that an image's config states."""
    assert image.config is not None
    content = registry.blob(repository, image.config.digest, limit_bytes=CONFIG_LIMIT_BYTES)
    try:
        return Fingerprint(ImageConfig.parse(content).labels.get(FINGERPRINT_LABEL, ""))
    except ValueError:
        return None  # somebody else's image or artifact: it will be kept
