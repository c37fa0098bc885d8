"""A repository's files at one commit, by git; or a folder as it stands."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hubstack import command
from hubstack.errors import CommandFailed, EngineError, HubstackError
from hubstack.spelling import did_you_mean, quote

_LIMITS = command.Limits(deadline_s=1800, silence_s=600)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHORT = re.compile(r"[0-9a-f]{6,39}")


class RepositoryError(HubstackError):
    """A repository isn't there, hasn't the ref, asks for what its stack can't give, or fails in its own scripts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a repository comes from. ``commit`` is a folder's own digest where the folder is taken as it stands."""

    url: str  # without credentials; a folder's absolute path
    commit: str
    local: Path | None = None  # the folder to take as it stands


def find_source(url_or_dir: str, ref: str = "", *, ca_bundle: Path | None = None) -> Source:
    """What ``ref`` (a branch, tag or commit; empty: the default branch) means now, without fetching the files.

    A folder without ``ref`` is taken as it stands, uncommitted changes too. An abbreviated commit stays abbreviated.
    Raises RepositoryError.
    """
    folder = Path(url_or_dir)
    if not ref and folder.is_dir():
        return Source(url=str(folder.resolve()), commit=_digest(folder), local=folder.resolve())
    address = str(folder.resolve()) if folder.is_dir() else url_or_dir
    shown = without_credentials(address)
    refs = _remote_refs(address, shown, ca_bundle)
    if commit := _resolve(ref or "HEAD", refs):
        return Source(url=shown, commit=commit)
    names = [name.split("/", 2)[2] for name in refs if name.startswith(("refs/heads/", "refs/tags/"))]
    raise RepositoryError(
        f"{shown} has no branch, tag or commit {quote(ref)}{did_you_mean(ref, names)}",
        hint="It has: " + ", ".join(sorted({name.removesuffix("^{}") for name in names})[:8]) + ".",
    )


def find_commit(url: str, ref: str, *, ca_bundle: Path | None = None) -> str:
    """The 40 digits of what ``ref`` means now, for a lock. Raises RepositoryError."""
    commit = find_source(url, ref, ca_bundle=ca_bundle).commit
    if _COMMIT.fullmatch(commit) is None:
        raise RepositoryError(
            f"{quote(ref)} is no whole commit", hint="Write all of its 40 digits, or a branch or a tag."
        )
    return commit


def check_out(
    url_or_dir: str,
    source: Source,
    target: Path,
    *,
    on_line: Callable[[str], None] = lambda _: None,
    cancel: threading.Event | None = None,
    ca_bundle: Path | None = None,
) -> str:
    """Put the files of ``source`` into ``target``, an empty folder; the whole commit. Raises RepositoryError."""
    folder = Path(url_or_dir)
    address = str(folder.resolve()) if folder.is_dir() else url_or_dir
    env = _environment(ca_bundle)

    def git(*words: str) -> tuple[str, ...]:
        return command.run(["git", "-C", str(target), *words], env=env, on_line=on_line, limits=_LIMITS, cancel=cancel)

    try:
        git("init", "--quiet")
        git("remote", "add", "origin", source.url)
        if _COMMIT.fullmatch(source.commit) and _fetched(git, address, source.commit):
            commit = source.commit
        else:  # a server that doesn't give single commits, or a commit that is abbreviated
            git("fetch", "--quiet", "--tags", "--", address, "+refs/heads/*:refs/remotes/origin/*")
            (commit,) = git("rev-parse", "--quiet", "--verify", f"{source.commit}^{{commit}}")
        git("-c", "advice.detachedHead=false", "checkout", "--quiet", commit)
        git("submodule", "--quiet", "update", "--init", "--recursive", "--depth", "1")
    except CommandFailed as error:
        said = next((line for line in reversed(error.tail) if line), error.message)
        raise RepositoryError(
            f"{source.url} can't be fetched at {source.commit[:12]}: {said.removeprefix('fatal: ')}"
        ) from None
    return commit


def without_credentials(url: str) -> str:
    """``https://token@host/…`` as it may be shown and stored."""
    return re.sub(r"(?<=://)[^/\s@]+@", "", url)


def _fetched(git: Callable[..., object], address: str, commit: str) -> bool:
    try:
        git("fetch", "--quiet", "--depth", "1", "--", address, commit)
    except CommandFailed:
        return False
    return True


def _remote_refs(address: str, shown: str, ca_bundle: Path | None) -> Mapping[str, str]:
    try:
        said = command.output(["git", "ls-remote", "--", address], env=_environment(ca_bundle))
    except CommandFailed as error:
        why = next((line for line in error.tail if line.startswith(("fatal:", "remote:", "ERROR:"))), "")
        raise RepositoryError(
            f"there is no repository at {shown}, or it can't be read", hint=f"git says: {without_credentials(why)}"
        ) from None
    except EngineError:
        raise RepositoryError("git is not installed", hint="Install it, or give a folder.") from None
    refs = {name: commit for commit, _, name in (line.partition("\t") for line in said.splitlines())}
    if not refs:
        raise RepositoryError(f"the repository at {shown} is empty")
    return refs


def _resolve(ref: str, refs: Mapping[str, str]) -> str:
    """A tag's commit, and not the tag's own object."""
    for name in (ref, f"refs/heads/{ref}", f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}"):
        if name in refs:
            return refs[name]
    return ref if _COMMIT.fullmatch(ref) or _SHORT.fullmatch(ref) else ""


def _environment(ca_bundle: Path | None) -> dict[str, str]:
    env = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8"}
    return env | ({"GIT_SSL_CAINFO": str(ca_bundle)} if ca_bundle else {})


def _digest(folder: Path) -> str:
    """Over every file's name, mode and content, but for git's own folder."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if name.parts[0] == ".git" or not (path.is_file() or path.is_symlink()):
            continue
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        mode = "link" if path.is_symlink() else path.stat().st_mode & 0o100
        total.update(f"{name}\0{mode}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()
