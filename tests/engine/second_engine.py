"""A second Docker engine on this machine: a containerd, a state and a bridge of its own; nothing shared with the first.

It needs root. Its containers have no way out: iptables is the first engine's, and a second one there would take the
first one's rules away.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

PROGRAMS = ("dockerd", "containerd", "ip", "setpriv")
START_S = 60.0
END_S = 40.0


@contextmanager
def second_engine() -> Iterator[str]:
    """The engine's DOCKER_HOST. Skips the test where none can be started."""
    if os.geteuid() != 0 or not all(shutil.which(program) for program in PROGRAMS):
        pytest.skip("a second engine needs root, dockerd and containerd")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(_folder()))  # sockets' names are short: not pytest's folder
        bridge = stack.enter_context(_bridge())
        containerd = folder / "containerd.sock"
        (folder / "containerd.toml").write_text(
            f'version = 2\nroot = "{folder}/containerd"\nstate = "{folder}/run"\n[grpc]\n  address = "{containerd}"\n'
        )
        (folder / "daemon.json").write_text('{"features": {"containerd-snapshotter": true}}\n')
        stack.enter_context(_process(folder / "containerd.log", "containerd", "--config", f"{folder}/containerd.toml"))
        _await(lambda: _listens(containerd), folder / "containerd.log")
        host = f"unix://{folder}/docker.sock"
        options = {
            "config-file": folder / "daemon.json",
            "containerd": containerd,
            "data-root": folder / "data",
            "exec-root": folder / "exec",
            "pidfile": folder / "docker.pid",
            "host": host,
            "bridge": bridge,
            "iptables": "false",
            "ip-masq": "false",
        }
        words = [f"--{name}={value}" for name, value in options.items()]
        stack.enter_context(_process(folder / "dockerd.log", "dockerd", *words))
        _await(lambda: _answers(host), folder / "dockerd.log")
        yield host


@contextmanager
def _folder() -> Iterator[str]:
    name = tempfile.mkdtemp(prefix="hubstack-engine-")
    try:
        yield name
    finally:
        for mount in reversed([line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]):
            if mount.startswith(f"{name}/"):
                subprocess.run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(name, ignore_errors=True)


@contextmanager
def _bridge() -> Iterator[str]:
    """A bridge with the first subnet of 172.31.x.0/24 that nobody here has; with ``bridge: none`` docker0 would vanish."""
    taken = subprocess.run(["ip", "-4", "-brief", "address"], check=True, capture_output=True, text=True).stdout
    free = (one for one in range(100, 255) if f" 172.31.{one}." not in taken)
    number = next(one for one in free if _added(f"hubstack{one}"))
    name = f"hubstack{number}"
    try:
        _ip("address", "add", f"172.31.{number}.1/24", "dev", name)
        _ip("link", "set", name, "up")
        yield name
    finally:
        _ip("link", "delete", name)


def _added(name: str) -> bool:
    """False where another process was quicker."""
    command = ["ip", "link", "add", name, "type", "bridge"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def _process(log: Path, *argv: str) -> Iterator[None]:
    """It ends with the block, and with this process however that ends."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "--", *argv],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_S)
        process.kill()
        process.wait()


def _await(there: Callable[[], bool], log: Path) -> None:
    last = time.monotonic() + START_S
    while not there():
        assert time.monotonic() < last, f"{log.stem} does not answer\n{log.read_text()[-2000:]}"
        time.sleep(0.1)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _answers(host: str) -> bool:
    return subprocess.run(["docker", "--host", host, "version"], capture_output=True, check=False).returncode == 0
