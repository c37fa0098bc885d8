"""Promise 2: nothing changed = nothing built, nothing pushed, no digest changed, no engine needed. Time passing is no change."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hubstack.reference import ImageRef
from hubstack.registry import Registry

from tests.engine.relay import Relay
from tests.engine.workbench import NO_ENGINE, Run, Work, neutral, published

pytestmark = pytest.mark.engine

ELSEWHERE = {
    **NO_ENGINE,
    "TZ": "Pacific/Kiritimati",
    "PYTHONHASHSEED": "7",
    "LANG": "tr_TR.UTF-8",
    "HOME": "/nonexistent",
}


def test_a_second_run_does_nothing_and_needs_no_engine(
    settled: Work, built: tuple[Work, Run], registry: Registry
) -> None:
    work, first = built
    before, configmap = published(registry, work.prefix), work.configmap()
    again = replace(work, env=NO_ENGINE).build("--profiles", str(work.folder / "out"))
    assert set(again.results.values()) == {"reused"}
    assert (again.of("phase"), again.of("note")) == ([], [])
    assert again.digests == first.digests
    assert published(registry, work.prefix) == before
    assert work.configmap() == configmap


def test_another_machine_on_another_day_finds_nothing_to_do(
    settled: Work, built: tuple[Work, Run], real_registry: ImageRef, tmp_path: Path
) -> None:
    """No store, another folder, other times and modes of files, another zone, no home; a relay counts what is written."""
    work, first = built
    clone = work.clone(tmp_path / "a folder, with a comma")
    for path in clone.folder.rglob("*"):
        path.chmod(path.stat().st_mode & ~0o066)
        os.utime(path, (0, 0))
    with Relay(real_registry.host) as relay:
        there = replace(clone, prefix=replace(work.prefix, host=relay.host), env=ELSEWHERE)
        again = there.build("--profiles", str(there.folder / "out"))
        assert again.digests == first.digests
        assert again.of("phase") == []
        assert relay.asked("HEAD")
        assert relay.writes() == []
        assert neutral(there.configmap(), there) == neutral(work.configmap(), work)
        (there.folder / "hubstack.yaml").touch()
        assert there.plan() == []


def test_the_clock_is_no_input(built: tuple[Work, Run]) -> None:
    """A plan is the same bytes at any time, without the registry too."""
    work, _ = built
    plans = {replace(work, env=env).run("plan", "--json", "--offline").stdout for env in ({}, ELSEWHERE)}
    assert len(plans) == 1
