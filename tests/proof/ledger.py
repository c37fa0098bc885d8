"""What trials came to: a file of JSON lines, so that a run that was ended goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_JUDGES = ("inside", "noise", "comparison")
_MATTERS = (
    "builder/hubstack/merge",
    "builder/hubstack/render",
    "tests/proof/project",
    *(f"tests/proof/{name}.py" for name in _JUDGES),
)  # what may make a trial end otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """``result`` is equal, partly equal, differs, refused or failed; ``why`` holds differences, causes or the fault.

    ``told`` are the conflicts' messages as people see them; ``settled`` is who had to be told of what others have.
    """

    number: int
    release: str
    layers: tuple[str, ...]
    result: str
    why: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    merged: tuple[str, ...] = ()  # the paths that the merge has written
    settled: tuple[str, ...] = ()
    noise: Mapping[str, int] = field(default_factory=dict)  # reason → how often
    baseline: int = 0
    facts: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)  # step → how long


def generation() -> str:
    """Of the code and the project: entries of another one say nothing of this."""
    seen = hashlib.sha256()
    for place in _MATTERS:
        for path in sorted([ROOT / place, *(ROOT / place).rglob("*")]):
            if path.is_file() and path.suffix != ".pyc" and ".hubstack" not in path.parts:
                seen.update(f"{path.relative_to(ROOT)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return seen.hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Ledger:
    path: Path
    generation: str

    def entries(self) -> list[Entry]:
        """Of this generation; of a set the last one. A line that was cut short is left out."""
        found = {(one.release, one.layers): one for one in self._read()}
        return sorted(found.values(), key=lambda one: one.number)

    def write(self, entry: Entry) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"generation": self.generation, **asdict(entry)}) + "\n")

    def _read(self) -> Iterator[Entry]:
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        for line in text.splitlines():
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if found.pop("generation") == self.generation:
                yield _entry(found)


def _entry(found: dict[str, Any]) -> Entry:
    listed = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
    return Entry(**(found | listed))


def done(entries: Iterable[Entry]) -> set[tuple[str, tuple[str, ...]]]:
    """What need not be tried again: what failed may have been the machine's fault."""
    return {(one.release, one.layers) for one in entries if one.result != "failed"}
