"""Entries in columns, as an index keeps them: of the million that there may be, a merge asks for few.

A tuple for each would take half a gigabyte, and the garbage collector as long as reading them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, KeysView, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from typing import TypeAlias, TypeVar, overload

from hubstack.merge.entry import ICON_CACHES, ICONS, OPAQUE, Entry, Index, Kind, Xattrs, upwards

D = TypeVar("D")
Look: TypeAlias = tuple[Kind, int, int, int, Xattrs]
"""What many entries have in common: kind, mode, uid, gid, xattrs."""
SHA256 = 32  # bytes
_REMEMBERED = 20_000  # entries: all that several parts have, which are asked for in each merge


class Packed(Mapping[str, Entry]):
    """``rows`` are the paths with their numbers, files first; ``look`` the number of each one's look; ``sizes`` and ``hashes``
    those of the files, ``texts`` the contents of all others.
    """

    def __init__(
        self,
        rows: dict[str, int],
        looks: Sequence[Look],
        look: array[int],
        sizes: array[int],
        hashes: bytes,
        texts: Sequence[str],
    ) -> None:
        self.rows, self.looks, self.look, self.sizes, self.hashes, self.texts = rows, looks, look, sizes, hashes, texts
        self._entry = lru_cache(_REMEMBERED)(self._unpacked)

    def __getitem__(self, path: str) -> Entry:
        return self._entry(self.rows[path])

    @overload
    def get(self, path: str, /) -> Entry | None: ...
    @overload
    def get(self, path: str, /, default: Entry | D) -> Entry | D: ...
    def get(self, path: str, /, default: Entry | D | None = None) -> Entry | D | None:
        row = self.rows.get(path)
        return default if row is None else self._entry(row)

    def _unpacked(self, row: int) -> Entry:
        kind, mode, uid, gid, xattrs = self.looks[self.look[row]]
        if row < len(self.sizes):
            content = self.hashes[row * SHA256 : (row + 1) * SHA256].hex()
            return Entry(kind, mode, uid, gid, self.sizes[row], content, xattrs)
        return Entry(kind, mode, uid, gid, 0, self.texts[row - len(self.sizes)], xattrs)

    def __contains__(self, path: object) -> bool:
        return path in self.rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def keys(self) -> KeysView[str]:
        """A dictionary's, whose set operations are C's."""
        return self.rows.keys()

    def others(self) -> Iterator[tuple[str, int, str]]:
        """What is no file: path, number of its look, content."""
        files = len(self.sizes)
        return zip(islice(self.rows, files, None), self.look[files:], self.texts, strict=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedIndex(Index):
    """What :class:`Index` finds out entry by entry, from columns. ``nearest`` are the folders in which anything stands."""

    entries: Packed
    nearest: Set[str]

    @cached_property
    def folders(self) -> Set[str]:
        return upwards(self.nearest)

    @cached_property
    def kept(self) -> Set[str]:
        return {path for path, content in self._of(Kind.DIRECTORY) if content != OPAQUE}

    @cached_property
    def links(self) -> Mapping[str, str]:
        return dict(self._of(Kind.LINK))

    @cached_property
    def opaque(self) -> Set[str]:
        return {path for path, content in self._of(Kind.DIRECTORY) if content == OPAQUE}

    @cached_property
    def icon_caches(self) -> Set[str]:
        themes = [folder for folder in self.nearest if folder.startswith(ICONS)]
        return {f"{theme}{name}" for theme in themes for name in ICON_CACHES} & self.entries.keys()

    @cached_property
    def bytecode(self) -> Set[str]:
        return super().bytecode if any(folder.endswith("__pycache__") for folder in self.nearest) else frozenset()

    def _of(self, kind: Kind) -> Iterator[tuple[str, str]]:
        """The paths of a kind that is no file's, with their contents."""
        numbers = {number for number, look in enumerate(self.entries.looks) if look[0] is kind}
        return ((path, content) for path, number, content in self.entries.others() if number in numbers)

    @cached_property
    def owners(self) -> Mapping[str, Set[int]]:
        return {"uid": {look[2] for look in self.entries.looks}, "gid": {look[3] for look in self.entries.looks}}
