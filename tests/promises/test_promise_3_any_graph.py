"""Promise 3: a changed layer rebuilds its own nodes and their descendants, and nothing else. Over graphs of any shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hubstack.plan import Action
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.registry import FakeRegistry
from tests.family import DIAMOND, Family
from tests.site import Site
from tests.unit.test_plan import Place


@st.composite
def families(draw: st.DrawFn) -> Family:
    """Trees of parents, with copies from any node before; every node that nobody stands on is a stack's, and some more."""
    names = [f"n{number}" for number in range(draw(st.integers(1, 14)))]
    below: dict[str, list[str]] = {}
    for name in names:
        known = list(below)
        below[name] = draw(st.lists(st.sampled_from(known), unique=True, min_size=1, max_size=3)) if known else []
    used = {one for inputs in below.values() for one in inputs}
    tops = [name for name in names if name not in used or draw(st.booleans())]
    return Family(below=below, stacks={f"s{name}": name for name in tops})


def affected(family: Family, changed: set[str]) -> set[str]:
    found: set[str] = set()
    for name, inputs in family.below.items():
        if name in changed or not found.isdisjoint(inputs):
            found.add(name)
    return found


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_exactly_what_stands_on_a_change_is_built(data: st.DataObject) -> None:
    family = data.draw(families())
    changed = set(data.draw(st.lists(st.sampled_from(list(family.below)), unique=True, max_size=3)))
    before = family.inputs()
    after = replace(family, texts=dict.fromkeys(changed, "changed")).inputs()
    plan = after.plan(Place().put(before))

    expected = affected(family, changed)
    assert {step.node.id for step in plan.steps if step.action is Action.BUILD} == expected
    assert {step.node.id for step in plan.steps if step.action is Action.REUSE} == family.below.keys() - expected
    for node in family.below:
        assert (before.fingerprint(node) != after.fingerprint(node)) == (node in expected)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_new_stack_rebuilds_nothing(data: st.DataObject) -> None:
    family = data.draw(families())
    top = data.draw(st.sampled_from(list(family.below)))
    before = family.inputs()
    more = replace(family, below={**family.below, "new": [top]}, stacks={**family.stacks, "newer": "new"})
    plan = more.inputs().plan(Place().put(before))
    assert {step.node.id for step in plan.steps if step.action is Action.BUILD} == {"new"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with FakeRegistry() as fake:
        yield Site.at(tmp_path, fake)


@pytest.mark.parametrize(
    ("layer", "built"),
    [("debian", "debian lab r scipy both"), ("r", "r both"), ("scipy", "scipy both"), ("both", "both")],
)
def test_the_engine_builds_and_the_registry_gets_only_that(site: Site, layer: str, built: str) -> None:
    site.build(DIAMOND.inputs())
    site.engine.calls.clear()
    before = site.tags()
    changed = replace(DIAMOND, texts={layer: "changed"})
    assert site.build(changed.inputs(), jobs=1)
    assert sorted(site.engine.verbs("build")) == sorted(built.split())
    new = {tag for tag in site.tags().keys() - before.keys() if tag.startswith("hub/build:fp-")}
    assert new == {f"hub/build:fp-{changed.inputs().fingerprint(node)}" for node in built.split()}
