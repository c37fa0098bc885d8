"""One node's way, and a run's: a behaving engine, a real registry client, a registry in this process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hubstack.buildx import BuildFailed
from hubstack.errors import EngineError, TestFailed
from hubstack.event import Finished, Line, Phase, Planned
from hubstack.plan import Action
from hubstack.schedule import Outcome, Result
from hubstack.source import Position

from tests.fakes.engine import Call
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


# --- a node's way --------------------------------------------------------------------------------------------------------


def test_built_tested_pushed_remembered_in_this_order(site: Site, fake: FakeRegistry) -> None:
    inputs = DIAMOND.inputs("minimal")
    site.run(inputs)
    assert [call.verb for call in site.engine.calls if call.verb in {"build", "load"}] == ["build", "load"] * 2
    asked = ["lab works", HUB_TEST, "sh /srv/hubstack/contents.sh", "jupyter lab --version"]
    assert site.engine.verbs("run") == asked
    assert order_of_tags(fake, inputs.fingerprint("lab")) == ["fp", "info", "ok"]
    phases = [event.phase for event in site.events if isinstance(event, Phase) and event.node == "lab"]
    assert phases == ["building", "testing", "pushing"]
    assert isinstance(site.events[0], Planned)
    assert [event.outcome.node for event in site.events if isinstance(event, Finished)] == ["debian", "lab"]


def test_images_stand_on_their_parents_wherever_those_are(site: Site, elsewhere: Site) -> None:
    """Just built here, here since an earlier run, or only in the registry; by digest in every case."""
    elsewhere.run(DIAMOND.inputs("minimal"))
    site.run(DIAMOND.inputs("science"))
    outcomes = site.run(DIAMOND.inputs())
    assert results(outcomes) == {
        "debian": "reused",
        "lab": "reused",
        "r": "built",
        "scipy": "reused",
        "both": "built",
    }
    assert site.says(outcomes["both"].digest) == ["debian", "lab", "scipy", "both"]
    assert site.engine.verbs("build") == ["scipy", "r", "both"]


def test_what_tests_print_is_in_the_log(site: Site) -> None:
    site.engine.outputs["lab works"] = "one\n\x1b[31mtwo\x1b[0m\n"
    site.run(DIAMOND.inputs("minimal"))
    lines = [event.text for event in site.events if isinstance(event, Line) and event.node == "lab"]
    assert lines[lines.index("$ lab works") :][:3] == ["$ lab works", "one", "two"]


def test_without_push_nothing_leaves_and_everything_is_kept(site: Site, fake: FakeRegistry) -> None:
    outcomes = site.run(DIAMOND.inputs(), push=False)
    assert set(results(outcomes).values()) == {"built"}
    assert site.writes() == []
    calls = len(site.engine.calls)
    assert set(results(site.run(DIAMOND.inputs(), push=False)).values()) == {"reused"}
    assert len(site.engine.calls) == calls


def test_pushing_later_builds_and_tests_nothing_again(site: Site, fake: FakeRegistry) -> None:
    site.engine.outputs["jupyter lab --version"] = "4.5.1\n"
    inputs = DIAMOND.inputs("minimal")
    local = site.run(inputs, push=False)
    before = list(site.engine.calls)
    pushed = site.run(inputs)
    assert [call.verb for call in site.engine.calls[len(before) :]] == ["check", "stop"]
    assert {node: one.digest for node, one in pushed.items()} == {node: one.digest for node, one in local.items()}
    assert set(results(pushed).values()) == {"reused"}
    record = site.records("lab")["lab"]
    assert record.versions == {"JupyterLab": "4.5.1"}


# --- tests ---------------------------------------------------------------------------------------------------------------


CHANGED_TEST = replace(DIAMOND, tests={**DIAMOND.tests, "lab": ["lab works better"]})


def test_a_changed_test_is_run_and_nothing_is_built(site: Site, elsewhere: Site) -> None:
    site.run(DIAMOND.inputs())
    before = site.tags("fp-")
    outcomes = site.run(CHANGED_TEST.inputs("minimal"))
    assert results(outcomes) == {"debian": "reused", "lab": "tested"}
    assert site.engine.verbs("build").count("lab") == 1
    assert "lab works better" in site.engine.verbs("run")
    outcomes = elsewhere.run(CHANGED_TEST.inputs("science"))  # where the image is only in the registry
    assert results(outcomes) == {"debian": "reused", "lab": "reused", "scipy": "tested"}
    assert elsewhere.engine.verbs("build") == []
    assert elsewhere.engine.verbs("run") == ["lab works better", "scipy works", HUB_TEST]
    assert site.tags("fp-") == before
    assert set(results(site.run(CHANGED_TEST.inputs("minimal", "science"))).values()) == {"reused"}


def test_it_is_the_registry_s_image_that_is_tested(site: Site, elsewhere: Site) -> None:
    """The one here was made of the same input, but it is not the one that people would get."""
    mine = site.run(DIAMOND.inputs("minimal"), push=False)["lab"]
    theirs = elsewhere.run(DIAMOND.inputs("minimal"))["lab"]
    site.engine.calls.clear()
    outcomes = site.run(CHANGED_TEST.inputs("minimal"))
    assert (outcomes["lab"].result, outcomes["lab"].digest) == (Result.TESTED, theirs.digest)
    assert set(site.engine.verbs("container")) == {theirs.digest} != {mine.digest}


@pytest.mark.parametrize("push", [True, False])
def test_an_image_whose_tests_fail_gets_no_name(site: Site, push: bool) -> None:  # noqa: FBT001
    site.engine.codes["scipy works"] = 3
    outcomes = site.run(DIAMOND.inputs(), push=push)
    assert results(outcomes) == {
        "debian": "built",
        "lab": "built",
        "r": "built",
        "scipy": "failed",
        "both": "skipped",
    }
    assert outcomes["both"].message == "skipped because scipy failed"
    failed = outcomes["scipy"]
    assert isinstance(failed.error, TestFailed)
    assert failed.message == "scipy: `scipy works` ended with code 3, not 0"
    assert not [tag for tag in site.tags() if DIAMOND.inputs().fingerprint("scipy") in tag]


def test_a_mended_test_builds_nothing_here(site: Site) -> None:
    site.engine.codes["scipy works"] = 3
    site.run(DIAMOND.inputs("science"))
    mended = replace(DIAMOND, tests={**DIAMOND.tests, "scipy": ["scipy works now"]})
    assert results(site.run(mended.inputs("science"))) == {"debian": "reused", "lab": "reused", "scipy": "reused"}
    assert site.engine.verbs("build").count("scipy") == 1


def test_an_image_that_a_hub_can_not_use_is_no_image(site: Site) -> None:
    site.engine.codes[HUB_TEST] = 1
    site.engine.outputs[HUB_TEST] = "no such module\njupyterhub-singleuser ended with code 1\n"
    outcomes = site.run(DIAMOND.inputs())
    assert results(outcomes)["debian"] == "built"  # nobody can choose it
    assert results(outcomes)["lab"] == "failed"
    assert outcomes["lab"].message == "lab: the hub can't use it: jupyterhub-singleuser ended with code 1"


# --- failed builds ---------------------------------------------------------------------------------------------------------


def test_a_failed_build_is_an_outcome_and_other_branches_go_on(site: Site) -> None:
    site.engine.failures["scipy"] = BUILD_FAILURE
    outcomes = site.run(DIAMOND.inputs())
    assert results(outcomes) == {"debian": "built", "lab": "built", "r": "built", "scipy": "failed", "both": "skipped"}
    error = outcomes["scipy"].error
    assert isinstance(error, BuildFailed)
    assert (error.position, error.tail) == (Position(path="layers/scipy/Dockerfile.j2", line=2), ("gcc: not found",))
    lines = [event.text for event in site.events if isinstance(event, Line) and event.node == "scipy"]
    assert "#6 0.1 gcc: not found" in lines
    assert site.store.layout(DIAMOND.inputs().fingerprint("scipy")) is None


def test_running_again_resumes_where_it_failed(site: Site) -> None:
    site.engine.failures["scipy"] = BUILD_FAILURE
    site.run(DIAMOND.inputs())
    site.engine.failures.clear()
    outcomes = site.run(DIAMOND.inputs())
    assert results(outcomes) == {"debian": "reused", "lab": "reused", "r": "reused", "scipy": "built", "both": "built"}
    assert sorted(site.engine.verbs("build")) == ["both", "debian", "lab", "r", "scipy", "scipy"]


def test_an_engine_that_leaves_nothing_behind_is_said_to(site: Site, tmp_path: Path) -> None:
    class Lying(type(site.engine)):  # type: ignore[misc]
        def build(self, *arguments: object, **more: object) -> None:
            pass

    site.engine = Lying(site.fake)
    outcomes = site.run(DIAMOND.inputs("minimal"))
    assert isinstance(outcomes["debian"].error, EngineError)
    assert "left no image behind" in outcomes["debian"].message


@pytest.mark.parametrize("how", ["build", "test"])
def test_fail_fast_ends_what_runs(site: Site, how: str) -> None:
    family = Family(
        below={"debian": [], "bad": ["debian"], "slow": ["debian"]},
        stacks={"bad": "bad", "slow": "slow"},
        tests={"slow": ["sleep forever"], "bad": ["bad works"]},
    )
    if how == "build":
        site.engine.hanging.add("slow")
    else:
        site.engine.hanging_commands.add("sleep forever")
    site.engine.codes["bad works"] = 1
    outcomes = site.run(family.inputs(), fail_fast=True)
    assert results(outcomes) == {"debian": "built", "bad": "failed", "slow": "cancelled"}
    assert site.engine.alive == []


# --- other runs ------------------------------------------------------------------------------------------------------------


def test_who_was_first_wins_and_is_tested(site: Site, elsewhere: Site) -> None:
    inputs = DIAMOND.inputs()
    plan = site.plan(inputs)
    first = elsewhere.run(inputs)
    before = site.tags()
    mine = site.run(inputs, plan=plan)
    assert {step.action for step in plan.steps} == {Action.BUILD}
    assert {node: one.digest for node, one in mine.items()} == {node: one.digest for node, one in first.items()}
    assert site.tags() == before
    pulled = [name.partition("@")[2] for name in site.engine.verbs("pull")]
    assert sorted(pulled) == sorted(str(one.digest) for one in first.values())
    tested = [call.about for call in site.engine.calls if call.verb == "container"]
    assert {first[node].digest for node in ("lab", "scipy", "both")} <= set(tested)
    assert not any(site.store.layout(inputs.fingerprint(node)) for node in mine)  # what is in force is not here
    assert site.says(mine["both"].digest) == ["debian", "lab", "scipy", "both"]


@pytest.mark.parametrize("adopted", [False, True])
def test_runs_that_push_at_once_all_go_on_with_one(
    site: Site,
    elsewhere: Site,
    fake: FakeRegistry,
    adopted: bool,  # noqa: FBT001
    tmp_path: Path,
) -> None:
    """Each has seen no tag. Theirs comes after ours, or after a third one's that we have found, while we wait."""
    inputs = DIAMOND.inputs()
    plan, third = site.plan(inputs), Site.at(tmp_path / "third", fake, salt="a third gcc").run(inputs)
    tags = fake.repository("hub/build").tags
    found = dict(tags)
    tags.clear()
    theirs = elsewhere.run(inputs)
    there = dict(tags)
    tags.clear()
    tags |= {tag: digest for tag, digest in found.items() if adopted and tag.startswith("fp-")}

    def overwrite(_seconds: float) -> None:
        tags.update({tag: there[tag] for tag in tags if tag.startswith("fp-")})

    site.sleep = overwrite
    mine = site.run(inputs, plan=plan)
    assert third["both"].digest != theirs["both"].digest
    assert {node: one.digest for node, one in mine.items()} == {node: one.digest for node, one in theirs.items()}
    assert site.says(mine["both"].digest) == ["debian", "lab", "scipy", "both"]


