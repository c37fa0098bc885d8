"""``hubstack repo`` before anything is built, and what it says where nothing can be."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.commandline import HUBSTACK, Done, run
from tests.unit.test_repository_specification import repository

ROOT = Path(__file__).parents[2]
NO_ENGINE = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}


def repo(*words: str) -> Done:
    return run("repo", *words, folder=ROOT, env=NO_ENGINE)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"binder/stack": "scipi\n"}, "binder/stack:1: there is no stack 'scipi' (did you mean 'scipy'?). There are: "),
        ({"runtime.txt": "python-3.6\n"}, ": no stack has Python 3.6. There are: minimal/default (Python 3.13), "),
        ({"binder/stack": "minimal\n", "binder/install.R": ""}, "binder/stack:1: 'minimal' has not R. "),
        ({"binder/stack": "conda\n"}, "there is no stack 'conda'"),  # a draft
        ({"apt.txt": "Hello"}, "apt.txt:1: 'Hello' is no Debian package's name."),
    ],
)
def test_one_clear_message(tmp_path: Path, files: dict[str, str], message: str) -> None:
    done = repo(str(repository(tmp_path, files)))
    assert (done.code, done.out) == (1, "")
    assert message in done.err


@pytest.mark.parametrize("name", ["apt.txt", "Dockerfile"])
def test_no_engine(tmp_path: Path, name: str) -> None:
    """In a process of its own: Docker's SDK leaves a socket open."""
    argv = [str(HUBSTACK), "-C", str(ROOT), "repo", str(repository(tmp_path, {name: "hello"}))]
    done = subprocess.run(argv, env={**os.environ, **NO_ENGINE}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: no Docker engine answers\n")


def test_a_stack_that_is_not_there_is_a_fault_of_the_command_line(tmp_path: Path) -> None:
    done = repo(str(repository(tmp_path, {"a": ""})), "--stack", "scpy")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith('error: no stack is called "scpy" (did you mean "scipy"?)\n')


def test_a_repository_that_is_not_there(tmp_path: Path) -> None:
    done = repo(str(tmp_path / "nothing"))
    assert done.code == 1
    assert done.err.startswith(
        f"error: there is no repository at {tmp_path}/nothing, or it can't be read\n  git says: "
    )
