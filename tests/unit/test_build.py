"""One node's way, and a run's: a behaving engine, a real registry client, a registry in this process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hubstack.buildx import BuildFailed
from hubstack.errors import EngineError, TestFailed
from hubstack.event import Finished, Line, Phase, Planned
from hubstack.model import Position
from hubstack.plan import Action
from hubstack.schedule import Outcome, Result

from tests.fakes.registry import FakeRegistry
from tests.family import DIAMOND, Family
from tests.site import Site

HUB_TEST = "python3 /srv/hubstack/hubtest.py 60"
BUILD_FAILURE = """\
#6 [2/2] RUN scipy
#6 0.1 gcc: not found
#6 ERROR: process "/bin/sh -c scipy" did not complete successfully: exit code: 127
------
Dockerfile:2
--------------------
   2 | >>> RUN scipy
--------------------
ERROR: failed to solve: process "/bin/sh -c scipy" did not complete successfully: exit code: 127
"""


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def site(tmp_path: Path, fake: FakeRegistry) -> Site:
    return Site.at(tmp_path / "here", fake)


@pytest.fixture
def elsewhere(tmp_path: Path, fake: FakeRegistry) -> Site:
    """Another machine, whose builds are not bit for bit the same."""
    return Site.at(tmp_path / "elsewhere", fake, salt="another gcc")


def results(outcomes: dict[str, Outcome]) -> dict[str, str]:
    return {node: str(outcome.result) for node, outcome in outcomes.items()}


def order_of_tags(fake: FakeRegistry, node: str) -> list[str]:
    """In which order a run has put the tags of one fingerprint, or of the node's newest record."""
    tags = [one.path.rpartition("/")[2] for one in fake.asked("PUT", "/manifests/")]
    return [tag.partition("-")[0] for tag in tags if node in tag]


# --- parents -----------------------------------------------------------------------------------------------------------


def test_images_stand_on_their_parents_wherever_those_are(site: Site, elsewhere: Site) -> None:
    """Three ways to find a parent: just built here, here since an earlier run, only in the registry."""
    site.run(DIAMOND.inputs("minimal"))
    elsewhere.run(DIAMOND.inputs("science"))
    outcomes = site.run(DIAMOND.inputs())
    assert results(outcomes) == {"debian": "reused", "lab": "reused", "r": "built", "scipy": "reused", "both": "built"}
    digest = outcomes["both"].digest
    assert digest is not None
    site.engine.pull(DIAMOND_NAMES(site, digest))
    says = [text.decode().split("\n")[1] for text in site.engine.images[digest].files().values()]
    assert says == ["RUN debian", "RUN lab", "RUN scipy", "RUN both"]
    assert elsewhere.engine.verbs("build") == ["scipy"]
