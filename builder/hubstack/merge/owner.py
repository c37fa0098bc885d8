"""Files of a user or group that only another part has given the number to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hubstack.merge.conflict import Cause, Conflict
from hubstack.merge.entry import Index, Kind
from hubstack.merge.mergers.side import text

_TABLES = (("etc/passwd", "uid", "user"), ("etc/group", "gid", "group"))


def strangers(base: Index, parts: Mapping[str, Index]) -> Iterator[Conflict]:
    """A conflict for each pair of parts and number: one names it, and the other has files of it without that name."""
    for table, attribute, word in _TABLES:
        old = _names(base.contents.get(table, b""))
        names = {
            part: _names(index.contents[table]) if table in index.contents else old for part, index in parts.items()
        }
        for part, given in names.items():
            for number in sorted(given.keys() - old.keys()):
                for other in parts:
                    if number not in parts[other].owners[attribute] or names[other].get(number) == given[number]:
                        continue
                    if (path := _owned(base, parts[other], attribute, number)) is not None:
                        what = f"has the {word} id {number}, which {part} gives to {given[number]}"
                        yield Conflict(parts=(other, part), path=path, what=what, cause=Cause.ID)


def _names(content: bytes) -> dict[int, str]:
    lines = (line.split(":") for line in text(content).splitlines())
    return {int(line[2]): line[0] for line in lines if len(line) > 2 and line[2].isdigit()}


def _owned(base: Index, index: Index, attribute: str, number: int) -> str | None:
    """The first path of that number which the part has changed."""
    there = (path for path, entry in index.entries.items() if getattr(entry, attribute) == number)
    changed = (
        path
        for path in there
        if index.entries[path].kind is not Kind.WHITEOUT and base.entries.get(path) != index.entries[path]
    )
    return min(changed, default=None)
