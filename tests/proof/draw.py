"""Which layers go together in a trial: drawn by a seed, so that a run can be gone on with and repeated."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

RELEASES = ("trixie", "bookworm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """``layers`` in the order in which the first chain has them; the second has them the other way round."""

    number: int
    release: str
    layers: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.release}: {' '.join(self.layers)}"


def draws(layers: Sequence[str], *, seed: int, sets: int) -> Iterator[Draw]:
    """``sets`` different sets of two to four of ``layers``. More of them begin with the same ones."""
    chance = random.Random(seed)
    seen: set[tuple[str, frozenset[str]]] = set()
    for number in count(1):
        if len(seen) == sets:
            return
        release = RELEASES[number % len(RELEASES)]
        chosen = tuple(chance.sample(sorted(layers), chance.choice((2, 3, 4))))
        if (key := (release, frozenset(chosen))) not in seen:
            seen.add(key)
            yield Draw(number=len(seen), release=release, layers=chosen)
