"""Dockerfiles, read as BuildKit reads them: directives, continuations, comments, here-documents, flags.

The grammar is that of BuildKit's frontend/dockerfile/parser. What its versions read differently is refused here: text
that one side takes for data and the other for instructions is how a rule is got round.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hubstack.spelling import quote

INSTRUCTIONS = frozenset(
    re.findall(
        r"\w+",
        "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL STOPSIGNAL USER "
        "VOLUME WORKDIR",
    )
)
_WITH_HEREDOC = frozenset({"ADD", "COPY", "RUN"})
_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*")
_WORD = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+""", re.DOTALL)
_FLAG = re.compile(r"""(?:[^\s"'\\]+|\\.|"(?:[^"\\]|\\.)*(?:"|$)|'(?:[^'\\]|\\.)*(?:'|$))*""", re.DOTALL)
_FLAG_PART = re.compile(r"""\\(.)|"((?:[^"\\]|\\.)*)(?:"|$)|'((?:[^'\\]|\\.)*)(?:'|$)""", re.DOTALL)
_HEREDOC = re.compile(r"""(?P<fd>\d*)<<(?P<chomp>-?)(?P<quote>["']?)(?P<name>\w+)(?P=quote)""")
_HEREDOC_LIKE = re.compile(r"\d*<<-?[^<]*|.*\$\{[^}]*<<.*", re.DOTALL)
_BLANKS = re.compile(r"[\t\v\f\r ]+")


