"""Promise 2: nothing changed = nothing built, nothing pushed, no digest changed, no engine needed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hubstack.registry import Registry

from tests.engine.workbench import NO_ENGINE, Run, Work, published

pytestmark = pytest.mark.engine


def test_a_second_run_does_nothing_and_needs_no_engine(built: tuple[Work, Run], registry: Registry) -> None:
    work, first = built
    before, configmap = published(registry, work.prefix), work.configmap()
    again = replace(work, env=NO_ENGINE).build("--profiles", str(work.folder / "out"))
    assert set(again.results.values()) == {"reused"}
    assert (again.of("phase"), again.of("note")) == ([], [])
    assert again.digests == first.digests
    assert published(registry, work.prefix) == before
    assert work.configmap() == configmap
