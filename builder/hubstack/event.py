"""What happens during a run, as events. They come from worker threads; readers get them one at a time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from hubstack.plan import Plan
from hubstack.schedule import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A node enters a phase: ``building``, ``testing``, ``pushing``."""

    node: str
    phase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a node's log."""

    node: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that concerns the whole run."""

    text: str


Event: TypeAlias = Planned | Phase | Line | Finished | Note


class Reader(Protocol):
    def __call__(self, event: Event) -> None: ...


class Stream:
    """Hands events to its readers, one at a time, whichever thread they come from."""

    def __init__(self, readers: Sequence[Reader]) -> None:
        self._readers = readers
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            for reader in self._readers:
                reader(event)
