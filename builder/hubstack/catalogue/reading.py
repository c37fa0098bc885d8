"""What the registry has behind a project's channels, and what is remembered of it.

Everything is asked by digest and fingerprint and nothing by what the tree would build today, so an image that is older
than the tree is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from hubstack.errors import RegistryError
from hubstack.names import FINGERPRINT_LABEL, Names, joint
from hubstack.oci import CONFIG_LIMIT_BYTES, ImageConfig, Manifest
from hubstack.record import MEDIA_TYPE, Record, parse_record
from hubstack.reference import Digest, Fingerprint, ImageRef
from hubstack.registry import Registry

Item = TypeVar("Item")
Result = TypeVar("Result")

_THREADS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A (stack, variant) and where to look for it: channels, the most important first, and images that hubs were given."""

    stack: str
    variant: str
    channels: tuple[str, ...]
    given: Mapping[str, ImageRef] = field(default_factory=dict)  # by hub; each with a digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One image of a (stack, variant): behind its channels, and what the hubs in ``given`` have."""

    stack: str
    variant: str
    channels: tuple[str, ...]
    given: tuple[str, ...]
    ref: ImageRef  # name:tag@digest
    platforms: tuple[str, ...]
    lineage: tuple[Record, ...]  # lowest first, its own last; without those that the registry doesn't have

    @property
    def record(self) -> Record | None:
        """Its own, where there is one."""
        return self.lineage[-1] if self.lineage else None


_Key: TypeAlias = tuple[str, str, Digest]  # stack, variant


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    key: _Key
    channel: str
    hub: str
    ref: ImageRef


@dataclass(frozen=True, slots=True, kw_only=True)
class _Config:
    fingerprints: tuple[Fingerprint, ...]  # of all platforms; empty where it is none of ours
    platforms: tuple[str, ...]

    @property
    def fingerprint(self) -> Fingerprint | None:
        """Of several platforms the first one's: what is in it is much the same in all."""
        return next(iter(self.fingerprints), None)


