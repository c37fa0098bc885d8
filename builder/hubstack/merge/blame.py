"""Whose a conflict is: of all layers that are merged those two between which it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import product

from hubstack.merge.built import Built
from hubstack.merge.conflict import Cause, Conflict
from hubstack.merge.debian import Breach, breaches, known_as, versions
from hubstack.merge.entry import Index
from hubstack.merge.interest import TRIGGERS, Interest
from hubstack.merge.mergers import STATUS
from hubstack.merge.three_way import Part
from hubstack.reference import Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """Of the parts of one merge, which may be several layers each, the layers that are meant.

    ``nodes`` are all that are merged, ``tree`` tells what a node's image holds, and ``configs`` in what the configs of two nodes
    contradict each other. Methods give back what they were given, with those layers for its parts; ``own`` are each part's nodes
    that the others haven't, lowest first.
    """

    built: Mapping[Fingerprint, Built]
    nodes: Set[Fingerprint]
    tree: Callable[[Fingerprint], Index]
    configs: Callable[[Fingerprint, Fingerprint], Sequence[Conflict]]

    def by_path(self, conflict: Conflict) -> Conflict:
        """Which of a part's layers it is that have the path."""
        if not conflict.path:
            return conflict
        return named(conflict, {part: self._having(conflict.path, part) for part in conflict.parts})

    def by_configs(self, conflict: Conflict, own: Mapping[str, Sequence[Fingerprint]]) -> Conflict:
        """Which two layers it is whose configs don't go together, if it is two."""
        for one, other in product(*own.values()) if len(own) == 2 else ():
            if self.built[one].name and self.built[other].name:
                found = (pair for pair in self.configs(one, other) if is_the_same(pair, conflict))
                if (pair := next(found, None)) is not None:
                    return pair
        return conflict

    def by_packages(self, conflict: Conflict, own: Mapping[str, Sequence[Fingerprint]]) -> Conflict:
        """Which layers have changed the packages that it is about, or of a language's, the folder in which these stand."""
        if conflict.packages:
            found = {part: self._changing(conflict.packages, nodes) for part, nodes in own.items()}
        elif conflict.path and conflict.cause in {Cause.VERSION, Cause.RELATION}:
            found = {part: self._filling(conflict.path, nodes) for part, nodes in own.items()}
        else:
            return conflict
        conflict = named(conflict, {part: layers or part for part, layers in found.items()})
        return replace(conflict, parts=tuple(sorted(conflict.parts)))

    def of_interest(self, interest: Interest) -> Interest:
        host = self._having(TRIGGERS, interest.host) if interest.trigger else interest.host
        return replace(interest, host=host, guest=self._having(interest.path, interest.guest))

    def _having(self, path: str, part: str) -> str:
        """Those of a part's layers that have a path."""
        here = {self.built[node].name for node in self.nodes if path in self.built[node].index.entries}
        return "+".join(sorted(here.intersection(part.split("+")))) or part

    def _filling(self, folder: str, nodes: Sequence[Fingerprint]) -> str:
        """R's packages stand below /usr/local, too."""
        places = {folder, folder.replace("usr/", "usr/local/", 1)}
        return self._names(node for node in nodes if not places.isdisjoint(self.built[node].index.folders))

    def _changing(self, packages: Sequence[str], nodes: Sequence[Fingerprint]) -> str:
        return self._names(node for node in nodes if self._changes(packages, node))

    def _names(self, nodes: Iterator[Fingerprint]) -> str:
        return "+".join(sorted({self.built[node].name for node in nodes} - {""}))

    def _changes(self, packages: Sequence[str], node: Fingerprint) -> bool:
        """Whether a node has one in another version than all that it stands on."""
        if STATUS not in self.built[node].index.entries:
            return False
        tables = [versions(self.tree(one).contents.get(STATUS, b"")) for one in (node, *self.built[node].parents)]
        return any(all(one.get(name) != tables[0].get(name) for one in tables[1:]) for name in packages)


def named(conflict: Conflict, names: Mapping[str, str]) -> Conflict:
    """With other names for its parts, also in what is said of them; as many parts as before."""
    what = conflict.what
    for part in filter(None, names):
        pattern = rf"\b(of|in|by) {re.escape(part)}(?![\w+-])"  # layers' names have no backslashes
        what = re.sub(pattern, rf"\1 {names[part]}", what).replace(f"({part})", f"({names[part]})")
    return replace(conflict, parts=tuple(names.get(part, part) for part in conflict.parts), what=what)


def is_the_same(one: Conflict, other: Conflict) -> bool:
    """Whoever it is between."""
    return one.cause is other.cause and _anonymous(one) == _anonymous(other)


def _anonymous(conflict: Conflict) -> str:
    return named(conflict, dict.fromkeys(conflict.parts, "")).what


def relations(base: Index, parts: Sequence[Part], merged: Index) -> Iterator[Conflict]:
    """Relations between Debian's packages that hold in each part and not in all together; what two say of each other once."""
    status = merged.contents.get(STATUS, b"")
    if not (found := breaches(status)):
        return
    indexes = (base, *(part.index for part in parts if len(parts) == 2))  # of more, one may excuse what two others do
    known = {str(one) for index in indexes for one in breaches(index.contents.get(STATUS, b""))}
    for breach in found:
        if str(breach) not in known:
            yield _relation(breach, base, parts, status)


def _relation(breach: Breach, base: Index, parts: Sequence[Part], status: bytes) -> Conflict:
    before = [index.contents.get(STATUS, b"") for index in (base, *(part.index for part in parts))]
    gone = () if breach.others else sorted({name for one in before for name in known_as(one, breach.relation)})
    packages = (breach.package, *(breach.others or gone))
    there, had = versions(status), versions(before[0])
    changed = {
        name: "+".join(
            part.name
            for part in parts
            if versions(part.index.contents.get(STATUS, before[0])).get(name) != had.get(name)
        )
        for name in packages
    }
    said = [
        f"{name} {there[name]}{f' of {changed[name]}' if changed[name] else ''}" for name in packages if name in there
    ]
    what = f"{said[0]} has {breach.field}: {breach.relation}, which doesn't hold in both together"
    what += f", as {' and '.join(said[1:])} is there" if said[1:] else ", as nothing of that is left"
    return Conflict(
        parts=tuple(part.name for part in parts),
        path="",
        what=what,
        cause=Cause.RIVAL if breach.excludes else Cause.RELATION,
        packages=packages,
    )
