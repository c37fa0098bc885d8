"""Which nodes a merged image is made of, and what comes out.

Nodes are to a merge what commits are to git's: each says what it changes on top of its parents. Two of them are merged
with what both stand on as the ancestor; where that is several nodes, with what a merge makes of those (as git's recursive
strategy does). Of three or more, those of which any two have the same ancestor are merged at once; what some have in common
beyond it, they are merged on first.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import chain
from typing import Any

from hubstack.merge import npm, python, r
from hubstack.merge.abridged import whole
from hubstack.merge.blame import Blame, relations
from hubstack.merge.built import Built
from hubstack.merge.choice import decidable, put, put_whole, why_not
from hubstack.merge.config import merge_configs
from hubstack.merge.conflict import Cause, Conflict
from hubstack.merge.entry import GONE, Entry, Index, Kind, hides, is_opaque, overlay
from hubstack.merge.interest import Interest, diverted, interests, overridden
from hubstack.merge.noise import is_noise
from hubstack.merge.owner import strangers
from hubstack.merge.stacked import Stacked, among, stacked
from hubstack.merge.three_way import Part, merge
from hubstack.reference import Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """``nodes`` in stacking order; ``written`` is what the filesystem layer above them has to say.

    ``index`` is everything below the root, with the contents of what is written; ``config`` the config's object of that name.
    """

    nodes: tuple[Fingerprint, ...]
    index: Index
    written: Mapping[str, Entry]
    config: Mapping[str, Any]
    lost: Mapping[
        str, Fingerprint
    ]  # of what is written, that of which no index keeps the content → whose blobs have it
    conflicts: tuple[Conflict, ...]
    interests: tuple[Interest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """A node, or several merged: the whole tree. ``shared`` are the paths that stacking alone may get wrong; those ``anew``
    are right once the merge is settled. What is ``hidden`` in the stack is written again.
    """

    nodes: frozenset[Fingerprint]
    tree: Index
    config: Mapping[str, Any]
    shared: frozenset[str] = frozenset()
    anew: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    conflicts: tuple[Conflict, ...] = ()
    interests: tuple[Interest, ...] = ()
    parts: dict[Set[Fingerprint], Part] = field(default_factory=dict)  # by what is below them


_REMEMBERED = 12  # each keeps what several of its parts have: a few MB for 100,000 files


@dataclass(kw_only=True)
class Workshop:
    """Merges of some of ``built``, which holds with each node all that it stands on. What several merges need is made once, if
    those that begin with the same nodes, the biggest, come one after the other.
    """

    built: Mapping[Fingerprint, Built]
    _states: dict[tuple[Fingerprint, ...], _State] = field(default_factory=dict)

    def assemble(self, tops: Iterable[Fingerprint], resolve: Mapping[str, str] | None = None) -> Assembled:
        """What has all of ``tops`` in it; in whichever order they are named. ``resolve``: path → the layer whose version stands."""
        state = self._merged(self._sorted(tops))
        order = self.order(state.nodes)
        state = replace(state, conflicts=decidable(state.conflicts, lambda one: self._is_all(one, state.nodes)))
        state = self._resolved(state, order, resolve or {})
        written = dict(self._written(state, order))
        return Assembled(
            nodes=order,
            index=state.tree,
            written=written,
            config=state.config,
            lost=find_lost(state.tree, written, {node: self.built[node] for node in order}),
            conflicts=state.conflicts,
            interests=tuple(dict.fromkeys(state.interests)),
        )

    def _resolved(self, state: _State, order: Sequence[Fingerprint], resolve: Mapping[str, str]) -> _State:
        """With a person's word where there are conflicts about a path of which any side's version would do."""
        for path, layer in resolve.items():
            about = [one for one in state.conflicts if one.path == path]
            having = [node for node in reversed(order) if self.built[node].name == layer]
            there = next((node for node in having if path in self.built[node].index.entries), None)
            if about and there is not None and all(one.cause is Cause.PATH for one in about):
                rest = tuple(one for one in state.conflicts if one not in about)
                state = self._with(state, path, there, whole=any(one.whole for one in about))
                state = replace(state, conflicts=rest)
            elif about:
                why = "that has no such path" if there is None else why_not(about)
                said = f" (it can't be resolved by {layer}: {why})"
                again = (replace(one, what=one.what + said) if one in about else one for one in state.conflicts)
                state = replace(state, conflicts=tuple(again))
        return state

    def _with(self, state: _State, path: str, node: Fingerprint, *, whole: bool) -> _State:
        """The state with a path as ``node`` has it, and if it is about the ``whole`` of it, as its image has it."""
        if whole and self.built[node].index.entries[path].kind is Kind.DIRECTORY:
            tree, hidden = put_whole(state.tree, path, self.tree(node))
        elif whole:
            tree, hidden = put_whole(state.tree, path, self.built[node].index)
        else:
            tree, hidden = put(state.tree, path, self.built[node].index), frozenset()
        return replace(state, tree=tree, shared=state.shared | {path}, hidden=state.hidden | hidden)

    def _is_all(self, conflict: Conflict, nodes: Set[Fingerprint]) -> bool:
        """Whether whatever anybody has in a folder is below each of those between whom one may choose."""
        layers = {layer for part in conflict.parts for layer in part.split("+")}
        named = [node for node in nodes if self.built[node].name in layers]
        choices = [self._merged((node,)).nodes for node in named if conflict.path in self.built[node].index.entries]
        inside = {node for node in nodes if conflict.path in self.built[node].index.folders}
        return inside <= frozenset[Fingerprint].intersection(frozenset(nodes), *choices)

    def tree(self, node: Fingerprint) -> Index:
        """All that a node's image holds."""
        return self._merged((node,)).tree

    def _sorted(self, nodes: Iterable[Fingerprint]) -> tuple[Fingerprint, ...]:
        return tuple(sorted(nodes, key=self._weight))

    def _weight(self, node: Fingerprint) -> tuple[int, str, str]:
        """Big ones low, as many images share them; else it is by name."""
        return (-self.built[node].size_bytes, self.built[node].name, node)

    def order(self, nodes: Collection[Fingerprint]) -> tuple[Fingerprint, ...]:
        """The canonical order of filesystem layers: each node above what it stands on, and nothing else matters but these."""
        missing = {node: len(self.built[node].parents) for node in nodes}
        users: dict[Fingerprint, list[Fingerprint]] = {node: [] for node in nodes}
        for node in nodes:
            for parent in self.built[node].parents:
                users[parent].append(node)
        ready = [(self._weight(node), node) for node in nodes if not missing[node]]
        heapq.heapify(ready)
        order = []
        while ready:
            _, node = heapq.heappop(ready)
            order.append(node)
            for user in users[node]:
                missing[user] -= 1
                if not missing[user]:
                    heapq.heappush(ready, (self._weight(user), user))
        return tuple(order)

    # --- trees -------------------------------------------------------------------------------------------------------

    def _merged(self, tops: tuple[Fingerprint, ...]) -> _State:
        if tops in self._states:
            self._states[tops] = self._states.pop(tops)  # the last that may go
        elif len(tops) == 1:
            self._states[tops] = self._alone(tops[0])
        else:
            self._states[tops] = self._together(self._families(tops))
            joint = [one for one in self._states if len(one) > 1]
            for one in joint[:-_REMEMBERED]:
                del self._states[one]
        return self._states[tops]

    def _together(self, families: Sequence[tuple[Fingerprint, ...]]) -> _State:
        """All at once. Where they don't agree, two by two, to say which ones."""
        states = [self._merged(family) for family in families]
        together = self._join(states)
        if not together.conflicts or len(states) == 2:
            return together
        found = self._two_by_two(states)
        if any(one.cause is Cause.CONFIG for one in together.conflicts):
            return found
        rest = tuple(one for one in found.conflicts if one.cause is not Cause.CONFIG)  # two have an order of their own
        return replace(found, config=together.config, conflicts=rest)

    def _two_by_two(self, states: Sequence[_State]) -> _State:
        """Of many, halves are merged, so that no side is large for long."""
        if len(states) == 1:
            return states[0]
        half = len(states) - 1 if len(states) <= _FEW else len(states) // 2
        return self._join([self._two_by_two(states[:half]), self._two_by_two(states[half:])])

    def _families(self, tops: tuple[Fingerprint, ...]) -> Sequence[tuple[Fingerprint, ...]]:
        """Any two of which share no more than all of them share. Where that is one only, the last is split off."""
        nodes = {top: self._merged((top,)).nodes for top in tops}
        common = frozenset[Fingerprint].intersection(*nodes.values())
        families: list[tuple[Fingerprint, ...]] = []
        for top in tops:
            near = [one for one in families if any(nodes[top] & nodes[other] > common for other in one)]
            families = [one for one in families if one not in near]
            families.append(tuple(sorted((*chain(*near), top), key=tops.index)))
        if len(families) == 1:
            return (tops[:-1], tops[-1:])
        return sorted(families, key=lambda family: tops.index(family[0]))

    def _alone(self, node: Fingerprint) -> _State:
        """As it was built: a merge's own filesystem layers stand on all that it merges, in their order."""
        one = self.built[node]
        below = [self._merged((parent,)) for parent in one.parents]
        if len(below) == 1:
            tree = below[0].tree
        else:
            nodes = frozenset[Fingerprint]().union(*(state.nodes for state in below))
            tree = reduce(overlay, (self.built[name].index for name in self.order(nodes)), Index(entries={}))
        nodes = frozenset((node,)).union(*(state.nodes for state in below))
        return _State(nodes=nodes, tree=overlay(tree, one.index), config=one.config)

    def _join(self, states: Sequence[_State]) -> _State:
        """Any two of ``states`` have the same nodes in common."""
        nodes = frozenset[Fingerprint]().union(*(state.nodes for state in states))
        common = frozenset[Fingerprint].intersection(*(state.nodes for state in states))
        base = self._merged(self._sorted(self._highest(common))) if common else _NOTHING
        parts = [self._part(state, common) for state in states]
        merged = merge(base.tree, parts)
        config, odd = merge_configs(
            base.config, [(part.name, state.config) for part, state in zip(parts, states, strict=True)]
        )
        blame = Blame(built=self.built, nodes=nodes, tree=self.tree, configs=self._configs)
        found = [blame.by_path(one) for one in merged.conflicts]
        of_packages = readable(base.tree, parts, merged.index)
        if odd or of_packages:
            own = {part.name: self._own(state, common) for part, state in zip(parts, states, strict=True)}
            found += [blame.by_configs(one, own) for one in odd]
            found += [blame.by_packages(one, own) for one in of_packages]
        found = [self._settled(one, nodes) for one in found]
        interests = (blame.of_interest(one) for one in _interests(base.tree, parts))
        return _State(
            nodes=nodes,
            tree=overlay(base.tree, merged.index),
            config=config,
            shared=frozenset(merged.shared).union(merged.written, *(state.shared for state in states)),
            anew=frozenset(merged.anew).union(*(state.anew for state in states)),
            conflicts=(*chain(*(state.conflicts for state in states)), *found),
            interests=(*chain(*(state.interests for state in states)), *interests),
        )

    def _highest(self, nodes: Set[Fingerprint]) -> Iterator[Fingerprint]:
        """Those on which none of the others stands."""
        below = {parent for node in nodes for parent in self.built[node].parents}
        return (node for node in nodes if node not in below)

    def _part(self, state: _State, common: Set[Fingerprint]) -> Part:
        """What a state has that is not below both, as one part."""
        if common not in state.parts:
            state.parts[common] = self._make_part(state, common)
        return state.parts[common]

    def _own(self, state: _State, common: Set[Fingerprint]) -> Sequence[Fingerprint]:
        return [node for node in self.order(state.nodes) if node not in common]

    def _make_part(self, state: _State, common: Set[Fingerprint]) -> Part:
        own = [self.built[node] for node in self._own(state, common)]
        tree = stacked(state.tree.entries)
        said = set[str]().union(*(one.index.opaque for one in own))
        several = state.shared.union(*(among(one.index.entries, tree.over.keys()) for one in own)) & tree.over.keys()
        said |= {path for path in several if any(hides(one.index.entries.get(path, _FOLDER)) for one in own)}
        over = {path: tree.over[path] if path in said else plain(tree.over[path]) for path in several}
        entries = Stacked(tuple(one.index.entries for one in own), over, tree.gone)
        contents = {path: content for path, content in state.tree.contents.items() if path in entries}
        rest = state.shared.difference(*(one.index.entries for one in own)) & over.keys()
        pieces = [*(one.index for one in own), Index(entries={path: over[path] for path in rest})]
        name = "+".join(sorted({one.name for one in own} - {""}))
        return Part(name=name, index=Index(entries=entries, contents=contents, pieces=pieces))

    def _configs(self, one: Fingerprint, other: Fingerprint) -> Sequence[Conflict]:
        """What the configs of two nodes contradict each other in."""
        common = self._merged((one,)).nodes & self._merged((other,)).nodes
        base = self._merged(self._sorted(self._highest(common))) if common else _NOTHING
        parts = [(self.built[node].name, self.built[node].config) for node in (one, other)]
        return merge_configs(base.config, parts)[1]

    def _settled(self, conflict: Conflict, nodes: Set[Fingerprint]) -> Conflict:
        """What a merge has written, or was settled in it, is true only in whole: no side's version would do."""
        merges = (self.built[node].index.entries for node in nodes if not self.built[node].name)
        said = (
            entries.get(conflict.path, _FOLDER) for entries in merges
        )  # its folders are there for what stands in them
        whole = conflict.cause is Cause.PATH and any(entry.kind is not Kind.DIRECTORY for entry in said)
        return replace(conflict, cause=Cause.DATABASE) if whole else conflict

    # --- what stacking gets wrong --------------------------------------------------------------------------------------

    def _written(self, state: _State, order: Sequence[Fingerprint]) -> Iterator[tuple[str, Entry]]:
        tops = dict[str, Entry]()
        for layer in (self.built[node].index.entries for node in reversed(order)):
            tops |= {path: layer[path] for path in among(layer, state.shared - tops.keys())}
        for path in sorted((state.shared - state.anew) | state.hidden):
            top, wanted = tops.get(path, GONE), state.tree.entries.get(path, GONE)
            if path in state.hidden:
                yield path, wanted
                continue
            if wanted == top or plain(wanted) == plain(top):
                continue
            if not is_noise(path) or wanted == GONE:
                yield path, plain(wanted)


