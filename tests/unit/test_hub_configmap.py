from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hubstack.errors import ProjectError, Severity
from hubstack.hub.choice import offers
from hubstack.hub.configmap import (
    LIMIT_BYTES,
    WARN_BYTES,
    Emitted,
    Past,
    changes,
    load_emitted,
    parse_configmap,
    render_configmap,
    render_yaml,
    size_problems,
    write_if_changed,
)
from hubstack.hub.profiles import values
from hubstack.offer import Hub
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.hubs import EXAMPLE, EXAMPLE_HUB, hub, profile

GOLDEN = Path(__file__).parents[1] / "golden" / "hub"


def rendered(one: Hub) -> str:
    project, graph = EXAMPLE.project(one), EXAMPLE.graph
    return render_configmap(one, values(one, offers(project, graph, one), EXAMPLE.images))


@pytest.mark.parametrize(
    ("name", "one"),
    [
        ("everything", EXAMPLE_HUB),
        ("prefixed", replace(EXAMPLE_HUB, prefixed_keys=True, retired=())),
        ("wrapped", replace(hub(profile("python", "minimal")), wrap=("hubs", "jupyterhub"))),
    ],
)
def test_golden(name: str, one: Hub, golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / f"{name}.yaml", rendered(one))


def test_what_helm_gets_is_what_was_meant() -> None:
    project, graph = EXAMPLE.project(EXAMPLE_HUB), EXAMPLE.graph
    meant = values(EXAMPLE_HUB, offers(project, graph, EXAMPLE_HUB), EXAMPLE.images)
    document = yaml.safe_load(render_configmap(EXAMPLE_HUB, meant))
    assert yaml.safe_load(document["data"]["values.yaml"]) == meant


def test_the_configmap_is_flux_s_and_names_what_is_in_it() -> None:
    document = yaml.safe_load(rendered(EXAMPLE_HUB))
    assert (document["apiVersion"], document["kind"]) == ("v1", "ConfigMap")
    metadata = document["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("jhub-profiles", "jhub")
    assert metadata["labels"]["reconcile.fluxcd.io/watch"] == "Enabled"
    assert metadata["labels"]["app.kubernetes.io/managed-by"] == "hubstack"
    assert metadata["annotations"]["kustomize.toolkit.fluxcd.io/substitute"] == "disabled"
    data = document["data"]["values.yaml"].encode()
    assert metadata["annotations"]["hubstack/sha256"] == hashlib.sha256(data).hexdigest()


def test_every_string_stands_in_double_quotes() -> None:
    """Helm reads ``y``, ``84e1234`` and ``0o7`` as something else than PyYAML, which leaves them bare."""
    for line in rendered(EXAMPLE_HUB).splitlines()[1:]:
        for part in line.lstrip().removeprefix("- ").split(": ", 1):
            bare = part.rstrip(":")
            assert bare.startswith('"') or bare in {"|", "true", "null"} or math.isfinite(float(bare)), line


# Text as JSON can hold it, everything that YAML calls a break or unprintable included.
TEXTS = st.text() | st.sampled_from(
    ["y", "no", "1e3", "0o7", "1_0", "1:30", "~", "", "\x85", "\u2028", "\ufeff", "\x7f"]
)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TREES = st.recursive(
    TEXTS | NUMBERS | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(TEXTS, TREES, max_size=4))
def test_yaml_comes_back_as_it_went(tree: dict[str, object]) -> None:
    back = yaml.safe_load(render_yaml(tree) or "{}")
    assert json.dumps(back) == json.dumps(tree)  # which tells 1 from 1.0 and from true


@pytest.mark.parametrize("number", [1e-07, 1e22, 1.5e300, 5e-324, 0.1, -0.0, 2.0, 10**30])
def test_a_number_stays_one(number: float) -> None:
    """PyYAML takes ``1e-07`` for a text."""
    back = yaml.safe_load(render_yaml({"cpu_limit": number}))["cpu_limit"]
    assert (type(back), back) == (type(number), number)


@given(TEXTS)
def test_a_block_scalar_holds_any_text(text: str) -> None:
    """The values stand as text inside the ConfigMap: read twice, they are still the same."""
    document = yaml.safe_load(render_configmap(EXAMPLE_HUB, {"singleuser": {text: text}}))
    assert yaml.safe_load(document["data"]["values.yaml"]) == {"singleuser": {text: text}}


# --- the memory of what was given out ----------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [(), ("hubs", "jupyterhub")])
def test_what_was_written_is_read_again(wrap: tuple[str, ...]) -> None:
    one = replace(EXAMPLE_HUB, wrap=wrap)
    emitted = parse_configmap(rendered(one), "profiles/emitted/demo.yaml")
    project, graph = EXAMPLE.project(one), EXAMPLE.graph
    expected = {(offer.profile, offer.option, offer.key) for offer in offers(project, graph, one)}
    found = {
        (slug, option, key)
        for slug, options in emitted.profiles.items()
        for option, choices in options.items()
        for key in choices
    }
    assert found == expected
    alias = emitted.choices("python", "image")["scipy-bullseye"]
    assert alias.retired
    assert alias.own_title == "scipy-bullseye"
    assert (
        alias.image
        == emitted.choices("python", "image")["scipy-bookworm"].image
        == str(EXAMPLE.images["scipy", "bookworm"])
    )
    assert emitted.choices("python", "resources")["small"] == Past(title="2 GB")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: [",
        "data: {}",
        "data: {values.yaml: 1}",
        'data: {values.yaml: "{}"}',
        "- 1",
        "data: {values.yaml: 'a: 1'}",
    ],
)
def test_a_file_that_hubstack_did_not_write_is_refused(text: str) -> None:
    with pytest.raises(ProjectError) as caught:
        parse_configmap(text, "profiles/emitted/demo.yaml")
    assert "profiles/emitted/demo.yaml:1:1: this is not a ConfigMap that hubstack wrote" in str(caught.value)


