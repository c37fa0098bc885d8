"""The regular expression that judges images which users name: one text, read by Python and by browsers.

KubeSpawner asks ``re.match``, fancy-profiles asks ``new RegExp(text, "g").test``, and the plain form puts it into an
HTML ``pattern``, which browsers compile with the ``v`` flag. What one of them refuses breaks the form or every spawn;
what they read differently lets through what the form refused. So only what all three take for the same is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

from hubstack.reference import ImageRef
from hubstack.spelling import quote

ANY_IMAGE = (
    r"^[a-z0-9][a-z0-9._\-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._\-]*)*"
    r"((:[A-Za-z0-9_][A-Za-z0-9._\-]{0,127})(@sha256:[0-9a-f]{64})?|@sha256:[0-9a-f]{64})(?!\n)$"
)
"""An image reference with a tag, a digest or both. Python's ``$`` alone would let a last line break pass."""

_LITERAL = r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|[nrt^$\\.*+?()\[\]{}|/])"
_IN_CLASS = rf"(?:{_LITERAL}|\\-|[^\\\[\](){{}}/|\-])"
_TOKEN = re.compile(
    rf"(?P<set>\[(?:\^|(?!\^))(?:{_IN_CLASS}(?:-{_IN_CLASS})?)+\])"
    r"|(?P<open>\((?:\?[:=!]|(?!\?)))|(?P<close>\))|(?P<or>\|)"
    r"|(?P<quantifier>(?:[*+?]|\{[0-9]+(?:,[0-9]*)?\})\??)"
    rf"|(?P<literal>{_LITERAL}|[^\\\[\](){{}}|*+?])",
    re.IGNORECASE,
)
_DOUBLED = re.compile(r"([&!#$%*+,.:;<=>?@^`~])\1")  # operators in a set under the v flag, or kept for such
_HTML = set('"<>&')
_COMMIT = "0123456789abcdef0123456789abcdef01234567"


Fault: TypeAlias = tuple[str, str]
"""What is wrong, to follow "the regular expression", and how to mend it."""

_ANCHOR = "Begin with ^ and end with $; put alternatives into a group, ^(…|…)$."
_SUBSET = r"Only (?:…), (?=…) and (?!…) may begin with (?; write [0-9] for \d, and \- and \/ in sets."
_ASCII = "Leave them out: no image's name has them."
_NARROWER = "Name what may stand there, as [a-z0-9]."


def expression_faults(text: str, *, image_prefix: str = "", built: bool = False) -> Iterator[Fault]:
    """``built``: the hub builds images from repositories, whose names (``image_prefix`` at the front) are judged, too."""
    if fault := next(_syntax_faults(text), None):
        yield fault
        return
    compiled = re.compile(text)
    if any(compiled.match(one) for one in ("", "a:1 b:1", "\n:1", "a\na:1", "a:1\na:1")):
        yield "lets an empty text, a space or a line break pass", _NARROWER
    if not built:
        return
    if not image_prefix:
        what = "judges what BinderHub builds, too, and nothing says how those images are named"
        yield what, "Write BinderHub's image_prefix under `hub`."
    elif compiled.match(built_image(image_prefix)) is None:
        what = (
            f"refuses what BinderHub builds, as {quote(built_image(image_prefix))}: no server from a repository starts"
        )
        yield what, f"Let names pass that begin with {image_prefix}."


def _syntax_faults(text: str) -> Iterator[Fault]:
    if not text.isascii() or not text.isprintable() or _HTML & set(text):
        yield "has a character that is special in HTML or none of printable ASCII", _ASCII
    if not text.startswith("^") or not text.endswith("$") or text.endswith(r"\$"):
        yield "is not anchored", _ANCHOR
    yield from _token_faults(text)
    try:
        re.compile(text)
    except re.error as error:
        yield f"is none: {error}", "Put a backslash before what stands for itself."


def _token_faults(text: str) -> Iterator[Fault]:
    opened: list[str] = []
    before = ""  # the kind of the token before this one; "look" after a closed lookahead
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        kind = token.lastgroup if token else None
        if token is None or (kind == "quantifier" and before in {"quantifier", "look"}) or _has_operator(token):
            yield (
                f"has at character {at + 1} ({quote(text[at : at + 6])}) what browsers and Python read differently",
                _SUBSET,
            )
            return
        if kind == "or" and not opened:
            yield "is not anchored", _ANCHOR
        if kind == "open":
            opened.append(token[0])
        before = kind or ""
        if kind == "close" and opened and opened.pop() in {"(?=", "(?!"}:
            before = "look"
        at = token.end()


def _has_operator(token: re.Match[str]) -> bool:
    return _DOUBLED.search(token["set"] or "") is not None


def built_image(image_prefix: str) -> str:
    """A name as BinderHub makes them: its prefix, the escaped repository, six digits of a hash, the commit."""
    return f"{image_prefix}x-2dy-0a1b2c:{_COMMIT}"


def is_image_prefix(text: str) -> bool:
    try:
        ImageRef.parse(built_image(text))
    except ValueError:
        return False
    return True
