"""Writes a site into a folder that may hold other things: each file whole or not at all, and nobody else's is touched.

``.hubstack-site.json`` in it lists what was written, with the sha256 of each: what is in the list may be overwritten,
and removed when it is needed no longer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hubstack.errors import UsageError
from hubstack.hub.configmap import write_if_changed
from hubstack.spelling import enumerate_words

LIST = ".hubstack-site.json"
_MOST_NAMES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Paths relative to the site's folder."""

    written: list[str]
    removed: list[str]
    kept: list[str]  # needed no longer, but somebody has changed them


def write_site(folder: Path, files: Mapping[str, str]) -> Result:
    """Write ``files`` (POSIX path → text). Raises UsageError where one would replace what is not ours."""
    before = _load(folder)
    foreign = [path for path in files if path not in before and (folder / path).exists()]
    if foreign:
        shown = enumerate_words(foreign[:_MOST_NAMES], "and")
        raise UsageError(
            f"{folder} holds {shown}, which `hubstack site` did not write",
            hint="Give it a folder of its own with --output, or remove what is there.",
        )
    sums = {path: _sum(text.encode()) for path, text in sorted(files.items())}
    if sums != before:
        _write_list(folder, {**before, **sums})  # first: what a killed run leaves behind is known to be ours
    written = [path for path, text in sorted(files.items()) if write_if_changed(folder / path, text)]
    removed: list[str] = []
    kept: list[str] = []
    for path in sorted(before.keys() - files.keys()):
        if (folder / path).is_file():
            (removed if _remove(folder, path, before[path]) else kept).append(path)
    _write_list(folder, sums)
    return Result(written=written, removed=removed, kept=kept)


def _write_list(folder: Path, sums: Mapping[str, str]) -> None:
    write_if_changed(folder / LIST, json.dumps({"format": 1, "files": sums}, indent=1, sort_keys=True) + "\n")


def _load(folder: Path) -> dict[str, str]:
    path = folder / LIST
    if not path.is_file():
        return {}
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {str(name): str(one) for name, one in files.items() if _is_inside(str(name))}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(
            f"{path} is no list that `hubstack site` wrote", hint="Remove it, or the whole folder."
        ) from None


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and name != LIST


def _remove(folder: Path, path: str, expected: str) -> bool:
    """Remove what is as we wrote it, and the folders that it leaves empty."""
    place = folder / path
    if _sum(place.read_bytes()) != expected:
        return False
    place.unlink()
    for parent in place.parents:
        if parent == folder or any(parent.iterdir()):
            break
        parent.rmdir()
    return True


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
