"""BuildKit through buildx, and the Docker daemon through its SDK.

A build leaves an OCI layout whose blobs all nodes share (engine.md's flow c3): nothing is pushed by BuildKit, and no
name exists anywhere before the tests have passed. The daemon then gets the image by a ``docker load`` of manifest and
config alone: it holds the filesystem layers already, as the build's own output.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import socket
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

from hubstack import command
from hubstack.buildx import Builder, Job, add_file, build, find_plugin
from hubstack.errors import EngineError
from hubstack.model import SourceFile
from hubstack.oci import Layout, canonical_json
from hubstack.pool import choose, find_driver
from hubstack.reference import ImageRef
from hubstack.shell import Shell, ShellEnded

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container as DockerContainer

USER, GROUP = 1000, 100  # as KubeSpawner runs images of the Jupyter family
HOME = "/home/jovyan"  # z2jh's singleuser.storage.homeMountPath
_LABEL = "io.github.hubstack.scratch"  # of test containers: which project's run they belong to
_OLDEST_ENGINE = (25, 0)
_SMALL_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    code: int
    output: str


class Container(Protocol):
    def run(self, shell: str, *, timeout_s: int, folder: str = "/") -> Execution:
        """Run a shell command as the image's user; exit code 124 means that it took too long."""
        ...


class Engine(Protocol):
    """What builds need of an engine. The other implementation is the fake of the tests."""

    @property
    def platform(self) -> str:
        """What it runs natively, as ``linux/amd64``."""
        ...

    def check(self) -> None:
        """Raise EngineError unless builds can work."""
        ...

    def build(self, job: Job, *, on_line: Callable[[str], None], cancel: threading.Event | None) -> None: ...

    def load(self, layout: Layout, name: ImageRef) -> str:
        """Give the daemon the image of an OCI layout; the image's id.

        Its tag is that of ``name`` and the beginning of the digest: two runs at once may bring two images of one node, and
        the daemon forgets an image whose name goes to another.
        """
        ...

    def pull(self, ref: ImageRef) -> str: ...

    def stop(self) -> None:
        """End every container of this project's tests: those of a killed run, or of this one when it is cancelled.

        Whoever waits for one comes back.
        """
        ...

    def container(
        self, image: str, *, network: bool, files: Mapping[str, Sequence[SourceFile]]
    ) -> AbstractContextManager[Container]:
        """A container as the hub would run it: 1000:100, no new privileges, an empty volume over the home.

        ``files`` maps folders in the container to what is put there.
        """
        ...


@dataclass(kw_only=True)
class Docker:
    """The real engine. Nothing is asked of the daemon before the first call."""

    scratch: Path  # for contexts and root file systems, while a build runs
    ca_bundle: Path | None = None
    builders: Sequence[str] = ()  # of buildx; none: the engine's own
    limits: command.Limits = field(default_factory=command.Limits)

    @cached_property
    def _client(self) -> DockerClient:
        import docker

        try:
            return docker.from_env(timeout=600)
        except docker.errors.DockerException as error:
            raise EngineError(
                "no Docker engine answers", hint=f"Start it, or point DOCKER_HOST at one ({error})."
            ) from None

    @cached_property
    def platform(self) -> str:
        with _asking("say what it is"):
            version = self._client.version()
        return f"{version['Os']}/{version['Arch']}"

    @cached_property
    def _plugin(self) -> str:
        return find_plugin()

    @cached_property
    def _drivers(self) -> Mapping[str, str]:
        """The builders' names, in the order given, and their drivers. Raises UsageError, EngineError."""
        return {name: find_driver(self._plugin, name) for name in self.builders}

    def check(self) -> None:
        find_plugin()
        _ = self._drivers  # who is not known stops the run before anything is built
        with _asking("say what it is"):
            version, info = self._client.version()["Version"], self._client.info()
        if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < _OLDEST_ENGINE:
            wanted = ".".join(str(part) for part in _OLDEST_ENGINE)
            raise EngineError(f"the Docker engine is too old: {version}", hint=f"hubstack needs {wanted} or newer.")
        if not self.builders and not any("containerd" in str(one) for one in info.get("DriverStatus") or ()):
            raise EngineError(
                "the Docker engine doesn't use the containerd image store, which exporting OCI layouts needs",
                hint='Set {"features": {"containerd-snapshotter": true}} in its daemon.json, or give --builder NAME '
                "after `docker buildx create --driver docker-container --name NAME`.",
            )

    def stop(self) -> None:
        label = f"{_LABEL}={self.scratch}"
        with contextlib.suppress(EngineError), _asking("list containers"):
            for container in self._client.containers.list(all=True, filters={"label": label}, ignore_removed=True):
                with contextlib.suppress(EngineError), _asking("remove a container"):  # it is going already
                    container.remove(force=True)

    def build(self, job: Job, *, on_line: Callable[[str], None], cancel: threading.Event | None) -> None:
        name = choose(list(self._drivers), job.near) if self._drivers else ""
        driver = self._drivers.get(name, "")
        build(
            job,
            Builder(plugin=self._plugin, name=name, driver=driver, ca_bundle=self.ca_bundle, limits=self.limits),
            scratch=self.scratch,
            on_line=on_line,
            cancel=cancel,
        )

    def load(self, layout: Layout, name: ImageRef) -> str:
        try:
            return self._load(layout, name, whole=False)
        except EngineError:  # a builder with a content store of its own: the daemon needs every blob
            return self._load(layout, name, whole=True)

    def _load(self, layout: Layout, name: ImageRef, *, whole: bool) -> str:
        name = name.with_tag(f"{name.tag}-{layout.manifest.digest.hex[:12]}")
        with tempfile.TemporaryFile(dir=self.scratch) as archive:
            write_archive(archive, layout, name, whole=whole)
            archive.seek(0)
            with _asking(f"load {name}"):
                images = self._client.images.load(archive)
        return str(images[0].id)

    def pull(self, ref: ImageRef) -> str:
        with _asking(f"pull {ref}"):
            image = self._client.images.pull(f"{ref.host}/{ref.repository}", tag=ref.digest or ref.tag)
        return str(image.id)

    def forget(self, names: Iterable[ImageRef]) -> None:
        """Let the daemon drop the images that it was given by ``load`` under these names; not those of which one is in use."""
        for name in names:
            with contextlib.suppress(EngineError), _asking(f"remove {name}"):
                for image in self._client.images.list(name=f"{name}-*"):
                    for tag in image.tags:
                        if tag.startswith(f"{name}-"):  # it may have others' names, too
                            self._client.images.remove(tag)

    def run(self, image: str, words: Sequence[str], *, options: Sequence[str]) -> int:
        """Run ``words`` in the foreground, the terminal handed over, as the hub's user; their exit code."""
        docker = shutil.which("docker")
        if docker is None:
            raise EngineError("the docker command is not installed", hint="Install Docker's command line client.")
        terminal = ["--interactive", "--tty"] if sys.stdin.isatty() and sys.stdout.isatty() else []
        return command.attached(
            [docker, "run", "--rm", "--init", *terminal, f"--user={USER}:{GROUP}", *options, image, *words]
        )

    @contextmanager
    def container(self, image: str, *, network: bool, files: Mapping[str, Sequence[SourceFile]]) -> Iterator[Container]:
        with _asking(f"make a container of {image}"):
            container = self._client.containers.create(
                image,
                entrypoint=["sh"],
                command=[],
                stdin_open=True,  # it ends when nobody is left to say something: a killed run leaves nothing running
                user=f"{USER}:{GROUP}",
                init=True,
                network_mode="bridge" if network else "none",
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                pids_limit=4096,
                tmpfs={HOME: f"uid={USER},gid={GROUP},mode=0755,exec"},
                environment={"HOME": HOME},
                labels={_LABEL: str(self.scratch)},
            )
        try:
            with _asking("start a container"):
                container.put_archive("/", _archive(files))
                wire = _wire(container)
                container.start()
            with contextlib.closing(wire):
                yield _Running(Shell(wire))
        finally:
            with contextlib.suppress(EngineError), _asking("remove a container"):  # `stop` was quicker
                container.remove(force=True)


