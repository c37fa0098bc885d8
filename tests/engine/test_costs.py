"""What each change costs: `plan` says it with its reason, and `build` does just that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hubstack.lock import load_lock, render_lock
from hubstack.lock.resolution import Package

from tests.engine.workbench import Run, Work, layer_of

pytestmark = pytest.mark.engine

SIX_1_17 = Package(
    name="six",
    version="1.17.0",
    hashes=(
        "4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274",
        "ff70335d468e7eb6ec65b95b99d3a2836546063f63acc5171de367e834932a81",
    ),
)


@pytest.fixture(scope="module")
def work(make_project: Callable[[Path], Work], tmp_path_factory: pytest.TempPathFactory) -> Work:
    """One project for all edits, each on top of the ones before, as in a project's life."""
    work = make_project(tmp_path_factory.mktemp("costs") / "project")
    work.build("--profiles", str(work.folder / "out"))
    return work


@dataclass(frozen=True)
class Cost:
    """How often each layer is built or tested anew, and why the changed one is."""

    build: dict[str, int] = field(default_factory=dict)
    test: dict[str, int] = field(default_factory=dict)
    because: str = ""
    configmap: bool = False  # whether the hub's ConfigMap changes without any image


def a_line_of_a_leaf(work: Work) -> None:
    work.edit("layers/both/Dockerfile.j2", "install /mnt/greet", "install --mode 0555 /mnt/greet")


def a_line_of_a_middle_layer(work: Work) -> None:
    work.edit("layers/words/Dockerfile.j2", "/opt/words", "/opt/words.txt")
    work.edit("layers/words/Dockerfile.j2", "{% endcall %}", "ln -s words.txt /opt/words\n{% endcall %}")


def a_macro(work: Work) -> None:
    work.edit("layers/_macros/note.j2", "echo {{", "printf '%s\\n' {{")


def a_locked_package(work: Work) -> None:
    lock = load_lock((work.folder / "hubstack.lock").read_text(encoding="utf-8"))
    resolution = replace(lock.python["3.13"], packages={"six": SIX_1_17})
    work.write("hubstack.lock", render_lock(replace(lock, python={"3.13": resolution})))


def a_test(work: Work) -> None:
    work.edit("layers/numbers/layer.yaml", "print(six.PY3)", "print(six.PY3 and not six.PY2)")


def a_file_of_a_test(work: Work) -> None:
    work.edit("layers/both/tests/greets.sh", "", "test -n six\n")


def the_title_of_a_stack(work: Work) -> None:
    work.edit("stacks/small.yaml", "title: Small", "title: Little")


def a_value_of_a_stack(work: Work) -> None:
    work.edit("stacks/both.yaml", "  tone: [plain, loud]", "  tone: [loud]")


def an_owner_and_a_comment(work: Work) -> None:
    work.edit("layers/numbers/layer.yaml", "", 'owners: ["@somebody"]\n')
    work.edit("layers/hello/apt.txt", "", "# it greets\n")
    work.edit("hubstack.yaml", "# Small layers", "# Little layers")


EDITS = {
    a_line_of_a_leaf: Cost(build={"both": 2}, because="layers/both/Dockerfile.j2 changed"),
    a_line_of_a_middle_layer: Cost(build={"words": 2, "both": 2}, because="layers/words/Dockerfile.j2 changed"),
    a_macro: Cost(build={"words": 2, "both": 2}, because="layers/_macros/note.j2 changed"),
    a_locked_package: Cost(build={"numbers": 1, "words": 2, "both": 2}, because="six 1.16.0 → 1.17.0 in hubstack.lock"),
    a_test: Cost(test={"numbers": 1, "both": 2}, because="built, but these tests have not passed on it"),
    a_file_of_a_test: Cost(test={"both": 2}, because="built, but these tests have not passed on it"),
    the_title_of_a_stack: Cost(configmap=True),
    an_owner_and_a_comment: Cost(),
    a_value_of_a_stack: Cost(configmap=True),
}


@pytest.mark.parametrize(("edit", "cost"), EDITS.items(), ids=[edit.__name__ for edit in EDITS])
def test_plan_says_what_an_edit_costs_and_build_does_just_that(
    work: Work, edit: Callable[[Work], None], cost: Cost
) -> None:
    out = ("--profiles", str(work.folder / "out"))
    assert work.plan() == []
    before, configmap = work.build(*out), work.configmap()
    edit(work)

    planned = work.plan()
    assert counted(planned, "build") == cost.build
    assert counted(planned, "test") == cost.test
    assert [one["reason"] for one in planned][:1] == ([cost.because] if cost.because else [])
    for one in planned[1:]:
        assert one["reason"] == cost.because or one["reason"] in changes(one["parents"]), one

    after = work.build(*out)
    assert Counter(after.layers("building")) == cost.build
    assert Counter(set_of(after, "testing")) == Counter(cost.build) + Counter(cost.test)
    assert set(after.results.values()) <= {"built", "tested", "reused"}
    assert (work.configmap() != configmap) == bool(cost.build or cost.configmap)
    if not cost.build:
        assert after.digests.items() <= before.digests.items()


def counted(nodes: list[dict[str, str]], action: str) -> Counter[str]:
    return Counter(layer_of(node["id"]) for node in nodes if node["action"] == action)


def changes(parents: str) -> set[str]:
    return {f"{parent} changes" for parent in parents}


def set_of(run: Run, phase: str) -> list[str]:
    nodes = {one["node"] for one in run.of("phase") if one["phase"] == phase}
    return [layer_of(node) for node in nodes]
