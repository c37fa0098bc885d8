"""Promise 2: nothing changed = nothing built, nothing pushed, no digest changed, no engine needed. Time passing is no
change, and neither is another folder, hash seed, time zone, language, umask, or a fresh checkout's file times.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.commandline import HUBSTACK, PROJECTS
from tests.fakes.engine import Call
from tests.fakes.registry import FakeRegistry
from tests.family import DIAMOND
from tests.site import Site

EXAMPLE = Path(__file__).parents[2]
FOLDERS = ("base", "layers", "stacks", "profiles", "hubstack.yaml", "hubstack.lock")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with FakeRegistry() as fake:
        yield Site.at(tmp_path, fake)


def no_engine(call: Call) -> None:
    raise AssertionError(f"an engine was asked: {call}")


def test_a_second_run_asks_no_engine_and_writes_nothing(site: Site, tmp_path: Path) -> None:
    site.build(DIAMOND.inputs())
    before, writes = site.tags(""), len(site.writes())
    site.engine.before = no_engine
    assert site.build(DIAMOND.inputs())
    elsewhere = Site.at(tmp_path / "elsewhere", site.fake)  # without anything from the run before
    elsewhere.engine.before = no_engine
    assert elsewhere.build(DIAMOND.inputs())
    assert site.tags("") == before
    assert len(site.writes()) == writes


def checkout(source: Path, target: Path, *, seconds: int, umask: int) -> None:
    """As another clone of the same commit: other times, other permissions, another order in the folders."""
    before = os.umask(umask)
    try:
        for name in sorted(FOLDERS, reverse=seconds % 2 == 1):
            if (source / name).is_dir():
                shutil.copytree(source / name, target / name)
            elif (source / name).exists():
                shutil.copyfile(source / name, target / name)
    finally:
        os.umask(before)
    for path in target.rglob("*"):
        os.utime(path, (seconds, seconds), follow_symlinks=False)


def plan(folder: Path, env: Mapping[str, str]) -> bytes:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HUBSTACK", "LC_", "LANG"))}
    argv = [str(HUBSTACK), "plan", "--offline", "--json"]
    done = subprocess.run(argv, cwd=folder, env={**clean, **env}, stdout=subprocess.PIPE, check=True)
    return done.stdout


@pytest.mark.parametrize("project", [PROJECTS / "good-locked", EXAMPLE], ids=lambda path: path.name)
def test_the_plan_is_the_same_bytes_anywhere(project: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "a folder" / "with spaces, and ünïcode"
    for folder in (here, there):
        folder.mkdir(parents=True)
    registry = {"HUBSTACK_REGISTRY": "registry.example/hub"}
    checkout(project, here, seconds=1_000_000_000, umask=0o022)
    checkout(project, there, seconds=1_900_000_001, umask=0o077)
    one = plan(here, registry | {"PYTHONHASHSEED": "1", "TZ": "UTC", "LANG": "C.UTF-8"})
    two = plan(
        there,
        registry
        | {"PYTHONHASHSEED": "2", "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "HOME": str(there), "USER": "else"},
    )
    assert one == two
    assert {node["action"] for node in json.loads(one)["nodes"]} == {"unknown"}