@dataclass(frozen=True, kw_only=True)
class Reading:
    registry: Registry
    names: Names
    _records: dict[Fingerprint, Record | None] = field(default_factory=dict)
    _configs: dict[ImageRef, _Config] = field(default_factory=dict)
    _recorded: dict[str, Fingerprint] = field(default_factory=dict)  # by the 12 digits that tags carry

    def published(self, wanted: Iterable[Wanted]) -> tuple[Published, ...]:
        """What is there of ``wanted``, in its order; what has one digest is one image."""
        found = list(self._places(wanted))
        refs = {place.key: place.ref for place in reversed(found)}
        self._configs.update(self._each(self._config, refs.values()))
        names = self._own_names(refs)
        self._read_lineages(self._configs[ref].fingerprint for ref in refs.values())
        return tuple(
            Published(
                stack=stack,
                variant=variant,
                channels=tuple(one.channel for one in found if one.key == key and one.channel),
                given=tuple(one.hub for one in found if one.key == key and one.hub),
                ref=names[key],
                platforms=self._configs[refs[key]].platforms,
                lineage=self._lineage(self._configs[refs[key]].fingerprint),
            )
            for key in dict.fromkeys(place.key for place in found)
            for stack, variant, _ in [key]
        )

    def _places(self, wanted: Iterable[Wanted]) -> Iterator[_Place]:
        """Those behind which an image is."""
        asked = [
            (one, channel, hub, ref)
            for one in wanted
            for channel, hub, ref in (
                *((name, "", self.names.channel(one.stack, one.variant, name)) for name in one.channels),
                *(("", name, ref) for name, ref in one.given.items()),
            )
        ]
        there = self.registry.heads(ref for *_, ref in asked)
        for one, channel, hub, ref in asked:
            if (digest := there[ref]) is not None:
                key = (one.stack, one.variant, digest)
                yield _Place(key=key, channel=channel, hub=hub, ref=ref.with_digest(digest))

    def others(self, image: Published) -> tuple[str, ...]:
        """The tags of what else was ever published for the same (stack, variant)."""
        shape = self.names.published(image.stack, image.variant, Fingerprint("0" * 64))
        pattern = re.compile(re.escape(shape.tag.removesuffix("0" * 12)) + "[0-9a-f]{12}")
        own = image.ref.tag
        return tuple(
            sorted(tag for tag in self.registry.tags(shape) if pattern.fullmatch(tag) and not tag.endswith(own))
        )

    def records(self, tags: Iterable[str]) -> Mapping[str, Record]:
        """Of published images, as far as there are any. One list of the build repository says which fingerprints these are."""
        if not self._recorded:
            listed = (tag.partition("-") for tag in self.registry.tags(self.names.build))
            self._recorded.update({one[:12]: Fingerprint(one) for kind, _, one in listed if kind == "info"})
        known = {tag: self._recorded[tag[-12:]] for tag in tags if tag[-12:] in self._recorded}
        self._read(known.values())
        return {tag: record for tag, one in known.items() if (record := self._records[one]) is not None}

    # --- names -------------------------------------------------------------------------------------------------------

    def _own_names(self, refs: Mapping[_Key, ImageRef]) -> dict[_Key, ImageRef]:
        """The immutable name of each; where somebody has removed it, that by which it was found."""
        own = {
            key: self.names.published(key[0], key[1], joint(found))
            for key, ref in refs.items()
            if (found := self._configs[ref].fingerprints)
        }
        there = self.registry.heads(own.values())
        return {
            key: own[key].with_digest(key[2]) if key in own and there[own[key]] == key[2] else ref
            for key, ref in refs.items()
        }

    def _config(self, ref: ImageRef) -> _Config:
        """What the image says of itself, on each of its platforms."""
        manifest = self.registry.manifest(ref)
        if manifest is not None and manifest.is_index:
            parts = [self._config(ref.with_digest(one.digest)).fingerprints for one in manifest.manifests]
            found = tuple(one for part in parts for one in part) if all(parts) else ()
            return _Config(fingerprints=found, platforms=tuple(one.platform for one in manifest.manifests))
        config = self._image_config(ref, manifest)
        if config is None:
            return _Config(fingerprints=(), platforms=())
        try:
            label = Fingerprint(config.labels.get(FINGERPRINT_LABEL, ""))
        except ValueError:
            return _Config(fingerprints=(), platforms=(config.platform,))  # none of ours
        return _Config(fingerprints=(label,), platforms=(config.platform,))

    def _image_config(self, ref: ImageRef, manifest: Manifest | None) -> ImageConfig | None:
        if manifest is None or manifest.config is None:
            return None
        content = self.registry.blob(ref, manifest.config.digest, limit_bytes=CONFIG_LIMIT_BYTES)
        try:
            return ImageConfig.parse(content)
        except ValueError as fault:
            raise RegistryError(f"{ref}: its config is broken: {fault}") from fault

    # --- records -----------------------------------------------------------------------------------------------------

    def _read_lineages(self, wanted: Iterable[Fingerprint | None]) -> None:
        """Level by level: all images' own, then what those stand on. Most are shared."""
        waiting = list(wanted)
        while waiting:
            waiting = [below for one in self._read(waiting) for below in parents(one)]

    def _read(self, wanted: Iterable[Fingerprint | None]) -> list[Record]:
        """Those that were not known before."""
        new = [one for one in dict.fromkeys(wanted) if one is not None and one not in self._records]
        self._records.update(self._each(self._record, new))
        return [record for one in new if (record := self._records[one]) is not None]

    def _record(self, fingerprint: Fingerprint) -> Record | None:
        content = self.registry.read_record(self.names.record(fingerprint), artifact_type=MEDIA_TYPE)
        return parse_record(content) if content is not None else None

    def _lineage(self, fingerprint: Fingerprint | None) -> tuple[Record, ...]:
        record = self._records.get(fingerprint) if fingerprint else None
        if record is None:
            return ()
        below = dict.fromkeys(one.fingerprint for parent in parents(record) for one in self._lineage(parent))
        return (*(found for one in below if (found := self._records[one]) is not None), record)

    def _each(self, ask: Callable[[Item], Result], items: Iterable[Item]) -> dict[Item, Result]:
        found: Sequence[Item] = list(dict.fromkeys(items))
        with ThreadPoolExecutor(_THREADS) as pool:
            return dict(zip(found, pool.map(ask, found), strict=True))


def parents(record: Record) -> list[Fingerprint]:
    """What it was built on, by its facts."""
    return [Fingerprint(fact.value) for fact in record.facts if fact.kind == "parent"]
