"""A node's index as bytes, the artifact beside its image.

All compressed by zlib (RFC 1950), in columns, as that is read many times as fast as a list for each path, and takes half the
room: a line of JSON; of each path, files first, the number of its ``looks`` (4 bytes, the lowest first); of each file its size
(8 bytes) and its sha256; the paths; the kept contents, in the order of ``contents``. Paths are folder by folder: between zero
bytes the folder, then the names in it, between slashes.
"""

from __future__ import annotations

import json
import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator
from itertools import accumulate, count, groupby, pairwise
from typing import Any

from hubstack.merge.built import Built
from hubstack.merge.entry import Entry, Kind
from hubstack.merge.packed import SHA256, Look, Packed, PackedIndex
from hubstack.oci import Descriptor
from hubstack.reference import Digest, Fingerprint

MEDIA_TYPE = "application/vnd.hubstack.index.v1+zlib"
FORMAT = 7  # raised when an index of the same blobs says something else, or keeps other contents
_LOOK, _SIZE = "I", "Q"  # array's codes
_LEVEL = 1  # most is hashes: six takes twice as long for 6 %


def render_built(built: Built) -> bytes:
    """The same bytes for the same value."""
    entries, contents = built.index.entries, built.index.contents
    rows = sorted((entry.kind is not Kind.FILE, *_split(path), entry) for path, entry in entries.items())
    files = [entry for other, _, _, entry in rows if not other]
    looks: dict[Look, int] = {}
    look = [looks.setdefault(_look(entry), len(looks)) for _, _, _, entry in rows]
    paths = "\0".join(
        f"{folder}\0{'/'.join(name for _, _, name, _ in inside)}"
        for (_, folder), inside in groupby(rows, key=lambda row: row[:2])
    ).encode("utf-8", "surrogateescape")
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
        **({"moves": built.moves} if built.moves else {}),
        "files": len(files),
        "looks": [*looks],
        "texts": [entry.content for other, _, _, entry in rows if other],
        "paths": len(paths),
        "contents": {path: len(contents[path]) for path in kept},
    }
    line = json.dumps(head, sort_keys=True, separators=(",", ":"))  # ASCII: file names need not be UTF-8
    columns = (
        _column(_LOOK, look),
        _column(_SIZE, (entry.size for entry in files)),
        *(bytes.fromhex(entry.content) for entry in files),
    )
    whole = b"".join((line.encode(), b"\n", *columns, paths, *(contents[path] for path in kept)))
    return zlib.compress(whole, _LEVEL)


def _split(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder, name


def _look(entry: Entry) -> Look:
    return entry.kind, entry.mode, entry.uid, entry.gid, entry.xattrs


def _column(code: str, numbers: Iterable[int]) -> bytes:
    return _little(array(code, numbers)).tobytes()


def _little(column: array[int]) -> array[int]:
    if sys.byteorder == "big":
        column.byteswap()
    return column


def parse_built(data: bytes) -> Built | None:
    """None where ``data`` is no index, or another release's: then it is made anew."""
    try:
        whole = zlib.decompress(data)
        start = whole.index(b"\n") + 1
        head = json.loads(whole[:start])
        if head["format"] != FORMAT:
            return None
        return Built(
            name=head["name"],
            parents=tuple(Fingerprint(one) for one in head["parents"]),
            index=_index(head, memoryview(whole)[start:]),
            config=head["config"],
            machine=head["machine"],
            layers=tuple(Descriptor.parse(layer) for layer in head["layers"]),
            diff_ids=tuple(head["diff_ids"]),
            digest=Digest(head["manifest"]),
            below=tuple(Digest(one) for one in head["below"]),
            moves=head.get("moves", 0),
        )
    except (KeyError, TypeError, ValueError, zlib.error):
        return None


def _index(head: dict[str, Any], rest: memoryview) -> PackedIndex:
    files, others = head["files"], len(head["texts"])
    look, sizes = array(_LOOK), array(_SIZE)
    lengths = [
        (files + others) * look.itemsize,
        files * sizes.itemsize,
        files * SHA256,
        head["paths"],
        *head["contents"].values(),
    ]
    if sum(lengths) != len(rest):
        raise ValueError("columns of other lengths than they should have")
    looks, size, hashes, paths, *contents = (rest[start:end] for start, end in pairwise(accumulate(lengths, initial=0)))
    look.frombytes(looks)
    sizes.frombytes(size)
    groups = str(paths, "utf-8", "surrogateescape").split("\0")
    rows = dict(zip(_paths(groups), count(), strict=False))
    if len(rows) != len(look):
        raise ValueError("not as many paths as it says")
    look = _little(look)
    if max(look, default=-1) >= len(head["looks"]):
        raise ValueError("a look that isn't there")
    packed = Packed(
        rows=rows,
        looks=[
            (Kind(kind), mode, uid, gid, tuple((name, value) for name, value in xattrs))
            for kind, mode, uid, gid, xattrs in head["looks"]
        ],
        look=look,
        sizes=_little(sizes),
        hashes=bytes(hashes),
        texts=head["texts"],
    )
    kept = {path: bytes(content) for path, content in zip(head["contents"], contents, strict=True)}
    return PackedIndex(entries=packed, contents=kept, nearest=frozenset(groups[::2]))


def _paths(groups: list[str]) -> Iterator[str]:
    for folder, names in zip(groups[::2], groups[1::2], strict=False):
        above = f"{folder}/" if folder else ""
        yield from [above + name for name in names.split("/")]
