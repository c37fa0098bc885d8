"""Ctrl-C and SIGTERM, as a shell or CI sends them to the real command."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.commandline import HUBSTACK, PROJECTS
from tests.fakes.daemon import FakeDaemon
from tests.fakes.plugin import write_plugin
from tests.fakes.registry import FakeRegistry
from tests.fakes.wire import Trouble

AT_ONCE_S = 20  # a third of what the build would sleep


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    with FakeDaemon() as fake:
        yield fake


@dataclass
class Shell:
    """A shell in a project's folder. Docker's settings are the test's; buildx is a program that sleeps."""

    folder: Path
    registry: FakeRegistry
    daemon: FakeDaemon

    @property
    def pid_file(self) -> Path:
        return self.folder.parent / "pid"

    def start(self, *words: str) -> subprocess.Popen[str]:
        config = self.folder.parent / "docker"
        write_plugin(config / "cli-plugins", f"echo $$ > {self.pid_file}; echo '#1 sleeping'; exec sleep 60")
        env = {**os.environ, "DOCKER_HOST": self.daemon.address, "DOCKER_CONFIG": str(config)}
        argv = [str(HUBSTACK), "--registry", f"{self.registry.host}/hub", *words]
        return subprocess.Popen(argv, cwd=self.folder, env=env, stderr=subprocess.PIPE, text=True)

    def builder(self) -> int:
        """The process that buildx is; it waits for that."""
        end = time.monotonic() + 20
        while not self.pid_file.exists() or not self.pid_file.read_text():
            assert time.monotonic() < end
            time.sleep(0.02)
        return int(self.pid_file.read_text())


@pytest.fixture
def shell(tmp_path: Path, registry: FakeRegistry, daemon: FakeDaemon) -> Shell:
    shutil.copytree(PROJECTS / "good-small", tmp_path / "project")
    return Shell(tmp_path / "project", registry, daemon)


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_build_ends_at_once_and_leaves_nothing(shell: Shell, number: signal.Signals, code: int) -> None:
    scratch = f"io.github.hubstack.scratch={shell.folder / '.hubstack' / 'tmp'}"
    with shell.start("build", "--push") as hubstack:
        builder = shell.builder()
        shell.daemon.containers = {"mine": scratch, "another": "io.github.hubstack.scratch=/elsewhere"}
        started = time.monotonic()
        hubstack.send_signal(number)
        _, said = hubstack.communicate(timeout=AT_ONCE_S)
    assert hubstack.returncode == code
    assert time.monotonic() - started < AT_ONCE_S
    assert "Traceback" not in said
    assert not is_alive(builder)
    assert shell.daemon.removed == ["mine"]
    assert list((shell.folder / ".hubstack" / "tmp").iterdir()) == []
    assert list((shell.folder / ".hubstack" / "nodes").iterdir()) == []
    assert [one.method for one in shell.registry.requests if one.method not in {"HEAD", "GET"}] == []


def test_a_killed_build_is_cleared_away_by_the_next(shell: Shell) -> None:
    scratch = f"io.github.hubstack.scratch={shell.folder / '.hubstack' / 'tmp'}"
    with shell.start("build", "--push") as hubstack:
        builder = shell.builder()
        hubstack.kill()
    end = time.monotonic() + AT_ONCE_S
    while is_alive(builder) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_alive(builder)
    shell.pid_file.unlink()
    shell.daemon.containers = {"left": scratch}
    left = [*(shell.folder / ".hubstack" / "tmp").iterdir(), *(shell.folder / ".hubstack" / "nodes").iterdir()]
    assert left
    with shell.start("build", "--push") as hubstack:
        shell.builder()
        assert shell.daemon.removed == ["left"]
        assert not any(path.exists() for path in left)
        hubstack.terminate()


def test_a_registry_that_does_not_answer_holds_up_nobody(shell: Shell) -> None:
    for name in ("second", "third"):
        shutil.copy(shell.folder / "stacks" / "small.yaml", shell.folder / "stacks" / f"{name}.yaml")
    shell.registry.fault("HEAD", "/manifests/", Trouble.SILENCE, times=100)
    with shell.start("plan", "+small", "second", "third") as hubstack:
        while not shell.registry.requests:
            time.sleep(0.02)
        hubstack.send_signal(signal.SIGINT)
        _, said = hubstack.communicate(timeout=AT_ONCE_S)
    assert hubstack.returncode == 130
    assert "Traceback" not in said
