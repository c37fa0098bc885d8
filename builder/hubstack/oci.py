"""Manifests, indexes, image configs and layout folders, as the OCI image specification 1.1 writes them.

The bytes are the truth: a manifest is what its content says, and its digest is computed from that content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from hubstack.errors import EngineError
from hubstack.reference import Digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST_TYPES = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
EMPTY_CONTENT = b"{}"  # image-spec, manifest.md, "Guidance for an Empty Descriptor"
JSON = "application/json"
MANIFEST_LIMIT_BYTES = 4 << 20  # distribution-spec, "Pushing Manifests": registries need not take more
CONFIG_LIMIT_BYTES = 4 << 20
SOURCE_DATE_EPOCH = 1767225600  # 2026-01-01: every time stamp in an image; FORMAT in fingerprint.py stands for it


def digest_of(content: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")


def canonical_json(value: object) -> bytes:
    """Equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """What points to a blob or a manifest. ``platform`` is ``os/architecture[/variant]``, or empty where none is given."""

    media_type: str
    digest: Digest
    size: int
    platform: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def parse(cls, value: object) -> Descriptor:
        given = _mapping(value, "a descriptor")
        size = given.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ValueError(f"a descriptor's size is {size!r}")
        return cls(
            media_type=_text(given, "mediaType"),
            digest=Digest(_text(given, "digest")),
            size=size,
            platform=_platform(given.get("platform")),
            annotations=_texts(given.get("annotations"), "annotations"),
        )

    def as_json(self) -> dict[str, object]:
        value: dict[str, object] = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.platform:
            value["platform"] = dict(zip(("os", "architecture", "variant"), self.platform.split("/"), strict=False))
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        return value


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """An image manifest (``config`` and ``layers``) or an index (``manifests``), of OCI's or Docker's media types."""

    content: bytes
    media_type: str
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def parse(cls, content: bytes, media_type: str = "") -> Manifest:
        """The manifest in ``content``. ``media_type`` is what the outside says that it is; empty: it says so itself.

        Raises ValueError where it is none, or where the outside and the inside differ: what one client takes for an
        image and another for an index is an attack (CVE-2021-41190).
        """
        value = _load(content, "a manifest")
        inside = value.get("mediaType", "")
        if inside and media_type and inside != media_type:
            raise ValueError(f"a manifest says {inside!r} and was handed over as {media_type!r}")
        kind = media_type or inside
        if value.get("schemaVersion") != 2 or kind not in MANIFEST_TYPES:
            raise ValueError(f"not an image manifest: schema {value.get('schemaVersion')!r}, media type {kind!r}")
        is_index = kind in {OCI_INDEX, DOCKER_LIST}
        if ("manifests" in value) != is_index or ("layers" in value or "config" in value) == is_index:
            raise ValueError(f"a manifest's fields are not those of its media type {kind!r}")
        return cls(
            content=content,
            media_type=str(kind),
            config=None if is_index else Descriptor.parse(value.get("config")),
            layers=_descriptors(value, "layers"),
            manifests=_descriptors(value, "manifests"),
            artifact_type=_text(value, "artifactType") if "artifactType" in value else "",
            annotations=_texts(value.get("annotations"), "annotations"),
        )

    @cached_property
    def digest(self) -> Digest:
        return digest_of(self.content)

    @property
    def is_index(self) -> bool:
        return self.config is None

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The config and the filesystem layers, each once, as a registry needs them before the manifest."""
        named = (*((self.config,) if self.config else ()), *self.layers)
        return tuple({blob.digest: blob for blob in named}.values())

    def descriptor(self, platform: str = "") -> Descriptor:
        return Descriptor(media_type=self.media_type, digest=self.digest, size=len(self.content), platform=platform)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """What the config blob says. ``env`` is in the image's order; ``created`` is RFC 3339 text, verbatim."""

    platform: str
    created: str
    user: str
    env: Mapping[str, str]
    labels: Mapping[str, str]
    diff_ids: tuple[Digest, ...]  # the uncompressed filesystem layers, lowest first
    made_by: str = ""  # what its history says last

    @classmethod
    def parse(cls, content: bytes) -> ImageConfig:
        value = _load(content, "an image config")
        run = _mapping(value.get("config") or {}, "an image config's config")
        rootfs = _mapping(value.get("rootfs"), "an image config's rootfs")
        history = [_mapping(one, "an entry of history") for one in _list(value.get("history"), "history")]
        return cls(
            platform=_platform(value),
            created=str(value.get("created") or ""),
            user=str(run.get("User") or ""),
            env=dict(entry.partition("=")[::2] for entry in map(str, _list(run.get("Env"), "Env"))),
            labels=_texts(run.get("Labels"), "Labels"),
            diff_ids=tuple(Digest(str(one)) for one in _list(rootfs.get("diff_ids"), "diff_ids")),
            made_by=str(history[-1].get("created_by") or "") if history else "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """An OCI layout folder that holds one image. ``folder/blobs`` may be a link to a folder that many layouts share."""

    folder: Path
    manifest: Manifest

    def path(self, digest: Digest) -> Path:
        return _blob_path(self.folder, digest)

    @property
    def config(self) -> ImageConfig:
        assert self.manifest.config is not None  # read_layout refuses indexes
        content = _read_blob(self.folder, self.manifest.config, limit_bytes=CONFIG_LIMIT_BYTES)
        try:
            return ImageConfig.parse(content)
        except ValueError as fault:
            raise EngineError(f"{self.folder}: the image's config is broken: {fault}") from fault


def read_layout(folder: Path) -> Layout:
    """The layout that ``docker buildx build --output type=oci,dest=FOLDER,tar=false`` has written.

    Raises EngineError where there is none, or not exactly one image in it.
    """
    try:
        index = _load((folder / "index.json").read_bytes(), "index.json")
        entries = _descriptors(index, "manifests")
        if len(entries) != 1:
            raise EngineError(f"{folder}: an OCI layout with {len(entries)} images, expected one")
        content = _read_blob(folder, entries[0], limit_bytes=MANIFEST_LIMIT_BYTES)
        manifest = Manifest.parse(content, entries[0].media_type)
    except (OSError, ValueError) as fault:
        raise EngineError(f"{folder}: no OCI layout that can be read: {fault}") from fault
    if manifest.is_index:
        raise EngineError(
            f"{folder}: an index, expected one platform's image",
            hint="Attestations make an index of every image: build with --provenance=false --sbom=false.",
        )
    return Layout(folder=folder, manifest=manifest)


def make_index(manifests: Iterable[Descriptor], *, annotations: Mapping[str, str] | None = None) -> Manifest:
    """The index of an image's platforms: the same bytes in whichever order the platforms came.

    Raises ValueError where a platform is missing or stands twice.
    """
    entries = sorted(manifests, key=lambda entry: entry.platform)
    platforms = [entry.platform for entry in entries]
    if not all(platforms) or len(set(platforms)) != len(platforms):
        raise ValueError(f"an index needs each platform once, got {platforms}")
    value: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [entry.as_json() for entry in entries],
    }
    if annotations:
        value["annotations"] = dict(annotations)
    return Manifest.parse(canonical_json(value))


def make_artifact(payload: bytes, *, artifact_type: str, media_type: str = JSON) -> Manifest:
    """The manifest of an artifact with one blob and the empty config (image-spec 1.1, "Guidelines for Artifact Usage")."""
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": Descriptor(media_type=EMPTY, digest=digest_of(EMPTY_CONTENT), size=len(EMPTY_CONTENT)).as_json(),
        "layers": [Descriptor(media_type=media_type, digest=digest_of(payload), size=len(payload)).as_json()],
    }
    return Manifest.parse(canonical_json(value))


def _blob_path(folder: Path, digest: Digest) -> Path:
    return folder / "blobs" / "sha256" / digest.hex


def _read_blob(folder: Path, blob: Descriptor, *, limit_bytes: int) -> bytes:
    path = _blob_path(folder, blob.digest)
    if blob.size > limit_bytes:
        raise EngineError(f"{path}: {blob.size} bytes, expected at most {limit_bytes}")
    content = path.read_bytes()
    if digest_of(content) != blob.digest:
        raise EngineError(f"{path}: its content has another digest: the disk or the engine broke it")
    return content


def _load(content: bytes, what: str) -> Mapping[str, object]:
    try:
        return _mapping(json.loads(content), what)
    except RecursionError as fault:
        raise ValueError(f"{what} is nested too deeply") from fault


def _mapping(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no JSON object: {value!r:.80}")  # noqa: TRY004 - callers handle one kind of fault
    return value


def _list(value: object, what: str) -> list[object]:
    """JSON's null is how Go writes an empty list."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"{what} is no list: {value!r:.80}")  # noqa: TRY004
    return value


def _text(value: Mapping[str, object], key: str) -> str:
    text = value.get(key)
    if not isinstance(text, str) or not text:
        raise ValueError(f"{key} is {text!r:.80}, expected text")
    return text


def _texts(value: object, what: str) -> dict[str, str]:
    texts = _mapping(value or {}, what)
    if not all(isinstance(text, str) for text in texts.values()):
        raise ValueError(f"{what} hold something that is no text")
    return {key: str(text) for key, text in texts.items()}


def _descriptors(value: Mapping[str, object], key: str) -> tuple[Descriptor, ...]:
    return tuple(Descriptor.parse(one) for one in _list(value.get(key), key))


def _platform(value: object) -> str:
    if value is None:
        return ""
    given = _mapping(value, "a platform")
    parts = (given.get("os"), given.get("architecture"), given.get("variant"))
    return "/".join(str(part) for part in parts if part)
