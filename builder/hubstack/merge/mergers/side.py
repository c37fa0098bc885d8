"""What a merger gets, and how it refuses."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from hubstack.merge.conflict import Cause

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """One file: in the base (empty where it has none), and in each part that has changed it.

    ``beside`` holds for each of these parts every content that its index keeps, by path, the base's where it says nothing of a
    path, and ``below`` those of the base. ``pointed`` is, of a group of
    alternatives, where its link in /etc/alternatives leads: in the base ("" where there is none), then in each part.
    """

    base: bytes
    versions: Sequence[bytes]
    beside: Sequence[Mapping[str, bytes]] = field(default_factory=tuple)
    below: Mapping[str, bytes] = field(default_factory=dict)
    pointed: Sequence[str] = ()


class Clash(Exception):
    """Parts want different things. ``versions`` are the numbers of those of ``Sides`` that do; empty: all. ``said`` is what
    each of them says.
    """

    def __init__(
        self, what: str, versions: Sequence[int] = (), said: Sequence[str] = (), cause: Cause = Cause.PATH
    ) -> None:
        super().__init__(what)
        self.what, self.versions, self.said, self.cause = what, tuple(versions), tuple(said), cause

    def __str__(self) -> str:
        return self.sentence([])

    def sentence(self, names: Sequence[str]) -> str:
        """With the ``names`` of the parts that ``versions`` are, where they are known."""
        said = self.said
        if said and names:
            said = tuple(f"{one} in {name}" for one, name in zip(said, names, strict=True))
        return f"{self.what}: {' and '.join(said)}" if said else self.what


Merger: TypeAlias = Callable[[Sides], bytes]


def three_way(
    base: Mapping[Key, Item],
    versions: Sequence[Mapping[Key, Item]],
    settle: Callable[[Key, Item | None, Sequence[tuple[int, Item | None]]], Item | None],
) -> dict[Key, Item]:
    """A mapping merged key by key; None stands for a key that is not there.

    ``settle`` is asked where several versions have changed a key in different ways: it gets the key, the base's item, and the
    number of each such version with its item.
    """
    keys = dict.fromkeys(key for one in (base, *versions) for key in one)
    merged: dict[Key, Item] = {}
    for key in keys:
        was = base.get(key)
        changed = [(number, one.get(key)) for number, one in enumerate(versions) if one.get(key) != was]
        wanted = {id(item) if item is None else repr(item) for _, item in changed}
        item = was if not changed else changed[0][1] if len(wanted) == 1 else settle(key, was, changed)
        if item is not None:
            merged[key] = item
    return merged


def text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def raw(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")
