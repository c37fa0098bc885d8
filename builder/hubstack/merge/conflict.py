"""What can't be merged, and who is to do what about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hubstack.errors import HubstackError


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """``path`` has no leading slash; ``what`` ends a sentence about it, or is one where there is no path."""

    parts: tuple[str, ...]
    path: str
    what: str

    def __str__(self) -> str:
        return f"{' and '.join(self.parts)}: {f'/{self.path} ' if self.path else ''}{self.what}"


def first_line(fault: HubstackError) -> str:
    """The first of what a fault says, of several conflicts the first."""
    if isinstance(fault, MergeConflict):
        return str(fault.conflicts[0])
    return fault.message.splitlines()[0]


class MergeConflict(HubstackError):
    """Layers that can't be put together without building one on the other. ``conflicts`` are all of them."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        shown = "\n".join(f"  {conflict}" for conflict in conflicts)
        names = sorted({name for conflict in conflicts for name in conflict.parts})
        super().__init__(
            f"{', '.join(names)} can't be merged:\n{shown}",
            hint="Build them in one line: name them in a stack. `after:` in a layer.yaml says which stands above.",
        )
        self.conflicts = tuple(conflicts)
