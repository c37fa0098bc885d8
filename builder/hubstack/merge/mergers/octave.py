"""Octave's list of its packages, in its text format (Octave's manual, "Simple File I/O": save -text)."""

from __future__ import annotations

from hubstack.merge.mergers.side import Clash, Sides


def merge_octave_packages(sides: Sides) -> bytes:
    """The first line is a comment with the clock and the host; what else two parts say differently only Octave can join."""
    base = _body(sides.base)
    changed = [(number, one) for number, one in enumerate(sides.versions) if _body(one) != base]
    if len({_body(one) for _, one in changed}) > 1:
        raise Clash("lists different packages of Octave", [number for number, _ in changed])
    return min(one for _, one in changed) if changed else min(sides.versions)


def _body(content: bytes) -> bytes:
    return content.partition(b"\n")[2] if content.startswith(b"# Created by Octave") else content
