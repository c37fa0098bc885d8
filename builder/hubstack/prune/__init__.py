"""Removing from the registry what nobody needs, in two steps some days apart.

The first run that finds something unneeded marks it, in the registry. A later run, by then at least ``keep`` later, that
finds it marked and still unneeded deletes it; what has become needed in between loses its mark. So what is younger than
that is never deleted, without a registry having to tell how old anything is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from hubstack.errors import UsageError
from hubstack.names import Names
from hubstack.prune.need import Needs
from hubstack.prune.survey import MARKS, Held, Kind, take
from hubstack.prune.verdict import Verdict, judge
from hubstack.publish import Remote
from hubstack.reference import Fingerprint, ImageRef
from hubstack.registry import Registry

MEDIA_TYPE = "application/vnd.hubstack.prune.v1+json"
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"


class State(StrEnum):
    UNMARKED = "unneeded"
    MARKED = "marked"
    DUE = "due"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A manifest that nothing needs. ``since`` is when it was marked."""

    held: Held
    state: State
    since: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Pruned:
    rows: tuple[Row, ...]
    kept: Mapping[str, str]  # manifest → why


@dataclass(frozen=True, kw_only=True)
class Pruner:
    """``nodes`` are this tree's: the newest record of each names a fingerprint that perhaps a younger run has built."""

    registry: Registry
    names: Names
    repositories: Sequence[ImageRef]
    needs: Needs
    nodes: Sequence[str]
    channels: Sequence[ImageRef]  # asked for one by one: a registry's list of tags may lag behind

    def look(self, now: datetime, keep: timedelta) -> Pruned:
        """What nothing needs now. Nothing is changed."""
        verdict, marks = self._judge(), self._marks()
        rows = tuple(self._row(one, marks.get(one.name), now - keep) for one in verdict.candidates)
        return Pruned(rows=rows, kept=verdict.kept)

    def delete(self, now: datetime, keep: timedelta) -> Pruned:
        """Mark what nothing needs, and delete what was marked at least ``keep`` ago.

        Right before something is deleted, everything is looked at once more. Raises RegistryError, UsageError.
        """
        first = self.look(now, keep)
        due = {row.held for row in first.rows if row.state is State.DUE}
        verdict = self._judge(deleting=True)
        marks = self._marks()
        rows = [self._row(one, marks.get(one.name) or now, now - keep) for one in verdict.candidates]
        done = [replace(row, state=State.DELETED) if row.held in due else row for row in rows]
        # First what is remembered: what is deleted and comes back must not be found marked.
        stay = [row for row in done if row.state is not State.DELETED]
        self._remember({row.held.name: row.since for row in stay if row.since is not None})
        for row in done:
            if row.state is State.DELETED:
                self._delete(row.held, verdict)
        return Pruned(rows=tuple(done), kept=verdict.kept)

    def _judge(self, *, deleting: bool = False) -> Verdict:
        held = take(self.registry, self.names, self.repositories)
        if deleting:
            self._refuse_a_stranger(held)
        moved = self.registry.heads(self.channels).values()
        found = Needs(fingerprints=self._newest(held), digests=frozenset(one for one in moved if one is not None))
        return judge(held, self.needs | found)

    def _newest(self, held: Sequence[Held]) -> frozenset[Fingerprint]:
        """What the newest runs have built of this tree's nodes. Raises UsageError where one's record can't be read."""
        records = Remote(registry=self.registry, names=self.names).records(self.nodes)
        known = {self.names.last(node).tag for node in records}
        asked = {self.names.last(node).tag for node in self.nodes}
        there = {tag.name for one in held for tag in one.tags if tag.kind is Kind.LAST}
        if unread := sorted((there & asked) - known):
            what = (
                f"{self.names.build.with_tag(unread[0])} can't be read, so nobody knows what the newest run has built"
            )
            raise UsageError(what, hint="Was it written by a newer hubstack? Use that one.")
        return frozenset(record.fingerprint for record in records.values())

    def _row(self, one: Held, since: datetime | None, latest: datetime) -> Row:
        if since is None:
            return Row(held=one, state=State.UNMARKED)
        return Row(held=one, state=State.DUE if since <= latest else State.MARKED, since=since)

    def _refuse_a_stranger(self, held: Sequence[Held]) -> None:
        """Another project's registry, or another project's tree: then all that is there would look unneeded."""
        nodes = {tag.about for one in held for tag in one.tags if tag.kind is Kind.NODE}
        if nodes and nodes.isdisjoint(self.needs.fingerprints):
            raise UsageError(
                f"{self.names.prefix} has no node of this tree, so nothing there is deleted",
                hint="Is it the right registry? If it is: `hubstack build --push` first.",
            )

    def _delete(self, one: Held, verdict: Verdict) -> None:
        """The manifest, its platforms, and what says that it belongs to them; all that only stands for itself."""
        tagged = {held.digest for held in verdict.candidates if held.repository == one.repository and held != one}
        for digest in (one.digest, *(part for part in one.parts if part not in verdict.digests | tagged)):
            ref = one.repository.with_digest(digest)
            attached = [found for found in self.registry.referrers(ref) if found not in verdict.digests | tagged]
            self.registry.delete(ref)
            for found in attached:
                self.registry.delete(one.repository.with_digest(found))

    # --- marks -------------------------------------------------------------------------------------------------------

    def _marks(self) -> dict[str, datetime]:
        """Manifest → when it was marked. What can't be read as a moment is no mark."""
        value = self.registry.read_record(self.names.build.with_tag(MARKS), artifact_type=MEDIA_TYPE)
        marked = value.get("marked") if isinstance(value, dict) and value.get("format") == 1 else None
        found = {}
        for name, text in (marked if isinstance(marked, dict) else {}).items():
            try:
                found[str(name)] = datetime.strptime(text, _MOMENT).replace(tzinfo=UTC)
            except (ValueError, TypeError):
                continue
        return found

    def _remember(self, marks: Mapping[str, datetime]) -> None:
        value = {"format": 1, "marked": {name: since.strftime(_MOMENT) for name, since in sorted(marks.items())}}
        self.registry.write_record(self.names.build.with_tag(MARKS), value, artifact_type=MEDIA_TYPE)


def describe(held: Held) -> str:
    """What a manifest is, for people."""
    kinds = {tag.kind for tag in held.tags}
    words = {
        Kind.PUBLISHED: "image",
        Kind.NODE: "node",
        Kind.TESTED: "node",
        Kind.RECORD: "record",
        Kind.LAST: "record",
        Kind.CERTIFICATE: "certificate",
        Kind.ATTACHED: "attestation",
    }
    return next(word for kind, word in words.items() if kind in kinds)
