"""Promise 4: kill the run at any point; run it again; the end state is the same bytes.

Here the run dies at each single write to the registry (the registry has it, the run never learns of it) and at each
single call of the engine; tests with a real engine kill real processes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.engine import Call
from tests.fakes.registry import FakeRegistry
from tests.fakes.wire import Reply, Seen, Trouble
from tests.family import Family
from tests.site import WRITES, Site

pytestmark = pytest.mark.long

FAMILY = Family(
    below={"debian": [], "lab": ["debian"]},
    stacks={"minimal": "lab"},
    tests={"lab": ["lab works"]},
    versions={"lab": {"JupyterLab": "jupyter lab --version"}},
)


class Killed(BaseException):
    """As SIGKILL: nothing handles it."""


class DyingRegistry(FakeRegistry):
    """Does the ``last`` write and answers nothing from then on. 0: it never dies."""

    def __init__(self, last: int = 0) -> None:
        super().__init__()
        self.last, self.written = last, 0

    def is_dead(self) -> bool:
        return 0 < self.last <= self.written

    def trouble(self, seen: Seen) -> Trouble | Reply | None:
        if self.is_dead():
            return Trouble.HANG_UP
        super().trouble(seen)
        if seen.method in WRITES:
            self.written += 1
        return Trouble.LOSE_REPLY if self.is_dead() else None


@contextmanager
def dying(folder: Path, last: int = 0) -> Iterator[Site]:
    """What would wait for the registry to come back dies instead."""
    with DyingRegistry(last) as fake:

        def sleep(_seconds: float) -> None:
            if fake.is_dead():
                raise Killed

        site = Site.at(folder, fake)
        site.sleep = sleep
        yield site


def end_state(site: Site) -> dict[str, object]:
    """Tags with their digests, and what the registry holds; records hold durations, so only that they are there."""
    repositories = site.fake.repositories
    names = sorted(f"{name}:{tag}" for name, one in repositories.items() for tag in one.tags)
    return {"tags": site.tags(), "names": names}


MERGED = Family(
    below={"debian": [], "lab": ["debian"], "r": ["debian"], "lab.r": ["lab", "r"]},
    merged=("lab.r",),
    stacks={"minimal": "lab.r"},
    tests={"lab": ["lab works"]},
)
FAMILIES = {"chain": FAMILY, "merge": MERGED}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Family:
    return FAMILIES[request.param]


@pytest.fixture(scope="module")
def undisturbed(family: Family, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], int, list[Call]]:
    """The end state of a run that nobody kills, how often it writes, and what it asks of the engine."""
    with dying(tmp_path_factory.mktemp("undisturbed")) as site:
        assert site.build(family.inputs(), jobs=1)
        assert isinstance(site.fake, DyingRegistry)
        return end_state(site), site.fake.written, site.engine.calls


def run_again(site: Site, folder: Path, family: Family) -> dict[str, object]:
    """With the registry back; on the same machine, or on another one."""
    assert isinstance(site.fake, DyingRegistry)
    site.fake.last = 0
    assert Site.at(folder, site.fake).build(family.inputs(), jobs=1)
    return end_state(site)


def test_at_every_write(
    family: Family,
    undisturbed: tuple[dict[str, object], int, list[Call]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected, writes, _ = undisturbed
    assert writes > 20
    for last in range(1, writes + 1):
        with dying(tmp_path / f"{last}", last) as site:
            if last < writes:  # the last reply of all is one that a run can do without: it finds the tag
                with pytest.raises(Killed):
                    site.build(family.inputs(), jobs=1)
            elsewhere = tmp_path / f"{last}" / "elsewhere"
            assert run_again(site, site.folder if last % 2 else elsewhere, family) == expected, (
                f"killed at write {last}"
            )


def test_at_every_call_of_the_engine(
    family: Family,
    undisturbed: tuple[dict[str, object], int, list[Call]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected, _, calls = undisturbed
    for nth in range(1, len(calls) + 1):
        with dying(tmp_path / f"{nth}") as site:
            counter = itertools.count(1)

            def die(call: Call, nth: int = nth, counter: Iterator[int] = counter) -> None:
                if next(counter) == nth:
                    raise Killed

            site.engine.before = die
            with pytest.raises(Killed):
                site.build(family.inputs(), jobs=1)
            elsewhere = tmp_path / f"{nth}" / "elsewhere"
            assert run_again(site, site.folder if nth % 2 else elsewhere, family) == expected, (
                f"killed at {calls[nth - 1]}"
            )
