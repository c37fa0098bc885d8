"""JupyterLab starts with an empty home and without a network, and answers on a port as the launcher would ask it."""

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

DEADLINE_S = 50


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(url: str) -> tuple[int, str]:
    request = urllib.request.Request(url, headers={"Authorization": "token secret"})
    with urllib.request.urlopen(request, timeout=5) as reply:
        return reply.status, reply.read().decode()


def wait_for(url: str, server: subprocess.Popen[bytes]) -> tuple[int, str]:
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end and server.poll() is None:
        try:
            return get(url)
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    sys.exit("JupyterLab does not answer")


port = free_port()
options = ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--IdentityProvider.token=secret"]
with (
    tempfile.TemporaryDirectory() as notebooks,
    subprocess.Popen(["jupyter", "lab", *options, f"--ServerApp.root_dir={notebooks}"]) as server,
):
    try:
        print("status:", wait_for(f"http://127.0.0.1:{port}/lab", server)[0])
        specs = json.loads(get(f"http://127.0.0.1:{port}/api/kernelspecs")[1])
        assert "python3" in specs["kernelspecs"], specs
    finally:
        server.terminate()
