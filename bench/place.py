"""Where the benchmark works, and the base image that all trees stand on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPResponse
from io import BytesIO
from pathlib import Path

from bench.tree import USER

MANIFESTS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
    )
)
EPOCH = "1767225600"
LABEL = "io.github.hubstack.bench"  # on the base image, and so on all that stand on it: what to remove at the end
_PLUGIN = "/usr/libexec/docker/cli-plugins/docker-buildx"
_APPLETS = ("cat", "false", "id", "ls", "mkdir", "rm", "sed", "sh", "sleep", "test", "timeout", "touch", "tr", "true")


@dataclass(frozen=True)
class Place:
    """``folder`` holds the trees and logs; it may be removed at any time. ``host`` is a registry without TLS."""

    root: Path
    folder: Path
    host: str

    def reset(self, name: str) -> Path:
        """An empty folder."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / name).mkdir(parents=True)
        return self.folder / name

    def log(self, name: str) -> Path:
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        return self.folder / "logs" / f"{name}.log"

    @property
    def base(self) -> str:
        return f"{self.host}/bench/base:1"

    @cached_property
    def base_digest(self) -> str:
        """The base image's digest; it is made and pushed where it is not there. Raises OSError."""
        if (digest := self.digest("bench/base", "1")) is None:
            make_base(self)
            digest = self.digest("bench/base", "1")
        assert digest is not None
        return digest

    def digest(self, repository: str, tag: str) -> str | None:
        """What a tag names in the registry."""
        try:
            with self._ask("HEAD", f"{repository}/manifests/{tag}", {"Accept": MANIFESTS}) as answer:
                return str(answer.headers["Docker-Content-Digest"])
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def manifest(self, repository: str, tag: str) -> bytes:
        with self._ask("GET", f"{repository}/manifests/{tag}", {"Accept": MANIFESTS}) as answer:
            return bytes(answer.read())

    def fetch(self, repository: str, digest: str, path: Path) -> None:
        """A blob, into a file."""
        with self._ask("GET", f"{repository}/blobs/{digest}", {}) as answer, path.open("wb") as file:
            shutil.copyfileobj(answer, file)

    def mount(self, source: str, target: str, manifest: bytes) -> None:
        """Have the blobs of one repository's image in another one."""
        content = json.loads(manifest)
        for blob in (content["config"], *content["layers"]):
            path = f"{target}/blobs/uploads/?mount={blob['digest']}&from={source}"
            self._ask("POST", path, {}, b"").close()

    def put(self, repository: str, tag: str, manifest: bytes) -> None:
        kind = json.loads(manifest)["mediaType"]
        self._ask("PUT", f"{repository}/manifests/{tag}", {"Content-Type": kind}, manifest).close()

    def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> HTTPResponse:
        url = f"http://{self.host}/v2/{path}"
        request = urllib.request.Request(url, method=method, headers=headers, data=body)
        answer: HTTPResponse = urllib.request.urlopen(request, timeout=30)
        return answer


def make_base(place: Place) -> None:
    """Busybox and nothing else. Docker's own client pushes it: the first image of a run is no place for surprises."""
    folder = place.reset("base")
    _write_rootfs(folder / "rootfs.tar", busybox(place).read_bytes())
    (folder / "Dockerfile").write_text(
        f'FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nLABEL {LABEL}=1\nUSER {USER}\nCMD ["sh"]\n'
    )
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
    command = ["docker", "buildx", "build", "--quiet", "--provenance=false", "--tag", place.base, str(folder)]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["docker", "push", "--quiet", place.base], check=True, stdout=subprocess.DEVNULL)


def busybox(place: Place) -> Path:
    """A static one: the machine's own, or out of Debian's package, which is not installed for that."""
    found = shutil.which("busybox")
    if found and b"statically" in subprocess.run(["file", "-L", found], capture_output=True, check=False).stdout:
        return Path(found)
    folder = place.reset("busybox")
    folder.chmod(0o777)  # apt downloads as a user of its own
    subprocess.run(["apt-get", "download", "--quiet=2", "busybox-static"], cwd=folder, check=True)
    package = next(folder.glob("*.deb"))
    subprocess.run(["dpkg-deb", "--extract", package, folder / "tree"], check=True)
    return folder / "tree" / "bin" / "busybox"


def _write_rootfs(path: Path, binary: bytes) -> None:
    with tarfile.open(path, "w") as tar:
        for name, mode, owner in (
            ("bin", 0o755, 0),
            ("tmp", 0o1777, 0),
            ("opt/bench", 0o755, 1000),
            ("home", 0o755, 0),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.uid, info.gid = tarfile.DIRTYPE, mode, owner, 100 if owner else 0
            tar.addfile(info)
        info = tarfile.TarInfo("bin/busybox")
        info.mode, info.size = 0o755, len(binary)
        tar.addfile(info, BytesIO(binary))
        for name in _APPLETS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)


def buildx() -> list[str]:
    """The plugin itself where it is where Debian has it: docker's client in between costs 30 ms a call."""
    return [_PLUGIN] if os.access(_PLUGIN, os.X_OK) else ["docker", "buildx"]
