"""docs/contributing.md quotes what one may be told: each message of its table is really said."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.commandline import PROJECTS, run
from tests.engine.expression import holds

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "contributing.md"
UNITS = ("new", "layer", "units", "--requires", "python", "--apt", "units")
PLOTS = ("new", "layer", "plots", "--requires", "scipy", "--pip", "seaborn")


def quoted() -> list[str]:
    """The messages in the table, as they are written."""
    return re.findall(r"^\| `(.*?)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose layer ``python`` brings Python."""
    return Path(shutil.copytree(PROJECTS / "good-locked", tmp_path / "project"))


def edited(folder: Path, path: str, change: Callable[[str], str]) -> str:
    """What check says when a new layer's file is changed."""
    assert run(*UNITS, folder=folder).code == 0
    file = folder / "layers" / "units" / path
    file.write_text(change(file.read_text() if file.exists() else ""))
    return run("check", folder=folder).out


def misspelt(folder: Path) -> str:
    return run(*UNITS, "--requires", "scypy", folder=folder).err


def two_words(folder: Path) -> str:
    return run(*UNITS, "--apt", "GNU units", folder=folder).err


def unlocked(folder: Path) -> str:
    run(*PLOTS, folder=folder)
    return run("check", folder=folder).out


def colon(folder: Path) -> str:
    return edited(folder, "layer.yaml", lambda text: text.replace("summary: Units", "summary: Plots: seaborn"))


def field(folder: Path) -> str:
    return edited(folder, "layer.yaml", lambda text: text.replace("requires:", "require:"))


def absent(folder: Path) -> str:
    return edited(folder, "Dockerfile.j2", lambda _: "FROM parent\n{{ packages() }}\nCOPY x /x\nUSER 1000:100\n")


def root(folder: Path) -> str:
    return edited(folder, "Dockerfile.j2", lambda _: "FROM parent\n{{ packages() }}\nUSER root\n")


def uninstalled(folder: Path) -> str:
    return edited(folder, "Dockerfile.j2", lambda _: "FROM parent\nUSER 1000:100\n")


def ownerless(folder: Path) -> str:
    settings = folder / "hubstack.yaml"
    settings.write_text(settings.read_text() + "policy: {require_owners: true}\n")
    return edited(folder, "layer.yaml", lambda text: re.sub(r"owners: .*\n", "", text))


CASES = (misspelt, two_words, unlocked, colon, field, absent, root, uninstalled, ownerless)


@pytest.mark.parametrize(
    ("message", "case"), [*zip(quoted(), CASES, strict=True)], ids=lambda one: getattr(one, "__name__", "")
)
def test_it_is_really_said(message: str, case: Callable[[Path], str], project: Path) -> None:
    assert message in case(project)


@pytest.mark.parametrize(
    ("hubstack", "check", "reviewed"),
    [("success", "success", True), ("success", "failure", True), ("failure", "skipped", False)],
)
def test_what_check_forbids_is_in_the_summary_too(hubstack: str, check: str, *, reviewed: bool) -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/pull-request.yml").read_text(encoding="utf-8"))
    (step,) = (one for one in workflow["jobs"]["propose"]["steps"] if one["name"] == "Review")
    contexts = {
        "steps": {"hubstack": {"outcome": hubstack}, "check": {"outcome": check}},
        "functions": {"success": lambda: check == "success", "cancelled": lambda: False},
    }
    assert holds(step["if"], contexts) is reviewed
