"""What a hub runs, beside what its images bring: the example's own hub, tree and lock."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hubstack.errors import Severity
from hubstack.hub.check import release_problems
from hubstack.hub.choice import offers
from hubstack.lock import load_lock
from hubstack.pipeline import Inputs, prepare
from hubstack.project import load_project

ROOT = Path(__file__).parents[2]


@cache
def inputs() -> Inputs:
    return prepare(load_project(ROOT)[0], load_lock((ROOT / "hubstack.lock").read_text(encoding="utf-8")), ())


def found(release: str) -> list[str]:
    hub = replace(inputs().project.hubs["demo"], jupyterhub=release)
    problems = [*release_problems(hub, offers(inputs().project, inputs().graph, hub), inputs().locked("jupyterhub"))]
    assert {one.severity for one in problems} <= {Severity.WARNING}
    return [one.what for one in problems]


def test_another_major_release_is_told_once_for_each_image() -> None:
    told = found("4.1")
    assert [one.partition(" ")[0] for one in told] == [
        "minimal/default",
        "scipy/trixie-4.5",
        "scipy/bookworm-4.4",
        "datascience/default",
    ]
    assert all("brings JupyterHub 5." in one and one.endswith("this hub runs 4.1") for one in told)


@pytest.mark.parametrize("release", ["5", "5.2.1", ""])
def test_the_same_one_is_not(release: str) -> None:
    assert found(release) == []
