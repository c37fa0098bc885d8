"""Images of repositories, built one after the other; whoever asks while one is built hears the same from the beginning."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hubstack.errors import Cancelled, CommandFailed, HubstackError
from hubstack.preview.options import Options
from hubstack.preview.report import tell
from hubstack.preview.source import address, image_name
from hubstack.preview.stack import parse
from hubstack.repository.checkout import find_source
from hubstack.repository.choice import Offer

Event = dict[str, str]
LAST_LINES = 10


class Images(Protocol):
    """The engine's images. The other implementation is the fake of the tests."""

    def pull(self, image: str, on_line: Callable[[str], None]) -> str: ...

    def has(self, image: str) -> bool: ...


class BuildRepository(Protocol):
    """hubstack.repository's. The other implementation is the fake of the tests."""

    def __call__(
        self,
        url_or_dir: str,
        ref: str,
        *,
        stack_image: str,
        image: str,
        on_line: Callable[[str], None],
        cancel: threading.Event | None,
        offers: Sequence[Offer],
        ca_bundle: Path | None,
    ) -> str: ...


@dataclass
class _Build:
    """One request's way; ``events`` only grows, and ``news`` is set and replaced as it does."""

    events: list[Event] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, phase: str, message: str, **more: str) -> None:
        self.events.append({"phase": phase, "message": f"{message}\n", **more})
        self.news.set()
        self.news = asyncio.Event()

    @property
    def ended(self) -> bool:
        return bool(self.events) and self.events[-1]["phase"] in {"ready", "failed"}


@dataclass
class Builds:
    options: Options
    images: Images
    build_repository: BuildRepository
    cancel: threading.Event = field(default_factory=threading.Event)
    _running: dict[tuple[str, str], _Build] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def stream(self, repo: str, ref: str) -> AsyncIterator[Event]:
        """Events as BinderHub's; the last one's phase is ``ready`` or ``failed``. A build goes on when nobody listens."""
        build = self._running.get((repo, ref))
        if build is None or build.ended:
            build = self._running[repo, ref] = _Build()
            task = asyncio.create_task(self._work(build, repo, ref))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        at = 0
        while True:
            news = build.news
            while at < len(build.events):
                at += 1
                yield build.events[at - 1]
            if build.ended:
                return
            await news.wait()

    async def _work(self, build: _Build, repo: str, ref: str) -> None:
        try:
            build.add("waiting", f"Looking for {repo} at {ref}")
            async with self._one_at_a_time:
                image = await self._image(build, repo, ref)
            build.add("ready", f"Built {image}", imageName=image)
        except HubstackError as error:
            tail = error.tail[-LAST_LINES:] if isinstance(error, CommandFailed) else ()
            text = "\n".join([*tail, f"{error.message}. {error.hint}".rstrip(". ")])
            tell(f"build of {repo} at {ref} failed: {error.message}")
            build.add("failed", text)
        except Cancelled:
            build.add("failed", "The preview has ended")

    async def _image(self, build: _Build, repo: str, ref: str) -> str:
        loop = asyncio.get_running_loop()

        def on_line(phase: str) -> Callable[[str], None]:
            def hear(line: str) -> None:
                loop.call_soon_threadsafe(build.add, phase, line)

            return hear

        options = self.options
        url = address(options.repositories, repo)
        bundle = Path(options.ca_bundle) if options.ca_bundle else None
        source = await asyncio.to_thread(find_source, url, ref, ca_bundle=bundle)
        stack = await asyncio.to_thread(self.images.pull, options.stack_image, on_line("waiting"))
        stacks = [parse(one) for one in options.stacks]
        below = " ".join([stack, *(one.image for one in stacks)])
        image = image_name(options.image_prefix, url, repo, source.commit, below)
        if await asyncio.to_thread(self.images.has, image):
            tell(f"{repo} at {ref}: built before, {image}")
            build.add("waiting", f"Neither {repo} nor the stack has changed: nothing to build")
            return image
        tell(f"building {repo} at {ref} on {options.stack_image}")
        build.add("fetching", f"Fetching {url} at {source.commit}")
        await asyncio.to_thread(
            self.build_repository,
            url,
            source.commit,
            stack_image=options.stack_image,
            image=image,
            on_line=on_line("building"),
            cancel=self.cancel,
            offers=stacks,
            ca_bundle=bundle,
        )
        build.add("pushing", "Not pushed: servers run on the engine that has built it")
        tell(f"built {image}")
        return image
