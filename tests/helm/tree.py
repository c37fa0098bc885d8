"""The tree of three hubs, its images published to a registry in this process, and what ``hubstack hub`` makes of it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.commandline import PROJECTS, Done, run
from tests.fakes.registry import FakeRegistry
from tests.shell import Shell, TerminalEngine

THREE_HUBS = PROJECTS / "good-three-hubs"
HUBS = ("staging", "prod", "gpu")
FORMS = ("flux", "generator", "helm")


@dataclass(frozen=True)
class Tree:
    folder: Path
    registry: FakeRegistry

    @classmethod
    def copied(cls, folder: Path, registry: FakeRegistry) -> Tree:
        return cls(Path(shutil.copytree(THREE_HUBS, folder)), registry)

    @classmethod
    def published(cls, folder: Path, registry: FakeRegistry) -> Tree:
        tree = cls.copied(folder, registry)
        tree.publish()
        return tree

    def publish(self) -> None:
        Shell(self.folder, self.registry, TerminalEngine(self.registry))("build", "--push", "*")

    def hub(self, name: str, output: Path, *words: str) -> Done:
        before = "--registry", f"{self.registry.host}/x"
        return run(*before, "hub", name, "--output", str(output), *words, folder=self.folder)

    def emitted(self, name: str, output: Path, *words: str) -> Path:
        done = self.hub(name, output, *words)
        assert done.code == 0, done.err
        return output


def files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
