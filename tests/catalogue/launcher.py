"""A real JupyterHub with the real launcher form, whose servers are small local processes that say what they are asked.

KubeSpawner makes the form and reads what it posts; only ``start`` is another one, for there is no cluster.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

_KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: none, cluster: {server: "http://127.0.0.1:9"}}]
contexts: [{name: none, context: {cluster: none, user: none}}]
current-context: none
users: [{name: none, user: {}}]
"""

_CONFIG = """\
import asyncio, json, os, sys
from jupyterhub_fancy_profiles import setup_ui
from kubespawner import KubeSpawner

HUB = json.loads(os.environ["LAUNCHER"])

class Spawner(KubeSpawner):
    process = None

    async def start(self):
        await self.load_user_options()
        chosen = {"options": self.user_options, "image": self.image, "mem_limit": self.mem_limit}
        with open(HUB["chosen"], "a") as file:
            file.write(json.dumps(chosen) + "\\n")
        self.process = await asyncio.create_subprocess_exec(sys.executable, HUB["server"], str(HUB["ports"][3]))
        return "127.0.0.1", HUB["ports"][3]

    async def poll(self):
        return None if self.process is not None and self.process.returncode is None else 0

    async def stop(self, now=False):
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def get_state(self):
        return {}

    def load_state(self, state):
        pass

    def clear_state(self):
        self.process = None

c = get_config()
proxy, hub, api, _ = HUB["ports"]
c.JupyterHub.bind_url = f"http://127.0.0.1:{proxy}/"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{hub}/hub/"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{api}"
c.ConfigurableHTTPProxy.command = [os.path.join(os.path.dirname(sys.executable), "configurable-http-proxy")]
c.ConfigurableHTTPProxy.pid_file = "proxy.pid"
c.JupyterHub.db_url = "sqlite:///:memory:"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.DummyAuthenticator.password = "x"
c.JupyterHub.spawner_class = Spawner
c.JupyterHub.cleanup_servers = True
setup_ui(c)
c.KubeSpawner.profile_list = HUB["profiles"]
"""

_SERVER = """\
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *words):
        pass

HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@dataclass(frozen=True)
class Launcher:
    """``url`` has no slash at its end."""

    url: str
    folder: Path

    def chosen(self) -> list[dict[str, Any]]:
        """What servers were started with, oldest first: user options, image and mem_limit."""
        path = self.folder / "chosen"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@contextmanager
def running(folder: Path, profiles: Sequence[Mapping[str, object]]) -> Iterator[Launcher]:
    """JupyterHub with this profile list, until the block ends. Users log in with the password ``x``."""
    ports = _free_ports(4)
    for name, text in (("kubeconfig", _KUBECONFIG), ("jupyterhub_config.py", _CONFIG), ("server.py", _SERVER)):
        (folder / name).write_text(text)
    launcher = {
        "profiles": profiles,
        "ports": ports,
        "chosen": str(folder / "chosen"),
        "server": str(folder / "server.py"),
    }
    env = {**os.environ, "KUBECONFIG": str(folder / "kubeconfig"), "LAUNCHER": json.dumps(launcher)}
    env.pop("PYTHONWARNINGS", None)
    with (folder / "log").open("wb") as log:
        argv = [sys.executable, "-m", "jupyterhub", "--config", "jupyterhub_config.py"]
        hub = subprocess.Popen(argv, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True)
        try:
            url = f"http://127.0.0.1:{ports[0]}"
            _wait_for(f"{url}/hub/login", hub, folder / "log")
            yield Launcher(url=url, folder=folder)
        finally:
            hub.send_signal(signal.SIGTERM)
            try:
                hub.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(hub.pid, signal.SIGKILL)
                hub.wait()


def _wait_for(url: str, hub: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        assert hub.poll() is None, log.read_text()[-3000:]
        try:
            with urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (HTTPError, URLError, OSError):
            pass
        time.sleep(0.1)
    raise AssertionError(log.read_text()[-3000:])


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
