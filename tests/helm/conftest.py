"""The real helm and kubectl: skipped where there are none, unless HUBSTACK_TEST_TOOLS says that there must be."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes.registry import FakeRegistry
from tests.helm.tree import FORMS, HUBS, Tree

ROOT = Path(__file__).parents[2]
CHART = Path(__file__).parent / "chart"


@dataclass(frozen=True)
class Tool:
    path: str

    def __call__(self, *words: str) -> str:
        done = subprocess.run([self.path, *words], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout


def find(name: str) -> Tool:
    found = shutil.which(name, path=os.pathsep.join((str(ROOT / ".run" / "tools" / "bin"), os.environ["PATH"])))
    if found is None and os.environ.get("HUBSTACK_TEST_TOOLS"):
        pytest.fail(f"there is no {name}, and HUBSTACK_TEST_TOOLS asks for it")
    if found is None:
        pytest.skip(f"there is no {name}")
    return Tool(found)


@pytest.fixture(scope="session")
def kubectl() -> Tool:
    return find("kubectl")


@dataclass(frozen=True)
class Helm:
    tool: Tool

    def merged(self, values: Sequence[Path]) -> Any:
        """What a chart sees of its own values and of these files, later ones over earlier ones."""
        words = [word for path in values for word in ("--values", str(path))]
        manifest = yaml.safe_load(self.tool("template", "echo", str(CHART), *words))
        return yaml.safe_load(manifest["data"]["values.yaml"])


@pytest.fixture(scope="session")
def helm() -> Helm:
    return Helm(find("helm"))


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeRegistry]:
    """A registry with the images of the three hubs, for tests that push nothing."""
    with FakeRegistry() as registry:
        Tree.published(tmp_path_factory.mktemp("shelf") / "tree", registry)
        yield registry


@pytest.fixture(scope="session")
def emitted(shelf: FakeRegistry, tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[str, str], Path]:
    """(hub, form) → folder, of the three hubs in every form."""
    folder = tmp_path_factory.mktemp("three-hubs")
    tree = Tree.copied(folder / "tree", shelf)
    return {(hub, form): tree.emitted(hub, folder / f"{hub}-{form}", "--form", form) for hub in HUBS for form in FORMS}


@pytest.fixture
def tree(shelf: FakeRegistry, tmp_path: Path) -> Tree:
    return Tree.copied(tmp_path / "tree", shelf)


@pytest.fixture
def lonely(tmp_path: Path) -> Iterator[Tree]:
    """One with a registry of its own."""
    with FakeRegistry() as registry:
        yield Tree.published(tmp_path / "tree", registry)
