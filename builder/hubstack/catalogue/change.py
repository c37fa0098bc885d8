"""What is in an image that was not in another one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hubstack.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One package: ``was`` is empty where it came, ``now`` where it went."""

    manager: str
    package: str
    was: str = ""
    now: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """The changes from another image of the same choice, which ``tag`` names."""

    tag: str
    changes: tuple[Change, ...]
    size_bytes: int  # how much it has grown; negative: shrunk


def since(before: Record, after: Record, tag: str) -> Since:
    changes = tuple(_changes(before.packages, after.packages))
    return Since(tag=tag, changes=changes, size_bytes=after.size_bytes - before.size_bytes)


def _changes(before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]) -> Iterator[Change]:
    for manager in dict.fromkeys((*after, *before)):
        was, now = before.get(manager, {}), after.get(manager, {})
        for name in sorted({*was, *now}, key=lambda name: (name.lower(), name)):
            if was.get(name) != now.get(name):
                yield Change(manager=manager, package=name, was=was.get(name, ""), now=now.get(name, ""))


def previous(now: Record, others: Mapping[str, Record]) -> str:
    """The tag of the image that ``now`` is best compared with; empty where there is none.

    It is the one that its record names. Where that isn't among the others, no order of time is known: then it is one with
    the newest epochs, and of those the one that has the most in common with it.
    """
    listed = {tag: record for tag, record in others.items() if record.packages}
    if exact := [tag for tag, record in listed.items() if record.fingerprint == now.previous]:
        return min(exact)

    def rank(tag: str) -> tuple[list[str], int, str]:
        return epochs(listed[tag]), -len(since(listed[tag], now, tag).changes), tag

    return max(listed, key=rank, default="")


def epochs(record: Record) -> list[str]:
    return sorted(fact.value for fact in record.facts if fact.kind == "epoch")
