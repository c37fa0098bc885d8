"""A node's index as JSON, the artifact beside its image."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable
from typing import Any

from hubstack.merge.assembly import Built
from hubstack.merge.entry import Entry, Index, Kind
from hubstack.oci import Descriptor
from hubstack.reference import Digest, Fingerprint

MEDIA_TYPE = "application/vnd.hubstack.index.v1+json"
FORMAT = 5  # raised when an index of the same blobs says something else, or keeps other contents


def built_json(built: Built) -> dict[str, Any]:
    contents = {path: _packed(one) for path, one in built.index.contents.items()}
    entries = {
        path: [entry.kind, entry.mode, entry.uid, entry.gid, entry.size, entry.content, *map(list, entry.xattrs)]
        for path, entry in built.index.entries.items()
    }
    return {
        "format": FORMAT,
        "name": built.name,
        "parents": list(built.parents),
        "manifest": built.digest,
        "below": list(built.below),
        "layers": [layer.as_json() for layer in built.layers],
        "diff_ids": list(built.diff_ids),
        "config": dict(built.config),
        "machine": dict(built.machine),
        "entries": _packed(json.dumps(entries).encode()),
        "contents": contents,
    }


def parse_built(data: Any) -> Built | None:
    """None where ``data`` is no index, or another release's: then it is made anew."""
    try:
        if data["format"] != FORMAT:
            return None
        return Built(
            name=data["name"],
            parents=tuple(Fingerprint(one) for one in data["parents"]),
            index=Index(
                entries={path: _entry(*fields) for path, fields in json.loads(_unpacked(data["entries"])).items()},
                contents={path: _unpacked(text) for path, text in data["contents"].items()},
            ),
            config=data["config"],
            machine=data["machine"],
            layers=tuple(Descriptor.parse(layer) for layer in data["layers"]),
            diff_ids=tuple(data["diff_ids"]),
            digest=Digest(data["manifest"]),
            below=tuple(Digest(one) for one in data["below"]),
        )
    except (KeyError, TypeError, ValueError, zlib.error):
        return None


def _packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


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
