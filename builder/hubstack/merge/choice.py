"""Which conflicts a person may decide by a word, and what a word does: a layer's version of a path stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

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
    fixed = [one for one in first if one.cause is not Cause.PATH]
    return tuple(
        replace(one, cause=Cause.PLACE)
        if one.cause is Cause.PATH and any(_is_behind(other, one) for other in fixed)
        else one
        for one in first
    )


def why_not(about: Iterable[Conflict]) -> str:
    """Of conflicts about one path."""
    is_behind = any(one.cause is Cause.PLACE for one in about)
    return "that alone wouldn't do" if is_behind else "one part's version of it isn't true of all"


def _is_behind(other: Conflict, one: Conflict) -> bool:
    """Whether ``other``, which can't be decided, is about the same path, a folder above it, or the package that has it."""
    if other.path == one.path:
        return True
    if len(_layers(one) & _layers(other)) < len(one.parts):
        return False
    if other.cause is Cause.RIVAL or (other.cause is Cause.VERSION and other.path == STATUS):
        return _DEBIANS.fullmatch(one.path) is not None
    return other.cause in {Cause.VERSION, Cause.PLACE} and other.path in folders(one.path)


def _layers(conflict: Conflict) -> set[str]:
    return {layer for part in conflict.parts for layer in part.split("+")}


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
