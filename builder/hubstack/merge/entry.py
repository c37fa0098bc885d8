"""What a filesystem layer says of a path (OCI image-spec 1.1, layer.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias

Xattrs: TypeAlias = tuple[tuple[str, str], ...]


class Kind(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"  # a symbolic one; hard links are files
    DEVICE = "device"  # character, block, fifo
    WHITEOUT = "whiteout"  # the path is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """``content`` is a file's sha256 (hex), a link's target, a device's type and numbers, ``OPAQUE`` for a folder that was
    removed and made anew; what has none has "".

    Dates are left out on purpose: two parts that wrote the same thing at different times agree.
    """

    kind: Kind
    mode: int = 0  # permission bits, setuid, setgid and sticky
    uid: int = 0
    gid: int = 0
    size: int = 0  # bytes, of a file
    content: str = ""
    xattrs: Xattrs = ()  # sorted by name


def file_entry(content: bytes, *, mode: int = 0o644, uid: int = 0, gid: int = 0, xattrs: Xattrs = ()) -> Entry:
    digest = hashlib.sha256(content).hexdigest()
    return Entry(kind=Kind.FILE, mode=mode, uid=uid, gid=gid, size=len(content), content=digest, xattrs=xattrs)


GONE = Entry(kind=Kind.WHITEOUT)
OPAQUE = "opaque"


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What one or several filesystem layers change: path (without a leading slash) → entry, and contents that mergers need."""

    entries: Mapping[str, Entry]
    contents: Mapping[str, bytes] = field(default_factory=dict)


def folders(path: str) -> Iterator[str]:
    """Those in which ``path`` stands, the nearest first, without the root."""
    while path := path.rpartition("/")[0]:
        yield path


def overlay(lower: Index, upper: Index) -> Index:
    """What both say together. A whiteout stays: what is below ``lower`` may have the path."""
    entries = dict(lower.entries)
    contents = dict(lower.contents)
    for path in [path for path, entry in upper.entries.items() if hides(entry)]:
        if (was := entries.get(path)) is not None and was.kind is Kind.DIRECTORY:
            _forget_below(path, entries, contents)
    for path, entry in upper.entries.items():
        entries[path] = _above(entries.get(path), entry)
        contents.pop(path, None)
    return Index(entries=entries, contents=contents | dict(upper.contents))


def _above(was: Entry | None, entry: Entry) -> Entry:
    """What stands below both may have a folder there, of which nothing is left."""
    emptied = was is not None and (was.kind is not Kind.DIRECTORY or was.content == OPAQUE)
    return replace(entry, content=OPAQUE) if emptied and entry.kind is Kind.DIRECTORY else entry


def hides(entry: Entry) -> bool:
    """Whether nothing is left of what stood in the folder that was there."""
    return entry.kind is not Kind.DIRECTORY or entry.content == OPAQUE


def _forget_below(folder: str, entries: dict[str, Entry], contents: dict[str, bytes]) -> None:
    inside = f"{folder}/"
    for path in [path for path in entries if path.startswith(inside)]:
        del entries[path]
        contents.pop(path, None)
