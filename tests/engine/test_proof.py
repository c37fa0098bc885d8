"""A small part of ``make proof``: three sets whose parts write most of the databases, merged and built, and stacked without a merge."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hubstack.merge.compose import Composed
from hubstack.merge.mergers import MERGERS
from hubstack.reference import ImageRef

from tests.proof.album import Album
from tests.proof.breakage import stacked
from tests.proof.comparison import Comparison
from tests.proof.draw import CHOSEN, Draw
from tests.proof.survey import packages_beside
from tests.proof.trial import Trial
from tests.proof.workshop import open_workshop

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

SETS = tuple(one for one in CHOSEN if one in {("bus", "clocks"), ("guests", "tutors"), ("aspell", "processes")})
TOUCHED = 12  # mergers that these sets need


@dataclass(frozen=True, kw_only=True)
class Tried:
    composed: Composed
    merged: Comparison
    naive: Comparison


@pytest.fixture(scope="module")
def tried(
    real_registry: ImageRef, ca_bundle: Path | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, ...], Tried]]:
    """What each set came to. The layers by themselves stay in the registry for later sessions."""
    folder = tmp_path_factory.mktemp("proof")
    prefix = real_registry.child("test").child("proof")
    with open_workshop("trixie", folder / "trixie", prefix, ca_bundle) as workshop:
        workshop.build_alone([layer for layers in SETS for layer in layers])
        found: dict[tuple[str, ...], Tried] = {}
        with packages_beside(workshop.client, workshop.base_image()) as beside:
            for layers in SETS:
                draw = Draw(number=1, release="trixie", layers=layers)
                trial = Trial(workshop=workshop, album=Album(folder / "surveys"), beside=beside, draw=draw)
                composed = workshop.merge(layers)
                naive = trial.compare(stacked(composed))
                found[layers] = Tried(composed=composed, merged=trial.compare(composed), naive=naive)
        yield found


@pytest.mark.parametrize("layers", SETS)
def test_a_merged_image_is_what_a_build_makes(tried: dict[tuple[str, ...], Tried], layers: tuple[str, ...]) -> None:
    found = tried[layers].merged
    assert found.differences == ()
    assert found.whole
    assert found.facts > 8000


def test_without_the_merge_each_merger_is_missed(tried: dict[tuple[str, ...], Tried]) -> None:
    """Stacking is each merger replaced by "the topmost part's"; in a set where that has all, nothing is to be seen."""
    needed, missed = set[str](), set[str]()
    for one in tried.values():
        needed |= {p for p in MERGERS for path in one.composed.assembled.written if re.fullmatch(p, path)}
        seen = [difference.key.lstrip("/") for difference in one.naive.differences if difference.section == "tree"]
        missed |= {p for p in MERGERS for path in seen if re.fullmatch(p, path)}
    assert needed - missed == set()
    assert len(needed) >= TOUCHED


def test_without_the_merge_packages_are_lost(tried: dict[tuple[str, ...], Tried]) -> None:
    sections = {one.section for one in tried["bus", "clocks"].naive.differences}
    assert {"packages", "marks", "users", "groups", "statoverrides"} <= sections
