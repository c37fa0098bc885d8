"""ConfigMaps into a GitOps repository: one commit, only when bytes change, never an older commit's over a newer one.

Nothing is checked out there, so neither links in that repository nor hooks, filters and line endings of this machine
have a say, and a repository of any size costs one tree.

From which commit of this project a file came stands behind a ref there, ``refs/hubstack/BRANCH/…``, one for each file: so
it is known also of a newer commit that had nothing to change. It moves in the same atomic push as the branch and only
from what was seen: whoever comes second looks again. The commit's message says it to people (``Hubstack-Source:``), and
counts where there is no ref.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hubstack.ci.mirror import RECORDS, Git, Mirror, git_failed
from hubstack.errors import CommandFailed, HubstackError, UsageError

TRAILER = "Hubstack-Source"
_SOURCE = re.compile(rf"^{TRAILER}: ([0-9a-f]{{40}}(?:[0-9a-f]{{24}})?)$", re.MULTILINE)
_TRIES = 8
_PAUSE_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """``branch`` is empty for the repository's own; with ``base`` it asks to be merged there, and begins anew from it."""

    repository: str
    branch: str = ""
    base: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """``changed`` are the files that the branch, or with a base the base, did not have like this."""

    branch: str
    commit: str = ""  # empty: the branch stays as it is
    changed: tuple[str, ...] = ()
    asks: bool = False  # whether the branch is there to be merged


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The project's own repository, and the commit that the ConfigMaps were made from."""

    git: Git
    commit: str

    @classmethod
    def at(cls, root: Path) -> Origin:
        git = Git(folder=root)
        try:
            return cls(git=git, commit=git("rev-parse", "--verify", "HEAD^{commit}"))
        except CommandFailed:
            hint = "What is delivered is recorded with its commit, so that an older one never replaces a newer one."
            raise UsageError(f"{root} is in no git repository with a commit", hint=hint) from None

    def includes(self, commit: str) -> bool:
        """Whether ``commit`` is ours or an ancestor of it. Raises HubstackError where nobody can tell."""
        try:
            if commit != self.commit and self._shallow():
                self.git("fetch", "--quiet", "--no-tags", "--unshallow", "origin", self.commit)
        except CommandFailed:
            hint = "This clone lacks history: `git fetch --unshallow`, or `fetch-depth: 0` for actions/checkout."
            raise HubstackError(_unknown(commit), hint=hint) from None
        try:
            self.git("merge-base", "--is-ancestor", commit, self.commit)
        except CommandFailed as error:
            if error.code != 1:
                hint = "Another project delivers these files, or this one's history was written anew: docs/deliver.md."
                raise HubstackError(_unknown(commit), hint=hint) from None
            return False
        return True

    def _shallow(self) -> bool:
        return self.git("rev-parse", "--is-shallow-repository") == "true"


def _unknown(commit: str) -> str:
    return f"commit {commit[:12]}, which was delivered last, is not known here"


def deliver(
    target: Target,
    files: Mapping[str, bytes],
    origin: Origin,
    *,
    message: str,
    dry_run: bool = False,
    ca_bundle: Path | None = None,
) -> Delivery:
    """Bring ``files`` (path in the repository → content) to the target's branch.

    Raises HubstackError where a newer commit's are there, and where git can't.
    """
    refused: Mapping[str, str] | None = None
    for attempt in range(_TRIES):
        time.sleep(_PAUSE_S * attempt)
        with tempfile.TemporaryDirectory(prefix="hubstack-") as folder:
            there = Mirror.at(
                Path(folder), target.repository, branch=target.branch, base=target.base, ca_bundle=ca_bundle
            )
            delivery, moves = _work_out(there, files, origin, message)
            if dry_run or not moves:
                return delivery
            try:
                there.push(moves)
            except CommandFailed as error:  # somebody was quicker, and then something else is there; or it may not be
                if refused == there.refs or attempt == _TRIES - 1:
                    raise git_failed(f"git can't push to {target.repository}", error) from None
                refused = there.refs
            else:
                return delivery
    raise AssertionError("the last attempt returns or raises")


def _work_out(
    there: Mirror, files: Mapping[str, bytes], origin: Origin, message: str
) -> tuple[Delivery, dict[str, str]]:
    """What is to be done, and the refs that do it."""
    blobs = {path: there.add(content) for path, content in files.items()}
    below = there.blobs(there.below, blobs)
    changed = tuple(path for path, blob in blobs.items() if below.get(path) != blob)
    aside = there.branch != there.start
    head, moves = f"refs/heads/{there.branch}", dict[str, str]()
    stands = aside and bool(there.tip) and _stands(there, blobs)
    if changed and not stands:
        moves[head] = "new"
    elif aside and there.tip and not changed:
        moves[head] = ""  # there is nothing left to ask for
    records = {path: _recorded(there, path, known=path in below) for path in blobs}
    newer = [path for path, commits in records.items() if not all(map(origin.includes, commits.values()))]
    if newer and moves:
        raise HubstackError(
            f"{newer[0]} in that repository comes from a newer commit than {origin.commit[:12]}: nothing was pushed",
            hint="An older commit's ConfigMap never replaces a newer one's. Deliver from the newest commit.",
        )
    delivery = Delivery(branch=there.branch, changed=changed, asks=aside and bool(changed))
    if newer:
        return delivery, {}
    if moves.get(head):
        text = f"{message.strip()}\n\n{TRAILER}: {origin.commit}\n"
        moves[head] = there.commit(there.below, {path: blobs[path] for path in changed}, text)
        delivery = Delivery(branch=there.branch, commit=moves[head], changed=changed, asks=aside)
    for path, commits in records.items():
        if commits.get(ref := record_ref(there.branch, path)) != origin.commit:
            moves[ref] = there.note(f"{path}\n\n{TRAILER}: {origin.commit}\n")
    return delivery, moves


def _stands(there: Mirror, blobs: Mapping[str, str]) -> bool:
    """Whether the branch asks for just this already, and nobody has changed these files where it goes."""
    parent = there.parent(there.tip)
    return (
        there.blobs(there.tip, blobs) == blobs
        and bool(parent)
        and there.blobs(parent, blobs) == there.blobs(there.below, blobs)
    )


def _recorded(there: Mirror, path: str, *, known: bool) -> dict[str, str]:
    """The commits that ``path`` was delivered from: ref → commit; from the history where there is no ref."""
    refs = [record_ref(branch, path) for branch in dict.fromkeys((there.branch, there.start))]
    messages = {ref: there.message(ref) for ref in refs if ref in there.refs}
    if not messages and known:
        messages = {"": there.last_message(path)}
    return {ref: found[-1] for ref, text in messages.items() if (found := _SOURCE.findall(text))}


def record_ref(branch: str, path: str) -> str:
    return f"{RECORDS}/{branch}/{hashlib.sha256(path.encode()).hexdigest()[:16]}"
