"""A machine as a runner has it, on this one: an engine with a state of its own, an own home, and the commands of a runner.

The engine is a containerd and a dockerd beside those of this machine, with folders, sockets and a bridge of their own.
They set no rules of the firewall, because those are shared; so what runs in containers of theirs reaches no network.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Self

from tests.engine.workbench import DEADLINE_S, HUBSTACK

_NUMBERS = count(1)
_PIP = """#!/bin/sh
# hubstack is installed here already: what is asked for has to be there, and nothing is fetched.
case "$*" in
  "-m pip install "*"--requirement .github/hubstack.txt") exec test -s .github/hubstack.txt ;;
  *) exec {python} "$@" ;;
esac
"""
_SUDO = '#!/bin/sh\necho "nothing of this machine is to be changed: $*" >&2\nexit 97\n'
# GitHub's command. Its answers are not GitHub's; what it is asked for is kept.
_GH = """#!/bin/sh
case "$1 $2" in
  "auth setup-git") test -n "$GH_TOKEN" ;;
  "pr view") exit 1 ;;
  "pr create") test -n "$GH_TOKEN" && printf '%s\\n' "$@" >"{asked}" && case "$*" in *--body-file*) cat "$8" >>"{asked}" ;; esac ;;
  *) exit 98 ;;
esac
"""


class Unplugged(Exception):
    """The machine was switched off while it worked."""


@dataclass
class Machine:
    """A context manager. ``folder`` is made; in the end its ``engine`` is gone."""

    folder: Path
    asked_of_gh: Path
    off: bool = False
    _engine: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _step: subprocess.Popen[str] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        for name in ("workspace", "temp", "home", "bin", "engine"):
            (self.folder / name).mkdir(parents=True)
        self._add_command("python", _PIP.format(python=sys.executable))
        self._add_command("sudo", _SUDO)
        self._add_command("gh", _GH.format(asked=self.asked_of_gh))
        self._bridge = f"hs{os.getpid() % 100000}n{next(_NUMBERS)}"
        try:
            self._start_engine()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        if not self.off:
            self._end(signal.SIGTERM)
        self._sweep()

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def temp(self) -> Path:
        return self.folder / "temp"

    @property
    def env(self) -> dict[str, str]:
        """Nothing of this process's environment: a runner knows none of it."""
        places = [
            str(self.folder / "bin"),
            str(HUBSTACK.parent),
            "/usr/local/bin",
            "/usr/bin",
            "/bin",
            "/usr/sbin",
            "/sbin",
        ]
        return {
            "PATH": ":".join(places),
            "HOME": str(self.folder / "home"),
            "DOCKER_HOST": f"unix://{self._socket}",
            "RUNNER_TEMP": str(self.temp),
            "LC_ALL": "C.UTF-8",
        }

    def run(self, argv: Sequence[str], env: Mapping[str, str], log: Path) -> int:
        """In the workspace, with ``env`` besides the machine's own. Raises Unplugged."""
        with log.open("ab") as out:
            with self._lock:
                self._step = subprocess.Popen(
                    argv,
                    cwd=self.workspace,
                    env={**self.env, **env},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    text=True,
                )
            code = self._step.wait(timeout=DEADLINE_S)
        if self.off:
            raise Unplugged
        return code

    def unplug(self) -> None:
        """Everything that runs on it ends at once, and nobody is told."""
        with self._lock:
            self.off = True
            if self._step is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._step.pid, signal.SIGKILL)
        self._end(signal.SIGKILL)

    # --- the engine --------------------------------------------------------------------------------------------------

    @property
    def _socket(self) -> Path:
        return self.folder / "engine" / "docker.sock"

    def _add_command(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def _start_engine(self) -> None:
        home = self.folder / "engine"
        third = next(_NUMBERS) % 250
        for words in (
            ("link", "add", "name", self._bridge, "type", "bridge"),
            ("addr", "add", f"172.29.{third}.1/24", "dev", self._bridge),
            ("link", "set", self._bridge, "up"),
        ):
            subprocess.run(["ip", *words], check=True)
        (home / "containerd.toml").write_text(
            f'version = 2\nroot = "{home}/containerd"\nstate = "{home}/run"\n'
            f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{home}/containerd.sock"\n'
        )
        (home / "daemon.json").write_text(json.dumps({"features": {"containerd-snapshotter": True}}))
        self._launch(["containerd", f"--config={home}/containerd.toml"])
        _await((home / "containerd.sock").is_socket)
        self._launch(
            [
                "dockerd",
                f"--containerd={home}/containerd.sock",
                f"--config-file={home}/daemon.json",
                f"--data-root={home}/data",
                f"--exec-root={home}/exec",
                f"--pidfile={home}/pid",
                f"--host=unix://{self._socket}",
                f"--bridge={self._bridge}",
                "--iptables=false",
                "--ip6tables=false",
                "--ip-masq=false",
                "--group=root",
            ]
        )
        _await(
            lambda: (
                subprocess.run(["docker", "version"], env=self.env, capture_output=True, check=False).returncode == 0
            )
        )

    def _launch(self, argv: list[str]) -> None:
        with (self.folder / "engine" / f"{argv[0]}.log").open("wb") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        self._engine.append(process)

    def _end(self, number: signal.Signals) -> None:
        for process in reversed(self._engine):
            process.send_signal(number)
            process.wait(timeout=60)

    def _sweep(self) -> None:
        """What a killed engine leaves behind: the keepers of its containers, mounts, the bridge."""
        for process in _processes(str(self.folder / "engine")):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        for mount in reversed([line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]):
            if mount.startswith(f"{self.folder}/"):
                subprocess.run(["umount", "--lazy", mount], check=False)
        subprocess.run(["ip", "link", "delete", self._bridge], check=False)
        remove = 'nice rm -rf "$1" &'  # unpacked images: seconds, for which nobody waits
        subprocess.run(["sh", "-c", remove, "sh", str(self.folder / "engine")], check=True, start_new_session=True)


def _processes(word: str) -> Iterator[int]:
    """Those whose command line names ``word``, a folder that is nobody else's."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if word in path.read_text(errors="replace"):
                yield int(path.parent.name)


def _await(there: Callable[[], bool]) -> None:
    last = time.monotonic() + 120
    while not there():
        if time.monotonic() > last:
            raise TimeoutError("the machine's engine does not start")
        time.sleep(0.05)
