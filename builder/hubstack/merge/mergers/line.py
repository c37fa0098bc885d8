"""Files of which each line stands for itself."""

from __future__ import annotations

from hubstack.merge.mergers.side import Sides, raw, text


def merge_lines(sides: Sides) -> bytes:
    """What all have kept of the base, in its order, then what any has added, sorted."""
    base, *versions = ([line for line in text(one).splitlines() if line] for one in (sides.base, *sides.versions))
    kept = [line for line in base if all(line in version for version in versions)]
    added = sorted({line for version in versions for line in version} - set(base))
    return raw("".join(f"{line}\n" for line in (*kept, *added)))


def merge_triples(sides: Sides) -> bytes:
    """Dpkg's diversions: three lines each, of which the first is the path (dpkg-divert(1), FILES)."""
    base, *versions = (_triples(one) for one in (sides.base, *sides.versions))
    kept = [triple for triple in base if all(triple in version for version in versions)]
    added = sorted({triple for version in versions for triple in version} - set(base))
    return raw("".join(f"{line}\n" for triple in (*kept, *added) for line in triple))


def _triples(content: bytes) -> list[tuple[str, ...]]:
    lines = text(content).splitlines()
    return [tuple(lines[start : start + 3]) for start in range(0, len(lines), 3)]
