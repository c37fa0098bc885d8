"""Where names are looked up (nsswitch.conf(5)): a line for each database."""

from __future__ import annotations

from collections.abc import Sequence

from hubstack.merge.mergers.side import Clash, Sides, raw, text, three_way


def merge_nsswitch(sides: Sides) -> bytes:
    """By database. Comments and order are the base's, or those of the first by its text; new databases come last, sorted."""
    base, *versions = (_databases(one) for one in (sides.base, *sides.versions))
    merged = three_way(base, versions, _refuse)
    shape = text(sides.base or min(sides.versions))
    lines = []
    for line in shape.splitlines():
        name = _database(line)
        if not name:
            lines.append(line)
        elif name in merged:
            lines.append(merged.pop(name))
    return raw("".join(f"{line}\n" for line in (*lines, *(merged[name] for name in sorted(merged)))))


def _databases(content: bytes) -> dict[str, str]:
    return {name: line for line in text(content).splitlines() if (name := _database(line))}


def _database(line: str) -> str:
    """What the line is about; "" for a comment."""
    name, colon, _ = line.partition("#")[0].partition(":")
    return name.strip() if colon else ""


def _refuse(name: str, _: str | None, changed: Sequence[tuple[int, str | None]]) -> str:
    said = [(line or "").partition(":")[2].strip() or "nothing" for _, line in changed]
    raise Clash(f"looks up {name} in different places", [number for number, _ in changed], said)
