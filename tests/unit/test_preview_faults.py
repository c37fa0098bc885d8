"""What can be wrong before a preview's hub starts: one message each."""

from __future__ import annotations

import fcntl
import shutil
import socket
import sys
from pathlib import Path

import pytest
from hubstack.errors import EngineError, UsageError
from hubstack.preview.container import Containers
from hubstack.preview.session import check_extra, ports, remove_left, state_folder

from tests.commandline import PROJECTS, run

NO_ENGINE = {"DOCKER_HOST": "tcp://127.0.0.1:9"}  # nobody listens there


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROJECTS / "good-engine", tmp_path / "project"))


def test_no_engine_is_one_message(project: Path) -> None:
    (project / "values.yaml").write_text("singleuser: {profileList: []}", encoding="utf-8")
    done = run("preview", "demo", "--port", "0", "--profiles", "values.yaml", folder=project, env=NO_ENGINE)
    assert done.code == 1
    assert done.err.splitlines()[0] == "error: no Docker engine answers"
    assert len(done.err.splitlines()) == 2
    assert "DOCKER_HOST" in done.err


def test_without_the_extra_the_command_to_install_it_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubespawner", None)  # as the import system says: there is none
    with pytest.raises(UsageError, match="not installed: kubespawner"):
        check_extra()
    done = run("preview", "demo", folder=project)
    assert done.code == 2
    assert "pip install 'hubstack[preview]'" in done.err


def test_a_taken_port_is_one_message() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(
            UsageError, match=f"port {port} on 127.0.0.1 can't be had: Address already in use"
        ) as caught:
            ports(port)
    assert "--port 0" in caught.value.hint
    assert ports(port)[0] == port
    assert len(set(ports(0))) == 4


def test_the_daemon_s_silence_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", NO_ENGINE["DOCKER_HOST"])
    containers = Containers(project="/p", state="/s")
    for ask in (containers.why_not, lambda: containers.pull("a:1", print), lambda: containers.ended("x")):
        with pytest.raises(EngineError, match="no Docker engine answers"):
            ask()


class Remaining(Containers):
    """An engine with two containers of this project's previews."""

    def __init__(self, folders: dict[str, str]) -> None:
        super().__init__(project="/p", state="/s")
        self.folders = folders

    def left(self) -> dict[str, str]:
        return dict(self.folders)

    def remove(self, container_id: str) -> None:
        del self.folders[container_id]


def test_only_what_a_killed_preview_left_is_removed(tmp_path: Path) -> None:
    killed, other = tmp_path / "hubstack-preview-1", tmp_path / "papers"
    for folder in (killed, other):
        folder.mkdir()
        (folder / "alive").touch()  # its lock went with the process
    with state_folder() as running:
        labels = {"a": running, "b": killed, "c": tmp_path / "gone", "d": other}
        engine = Remaining({one: str(folder) for one, folder in labels.items()})
        assert remove_left(engine) == 3
        assert other.exists()
        assert not killed.exists()
        assert engine.folders == {"a": str(running)}
    assert not running.exists()
    assert remove_left(engine) == 1


def test_the_state_folder_is_its_owner_s_alone() -> None:
    with state_folder() as folder, (folder / "alive").open() as file:
        assert folder.stat().st_mode & 0o077 == 0
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("demoo",), 'there is no hub "demoo" (did you mean "demo"?)'),
        (("demo", "--profiles", "hubstack.yaml"), "hubstack.yaml has no singleuser.profileList"),
        (("demo", "--profiles", "layers"), "layers has no demo.yaml"),
    ],
)
def test_a_wrong_word_is_one_message(project: Path, words: tuple[str, ...], message: str) -> None:
    done = run("preview", *words, "--port", "0", folder=project)
    assert done.code == 2
    assert message in done.err