def test_an_adopted_image_that_fails_its_tests_is_not_marked(site: Site, elsewhere: Site, fake: FakeRegistry) -> None:
    inputs = DIAMOND.inputs("minimal")
    plan = site.plan(inputs)
    elsewhere.engine.codes["lab works"] = 1
    elsewhere.run(inputs)
    foreign = elsewhere.store.layout(inputs.fingerprint("lab"))
    assert foreign is not None
    registry = elsewhere.connect(publish=True)
    registry.push_image(foreign, site.names.node(inputs.fingerprint("lab")))  # a tag that says too much

    def fail_in_that_image(call: Call) -> None:
        if call.verb == "container":
            site.engine.codes["lab works"] = int(call.about == foreign.manifest.digest)

    site.engine.before = fail_in_that_image
    outcomes = site.run(inputs, plan=plan)
    assert results(outcomes) == {"debian": "built", "lab": "failed"}
    assert site.tags("ok-").keys() == {f"hub/build:ok-{inputs.fingerprint('debian')}-{inputs.tests['debian']}"}
    elsewhere.close()


def test_nodes_that_are_one_image_are_built_once(site: Site) -> None:
    """They differ in a value that nothing reads."""
    family = Family(
        below={"debian": [], "one": ["debian"], "two": ["debian"]},
        stacks={"one": "one", "two": "two"},
        texts={"one": "same", "two": "same"},
    )
    inputs = family.inputs()
    assert inputs.fingerprint("one") == inputs.fingerprint("two")
    outcomes = site.run(inputs)
    assert sorted(results(outcomes).values()) == ["built", "built", "reused"]
    assert len(site.engine.verbs("build")) == 2
    assert order_of_tags(site.fake, inputs.fingerprint("one")) == ["fp", "info", "ok"]
    assert outcomes["one"].digest == outcomes["two"].digest


