"""Promise 8: a wrong input gives a message with file, line and remedy, exit code 2, and no traceback: from the command,
for broken projects of every kind. (test_bad_projects.py knows what is said of each.)
"""

from __future__ import annotations

import re

import pytest

from tests.commandline import PROJECTS, run

BROKEN = sorted(path.name for path in PROJECTS.iterdir() if not path.name.startswith("good-"))[::7]
PLACE = re.compile(r"[^:\n]+:[1-9]\d*:[1-9]\d*: .+\. .+\.")


@pytest.mark.parametrize("name", BROKEN)
def test_every_broken_project(name: str) -> None:
    done = run("check", folder=PROJECTS / name)
    errors = [line for line in done.out.splitlines()[:-1] if ": warning: " not in line]
    assert done.code == (2 if errors else 0)
    assert "Traceback" not in done.out + done.err
    for line in done.out.splitlines()[:-1]:
        assert PLACE.fullmatch(line), line


@pytest.mark.parametrize("words", ["plan --offline", "build", "list", "profiles"])
def test_every_verb_stops_before_it_does_anything(words: str) -> None:
    done = run("--registry", "127.0.0.1:9/none", *words.split(), folder=PROJECTS / "faults-of-many-files")
    assert done.code == 2
    assert done.out == ""
    assert all(PLACE.fullmatch(line) for line in done.err.splitlines())
