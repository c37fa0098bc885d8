"""What a filesystem layer says of a path (OCI image-spec 1.1, layer.md)."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from hubstack.merge.stacked import pile, shared, stacked

Xattrs: TypeAlias = tuple[tuple[str, str], ...]


class Kind(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"  # a symbolic one; hard links are files
    DEVICE = "device"  # character, block, fifo
    WHITEOUT = "whiteout"  # the path is gone


class Entry(NamedTuple):
    """``content`` is a file's sha256 (hex), a link's target, a device's type and numbers, ``OPAQUE`` for a folder that was
    removed and made anew; what has none has "".

    Dates are left out on purpose: two parts that wrote the same thing at different times agree. A tuple, as a merge makes and
    compares tens of thousands, and dataclasses do both in Python.
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
ICONS = "usr/share/icons/"
ICON_CACHES = ("/icon-theme.cache", "/.icon-theme.cache")


@dataclass(frozen=True, kw_only=True, eq=False)
class Index:
    """What one or several filesystem layers change: path (without a leading slash) → entry, and contents that mergers need.

    ``pieces`` are what it is put together of, if anything: whatever it has a path of, one of them has, and as that has it if
    its entries aren't ``changed``. Looking for what is rare in all of them is done once for each, however many merges they
    have a part in.
    """

    entries: Mapping[str, Entry]
    contents: Mapping[str, bytes] = field(default_factory=dict)
    pieces: Sequence[Index] = field(default=(), repr=False)

    def __eq__(self, other: object) -> bool:
        """In whatever form each has its entries."""
        return isinstance(other, Index) and (self.entries, self.contents) == (other.entries, other.contents)

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def folders(self) -> Set[str]:
        """All in which something stands, whether or not they have an entry; of pieces also those in which nothing is left."""
        if self.pieces:
            return set[str]().union(*(piece.folders for piece in self.pieces))
        return upwards({path.rpartition("/")[0] for path in self.entries})

    @cached_property
    def kept(self) -> Set[str]:
        """The folders that have an entry and lose nothing by it."""
        if self.pieces:
            there, over = set[str]().union(*(piece.kept for piece in self.pieces)), stacked(self.entries).over
            return there - {path for path in there & over.keys() if hides(over[path])}
        return {path for path, entry in self.entries.items() if not hides(entry)}

    @cached_property
    def links(self) -> Mapping[str, str]:
        """Symbolic ones → their targets."""
        if not self.pieces:
            return {path: entry.content for path, entry in self.entries.items() if entry.kind is Kind.LINK}
        found = {path: target for piece in self.pieces for path, target in piece.links.items()}
        again = {path: self.entries.get(path, GONE) for path in found.keys() & stacked(self.entries).changed}
        still = {path: entry.content for path, entry in again.items() if entry.kind is Kind.LINK}
        return {path: target for path, target in found.items() if path not in again} | still

    @cached_property
    def owners(self) -> Mapping[str, Set[int]]:
        """The numbers of users and of groups that files may be of."""
        if self.pieces:
            return {name: set[int]().union(*(one.owners[name] for one in self.pieces)) for name in ("uid", "gid")}
        return {name: set(map(attrgetter(name), self.entries.values())) for name in ("uid", "gid")}

    @cached_property
    def bytecode(self) -> Set[str]:
        """What Python has compiled; of pieces also what is gone."""
        if self.pieces:
            return set[str]().union(*(piece.bytecode for piece in self.pieces))
        return {path for path in self.entries if path.endswith(".pyc")}

    @cached_property
    def recorded(self) -> Mapping[str, str]:
        """What Python distributions list in their RECORD ("Recording installed projects") → the folder in which that is."""
        found: dict[str, str] = {}
        for record in (path for path in self.contents if path.endswith(".dist-info/RECORD")):
            folder = posixpath.dirname(record)
            for line in self.contents[record].decode("utf-8", "surrogateescape").splitlines():
                path = f"{posixpath.dirname(folder)}/{line.partition(',')[0]}"
                found[posixpath.normpath(path) if ".." in path else path] = folder
        return found

    @cached_property
    def icon_caches(self) -> Set[str]:
        """Those of icon themes; of pieces also what is gone."""
        if self.pieces:
            return set[str]().union(*(piece.icon_caches for piece in self.pieces))
        return {path for path in self.entries if path.startswith(ICONS) and path.endswith(ICON_CACHES)}

    @cached_property
    def opaque(self) -> Set[str]:
        """The folders that are removed and made anew."""
        there = set[str]().union(*(piece.opaque for piece in self.pieces)) if self.pieces else self.entries
        return {path for path in there if is_opaque(self.entries.get(path, GONE))}

    def inside(self, folder: str) -> Iterator[str]:
        """What stands below ``folder``; of pieces perhaps more than once."""
        if folder not in self.folders:
            return
        if self.pieces:
            yield from (path for piece in self.pieces for path in piece.inside(folder) if path in self.entries)
        else:
            yield from (path for path in self.entries if path.startswith(f"{folder}/"))


def folders(path: str) -> Iterator[str]:
    """Those in which ``path`` stands, the nearest first, without the root."""
    while path := path.rpartition("/")[0]:
        yield path


def upwards(nearest: Set[str]) -> Set[str]:
    """These folders and all in which they stand, without the root."""
    found: set[str] = set()
    while nearest := nearest - found - {""}:
        found |= nearest
        nearest = {path.rpartition("/")[0] for path in nearest}
    return found


def overlay(lower: Index, upper: Index) -> Index:
    """What both say together. A whiteout stays: what is below ``lower`` may have the path."""
    if not lower.entries:
        return upper
    both = shared(lower.entries, upper.entries)
    contents = {path: content for path, content in lower.contents.items() if path not in upper.entries}
    below = lower.entries
    hidden = {path for path in both - upper.kept if hides(upper.entries[path]) and below[path].kind is Kind.DIRECTORY}
    if hidden:
        gone = {path for path in below if not hidden.isdisjoint(folders(path))}
        below, both = stacked(below).without(gone), both - gone
        contents = {path: content for path, content in contents.items() if path not in gone}
    anew = {path: upper.entries[path] for path in both - lower.kept}
    # what stands below both may have a folder there, of which nothing is left
    again = {path: entry._replace(content=OPAQUE) for path, entry in anew.items() if entry.kind is Kind.DIRECTORY}
    return Index(
        entries=pile(below, upper.entries, both).but(again),
        contents=contents | dict(upper.contents),
        pieces=(lower, upper, *([Index(entries=again)] if again else [])),
    )


def hides(entry: Entry) -> bool:
    """Whether nothing is left of what stood in the folder that was there."""
    return entry.kind is not Kind.DIRECTORY or entry.content == OPAQUE


def is_opaque(entry: Entry) -> bool:
    return entry.kind is Kind.DIRECTORY and entry.content == OPAQUE
