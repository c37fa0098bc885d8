"""The verbs that need an engine, typed where a behaving one and a registry in this process answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from hubstack.cli.invocation import Invocation

from tests.fakes.engine import FakeEngine
from tests.fakes.registry import FakeRegistry


@dataclass
class TerminalEngine(FakeEngine):
    """Also what ``hubstack run`` needs: a command in the foreground."""

    commands: list[tuple[list[str], list[str]]] = field(default_factory=list)  # words, options
    exit_code: int = 0

    def run(self, image: str, words: Sequence[str], *, options: Sequence[str]) -> int:
        assert image in self.images
        self.commands.append((list(words), list(options)))
        return self.exit_code


@dataclass(kw_only=True)
class Here(Invocation):
    """The options before the verb, with an engine that is not Docker."""

    machine: TerminalEngine
    builders: list[tuple[str, ...]] = field(default_factory=list)  # that were asked for

    def engine(self, builders: Sequence[str] = ()) -> Any:
        self.builders.append(tuple(builders))
        return self.machine


@dataclass
class Shell:
    """A project's folder, in which verbs are typed one after the other."""

    folder: Path
    registry: FakeRegistry
    engine: TerminalEngine
    builders: list[tuple[str, ...]] = field(default_factory=list)

    def __call__(self, verb: str, *words: str) -> Result:
        here = Here(
            folder=self.folder,
            ca_bundle=None,
            registry=f"{self.registry.host}/x",
            machine=self.engine,
            builders=self.builders,
        )
        try:
            command = import_module(f"hubstack.cli.{verb}").command
            result = CliRunner().invoke(command, words, obj=here, standalone_mode=False)
        finally:
            here.close()
        if result.exception is not None:
            raise result.exception
        return result

    def tags(self, repository: str) -> list[str]:
        return sorted(self.registry.repository(f"x/{repository}").tags)

    def built(self) -> list[str]:
        return [node.rpartition("-")[0] for node in self.engine.verbs("build")]
