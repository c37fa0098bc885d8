"""A docker-buildx that is a shell script: it says what the test wants, and keeps what it was given."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FakePlugin:
    """``path`` is the program; ``argv`` and ``context`` are what it last got."""

    path: Path

    @property
    def argv(self) -> list[str]:
        return (self.path.parent / "argv").read_text().splitlines()

    @property
    def context(self) -> bytes:
        return (self.path.parent / "stdin").read_bytes()


def write_plugin(folder: Path, script: str = "") -> FakePlugin:
    """``script`` runs once the context is read; ``$metadata`` is where buildx would write its metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    here = shlex.quote(str(folder))
    path = folder / "docker-buildx"
    path.write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {here}/argv\ncat > {here}/stdin\n"
        'for word; do case $word in --metadata-file=*) metadata=${word#*=};; esac; done\necho "{}" > "$metadata"\n'
        f"{script}\n"
    )
    path.chmod(0o755)
    return FakePlugin(path)
