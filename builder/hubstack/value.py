"""The values of variables: from the text in a file to the type that a layer declares."""

from __future__ import annotations

import re

from hubstack.model import Raw, Value, VariableType
from hubstack.spelling import CONTROL, enumerate_words, quote

TRUE = ("true", "yes", "on")
FALSE = ("false", "no", "off")
_VERSION = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z.+~_-]*[0-9A-Za-z])?")
_INT = re.compile(r"0|-?[1-9][0-9]{0,17}")  # one spelling a number, so that equal values have equal text; fits 64 bits


def parse_value(raw: Raw, kind: VariableType) -> Value:
    """Raises ValueError with what was expected, to follow "is" or "must be" (``a whole number, not "four"``)."""
    match raw:
        case tuple() if kind is VariableType.LIST:
            return tuple(_line(item) for item in raw)
        case str() if kind is not VariableType.LIST:
            return _scalar(_line(raw), kind)
        case _:
            raise ValueError(f"{NOUN[kind]}, not {quote(raw) if isinstance(raw, str) else 'a list'}")


def value_text(value: Value) -> str:
    """The value as people write it, and as it stands in a variant's name."""
    match value:
        case bool():
            return "true" if value else "false"
        case tuple():
            return "-".join(value)
        case _:
            return str(value)


def parse_bool(text: str) -> bool:
    """Raises ValueError where ``text`` is none of YAML 1.1's words (but y and n)."""
    if (word := text.lower()) in TRUE:
        return True
    if word in FALSE:
        return False
    raise ValueError(f"{NOUN[VariableType.BOOL]}, not {quote(text)}")


NOUN = {
    VariableType.TEXT: "a text",
    VariableType.INT: "a whole number",
    VariableType.BOOL: enumerate_words((*TRUE, *FALSE)),
    VariableType.LIST: "a list",
    VariableType.VERSION: "a version (letters, digits and . + ~ _ -)",
}


def _scalar(text: str, kind: VariableType) -> Value:
    if kind is VariableType.BOOL:
        return parse_bool(text)
    if kind is VariableType.INT and _INT.fullmatch(text):
        return int(text)
    if kind is VariableType.TEXT or (kind is VariableType.VERSION and _VERSION.fullmatch(text)):
        return text
    raise ValueError(f"{NOUN[kind]}, not {quote(text)}")


def _line(text: str) -> str:
    if match := CONTROL.search(text):
        raise ValueError(f"one line without control characters, not one with {quote(match[0])}")
    return text
