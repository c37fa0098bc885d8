"""The kinds of single values that forms are made of: each checks, says what it wants, and has a schema for editors.

YAML's scalars arrive as text. Editors read ``4.4`` as a number and ``yes`` as a truth value, so a schema for text
accepts those too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import AfterValidator, Field
from pydantic_core import core_schema

from hubstack.model import ImageRef, Key, Raw
from hubstack.spelling import CONTROL, did_you_mean, enumerate_words, quote
from hubstack.value import parse_bool

MAX_NAME = 40
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_VARIABLE = re.compile(r"[a-z][a-z0-9_]*")
_MARKUP = re.compile("[<>{}]")
_DNS_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_SHORT_FINGERPRINT = re.compile(r"[0-9a-f]{12}")
YAML_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])
"""What a YAML 1.1 reader, as Helm's is, takes for something other than text (hub.md, 1.3)."""


class Fault(ValueError):
    """What is wrong with a value, to be read behind its name: ``refresh`` + ``must be never, weekly or monthly``."""

    def __init__(self, what: str, remedy: str = "", *, at: tuple[Key, ...] = (), character: str = "") -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy
        self.at = at  # below the value that is checked
        self.character = character  # the one that mustn't stand there


def noun(value: object) -> str:
    """How a message calls what stands there."""
    if isinstance(value, str):
        return quote(value)
    return "a list" if isinstance(value, list) else "a mapping" if isinstance(value, dict) else "nothing"


def text(value: object) -> str:
    """Whatever stands on one line, with the blanks at its ends cut off."""
    if not isinstance(value, str):
        raise Fault(f"must be a text, not {noun(value)}")
    line = str(value).strip()
    if not line:
        raise Fault("is empty", "Write something, or remove it.")
    if match := CONTROL.search(line):
        what = "must be one line" if match[0] in "\r\n" else f"holds the control character {quote(match[0])}"
        raise Fault(what, "Remove it.", character=match[0])
    return line


def _prose(value: object) -> str:
    line = text(value)
    if match := _MARKUP.search(line):
        raise Fault(
            f"holds {quote(match[0])}",
            "Launchers would take it for markup or a template; use words.",
            character=match[0],
        )
    return line


def _command(value: object) -> str:
    if not isinstance(value, str):
        raise Fault(f"must be a command, not {noun(value)}")
    lines = str(value).strip()
    if not lines:
        raise Fault("is empty", "Write a command, or remove it.")
    if match := CONTROL.search(lines.replace("\n", " ").replace("\t", " ")):
        raise Fault(f"holds the control character {quote(match[0])}", "Remove it.", character=match[0])
    return lines


def check_name(value: str) -> str:
    """A layer's, base's, stack's or hub's name: it becomes part of tags, keys and file names. Raises Fault."""
    if not _NAME.fullmatch(value):
        raise Fault(f"must be lower-case letters and digits, with single hyphens between, not {quote(value)}")
    if len(value) > MAX_NAME:
        raise Fault(f"must have at most {MAX_NAME} characters; {quote(value)} has {len(value)}")
    return value


def check_key(value: str) -> str:
    """A slug or key of a launcher (hub.md, 1.1 and 1.3). Raises Fault."""
    if not _NAME.fullmatch(value):
        raise Fault(f"must be lower-case letters and digits, with single hyphens between, not {quote(value)}")
    if len(value) > 63:
        raise Fault(f"must have at most 63 characters; {quote(value)} has {len(value)}")
    if value.isdigit():
        raise Fault(f"must not be only digits, as {quote(value)} is", "Browsers would show it before all others.")
    if value in YAML_WORDS or value == "unlisted-choice":
        raise Fault(f"must not be {quote(value)}", "Helm or KubeSpawner gives that word a meaning of its own.")
    return value


def check_variable(value: object) -> str:
    """Raises Fault where it is no variable's name."""
    name = text(value)
    if not _VARIABLE.fullmatch(name) or len(name) > MAX_NAME:
        what = "must be at most 40 lower-case letters, digits and _, beginning with a letter"
        raise Fault(f"{what}, not {quote(name)}")
    return name


def is_template(value: str) -> bool:
    return "{{" in value or "{%" in value


def _reference(value: object) -> str:
    line = text(value)
    if not is_template(line):
        parse_image(line)
    return line


def parse_image(value: str) -> ImageRef:
    """Raises Fault where it is no reference to an image."""
    try:
        return ImageRef.parse(value)
    except ValueError as error:
        raise Fault(f"must be an image, as registry/name:tag, not {quote(value)}") from error


def _flag(value: object) -> bool:
    try:
        return parse_bool(text(value))
    except Fault:
        raise
    except ValueError as error:
        raise Fault(f"must be {error}") from error


def _raw(value: object) -> Raw:
    if isinstance(value, list):
        return tuple(_value(item, index) for index, item in enumerate(value))
    return _value(value)


def _value(value: object, *at: Key) -> str:
    if value is None:
        raise Fault("has no value", 'Write one; an empty text is "".', at=at)
    if not isinstance(value, str):
        raise Fault(f"must be a text or a list of texts, not {noun(value)}", at=at)
    if match := CONTROL.search(value):
        raise Fault(f"must be one line; it holds {quote(match[0])}", "Remove it.", at=at, character=match[0])
    return str(value)


