"""Users and groups (passwd(5), group(5), shadow(5), gshadow(5), subuid(5))."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

from hubstack.merge.conflict import Cause
from hubstack.merge.mergers.side import Clash, Sides, raw, text, three_way

_MEMBERS = {"group": (3,), "gshadow": (2, 3)}  # the fields that are lists of names
_CHANGED = {"shadow": 2}  # the day of the last change of the password
_ID = {"passwd": 2, "group": 2}
_NUMBERS = {("passwd", 2): ("user", "ids"), ("passwd", 3): ("user", "groups' ids"), ("group", 2): ("group", "ids")}
_RANGES = ("subuid", "subgid")


def merge_accounts(table: str) -> Callable[[Sides], bytes]:
    return partial(_merge, table)


def _merge(table: str, sides: Sides) -> bytes:
    """By name, in the base's order and then sorted. One number for two names is a clash."""
    base, *versions = (_lines(one, whole=table in _RANGES) for one in (sides.base, *sides.versions))
    merged = three_way(base, versions, partial(_settle, table))
    if table in _RANGES:
        _check_ranges(merged, base, versions)
    if (field := _ID.get(table)) is not None:
        _check_ids(table, field, merged, base, versions)
    names = [*(name for name in base if name in merged), *sorted(merged.keys() - base.keys())]
    return raw("".join(f"{':'.join(merged[name])}\n" for name in names))


def _lines(content: bytes, *, whole: bool) -> dict[str, tuple[str, ...]]:
    """By name; where a name may have several lines, by the ``whole`` of them."""
    lines = [line for line in text(content).splitlines() if line]
    return {line if whole else line.split(":")[0]: tuple(line.split(":")) for line in lines}


def _settle(
    table: str,
    name: str,
    was: tuple[str, ...] | None,
    changed: Sequence[tuple[int, tuple[str, ...] | None]],
) -> tuple[str, ...] | None:
    there = [line for _, line in changed if line is not None]
    if len(there) < len(changed) or len({len(line) for line in there}) > 1:
        raise Clash(f"says different things of {name}", [number for number, _ in changed], cause=Cause.DATABASE)
    fields = []
    for number in range(len(there[0])):
        before = was[number] if was is not None and number < len(was) else None
        values = sorted({line[number] for line in there} - {before}) or [there[0][number]]
        if number in _MEMBERS.get(table, ()):
            values = [_members(before or "", [line[number] for line in there])]
        elif number == _CHANGED.get(table):
            values = [max((line[number] for line in there), key=lambda day: int(day or 0))]
        if len(values) > 1:
            raise _different(table, name, number, [(part, line[number]) for part, line in changed if line is not None])
        fields.append(values[0])
    return tuple(fields)


def _different(table: str, name: str, field: int, said: Sequence[tuple[int, str]]) -> Clash:
    parts, values = [part for part, _ in said], [value for _, value in said]
    if (number := _NUMBERS.get((table, field))) is None:
        return Clash(f"says different things of {name}", parts, [repr(value) for value in values], Cause.DATABASE)
    return Clash(f"gives the {number[0]} {name} different {number[1]}", parts, values, Cause.ID)


def _members(before: str, lists: Sequence[str]) -> str:
    old, *new = ([name for name in one.split(",") if name] for one in (before, *lists))
    kept = [name for name in old if all(name in one for one in new)]
    return ",".join((*kept, *sorted({name for one in new for name in one} - set(old))))


def _check_ids(
    table: str,
    field: int,
    merged: dict[str, tuple[str, ...]],
    base: dict[str, tuple[str, ...]],
    versions: Sequence[dict[str, tuple[str, ...]]],
) -> None:
    """Two names of one number that the base has already are its own affair: root and toor, say."""
    owners: dict[str, str] = {}
    for name, line in merged.items():
        other = owners.setdefault(line[field], name)
        if other != name and not all(one in base and base[one][field] == line[field] for one in (name, other)):
            parts = [number for number, version in enumerate(versions) if name in version or other in version]
            said = [" and ".join(sorted({name, other} & versions[number].keys())) for number in parts]
            what = "user" if table == "passwd" else "group"
            raise Clash(f"gives the {what} id {line[field]} to two names", parts, said, Cause.ID)


def _check_ranges(
    merged: dict[str, tuple[str, ...]], base: dict[str, tuple[str, ...]], versions: Sequence[dict[str, tuple[str, ...]]]
) -> None:
    """Subordinate ids (subuid(5)): name, the first, how many."""
    ranges = sorted((int(one[1]), int(one[2]), line) for line, one in merged.items() if len(one) == 3)
    for (first, count, line), (start, _, other) in pairwise(ranges):
        if start < first + count and not (line in base and other in base):
            parts = [number for number, version in enumerate(versions) if line in version or other in version]
            raise Clash(f"gives ids of {line} to {other}, too", parts, cause=Cause.RANGE)
