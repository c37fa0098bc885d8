"""Whose a conflict is: of all layers that are merged those two between which it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from hubstack.merge.conflict import Cause, Conflict
from hubstack.merge.debian import Breach, breaches, known_as, versions
from hubstack.merge.entry import Index
from hubstack.merge.mergers import STATUS
from hubstack.merge.three_way import Part


def named(conflict: Conflict, names: Mapping[str, str]) -> Conflict:
    """With other names for its parts, also in what is said of them; as many parts as before."""
    what = conflict.what
    for part in filter(None, names):
        pattern = rf"\b(of|in|by) {re.escape(part)}(?![\w+-])"  # layers' names have no backslashes
        what = re.sub(pattern, rf"\1 {names[part]}", what).replace(f"({part})", f"({names[part]})")
    return replace(conflict, parts=tuple(names.get(part, part) for part in conflict.parts), what=what)


def is_the_same(one: Conflict, other: Conflict) -> bool:
    """Whoever it is between."""
    return one.cause is other.cause and _anonymous(one) == _anonymous(other)


def _anonymous(conflict: Conflict) -> str:
    return named(conflict, dict.fromkeys(conflict.parts, "")).what


def relations(base: Index, parts: Sequence[Part], merged: Index) -> Iterator[Conflict]:
    """Relations between Debian's packages that hold in each part and not in all together; what two say of each other once."""
    status = merged.contents.get(STATUS, b"")
    if not (found := breaches(status)):
        return
    indexes = (base, *(part.index for part in parts if len(parts) == 2))  # of more, one may excuse what two others do
    known = {str(one) for index in indexes for one in breaches(index.contents.get(STATUS, b""))}
    for breach in found:
        if str(breach) not in known:
            yield _relation(breach, base, parts, status)


def _relation(breach: Breach, base: Index, parts: Sequence[Part], status: bytes) -> Conflict:
    before = [index.contents.get(STATUS, b"") for index in (base, *(part.index for part in parts))]
    gone = () if breach.others else sorted({name for one in before for name in known_as(one, breach.relation)})
    packages = (breach.package, *(breach.others or gone))
    there, had = versions(status), versions(before[0])
    changed = {
        name: "+".join(
            part.name
            for part in parts
            if versions(part.index.contents.get(STATUS, before[0])).get(name) != had.get(name)
        )
        for name in packages
    }
    said = [
        f"{name} {there[name]}{f' of {changed[name]}' if changed[name] else ''}" for name in packages if name in there
    ]
    what = f"{said[0]} has {breach.field}: {breach.relation}, which doesn't hold in both together"
    what += f", as {' and '.join(said[1:])} is there" if said[1:] else ", as nothing of that is left"
    return Conflict(
        parts=tuple(part.name for part in parts),
        path="",
        what=what,
        cause=Cause.RIVAL if breach.excludes else Cause.RELATION,
        packages=packages,
    )
