"""A merged image beside two chains of the same layers: file trees and configs, without a container.

What a program answers is a function of these, so trees that are equal but for the order of databases need not be asked. The
chains may differ from each other too, so what a merged image is, it must be like one of them. Dates are not compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hubstack.certificate.form import holds, same
from hubstack.merge.assembly import plain
from hubstack.merge.entry import GONE, Entry, Index, Kind
from hubstack.merge.mergers import STATUS, is_database
from hubstack.merge.mergers.stanza import by_key
from hubstack.merge.noise import is_noise
from hubstack.merge.stacked import different
from hubstack.names import FINGERPRINT_LABEL, SETTLED_LABEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """``config`` is the object of that name in the image's config."""

    index: Index
    config: Mapping[str, Any]

    @property
    def packages(self) -> Mapping[tuple[str, ...], str]:
        """(name, architecture) → version."""
        stanzas = by_key(self.index.contents.get(STATUS, b""), "Package", "Architecture")
        return {key: stanza.get("Version", "").strip() for key, stanza in stanzas.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """``only`` are packages that just the merged image has; ``paths`` counts its files, folders and links."""

    differences: tuple[str, ...]
    only: tuple[str, ...]
    paths: int


def compare(merged: Tree, chains: Sequence[Tree]) -> Comparison:
    """The merged image is to be in every path what one of those chains is that have its packages, and to have whatever any
    chain has. Where none has its packages, it is compared in what all chains have alike.
    """
    alike = [chain for chain in chains if chain.packages == merged.packages]
    if alike:
        found, only = [*_lost(merged, chains), *_missing(merged, chains), *_paths(merged, alike)], set[str]()
    else:
        found = [*_lost(merged, chains), *_common(merged, chains)]
        only = {
            name for name, _ in merged.packages.keys() - set[tuple[str, ...]]().union(*(one.packages for one in chains))
        }
    return Comparison(
        differences=tuple(dict.fromkeys((*found, *_configs(merged, chains)))),
        only=tuple(sorted(only)),
        paths=_count(merged.index),
    )


def _missing(merged: Tree, chains: Sequence[Tree]) -> Iterator[str]:
    """What one chain has and another has not comes of the order, but a merged image is to have it."""
    some = set[str]().union(*(different(merged.index.entries, chain.index.entries) for chain in chains))
    for path in sorted(some):
        there = [_has(chain.index, path) for chain in chains]
        if not _has(merged.index, path) and any(there) and not all(there) and not is_noise(path):
            yield _said(path, merged, chains)


def _paths(merged: Tree, chains: Sequence[Tree]) -> Iterator[str]:
    """Where the merged tree is like none of ``chains``."""
    for path in sorted(_unlike(merged, chains[0]).intersection(*(_unlike(merged, one) for one in chains[1:]))):
        yield _said(path, merged, chains)


def _common(merged: Tree, chains: Sequence[Tree]) -> Iterator[str]:
    """Where the merged tree is not what all chains are. Databases are of all packages: of these it has to hold what all hold."""
    first, *others = chains
    differ = set[str]().union(*(_unlike(first, other) for other in others))
    for path in sorted(_unlike(first, merged) - differ):
        if _has(first.index, path) and not (is_database(path) and _holds(path, merged, chains)):
            yield _said(path, merged, chains[:1])


def _has(index: Index, path: str) -> bool:
    """A whiteout is an entry, too."""
    return index.entries.get(path, GONE) != GONE


def _count(index: Index) -> int:
    return sum(entry != GONE for entry in index.entries.values())


def _unlike(one: Tree, other: Tree) -> set[str]:
    changed = different(one.index.entries, other.index.entries)
    return {path for path in changed if not is_noise(path) and not _alike(path, one.index, other.index)}


def _alike(path: str, one: Index, other: Index) -> bool:
    mine, theirs = (plain(index.entries.get(path, GONE)) for index in (one, other))
    if mine == theirs:
        return True
    if mine._replace(content="", size=0) != theirs._replace(content="", size=0) or mine.kind is not Kind.FILE:
        return False
    contents = [index.contents.get(path) for index in (one, other)]
    return None not in contents and same(path, *contents)  # type: ignore[arg-type]  # None was just excluded


def _holds(path: str, merged: Tree, chains: Sequence[Tree]) -> bool:
    whole, *parts = (tree.index.contents.get(path) for tree in (merged, *chains))
    return whole is not None and None not in parts and holds(path, whole, [part for part in parts if part is not None])


def _lost(merged: Tree, chains: Sequence[Tree]) -> Iterator[str]:
    there = merged.packages
    for chain in chains:
        for key, version in sorted(chain.packages.items()):
            if there.get(key) != version:
                yield f"{key[0]} is {there.get(key, 'missing')}, and {version} in a chain"


def _configs(merged: Tree, chains: Sequence[Tree]) -> Iterator[str]:
    mine, theirs = _fields(merged.config), [_fields(chain.config) for chain in chains]
    for name in sorted(mine.keys() | set[str]().union(*theirs)):
        if all(mine.get(name) != one.get(name) for one in theirs):
            yield f"{name} of the config is {mine.get(name)!r}, and {theirs[0].get(name)!r} in a chain"


def _fields(config: Mapping[str, Any]) -> dict[str, object]:
    """Field by field, variable by variable, without what hubstack notes of how the image was made."""
    found = {name: value for name, value in config.items() if value and name not in {"Labels", "Env"}}
    found |= {f"variable {name}": value for name, _, value in (one.partition("=") for one in config.get("Env") or ())}
    labels = (config.get("Labels") or {}).items()
    return found | {f"label {name}": value for name, value in labels if name not in {FINGERPRINT_LABEL, SETTLED_LABEL}}


def _said(path: str, merged: Tree, chains: Sequence[Tree]) -> str:
    theirs = dict.fromkeys(_described(path, chain.index) for chain in chains)
    return f"/{path} is {_described(path, merged.index)}, and {' or '.join(theirs)} in a chain"


def _described(path: str, index: Index) -> str:
    entry: Entry = index.entries.get(path, GONE)
    if entry.kind is Kind.WHITEOUT:
        return "missing"
    owner = f"{entry.mode:04o} {entry.uid}:{entry.gid}"
    match entry.kind:
        case Kind.FILE:
            return f"a file ({owner}, {entry.size} bytes, {entry.content[:12]})"
        case Kind.LINK:
            return f"a link to {entry.content}"
        case _:
            return f"a {entry.kind} ({owner})"
