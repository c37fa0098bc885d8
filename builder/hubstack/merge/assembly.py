"""Which nodes an image is put together from, and what comes out.

The lines of nodes of the wanted layers are a tree: they begin with the same base, and part. What stands above a common
node is merged with that node as the ancestor; the branch that comes out of this is then one part of the merge below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from hubstack.merge import npm, python, r
from hubstack.merge.config import merge_configs
from hubstack.merge.conflict import Conflict
from hubstack.merge.debian import breaches
from hubstack.merge.entry import Entry, Index, overlay
from hubstack.merge.interest import interests
from hubstack.merge.mergers import STATUS
from hubstack.merge.owner import strangers
from hubstack.merge.pam import unmerged_profiles
from hubstack.merge.three_way import Part, merge


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A node as it is in the registry: what it changes, the ``config`` object of its image, its size for the order."""

    name: str
    index: Index
    config: Mapping[str, Any]
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """``nodes`` in stacking order; ``written`` is what the filesystem layer above them has to say.

    ``index`` is everything below the root, with the contents of what is written; ``config`` the config's object of that name.
    """

    nodes: tuple[str, ...]
    index: Index
    written: Mapping[str, Entry]
    config: Mapping[str, Any]
    conflicts: tuple[Conflict, ...]


def assemble(lines: Iterable[Sequence[str]], built: Mapping[str, Built]) -> Assembled:
    """``lines`` are the lineages of the wanted nodes, lowest node first; all begin with the same base."""
    tails = [tuple(line) for line in lines]
    stem = _common(tails)
    base = reduce(overlay, (built[node].index for node in stem))
    above = _grow(base, built[stem[-1]].config, [line[len(stem) :] for line in tails], built)
    return Assembled(
        nodes=(*stem, *above.nodes),
        index=overlay(base, above.index),
        written=above.written,
        config=above.config,
        conflicts=above.conflicts,
    )


def _common(lines: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    stem = []
    for nodes in zip(*lines, strict=False):
        if len(set(nodes)) > 1:
            break
        stem.append(nodes[0])
    return tuple(stem)


def _grow(
    base: Index, config: Mapping[str, Any], lines: Sequence[tuple[str, ...]], built: Mapping[str, Built]
) -> Assembled:
    """What stands on ``base``; its index is relative to that."""
    branches: dict[str, list[tuple[str, ...]]] = {}
    for line in lines:
        if line:
            branches.setdefault(line[0], []).append(line[1:])
    order = sorted(branches, key=lambda node: (-built[node].size_bytes, node))  # the big ones low, as nodes share them
    grown = [_branch(base, node, branches[node], built) for node in order]
    names = ["+".join(sorted({built[node].name for node in branch.nodes})) for branch in grown]
    parts = [Part(name=name, index=branch.index) for name, branch in zip(names, grown, strict=True)]
    merged = merge(base, parts)
    joint, odd = merge_configs(config, [(name, one.config) for name, one in zip(names, grown, strict=True)])
    found = [conflict for branch in grown for conflict in branch.conflicts] + [*merged.conflicts, *odd]
    if len(parts) > 1:
        found += _between(base, parts, merged.index)
    return Assembled(
        nodes=tuple(node for branch in grown for node in branch.nodes),
        index=merged.index,
        written={path: entry for branch in grown for path, entry in branch.written.items()} | dict(merged.written),
        config=joint,
        conflicts=tuple(found),
    )


def _branch(base: Index, node: str, lines: Sequence[tuple[str, ...]], built: Mapping[str, Built]) -> Assembled:
    """A node and what stands on it."""
    own = built[node]
    above = _grow(overlay(base, own.index), own.config, lines, built)
    return Assembled(
        nodes=(node, *above.nodes),
        index=overlay(own.index, above.index),
        written=above.written,
        config=above.config,
        conflicts=above.conflicts,
    )


def _between(base: Index, parts: Sequence[Part], merged: Index) -> list[Conflict]:
    """What no path shows: packages that exclude each other, or act on each other."""
    indexes = {part.name: part.index for part in parts}
    return [
        *interests(base, indexes),
        *python.clashes(base, indexes, merged),
        *python.stale(base, indexes),
        *r.clashes(base, indexes, merged),
        *npm.clashes(base, indexes),
        *strangers(base, indexes),
        *unmerged_profiles(base, indexes),
        *_breaches(base, parts, merged),
    ]


def _breaches(base: Index, parts: Sequence[Part], merged: Index) -> list[Conflict]:
    """Relations between packages that hold in each part and not in all together."""
    if STATUS not in merged.contents:
        return []
    known = {
        str(one)
        for index in (base, *(part.index for part in parts))
        for one in breaches(index.contents.get(STATUS, b""))
    }
    names = tuple(part.name for part in parts)
    return [
        Conflict(parts=names, path="", what=f"{breach} doesn't hold in both together")
        for breach in breaches(merged.contents[STATUS])
        if str(breach) not in known
    ]
