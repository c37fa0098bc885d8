"""A branch of a git repository somewhere else, without its files: enough to put others in."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hubstack import command
from hubstack.errors import CommandFailed, HubstackError, UsageError
from hubstack.spelling import quote

_DEADLINE_S = 900.0
_OTHERS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX")
RECORDS = "refs/hubstack"


@dataclass(frozen=True, kw_only=True)
class Git:
    """Git in a folder. It asks nobody for a password: that is for its credential helpers, GIT_ASKPASS and SSH's agent."""

    folder: Path
    ca_bundle: Path | None = None

    def __call__(self, *words: str) -> str:
        """What it prints. Raises CommandFailed and EngineError."""
        env = {name: value for name, value in os.environ.items() if name not in _OTHERS}  # a hook's are of its own
        env |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8"}
        env |= {"GIT_SSL_CAINFO": str(self.ca_bundle)} if self.ca_bundle else {}
        return command.output(["git", "-C", str(self.folder), *words], env=env, deadline_s=_DEADLINE_S).strip()

    def has(self, *words: str) -> bool:
        """Whether it prints anything; a failure is none."""
        try:
            return bool(self(*words))
        except CommandFailed:
            return False


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """``start`` is the branch that new commits go on; ``branch`` the one that is pushed, which may not be there yet."""

    git: Git
    repository: str
    branch: str
    start: str
    refs: Mapping[str, str] = field(default_factory=dict)  # as they were when it was made

    @classmethod
    def at(cls, folder: Path, repository: str, *, branch: str, base: str, ca_bundle: Path | None) -> Mirror:
        """Empty names mean the repository's own branch, and no base. Raises HubstackError."""
        git = Git(folder=folder, ca_bundle=ca_bundle)
        git("init", "--quiet", "--bare")
        git("config", "remote.origin.url", repository)
        if not git.has("config", "user.email"):
            git("config", "user.name", "hubstack")
            git("config", "user.email", "hubstack@localhost")
        for name in filter(None, (branch, base)):
            if not git.has("check-ref-format", "--branch", name):
                raise UsageError(f"{quote(name)} is no name for a branch")
        try:
            branch = branch or _own_branch(git, repository)
            start = base or branch
            _fetch(git, repository, branch, start)
            there = git("for-each-ref", "--format=%(refname) %(objectname)")
        except CommandFailed as error:
            raise git_failed(f"git can't read {repository}", error) from None
        refs = dict(line.split(" ") for line in there.splitlines())
        return cls(git=git, repository=repository, branch=branch, start=start, refs=refs)

    @property
    def below(self) -> str:
        """The commit that a new one goes on."""
        return self.refs[f"refs/heads/{self.start}"]

    @property
    def tip(self) -> str:
        """What the branch is at; empty where there is none."""
        return self.refs.get(f"refs/heads/{self.branch}", "")

    def blobs(self, commit: str, paths: Iterable[str]) -> dict[str, str]:
        """The object behind each path that is there, a file or not."""
        lines = self.git("ls-tree", "-z", commit, "--", *paths).split("\0")
        found = (line.partition("\t") for line in lines if line)
        return {path: about.split(" ")[2] for about, _, path in found}

    def parent(self, commit: str) -> str:
        return self.git("rev-list", "--max-count=1", "--skip=1", commit)

    def last_message(self, path: str) -> str:
        """Of the commit that changed ``path`` last, before :attr:`below` or there. Fetches the history, without files."""
        try:
            if self.git("rev-parse", "--is-shallow-repository") == "true":
                self.git("fetch", "--quiet", "--no-tags", "--filter=blob:none", "--unshallow", "origin", self.start)
            return self.git("log", "--max-count=1", "--format=%B", self.below, "--", path)
        except CommandFailed as error:
            raise git_failed(f"git can't read the history of {self.repository}", error) from None

    def add(self, content: bytes) -> str:
        file = self.git.folder / "content"
        file.write_bytes(content)
        return self.git("hash-object", "-w", "--no-filters", str(file))

    def commit(self, parent: str, blobs: Mapping[str, str], message: str) -> str:
        """``parent`` with other files at some paths. Raises HubstackError."""
        try:
            self.git("read-tree", parent)
            for path, blob in blobs.items():
                self.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
            tree = self.git("write-tree", "--missing-ok")
            return self.git("commit-tree", tree, "-p", parent, "-m", message)
        except CommandFailed as error:
            raise git_failed(f"git can't put {', '.join(blobs)} into {self.repository}", error) from None

    def note(self, message: str) -> str:
        """A commit that holds nothing but its message."""
        tree = self.git("hash-object", "-t", "tree", "-w", os.devnull)
        return self.git("commit-tree", tree, "-m", message)

    def message(self, ref: str) -> str:
        return self.git("log", "--max-count=1", "--format=%B", self.refs[ref])

    def push(self, moves: Mapping[str, str]) -> None:
        """Set refs, or remove those that are set to nothing: all or none, and only from what was seen.

        Raises CommandFailed.
        """
        leases = [f"--force-with-lease={name}:{self.refs.get(name, '')}" for name in moves]
        self.git("push", "--quiet", "--atomic", *leases, "origin", *(f"{to}:{name}" for name, to in moves.items()))


def git_failed(what: str, error: CommandFailed) -> HubstackError:
    said = next((line for line in error.tail if line.startswith(("fatal:", "error:", "remote:"))), "")
    said = said or next(iter(error.tail), error.message)
    return HubstackError(command.printable(what), hint=f"git says: {command.printable(said)}")


def _own_branch(git: Git, repository: str) -> str:
    for line in git("ls-remote", "--symref", "origin", "HEAD").splitlines():
        if line.startswith("ref: refs/heads/"):
            return line.removeprefix("ref: refs/heads/").partition("\t")[0]
    hint = "Name one with --branch, and give an empty repository a first commit."
    raise HubstackError(command.printable(f"{repository} has no branch of its own"), hint=hint)


def _fetch(git: Git, repository: str, branch: str, start: str) -> None:
    """The newest commits of both branches and of the records; of a branch that asks to be merged also what it is on."""
    heads = {f"refs/heads/{name}" for name in (branch, start)}
    there = {line.partition("\t")[2] for line in git("ls-remote", "origin", *sorted(heads)).splitlines()} & heads
    if f"refs/heads/{start}" not in there:
        what = command.printable(f"{repository} has no branch {quote(start)}")
        raise HubstackError(what, hint="An empty repository needs a first commit before hubstack can add to it.")
    wanted = [*sorted(there), *(f"{RECORDS}/{name}/*" for name in sorted({branch, start}))]
    depth = 1 if branch == start else 2
    options = ("--quiet", "--no-tags", f"--depth={depth}", "--filter=blob:none")
    git("fetch", *options, "origin", *(f"+{name}:{name}" for name in wanted))
