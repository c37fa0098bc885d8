"""Nodes as merging sees them: what each changes, and its image's config, from the registry or this machine's store.

The index of a node is made once, from its blobs, and kept beside it in the registry under ``index-<fingerprint>``.
"""

from __future__ import annotations

import base64
import json
import tempfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from hubstack.errors import RegistryError
from hubstack.merge.assembly import Built
from hubstack.merge.entry import Entry, Index, Kind, overlay
from hubstack.merge.mergers import KEPT
from hubstack.merge.tar import read_blob
from hubstack.names import Names
from hubstack.oci import CONFIG_LIMIT_BYTES, Descriptor, Manifest
from hubstack.reference import Digest, Fingerprint
from hubstack.registry import Registry
from hubstack.store import Store

MEDIA_TYPE = "application/vnd.hubstack.index.v1+json"
FORMAT = 2  # raised when an index of the same blobs says something else, or keeps other contents


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """``write`` is False where nothing may be pushed; then an index is made anew each time."""

    registry: Registry
    names: Names
    store: Store
    write: bool

    def manifest(self, digest: Digest) -> Manifest:
        ref = self.names.build.with_digest(digest)
        found = self.registry.manifest(ref)
        if found is None:
            raise RegistryError(f"{ref} was there a moment ago and is gone")
        return found

    def config(self, manifest: Manifest) -> Mapping[str, Any]:
        """The whole config blob."""
        assert manifest.config is not None  # nodes are images, not indexes
        content = self.registry.blob(self.names.build, manifest.config.digest, limit_bytes=CONFIG_LIMIT_BYTES)
        found: Mapping[str, Any] = json.loads(content)
        return found

    def built(self, name: str, fingerprint: Fingerprint, manifest: Manifest, below: Manifest | None) -> Built:
        """A node, of whose image ``below`` is what it was built on."""
        own = manifest.layers[len(below.layers) if below else 0 :]
        return Built(
            name=name,
            index=self._index(fingerprint, manifest, own),
            config=self.config(manifest).get("config") or {},
            size_bytes=sum(blob.size for blob in own),
        )

    def _index(self, fingerprint: Fingerprint, manifest: Manifest, own: Sequence[Descriptor]) -> Index:
        ref = self.names.index(fingerprint)
        found = parse_index(self.registry.read_record(ref, artifact_type=MEDIA_TYPE), manifest.digest)
        if found is None:
            found = reduce(overlay, (self._read(blob) for blob in own), Index(entries={}))
            if self.write:
                self.registry.write_record(ref, index_json(found, manifest.digest), artifact_type=MEDIA_TYPE)
        return found

    def _read(self, blob: Descriptor) -> Index:
        here = self.store.folder / "blobs" / "sha256" / blob.digest.hex
        if here.exists():
            with here.open("rb") as file:
                return read_blob(file, _is_kept)
        with tempfile.TemporaryFile() as there:
            self.registry.fetch_blob(self.names.build, blob.digest, there)
            there.seek(0)
            return read_blob(there, _is_kept)


def _is_kept(path: str) -> bool:
    return KEPT.fullmatch(path) is not None


def index_json(index: Index, manifest: Digest) -> dict[str, Any]:
    """``manifest`` is that of the node's image: an index is of one image."""
    contents = {path: _packed(one) for path, one in index.contents.items()}
    entries = {
        path: [entry.kind, entry.mode, entry.uid, entry.gid, entry.size, entry.content, *map(list, entry.xattrs)]
        for path, entry in index.entries.items()
    }
    return {
        "format": FORMAT,
        "manifest": manifest,
        "entries": _packed(json.dumps(entries).encode()),
        "contents": contents,
    }


def _packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def parse_index(data: Any, manifest: Digest) -> Index | None:
    """None where ``data`` is no index of that image, or another release's: then it is made anew."""
    try:
        if data["format"] != FORMAT or data["manifest"] != manifest:
            return None
        return Index(
            entries={path: _entry(*fields) for path, fields in json.loads(_unpacked(data["entries"])).items()},
            contents={path: _unpacked(text) for path, text in data["contents"].items()},
        )
    except (KeyError, TypeError, ValueError, zlib.error):
        return None


def _entry(kind: str, mode: int, uid: int, gid: int, size: int, content: str, *xattrs: Iterable[str]) -> Entry:
    return Entry(
        kind=Kind(kind),
        mode=mode,
        uid=uid,
        gid=gid,
        size=size,
        content=content,
        xattrs=tuple((name, value) for name, value in xattrs),
    )
