"""Which layers go together in a trial: drawn by a seed, so that a run can be gone on with and repeated."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

RELEASES = ("trixie", "bookworm")
CHOSEN = (
    ("bus", "clocks"),
    ("shells", "terminals"),
    ("guests", "tutors"),
    ("mail", "r"),
    ("aspell", "processes"),
    ("editors", "info"),
    ("editors", "vim"),
    ("guards", "vim"),
    ("capabilities", "temporaries"),
    ("directories", "hosts"),
    ("py-terminal", "py-web"),
    ("mime", "terminals"),
    ("emacs", "info"),
    ("emacs", "emacs-modes"),
    ("glossary", "handbook"),
    ("first-daemon", "second-daemon"),
    ("by-hand", "by-need"),
    ("farewell", "greeting"),
)
"""Together they need each merger, whatever the seed."""
_ONLY_CHOSEN = {
    "by-hand",
    "by-need",
    "daemons",
    "farewell",
    "first-daemon",
    "glossary",
    "greeting",
    "guests",
    "handbook",
    "python",
    "r",
    "second-daemon",
    "tutors",
}
"""Too alike to real layers to be drawn, or what other layers stand on: they are in the sets of those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """``number`` is 0 of a chosen set. ``layers`` in the order in which the first chain has them; the second has them the other way round."""

    number: int
    release: str
    layers: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.release}: {' '.join(self.layers)}"


def chosen() -> Iterator[Draw]:
    for layers in CHOSEN:
        yield from (Draw(number=0, release=release, layers=layers) for release in RELEASES)


def draws(layers: Sequence[str], *, seed: int, sets: int) -> Iterator[Draw]:
    """``sets`` different sets of two to four of ``layers``. More of them begin with the same ones."""
    chance = random.Random(seed)
    population = sorted(set(layers) - _ONLY_CHOSEN)
    seen: set[tuple[str, frozenset[str]]] = set()
    for number in count(1):
        if len(seen) == sets:
            return
        release = RELEASES[number % len(RELEASES)]
        taken = tuple(chance.sample(population, chance.choice((2, 3, 4))))
        if (key := (release, frozenset(taken))) not in seen:
            seen.add(key)
            yield Draw(number=len(seen), release=release, layers=taken)
