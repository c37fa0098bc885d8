"""Files of stanzas: fields below each other, an empty line between one and the next (deb822(5))."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

from hubstack.merge.mergers.side import Clash, Sides, raw, text, three_way

Stanza: TypeAlias = Mapping[str, str]  # field → value, continuation lines included


@lru_cache(64)  # a part's version is read in each merge that it has a part in
def parse_stanzas(content: bytes) -> Sequence[Stanza]:
    found: list[Stanza] = []
    for block in text(content).split("\n\n"):
        stanza: dict[str, str] = {}
        name = ""
        for line in block.split("\n"):
            if line[:1] in {" ", "\t"} and name:
                stanza[name] += f"\n{line}"
            elif ":" in line:
                name, _, value = line.partition(":")
                stanza[name] = value
        if stanza:
            found.append(stanza)
    return found


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
        raise Clash(f"{what}: one has removed it, another changed it", [number for number, _ in changed])

    def settle(field: str, old: str | None, values: Sequence[tuple[int, str | None]]) -> str | None:
        if field in joined:
            return _join(old, [value for _, value in values], joined[field])
        said = " and ".join(sorted({repr((value or "").strip()) for _, value in values}))
        raise Clash(f"{what}: {field} is {said}", [there[number][0] for number, _ in values])

    return three_way(was or {}, [stanza for _, stanza in there], settle)


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
    """Stanzas that ``fields`` name together; sorted by these, so that the order of the parts doesn't show."""
    merged = three_way(
        by_key(sides.base, *fields),
        [by_key(version, *fields) for version in sides.versions],
        lambda key, was, changed: merge_fields(" ".join(filter(None, key)), was, changed, joined),
    )
    return render_stanzas([merged[key] for key in sorted(merged)])
