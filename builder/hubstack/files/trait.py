"""KubeSpawner's traits: which there are, and the types that their values must have.

KubeSpawner sets whatever a profile names, without a look at the name: with ``iamge`` the default image starts, and a
number in quotes fails at the spawn (hub.md, 1.4). traits.txt says what a KubeSpawner can be configured with; a test
compares it with the installed one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hubstack.errors import Problem
from hubstack.files.scalar import Fault, noun, unfit
from hubstack.source import Key, Source
from hubstack.spelling import CONTROL, did_you_mean, enumerate_words, quote
from hubstack.value import FALSE, TRUE, parse_bool
from hubstack.yamlfile import Data, Plain

_OURS = {
    "image": "Stacks and `external` say which images there are.",
    "profile_list": "It is what hubstack writes.",
}
_TEXT_VALUES = frozenset([
    "common_labels", "environment", "extra_annotations", "extra_labels", "extra_resource_guarantees",
    "extra_resource_limits", "node_selector", "storage_extra_annotations", "storage_extra_labels",
    "user_namespace_annotations", "user_namespace_labels",
])  # fmt: skip
"""Mappings of which Kubernetes takes only texts as values: a bare ``true`` or ``1`` means the text."""

_INT = re.compile(r"0|-?[1-9][0-9]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_BYTES = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?[KMGT]?")
_SCALARS = {  # kind → how a message calls it
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "bytes": "a size, as 512M, 2G or 1.5T (KubeSpawner knows no Gi)",
    "text": "a text",
}
_KINDS = {**_SCALARS, "texts": "a list of texts", "list": "a list", "dict": "a mapping"}


@cache
def trait_kinds() -> Mapping[str, tuple[str, ...]]:
    """Every trait's kinds: those of _KINDS, and ``function`` for what only Python configuration can give."""
    lines = Path(__file__).with_name("traits.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split() for line in lines if not line.startswith("#"))
    return {name: tuple(kinds.split("|")) for name, kinds in pairs}


def settable() -> list[str]:
    return [name for name, kinds in trait_kinds().items() if kinds != ("function",) and name not in _OURS]


def trait_faults(data: Mapping[str, Data], source: Source, path: tuple[Key, ...]) -> Iterator[Problem]:
    for name, value in data.items():
        kinds, at = trait_kinds().get(name), source.key(*path, name)
        if name in _OURS:
            yield Problem(position=at, what=f"{name} can't be set here", remedy=_OURS[name])
        elif kinds is None:
            what = f"unknown KubeSpawner trait {quote(name)}{did_you_mean(name, trait_kinds())}"
            yield Problem(position=at, what=what, remedy="KubeSpawner's documentation lists them.")
        elif kinds == ("function",):
            what = f"{name} takes a function"
            yield Problem(position=at, what=what, remedy="Only the hub's Python configuration can give one.")
        else:
            yield from _value_faults(name, value, source, (*path, name))


def _value_faults(name: str, value: Data, source: Source, path: tuple[Key, ...]) -> Iterator[Problem]:
    try:
        parse_trait(name, value)
    except Fault as fault:
        yield Problem(position=source.at(*path, *fault.at), what=f"{name} {fault.what}", remedy=fault.remedy)


def parse_traits(data: Mapping[str, Data]) -> dict[str, object]:
    """What KubeSpawner is to be given, of data without faults."""
    return {name: parse_trait(name, value) for name, value in data.items()}


def parse_trait(name: str, value: Data) -> object:
    """Raises Fault where the value is of another type than the trait."""
    kinds = trait_kinds()[name]
    match value:
        case list() if "texts" in kinds:
            return [_text(item, (index,)) for index, item in enumerate(value)]
        case list() if "list" in kinds:
            return [_nested(item, (index,)) for index, item in enumerate(value)]
        case dict() if name in _TEXT_VALUES:
            return {key: _text_or_more(item, (key,)) for key, item in value.items()}
        case dict() if "dict" in kinds:
            return {key: _nested(item, (key,), null=True) for key, item in value.items()}
        case str() if not _SCALARS.keys().isdisjoint(kinds):
            return _scalar(value, kinds)
    wanted = enumerate_words(_KINDS[kind] for kind in kinds if kind != "function")
    raise unfit(value, wanted)


def _scalar(value: str, kinds: Sequence[str]) -> object:
    kind = next(kind for kind in kinds if kind in _SCALARS)
    if kind == "text":
        return _text(value, ())
    if kind == "int" and _INT.fullmatch(value):
        return int(value)
    if kind == "float" and _NUMBER.fullmatch(value):
        return _number(value)
    if kind == "bytes" and _BYTES.fullmatch(value):
        return int(value) if value.isdigit() else str(value)
    if kind == "bool" and value.lower() in (*TRUE, *FALSE):
        return parse_bool(value)
    raise unfit(value, _SCALARS[kind])


def _number(text: str) -> float:
    return float(text) if "." in text else int(text)


def _text(value: Data, at: tuple[Key, ...]) -> str:
    if not isinstance(value, str):
        raise Fault(f"holds {noun(value)}", "It must hold texts.", at=at)
    if match := CONTROL.search(value.replace("\n", " ")):
        raise Fault(f"holds the control character {quote(match[0])}", "Remove it.", at=at)
    return str(value)


def _text_or_more(value: Data, at: tuple[Key, ...]) -> object:
    """An environment variable may also be a mapping, as ``valueFrom``; None takes away what a hub sets for all."""
    return _text(value, at) if isinstance(value, str) else _nested(value, at, null=True)


def _nested(value: Data, at: tuple[Key, ...], *, null: bool = False) -> object:
    """What stands inside an object of Kubernetes: quotes make a text; without them YAML 1.2 says what it is."""
    match value:
        case list():
            return [_nested(item, (*at, index)) for index, item in enumerate(value)]
        case dict():
            return {key: _nested(item, (*at, key), null=True) for key, item in value.items()}
        case Plain():
            return _plain(value, at)
        case None if not null:
            raise Fault("holds an empty item", "Write its value.", at=at)
        case None:
            return None
        case _:
            return _text(value, at)


def _plain(value: str, at: tuple[Key, ...]) -> object:
    if value in ("true", "false"):
        return value == "true"
    if _NUMBER.fullmatch(value):
        return _number(value)
    if value.lower() in ("yes", "no", "on", "off", "true", "false") or re.fullmatch(r"0[0-9]+", value):
        raise Fault(f"holds {quote(value)}, which YAML's versions read differently", "Put a text in quotes.", at=at)
    return _text(value, at)


_SCHEMAS: Mapping[str, dict[str, Any]] = {
    "bool": {"enum": [True, False, "true", "false", "yes", "no", "on", "off"]},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bytes": {"type": ["string", "number"], "pattern": f"^{_BYTES.pattern}$"},
    "text": {"type": ["string", "number", "boolean"]},
    "texts": {"type": "array", "items": {"type": ["string", "number", "boolean"]}},
    "list": {"type": "array"},
    "dict": {"type": "object"},
}


def trait_schemas() -> dict[str, Any]:
    """JSON Schema of each trait's value, by its name."""
    schemas = {}
    for name in settable():
        kinds = [_SCHEMAS[kind] for kind in trait_kinds()[name] if kind != "function"]
        schemas[name] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return schemas