def _channel(value: object) -> str:
    line = text(value)
    if not _CHANNEL.fullmatch(line):
        raise Fault(f"must be letters, digits and . _ -, at most 40, not {quote(line)}", "It becomes part of a tag.")
    if _SHORT_FINGERPRINT.fullmatch(line):
        raise Fault(f"must not look like a fingerprint, as {quote(line)} does", "Published tags end with one.")
    return line


def dns_name(value: object) -> str:
    """Raises Fault where Kubernetes would refuse it as an object's name."""
    line = text(value)
    if len(line) > 253 or not all(_DNS_LABEL.fullmatch(label) for label in line.split(".")):
        raise Fault(f"must be a Kubernetes name (lower-case letters, digits, - and .), not {quote(line)}")
    return line


def _pattern(value: object) -> str:
    line = text(value)
    if re.escape(line) != line:  # compiling is slow, and most are plain
        try:
            re.compile(line)
        except re.error as error:
            raise Fault(
                f"is no regular expression: {error}", "Put a backslash before what stands for itself."
            ) from error
    return line


def _draft(value: object) -> str:
    reason = _prose(value)
    if reason.lower() in YAML_WORDS:
        raise Fault(f"must say why, not {quote(reason)}", "It is what people read who miss the image.")
    return reason


@dataclass(frozen=True, eq=False)
class Kind:
    """Stands in ``Annotated[…, Kind(…)]``: the value is what ``parse`` makes of it, raising Fault."""

    parse: Callable[[Any], object]
    schema: Mapping[str, object]

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)

    def __get_pydantic_json_schema__(self, _core: object, _handler: object) -> dict[str, object]:
        return dict(self.schema)


def number(smallest: int, largest: int) -> Kind:
    """An ``int`` between two bounds, both allowed."""

    def parse(value: object) -> int:
        digits = text(value)
        if not re.fullmatch(r"0|-?[1-9][0-9]{0,9}", digits) or not smallest <= int(digits) <= largest:
            raise Fault(f"must be a whole number from {smallest} to {largest}, not {quote(digits)}")
        return int(digits)

    return Kind(parse, {"type": "integer", "minimum": smallest, "maximum": largest, "title": "whole number"})


def choice(words: type[StrEnum]) -> Kind:
    known = {str(word): word for word in words}

    def parse(value: object) -> StrEnum:
        word = text(value)
        if word not in known:
            raise Fault(f"must be {enumerate_words(known)}, not {quote(word)}{did_you_mean(word, known)}")
        return known[word]

    return Kind(parse, {"enum": list(known), "title": enumerate_words(f"`{word}`" for word in known)})


def scalar(title: str, parse: Callable[[object], str] = text, pattern: str = "") -> Kind:
    """A text of some kind. ``pattern`` is for editors, which see only strings with it."""
    return Kind(parse, {"type": list(_SCALAR), "title": title, **({"pattern": pattern} if pattern else {})})


def _then(check: Callable[[str], str]) -> Callable[[object], str]:
    return lambda value: check(text(value))


_SCALAR = ("string", "number", "boolean")
_RAW = {"anyOf": [{"type": list(_SCALAR)}, {"type": "array", "items": {"type": list(_SCALAR)}}], "title": "value"}
_FLAG = {"enum": [True, False, "true", "false", "yes", "no", "on", "off"], "title": "`true` or `false`"}

Text: TypeAlias = Annotated[str, scalar("text")]
Prose: TypeAlias = Annotated[str, scalar("text for people", _prose, r"^[^<>{}]*$")]
Command: TypeAlias = Annotated[str, scalar("command", _command)]
Name: TypeAlias = Annotated[str, scalar("name", _then(check_name), rf"^{_NAME.pattern}$")]
KeyName: TypeAlias = Annotated[str, scalar("key", _then(check_key), rf"^{_NAME.pattern}$")]
VariableName: TypeAlias = Annotated[str, scalar("variable", check_variable, rf"^{_VARIABLE.pattern}$")]
ChoiceText: TypeAlias = Annotated[str, scalar("value", _value)]
Template: TypeAlias = Annotated[str, scalar("template")]
ImageText: TypeAlias = Annotated[str, scalar("image or template", _reference)]
Channel: TypeAlias = Annotated[str, scalar("channel", _channel, rf"^{_CHANNEL.pattern}$")]
DnsName: TypeAlias = Annotated[str, scalar("Kubernetes name", dns_name)]
Regex: TypeAlias = Annotated[str, scalar("regular expression", _pattern)]
Draft: TypeAlias = Annotated[str, scalar("reason", _draft)]
Flag: TypeAlias = Annotated[bool, Kind(_flag, _FLAG)]
RawValue: TypeAlias = Annotated[Raw, Kind(_raw, _RAW)]

T = TypeVar("T")


def _unique(items: tuple[T, ...]) -> tuple[T, ...]:
    seen: set[T] = set()
    for index, item in enumerate(items):
        if item in seen:
            raise Fault(f"stands twice: {item}", "Keep one.", at=(index,))
        seen.add(item)
    return items


def _some(items: tuple[T, ...]) -> tuple[T, ...]:
    if not items:
        raise Fault("is empty", "List at least one.")
    return items


Some = AfterValidator(_some)
"""``Annotated[tuple[…], Some]``: not an empty list."""
Unique: TypeAlias = Annotated[tuple[T, ...], AfterValidator(_unique), Field(json_schema_extra={"uniqueItems": True})]
"""A list without repetitions."""
