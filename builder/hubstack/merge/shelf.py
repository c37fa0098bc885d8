"""Nodes as merging sees them: what each changes on top of its parents, and its image's config.

Beside each node the registry has its *index*, under ``index-<fingerprint>``: made once from its blobs, and all that a merge
reads. A store on this machine keeps its own nodes' indexes too, for builds that push nothing.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any

from hubstack.errors import RegistryDenied, RegistryError, RegistryUnreachable
from hubstack.merge.assembly import Assembled
from hubstack.merge.built import Built
from hubstack.merge.entry import Index, overlay
from hubstack.merge.mergers import KEPT
from hubstack.merge.record import MEDIA_TYPE, parse_built, render_built
from hubstack.merge.tar import read_blob
from hubstack.names import Names
from hubstack.oci import CONFIG_LIMIT_BYTES, Descriptor, Layout, Manifest, digest_of
from hubstack.reference import Digest, Fingerprint, ImageRef
from hubstack.registry import Registry
from hubstack.store import Store

_MACHINE = ("architecture", "os", "variant")


def _is_kept(path: str) -> bool:
    return KEPT.fullmatch(path) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A node of the plan, whose index can be made where there is none."""

    name: str  # its layer's
    parents: tuple[Fingerprint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """``write`` is False where nothing may be pushed. Nodes that are in no plan any more are those whose index is there,
    or that it was told of (``knowing``).

    ``trust`` is False where only what is signed is believed: nobody signs an index, so it is made here, from blobs whose image
    is signed, or was made on this machine.
    """

    sources: Mapping[Fingerprint, Source]
    registry: Registry
    names: Names
    store: Store
    write: bool
    trust: bool = True
    moves: dict[Fingerprint, int] = field(default_factory=dict)  # of nodes that this run has moved: how often, by now
    _kept: dict[Fingerprint, Built] = field(default_factory=dict)

    @property
    def as_it_is(self) -> Shelf:
        """It without the means to make an index: what needs one that isn't there is a RegistryError, and no blob is fetched."""
        return replace(self, sources={})

    def knowing(self, former: Mapping[Fingerprint, Source]) -> Shelf:
        """It with the means to make the indexes of builds that are in no plan any more.

        No signature of theirs is checked: where that counts, only of what was made on this machine.
        """
        ours = {node: one for node, one in former.items() if self.trust or self.store.part(node) is not None}
        return replace(self, sources={**ours, **self.sources})

    def take(self, tops: Iterable[Fingerprint], digests: Mapping[Fingerprint, Digest]) -> Mapping[Fingerprint, Built]:
        """``tops`` and all that they stand on, parents first. ``digests`` are those of images that are known; which image a node
        is on which others stand, these know better.

        Raises RegistryError where a node isn't there, and, if anything is pushed, where two stand on different images of one.
        """
        read = self._read_all(tops)
        upwards, known = [*self._upwards(tops, read)], dict[Fingerprint, Digest]()
        found: dict[Fingerprint, Built] = {}
        for node in reversed(upwards):
            digest = known.setdefault(node, digests[node]) if node in digests else known.get(node)
            one = read.get(node) or self._kept.get(node)
            if one is not None and one.digest == (digest or one.digest):
                found[node] = one
                for parent, below in _below(one):
                    if known.setdefault(parent, below) != below and self.write:
                        raise self._foreign(node)
        for node in upwards:
            self._kept[node] = found.get(node) or self._make(node, known.get(node))
        return {node: self._kept[node] for node in upwards}

    def stands_on(self, node: Fingerprint, digest: Digest, digests: Mapping[Fingerprint, Digest]) -> bool:
        """Whether an image of ``node`` was built on these images of its parents, as far as this machine knows."""
        data = self.store.read_index(node)
        built = self._kept.get(node) or (parse_built(data) if data is not None else None)
        if built is None or built.digest != digest:
            return True
        return all(digests.get(parent, was) == was for parent, was in _below(built))

    def keep(self, node: Fingerprint, digests: Mapping[Fingerprint, Digest]) -> None:
        """Have the index of a node that was just built, before anybody asks. ``digests``: its own, and those below."""
        self.take([node], digests)

    def diff_ids(self, node: Fingerprint, digest: Digest) -> tuple[Digest, ...]:
        """Of all filesystem layers of this image of a node, lowest first. Raises RegistryError."""
        return tuple(map(Digest, self._config(self._manifest(node, digest))["rootfs"]["diff_ids"]))

    def has(self, node: Fingerprint) -> bool:
        """Whether it is known here already what a node holds."""
        return node in self._kept

    def put(self, node: Fingerprint, built: Built) -> None:
        """Keep what is known of a node without looking into its blobs. Nothing is pushed."""
        self._kept[node] = built
        self.store.write_index(node, render_built(built))

    def push(self, node: Fingerprint) -> None:
        """Have in the registry what is known of a node, if anything is pushed at all. An equal index is not sent again."""
        if self.write and node in self._kept:
            data = render_built(self._kept[node])
            self.registry.write_artifact(self.names.index(node), data, artifact_type=MEDIA_TYPE)

    def _read_all(self, tops: Iterable[Fingerprint]) -> dict[Fingerprint, Built | None]:
        """The indexes of ``tops`` and of all below that are not known yet, many at a time."""
        read: dict[Fingerprint, Built | None] = {}
        frontier = self._planned(tops)
        with ThreadPoolExecutor(4) as pool:
            while frontier := [one for one in dict.fromkeys(frontier) if one not in read and one not in self._kept]:
                read |= zip(frontier, pool.map(self._read, frontier), strict=True)
                frontier = [parent for one in frontier for parent in self._parents(one, read)]
        return read

    def _planned(self, tops: Iterable[Fingerprint]) -> list[Fingerprint]:
        """``tops``, and what the plan says that they stand on: these can be asked for all at once."""
        waiting, found = [*tops], dict[Fingerprint, None]()
        while waiting:
            if (node := waiting.pop()) not in found:
                found[node] = None
                waiting += self.sources[node].parents if node in self.sources else ()
        return [*found]

    def _parents(self, node: Fingerprint, read: Mapping[Fingerprint, Built | None]) -> tuple[Fingerprint, ...]:
        if node in self.sources:
            return self.sources[node].parents
        found = read.get(node) or self._kept.get(node)
        if found is None:
            raise RegistryError(f"{self.names.index(node)} is not in the registry")
        return found.parents

    def _upwards(self, tops: Iterable[Fingerprint], read: Mapping[Fingerprint, Built | None]) -> Iterator[Fingerprint]:
        """Each once, parents first."""
        waiting, opened, done = [*tops], set[Fingerprint](), set[Fingerprint]()
        while waiting:
            node = waiting[-1]
            if node not in opened:
                opened.add(node)
                waiting += [one for one in self._parents(node, read) if one not in opened]
            else:
                waiting.pop()
                if node not in done:
                    done.add(node)
                    yield node

    def restored(self, assembled: Assembled, built: Mapping[Fingerprint, Built]) -> Assembled:
        """With the contents that no index has, from the blobs in which they are."""
        found = dict(assembled.index.contents)
        for node in dict.fromkeys(assembled.lost.values()):
            wanted = frozenset(path for path, one in assembled.lost.items() if one == node)
            for blob in built[node].layers:
                found |= self._index(blob, wanted.__contains__, abridged=False).contents
        return replace(assembled, index=Index(entries=assembled.index.entries, contents=found))

    def complete(self, layout: Layout) -> None:
        """Have all of an image's blobs on this machine."""
        for blob in layout.manifest.blobs:
            if not layout.path(blob.digest).exists():
                with tempfile.NamedTemporaryFile(dir=self.store.folder / "tmp", delete=False) as there:
                    self.registry.fetch_blob(self.names.build, blob.digest, there)
                Path(there.name).replace(layout.path(blob.digest))

    def look(self, node: Fingerprint) -> Built | None:
        """What is known of a node without looking into its blobs."""
        return self._kept.get(node) or self._read(node)

    def _read(self, node: Fingerprint) -> Built | None:
        data = self.store.read_index(node)
        if data is None and self.trust:
            data = self._fetch(self.names.index(node))
        return parse_built(data) if data is not None else None

    def _fetch(self, ref: ImageRef) -> bytes | None:
        try:
            return self.registry.read_artifact(ref, artifact_type=MEDIA_TYPE)
        except (RegistryDenied, RegistryUnreachable):
            raise
        except RegistryError:
            return None  # what can't be read is made anew

    def _make(self, node: Fingerprint, digest: Digest | None) -> Built:
        if node not in self.sources:
            raise RegistryError(f"{self.names.index(node)} is of another image than the one that is built")
        source, manifest = self.sources[node], self._manifest(node, digest)
        config = self._config(manifest)
        start = sum(len(self._kept[one].layers) for one in self._planned(source.parents))
        self._check_below(node, config, start)
        own = manifest.layers[start:]
        made = Built(
            name=source.name,
            parents=source.parents,
            index=reduce(overlay, (self._index(blob) for blob in own), Index(entries={})),
            config=config.get("config") or {},
            machine={key: config[key] for key in _MACHINE if key in config},
            layers=own,
            diff_ids=tuple(config["rootfs"]["diff_ids"][start:]),
            digest=manifest.digest,
            below=tuple(self._kept[parent].digest for parent in source.parents),
            moves=self.moves.get(node, 0),
        )
        self.put(node, made)
        self.push(node)
        return made

    def _check_below(self, node: Fingerprint, config: Mapping[str, Any], start: int) -> None:
        """Whether an image stands on what is taken for its parents, which nobody may have asked for by themselves."""
        below = [one for parent in self._planned(self.sources[node].parents) for one in self._kept[parent].diff_ids]
        if sorted(config["rootfs"]["diff_ids"][:start]) != sorted(below):
            raise self._foreign(node)

    def _foreign(self, node: Fingerprint) -> RegistryError:
        what = f"{self.names.node(node)} was built on other images than those that have its parents' names"
        return RegistryError(what, hint="Delete its tag, or theirs, and build it again.")

    def _manifest(self, fingerprint: Fingerprint, digest: Digest | None) -> Manifest:
        layout = self.store.part(fingerprint)
        if layout is not None and layout.manifest.digest == (digest or layout.manifest.digest):
            return layout.manifest
        ref = self.names.build.with_digest(digest) if digest else self.names.node(fingerprint)
        if (found := self.registry.manifest(ref)) is None:
            raise RegistryError(f"{ref} is not in the registry", hint="Build it: hubstack build.")
        return found

    def _config(self, manifest: Manifest) -> Mapping[str, Any]:
        """The whole config blob."""
        assert manifest.config is not None  # nodes are images, not indexes
        digest, here = manifest.config.digest, self.store.blob(manifest.config.digest)
        content = here.read_bytes() if here.exists() else b""
        if digest_of(content) != digest:
            content = self.registry.blob(self.names.build, digest, limit_bytes=CONFIG_LIMIT_BYTES)
        found: Mapping[str, Any] = json.loads(content)
        return found

    def _index(self, blob: Descriptor, keep: Callable[[str], bool] = _is_kept, *, abridged: bool = True) -> Index:
        here = self.store.blob(blob.digest)
        if here.exists():
            with here.open("rb") as file:
                return read_blob(file, keep, abridged=abridged)
        with tempfile.TemporaryFile() as there:
            self.registry.fetch_blob(self.names.build, blob.digest, there)
            there.seek(0)
            return read_blob(there, keep, abridged=abridged)


def _below(built: Built) -> Iterator[tuple[Fingerprint, Digest]]:
    """Which images its parents were when it was built."""
    return zip(built.parents, built.below, strict=True)
