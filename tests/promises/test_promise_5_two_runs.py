"""Promise 5: immutable tags are never overwritten with other content, whoever else is at work."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.registry import FakeRegistry
from tests.fakes.wire import Seen
from tests.family import CHAIN, DIAMOND, MERGED
from tests.site import Site

MOVABLE = ("-latest", "last-", "index-")


class Witness(FakeRegistry):
    """Remembers everything that each tag has ever named."""

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[str]] = {}

    def put_manifest(self, repository: str, tag: str, content: bytes, media_type: str) -> str:
        digest = super().put_manifest(repository, tag, content, media_type)
        if tag:
            self.history.setdefault(f"{repository}:{tag}", []).append(digest)
        return digest

    def overwritten(self) -> list[str]:
        immutable = {tag: names for tag, names in self.history.items() if not any(one in tag for one in MOVABLE)}
        return [tag for tag, names in immutable.items() if len(set(names)) > 1]


@pytest.fixture
def witness() -> Iterator[Witness]:
    with Witness() as witness:
        yield witness


@pytest.fixture
def mine(tmp_path: Path, witness: Witness) -> Site:
    return Site.at(tmp_path / "mine", witness)


@pytest.fixture
def theirs(tmp_path: Path, witness: Witness) -> Site:
    """Another machine, where the same input gives other bytes."""
    return Site.at(tmp_path / "theirs", witness, salt="another gcc")


def test_two_runs_that_both_saw_nothing(mine: Site, theirs: Site, witness: Witness) -> None:
    """Both have planned to build everything; the second finds the first one's images and proves them itself."""
    inputs = DIAMOND.inputs()
    plan = mine.plan(inputs)
    assert theirs.build(inputs)
    before = mine.tags()
    outcomes = mine.run(inputs, plan=plan)
    adopted = {str(one.digest) for one in outcomes.values()}
    assert adopted == {before[f"hub/build:fp-{inputs.fingerprint(node)}"] for node in inputs.identities}
    passed = {image for image, command in mine.engine.passed if command == "lab works"}
    assert passed >= {str(outcomes[node].digest) for node in ("lab", "scipy", "both")}  # people can choose them
    assert str(outcomes["r"].digest) not in passed
    assert mine.build(inputs)
    assert mine.tags() == before
    assert witness.overwritten() == []


def test_two_runs_that_both_merge_what_they_saw_nothing_of(mine: Site, theirs: Site, witness: Witness) -> None:
    """What was merged is of the nodes that the tags name, whoever has built them; and so is what is said of them."""
    inputs = MERGED.inputs()
    plan = mine.plan(inputs)
    assert theirs.build(inputs)
    before = mine.tags("hub/build:fp-", "fp-")
    outcomes = mine.run(inputs, plan=plan)
    assert {f"hub/build:fp-{inputs.fingerprint(node)}": str(one.digest) for node, one in outcomes.items()} == before
    assert mine.tags("fp-") == before
    assert witness.overwritten() == []
    index = next(tag for tag in mine.tags("index-") if tag.endswith(inputs.fingerprint("scipy")))
    assert witness.history[index][-1] == witness.history[index][0]  # as it was when they had pushed it


def test_two_machines_that_build_alike_merge_alike_at_the_same_time(
    mine: Site, tmp_path: Path, witness: Witness
) -> None:
    other, inputs = Site.at(tmp_path / "other", witness), MERGED.inputs()
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda site: site.run(inputs), (mine, other)))
    assert {node: one.digest for node, one in runs[0].items()} == {node: one.digest for node, one in runs[1].items()}
    assert [tag for tag in witness.overwritten() if ":info-" not in tag] == []  # a record holds how long it took


def test_who_is_overtaken_between_asking_and_putting(mine: Site, theirs: Site, witness: Witness) -> None:
    """There is no conditional PUT: a registry that keeps tags from moving closes the last gap, and its no is understood."""
    inputs = DIAMOND.inputs("minimal")
    witness.immutable_tags = True
    theirs.run(inputs, push=False)
    layout = theirs.store.layout(inputs.fingerprint("debian"))
    assert layout is not None
    quick = theirs.connect(publish=True)
    node = mine.names.node(inputs.fingerprint("debian"))

    def overtake(seen: Seen) -> None:
        if seen.method == "PUT" and seen.path.endswith(node.tag):
            witness.before = lambda _seen: None
            quick.push_image(layout, node)

    witness.before = overtake
    outcomes = mine.run(inputs)
    assert outcomes["debian"].digest == layout.manifest.digest
    assert f"{node}@{layout.manifest.digest}" in mine.engine.verbs("pull")
    assert str(outcomes["lab"].result) == "built"
    assert witness.overwritten() == []
    theirs.close()


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_number_of_runs_that_fail_and_edit(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two machines take turns, with stale plans, edits, failing tests and registries that have lost a tag."""
    folder = tmp_path_factory.mktemp("turns")
    with Witness() as witness:
        sites = [Site.at(folder / name, witness, salt=name) for name in ("one", "two")]
        for _ in range(data.draw(st.integers(2, 4))):
            site = data.draw(st.sampled_from(sites))
            family = replace(CHAIN, texts={"scipy": data.draw(st.sampled_from(["a", "b"]))})
            site.engine.codes["scipy works"] = data.draw(st.sampled_from([0, 0, 1]))
            inputs = family.inputs()
            stale = data.draw(st.sampled_from([None, *sites]))
            plan = site.plan(inputs) if stale else None
            if stale is not None:
                stale.build(inputs)
            site.run(inputs, plan=plan)
            site.build(inputs)
        assert witness.overwritten() == []
