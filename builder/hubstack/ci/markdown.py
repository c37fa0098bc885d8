"""Markdown as GitHub shows it, in which contributors' text stays text.

CommonMark reads no structure out of character references, and neither do GitHub's tables, autolinks and mentions; so
every character that could mean something is written as one. (CommonMark 0.31, 2.5; GitHub Flavored Markdown, 4.10, 6.9.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hubstack.spelling import escape

_PLAIN = frozenset(" ,()")
_CODE = frozenset(" ,()-./=+%")
_MENTION = "&#64;\u2060"  # a word joiner behind the @: GitHub looks for people in what references stand for, too
_WWW = re.compile(r"www\.", re.IGNORECASE)  # begins a link by itself, as "://" would


def text(words: str) -> str:
    """Words for people, on one line."""
    return _referenced(words, _PLAIN)


def code(words: str) -> str:
    """A name, a version or a digest, on one line. Not between backticks, for a table would cut it at a bar."""
    return f"<code>{_referenced(words, _CODE)}</code>" if words else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> tuple[str, tuple[str, ...]]:
    """The head with its line, and a line for each row. Columns whose name begins with a blank hold numbers."""
    line = "|".join("--:" if name.startswith(" ") else "---" for name in head)
    return f"{_row(head)}|{line}|\n", tuple(map(_row, rows))


def fence(lines: Iterable[str], language: str = "") -> str:
    """A code block: the fence is longer than any that the lines hold."""
    body = "".join(f"{escape(line)}\n" for line in lines)
    longest = max((len(found) for found in re.findall("`+", body)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}{language}\n{body}{ticks}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A part of a page. ``lines`` may be left out from the end on; ``rank`` says what is kept first, 0 before 1."""

    rank: int
    before: str = ""
    lines: Sequence[str] = ()
    after: str = ""


def fit(blocks: Sequence[Block], limit_bytes: int, rest: str) -> str:
    """The page, in the order of ``blocks``, in at most ``limit_bytes`` of UTF-8; with ``rest`` at its end where it was cut.

    ``rest`` is Markdown. Where not even that fits, nothing is left.
    """
    whole = "".join(_block(one, one.lines) for one in blocks)
    if _size(whole) <= limit_bytes:
        return whole
    left = limit_bytes - _size(rest)
    if left < 0:
        return ""
    kept: dict[int, str] = {}
    for index in sorted(range(len(blocks)), key=lambda number: blocks[number].rank):
        kept[index] = _shortened(blocks[index], left)
        left -= _size(kept[index])
    return "".join(kept[index] for index in range(len(blocks))) + rest


def _shortened(block: Block, limit_bytes: int) -> str:
    left = limit_bytes - _size(_block(block, ()))
    if left < 0:
        return ""
    lines: list[str] = []
    for line in block.lines:
        left -= _size(line)
        if left < 0:
            break
        lines.append(line)
    return _block(block, lines) if lines or not block.lines else ""


def _block(block: Block, lines: Iterable[str]) -> str:
    return f"{block.before}{''.join(lines)}{block.after}"


def _row(cells: Iterable[str]) -> str:
    return f"|{'|'.join(cell.strip() for cell in cells)}|\n"


def _referenced(words: str, plain: frozenset[str]) -> str:
    shown = "".join(one if one.isalnum() or one in plain else f"&#{ord(one)};" for one in escape(words))
    return _WWW.sub("www&#46;", shown).replace("&#64;", _MENTION)


def _size(shown: str) -> int:
    return len(shown.encode())
