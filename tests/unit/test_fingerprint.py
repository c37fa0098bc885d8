"""Fingerprints: the documented facts, each of which counts, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hubstack.fingerprint import difference, fingerprints, test_fingerprint
from hubstack.model import Bootstrap, Graph, Layer, Node, Pin, Rendered, SourceFile, Test
from hubstack.record import Fact
from hubstack.reference import Digest
from hubstack.source import Position
from hypothesis import given
from hypothesis import strategies as st

from tests.handmade import handmade_layer

HERE = Position(path="x")
PIN = Pin(name="numpy", version="2.1.0", hashes=("sha256:a", "sha256:b"))
RENDERED = Rendered(
    dockerfile="FROM parent\n",
    origins=(HERE,),
    context=(SourceFile(path="files/a", content=b"a"), SourceFile(path="requirements.txt", content=b"numpy")),
    arguments={"A": "1", "B": "2"},
    pins=(PIN,),
    upstream={"debian:12": Digest("sha256:" + "1" * 64)},
    bootstrap=Bootstrap(suite="trixie", include=("tini", "adduser")),
)


def node(name: str, *parents: str, **more: Any) -> Node:
    return Node(
        id=name, layer=name.partition("-")[0], base="base", values={}, platform="linux/amd64", parents=parents, **more
    )


def graph(*nodes: Node) -> Graph:
    return Graph(nodes={one.id: one for one in nodes}, images=(), alone={})


PAIR = graph(node("python-1"), node("scipy-1", "python-1"))
EPOCHS = {"scipy": "2026-11-01"}


def top(rendered: Rendered = RENDERED, below: Rendered = RENDERED, epochs: Mapping[str, str] = EPOCHS) -> str:
    """The fingerprint of scipy on python."""
    return fingerprints(PAIR, {"python-1": below, "scipy-1": rendered}, epochs)["scipy-1"].fingerprint


def changed(**fields: Any) -> str:
    return top(replace(RENDERED, **fields))


def test_facts_stand_in_their_documented_order() -> None:
    base, above = fingerprints(PAIR, {"python-1": RENDERED, "scipy-1": RENDERED}, EPOCHS).values()
    assert [(fact.kind, fact.name) for fact in above.facts] == [
        ("format", ""),
        ("docker", "Dockerfile"),
        ("file", "files/a"),
        ("argument", "A"),
        ("argument", "B"),
        ("platform", ""),
        ("epoch", ""),
        ("pin", "numpy"),
        ("image", "debian:12"),
        ("base", "suite"),
        ("base", "variant"),
        ("base", "include"),
        ("parent", "python-1"),
    ]
    assert above.facts[-1].value == base.fingerprint
    assert {fact.kind for fact in base.facts} == {fact.kind for fact in above.facts} - {"parent", "epoch"}


def test_a_known_fingerprint() -> None:
    """Changes only together with FORMAT: every image that was ever built would be built again."""
    assert top() == "cbf7191cbfc305e53dde911a005450d39083ade673ba525200ca09e8be9b9e92"


@pytest.mark.parametrize(
    "fields",
    [
        {"dockerfile": "FROM parent\n\n"},
        {"context": RENDERED.context[:0]},
        {"context": (SourceFile(path="files/b", content=b"a"),)},
        {"context": (SourceFile(path="files/a", content=b"b"),)},
        {"context": (SourceFile(path="files/a", content=b"a", executable=True),)},
        {"context": (SourceFile(path="files/a", link="a"),)},
        {"context": (SourceFile(path="files/a", link="b"),)},
        {"arguments": {"A": "1"}},
        {"arguments": {"A": "1", "B": "3"}},
        {"pins": ()},
        {"pins": (replace(PIN, version="2.1.1"),)},
        {"pins": (replace(PIN, hashes=("sha256:a",)),)},
        {"upstream": {"debian:12": Digest("sha256:" + "2" * 64)}},
        {"bootstrap": None},
        {"bootstrap": Bootstrap(suite="bookworm", include=("tini", "adduser"))},
        {"bootstrap": Bootstrap(suite="trixie", include=("tini",))},
    ],
)
def test_each_fact_counts(fields: dict[str, Any]) -> None:
    assert changed(**fields) != top()
    assert top(below=replace(RENDERED, **fields)) != top()


def test_platform_parents_copies_and_epochs_count() -> None:
    found = {top(), top(epochs={}), top(epochs={"scipy": "2026-12-01"})}
    for one in (
        replace(PAIR.nodes["scipy-1"], platform="linux/arm64"),
        node("scipy-1"),
        node("scipy-1", copies={"python": "python-1"}),
        node("scipy-1", "python-1", copies={"python": "python-1"}),
        node("scipy-1", "python-1", copies={"tools": "python-1"}),
    ):
        both = graph(PAIR.nodes["python-1"], one)
        found.add(fingerprints(both, {"python-1": RENDERED, "scipy-1": RENDERED}, EPOCHS)["scipy-1"].fingerprint)
    assert len(found) == 8


def test_what_a_parent_is_called_does_not_count() -> None:
    """A new variable that no file of a lower layer reads gives its nodes other ids, and nothing else."""
    below, above = node("python-2"), node("scipy-1", "python-2")
    found = fingerprints(graph(below, above), {"python-2": RENDERED, "scipy-1": RENDERED}, EPOCHS)
    called = fingerprints(
        graph(node("python-1"), node("scipy-1", "python-1")), {"python-1": RENDERED, "scipy-1": RENDERED}, EPOCHS
    )
    assert found["scipy-1"].fingerprint == called["scipy-1"].fingerprint


@pytest.mark.parametrize(
    "fields",
    [
        {"origins": (Position(path="y", line=9),)},
        {"sources": {"layers/scipy/apt.txt": "0" * 64}},
        {"context": (*RENDERED.context[:1], SourceFile(path="requirements.txt", content=b"# another comment"))},
    ],
)
def test_where_a_text_came_from_does_not_count(fields: dict[str, Any]) -> None:
    assert changed(**fields) == top()


def test_the_epoch_of_another_layer_does_not_count() -> None:
    assert top(epochs={**EPOCHS, "r": "2026-11-01"}) == top()


def test_stacks_and_values_by_themselves_do_not_count() -> None:
    """A value counts by what it does to the text."""
    other = graph(PAIR.nodes["python-1"], node("scipy-1", "python-1", stacks=("scipy/default",)))
    rendered = {"python-1": RENDERED, "scipy-1": RENDERED}
    assert fingerprints(other, rendered, EPOCHS)["scipy-1"].fingerprint == top()


@given(st.permutations(["A", "B"]), st.permutations(["scipy", "r", "java"]), st.permutations(["x:1", "y:1"]))
def test_orders_of_mappings_do_not_count(arguments: list[str], epochs: list[str], images: list[str]) -> None:
    def rendered(arguments: list[str], images: list[str]) -> Rendered:
        upstream = {image: Digest("sha256:" + "1" * 64) for image in images}
        return replace(RENDERED, arguments=dict.fromkeys(arguments, "1"), upstream=upstream)

    assert top(rendered(arguments, images), epochs=dict.fromkeys(epochs, "e")) == top(
        rendered(["A", "B"], ["x:1", "y:1"]), epochs=dict.fromkeys(["r", "scipy", "java"], "e")
    )


@given(st.text(max_size=9), st.text(max_size=9), st.text(max_size=9), st.text(max_size=9))
def test_facts_can_t_run_into_each_other(a: str, b: str, c: str, d: str) -> None:
    same = (a, b) == (c, d)
    assert (changed(arguments={a: b}) == changed(arguments={c: d})) is same
    assert (
        changed(bootstrap=Bootstrap(suite=a, variant=b)) == changed(bootstrap=Bootstrap(suite=c, variant=d))
    ) is same


SCRIPT = """
import json, sys
from pathlib import Path
from hubstack.fingerprint import fingerprints
from hubstack.graph import resolve
from hubstack.model import Digest
from hubstack.project import load_project
from hubstack.render import render, upstream_images

