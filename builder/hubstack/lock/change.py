"""What an update changed, for people: two locks → rows of a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TypeAlias

from hubstack.lock import Lock, Slices
from hubstack.lock.generation import Generation
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
    ID = "id"
    DEBIAN = "debian"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """``old`` is empty for what is new, ``new`` for what is gone; they are equal where only a package's files changed."""

    kind: ChangeKind
    name: str
    old: str
    new: str
    layers: tuple[str, ...] = ()  # whose nodes are built again because of it, as far as that is known
    scopes: tuple[str, ...] = ()  # "3.13", "3.13 jupyterlab=4.5", "debian release=trixie"; of packages


def holders(graph: Graph, slices: Slices) -> Holders:
    found: dict[tuple[str, str], set[str]] = {}
    for node, pins in slices.pins.items():
        for pin in pins:
            found.setdefault((str(slices.scopes[node]), pin.name), set()).add(graph.nodes[node].layer)
    return {key: tuple(sorted(layers)) for key, layers in found.items()}


def changes(old: Lock, new: Lock, held: Holders | None = None) -> tuple[Change, ...]:
    """Python packages first, then the other sections, each by name. Without ``held`` the former name no layers."""
    return (
        *_packages(old, new, held or {}),
        *_simple(ChangeKind.IMAGE, old.images, new.images),
        *_simple(ChangeKind.EPOCH, old.epochs, new.epochs),
        *_simple(ChangeKind.REPOSITORY, _revisions(old), _revisions(new)),
        *_ids(old, new),
        *_debian(old, new),
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


def _ids(old: Lock, new: Lock) -> Iterator[Change]:
    for name in sorted({*old.ids, *new.ids}):
        before, after = old.ids.get(name), new.ids.get(name)
        if before != after:
            was, now = (str(one.id) if one else "" for one in (before, after))
            yield Change(kind=ChangeKind.ID, name=name, old=was, new=now, layers=after.layers if after else ())


def _debian(old: Lock, new: Lock) -> Iterator[Change]:
    """A generation that is all new is one row: it has hundreds of packages."""
    moves: dict[tuple[str, str, str], tuple[set[str], list[str]]] = {}
    for scope in sorted({*old.debian, *new.debian}):
        before, after = old.debian.get(scope, ()), new.debian.get(scope, ())
        if not before or not after:
            was, now = (str(len(some)) if some else "" for some in (before, after))
            yield Change(kind=ChangeKind.DEBIAN, name=f"all of {scope}", old=was, new=now)
            continue
        for name, was, now, layers in _moved(before, after):
            known, where = moves.setdefault((name, was, now), (set(), []))
            known.update(layers)
            where.append(scope)
    for (name, was, now), (known, where) in sorted(moves.items()):
        scopes, holding = tuple(where), tuple(sorted(known))
        yield Change(kind=ChangeKind.DEBIAN, name=name, old=was, new=now, layers=holding, scopes=scopes)


def _moved(before: Generation, after: Generation) -> Iterator[tuple[str, str, str, frozenset[str]]]:
    """Packages whose versions, or the layers that bring them, changed; with the layers that have another one now."""
    was, now = _by_name(before), _by_name(after)
    for name in sorted({*was, *now}):
        here, there = was.get(name, frozenset()), now.get(name, frozenset())
        if here != there:
            versions = (", ".join(sorted({version for version, _ in some})) for some in (here, there))
            layers = frozenset(one.partition("[")[0] for _, one in here ^ there)
            yield name, next(versions), next(versions), layers


def _by_name(generation: Generation) -> Mapping[str, frozenset[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {}
    for deb in generation:
        found.setdefault(deb.name, set()).update((deb.version, one) for one in deb.bringers)
    return {name: frozenset(some) for name, some in found.items()}


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
    ChangeKind.ID: ("USER OR GROUP", "OLD ID", "NEW ID", "LAYERS"),
    ChangeKind.DEBIAN: ("DEBIAN PACKAGE", "OLD", "NEW", "LAYERS", "BASE"),
}


def _cells(row: Change) -> tuple[str, ...]:
    old, new = (_short(text) or "-" for text in (row.old, row.new))
    layers, scopes = (", ".join(some) or "-" for some in (row.layers, row.scopes))
    if row.kind in (ChangeKind.PYTHON, ChangeKind.DEBIAN):
        same = "other files" if row.kind is ChangeKind.PYTHON else "other layers"
        return (row.name, old, same if row.old == row.new else new, layers, scopes)
    return (row.name, old, new, layers) if row.kind is ChangeKind.ID else (row.name, old, new)


def _short(text: str) -> str:
    """Digests and commits by their first digits."""
    return _LONG.sub(lambda match: match[0][: -len(match["rest"])], text)


def _columns(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)
