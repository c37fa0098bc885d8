"""Where a run takes place: a registry, an engine, a folder; and runs as the command line makes them, on these."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from hubstack.build import Builder
from hubstack.cli.build import build, known
from hubstack.cli.invocation import Invocation
from hubstack.engine import Docker
from hubstack.event import Event
from hubstack.model import Project
from hubstack.names import Names
from hubstack.pipeline import Inputs
from hubstack.plan import Plan
from hubstack.publish import Publisher, Remote
from hubstack.record import Record
from hubstack.reference import Digest, ImageRef, Layout
from hubstack.registry import Registry
from hubstack.registry.credentials import anonymous
from hubstack.registry.retry import Retry
from hubstack.schedule import Outcome
from hubstack.store import Store

from tests.fakes.clock import FakeTime
from tests.fakes.engine import FakeEngine
from tests.fakes.registry import FakeRegistry

WRITES = ("PUT", "POST", "PATCH")


class _Invocation(Invocation):
    def __init__(self, site: Site, project: Project) -> None:
        super().__init__(folder=site.folder, ca_bundle=None, registry=None)
        self.site, self.given = site, project

    @cached_property
    def project(self) -> Project:
        return self.given

    def connect(self, *, publish: bool = False) -> Registry:
        return self.site.connect(publish=publish)

    def engine(self, builders: Sequence[str] = ()) -> Docker:
        return self.site.engine  # type: ignore[return-value]  # the command line is not written for a protocol


@dataclass
class Site:
    folder: Path
    fake: FakeRegistry
    engine: FakeEngine
    today: str = "2026-11-21"
    sleep: Callable[[float], object] = field(default_factory=lambda: FakeTime().sleep)
    clients: list[Registry] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    @classmethod
    def at(cls, folder: Path, fake: FakeRegistry, salt: str = "") -> Site:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hubstack.yaml").touch()
        return cls(folder=folder, fake=fake, engine=FakeEngine(fake, salt))

    def connect(self, *, publish: bool = False) -> Registry:
        clock = FakeTime().clock
        retry = Retry(sleep=self.sleep, clock=clock, jitter=lambda _low, high: high)
        self.clients.append(Registry(self.fake.host, look_up=anonymous, retry=retry, publish=publish))
        return self.clients[-1]

    def invocation(self, project: Project) -> Invocation:
        settings = replace(project.settings, registry=ImageRef.parse(f"{self.fake.host}/hub"))
        return _Invocation(self, replace(project, settings=settings))

    @property
    def names(self) -> Names:
        return Names(prefix=ImageRef.parse(f"{self.fake.host}/hub"), layout=Layout.NESTED)

    def says(self, digest: Digest | None) -> list[str]:
        """What the Dockerfiles of an image in the registry say, lowest first."""
        assert digest is not None
        image = self.engine.images[self.engine.pull(self.names.build.with_digest(digest))]
        return [text.decode().splitlines()[1].removeprefix("RUN ") for text in image.files().values()]

    @property
    def store(self) -> Store:
        return Store(self.folder / ".hubstack")

    def build(self, inputs: Inputs, *, push: bool = True, jobs: int = 2, all_or_nothing: bool = False) -> bool:
        """Whether everything is good, as ``hubstack build`` says."""
        invocation = self.invocation(inputs.project)
        try:
            return build(invocation, inputs, push=push, jobs=jobs, channels=("latest",), all_or_nothing=all_or_nothing)
        finally:
            self.close()

    def run(
        self, inputs: Inputs, *, plan: Plan | None = None, push: bool = True, jobs: int = 2, fail_fast: bool = False
    ) -> dict[str, Outcome]:
        """The nodes' outcomes; nothing is published. ``events`` keeps what happened."""
        invocation = self.invocation(inputs.project)
        registry, names = self.connect(publish=push), self.names
        here = known(invocation, push=push, registry=registry)
        builder = Builder(
            inputs=inputs,
            names=names,
            engine=self.engine,
            store=self.store,
            publisher=Publisher(registry=registry, names=names) if push else None,
            shelf=invocation.shelf(inputs, registry, push=push),
            on_event=self._keep,
            cancel=threading.Event(),
            today=self.today,
        )
        try:
            with self.store.lock():
                return builder.run(plan or inputs.plan(here), jobs=jobs, fail_fast=fail_fast)
        finally:
            self.close()

    def _keep(self, event: Event) -> None:
        self.events.append(event)

    def plan(self, inputs: Inputs, *, rebase: bool | None = None) -> Plan:
        """As it is before a run that pushes."""
        try:
            return inputs.plan(Remote(registry=self.connect(), names=self.names), rebase=rebase)
        finally:
            self.close()

    def records(self, *nodes: str) -> Mapping[str, Record]:
        try:
            return Remote(registry=self.connect(), names=self.names).records(nodes)
        finally:
            self.close()

    def close(self) -> None:
        while self.clients:
            self.clients.pop().close()

    def tags(self, *prefixes: str) -> dict[str, str]:
        """``repository:tag`` → digest, of the tags that begin like this; of all but records without."""
        return {
            f"{name}:{tag}": digest
            for name, repository in sorted(self.fake.repositories.items())
            for tag, digest in sorted(repository.tags.items())
            if (tag.startswith(prefixes) if prefixes else not tag.startswith(("info-", "last-")))
        }

    def writes(self) -> list[str]:
        return [f"{one.method} {one.path}" for one in self.fake.requests if one.method in WRITES]
