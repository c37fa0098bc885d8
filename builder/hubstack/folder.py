"""Reads files of a tree that somebody else wrote: nothing outside of it, nothing that isn't a file, never without end."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hubstack.errors import Problem
from hubstack.model import SourceFile
from hubstack.source import Position
from hubstack.spelling import CONTROL, escape, quote

MAX_FILES = 2_000
"""In one folder that is read whole, folders and links counted too."""
MAX_FILE_BYTES = 32 * 1024**2
MAX_TOTAL_BYTES = 256 * 1024**2
"""Of all that one reader reads: the project's files are held in memory."""

IGNORED = re.compile(r"__pycache__|\.ipynb_checkpoints|\.DS_Store|.*\.py[co]|.*~|\.#.*|#.*#|\..*\.sw[a-p]", re.DOTALL)
"""What Python, Jupyter, macOS, Emacs and Vim leave behind: such names are no part of a layer, whatever they hold."""

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFREG: "a file",
}


@dataclass(kw_only=True)
class Reader:
    """Reads below ``root``; paths are POSIX and relative to it. What can't be read becomes a problem."""

    root: Path
    problems: list[Problem] = field(default_factory=list)
    bytes_left: int = MAX_TOTAL_BYTES

    def names(self, path: str) -> dict[str, str]:
        """What a folder holds, sorted by name: name → "file", "folder" or "" for everything else. Empty where there is none."""
        mode, _ = self._look(path)
        if stat.S_ISDIR(mode):
            return {entry.name: _short_kind(entry) for entry in self._entries(path)}
        if mode:
            self.fault(path, f"{_kind(mode)} stands where a folder belongs", "Remove it, or make it a folder.")
        return {}

    def file(self, path: str) -> bytes | None:
        """The content of a regular file; None, and a problem, where it is none or can't be read."""
        mode, size = self._look(path)
        if not stat.S_ISREG(mode):
            self.fault(path, f"{_kind(mode) or 'nothing'} stands where a file belongs", "Put a regular file there.")
            return None
        try:
            return self._content(path, size)
        except OSError as error:
            self._unreadable(path, error)
            return None

    def folder(self, path: str, *, without: Collection[str] = ()) -> dict[str, SourceFile]:
        """All files and links below a folder, by their path in it, sorted. Empty folders are no part of it.

        ``without`` are paths in it that are not looked at.
        """
        found: dict[str, SourceFile] = {}
        count = 0
        pending = [""]
        while pending:
            inside = pending.pop()
            for entry in self._entries(f"{path}/{inside}".rstrip("/")):
                name = f"{inside}{entry.name}"
                if name in without:
                    continue
                if (count := count + 1) > MAX_FILES:
                    remedy = "Put them into an archive, or install them from a package."
                    self.fault(path, f"more than {MAX_FILES} files are in this folder", remedy)
                    return found
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{name}/")
                    continue
                try:
                    if (file := self._source_file(path, name, entry)) is not None:
                        found[name] = file
                except OSError as error:
                    self._unreadable(f"{path}/{name}", error)
        return dict(sorted(found.items()))

    def fault(self, path: str, what: str, remedy: str) -> None:
        self.problems.append(Problem(position=Position(path=escape(path)), what=what, remedy=remedy))

    def _source_file(self, path: str, name: str, entry: os.DirEntry[str]) -> SourceFile | None:
        seen = entry.stat(follow_symlinks=False)
        mode = seen.st_mode
        if stat.S_ISLNK(mode):
            return self._link(path, name)
        if not stat.S_ISREG(mode):
            self.fault(
                f"{path}/{name}", f"{_kind(mode)} can't be part of a layer", "Remove it: layers hold files and links."
            )
            return None
        content = self._content(f"{path}/{name}", seen.st_size)
        return (
            content if content is None else SourceFile(path=name, content=content, executable=bool(mode & stat.S_IXUSR))
        )

    def _link(self, path: str, name: str) -> SourceFile | None:
        target = os.readlink(self.root / path / name)  # noqa: PTH115 — verbatim: Path drops a trailing slash
        if CONTROL.search(target):
            self.fault(
                f"{path}/{name}", f"this link's target {quote(target)} holds a control character", "Mend the link."
            )
            return None
        if _leaves(name, target):
            what = f"this link leads out of the layer, to {quote(target)}"
            self.fault(f"{path}/{name}", what, "Link to a file of the layer, by a relative path, or copy the file.")
            return None
        return SourceFile(path=name, link=target)

    def _entries(self, path: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(f"{self.root}/{path}") as scan:
                entries = sorted((entry for entry in scan if not IGNORED.fullmatch(entry.name)), key=lambda e: e.name)
        except OSError as error:
            self._unreadable(path, error)
            return
        for entry in entries:
            if CONTROL.search(entry.name) or "\\" in entry.name:
                what = (
                    f"the name {quote(entry.name)} holds a control character, a backslash or bytes that are not UTF-8"
                )
                self.fault(path, what, "Rename the file.")
            else:
                yield entry

    def _content(self, path: str, size: int) -> bytes | None:
        flags = (
            os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        )  # for what was put there since it was looked at
        descriptor = os.open(f"{self.root}/{path}", flags)
        try:
            content = os.read(descriptor, min(size, MAX_FILE_BYTES, self.bytes_left) + 1)
        finally:
            os.close(descriptor)
        if len(content) > MAX_FILE_BYTES:
            self.fault(
                path, f"this file is larger than {MAX_FILE_BYTES // 1024**2} MiB", "Have it downloaded at build time."
            )
            return None
        if len(content) > self.bytes_left:
            what = f"the project's files are larger than {MAX_TOTAL_BYTES // 1024**2} MiB together"
            self.fault(path, what, "Have large files downloaded at build time.")
            return None
        self.bytes_left -= len(content)
        return content

    def _unreadable(self, path: str, error: OSError) -> None:
        self.fault(path or ".", f"this can't be read: {error.strerror}", "Mend its permissions.")

    def _look(self, path: str) -> tuple[int, int]:
        """Mode and size of what stands there; a mode of 0 where nothing does."""
        try:
            seen = os.lstat(f"{self.root}/{path}")
        except FileNotFoundError:
            return 0, 0
        except OSError as error:
            self._unreadable(path, error)
            return 0, 0
        return seen.st_mode, seen.st_size


def _kind(mode: int) -> str:
    """How a message calls it; nothing where there is nothing."""
    return _KINDS.get(stat.S_IFMT(mode), "something") if mode else ""


def _short_kind(entry: os.DirEntry[str]) -> str:
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "file" if entry.is_file(follow_symlinks=False) else ""


def _leaves(link: str, target: str) -> bool:
    """Whether a link at ``link`` with ``target`` leads out of the folder that both are read from.

    A ``..`` behind a name is taken for leaving, too: the name may be a link itself, and its parent anywhere. With that
    every link that stays is one step down from a real folder, so a chain of them stays as well.
    """
    steps = [step for step in target.split("/") if step not in ("", ".")]
    up = next((index for index, step in enumerate(steps) if step != ".."), len(steps))
    return target.startswith("/") or ".." in steps[up:] or up > link.count("/") or not target
