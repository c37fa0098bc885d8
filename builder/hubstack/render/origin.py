"""The lines of templates: where they end, and from which of them each line of a rendered text came.

The latter is carried through Jinja by marks, PATH:LINE between two control characters: the lexer puts them in front of
each line of a template's text, and ``separate`` takes them out again. Text inside macros, calls and ``set`` blocks gets
none, so that templates can compare and cut what they captured; such lines count as the line that printed them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream

from hubstack.source import Position

_MARK = re.compile("\x01([^\x01\x02\n]*?):([0-9]{1,9})\x02")


@dataclass(frozen=True, slots=True)
class Text:
    """Rendered text, and for each of its lines the file and line behind it."""

    text: str
    origins: tuple[tuple[str, int], ...]

    def lines(self) -> Iterator[tuple[str, Position]]:
        for line, (path, number) in zip(self.text.split("\n"), self.origins, strict=True):
            yield line, Position(path=path, line=number)


def verbatim(text: str, path: str) -> Text:
    return Text(text, tuple((path, line) for line in range(1, text.count("\n") + 2)))


def mark(path: str, line: int) -> str:
    """Makes the line that it stands in, and those behind it, count as ``path``'s line."""
    return f"\x01{path}:{line}\x02"


def separate(rendered: str, path: str, folder: str = "") -> Text:
    """Take the marks out; a line counts as the last mark in front of its first visible character.

    Given ``folder``, a mark that names neither ``path`` nor a file in there is a forged one, and stays in the text.
    """

    def is_ours(match: re.Match[str]) -> bool:
        return not folder or match[1] == path or match[1].startswith(f"{folder}/")

    def without(line: str) -> str:
        return _MARK.sub(lambda match: "" if is_ours(match) else match[0], line)

    lines, origins = [], []
    place = (path, 1)
    for line in rendered.split("\n"):
        at, begun = place, False
        for match in filter(is_ours, _MARK.finditer(line)):
            place = (match[1], int(match[2]))
            begun = begun or bool(without(line[: match.start()]).strip())
            at = at if begun else place
        lines.append(without(line))
        origins.append(at)
    return Text("\n".join(lines), tuple(origins))


class Lines(Extension):
    """What an environment with ``trim_blocks`` needs to keep lines apart and to know them.

    Jinja takes the line end behind every block and comment. Here it stays where there is more in the line, so that
    ``git{% if old %}/bookworm{% endif %}`` does not run into the next package.
    """

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        return "\n".join(map(_keep_end, source.split("\n"))) if "#}" in source else source

    def filter_stream(self, stream: TokenStream) -> TokenStream | Iterator[Token]:
        name = stream.name or ""
        whole = TokenStream(_line_ends(stream), stream.name, stream.filename)
        return _marked(whole, name) if self.environment.is_marked(name) else whole  # type: ignore[attr-defined]


def _keep_end(line: str) -> str:
    """Where a comment is the last thing in a line, and not the only one, tell Jinja to leave the line's end alone."""
    begin = line.rfind("{#")
    if not line.endswith("#}") or not line[: max(begin, 0)].strip() or line[-3] in "+-":
        return line
    return f"{line[:-2]}+#}}"


def _line_ends(stream: TokenStream) -> Iterator[Token]:
    text = False  # whether there is something besides blocks in the line so far
    for token in stream:
        yield token
        if token.type == "data":
            *ended, last = token.value.split("\n")
            text = bool(last.strip()) or (text and not ended)
        elif token.type == "variable_begin":
            text = True
        elif token.type == "block_end" and token.value == "%}\n":
            if text:
                yield Token(token.lineno, "data", "\n")
            text = False


def _marked(stream: TokenStream, path: str) -> Iterator[Token]:
    depth = 0  # of blocks whose text is captured
    known = False  # whether text in front of the token has said which line this is
    for token in stream:
        if token.type == "data":
            yield token if depth else Token(token.lineno, "data", _mark_lines(token, path))
            known = True
        elif token.type == "block_begin":
            block = list(_until_end(token, stream))
            opened = _captures(block)
            if opened > 0 and not depth:
                yield Token(token.lineno, "data", mark(path, token.lineno))
            depth += opened
            yield from block
            known = False
        else:
            if token.type == "variable_begin" and not depth and not known:
                yield Token(token.lineno, "data", mark(path, token.lineno))
            yield token


def _until_end(first: Token, stream: TokenStream) -> Iterator[Token]:
    yield first
    for token in stream:
        yield token
        if token.type == "block_end":
            return


def _captures(block: list[Token]) -> int:
    """1 where a block begins to capture its text, -1 where one ends to, else 0."""
    word = block[1].value if len(block) > 1 else ""
    if word in ("endmacro", "endcall", "endfilter", "endset"):
        return -1
    inline = word == "set" and any(token.type == "assign" for token in block)
    return int(word in ("macro", "call", "filter", "set") and not inline)


def _mark_lines(token: Token, path: str) -> str:
    lines = token.value.split("\n")
    return "\n".join(f"{mark(path, token.lineno + number)}{line}" for number, line in enumerate(lines))
