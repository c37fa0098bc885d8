"""A node's index as bytes, the artifact beside its image.

All compressed by zlib (RFC 1950): a line of JSON; the sha256 of the files, 32 bytes each, in the order of ``paths``, in which
files come first; the kept contents, in the order of ``contents``. In columns, as that is read five times as fast as a list for
each path, and takes half the room.
"""

from __future__ import annotations

import json
import zlib
from functools import partial
from itertools import accumulate, chain, pairwise
from typing import Any

from hubstack.merge.assembly import Built
from hubstack.merge.entry import Entry, Index, Kind
from hubstack.oci import Descriptor
from hubstack.reference import Digest, Fingerprint

MEDIA_TYPE = "application/vnd.hubstack.index.v1+zlib"
FORMAT = 6  # raised when an index of the same blobs says something else, or keeps other contents
_SHA256 = 32  # bytes
_HEX = 2 * _SHA256


def render_built(built: Built) -> bytes:
    """The same bytes for the same value."""
    entries, contents = built.index.entries, built.index.contents
    files = sorted(path for path, entry in entries.items() if entry.kind is Kind.FILE)
    others = sorted(path for path, entry in entries.items() if entry.kind is not Kind.FILE)
    looks: dict[tuple[Any, ...], int] = {}
    look = [looks.setdefault(_look(entries[path]), len(looks)) for path in (*files, *others)]
    kept = sorted(contents)
    head = {
        "format": FORMAT,
        "name": built.name,
        "parents": list(built.parents),
        "manifest": built.digest,
        "below": list(built.below),
        "layers": [layer.as_json() for layer in built.layers],
        "diff_ids": list(built.diff_ids),
        "config": dict(built.config),
        "machine": dict(built.machine),
        "paths": [*files, *others],
        "look": look,
        "looks": [*looks],
        "sizes": [entries[path].size for path in files],
        "texts": [entries[path].content for path in others],
        "contents": {path: len(contents[path]) for path in kept},
    }
    hashes = (bytes.fromhex(entries[path].content) for path in files)
    line = json.dumps(head, sort_keys=True, separators=(",", ":"))  # ASCII: file names need not be UTF-8
    return zlib.compress(b"".join((line.encode(), b"\n", *hashes, *(contents[path] for path in kept))))


def _look(entry: Entry) -> tuple[Any, ...]:
    """What many entries have in common."""
    return entry.kind, entry.mode, entry.uid, entry.gid, entry.xattrs


def parse_built(data: bytes) -> Built | None:
    """None where ``data`` is no index, or another release's: then it is made anew."""
    try:
        line, _, rest = zlib.decompress(data).partition(b"\n")
        head = json.loads(line)
        if head["format"] != FORMAT:
            return None
        return Built(
            name=head["name"],
            parents=tuple(Fingerprint(one) for one in head["parents"]),
            index=_index(head, rest),
            config=head["config"],
            machine=head["machine"],
            layers=tuple(Descriptor.parse(layer) for layer in head["layers"]),
            diff_ids=tuple(head["diff_ids"]),
            digest=Digest(head["manifest"]),
            below=tuple(Digest(one) for one in head["below"]),
        )
    except (KeyError, TypeError, ValueError, zlib.error):
        return None


def _index(head: dict[str, Any], rest: bytes) -> Index:
    files = len(head["sizes"])
    hashes = rest[: files * _SHA256].hex()
    texts = [*(hashes[at : at + _HEX] for at in range(0, len(hashes), _HEX)), *head["texts"]]
    sizes = chain(head["sizes"], [0] * len(head["texts"]))
    looks = [
        (Kind(kind), mode, uid, gid, tuple((name, value) for name, value in xattrs))
        for kind, mode, uid, gid, xattrs in head["looks"]
    ]
    kinds, modes, uids, gids, xattrs = ([look[at] for look in looks] for at in range(5))
    columns = ([column[number] for number in head["look"]] for column in (kinds, modes, uids, gids))
    rows = zip(*columns, sizes, texts, [xattrs[number] for number in head["look"]], strict=True)
    ends = accumulate(head["contents"].values(), initial=files * _SHA256)
    return Index(
        # straight from C, as there may be a hundred thousand
        entries=dict(zip(head["paths"], map(partial(tuple.__new__, Entry), rows), strict=True)),
        contents={path: rest[at:end] for path, (at, end) in zip(head["contents"], pairwise(ends), strict=True)},
    )