project, _ = load_project(Path(sys.argv[1]))
graph = resolve(project)
images = dict.fromkeys(upstream_images(project, graph), Digest("sha256:" + "1" * 64))
rendered = render(project, graph, pins={}, images=images)
found = fingerprints(graph, rendered, {})
print(json.dumps([[node, one.fingerprint, rendered[node].dockerfile] for node, one in found.items()]))
"""


def test_the_same_in_another_folder_hash_seed_time_zone_and_language(tmp_path: Path) -> None:
    project = Path(__file__).parents[1] / "projects" / "good-small"

    def run(seed: str, folder: Path, **env: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", SCRIPT, os.path.relpath(project, folder)],
            cwd=folder,
            env={**os.environ, "PYTHONHASHSEED": seed, **env},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    first = run("1", Path.cwd(), TZ="UTC", LC_ALL="C")
    assert len(json.loads(first)) > 3
    assert run("2", tmp_path, TZ="Asia/Tokyo", LC_ALL="C.UTF-8", JUPYTER="x", USER="somebody") == first


# --- tests --------------------------------------------------------------------------------------------------------------


def _tested(*layers: Layer, hub_test: bool = True, harness: str = "1") -> str:
    return test_fingerprint(layers, hub_test, harness)


def test_of_tests() -> None:
    one = Test(run="jq --version", position=HERE)
    layer = handmade_layer("jq", tests=(one,), files={"tests/a": SourceFile(path="tests/a", content=b"1")})
    other = handmade_layer("git", tests=(replace(one, run="git --version"),))
    found = [
        _tested(layer),
        _tested(layer, hub_test=False),
        _tested(layer, harness="2"),
        _tested(layer, other),
        _tested(other, layer),
        *(
            _tested(replace(layer, tests=(replace(one, **fields),)))
            for fields in ({"run": "x"}, {"stdout": "1"}, {"exit_code": 1}, {"network": True}, {"timeout_s": 9})
        ),
        _tested(replace(layer, files={"tests/a": SourceFile(path="tests/a", content=b"2")})),
        _tested(replace(layer, files={"tests/b": SourceFile(path="tests/b", content=b"1")})),
        _tested(replace(layer, files={"tests/a": SourceFile(path="tests/a", content=b"1", executable=True)})),
    ]
    assert len(set(found)) == len(found)
    assert all(len(one) == 32 for one in found)
    same = (
        replace(layer, tests=(replace(one, position=Position(path="x", line=9)),)),
        replace(layer, summary="other"),
        replace(layer, files={**layer.files, "files/b": SourceFile(path="files/b")}),
    )
    assert {_tested(one) for one in same} == {_tested(layer)}


# --- reasons ------------------------------------------------------------------------------------------------------------

SOURCES = {"layers/scipy/apt.txt": "1", "layers/scipy/requirements.txt": "1"}


def facts(rendered: Rendered, below: Rendered = RENDERED, epochs: Mapping[str, str] = EPOCHS) -> tuple[Fact, ...]:
    return fingerprints(PAIR, {"python-1": below, "scipy-1": rendered}, epochs)["scipy-1"].facts


def reason(rendered: Rendered = RENDERED, *, sources: Mapping[str, str] = SOURCES, **more: Any) -> str:
    return difference(facts(RENDERED), SOURCES, facts(rendered, **more), sources)


Change = Callable[[], str]


@pytest.mark.parametrize(
    ("said", "change"),
    [
        (
            "layers/scipy/apt.txt changed",
            lambda: reason(replace(RENDERED, dockerfile="x"), sources={**SOURCES, "layers/scipy/apt.txt": "2"}),
        ),
        (
            "layers/_macros/a.j2 added, layers/scipy/apt.txt removed",
            lambda: reason(
                replace(RENDERED, dockerfile="x"),
                sources={"layers/_macros/a.j2": "1", "layers/scipy/requirements.txt": "1"},
            ),
        ),
        ("numpy 2.1.0 → 2.1.1 in hubstack.lock", lambda: reason(replace(RENDERED, pins=(replace(PIN, version="2.1.1"),)))),
        ("numpy has other files in hubstack.lock", lambda: reason(replace(RENDERED, pins=(replace(PIN, hashes=()),)))),
        (
            "jq 1 added to hubstack.lock, numpy 2.1.0 removed from hubstack.lock",
            lambda: reason(replace(RENDERED, pins=(Pin(name="jq", version="1", hashes=()),))),
        ),
        (
            "debian:12 sha256:111111111111 → sha256:222222222222 in hubstack.lock",
            lambda: reason(replace(RENDERED, dockerfile="x", upstream={"debian:12": Digest("sha256:" + "2" * 64)})),
        ),
        ("its refresh epoch 2026-11-01 → 2026-12-01 in hubstack.lock", lambda: reason(epochs={"scipy": "2026-12-01"})),
        ("python-1 changes", lambda: reason(below=replace(RENDERED, dockerfile="x"))),
        (
            "python-1 changes",  # and not the comment that changed nothing
            lambda: reason(below=replace(RENDERED, dockerfile="x"), sources={**SOURCES, "layers/scipy/apt.txt": "2"}),
        ),
        (
            "layers/scipy/apt.txt changed, numpy 2.1.0 → 3 in hubstack.lock, python-1 changes",
            lambda: reason(
                replace(RENDERED, dockerfile="x", pins=(replace(PIN, version="3"),)),
                below=replace(RENDERED, dockerfile="x"),
                sources={**SOURCES, "layers/scipy/apt.txt": "2"},
            ),
        ),
        ("suite is bookworm, was trixie", lambda: reason(replace(RENDERED, bootstrap=Bootstrap(suite="bookworm", include=("tini", "adduser"))))),
        ("hubstack writes another Dockerfile or build script", lambda: reason(replace(RENDERED, dockerfile="x"))),
        ("its build is no longer there", reason),
        (
            "p0 1 added to hubstack.lock, p1 1 added to hubstack.lock, p2 1 added to hubstack.lock, and 6 more",
            lambda: reason(replace(RENDERED, pins=(*(Pin(name=f"p{at}", version="1", hashes=()) for at in range(9)), PIN))),
        ),
    ],
)  # fmt: skip
def test_reasons(said: str, change: Change) -> None:
    assert change() == said
