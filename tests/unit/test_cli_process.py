"""The command line as a process: in pipes, on terminals, ended by signals, asked by a shell for completions."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commandline import HUBSTACK, PROJECTS, run
from tests.fakes.registry import FakeRegistry
from tests.fakes.wire import Trouble

BROKEN = PROJECTS / "faults-of-many-files"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A project of two layers, one stack of two variants, and a hub."""
    return Path(shutil.copytree(PROJECTS / "good-small", tmp_path / "small"))


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


def environment(**more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    return {**clean, "TERM": "xterm", **more}


@pytest.mark.parametrize("words", [["list"], pytest.param(["schema"], marks=pytest.mark.slow)])
def test_who_stops_reading_ends_it_quietly(words: list[str], small: Path) -> None:
    """``hubstack list | head -1``, with a head that is gone before the first line."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write) as out:
        done = subprocess.run([HUBSTACK, *words], cwd=small, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (141, "")


def on_terminal(*words: str, folder: Path, **env: str) -> str:
    """All that a terminal gets of a command."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [HUBSTACK, *words], cwd=folder, env=environment(**env), stdin=theirs, stdout=theirs, stderr=theirs
    ) as child:
        os.close(theirs)
        text = b""
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # EIO: the other side is closed
                break
            if not chunk:
                break
            text += chunk
        child.wait(30)
    os.close(ours)
    return text.decode().replace("\r\n", "\n")


def test_colour_is_for_terminals_that_want_it(small: Path, registry: FakeRegistry) -> None:
    plan = "--registry", f"{registry.host}/x", "plan", "small/trixie"
    assert "\x1b[32mbuild" in on_terminal(*plan, folder=small)
    plain = run(*plan, folder=small).out
    assert on_terminal(*plan, folder=small, NO_COLOR="1") == plain


@pytest.mark.slow
def test_terminals_that_know_no_colour_get_none(small: Path, registry: FakeRegistry) -> None:
    plan = "--registry", f"{registry.host}/x", "plan", "small/trixie"
    assert on_terminal(*plan, folder=small, TERM="dumb") == run(*plan, folder=small).out


@pytest.mark.slow
def test_colour_of_errors_too(small: Path) -> None:
    assert "\x1b[31merror:\x1b[0m no stack" in on_terminal("graph", "x", folder=small)
    assert on_terminal("graph", "x", folder=small, NO_COLOR="1") == run("graph", "x", folder=small).err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_it_at_once(number: signal.Signals, code: int, small: Path, registry: FakeRegistry) -> None:
    registry.fault("HEAD", "", Trouble.SILENCE, times=100)
    argv = [str(HUBSTACK), "--registry", f"{registry.host}/x", "plan"]
    with subprocess.Popen(argv, cwd=small, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        deadline = time.monotonic() + 60
        while not registry.requests:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        child.send_signal(number)
        out, err = child.communicate(timeout=20)
    assert (child.returncode, out, err.strip()) == (code, "", "")


def test_without_an_engine_nothing_is_built(small: Path, registry: FakeRegistry) -> None:
    argv = [str(HUBSTACK), "--registry", f"{registry.host}/x", "build", "small/trixie"]
    nowhere = environment(DOCKER_HOST="unix:///nowhere/docker.sock")
    done = subprocess.run(argv, cwd=small, env=nowhere, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: no Docker engine answers\n  Start it, or point DOCKER_HOST at one" in done.stderr
    assert "Traceback" not in done.stderr


# --- completion --------------------------------------------------------------------------------------------------------------------


def completions(line: str, folder: Path) -> list[str]:
    """What bash offers behind ``line``, as click's own script asks for it."""
    words = line.split(" ")
    env = {"_HUBSTACK_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = run(folder=folder, env=env)
    assert done.err == ""
    return [answer.partition(",")[2] for answer in done.out.split()]


def test_completion_gives_its_script(small: Path) -> None:
    for shell in ("bash", "zsh", "fish"):
        done = run(folder=small, env={"_HUBSTACK_COMPLETE": f"{shell}_source"})
        assert done.code == 0
        assert "_HUBSTACK_COMPLETE" in done.out


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("hubstack pl", ["plan"]),
        ("hubstack plan sm", ["small"]),
        ("hubstack build small/", ["small/bookworm", "small/trixie"]),
        ("hubstack run layer:g", ["layer:git"]),
        ("hubstack why +sm", ["+small"]),
        ("hubstack render small --layer h", ["hello"]),
        ("hubstack profiles d", ["demo"]),
        ("hubstack build --hub d", ["demo"]),
        ("hubstack new layer x --requires g", ["git"]),
        ("hubstack new stack x --layer h", ["hello"]),
        ("hubstack graph --format m", ["mermaid"]),
        ("hubstack -C layers plan sm", ["small"]),
    ],
)
def test_completion(line: str, offered: list[str], small: Path) -> None:
    assert completions(line, small) == offered


def test_completion_is_silent_where_nothing_can_be_known(tmp_path: Path) -> None:
    assert completions("hubstack plan s", tmp_path) == []
    assert completions("hubstack plan s", BROKEN) == []
