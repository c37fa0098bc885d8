"""The engine's own state: what the benchmark leaves on it, and removes again.

`docker image rm` looks at every other image for each one that it removes: a minute for forty, where a thousand stand.
containerd's own client does it in a second; it needs root, as the engine's packages give it.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from bench.place import LABEL, Place

DEAD = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
_AT_ONCE = 200
_CTR = ("ctr", "--namespace", "moby", "images")


def clean(place: Place) -> int | None:
    """Remove the images of the trees, and those without a name that kolla-build leaves; how many, None: it can't."""
    if shutil.which("ctr") is None or os.environ.get("DOCKER_HOST"):  # that engine has another containerd
        return None
    listing = subprocess.run([*_CTR, "list", "--quiet"], capture_output=True, text=True, check=False)
    if listing.returncode:
        return None
    names = listing.stdout.split()
    ours = [name for name in names if f"{place.host}/bench/" in name and name != place.base]
    ours += _unnamed([name for name in names if name.startswith("moby-dangling@")])
    for part in _parts(ours):
        subprocess.run([*_CTR, "remove", *part], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return len(ours)


def _unnamed(names: list[str]) -> list[str]:
    """Those that stand on the base image, whose label they inherit."""
    found = []
    template = '{{.Id}} {{if .Config.Labels}}{{index .Config.Labels "' + LABEL + '"}}{{end}}'
    for part in _parts(names):
        digests = [name.partition("@")[2] for name in part]
        command = ["docker", "image", "inspect", "--format", template, *digests]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        found += [f"moby-dangling@{line.split()[0]}" for line in said.splitlines() if line.endswith(" 1")]
    return found


def _parts(names: list[str]) -> list[list[str]]:
    return [names[start : start + _AT_ONCE] for start in range(0, len(names), _AT_ONCE)]
