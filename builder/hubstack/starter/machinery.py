"""The files of a project that are hubstack's own: written once by ``init``, brought up to date by ``init --upgrade``.

``.github/hubstack.sums`` holds the checksum of each as hubstack wrote it last, in the form of sha256sum(1). What
differs from that was changed by people, and stays as they want it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from enum import StrEnum

from hubstack.schema import render_schemas
from hubstack.starter import files, fill

SUMS = ".github/hubstack.sums"
REQUIREMENT = ".github/hubstack.txt"
_SUM = re.compile(r"([0-9a-f]{64})  (\.(?:github|schemas)(?:/(?!\.{1,2}(?:/|$))[^/]+)+)")
_COMMENT = (
    "# What hubstack wrote here, for `hubstack init --upgrade`: a file that differs is yours, and stays as it is.\n"
)


def machinery(requirement: str, version: str) -> Mapping[str, bytes]:
    """Every file by its path in the project, sorted."""
    found = {
        f".github/{folder}/{path}": text for folder in ("workflows", "actions") for path, text in files(folder).items()
    }
    values = {"version": version}
    found |= {f".github/{path}": fill(text.decode(), values).encode() for path, text in files("forms").items()}
    found |= {f".schemas/{name}": text.encode() for name, text in render_schemas().items()}
    return dict(sorted({**found, REQUIREMENT: requirement.encode()}.items()))


def parse_sums(text: str) -> dict[str, str]:
    """Path → checksum. Other lines, such as a merge's marks, are passed over: those files count as changed.

    Neither are files elsewhere hubstack's own, whatever a tree says: an upgrade removes what is named here.
    """
    return {match[2]: match[1] for line in text.splitlines() if (match := _SUM.fullmatch(line)) is not None}


def render_sums(sums: Mapping[str, str]) -> str:
    return _COMMENT + "".join(f"{digest}  {path}\n" for path, digest in sorted(sums.items()))


def checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Fate(StrEnum):
    WRITE = "write"
    REMOVE = "remove"
    KEEP = "keep"  # changed by people, and hubstack has something new for it
    LEAVE = "leave"  # removed by people: it is not put back
    SAME = "same"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    path: str
    fate: Fate
    old: bytes | None
    new: bytes | None

    def diff(self) -> str:
        """From what is there to what hubstack would have written."""
        old, new = (_lines(one) for one in (self.old, self.new))
        return "".join(unified_diff(old, new, fromfile=self.path, tofile=f"{self.path} of hubstack"))


def upgrade(new: Mapping[str, bytes], there: Mapping[str, bytes], sums: Mapping[str, str]) -> Iterator[Step]:
    """What becomes of each file, by path. ``there`` are the contents of those of ``new`` and ``sums`` that are there."""
    for path in sorted({*new, *sums}):
        old, wanted, written = there.get(path), new.get(path), sums.get(path)
        yield Step(path=path, fate=_fate(old, wanted, written), old=old, new=wanted)


def sums_after(steps: list[Step], sums: Mapping[str, str]) -> dict[str, str]:
    """What hubstack wrote last stays known of files that people changed, so that they are theirs next time, too."""
    after = {step.path: sums[step.path] for step in steps if step.path in sums and step.fate is not Fate.REMOVE}
    return after | {
        step.path: checksum(step.new)
        for step in steps
        if step.new is not None and (step.fate is Fate.WRITE or step.old == step.new)
    }


def _fate(old: bytes | None, new: bytes | None, written: str | None) -> Fate:
    if old == new:
        return Fate.SAME
    if old is None:
        return Fate.WRITE if written is None else Fate.LEAVE
    if checksum(old) == written:
        return Fate.REMOVE if new is None else Fate.WRITE
    if new is None or checksum(new) == written:
        return Fate.SAME  # theirs, and nothing has changed on this side
    return Fate.KEEP


def _lines(content: bytes | None) -> list[str]:
    return (content or b"").decode(errors="replace").splitlines(keepends=True)
