"""What was found in one source."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from hubstack.files.scalar import MAX_NAME
from hubstack.model import SourceFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """``where`` is ``FILE:LINE``; ``text`` what stands there, ``why`` what became of it or why nothing did."""

    where: str
    text: str
    why: str


@dataclass(slots=True, kw_only=True)
class Finding:
    """Packages by the line that asks for them → where that stands. ``pieces`` are a Dockerfile's, in order."""

    name: str
    base: str = ""  # the image that it stands on
    apt: dict[str, str] = field(default_factory=dict)
    pip: dict[str, str] = field(default_factory=dict)
    conda: dict[str, str] = field(default_factory=dict)
    npm: dict[str, str] = field(default_factory=dict)
    install_r: list[str] = field(default_factory=list)
    post_build: str = ""
    pieces: list[str] = field(default_factory=list)
    files: dict[str, SourceFile] = field(default_factory=dict)  # by path in the layer's folder
    kept: list[Note] = field(default_factory=list)
    unexplained: list[Note] = field(default_factory=list)

    def leave(self, where: str, text: str, why: str) -> None:
        self.unexplained.append(Note(where=where, text=text, why=why))


def layer_name(text: str) -> str:
    """A name for a layer, from a file's or an image's."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:MAX_NAME].strip("-") or "imported"
