"""Servers as containers on the local engine. Every call waits for the daemon: an event loop calls them in threads."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hubstack.engine import GROUP, HOME, USER
from hubstack.errors import EngineError

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

PROJECT = "io.github.hubstack.preview"  # labels of containers: the project's folder,
STATE = "io.github.hubstack.preview.state"  # and the state folder of the preview that started it
_LAST_LINES = 5
_EARLY_S = 1.0  # a server that can't run has ended by then
_POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What a container is made of. ``cpus`` and ``memory_bytes``: 0 is no limit."""

    image: str
    command: Sequence[str]
    environment: Mapping[str, str]
    memory_bytes: int = 0
    cpus: float = 0
    folder: str | None = None  # the working directory; None: the image's own
    user: int = USER
    group: int = GROUP


@dataclass(kw_only=True)
class Containers:
    """The containers of one preview."""

    project: str
    state: str

    @cached_property
    def _client(self) -> DockerClient:
        import docker

        return docker.from_env(timeout=60)

    def why_not(self) -> str:
        """Why no server can start on this engine, or nothing. Raises EngineError where none answers."""
        with asking("say what it is"):
            system = self._client.info().get("OperatingSystem", "")
            local = self._client.api.base_url.startswith("http+docker://")  # a unix socket
        if sys.platform != "linux" or "Desktop" in system or not local:
            return "containers of this engine don't see this machine's loopback network, as they do on Linux"
        return ""

    def cpus(self) -> int:
        with asking("say what it has"):
            return int(self._client.info()["NCPU"])

    def has(self, image: str) -> bool:
        import docker

        with asking(f"look for {image}"):
            try:
                self._client.images.get(image)
            except docker.errors.ImageNotFound:
                return False
        return True

    def pull(self, image: str, on_line: Callable[[str], None]) -> str:
        """The id of ``image``, pulled where the engine has none of that name. Raises EngineError."""
        import docker

        name, tag = _split(image)
        full = f"{name}@{tag}" if tag.startswith("sha256:") else f"{name}:{tag}"
        with asking(f"look for {image}"), contextlib.suppress(docker.errors.ImageNotFound):
            return str(self._client.images.get(full).id)
        on_line(f"pulling {image}")
        self._pull(name, tag, image)
        with asking(f"look for {image}"):
            return str(self._client.images.get(full).id)

    def _pull(self, name: str, tag: str, image: str) -> None:
        import docker

        with asking(f"pull {image}"):
            try:
                events = self._client.api.pull(name, tag=tag, stream=True, decode=True)
                fault = next((event["error"] for event in events if "error" in event), "")
            except docker.errors.NotFound as error:
                fault = f"not found: {error.explanation}"
        if "not found" in fault:
            raise EngineError(f"there is no image {image}: neither this engine nor its registry has it")
        if fault:
            raise EngineError(f"the engine can't pull {image}: {fault}")

    def start(self, server: Server, image: str) -> str:
        """The id of a running container. ``image`` is an id; ``server.image`` is for messages."""
        with asking(f"make a container of {server.image}"):
            container = self._client.containers.create(
                image,
                command=list(server.command),
                environment=dict(server.environment),
                working_dir=server.folder,
                user=f"{server.user}:{server.group}",
                mem_limit=server.memory_bytes or None,
                nano_cpus=int(server.cpus * 1e9) or None,
                network_mode="host",  # the hub listens on loopback alone, and so does the server
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                pids_limit=4096,
                tmpfs={HOME: f"uid={server.user},gid={server.group},mode=0755,exec"},
                labels={PROJECT: self.project, STATE: self.state},
            )
        try:
            self._run(container, server)
        except BaseException as error:
            self.remove(str(container.id))
            if isinstance(error, EngineError) and "executable file not found" in error.message:
                message = f"{server.image} is no image for a hub: it has no {server.command[0]}"
                raise EngineError(message) from None
            raise
        return str(container.id)

    def _run(self, container: Container, server: Server) -> None:
        with asking(f"start {server.image}"):
            container.start()
            deadline = time.monotonic() + _EARLY_S
            while time.monotonic() < deadline:
                time.sleep(_POLL_S)
                container.reload()
                if container.status == "exited":
                    raise EngineError(f"{server.image} ended at once; {self._last_words(container)}")

    def ended(self, container_id: str) -> int | None:
        """The exit code of a container that has ended or is gone; None while it runs."""
        import docker

        with asking("say whether a container runs"):
            try:
                state: Mapping[str, Any] = self._client.containers.get(container_id).attrs["State"]
            except docker.errors.NotFound:
                return 1
        return None if state["Running"] else int(state["ExitCode"])

    def _last_words(self, container: Container) -> str:
        lines = container.logs(tail=_LAST_LINES).decode(errors="replace").splitlines()
        code = container.attrs["State"]["ExitCode"]
        return f"exit code {code}, its last lines: {' | '.join(lines)}" if lines else f"exit code {code}"

    def remove(self, container_id: str) -> None:
        import docker

        with asking("remove a container"), contextlib.suppress(docker.errors.NotFound):
            self._client.api.remove_container(container_id, force=True, v=True)

    def left(self) -> dict[str, str]:
        """The containers of all previews of this project that are there: id → state folder."""
        with asking("list containers"):
            found = self._client.containers.list(
                all=True, filters={"label": f"{PROJECT}={self.project}"}, ignore_removed=True
            )
            return {str(one.id): one.labels.get(STATE, "") for one in found}


def _split(image: str) -> tuple[str, str]:
    """The name, and the digest or the tag."""
    name, _, digest = image.partition("@")
    head, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return f"{head}{slash}{last}", digest or tag or "latest"


@contextmanager
def asking(what: str) -> Iterator[None]:
    """The daemon's refusals, and its silence, as errors of ours."""
    import docker
    import requests

    try:
        yield
    except docker.errors.APIError as error:
        raise EngineError(f"the engine can't {what}: {error.explanation or error}") from None
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise EngineError(
            "no Docker engine answers", hint=f"Start it, or point DOCKER_HOST at one ({error})."
        ) from None
