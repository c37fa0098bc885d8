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

SETS = CHOSEN[:3]
TOUCHED = 13  # mergers that these sets need


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


@pytest.mark.parametrize("layers", SETS)
def test_without_the_merge_every_database_is_seen_to_be_wrong(
    tried: dict[tuple[str, ...], Tried], layers: tuple[str, ...]
) -> None:
    """Stacking is each merger replaced by "the topmost part's"."""
    seen = {(one.section, one.key) for one in tried[layers].naive.differences}
    written = {path for path in tried[layers].composed.assembled.written if any(re.fullmatch(p, path) for p in MERGERS)}
    assert {path for path in written if ("tree", f"/{path}") not in seen} == set()
    assert {"packages", "marks"} <= {section for section, _ in seen}


def test_the_sets_need_many_of_the_mergers(tried: dict[tuple[str, ...], Tried]) -> None:
    written = {path for one in tried.values() for path in one.composed.assembled.written}
    needed = [pattern for pattern in MERGERS if any(re.fullmatch(pattern, path) for path in written)]
    assert len(needed) >= TOUCHED
