"""Files of which each line, or each three, stand for themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from hubstack.merge.mergers.side import Clash, Sides, raw, text, three_way


def merge_lines(sides: Sides) -> bytes:
    """What all have kept of the base, in its order, then what any has added, sorted."""
    base, *versions = ([line for line in text(one).splitlines() if line] for one in (sides.base, *sides.versions))
    kept = [line for line in base if all(line in version for version in versions)]
    added = sorted({line for version in versions for line in version} - set(base))
    return raw("".join(f"{line}\n" for line in (*kept, *added)))


def merge_paths(place: int) -> Callable[[Sides], bytes]:
    """Of lines that say something of the path which stands behind ``place`` words."""
    return partial(_merge_keyed, partial(by_path, place))


def by_path(place: int, content: bytes) -> dict[str, str]:
    """Path, which stands behind ``place`` words → its line."""
    return {line.split(None, place)[-1]: line for line in text(content).splitlines() if line.strip()}


def merge_triples(sides: Sides) -> bytes:
    """Dpkg's diversions: three lines each, of which the first is the path (dpkg-divert(1), FILES)."""
    return _merge_keyed(diversions, sides)


def diversions(content: bytes) -> dict[str, str]:
    """Path → the three lines: that path, what it has become, and whose it is."""
    lines = text(content).splitlines()
    return {lines[start]: "\n".join(lines[start : start + 3]) for start in range(0, len(lines), 3)}


def _merge_keyed(read: Callable[[bytes], Mapping[str, str]], sides: Sides) -> bytes:
    base, *versions = (read(one) for one in (sides.base, *sides.versions))

    def settle(key: str, _: str | None, changed: Sequence[tuple[int, str | None]]) -> str:
        raise Clash(f"says different things of {key}", [number for number, _ in changed])

    merged = three_way(base, versions, settle)
    keys = [*(key for key in base if key in merged), *sorted(merged.keys() - base.keys())]
    return raw("".join(f"{merged[key]}\n" for key in keys))