_FEW = 8
_FOLDER = Entry(kind=Kind.DIRECTORY)
_NOTHING = _State(nodes=frozenset(), tree=Index(entries={}), config={})


def plain(entry: Entry) -> Entry:
    """Of a folder that was made anew only the folder: what stood in it is gone below already."""
    return entry._replace(content="") if is_opaque(entry) else entry


def find_lost(
    tree: Index, written: Mapping[str, Entry], nodes: Mapping[Fingerprint, Built]
) -> Mapping[str, Fingerprint]:
    """Of what is to be written, what has to be read from a blob. A device has no content, and is one nowhere else."""
    return {
        path: next(node for node, one in nodes.items() if plain(one.index.entries.get(path, GONE)) == entry)
        for path, entry in written.items()
        if entry.kind is Kind.FILE and whole(path, tree, {}) is None
    }


def _indexes(parts: Sequence[Part]) -> Mapping[str, Index]:
    return {part.name: part.index for part in parts}


def _interests(base: Index, parts: Sequence[Part]) -> Iterator[Interest]:
    return interests(base, _indexes(parts))


def between(base: Index, parts: Sequence[Part], merged: Index) -> list[Conflict]:
    """What no path shows: packages that exclude each other, or that would have changed each other's files."""
    indexes = _indexes(parts)
    return [
        *diverted(base, indexes),
        *overridden(base, indexes),
        *python.clashes(base, indexes, merged),
        *python.stale(base, indexes),
        *r.clashes(base, indexes, merged),
        *npm.clashes(base, indexes),
        *strangers(base, indexes),
        *relations(base, parts, merged),
    ]


def readable(base: Index, parts: Sequence[Part], merged: Index) -> list[Conflict]:
    """As ``between``; databases that can't be read are a conflict."""
    try:
        return between(base, parts, merged)
    except (ValueError, LookupError) as fault:
        names = tuple(part.name for part in parts)
        return [Conflict(parts=names, path="", what=f"have a database that can't be read ({fault!r})")]
