"""Places in files: what errors point at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Key: TypeAlias = str | int
"""One step of a path inside a YAML file: a mapping's key or a sequence's index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in a file; lines and columns count from 1."""

    path: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"

    @property
    def sort_key(self) -> tuple[str, int, int]:
        return (self.path, self.line, self.column)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file, and where in it each of its values stands."""

    path: str
    positions: Mapping[tuple[Key, ...], Position] = field(default_factory=dict)
    keys: Mapping[tuple[Key, ...], Position] = field(default_factory=dict)  # of mappings' keys, by the value's path

    def at(self, *keys: Key) -> Position:
        """The position of the value at ``keys``, or of the nearest enclosing value that is known."""
        for end in range(len(keys), -1, -1):
            if (found := self.positions.get(keys[:end])) is not None:
                return found
        return Position(path=self.path)

    def key(self, *keys: Key) -> Position:
        """Where the last of ``keys`` stands itself: the place for a fault in a name and not in its value."""
        return self.keys.get(keys) or self.at(*keys)
