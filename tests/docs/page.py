"""README.md and docs/*.md, read as the stories that they tell: files to write and commands to type, section by section."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"# ((?:[\w.-]+/)+[\w.-]+|hubstack\.yaml)")


@dataclass(frozen=True)
class Command:
    line: str


@dataclass(frozen=True)
class File:
    """A fenced block whose first line is a comment with a path: that file."""

    path: str
    text: str


@dataclass(frozen=True)
class Story:
    """What a reader of one section does, in order."""

    page: str
    section: str
    steps: tuple[Command | File, ...]

    @property
    def name(self) -> str:
        return f"{self.page}: {self.section}"

    @property
    def commands(self) -> tuple[str, ...]:
        return tuple(step.line for step in self.steps if isinstance(step, Command))


def stories() -> tuple[Story, ...]:
    return tuple(
        Story(path.relative_to(ROOT).as_posix(), section, steps)
        for path in PAGES
        for section, text in _sections(path.read_text(encoding="utf-8"))
        if (steps := tuple(_steps(text)))
    )


def _sections(text: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        yield title, body


def _steps(text: str) -> Iterator[Command | File]:
    for block in _FENCE.finditer(text):
        match block["language"]:
            case "sh":
                yield from (Command(line) for line in block["body"].splitlines() if line.strip())
            case "console":
                lines = (line.strip() for line in block["body"].splitlines())
                yield from (Command(line.removeprefix("$ ")) for line in lines if line.startswith("$ "))
            case _:
                yield from _example(block["body"])


def _example(body: str) -> Iterator[Command | File]:
    first, _, rest = body.partition("\n")
    if (path := _PATH.fullmatch(first)) is not None:
        yield File(path[1], rest)
    _, _, examples = body.partition("  Examples:\n")  # the end of a verb's help
    for line in examples.split("\n\n")[0].splitlines():
        yield Command(re.split(r" {2,}", line.strip())[0])
