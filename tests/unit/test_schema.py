"""The schemas as an editor uses them: its YAML is 1.2, so a bare 4.4 is a number there, and true is no text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hubstack.schema import render_formats_doc, render_schemas
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]
KINDS = {
    "hubstack": "hubstack.yaml",
    "base": "base/*/layer.yaml",
    "layer": "layers/*/layer.yaml",
    "stack": "stacks/*.yaml",
    "hub": "profiles/*.yaml",
}
FILES = [
    (kind, path)
    for kind, pattern in KINDS.items()
    for root in (ROOT, ROOT / "tests/projects/good-small")
    for path in sorted(root.glob(pattern))
]


class Editor(yaml.SafeLoader):
    """YAML 1.2's core schema, as far as it matters: no dates, and only true and false are truth values."""


Editor.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":bool"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Editor.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("true|false"), list("tf"))


@cache
def validator(kind: str) -> Draft202012Validator:
    schema = json.loads(render_schemas()[f"{kind}.schema.json"])
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def faults(kind: str, text: str) -> list[str]:
    data = yaml.load(text, Loader=Editor)
    return [error.json_path for error in validator(kind).iter_errors(data)]


@pytest.mark.parametrize(("kind", "path"), FILES, ids=lambda value: str(value).removeprefix(f"{ROOT}/"))
def test_accepts_what_hubstack_reads(kind: str, path: Path) -> None:
    assert faults(kind, path.read_text(encoding="utf-8") or "{}") == []


def test_there_are_files_of_every_kind() -> None:
    assert {kind for kind, _ in FILES} >= {"base", "layer", "stack", "hub"}


@pytest.mark.parametrize("bare", ["4.4", "5", "true", "4.4rc1", '"4.4"', "-1", "1e3", "no", "2026-11-21"])
@pytest.mark.parametrize(
    ("kind", "template"),
    [
        ("layer", "summary: VALUE\n"),
        ("layer", "summary: x\nvariables: {a: {type: version, default: VALUE}}\n"),
        ("layer", "summary: x\nvariables: {a: {type: list, default: [VALUE]}}\n"),
        ("layer", "summary: x\nvariables: {a: {type: version, choices: {VALUE: VALUE}}}\n"),
        ("layer", "summary: x\nversions: {VALUE: VALUE}\n"),
        ("layer", "summary: x\npython: VALUE\n"),
        ("stack", "title: VALUE\nlayers: [a]\nvalues: {a: VALUE, b: [VALUE]}\nmatrix: {c: [VALUE, [VALUE]]}\n"),
        ("stack", "title: x\nlayers: [a]\nmatrix: {c: [x], include: [{c: VALUE}], exclude: [{c: VALUE}]}\n"),
        ("hub", "configmap: {name: a, namespace: b}\nhub: {jupyterhub: VALUE}\nprofiles: [{slug: a, title: VALUE}]\n"),
        (
            "hub",
            "configmap: {name: a, namespace: b}\nprofiles: [{slug: a, title: x, override: {default_url: VALUE}}]\n",
        ),
    ],
)
def test_accepts_bare_values_wherever_text_stands(kind: str, template: str, bare: str) -> None:
    data = yaml.load(template.replace("VALUE", bare), Loader=Editor)
    data = json.loads(json.dumps(data))  # keys of mappings are texts in JSON, and in editors
    assert list(validator(kind).iter_errors(data)) == []


LAYER = "summary: x\n"
STACK = "title: x\nlayers: [a]\n"
HUB = "configmap: {name: a, namespace: b}\nprofiles: [{slug: a, title: A, stacks: [s], %s}]\n"


