"""Writing an exported folder: bytes, modes and times as builds get them, whatever this machine's umask is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from hubstack.errors import UsageError
from hubstack.export.bake import FILE, NODES, is_ours
from hubstack.model import SourceFile
from hubstack.oci import SOURCE_DATE_EPOCH


def clear(folder: Path) -> None:
    """An empty folder, or one with nothing that an earlier export wrote. Raises UsageError where it is somebody's."""
    if folder.exists() and any(folder.iterdir()):
        file = folder / FILE
        if not file.is_file() or not is_ours(file.read_text(encoding="utf-8", errors="replace")):
            raise UsageError(f"{folder} is not empty, and no export", hint="Give a folder of its own with --output.")
        shutil.rmtree(folder / NODES, ignore_errors=True)
        file.unlink()
    folder.mkdir(parents=True, exist_ok=True)


def write(folder: Path, files: Iterable[SourceFile]) -> None:
    for one in files:
        path = folder / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if one.link is not None:
            path.symlink_to(one.link)
        else:
            path.write_bytes(one.content)
            path.chmod(0o755 if one.executable else 0o644)


def settle(folder: Path) -> None:
    """The times and the folders' modes of everything below ``folder``, which a plain COPY takes into an image."""
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder before the folder
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
        os.utime(path, (SOURCE_DATE_EPOCH, SOURCE_DATE_EPOCH), follow_symlinks=False)
