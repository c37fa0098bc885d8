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

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from hubstack.model import Raw
from hubstack.reference import ImageRef
from hubstack.source import Key
from hubstack.spelling import CONTROL, did_you_mean, enumerate_words, quote
from hubstack.value import parse_bool

MAX_NAME = 40
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_NAME_WORDS = "lower-case letters and digits, with single hyphens between"
VARIABLE = re.compile(r"[a-z][a-z0-9_]*")
_MARKUP = re.compile("[<>{}]")
_DNS_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_SHORT_FINGERPRINT = re.compile(r"[0-9a-f]{12}")
YAML_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])
"""What a YAML 1.1 reader, as Helm's is, takes for something other than text (hub.md, 1.3)."""


class Fault(ValueError):
    """What is wrong with a value, to be read behind its name: ``refresh`` + ``is "dayly"``."""

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


def unfit(value: object, wanted: str, more: str = "", *, at: tuple[Key, ...] = ()) -> Fault:
    what = "has no value" if value is None else f"is {noun(value)}"
    return Fault(what, f"It must be {wanted}.{more and ' '}{more}", at=at)


def text(value: object) -> str:
    """Whatever stands on one line, with the blanks at its ends cut off."""
    if not isinstance(value, str):
        raise unfit(value, "a text")
    line = str(value).strip()
    if not line:
        raise Fault("is empty", "Write something, or remove it.")
    if match := CONTROL.search(line):
        what, remedy = f"holds the control character {quote(match[0])}", "Remove it."
        if match[0] in "\r\n":
            what, remedy = "has more than one line", "Write it in one."
        raise Fault(what, remedy, character=match[0])
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
        raise unfit(value, "a command")
    lines = str(value).strip()
    if not lines:
        raise Fault("is empty", "Write a command, or remove it.")
    if match := CONTROL.search(lines.replace("\n", " ").replace("\t", " ")):
        raise Fault(f"holds the control character {quote(match[0])}", "Remove it.", character=match[0])
    return lines


def check_name(value: str) -> str:
    """A layer's, base's, stack's or hub's name: it becomes part of tags, keys and file names. Raises Fault."""
    if not _NAME.fullmatch(value):
        raise unfit(value, _NAME_WORDS)
    if len(value) > MAX_NAME:
        raise Fault(f"is {quote(value)}, of {len(value)} characters", f"It must have at most {MAX_NAME}.")
    return value


def check_key(value: str) -> str:
    """A slug or key of a launcher (hub.md, 1.1 and 1.3). Raises Fault."""
    if not _NAME.fullmatch(value):
        raise unfit(value, _NAME_WORDS)
    if len(value) > 63:
        raise Fault(f"is {quote(value)}, of {len(value)} characters", "It must have at most 63.")
    if value.isdigit():
        raise Fault(f"is {quote(value)}, only digits", "Add a letter: browsers would show it before all others.")
    if value in YAML_WORDS or value == "unlisted-choice":
        raise Fault(f"is {quote(value)}", "Choose another: Helm or KubeSpawner gives that word a meaning of its own.")
    return value


def check_variable(value: object) -> str:
    """Raises Fault where it is no variable's name."""
    name = text(value)
    if not VARIABLE.fullmatch(name) or len(name) > MAX_NAME:
        raise unfit(name, f"at most {MAX_NAME} lower-case letters, digits and _, beginning with a letter")
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
        raise unfit(value, "an image, as registry/name:tag") from error


def _flag(value: object) -> bool:
    word = text(value)
    try:
        return parse_bool(word)
    except ValueError as error:
        raise unfit(word, "true or false") from error


def _raw(value: object) -> Raw:
    if isinstance(value, list):
        return tuple(_value(item, index) for index, item in enumerate(value))
    return _value(value)


def _value(value: object, *at: Key) -> str:
    if value is None:
        raise Fault("has no value", 'Write one; an empty text is "".', at=at)
    if not isinstance(value, str):
        raise unfit(value, "a text or a list of texts", at=at)
    if match := CONTROL.search(value):
        raise Fault(f"holds the control character {quote(match[0])}", "Remove it.", at=at, character=match[0])
    return str(value)


def _channel(value: object) -> str:
    line = text(value)
    if not _CHANNEL.fullmatch(line):
        raise unfit(line, "at most 40 letters, digits and . _ -", "It becomes part of a tag.")
    if _SHORT_FINGERPRINT.fullmatch(line):
        raise Fault(f"is {quote(line)}, which looks like a fingerprint", "Choose another: published tags end with one.")
    return line


def dns_name(value: object) -> str:
    """Raises Fault where Kubernetes would refuse it as an object's name."""
    line = text(value)
    if len(line) > 253 or not all(_DNS_LABEL.fullmatch(label) for label in line.split(".")):
        raise unfit(line, "a Kubernetes name (lower-case letters, digits, - and .)")
    return line


def _pattern(value: object) -> str:
    line = text(value)
    if re.escape(line) != line:  # compiling is slow, and most are plain
        try:
            re.compile(line)
        except re.error as error:
            remedy = "Mend it, or put a backslash before what stands for itself."
            raise Fault(f"is no regular expression: {error}", remedy) from error
    return line


def _draft(value: object) -> str:
    reason = _prose(value)
    if reason.lower() in YAML_WORDS:
        raise Fault(f"is {quote(reason)}", "Write why, for people who miss the image.")
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
            raise unfit(digits, f"a whole number from {smallest} to {largest}")
        return int(digits)

    return Kind(parse, {"type": "integer", "minimum": smallest, "maximum": largest, "title": "whole number"})


def choice(words: type[StrEnum]) -> Kind:
    known = {str(word): word for word in words}

    def parse(value: object) -> StrEnum:
        word = text(value)
        if word not in known:
            raise Fault(f"is {quote(word)}{did_you_mean(word, known)}", f"It must be {enumerate_words(known)}.")
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
VariableName: TypeAlias = Annotated[str, scalar("variable", check_variable, rf"^{VARIABLE.pattern}$")]
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


@dataclass(frozen=True, eq=False)
class Rule:
    """Stands in ``Annotated[tuple[…], Rule(…)]``: what a whole list must keep to, and JSON Schema's words for it."""

    check: Callable[[tuple[Any, ...]], object]
    schema: Mapping[str, object]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, object]:
        return {**handler(core), **self.schema}


Some = Rule(_some, {"minItems": 1})
Unique: TypeAlias = Annotated[tuple[T, ...], Rule(_unique, {"uniqueItems": True})]
"""A list without repetitions."""
