from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hubstack import names
from hubstack.fingerprint import Identity
from hubstack.names import Names
from hubstack.pipeline import Inputs
from hubstack.plan import Action, Plan, plan_json
from hubstack.publish import FirstOf
from hubstack.record import Fact, Record
from hubstack.reference import Digest, Fingerprint, ImageRef, Layout

from tests.family import DIAMOND, Family

NAMES = Names(prefix=ImageRef.parse("registry.example/hub"), layout=Layout.NESTED)


@dataclass
class Place:
    """What is somewhere, in memory; ``asked`` keeps every tag that was asked for, and ``rounds`` how many times."""

    tags: dict[str, Digest] = field(default_factory=dict)
    known: dict[str, Record] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    rounds: int = 0

    def put(self, inputs: Inputs, *nodes: str, tested: bool = True) -> Place:
        for node in nodes or inputs.identities:
            fingerprint = inputs.fingerprint(node)
            digest = Digest(f"sha256:{fingerprint}")
            self.tags |= {names.node_tag(fingerprint): digest}
            self.tags |= {names.tested_tag(fingerprint, inputs.tests[node]): digest} if tested else {}
        return self

    def remember(self, inputs: Inputs) -> Place:
        for node, identity in inputs.identities.items():
            self.known[node] = Record(
                node=node,
                fingerprint=identity.fingerprint,
                facts=identity.facts,
                sources=inputs.rendered[node].sources,
                seconds=12.5,
                size_bytes=1,
            )
        return self

    def digests(self, tags: Sequence[str]) -> Mapping[str, Digest]:
        self.asked += tags
        self.rounds += 1
        return {tag: self.tags[tag] for tag in tags if tag in self.tags}

    def records(self, nodes: Sequence[str]) -> Mapping[str, Record]:
        return {node: self.known[node] for node in nodes if node in self.known}

    def recorded(self, fingerprints: Iterable[Fingerprint]) -> Mapping[Fingerprint, Record]:
        there = {one.fingerprint: one for one in self.known.values()}
        return {one: there[one] for one in fingerprints if one in there}


def actions(plan: Plan) -> dict[str, str]:
    return {step.node.id: str(step.action) for step in plan.steps}


def reasons(plan: Plan) -> dict[str, str]:
    return {step.node.id: step.reason for step in plan.steps if step.action is not Action.REUSE}


# --- what is asked -------------------------------------------------------------------------------------------------------


def test_when_everything_is_there_only_the_images_are_asked_for() -> None:
    inputs = DIAMOND.inputs()
    place = Place().put(inputs)
    plan = inputs.plan(place)
    assert set(actions(plan).values()) == {"reuse"}
    assert len(place.asked) == len(DIAMOND.stacks)
    assert plan.dirty() == ()
    assert {step.node.id: step.digest is not None for step in plan.steps} == {
        "debian": False,
        "lab": True,
        "r": False,
        "scipy": True,
        "both": True,
    }


def test_below_what_is_missing_it_asks_on() -> None:
    inputs = DIAMOND.inputs("all")
    plan = inputs.plan(Place().put(inputs, "debian", "lab", "scipy"))
    assert actions(plan) == {"debian": "reuse", "lab": "reuse", "r": "build", "scipy": "reuse", "both": "build"}
    digests = {step.node.id for step in plan.steps if step.digest}
    assert digests == {"lab", "scipy"}  # debian is not asked for: nobody builds on it


def test_what_is_built_and_not_tested_is_tested() -> None:
    inputs = DIAMOND.inputs("science")
    place = Place().put(inputs, "debian", "lab").put(inputs, "scipy", tested=False)
    plan = inputs.plan(place)
    assert actions(plan) == {"debian": "reuse", "lab": "reuse", "scipy": "test"}
    assert plan.by_node["scipy"].digest is not None


def test_a_changed_test_rebuilds_nothing_and_counts_for_every_image_that_people_can_choose() -> None:
    place = Place().put(DIAMOND.inputs())
    changed = replace(DIAMOND, tests={**DIAMOND.tests, "lab": ["lab works better"]})
    assert actions(changed.inputs().plan(place)) == {
        "debian": "reuse",
        "lab": "test",
        "r": "reuse",
        "scipy": "test",
        "both": "test",
    }
    assert DIAMOND.inputs().tests["r"] == changed.inputs().tests["r"]  # on lab, and nobody can choose it


def test_the_first_place_that_has_a_thing_answers_for_it() -> None:
    inputs = DIAMOND.inputs("science")
    here, there = Place().put(inputs, "scipy"), Place().put(inputs, "lab").remember(inputs)
    plan = inputs.plan(FirstOf(places=(here, there)))
    assert set(actions(plan).values()) == {"reuse"}
    assert there.asked == []
    del (
        here.tags[names.node_tag(inputs.fingerprint("scipy"))],
        here.tags[names.tested_tag(inputs.fingerprint("scipy"), inputs.tests["scipy"])],
    )
    plan = inputs.plan(FirstOf(places=(here, there)))
    assert actions(plan) == {"debian": "reuse", "lab": "reuse", "scipy": "build"}
    assert plan.by_node["scipy"].seconds == 12.5


# --- reasons -------------------------------------------------------------------------------------------------------------