def test_load_emitted(tmp_path: Path) -> None:
    one = hub(profile("python", "minimal"))
    assert load_emitted(tmp_path, one) is None
    write_if_changed(tmp_path / "profiles" / "emitted" / "demo.yaml", rendered(one))
    emitted = load_emitted(tmp_path, one)
    assert emitted is not None
    assert list(emitted.choices("python", "image")) == ["minimal"]


def test_changes_are_told() -> None:
    old = Emitted(
        profiles={"p": {"image": {"a": Past(title="A", image="x"), "b": Past(title="B", image="y")}, "resources": {}}}
    )
    new = Emitted(
        profiles={
            "p": {
                "image": {"a": Past(title="A", image="z"), "c": Past(title="C", image="w")},
                "resources": {"small": Past(title="2 GB")},
            }
        }
    )
    assert changes(old, new) == ("~ p/a  x -> z", "+ p/c  w", "+ p/resources/small  2 GB", "- p/b")
    assert changes(new, new) == ()
    assert changes(None, old) == ("+ p/a  x", "+ p/b  y")
    renamed = Emitted(profiles={"p": {"image": {"a": Past(title="AA", image="x"), "b": Past(title="B", image="y")}}})
    assert changes(old, renamed) == ('~ p/a  "A" -> "AA"',)


# --- the file ----------------------------------------------------------------------------------------------------------


def test_an_equal_file_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "dist" / "demo.yaml"
    assert write_if_changed(path, "one\n")
    before = path.stat()
    assert not write_if_changed(path, "one\n")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert write_if_changed(path, "two\n")
    assert path.read_bytes() == b"two\n"
    assert path.stat().st_ino != before.st_ino  # another file was put there: a reader of the old one has all of it
    assert [one.name for one in path.parent.iterdir()] == ["demo.yaml"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "demo.yaml"
    path.mkdir()  # cannot be replaced by a file
    with pytest.raises(OSError, match="demo"):
        write_if_changed(path, "one\n")
    assert [one.name for one in tmp_path.iterdir()] == ["demo.yaml"]


def test_size() -> None:
    assert size_problems(EXAMPLE_HUB, "x" * WARN_BYTES) == ()
    (warning,) = size_problems(EXAMPLE_HUB, "x" * (WARN_BYTES + 1))
    (error,) = size_problems(EXAMPLE_HUB, "ü" * (LIMIT_BYTES // 2 + 1))
    assert (warning.severity, error.severity) == (Severity.WARNING, Severity.ERROR)
    assert "700 KiB" in error.what
