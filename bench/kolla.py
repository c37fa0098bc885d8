"""The common tree for kolla-build, and kolla-build itself: from PyPI, in a virtual environment of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from bench.measure import environment
from bench.place import Place
from bench.tree import Item, write_file, write_item

RELEASE = "23.0.0"
_THREADS = "8"


class Kolla:
    name = "kolla"

    def __init__(self, place: Place, tree: tuple[Item, ...], venv: Path, *, buildkit: bool) -> None:
        self._place, self._tree, self._venv, self._buildkit = place, tree, venv, buildkit
        self._namespace = f"bench/kolla-{len(tree)}"
        self.folder = place.folder / f"kolla-{len(tree)}"

    def write(self, nonce: str) -> None:
        if not self.folder.exists():
            self._copy_package()
        for item in self._tree:
            write_item(self._of(item), item, name="Dockerfile.j2", parent=_parent(item), nonce=nonce)

    def touch(self, item: Item, nonce: str) -> None:
        write_file(self._of(item), item, nonce)

    def build(self) -> list[str]:
        how = [] if self._buildkit else ["--nobuildkit", "--push-threads", _THREADS]
        return [*self._command(), "--threads", _THREADS, "--network_mode", "default", "--push", *how]

    def render(self) -> list[str]:
        return [*self._command(), "--template-only", "--work-dir", str(self._place.reset("kolla-rendered"))]

    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self.folder), "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}

    def digests(self) -> dict[str, str | None]:
        return {item.name: self._place.digest(f"{self._namespace}/{item.name}", "k1") for item in self._tree}

    def _command(self) -> list[str]:
        image, _, tag = self._place.base.rpartition(":")
        return [
            str(self._venv / "bin" / "kolla-build"),
            *("--base", "debian", "--base-image", image, "--base-tag", tag, "--nopull"),
            *("--registry", self._place.host, "--namespace", self._namespace, "--tag", "k1"),
        ]

    def _of(self, item: Item) -> Path:
        return self.folder / "kolla" / "docker" / item.name

    def _copy_package(self) -> None:
        """kolla-build looks for its images beside its modules and would copy all 188 of its own first."""
        package = next(self._venv.glob("lib/python*/site-packages/kolla"))
        shutil.copytree(package, self.folder / "kolla", ignore=shutil.ignore_patterns("docker", "tests", "__pycache__"))


def _parent(item: Item) -> str:
    if not item.parent:
        return "{{ base_image }}:{{ base_distro_tag }}"
    return f"{{{{ namespace }}}}/{{{{ image_prefix }}}}{item.parent}:{{{{ tag }}}}"


def make_venv(folder: Path) -> str:
    """Install kolla-build where it is not there; why it can't be had, or nothing."""
    if (folder / "bin" / "kolla-build").exists():
        return ""
    shutil.rmtree(folder, ignore_errors=True)
    programs = folder / "bin"
    pip = [str(programs / "python"), "-m", "pip", "install", "--quiet", "--no-input"]
    try:
        for command in (
            [sys.executable, "-m", "venv", str(folder)],
            [*pip, f"kolla=={RELEASE}", "docker", "requests"],
            [str(programs / "kolla-build"), "--help"],
        ):
            subprocess.run(command, check=True, env=environment(), capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        said = getattr(error, "stderr", None) or str(error).encode()
        return str(said.decode(errors="replace")).strip()[-500:]
    return ""
