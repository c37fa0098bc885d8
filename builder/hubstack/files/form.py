"""From a YAML document to a filled form, and from pydantic's errors to problems in our words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.json_schema import GenerateJsonSchema

from hubstack.errors import Problem, ProjectError
from hubstack.files.scalar import Fault, noun
from hubstack.source import Key, Position, Source
from hubstack.spelling import did_you_mean, quote
from hubstack.yamlfile import Document

_KEY = "[key]"  # how pydantic's locations say that a mapping's key is meant


class Form(BaseModel):
    """A mapping with a fixed set of fields. An empty value of an optional field counts as absent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}


class FileForm(Form):
    """A whole file. Its required fields have defaults, so that with one missing the others are checked all the same."""

    required: ClassVar[tuple[str, ...]] = ()
    elsewhere: ClassVar[Mapping[str, str]] = {}  # fields that people look for here → where they belong

    def faults(self, document: Document) -> Iterator[Problem]:
        """What is wrong between the fields, each right by itself."""
        yield from ()

    @classmethod
    def schema_of_file(cls) -> dict[str, Any]:
        """JSON Schema, draft 2020-12."""
        schema = cls.model_json_schema(schema_generator=_Schema)
        for name, inner in schema.get("$defs", {}).items():
            inner["title"] = name.removesuffix("Form").lower()
        if cls.required:
            schema["required"] = list(cls.required)
        names = dict.fromkeys([*cls.required, *cls.__annotations__, *schema["properties"]])  # what matters most first
        schema["properties"] = {name: schema["properties"][name] for name in names if name in schema["properties"]}
        return schema


class _Schema(GenerateJsonSchema):
    """Without pydantic's titles, which repeat names, and without null, which is only how forms say "not given".

    Mappings keep the titles of their values, and have their keys checked.
    """

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> dict[str, Any]:
        json_schema = super().default_schema(schema)
        default = json_schema.get("default", "")
        if default in ("", [], None) or isinstance(default, dict):  # they are how forms say "not given"
            json_schema.pop("default", None)
        return json_schema

    def dict_schema(self, schema: Any) -> dict[str, Any]:
        keys, values = self.generate_inner(schema["keys_schema"]), self.generate_inner(schema["values_schema"])
        if not values:
            return {"type": "object"}
        names = {word: keys[word] for word in ("pattern", "title") if word in keys}
        return {"type": "object", "propertyNames": names, "additionalProperties": values}


F = TypeVar("F", bound=FileForm)


def filled(form: type[F], document: Document) -> F:
    """Raises ProjectError with every fault of the file."""
    result, problems = fill(form, document)
    if problems:
        raise ProjectError(problems)
    return result


def fill(form: type[F], document: Document, *, partial: bool = False) -> tuple[F, list[Problem]]:
    """The form as far as it can be filled, and every fault. ``partial``: nothing is required."""
    source, data = document.source, {} if document.data is None else document.data
    if not isinstance(data, dict):
        what = f"the file must hold fields, not {noun(data)}"
        return form(), [Problem(position=source.at(), what=what, remedy="Write one a line: `name: value`.")]
    filled, problems = _validated(form, data, document, partial=partial)
    for name in () if partial else form.required:
        if data.get(name) is None:
            problems.append(_missing(source, (name,)))
    return filled, [*problems, *filled.faults(document)]


def _validated(form: type[F], data: dict[str, Any], document: Document, *, partial: bool) -> tuple[F, list[Problem]]:
    """Wrong values are reported and cut out until the rest is right: so the checks between fields run in any case."""
    problems: list[Problem] | None = None
    while True:
        try:
            return form.model_validate(data), problems or []
        except ValidationError as error:
            faults = error.errors(include_url=False)
        if problems is None:  # what is missing in later rounds was cut out
            found = [fault for fault in faults if not (partial and fault["type"] == "missing")]
            problems = [_problem(form, document, fault) for fault in found]
            data = deepcopy(data)
        for fault in faults:
            _cut(data, fault["loc"])


def _cut(data: dict[str, Any], path: Sequence[Key]) -> None:
    """Removes the innermost mapping's entry that ``path`` leads through; list items would move the ones behind them."""
    owner, entry = data, path[0]
    value: Any = data
    for step in path:
        if isinstance(value, dict) and step in value:
            owner, entry = value, step
        elif not isinstance(value, list) or isinstance(step, str):
            break
        value = value[step]
    owner.pop(str(entry), None)


def _problem(form: type[FileForm], document: Document, error: Mapping[str, Any]) -> Problem:
    path, source = tuple(error["loc"]), document.source
    match error["type"]:
        case "missing":
            return _missing(source, path)
        case "extra_forbidden":
            return _unknown(form, source, path)
        case "value_error":
            return _fault(document, path, error["ctx"]["error"])
        case _:
            remedy = _CONTAINERS.get(error["type"], error["msg"])
            what = f"{_label(path)} is {noun(error['input'])}"
            return Problem(position=source.at(*path), what=what, remedy=remedy)


_CONTAINERS = {  # pydantic's error type → what is wanted
    "tuple_type": "It must be a list: write [a, b], or one item a line, each behind a `-`.",
    "dict_type": "It must be a mapping: write `name: value` lines below it.",
    "model_type": "It must be a mapping: write `name: value` lines below it.",
}


def _missing(source: Source, path: tuple[Key, ...]) -> Problem:
    where = source.keys.get(path) or source.at(*path[:-1])
    return Problem(position=where, what=f"{path[-1]} is missing", remedy=f"Write `{path[-1]}: …`.")


def _unknown(form: type[FileForm], source: Source, path: tuple[Key, ...]) -> Problem:
    name, known = str(path[-1]), _fields_at(form, path[:-1])
    remedy = form.elsewhere.get(name, "") if len(path) == 1 else ""
    guess = "" if remedy else did_you_mean(name, known)
    what = f"unknown field {quote(name)}{guess}"
    return Problem(position=source.key(*path), what=what, remedy=remedy or f"Known here: {', '.join(sorted(known))}.")


def _fields_at(form: type[FileForm], path: Iterable[Key]) -> list[str]:
    schema = form.schema_of_file()
    node = schema
    for step in path:
        inner = node["items"] if isinstance(step, int) else node.get("properties", {}).get(step)
        node = inner or node["additionalProperties"]
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return list(node.get("properties", ()))


def _fault(document: Document, path: tuple[Key, ...], fault: Fault) -> Problem:
    if path[-1] == _KEY:
        place, what = document.source.key(*path[:-1]), f"a name in {_label(path[:-2])} {fault.what}"
    else:
        path = (*path, *fault.at)
        place, what = _place(document, path, fault.character), f"{_label(path)} {fault.what}"
    return Problem(position=place, what=what, remedy=fault.remedy)


def _place(document: Document, path: tuple[Key, ...], character: str) -> Position:
    return document.locate(path, character) if character else document.source.at(*path)


def _label(path: Sequence[Key]) -> str:
    name = next((step for step in reversed(path) if isinstance(step, str)), "the file")
    shown = name if name.replace("_", "").isalpha() else quote(name)
    return f"an item of {shown}" if path and isinstance(path[-1], int) else shown


def differ_in_case(source: Source, path: tuple[Key, ...], names: Iterable[str]) -> Iterator[Problem]:
    """Keys of one mapping that people, and file systems and registries without cases, take for one."""
    seen: dict[str, str] = {}
    for name in names:
        if (first := seen.setdefault(name.lower(), name)) != name:
            what = f"{quote(name)} and {quote(first)} differ only in case"
            yield Problem(position=source.key(*path, name), what=what, remedy="Rename one of them.")
