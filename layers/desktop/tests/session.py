"""The VNC server greets, the desktop's window manager comes up in it, and JupyterLab knows the proxy to it."""

import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

DEADLINE_S = 45
DISPLAY = ":7"


def wait_for(what: str, done: Callable[[], str]) -> str:
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        if found := done():
            return found
        time.sleep(0.2)
    sys.exit(f"{what} does not come up")


def greeting(path: pathlib.Path) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return ""
        return client.recv(12).decode().strip()


def property_of(window: str, name: str) -> str:
    done = subprocess.run(["xprop", *window.split(), name], capture_output=True, text=True, check=False)
    return done.stdout.strip() if "not found" not in done.stdout and "no such" not in done.stdout else ""


def window_manager() -> str:
    check = property_of("-root", "_NET_SUPPORTING_WM_CHECK")
    return property_of(f"-id {check.split()[-1]}", "_NET_WM_NAME") if "#" in check else ""


proxies = subprocess.run(["jupyter", "server", "extension", "list"], capture_output=True, text=True, check=True)
assert "jupyter_remote_desktop_proxy" in proxies.stdout + proxies.stderr

with tempfile.TemporaryDirectory() as scratch:
    os.environ["DISPLAY"] = DISPLAY
    path = pathlib.Path(scratch, "vnc")
    options = ["-rfbunixpath", str(path), "-rfbport", "-1", "-SecurityTypes", "None", "-geometry", "800x600"]
    server = subprocess.Popen(["Xvnc", DISPLAY, *options], stderr=subprocess.DEVNULL)
    try:
        hello = wait_for("Xvnc", lambda: greeting(path))
        session = subprocess.Popen(["dbus-launch", "--exit-with-session", "xfce4-session"], stderr=subprocess.DEVNULL)
        manager = wait_for("Xfce", window_manager)
        print(hello, "and", manager.rpartition("= ")[2].strip('"'))
        session.terminate()
    finally:
        server.terminate()
