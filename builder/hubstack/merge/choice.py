"""Which conflicts a person may decide by a word, and what a word does: a layer's version of a path stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from hubstack.merge.conflict import Cause, Conflict
from hubstack.merge.entry import Entry, Index, Kind, folders, is_opaque
from hubstack.merge.mergers import STATUS
from hubstack.merge.stacked import stacked

_DEBIANS = re.compile(r"(?!usr/local/)(bin|boot|etc|lib\w*|sbin|usr|var)/.*")


def decidable(conflicts: Sequence[Conflict], alone: Callable[[Conflict], bool]) -> tuple[Conflict, ...]:
    """Those about a path that no word would lift, as nothing lifts what stands behind them, are no longer a matter of choice.

    ``alone`` says of a folder whether any choice would be all that anybody has in it.
    """
    first = [
        replace(one, cause=Cause.PLACE) if one.cause is Cause.PATH and one.whole and not alone(one) else one
        for one in conflicts
    ]
    fixed = _Fixed.of(one for one in first if one.cause is not Cause.PATH)
    return tuple(
        replace(one, cause=Cause.PLACE) if one.cause is Cause.PATH and fixed.is_behind(one) else one for one in first
    )


@dataclass(frozen=True, kw_only=True)
class _Fixed:
    """What can't be decided: by path, between which layers it is, and whether it is about all that stands below; and between
    which layers something is that is about Debian's packages.
    """

    paths: Mapping[str, Set[tuple[frozenset[str], bool]]]
    packages: Set[frozenset[str]]

    @classmethod
    def of(cls, conflicts: Iterable[Conflict]) -> _Fixed:
        paths: dict[str, set[tuple[frozenset[str], bool]]] = {}
        packages = set()
        for one in conflicts:
            layers = frozenset(_layers(one.parts))
            paths.setdefault(one.path, set()).add((layers, one.cause in {Cause.VERSION, Cause.PLACE}))
            if one.cause is Cause.RIVAL or (one.cause is Cause.VERSION and one.path == STATUS):
                packages.add(layers)
        return cls(paths=paths, packages=packages)

    def is_behind(self, one: Conflict) -> bool:
        """Whether any is about the same path, or between the same layers about a folder above it or the package that has it."""
        if one.path in self.paths:
            return True
        if _DEBIANS.fullmatch(one.path) and any(_has_each(layers, one.parts) for layers in self.packages):
            return True
        return any(
            below and _has_each(layers, one.parts)
            for folder in folders(one.path)
            for layers, below in self.paths.get(folder, ())
        )


def why_not(about: Iterable[Conflict]) -> str:
    """Of conflicts about one path."""
    is_behind = any(one.cause is Cause.PLACE for one in about)
    return "that alone wouldn't do" if is_behind else "one part's version of it isn't true of all"


def _has_each(layers: Set[str], parts: Sequence[str]) -> bool:
    """Whether of each part a layer is among ``layers``."""
    return all(not layers.isdisjoint(part.split("+")) for part in parts)


def _layers(parts: Sequence[str]) -> set[str]:
    return {layer for part in parts for layer in part.split("+")}


def put(tree: Index, path: str, chosen: Index) -> Index:
    """The tree with a path as ``chosen`` has it; its content may be in blobs only."""
    contents = {one: content for one, content in tree.contents.items() if one != path}
    contents |= {path: chosen.contents[path]} if path in chosen.contents else {}
    return Index(entries=stacked(tree.entries).but({path: chosen.entries[path]}), contents=contents)


def put_whole(tree: Index, path: str, chosen: Index) -> tuple[Index, frozenset[str]]:
    """The same with all that stands below the path; and of that the paths, which something in the stack hides."""
    gone = {one for one in tree.entries if one.startswith(f"{path}/")}
    contents = {one: content for one, content in tree.contents.items() if one not in gone}
    below = dict(_below(chosen, path))
    entries = stacked(tree.entries).without(gone).but(below)
    contents |= {one: chosen.contents[one] for one in below if one in chosen.contents}
    return put(Index(entries=entries, contents=contents), path, chosen), frozenset(below)


def _below(tree: Index, path: str) -> Iterator[tuple[str, Entry]]:
    for one in set(tree.inside(path)):
        entry = tree.entries[one]
        if entry.kind is not Kind.WHITEOUT:
            yield one, entry._replace(content="") if is_opaque(entry) else entry