# --- what is remembered ----------------------------------------------------------------------------------------------------


def test_the_first_record_of_an_image_stays_and_its_node_s_moves(site: Site, fake: FakeRegistry) -> None:
    site.run(DIAMOND.inputs("minimal"))
    info, last = site.tags("info-"), site.tags("last-")
    assert set(info.values()) == set(last.values())
    changed = replace(DIAMOND, texts={"lab": "lab 2"})
    site.run(changed.inputs("minimal"))
    assert info.items() <= site.tags("info-").items()
    assert site.tags("last-")["hub/build:last-debian"] == last["hub/build:last-debian"]
    assert site.tags("last-")["hub/build:last-lab"] != last["hub/build:last-lab"]


def test_a_record_says_which_image_was_there_before(site: Site, elsewhere: Site) -> None:
    """Of those that people can choose; the same whoever builds it, and however often."""
    first, second = (replace(DIAMOND, texts={"lab": text}).inputs("minimal") for text in ("lab 1", "lab 2"))
    site.engine.outputs["sh /srv/hubstack/contents.sh"] = elsewhere.engine.outputs["sh /srv/hubstack/contents.sh"] = (
        "=python\na\t1\n"
    )
    site.run(first)
    assert site.records("lab")["lab"].previous == ""
    site.run(second)
    told = site.records("lab")["lab"]
    assert (told.fingerprint, told.previous) == (second.fingerprint("lab"), first.fingerprint("lab"))
    tags = site.fake.repository("hub/build").tags
    del tags[f"info-{told.fingerprint}"], tags[f"ok-{told.fingerprint}-{second.tests['lab']}"]
    elsewhere.run(second)
    assert site.records("lab")["lab"].previous == told.previous
    assert site.records("debian")["debian"].previous == ""


def test_a_record_that_a_killed_run_has_not_written_is_written_by_the_next(site: Site, elsewhere: Site) -> None:
    inputs = DIAMOND.inputs("minimal")
    site.run(inputs)
    lost = f"info-{inputs.fingerprint('lab')}"
    tags = site.fake.repository("hub/build").tags
    del tags[lost], tags[f"ok-{inputs.fingerprint('lab')}-{inputs.tests['lab']}"]
    assert results(elsewhere.run(inputs))["lab"] == "tested"
    assert lost in tags


def test_a_registry_whose_tags_never_move_has_no_newest_record(site: Site, fake: FakeRegistry) -> None:
    fake.immutable_tags = True
    site.run(DIAMOND.inputs("minimal"))
    last = site.tags("last-")
    changed = replace(DIAMOND, texts={"lab": "lab 2"}).inputs("minimal")
    assert results(site.run(changed)) == {"debian": "reused", "lab": "built"}
    assert site.tags("last-") == last
    assert f"hub/build:info-{changed.fingerprint('lab')}" in site.tags("info-")
