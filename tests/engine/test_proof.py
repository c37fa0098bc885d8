"""A small part of ``make proof``: a set that is merged, one that is settled, the first stacked without a merge and with mergers broken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hubstack.merge.mergers import EXTENDED_STATES, MERGERS
from hubstack.reference import ImageRef

from tests.proof.album import Album
from tests.proof.breakage import broken, stacked
from tests.proof.draw import CHOSEN, Draw
from tests.proof.survey import packages_beside
from tests.proof.trial import Trial
from tests.proof.workshop import Workshop, open_workshop

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

RELEASE = "trixie"
MERGED, SETTLED = ("bus", "clocks"), ("editors", "info")
TOUCHED = 9  # mergers that the merged set needs
BROKEN = (EXTENDED_STATES, "etc/group")


@dataclass(frozen=True, kw_only=True)
class Bench:
    workshop: Workshop
    album: Album
    beside: str

    def trial(self, layers: tuple[str, ...]) -> Trial:
        draw = Draw(number=1, release=RELEASE, layers=layers)
        return Trial(workshop=self.workshop, album=self.album, beside=self.beside, draw=draw)


@pytest.fixture(scope="module")
def bench(real_registry: ImageRef, ca_bundle: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The layers by themselves stay in the registry for later sessions; chains are looked at once."""
    assert {MERGED, SETTLED} <= {*CHOSEN}
    folder = tmp_path_factory.mktemp("proof")
    prefix = real_registry.child("test").child("proof")
    with open_workshop(RELEASE, folder / RELEASE, prefix, ca_bundle) as workshop:
        workshop.build_alone([*MERGED, *SETTLED])
        with packages_beside(workshop.client, workshop.base_image()) as beside:
            yield Bench(workshop=workshop, album=Album(folder / "surveys"), beside=beside)


@pytest.mark.parametrize("layers", [MERGED, SETTLED])
def test_a_merged_image_is_what_a_build_makes(bench: Bench, layers: tuple[str, ...]) -> None:
    entry = bench.trial(layers).run()
    assert (entry.result, entry.why) == ("equal", ())
    assert entry.facts > 8000
    assert bool(entry.settled) is (layers == SETTLED)


def test_without_the_merge_each_merger_is_missed(bench: Bench) -> None:
    """Stacking is each merger replaced by "the topmost part's"; in a set where that has all, nothing is to be seen."""
    image, assembled = bench.workshop.work_out(MERGED)
    found = bench.trial(MERGED).compare(bench.workshop.push(stacked(image))).differences
    seen = [one.key.lstrip("/") for one in found if one.section == "tree"]
    needed = {p for p in MERGERS for path in assembled.written if re.fullmatch(p, path)}
    missed = {p for p in MERGERS for path in seen if re.fullmatch(p, path)}
    assert needed - missed == set()
    assert len(needed) >= TOUCHED
    assert {"packages", "marks", "users", "groups", "statoverrides"} <= {one.section for one in found}


def test_without_settling_its_absence_is_noticed(bench: Bench) -> None:
    image, _ = bench.workshop.work_out(SETTLED)
    found = bench.trial(SETTLED).compare(bench.workshop.push(image)).differences
    assert "/usr/share/info/dir" in {one.key for one in found}


@pytest.mark.parametrize("pattern", BROKEN)
def test_a_merger_broken_on_purpose_is_noticed(bench: Bench, pattern: str) -> None:
    with broken(pattern):
        image, _ = bench.workshop.work_out(MERGED)
    found = bench.trial(MERGED).compare(bench.workshop.push(image)).differences
    assert f"/{pattern}" in {one.key for one in found}
