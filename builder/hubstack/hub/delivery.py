"""Bringing a folder to what it should hold: whole files, only changed ones, and what hubstack needs no more goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hubstack.errors import HubstackError
from hubstack.hub.bases import FOLDER as BUILD_IMAGE
from hubstack.hub.configmap import write_if_changed
from hubstack.hub.manifests import GAP, Emission

_LAST = "kustomization.yaml"  # names the others, so it is written when they are there


class Verdict(StrEnum):
    CHANGED = "written"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    YOURS = "yours"
    GAPS = "yours, with gaps to fill in"
    PLAIN = "yours, not encrypted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    path: Path
    verdict: Verdict

    @property
    def changed(self) -> bool:
        return self.verdict in {Verdict.CHANGED, Verdict.REMOVED}


def deliver(folder: Path, emission: Emission, *, check: bool = False) -> list[Row]:
    """What is done with each file, or would be with ``check``. Raises HubstackError before anything is written."""
    strangers = [path for path in emission.files if (folder / path).is_file() and not _is_ours(folder, path, emission)]
    if strangers:
        raise HubstackError(
            f"{folder / strangers[0]} was not written by hubstack for this hub, and would be overwritten",
            hint="Give another folder with --output, or move that file away.",
        )
    rows = [_written(folder / path, text, check=check) for path, text in emission.once.items()]
    for path, text in sorted(emission.files.items(), key=lambda item: item[0] == _LAST):
        rows.append(_brought(folder / path, text, check=check))
    return [*rows, *_removed(folder, emission, check=check)]


def _brought(path: Path, text: str, *, check: bool) -> Row:
    changed = not path.is_file() or path.read_bytes() != text.encode()
    if changed and not check:
        write_if_changed(path, text)
    return Row(path=path, verdict=Verdict.CHANGED if changed else Verdict.UNCHANGED)


def _written(path: Path, text: str, *, check: bool) -> Row:
    """Of a file with secrets only its state is ever told."""
    if not path.exists():
        return _brought(path, text, check=check)
    there = path.read_text(encoding="utf-8", errors="replace")
    if GAP in there:
        return Row(path=path, verdict=Verdict.GAPS)
    encrypted = any(line.startswith(("sops:", '"sops":')) for line in there.splitlines())
    return Row(path=path, verdict=Verdict.YOURS if encrypted else Verdict.PLAIN)


def _removed(folder: Path, emission: Emission, *, check: bool) -> Iterator[Row]:
    """What an earlier run wrote and this one doesn't: another form, or a hub that builds no more."""
    patterns = ("*.yaml", "values/*.yaml", "policy/*.yaml", ".sops.yaml", f"{BUILD_IMAGE}/**/*")
    there = {path.relative_to(folder).as_posix() for pattern in patterns for path in folder.glob(pattern)}
    ours = [name for name in sorted(there) if (folder / name).is_file() and _is_ours(folder, name, emission)]
    for name in ours:
        if name not in emission.files and name not in emission.once:
            if not check:
                (folder / name).unlink()
            yield Row(path=folder / name, verdict=Verdict.REMOVED)


def _is_ours(folder: Path, name: str, emission: Emission) -> bool:
    """Of the image's recipe one file says it for all: the others are parts of hubstack."""
    if not name.startswith(f"{BUILD_IMAGE}/"):
        return (folder / name).read_bytes().startswith(emission.mark.encode())
    recipe = folder / BUILD_IMAGE / "Dockerfile"
    return recipe.is_file() and b"written by hubstack" in recipe.read_bytes()
