"""KubeSpawner up to the point where it would make a pod; from there, a container on the local engine."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any

from kubespawner import KubeSpawner
from tornado.web import HTTPError
from traitlets import Instance

from hubstack.engine import GROUP, USER
from hubstack.errors import EngineError, HubstackError
from hubstack.preview.container import Containers, Server
from hubstack.preview.launcher import chosen_traits
from hubstack.preview.report import tell

_POLL_S = 0.2


class SpawnFailed(Exception):
    """``jupyterhub_message`` is what the hub shows on the progress page."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.jupyterhub_message = message


class PreviewSpawner(KubeSpawner):  # type: ignore[misc]  # it ships no types
    """Everything that a person chooses is resolved by KubeSpawner itself."""

    containers = Instance(Containers, config=True)
    _start_future: asyncio.Future[tuple[str, int]] | None  # KubeSpawner's; progress() ends when it is done

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.container_id = ""
        self._said: list[str] = []

    def start(self) -> asyncio.Future[tuple[str, int]]:
        self._start_future = asyncio.ensure_future(self._start_or_explain())
        return self._start_future

    async def _start_or_explain(self) -> tuple[str, int]:
        try:
            return await self._begin()
        except HubstackError as error:
            message = f"{error.message}. {error.hint}".rstrip(". ")
        except HTTPError as error:  # of hub.lookup, for choices that don't go together
            message = getattr(error, "jupyterhub_message", str(error))
        except (ValueError, KeyError) as error:  # KubeSpawner's, for a choice that is not there
            message = f"this hub has no such choice: {error}"
        tell(f"{self.user.name}: {message}")
        raise SpawnFailed(message)

    async def _begin(self) -> tuple[str, int]:
        self._said.clear()
        await self.load_user_options()
        self.ip, self.port = "127.0.0.1", _free_port()
        if why := await asyncio.to_thread(self.containers.why_not):
            raise EngineError(f"no server starts here: {why}")
        loop = asyncio.get_running_loop()

        def on_line(line: str) -> None:
            loop.call_soon_threadsafe(self._say, line)

        image = await asyncio.to_thread(self.containers.pull, self.image, on_line)
        self._say(f"starting {self.image}")
        if ignored := chosen_traits(self.profile_list, self.user_options):
            self._say(f"only a cluster follows {', '.join(ignored)}")
        server = await self._recipe()
        self.container_id = await asyncio.to_thread(self.containers.start, server, image)
        return self.ip, self.port

    async def _recipe(self) -> Server:
        return Server(
            image=self.image,
            command=[*(self.cmd or []), *self.get_args()],
            environment={name: value for name, value in self.get_env().items() if isinstance(value, str)},
            memory_bytes=int(self.mem_limit or 0),
            cpus=await self._cpus(),
            folder=self.working_dir,
            user=USER if self.uid is None else self.uid,
            group=GROUP if self.gid is None else self.gid,
        )

    async def _cpus(self) -> float:
        """Docker refuses more than the machine has; to Kubernetes that is a limit that is never reached."""
        there = await asyncio.to_thread(self.containers.cpus)
        if self.cpu_limit and self.cpu_limit > there:
            self._say(f"this machine has {there} of the {self.cpu_limit:g} CPUs")
        return min(self.cpu_limit, there) if self.cpu_limit else 0

    def _say(self, line: str) -> None:
        self._said.append(line)
        tell(f"{self.user.name}: {line}")

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        shown = 0
        ended = False
        while not ended:
            ended = self._start_future is None or self._start_future.done()
            for line in self._said[shown:]:
                shown += 1
                yield {"progress": min(90, 20 * shown), "message": line}
            await asyncio.sleep(0 if ended else _POLL_S)

    async def poll(self) -> int | None:
        if not self.container_id:
            return 0
        try:
            return await asyncio.to_thread(self.containers.ended, self.container_id)
        except EngineError as error:
            tell(f"{self.user.name}: {error.message}")
            return 1

    async def stop(self, now: bool = False) -> None:  # noqa: FBT001, FBT002 - as JupyterHub calls it
        if self.container_id:
            with contextlib.suppress(EngineError):  # the preview removes what is left when it ends
                await asyncio.to_thread(self.containers.remove, self.container_id)
                tell(f"{self.user.name}: stopped")
        self.container_id = ""

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "container_id": self.container_id}

    def load_state(self, state: Mapping[str, Any]) -> None:
        super().load_state(state)
        self.container_id = state.get("container_id", "")

    def clear_state(self) -> None:
        super().clear_state()
        self.container_id = ""


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
