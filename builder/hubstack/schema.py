"""JSON Schemas for editors, and the page about file formats, both from the forms that read the files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from hubstack.files.form import FileForm
from hubstack.files.hub import HubForm
from hubstack.files.layer import BaseForm, LayerForm
from hubstack.files.settings import SettingsForm
from hubstack.files.stack import StackForm

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
FORMS: Mapping[str, type[FileForm]] = {  # the schema's name, and what it is for
    "hubstack": SettingsForm,
    "base": BaseForm,
    "layer": LayerForm,
    "stack": StackForm,
    "hub": HubForm,
}
_WHERE = {
    "hubstack": "hubstack.yaml",
    "base": "base/NAME/layer.yaml",
    "layer": "layers/NAME/layer.yaml",
    "stack": "stacks/NAME.yaml",
    "hub": "profiles/NAME.yaml",
}


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema (draft 2020-12) of each kind of file, by its name."""
    found = {name: {"$schema": _DRAFT, **form.schema_of_file(), "title": _WHERE[name]} for name, form in FORMS.items()}
    for optional in (found["hub"], found["hub"]["$defs"]["ConfigMapForm"]):
        del optional["required"]  # an editor sees one file, and what is missing in it may stand in _defaults.yaml
    return found


def render_schemas() -> Mapping[str, str]:
    """File name → JSON text."""
    return {f"{name}.schema.json": _render(schema) for name, schema in schemas().items()}


def _render(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


_INTRODUCTION = """\
# File formats

<!-- Written by hubstack from the models that read the files (builder/hubstack/files/); change the descriptions there. -->

`hubstack schema --output DIR` writes these formats as JSON Schemas for editors.

Files are YAML, read strictly. Every value is text until its type is known, so `1.10` stays `1.10` and `no` is a word;
quotes are never needed for that. Refused are a key that stands twice, anchors, aliases, tags, merge keys and a second
document. An empty value of an optional field counts as absent.

A **name** has lower-case letters and digits, with single hyphens between, at most 40. A **key** is such a name with at
most 63 characters, but neither only digits nor a word that YAML reads as something else (`yes`, `null` …). A **text for
people** stands on one line and holds none of `<`, `>`, `{` and `}`. A **template** may use Jinja, as
`"{{ release }}"`, in quotes.
"""


def render_formats_doc() -> str:
    """Markdown: what each file may hold."""
    parts, shown = [_INTRODUCTION], set[str]()
    for name, form in FORMS.items():
        schema = form.schema_of_file()
        parts += _section(f"## `{_WHERE[name]}`", schema)
        for inner in schema.get("$defs", {}).values():
            if inner["title"] not in shown:
                shown.add(inner["title"])
                parts += _section(f"### {inner['title']}", inner)
    return "\n".join(parts)


def _section(heading: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"{heading}\n\n{schema.get('description', '')}\n"
    yield "| field | holds | default | |\n|---|---|---|---|"
    required = schema.get("required", ())
    for field, value in schema["properties"].items():
        if "description" in value:  # KubeSpawner's traits have none, and are a page of their own
            default = "**required**" if field in required else _default(value.get("default"))
            yield f"| `{field}` | {_cell(_kind(value))} | {default} | {_cell(value['description'])} |"
    if isinstance(more := schema.get("additionalProperties"), dict):
        yield f"| *any other name* | {_cell(_kind(more))} | | |"
    yield ""


def _kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2].removesuffix("Form").lower()
        return f"[{name}](#{name})"
    if schema.get("type") == "array":
        return f"list: {_kind(schema['items'])}"
    if "title" in schema:
        return str(schema["title"])
    return f"{_kind(schema['propertyNames'])} → {_kind(schema['additionalProperties'])}"


def _default(value: object) -> str:
    return "" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
