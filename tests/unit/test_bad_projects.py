"""Promise 8: a wrong input gives a message with file, line and remedy. Each folder of tests/projects is one, with what is said."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hubstack.check import check
from hubstack.errors import Problem

PROJECTS = Path(__file__).parents[1] / "projects"
CASES = sorted(path.name for path in PROJECTS.iterdir())
GOOD = [name for name in CASES if name.startswith("good-")]
BAD = [name for name in CASES if name not in GOOD]


@cache
def problems_of(name: str) -> list[Problem]:
    return check(PROJECTS / name)


@pytest.mark.parametrize("name", CASES)
def test_says_what_is_wrong(name: str, golden: Callable[[Path, str], None]) -> None:
    said = "".join(f"{problem}\n" for problem in problems_of(name))
    golden(PROJECTS / name / "expected.txt", said)


@pytest.mark.parametrize("name", BAD)
def test_every_fault_has_a_place_and_a_remedy(name: str) -> None:
    problems = problems_of(name)
    assert problems
    for problem in problems:
        assert problem.remedy.endswith("."), problem
        assert not problem.what.endswith("."), problem
        assert os.path.lexists(PROJECTS / name / problem.position.path) or "missing" in problem.what


@pytest.mark.parametrize("name", GOOD)
def test_good_projects_pass(name: str) -> None:
    assert problems_of(name) == []


def test_there_are_at_least_sixty() -> None:
    assert len(BAD) >= 60
