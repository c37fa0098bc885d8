"""One merger broken on purpose in one set, and what the comparison says of that."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hubstack.merge.mergers import MERGERS

from tests.proof.ledger import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Rupture:
    pattern: str
    release: str
    layers: tuple[str, ...]
    differences: int
    first: str  # the first of them


def wanted(entries: Sequence[Entry], each: int) -> Iterator[tuple[str, Entry]]:
    """For each merger up to ``each`` sets that were equal and needed it, the small ones first."""
    good = sorted((one for one in entries if one.result == "equal"), key=lambda one: (len(one.layers), one.number))
    for pattern in MERGERS:
        needing = [one for one in good if any(re.fullmatch(pattern, path) for path in one.merged)]
        yield from ((pattern, one) for one in needing[:each])


def write_rupture(path: Path, rupture: Rupture, generation: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"generation": generation, **asdict(rupture)}) + "\n")


def read_ruptures(path: Path, generation: str) -> list[Rupture]:
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            data = json.loads(line)
        except ValueError:
            continue  # it was cut short
        if data.pop("generation") == generation:
            found.append(Rupture(**data | {"layers": tuple(data["layers"])}))
    return found
