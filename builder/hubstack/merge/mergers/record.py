"""RECORD of a Python distribution: a line for each file that it has installed ("Recording installed projects", PyPA)."""

from __future__ import annotations

from collections.abc import Sequence

from hubstack.merge.mergers.side import Clash, Sides, raw, text, three_way

RECORD = r".*\.dist-info/RECORD"


def merge_record(sides: Sides) -> bytes:
    """By path, sorted: REQUESTED is there where any part has asked for it, bytecode where any has compiled it.

    Who has installed the distribution is nobody's business (INSTALLER).
    """
    base, *versions = (_lines(one) for one in (sides.base, *sides.versions))
    merged = three_way(base, versions, _settle)
    return raw("".join(f"{merged[path]}\n" for path in sorted(merged)))


def _lines(content: bytes) -> dict[str, str]:
    """Path → line; csv, of which the path is quoted where it has a comma. pip ends lines with CR and LF, uv with LF."""
    return {line.rsplit(",", 2)[0]: line for line in text(content).splitlines() if line.count(",") >= 2}


def _settle(path: str, _: str | None, changed: Sequence[tuple[int, str | None]]) -> str | None:
    if path.endswith(".dist-info/INSTALLER"):
        return min(line for _, line in changed if line is not None)
    raise Clash(f"says different things of {path}", [number for number, _ in changed])
