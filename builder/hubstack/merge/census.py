"""Which users and groups built nodes have made: what the ledger of ids is filled from.

Read from the indexes that merging keeps beside nodes, of each node's newest build in the registry, and here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from hubstack.lock.ledger import is_dynamic
from hubstack.merge.entry import Index
from hubstack.merge.shelf import Shelf, Source
from hubstack.model import Graph
from hubstack.record import MEDIA_TYPE as RECORD
from hubstack.record import Record, parse_record
from hubstack.reference import Fingerprint, ImageRef

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\$?")
_TABLES = ("etc/passwd", "etc/group")


@dataclass(kw_only=True)
class Census:
    """With ``thorough`` a node without an index is read from its blobs; without it, it is left out."""

    shelf: Shelf
    thorough: bool = False
    _known: dict[Fingerprint, frozenset[str] | None] = field(default_factory=dict)

    def made(self, graph: Graph) -> Mapping[str, frozenset[str]]:
        """Layer → the accounts that its nodes have and those below them don't, as far as that is known."""
        found: dict[str, frozenset[str]] = {}
        for node in graph.nodes.values():
            makes = bool(node.parents) and not node.is_merge
            for record in self._last(node.id) if makes else ():
                if names := self._own(record):
                    found[node.layer] = found.get(node.layer, frozenset()) | names
        return found

    def _last(self, node: str) -> Iterator[Record]:
        yield from self._here(self.shelf.store.records([node]).values())
        if (record := self._record(self.shelf.names.last(node))) is not None:
            yield record

    def _of(self, fingerprint: Fingerprint) -> Record | None:
        here = self._here(self.shelf.store.recorded([fingerprint]).values())
        return next(here, None) or self._record(self.shelf.names.record(fingerprint))

    def _here(self, records: Iterable[Record]) -> Iterator[Record]:
        """Those of which the image is here, too: it may have been discarded."""
        return (one for one in records if self.shelf.store.part(one.fingerprint) is not None)

    def _own(self, record: Record) -> frozenset[str]:
        here, below = self._accounts(record.fingerprint), self._below(record)
        return frozenset() if here is None or below is None else here - below

    def _below(self, record: Record) -> frozenset[str] | None:
        known = [self._accounts(parent) for parent in _parents(record)]
        there = [one for one in known if one is not None]
        return frozenset[str]().union(*there) if len(there) == len(known) else None

    def _accounts(self, fingerprint: Fingerprint) -> frozenset[str] | None:
        """Those with dynamic ids in a node's image; None where that isn't known."""
        if fingerprint not in self._known:
            record = self._of(fingerprint)
            self._known[fingerprint] = self._read(record) if record is not None else None
        return self._known[fingerprint]

    def _read(self, record: Record) -> frozenset[str] | None:
        below = self._below(record)
        index = self._index(record) if below is not None else None
        if below is None or index is None:
            return None
        return below.union(*(accounts(index.contents.get(table, b"")) for table in _TABLES))

    def _index(self, record: Record) -> Index | None:
        found = self.shelf.look(record.fingerprint)
        if found is None and self.thorough:
            thorough = replace(self.shelf, sources=self._sources(record))
            found = thorough.take([record.fingerprint], {})[record.fingerprint]
        return found.index if found is not None else None

    def _sources(self, record: Record) -> dict[Fingerprint, Source]:
        """What is needed to look into the blobs of a node and of all below it."""
        found = {
            one: source
            for parent in _parents(record)
            if (below := self._of(parent)) is not None
            for one, source in self._sources(below).items()
        }
        parents = tuple(sorted(_parents(record)))
        return {**found, record.fingerprint: Source(name=record.node.rpartition("-")[0], parents=parents)}

    def _record(self, ref: ImageRef) -> Record | None:
        return parse_record(self.shelf.registry.read_record(ref, artifact_type=RECORD))


def accounts(table: bytes) -> Iterator[str]:
    """The names in a passwd(5) or group(5) whose ids are dynamic, as far as useradd(8) would take them: whatever an image
    has in there becomes a line of the lock.
    """
    for line in table.decode(errors="replace").splitlines():
        name, *fields = line.split(":")
        if len(fields) > 1 and is_dynamic(fields[1]) and _NAME.fullmatch(name):
            yield name


def _parents(record: Record) -> list[Fingerprint]:
    return [Fingerprint(fact.value) for fact in record.facts if fact.kind == "parent"]
