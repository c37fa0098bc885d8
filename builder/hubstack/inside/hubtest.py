"""Runs inside an image, with the image's own Python: does it serve a hub's user?

A stand-in hub on loopback answers what the single-user server asks at its start. The server then runs twice, as
KubeSpawner would run it: with the home as it is (an empty volume), and with the home of somebody who used another image
for years. Exit code 0: both times it answered in time. The last line says what was wrong otherwise.

Usage: python3 hubtest.py DEADLINE_S
"""

from __future__ import annotations

import http.server
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import NoReturn

USER = "jovyan"
PREFIX = f"/user/{USER}/"


class Hub(http.server.BaseHTTPRequestHandler):
    """The three answers of JupyterHub's REST API that a single-user server starts with."""

    version = "5.0.0"

    def do_GET(self) -> None:
        if self.path.rstrip("/").endswith("/hub/api"):
            answer: dict[str, object] = {"version": self.version}
        else:
            answer = {"name": USER, "admin": False, "groups": [], "scopes": ["self"], "kind": "user"}
        self.reply(200, answer)

    def do_POST(self) -> None:  # activity
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.reply(200, {})

    def reply(self, status: int, answer: Mapping[str, object]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def environment(api: str, port: int) -> dict[str, str]:
    """What KubeSpawner gives a single-user server (jupyterhub.spawner.Spawner.get_env)."""
    return {
        **os.environ,
        "JUPYTERHUB_API_TOKEN": "hubtest",
        "JUPYTERHUB_API_URL": api,
        "JUPYTERHUB_ACTIVITY_URL": f"{api}/users/{USER}/activity",
        "JUPYTERHUB_BASE_URL": "/",
        "JUPYTERHUB_CLIENT_ID": f"jupyterhub-user-{USER}",
        "JUPYTERHUB_HOST": "",
        "JUPYTERHUB_OAUTH_CALLBACK_URL": f"{PREFIX}oauth_callback",
        "JUPYTERHUB_OAUTH_SCOPES": '["access:servers"]',
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": '["access:servers"]',
        "JUPYTERHUB_SERVER_NAME": "",
        "JUPYTERHUB_SERVICE_PREFIX": PREFIX,
        "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{port}{PREFIX}",
        "JUPYTERHUB_USER": USER,
    }


def serve(api: str, deadline_s: float, label: str) -> None:
    """Start the server, wait until it answers, end it."""
    port = free_port()
    log = pathlib.Path(f"/tmp/hubtest-{port}.log")
    started = time.monotonic()
    with log.open("wb") as output:
        command = ["jupyterhub-singleuser"]
        server = subprocess.Popen(
            command, env=environment(api, port), stdout=output, stderr=output, cwd=pathlib.Path.home()
        )
    try:
        while not answers(f"http://127.0.0.1:{port}{PREFIX}api"):
            if server.poll() is not None:
                fail(f"jupyterhub-singleuser ended with code {server.returncode} ({label})", log)
            if time.monotonic() - started > deadline_s:
                fail(f"jupyterhub-singleuser did not answer within {deadline_s:g} s ({label})", log)
            time.sleep(0.1)
        print(f"answered after {time.monotonic() - started:.1f} s {label}")
    finally:
        server.terminate()
        try:
            server.wait(3)  # how it ends is not what is asked here
        except subprocess.TimeoutExpired:
            server.kill()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except urllib.error.HTTPError as error:
        return error.code in (302, 403)  # it asks who we are: it is there
    except OSError:
        return False


def fail(message: str, log: pathlib.Path | None = None) -> NoReturn:
    if log is not None:
        print(*log.read_text(errors="replace").splitlines()[-15:], sep="\n")
    sys.exit(message)


def age_the_home() -> None:
    """A home that was used with other images: packages that would break a server, settings, an old kernel."""
    home = pathlib.Path.home()
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = home / ".local" / "lib" / version / "site-packages"
    for name in ("jupyter_server", "jupyterlab", "traitlets", "tornado", "jupyterhub"):
        (packages / name).mkdir(parents=True)
        (packages / name / "__init__.py").write_text("raise ImportError('an old copy in ~/.local')\n")
    kernel = home / ".local" / "share" / "jupyter" / "kernels" / "old"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text('{"argv": ["/opt/gone/bin/python", "-m", "ipykernel"], "display_name": "old"}')
    (home / ".jupyter").mkdir(exist_ok=True)
    (home / ".jupyter" / "jupyter_notebook_config.json").write_text(
        '{"NotebookApp": {"nbserver_extensions": {"gone": true}}}'
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(deadline_s: float) -> None:
    if os.getuid() == 0:
        fail("the image runs as root")
    if shutil.which("jupyterhub-singleuser") is None:
        fail("jupyterhub-singleuser is not on PATH")
    said = subprocess.run(["jupyterhub-singleuser", "--version"], capture_output=True, text=True, check=False).stdout
    Hub.version = (said.split() or [Hub.version])[-1]  # a server warns of a hub of another release
    hub = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    api = f"http://127.0.0.1:{hub.server_port}/hub/api"
    serve(api, deadline_s, "with an empty home")
    age_the_home()
    serve(api, deadline_s, "with an old home")


main(float(sys.argv[1]))
