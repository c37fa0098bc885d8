"""Words as messages show them."""

from __future__ import annotations

import re
from collections.abc import Iterable

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Characters that move a terminal's cursor, break a line or turn the direction of writing: shown escaped, or refused."""

_LIMIT = 60


def escape(text: str) -> str:
    """``text`` on one line, with every character of CONTROL written as Python writes it."""
    return CONTROL.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text)


def quote(text: str) -> str:
    """``text`` in double quotes, on one line, shortened where it is long."""
    shown = text if len(text) <= _LIMIT else f"{text[: _LIMIT - 1]}…"
    return f'"{escape(shown)}"'


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean "X"?)`` where one of ``known`` is near, else nothing; to stand right behind the quoted word."""
    from difflib import get_close_matches  # only where something is wrong

    near = get_close_matches(word.lower(), sorted(known), n=1, cutoff=0.6)
    return f" (did you mean {quote(near[0])}?)" if near else ""


def enumerate_words(words: Iterable[str], last: str = "or") -> str:
    """``a, b or c``"""
    items = list(words)
    return f"{', '.join(items[:-1])} {last} {items[-1]}" if len(items) > 1 else "".join(items)
