"""What an update changed, for people: two locks → rows of a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TypeAlias

from hubstack.lock import Lock, Slices
from hubstack.lock.resolution import Package
from hubstack.model import Graph

Holders: TypeAlias = Mapping[tuple[str, str], tuple[str, ...]]
"""(scope, package) → the layers that install it there."""

_LONG = re.compile(r"(?:(?<=^sha256:)|(?<= ))[0-9a-f]{12}(?P<rest>[0-9a-f]{28,52})$")


class ChangeKind(StrEnum):
    PYTHON = "python"
    IMAGE = "image"
    EPOCH = "epoch"
    REPOSITORY = "repository"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """``old`` is empty for what is new, ``new`` for what is gone; they are equal where only a package's files changed."""

    kind: ChangeKind
    name: str
    old: str
    new: str
    layers: tuple[str, ...] = ()  # whose nodes are built again because of it, as far as that is known
    scopes: tuple[str, ...] = ()  # "3.13", "3.13 jupyterlab=4.5"; of packages


def holders(graph: Graph, slices: Slices) -> Holders:
    found: dict[tuple[str, str], set[str]] = {}
    for node, pins in slices.pins.items():
        for pin in pins:
            found.setdefault((str(slices.scopes[node]), pin.name), set()).add(graph.nodes[node].layer)
    return {key: tuple(sorted(layers)) for key, layers in found.items()}


def changes(old: Lock, new: Lock, held: Holders | None = None) -> tuple[Change, ...]:
    """Packages first, then images, epochs and repositories, each by name. Without ``held`` packages name no layers."""
    return (
        *_packages(old, new, held or {}),
        *_simple(ChangeKind.IMAGE, old.images, new.images),
        *_simple(ChangeKind.EPOCH, old.epochs, new.epochs),
        *_simple(ChangeKind.REPOSITORY, _revisions(old), _revisions(new)),
    )


def _revisions(lock: Lock) -> dict[str, str]:
    """``main 4d5e6f…``: a commit says little without what it was the commit of."""
    return {stack: f"{one.ref or 'HEAD'} {one.commit}" for stack, one in lock.repositories.items()}


def _packages(old: Lock, new: Lock, held: Holders) -> Iterator[Change]:
    scopes: dict[tuple[str, str, str], list[str]] = {}
    for scope in sorted({*old.python, *new.python}):
        before, after = (lock.python[scope].packages if scope in lock.python else {} for lock in (old, new))
        for name in {*before, *after}:
            if _differ(before.get(name), after.get(name)):
                versions = (
                    before[name].version if name in before else "",
                    after[name].version if name in after else "",
                )
                scopes.setdefault((name, *versions), []).append(scope)
    for (name, was, now), where in sorted(scopes.items()):
        layers = sorted({layer for scope in where for layer in held.get((scope, name), ())})
        yield Change(kind=ChangeKind.PYTHON, name=name, old=was, new=now, layers=tuple(layers), scopes=tuple(where))


def _differ(one: Package | None, other: Package | None) -> bool:
    return one is None or other is None or (one.version, one.hashes) != (other.version, other.hashes)


def _simple(kind: ChangeKind, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            layers = () if kind is ChangeKind.IMAGE else (name,)
            yield Change(kind=kind, name=name, old=old.get(name, ""), new=new.get(name, ""), layers=layers)


def changes_json(rows: Iterable[Change]) -> dict[str, object]:
    return {"format": 1, "changes": [asdict(row) for row in rows]}


def changes_table(rows: Sequence[Change]) -> str:
    """Columns of plain text, a heading above each kind; empty where nothing changed."""
    parts = []
    for kind, heading in _HEADINGS.items():
        cells = [_cells(row) for row in rows if row.kind is kind]
        if cells:
            parts.append(_columns([heading, *cells]))
    return "\n\n".join(parts)


_HEADINGS = {
    ChangeKind.PYTHON: ("PACKAGE", "OLD", "NEW", "LAYERS", "PYTHON"),
    ChangeKind.IMAGE: ("IMAGE", "OLD", "NEW"),
    ChangeKind.EPOCH: ("LAYER", "OLD EPOCH", "NEW EPOCH"),
    ChangeKind.REPOSITORY: ("REPOSITORY", "OLD COMMIT", "NEW COMMIT"),
}


def _cells(row: Change) -> tuple[str, ...]:
    old, new = (_short(text) or "-" for text in (row.old, row.new))
    if row.kind is not ChangeKind.PYTHON:
        return (row.name, old, new)
    new = "other files" if row.old == row.new else new
    return (row.name, old, new, ", ".join(row.layers) or "-", ", ".join(row.scopes))


def _short(text: str) -> str:
    """Digests and commits by their first digits."""
    return _LONG.sub(lambda match: match[0][: -len(match["rest"])], text)


def _columns(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)
