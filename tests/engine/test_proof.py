"""A small part of ``make proof``: a set that is merged and one that is settled, each beside its two chains; and with less done than that."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from hubstack.merge.mergers import EXTENDED_STATES, MERGERS
from hubstack.reference import ImageRef

from tests.proof.album import Album
from tests.proof.breakage import broken, stacked
from tests.proof.comparison import Comparison
from tests.proof.draw import Draw
from tests.proof.ledger import Entry
from tests.proof.survey import packages_beside
from tests.proof.trial import Trial
from tests.proof.workshop import open_workshop

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

RELEASE = "trixie"
MERGED, SETTLED = ("aspell", "bus", "clocks"), ("editors", "info")
TOUCHED = 9  # mergers that the merged set needs
BROKEN = (EXTENDED_STATES, "etc/group")


@dataclass(frozen=True, kw_only=True)
class Tried:
    """``less`` is of an image for which a part of merging was left out: the merge's own layer, or settling."""

    entry: Entry
    less: Comparison
    written: frozenset[str]


@pytest.fixture(scope="module")
def trials(
    session_prefix: ImageRef, ca_bundle: Path | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, ...], Trial]]:
    """A workshop for each, so that both are at work at once."""
    folder, prefix = tmp_path_factory.mktemp("proof"), session_prefix.child("proof")
    with ExitStack() as stack:
        one, other = (stack.enter_context(open_workshop(RELEASE, folder / name, prefix, ca_bundle)) for name in "ab")
        one.build_alone([*MERGED, *SETTLED])
        beside = stack.enter_context(packages_beside(one.client, one.base_image()))
        yield {
            layers: Trial(
                workshop=workshop,
                album=Album(folder / "surveys"),
                beside=beside,
                draw=Draw(number=1, release=RELEASE, layers=layers),
            )
            for layers, workshop in ((MERGED, one), (SETTLED, other))
        }


@pytest.fixture(scope="module")
def tried(trials: dict[tuple[str, ...], Trial]) -> dict[tuple[str, ...], Tried]:
    def work(layers: tuple[str, ...]) -> Tried:
        trial = trials[layers]
        image, assembled = trial.workshop.work_out(layers)
        entry = trial.run()
        less = trial.workshop.push(stacked(image) if layers == MERGED else image)
        return Tried(entry=entry, less=trial.compare(less), written=frozenset(assembled.written))

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(trials, pool.map(work, trials), strict=True))


@pytest.mark.parametrize("layers", [MERGED, SETTLED])
def test_a_merged_image_is_what_a_build_makes(tried: dict[tuple[str, ...], Tried], layers: tuple[str, ...]) -> None:
    found = tried[layers].entry
    assert (found.result, found.why) == ("equal", ())
    assert found.facts > 8000
    assert bool(found.settled) is (layers == SETTLED)


def test_without_the_merge_each_merger_is_missed(tried: dict[tuple[str, ...], Tried]) -> None:
    """Stacking is each merger replaced by "the topmost part's"; in a set where that has all, nothing is to be seen."""
    found = tried[MERGED]
    seen = [one.key.lstrip("/") for one in found.less.differences if one.section == "tree"]
    needed = {p for p in MERGERS for path in found.written if re.fullmatch(p, path)}
    missed = {p for p in MERGERS for path in seen if re.fullmatch(p, path)}
    assert needed - missed == set()
    assert len(needed) >= TOUCHED
    assert {"packages", "marks", "users", "groups", "statoverrides"} <= {one.section for one in found.less.differences}


def test_without_settling_what_packages_do_to_each_other_is_missed(tried: dict[tuple[str, ...], Tried]) -> None:
    assert "/usr/share/info/dir" in {one.key for one in tried[SETTLED].less.differences}


def test_mergers_broken_on_purpose_are_noticed(
    trials: dict[tuple[str, ...], Trial], tried: dict[tuple[str, ...], Tried]
) -> None:
    """After what is compared whole, as breaking changes what all threads share."""
    trial = trials[MERGED]
    with broken("|".join(BROKEN)):
        image, assembled = trial.workshop.work_out(MERGED)
    assert tried[MERGED].written - assembled.written.keys() == {*BROKEN}
    found = {one.key.lstrip("/") for one in trial.compare(trial.workshop.push(image)).differences}
    assert {*BROKEN} <= found
