"""Files of stanzas: fields below each other, an empty line between one and the next (deb822(5))."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

from hubstack.merge.conflict import Cause
from hubstack.merge.mergers.side import Clash, Sides, raw, text, three_way

Stanza: TypeAlias = Mapping[str, str]  # field → value, continuation lines included


@lru_cache(64)  # a part's version is read in each merge that it has a part in
def parse_stanzas(content: bytes) -> Sequence[Stanza]:
    return [stanza for block in text(content).split("\n\n") if (stanza := _stanza(block))]


@lru_cache(20_000)  # of what parts have in one file, most is the base's
def _stanza(block: str) -> Stanza:
    stanza: dict[str, str] = {}
    name = ""
    for line in block.split("\n"):
        if line[:1] in {" ", "\t"} and name:
            stanza[name] += f"\n{line}"
        elif ":" in line:
            name, _, value = line.partition(":")
            stanza[name] = value
    return stanza


def render_stanzas(stanzas: Sequence[Stanza]) -> bytes:
    blocks = ("".join(f"{name}:{value}\n" for name, value in stanza.items()) for stanza in stanzas)
    return raw("".join(f"{block}\n" for block in blocks))


def merge_fields(
    what: str, was: Stanza | None, changed: Sequence[tuple[int, Stanza | None]], joined: Mapping[str, str]
) -> Stanza:
    """One stanza field by field. The values of ``joined`` fields are lists, between that separator, of which each
    version may have more.

    Raises Clash where two versions want different things of another field, or where only one still has the stanza.
    """
    there = [(number, stanza) for number, stanza in changed if stanza is not None]
    if len(there) < len(changed):
        said = [_version(stanza) if stanza else "removed" for _, stanza in changed]
        raise Clash(f"has {what} changed by one and removed by another", _numbers(changed), said, Cause.VERSION)

    def settle(field: str, old: str | None, values: Sequence[tuple[int, str | None]]) -> str | None:
        if field in joined:
            return _join(old, [value for _, value in values], joined[field])
        numbers = [there[number][0] for number, _ in values]
        said = [" ".join((value or "nothing").split()) for _, value in values]
        if len({_version(stanza) for _, stanza in there}) > 1:
            said, numbers = [_version(stanza) for _, stanza in there], _numbers(there)
            raise Clash(f"has different versions of {what}", numbers, said, Cause.VERSION)
        raise Clash(f"says different things of {what} in the field {field}", numbers, said, Cause.DATABASE)

    return three_way(was or {}, [stanza for _, stanza in there], settle)


def _version(stanza: Stanza) -> str:
    return stanza.get("Version", "changed").strip()


def _numbers(changed: Sequence[tuple[int, Stanza | None]]) -> list[int]:
    return [number for number, _ in changed]


def _join(old: str | None, values: Sequence[str | None], separator: str) -> str:
    lists = [[item.strip() for item in (value or "").split(separator) if item.strip()] for value in (old, *values)]
    before, now = set(lists[0]), lists[1:]
    kept = [item for item in lists[0] if all(item in one for one in now)]
    added = sorted({item for one in now for item in one} - before)
    joint = separator if separator.isspace() else f"{separator} "
    return f" {joint.join((*kept, *added))}" if kept or added else ""


@lru_cache(64)
def by_key(content: bytes, *fields: str) -> Mapping[tuple[str, ...], Stanza]:
    return {tuple(stanza.get(field, "").strip() for field in fields): stanza for stanza in parse_stanzas(content)}


def merge_stanzas(sides: Sides, *fields: str, joined: Mapping[str, str]) -> bytes:
    """Stanzas that ``fields`` name together; sorted by these, so that the order of the parts doesn't show.

    Raises the first Clash, with the names of all others.
    """
    clashes: dict[str, Clash] = {}

    def settle(key: tuple[str, ...], was: Stanza | None, changed: Sequence[tuple[int, Stanza | None]]) -> Stanza | None:
        try:
            return merge_fields(key[0], was, changed, joined)
        except Clash as clash:
            clashes[key[0]] = clash
            return None

    base, *versions = (by_key(one, *fields) for one in (sides.base, *sides.versions))
    merged = three_way(base, versions, settle)
    if clashes:
        (_, first), *more = sorted(clashes.items())
        also = f" (and so it is with {', '.join(name for name, _ in more)})" if more else ""
        raise Clash(first.what + also, first.versions, first.said, first.cause)
    return render_stanzas([merged[key] for key in sorted(merged)])