class DockerfileError(Exception):
    """The text is no Dockerfile; ``line`` counts from 1."""

    def __init__(self, line: int, what: str, remedy: str = "Correct the line.") -> None:
        super().__init__(what)
        self.line, self.what, self.remedy = line, what, remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Heredoc:
    name: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """``line`` to ``end`` are its lines from 1, here-documents included; ``text`` is what follows name and flags."""

    name: str  # in capitals
    text: str
    flags: tuple[tuple[str, str], ...] = ()
    heredocs: tuple[Heredoc, ...] = ()
    line: int
    end: int

    @property
    def words(self) -> tuple[str, ...]:
        """The arguments without quotes; the JSON form is understood."""
        if (listed := json_form(self.text)) is not None:
            return listed
        return tuple(unquote(word) for word in _WORD.findall(self.text))

    @property
    def heredoc_lines(self) -> int:
        """How many of its last lines are here-documents."""
        return sum(one.content.count("\n") + 1 for one in self.heredocs)

    def flag(self, name: str) -> str | None:
        """The last value of ``--name=value``, as BuildKit takes it."""
        return dict(self.flags).get(name)

    def mounts(self) -> Iterator[Mapping[str, str]]:
        """``--mount`` flags as mappings; keys in small letters, ``type`` always there.

        Raises DockerfileError where a field is quoted wrongly.
        """
        for name, value in self.flags:
            if name == "mount":
                fields = (one.partition("=") for one in _csv(value, self.line))
                yield {"type": "bind", **{key.strip().lower(): content for key, _, content in fields}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dockerfile:
    instructions: tuple[Instruction, ...]
    directives: Mapping[str, tuple[str, int]] = field(default_factory=dict)  # name → value, line


def parse_dockerfile(text: str) -> Dockerfile:
    """Raises DockerfileError at the first line that BuildKit would not take, or that its versions read differently."""
    lines = text.split("\n")
    directives = _directives(lines)
    if "escape" in directives:
        raise DockerfileError(
            directives["escape"][1], "another escape character", "Lines are continued with a backslash here."
        )
    return Dockerfile(instructions=tuple(_instructions(lines)), directives=directives)


def json_form(text: str) -> tuple[str, ...] | None:
    """The words of ``["a", "b"]``, or None where ``text`` is no such list."""
    if not text.startswith("["):
        return None
    try:
        listed = json.loads(text)
    except ValueError:
        return None
    return tuple(listed) if isinstance(listed, list) and all(isinstance(one, str) for one in listed) else None


def unquote(word: str) -> str:
    """A word as the Dockerfile's own lexer leaves it: without quotes and escapes; variables stay."""

    def plain(match: re.Match[str]) -> str:
        single, double, escaped = match.groups()
        if double is not None:
            return re.sub(r'\\(["$\\])', r"\1", double)
        return single if single is not None else escaped

    return re.sub(r"""'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)""", plain, word, flags=re.DOTALL)


def _directives(lines: Sequence[str]) -> dict[str, tuple[str, int]]:
    """BuildKit looks for them until the first line that is none."""
    found: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(lines, start=1):
        match = _DIRECTIVE.fullmatch(line.strip())
        if match is None or match[1].lower() not in ("syntax", "escape", "check"):
            break
        found[match[1].lower()] = (match[2], number)
    return found


def _instructions(lines: Sequence[str]) -> Iterator[Instruction]:
    number = 0
    while number < len(lines):
        if _is_blank(lines[number]):
            number += 1
            continue
        logical, after = _join(lines, number)
        name, *rest = _BLANKS.split(logical, maxsplit=1)
        flags, text = _flags("".join(rest))
        if not text:
            raise DockerfileError(number + 1, f"{quote(name)} without arguments")
        heredocs: tuple[Heredoc, ...] = ()
        if name.upper() in _WITH_HEREDOC and "<<" in logical:
            heredocs, after = _heredocs(lines, after, logical, number + 1)
        yield Instruction(name=name.upper(), text=text, flags=flags, heredocs=heredocs, line=number + 1, end=after)
        number = after


def _is_blank(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _join(lines: Sequence[str], number: int) -> tuple[str, int]:
    """One instruction's lines as one, and the index of the line behind them. Comments between them are left out."""
    parts: list[str] = []
    while number < len(lines):
        line = lines[number].rstrip("\r\t ")
        number += 1
        if parts and _is_blank(line):
            continue
        parts.append(line.removesuffix("\\"))
        if line.endswith("\\\\"):
            raise DockerfileError(number, "a line that ends in two backslashes", "Put a quote or a word behind them.")
        if not line.endswith("\\"):
            break
    return "".join(parts).strip(), number


def _flags(rest: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """``--name=value`` words in front; quotes and escapes in them are taken away."""
    flags: list[tuple[str, str]] = []
    while rest.startswith("--"):
        word, rest = _flag_word(rest)
        if word == "--":
            break
        name, _, value = word.removeprefix("--").partition("=")
        flags.append((name, value))
    return tuple(flags), rest


def _flag_word(rest: str) -> tuple[str, str]:
    match = _FLAG.match(rest)
    assert match is not None  # it takes anything, also nothing
    word = _FLAG_PART.sub(lambda part: re.sub(r"\\(.)", r"\1", part[1] or part[2] or part[3] or ""), match[0])
    return word, rest[match.end() :].strip()


def _heredocs(lines: Sequence[str], number: int, logical: str, line: int) -> tuple[tuple[Heredoc, ...], int]:
    found: list[Heredoc] = []
    for match in _heredoc_words(logical, line):
        content: list[str] = []
        while number < len(lines):
            text = lines[number].rstrip("\r")
            text = text.lstrip("\t") if match["chomp"] else text
            number += 1
            if text == match["name"]:
                break
            content.append(f"{text}\n")
        else:
            raise DockerfileError(line, f"the here-document {quote(match['name'])} has no end")
        found.append(Heredoc(name=match["name"], content="".join(content)))
    return tuple(found), number


def _heredoc_words(logical: str, line: int) -> list[re.Match[str]]:
    """Raises where BuildKit's splitting into words could differ from ours."""
    if _WORD.sub("", logical).strip():
        raise DockerfileError(line, "a quote that is not closed, on a line with <<")
    found = []
    for word in _WORD.findall(logical):
        if (match := _HEREDOC.fullmatch(word)) is not None:
            found.append(match)
        elif _HEREDOC_LIKE.fullmatch(word):
            raise DockerfileError(line, f"{quote(word)} may be a here-document or not", "Write it as <<EOF.")
    return found


def _csv(value: str, line: int) -> list[str]:
    try:
        return next(csv.reader([value], strict=True), [])
    except csv.Error:
        raise DockerfileError(line, f"--mount={quote(value)} has wrong quotes") from None