def _wire(container: DockerContainer) -> socket.socket:
    """The container's stdin and stdout. What the SDK hands out can only be read where the daemon is on this machine."""
    found: Any = container.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
    if hasattr(found, "sendall"):
        return cast("socket.socket", found)  # TLS or SSH: it behaves as one
    wire = socket.socket(fileno=os.dup(found.fileno()))
    vars(found)["_response"].close()  # where the SDK keeps it, and so the socket that we have doubled, open
    return wire


def _archive(files: Mapping[str, Sequence[SourceFile]]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for folder, content in files.items():
            for one in content:
                add_file(tar, replace(one, path=f"{folder}/{one.path}"))
    return archive.getvalue()


@contextmanager
def _asking(what: str) -> Iterator[None]:
    """The daemon's refusals, and its silence, as errors of ours."""
    import docker
    import requests

    try:
        yield
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise EngineError(f"the engine can't {what}: {getattr(error, 'explanation', None) or error}") from None


@dataclass(frozen=True)
class _Running:
    shell: Shell

    def run(self, shell: str, *, timeout_s: int, folder: str = "/") -> Execution:
        # the API can't end a command, so the deadline goes inside
        try:
            code, output = self.shell.run(shell, timeout_s=timeout_s, folder=folder)
        except ShellEnded as error:
            raise EngineError(f"a container has ended while a command ran in it; it said last: {error}") from None
        except OSError as error:
            raise EngineError(f"the engine can't run a command in a container: {error}") from None
        return Execution(code=code, output=output)


def write_archive(file: IO[bytes], layout: Layout, name: ImageRef, *, whole: bool) -> None:
    """An OCI layout as the tar that ``docker load`` reads; unless ``whole``, without large blobs.

    What a build exports the daemon has; what a merge has written, which is small, it has not.
    """
    manifest = layout.manifest
    descriptor = manifest.descriptor().as_json() | {
        "annotations": {  # containerd's and Docker's way to say what the image is called
            "io.containerd.image.name": str(name),
            "org.opencontainers.image.ref.name": name.tag,
        }
    }
    blobs = [manifest.digest, *(b.digest for b in manifest.blobs if whole or b.size <= _SMALL_BYTES)]
    with tarfile.open(fileobj=file, mode="w") as tar:
        add_file(tar, SourceFile(path="oci-layout", content=b'{"imageLayoutVersion":"1.0.0"}'))
        add_file(
            tar, SourceFile(path="index.json", content=canonical_json({"schemaVersion": 2, "manifests": [descriptor]}))
        )
        for digest in blobs:
            tar.add(layout.path(digest).resolve(), arcname=f"blobs/sha256/{digest.hex}")