@pytest.mark.parametrize(
    ("kind", "text", "path"),
    [
        ("layer", "requires: [python]\n", "$"),
        ("layer", LAYER + "require: [python]\n", "$"),
        ("layer", LAYER + "image: debian:bookworm\n", "$"),
        ("layer", LAYER + "requires: python\n", "$.requires"),
        ("layer", LAYER + "requires: [python, python]\n", "$.requires"),
        ("layer", LAYER + "requires: [Python]\n", "$.requires[0]"),
        ("layer", LAYER + "refresh: daily\n", "$.refresh"),
        ("layer", "summary: <b>\n", "$.summary"),
        ("layer", "summary: [x]\n", "$.summary"),
        ("layer", LAYER + "variables: {a: {default: x}}\n", "$.variables.a"),
        ("layer", LAYER + "variables: {A: {type: text}}\n", "$.variables"),
        ("layer", LAYER + "variables: {a: {type: text, default: {x: y}}}\n", "$.variables.a.default"),
        ("layer", LAYER + "tests: [{stdout: x}]\n", "$.tests[0]"),
        ("layer", LAYER + "tests: [{run: x, timeout_s: 1m}]\n", "$.tests[0].timeout_s"),
        ("layer", LAYER + "tests: [{run: x, network: 1}]\n", "$.tests[0].network"),
        ("base", LAYER + "requires: [a]\n", "$"),
        ("base", LAYER + "bootstrap: {variant: minbase}\n", "$.bootstrap"),
        ("stack", "title: x\n", "$"),
        ("stack", "title: x\nlayers: []\n", "$.layers"),
        ("stack", STACK + "values: {A-b: 1}\n", "$.values"),
        ("stack", STACK + "matrix: {release: bookworm}\n", "$.matrix.release"),
        ("stack", STACK + "matrix: {release: []}\n", "$.matrix.release"),
        ("stack", STACK + "override: {privileged: true}\n", "$"),
        ("hubstack", "assembly: both\n", "$.assembly"),
        ("hubstack", "platforms: [amd64]\n", "$.platforms[0]"),
        ("hubstack", "registy: a/b\n", "$"),
        ("hub", HUB % "x: y", "$.profiles[0]"),
        ("hub", HUB % "override: {iamge: x}", "$.profiles[0].override"),
        ("hub", HUB % "override: {image: x}", "$.profiles[0].override"),
        ("hub", HUB % "override: {cpu_limit: two}", "$.profiles[0].override.cpu_limit"),
        ("hub", HUB % "override: {mem_limit: 2Gi}", "$.profiles[0].override.mem_limit"),
        ("hub", HUB % "resources: [{key: a, title: A, memlimit: 2G}]", "$.profiles[0].resources[0]"),
        ("hub", HUB % "resources: [{title: A}]", "$.profiles[0].resources[0]"),
        ("hub", HUB % "unlisted: 1", "$.profiles[0].unlisted"),
        ("hub", "folow: latest\n", "$"),
        ("hub", "profiles: [{slug: a}]\n", "$.profiles[0]"),
    ],
)
def test_marks_what_hubstack_refuses(kind: str, text: str, path: str) -> None:
    assert faults(kind, text) == [path]


def test_a_hub_need_not_repeat_the_defaults() -> None:
    assert faults("hub", "configmap: {name: a}\nhub: {jupyterhub: 5}\n") == []


def test_every_field_says_what_it_is_for() -> None:
    for text in render_schemas().values():
        schema = json.loads(text)
        for form in (schema, *schema.get("$defs", {}).values()):
            assert form["description"].strip()
            for name, field in form["properties"].items():
                assert "description" in field or name in traits_of(schema), name


def traits_of(schema: Any) -> Any:
    return (
        schema["$defs"]["ProfileForm"]["properties"]["override"]["properties"]
        if "ProfileForm" in schema["$defs"]
        else ()
    )


def test_the_page_about_formats(golden: Callable[[Path, str], None]) -> None:
    golden(ROOT / "docs" / "formats.md", render_formats_doc())


def test_the_page_names_every_field() -> None:
    page = render_formats_doc()
    for text in render_schemas().values():
        schema = json.loads(text)
        for form in (schema, *schema.get("$defs", {}).values()):
            for name, field in form["properties"].items():
                assert "description" not in field or f"| `{name}` |" in page
