"""Files that several of a merge's nodes hold alike. That is no conflict, but each holds the bytes: a layer below both would hold
them once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from hubstack.merge.built import Built
from hubstack.merge.entry import Entry, Kind
from hubstack.merge.stacked import shared
from hubstack.reference import Fingerprint
from hubstack.spelling import enumerate_words

WORTH_BYTES = 10**7  # less than that is not worth a word


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """``size_bytes`` are those of files, not compressed, that are held once more than needed; ``path`` is the biggest."""

    size_bytes: int
    files: int
    path: str
    layers: tuple[str, ...]  # that have ``path``

    def __str__(self) -> str:
        files = "1 file is" if self.files == 1 else f"{self.files:,} files are"
        some = [*self.layers[:3], *([f"{len(self.layers) - 3} more"] if len(self.layers) > 3 else [])]
        most = f"/{self.path} of {enumerate_words(some, 'and')}"
        what = most if self.files == 1 else f"{most} the biggest"
        once = "A layer that all of them require would hold that once"
        return f"{files} there more than once, {self.size_bytes / 1e6:.0f} MB too much: {what}. {once}"


def repeated(nodes: Sequence[Fingerprint], built: Mapping[Fingerprint, Built]) -> Repeat | None:
    """Of ``nodes``, parents first. None where it is less than ``WORTH_BYTES``. What a node repeats of those that it stands on
    is not looked at.
    """
    below: dict[Fingerprint, Set[Fingerprint]] = {}
    again: dict[str, list[Fingerprint]] = {}  # path → who has it too
    size_bytes = 0
    for number, node in enumerate(nodes):
        parents = built[node].parents  # a moved one has left its own, which may not be here
        below[node] = frozenset(parents).union(*(below.get(parent, ()) for parent in parents))
        beside = [one for one in nodes[:number] if one not in below[node] and built[one].name and built[node].name]
        alike = [(one, _alike(built[one].index.entries, built[node].index.entries)) for one in beside]
        for path in set[str]().union(*(paths for _, paths in alike)):
            size_bytes += built[node].index.entries[path].size
            again.setdefault(path, [next(one for one, paths in alike if path in paths)]).append(node)
    if size_bytes < WORTH_BYTES:
        return None
    path = min(again, key=lambda one: (-built[again[one][0]].index.entries[one].size, one))
    layers = tuple(sorted(built[one].name for one in again[path]))
    return Repeat(size_bytes=size_bytes, files=len(again), path=path, layers=layers)


def _alike(one: Mapping[str, Entry], other: Mapping[str, Entry]) -> set[str]:
    both = ((path, one[path]) for path in shared(one, other))
    return {path for path, entry in both if entry.kind is Kind.FILE and entry.size and entry == other[path]}
