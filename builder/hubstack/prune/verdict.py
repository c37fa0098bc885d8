"""What is needed of what the registry holds, and why; the rest are candidates.

Pure, and on the side of keeping: a name that hubstack doesn't know keeps what it names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hubstack.prune.need import Needs
from hubstack.prune.survey import Held, Kind, Tag
from hubstack.reference import Digest

TREE = "this tree"
NAMED = "a ConfigMap or a server"
UNKNOWN = "a channel, or a name that hubstack doesn't know"
BELONGS = "belongs to what is kept"
STRANGE = "another image than its name says"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    kept: Mapping[str, str]  # Held.name → why
    digests: frozenset[Digest]  # of everything kept, platforms of indexes included
    candidates: tuple[Held, ...]


@dataclass
class _Keeping:
    """Grows until nothing more belongs to it: what is kept keeps what belongs to it, in other repositories as well."""

    needs: Needs
    kept: dict[str, str] = field(default_factory=dict)
    digests: set[Digest] = field(default_factory=set)
    fingerprints: set[str] = field(default_factory=set)

    def keep(self, one: Held, why: str) -> None:
        self.kept[one.name] = why
        self.digests |= {one.digest, *one.parts}
        self.fingerprints |= {*one.fingerprints, *(tag.about for tag in one.tags if tag.kind is Kind.NODE)}

    def why(self, one: Held) -> str:
        """Empty: nothing known so far needs it."""
        for tag in one.tags:
            if reason := self._why_tag(one, tag):
                return reason
        if not self.needs.digests.isdisjoint((one.digest, *one.parts, *one.configs)):
            return NAMED
        if one.digest in self.digests:
            return BELONGS
        if any(tag.kind is Kind.PUBLISHED and tag.about not in one.stated for tag in one.tags):
            return STRANGE
        return ""

    def _why_tag(self, one: Held, tag: Tag) -> str:
        if (one.repository.repository, tag.name) in self.needs.tags:
            return TREE if tag.kind in {Kind.LAST, Kind.PUBLISHED} else NAMED
        match tag.kind:
            case Kind.OTHER:
                return UNKNOWN
            case Kind.ATTACHED:
                belongs = f"sha256:{tag.about}" in self.digests
            case Kind.CERTIFICATE:
                belongs = bool(one.certified) and self.digests.issuperset(one.certified)
            case Kind.PUBLISHED:
                return TREE if one.fingerprints and self.needs.fingerprints.issuperset(one.fingerprints) else ""
            case Kind.NODE | Kind.TESTED | Kind.RECORD if tag.about in self.needs.fingerprints:
                return TREE
            case _:
                belongs = tag.about in self.fingerprints and tag.kind is not Kind.LAST
        return BELONGS if belongs else ""


def judge(held: Sequence[Held], needs: Needs) -> Verdict:
    keeping = _Keeping(needs=needs, digests=set(needs.digests))
    waiting = list(held)
    while True:
        found = [(one, why) for one in waiting if (why := keeping.why(one))]
        if not found:
            break
        for one, why in found:
            keeping.keep(one, why)
        waiting = [one for one in waiting if one.name not in keeping.kept]
    return Verdict(kept=keeping.kept, digests=frozenset(keeping.digests), candidates=tuple(waiting))