def test_reasons_name_the_file_or_the_parent() -> None:
    before = DIAMOND.inputs()
    place = Place().put(before).remember(before)
    changed = replace(DIAMOND, texts={"scipy": "scipy 2"})
    assert reasons(changed.inputs().plan(place)) == {
        "scipy": "layers/scipy/Dockerfile.j2 changed",
        "both": "scipy changes",
    }


def test_reasons_without_a_record() -> None:
    inputs = DIAMOND.inputs("minimal")
    assert set(reasons(inputs.plan(Place())).values()) == {"never built"}
    graph = inputs.graph
    valued = replace(graph.nodes["lab"], values={"jupyterlab": "4.5", "extras": ("a", "b"), "debug": True})
    inputs = replace(inputs, graph=replace(graph, nodes={**graph.nodes, "lab": valued}))
    assert reasons(inputs.plan(Place()))["lab"] == "never built with jupyterlab=4.5, extras=a-b, debug=true"


def test_what_was_built_and_is_gone_says_so() -> None:
    inputs = DIAMOND.inputs("minimal")
    place = Place().remember(inputs)
    assert set(reasons(inputs.plan(place)).values()) == {"its build is no longer there"}


# --- blocked and offline ---------------------------------------------------------------------------------------------------


def test_what_stands_on_what_is_blocked_is_blocked() -> None:
    inputs = replace(DIAMOND, blocked={"scipy": "example.org/one:1 is not in hubstack.lock"}).inputs()
    plan = inputs.plan(Place())
    assert actions(plan) == {"debian": "build", "lab": "build", "r": "build", "scipy": "blocked", "both": "blocked"}
    assert reasons(plan)["scipy"] == "example.org/one:1 is not in hubstack.lock"
    assert reasons(plan)["both"] == "scipy is blocked"


def test_offline_nothing_is_known() -> None:
    plan = DIAMOND.inputs().plan(None)
    assert set(actions(plan).values()) == {"unknown"}
    assert list(actions(plan)) == ["debian", "lab", "r", "scipy", "both"]


# --- as data ---------------------------------------------------------------------------------------------------------------


def test_json_is_as_the_design_shows_it() -> None:
    inputs = DIAMOND.inputs("minimal")
    value = json.loads(json.dumps(plan_json(inputs.plan(Place().put(inputs, "debian")), NAMES)))
    fingerprint = inputs.fingerprint("lab")
    assert value == {
        "format": 1,
        "nodes": [
            {
                "id": "debian",
                "layer": "debian",
                "values": {},
                "platform": "linux/amd64",
                "fingerprint": inputs.fingerprint("debian"),
                "parents": [],
                "action": "reuse",
                "reason": "built and tested",
                "stacks": [],
            },
            {
                "id": "lab",
                "layer": "lab",
                "values": {},
                "platform": "linux/amd64",
                "fingerprint": fingerprint,
                "parents": ["debian"],
                "action": "build",
                "reason": "never built",
                "stacks": ["minimal/default"],
            },
        ],
        "images": [
            {
                "stack": "minimal",
                "variant": "default",
                "platform": "linux/amd64",
                "node": "lab",
                "ref": f"registry.example/hub/minimal:default-{fingerprint[:12]}",
            }
        ],
    }


# --- size --------------------------------------------------------------------------------------------------------------------


def tree(size: int) -> Inputs:
    """Every node has three children; the leaves are the images."""
    below = {"n0": [], **{f"n{number}": [f"n{(number - 1) // 3}"] for number in range(1, size)}}
    leaves = {f"s{number}": f"n{number}" for number in range(size) if 3 * number + 1 >= size}
    family = Family(below=below, stacks=leaves)
    graph = family.graph
    identities = {
        node: Identity(fingerprint=Fingerprint(f"{number:064x}"), facts=(Fact(kind="docker", name="", value=node),))
        for number, node in enumerate(graph.nodes)
    }
    return replace(family.inputs("s" + str(size - 1)), graph=graph, identities=identities)


@pytest.mark.slow
@pytest.mark.parametrize("state", ["nothing there", "everything there"])
def test_it_grows_with_the_graph_and_no_faster(state: str) -> None:
    def plan_s(size: int) -> float:
        inputs = tree(size)
        targets = tuple(node for node, users in inputs.graph.children.items() if not users)
        inputs = replace(
            inputs,
            selection=replace(inputs.selection, nodes=targets, images=inputs.graph.images),
            rendered=dict.fromkeys(inputs.graph.nodes, next(iter(inputs.rendered.values()))),
        )
        place = Place().put(inputs) if state == "everything there" else Place()
        assert len(inputs.tests) == size
        started = time.process_time()
        assert len(inputs.plan(place).steps) == size
        return time.process_time() - started

    plan_s(10)
    # The quickest of several: a busy machine makes single ones slower. Five times the nodes would be 25 times the work.
    small, large = (min(plan_s(size) for _ in range(5)) for size in (1000, 5000))
    assert large < 12 * small + 0.05


def test_a_chain_is_asked_for_level_by_level() -> None:
    """A cold registry costs two round trips a level; a warm one costs one in all."""
    family = Family(below={"n0": [], **{f"n{i}": [f"n{i - 1}"] for i in range(1, 30)}}, stacks={"top": "n29"})
    inputs = family.inputs()
    cold, warm = Place(), Place().put(inputs)
    inputs.plan(cold)
    inputs.plan(warm)
    assert (cold.rounds, warm.rounds) == (60, 1)
