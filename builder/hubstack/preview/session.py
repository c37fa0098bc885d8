"""One preview: its state folder, its ports, the hub as a child, and an end that leaves no container behind."""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from hubstack import command
from hubstack.errors import CommandFailed, EngineError, HubstackError, UsageError
from hubstack.preview.configuration import KUBECONFIG
from hubstack.preview.container import Containers
from hubstack.preview.options import VARIABLE, Options
from hubstack.preview.report import MARK

NEEDS = ("jupyterhub", "kubespawner", "jupyterhub_fancy_profiles", "configurable_http_proxy")
HERE = "127.0.0.1"
_PREFIX = "hubstack-preview-"  # of state folders
_ALIVE = "alive"  # a file of the state folder, locked as long as the preview runs
_RUNNING = "JupyterHub is now running"  # what it logs once people can log in
_LAST_LINES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """``on_report`` gets what hub and service have to say, ``on_log`` every other line of theirs."""

    on_ready: Callable[[], None]
    on_report: Callable[[str], None]
    on_log: Callable[[str], None]


def check_extra() -> None:
    """Raises UsageError unless everything that the extra `preview` brings is there."""
    if missing := [name for name in NEEDS if find_spec(name) is None]:
        packages = ", ".join(name.replace("_", "-") for name in missing)
        raise UsageError(
            f"a preview needs Python packages that are not installed: {packages}",
            hint="Install them: python -m pip install 'hubstack[preview]'",
        )


def ports(wanted: int) -> tuple[int, int, int, int]:
    """The address that people open (0: a free one), and three free ones. Raises UsageError where ``wanted`` is taken."""
    with ExitStack() as open_ones:
        found = [_bind(open_ones, port) for port in (wanted, 0, 0, 0)]
    first, second, third, fourth = found
    return first, second, third, fourth


def _bind(open_ones: ExitStack, port: int) -> int:
    one = open_ones.enter_context(socket.socket())
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what only waits for its last packets is free
    try:
        one.bind((HERE, port))
        one.listen()
    except OSError as error:
        hint = "Give another, or 0 for a free one: --port 0."
        raise UsageError(f"port {port} on {HERE} can't be had: {error.strerror}", hint=hint) from None
    found: int = one.getsockname()[1]
    return found


@contextmanager
def state_folder() -> Iterator[Path]:
    """A folder that is there as long as the preview, and tells others by a lock that it runs."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        with (folder / _ALIVE).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _alive(folder: str) -> bool:
    """Whether the preview with this state folder runs."""
    with contextlib.suppress(FileNotFoundError), (Path(folder) / _ALIVE).open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def remove_left(containers: Containers) -> int:
    """Remove the containers of previews of this project that were killed; how many there were. Raises EngineError."""
    left = {one: Path(folder) for one, folder in containers.left().items() if not _alive(folder)}
    for one, folder in left.items():
        containers.remove(one)
        if folder.name.startswith(_PREFIX) and (folder / _ALIVE).is_file():  # a label could say any folder
            shutil.rmtree(folder, ignore_errors=True)
    return len(left)


def new_password() -> str:
    return secrets.token_urlsafe(6)


def run(options: Options, listener: Listener) -> None:
    """The hub, until it is stopped by an exception (Ctrl-C, SIGTERM). Raises HubstackError where it ends by itself."""
    options.write()
    kubeconfig = Path(options.state) / "kubeconfig.yaml"
    kubeconfig.write_text(KUBECONFIG, encoding="utf-8")
    try:
        command.run(
            [
                sys.executable,
                "-P",
                "-m",
                "jupyterhub",
                "--config",
                str(Path(__file__).with_name("jupyterhub_config.py")),
            ],
            env={**_environment(), "KUBECONFIG": str(kubeconfig), VARIABLE: str(options.path)},
            on_line=lambda line: _hear(line, listener),
            limits=command.Limits(deadline_s=math.inf, silence_s=math.inf),
        )
    except CommandFailed as error:
        tail = "\n  ".join(error.tail[-_LAST_LINES:])
        raise HubstackError(f"the hub has ended with code {error.code}. It said last:\n  {tail}") from None
    finally:
        _remove_own(options)
    raise HubstackError("the hub has ended by itself")


def _environment() -> dict[str, str]:
    """That of hubstack, without what a server of another hub carries."""
    return {name: value for name, value in os.environ.items() if not name.startswith("JUPYTERHUB_")}


def _hear(line: str, listener: Listener) -> None:
    if line.startswith(MARK):
        listener.on_report(line.removeprefix(MARK))
        return
    listener.on_log(line)
    if _RUNNING in line:
        listener.on_ready()


def _remove_own(options: Options) -> None:
    """The hub removes its containers as it ends; this is for one that could not."""
    containers = Containers(project=options.project, state=options.state)
    with contextlib.suppress(EngineError):
        for one, folder in containers.left().items():
            if folder == options.state:
                containers.remove(one)
