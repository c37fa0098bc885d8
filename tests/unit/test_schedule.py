from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hubstack import schedule
from hubstack.errors import Cancelled, EngineError, HubstackError
from hubstack.fingerprint import Identity
from hubstack.model import Graph, Node
from hubstack.plan import Action, Step
from hubstack.reference import Fingerprint
from hubstack.schedule import Outcome, Result, priorities
from hypothesis import given, settings
from hypothesis import strategies as st

Below = Mapping[str, Sequence[str]]  # node → what it stands on, in build order


def make_steps(below: Below, actions: Mapping[str, Action] | None = None) -> list[Step]:
    identity = Identity(fingerprint=Fingerprint("0" * 64), facts=())
    return [
        Step(
            node=one,
            identity=identity,
            tests="",
            action=(actions or {}).get(one.id, Action.BUILD),
            reason=f"because {one.id}",
        )
        for one in make_graph(below).nodes.values()
    ]


def make_graph(below: Below) -> Graph:
    nodes = {
        name: Node(id=name, layer=name, base="", values={}, platform="linux/amd64", parents=tuple(inputs))
        for name, inputs in below.items()
    }
    return Graph(nodes=nodes, images=(), alone={})


@dataclass
class Work:
    """Notes when steps begin and end; ``fail`` and ``wait_for`` are told by node."""

    fail: Mapping[str, Exception] = field(default_factory=dict)
    wait_for: Mapping[str, threading.Event] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)
    running: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, step: Step) -> Outcome:
        node = step.node.id
        with self.lock:
            self.log.append(("begin", node))
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            if node in self.wait_for:
                assert self.wait_for[node].wait(5)
            if node in self.fail:
                raise self.fail[node]
        finally:
            with self.lock:
                self.log.append(("end", node))
                self.running -= 1
        return Outcome(node=node, result=Result.BUILT)

    def begun(self) -> list[str]:
        return [node for what, node in self.log if what == "begin"]


def run(
    below: Below,
    work: Callable[[Step], Outcome],
    actions: Mapping[str, Action] | None = None,
    *,
    jobs: int = 2,
    seconds: Mapping[str, float] | None = None,
    cancel: threading.Event | None = None,
    **more: Any,
) -> dict[str, Outcome]:
    order, steps = priorities(make_graph(below), seconds or {}), make_steps(below, actions)
    return schedule.run(steps, work, priority=order, jobs=jobs, cancel=cancel or threading.Event(), **more)


def results(outcomes: Mapping[str, Outcome]) -> dict[str, str]:
    return {node: str(outcome.result) for node, outcome in outcomes.items()}


FORK: Below = {"base": [], "left": ["base"], "right": ["base"], "top": ["left", "right"], "other": ["right"]}


# --- order ---------------------------------------------------------------------------------------------------------------


def test_priorities_are_the_longest_path_above() -> None:
    found = priorities(make_graph(FORK), {"base": 1, "left": 10, "right": 2, "top": 5, "other": 100})
    assert found == {"other": 100, "top": 5, "right": 102, "left": 15, "base": 103}
    assert priorities(make_graph({"new": []}), {}) == {"new": schedule.DEFAULT_SECONDS}


def test_the_longest_path_goes_first() -> None:
    work = Work()
    run(FORK, work, jobs=1, seconds={"base": 1, "left": 10, "right": 2, "top": 5, "other": 1})
    assert work.begun() == ["base", "left", "right", "top", "other"]
    work = Work()
    run(FORK, work, jobs=1, seconds={"base": 1, "left": 1, "right": 2, "top": 1, "other": 100})
    assert work.begun() == ["base", "right", "other", "left", "top"]


def test_a_slow_node_holds_up_nobody_but_its_own() -> None:
    """By levels, `far` would wait for `slow`."""
    released = threading.Event()
    below = {"slow": [], "quick": [], "near": ["quick"], "far": ["near"], "last": ["slow"]}

    def work(step: Step) -> Outcome:
        if step.node.id == "slow":
            assert released.wait(5)
        if step.node.id == "far":
            released.set()
        return Outcome(node=step.node.id, result=Result.BUILT)

    assert set(results(run(below, work)).values()) == {"built"}


@st.composite
def runs(draw: st.DrawFn) -> tuple[Below, dict[str, Action], set[str], int]:
    names = [f"n{number}" for number in range(draw(st.integers(1, 12)))]
    below: dict[str, list[str]] = {}
    for name in names:
        below[name] = draw(st.lists(st.sampled_from(list(below)), unique=True, max_size=3)) if below else []
    actions = {name: draw(st.sampled_from([Action.BUILD, Action.BUILD, Action.TEST, Action.REUSE])) for name in names}
    failing = set(draw(st.lists(st.sampled_from(names), unique=True, max_size=3)))
    return below, actions, failing, draw(st.integers(1, 4))


@settings(max_examples=150, deadline=None)
@given(runs())
def test_any_run(given: tuple[Below, dict[str, Action], set[str], int]) -> None:
    below, actions, failing, jobs = given
    work = Work(fail={node: EngineError(f"{node} broke") for node in failing})
    told: list[Outcome] = []
    outcomes = run(below, work, actions, jobs=jobs, on_outcome=told.append)

    assert list(outcomes) == list(below)
    assert {outcome.node: outcome for outcome in told} == outcomes
    assert len(told) == len(outcomes)
    assert work.most <= jobs
    for node, outcome in outcomes.items():
        lost = [one for one in below[node] if results(outcomes)[one] in {"failed", "skipped"}]
        if actions[node] is Action.REUSE:
            assert outcome.result is Result.REUSED
        elif actions[node] is Action.BUILD and lost:
            assert outcome.result is Result.SKIPPED
            assert node not in work.begun()
            culprit = outcome.message.removeprefix("skipped because ").removesuffix(" failed")
            assert outcomes[culprit].result is Result.FAILED
        else:
            assert outcome.result is (Result.FAILED if node in failing else Result.BUILT)
            assert work.begun().count(node) == 1
            if actions[node] is Action.BUILD:
                begin = work.log.index(("begin", node))
                assert {("end", one) for one in below[node] if one in work.begun()} <= set(work.log[:begin])


# --- what is there and what can't be ---------------------------------------------------------------------------------------


def test_what_is_there_needs_nothing_below_it() -> None:
    below = {"base": [], "there": ["base"], "proven": ["base"], "above": ["there"]}
    actions = {"there": Action.REUSE, "proven": Action.TEST}
    outcomes = run(below, Work(fail={"base": EngineError("broke")}), actions)
    assert results(outcomes) == {"base": "failed", "there": "reused", "proven": "built", "above": "built"}


def test_what_is_blocked_is_skipped_with_its_own_reason() -> None:
    work = Work()
    outcomes = run({"a": [], "b": ["a"], "c": []}, work, {"a": Action.BLOCKED, "b": Action.BLOCKED})
    assert results(outcomes) == {"a": "skipped", "b": "skipped", "c": "built"}
    assert outcomes["a"].message == "because a"
    assert work.begun() == ["c"]


# --- failures ----------------------------------------------------------------------------------------------------------------


def test_a_failure_keeps_its_error_and_its_duration() -> None:
    error = EngineError("it broke")

    def work(step: Step) -> Outcome:
        time.sleep(0.02)
        raise error

    outcome = run({"a": []}, work)["a"]
    assert (outcome.result, outcome.message, outcome.error) == (Result.FAILED, "it broke", error)
    assert outcome.seconds > 0.01


def test_a_full_disk_fails_a_node_and_not_the_run() -> None:
    outcomes = run({"a": [], "b": []}, Work(fail={"a": OSError(28, "No space left on device", "/x")}))
    assert results(outcomes) == {"a": "failed", "b": "built"}
    assert outcomes["a"].message == "a: [Errno 28] No space left on device: '/x'"


def test_a_bug_ends_the_run_and_the_others() -> None:
    cancel = threading.Event()
    work = Work(fail={"a": ZeroDivisionError()}, wait_for={"b": cancel})
    with pytest.raises(ZeroDivisionError):
        run({"a": [], "b": []}, work, cancel=cancel)
    assert ("end", "b") in work.log


# --- cancelled ---------------------------------------------------------------------------------------------------------------


@dataclass
class Hang:
    """Hangs until ``stop``, as a command in a container does; then it ends as that does when the container is gone."""

    ending: Exception
    stopped: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)

    def __call__(self, step: Step) -> Outcome:
        if step.node.id == "bad":
            assert self.begun.wait(5)
            raise EngineError("it broke")
        self.begun.set()
        assert self.stopped.wait(5)
        raise self.ending

    def stop(self) -> None:
        self.stopped.set()


@pytest.mark.parametrize("ending", [Cancelled(), HubstackError("the container is gone")])
def test_fail_fast_ends_what_runs_and_begins_nothing(ending: Exception) -> None:
    hang = Hang(ending)
    outcomes = run({"bad": [], "slow": [], "later": ["slow"]}, hang, fail_fast=True, on_cancel=hang.stop)
    assert results(outcomes) == {"bad": "failed", "slow": "cancelled", "later": "cancelled"}


def test_anybody_may_cancel() -> None:
    cancel, hang = threading.Event(), Hang(Cancelled())
    threading.Timer(0.1, cancel.set).start()
    outcomes = run({"slow": [], "later": ["slow"]}, hang, cancel=cancel, on_cancel=hang.stop)
    assert results(outcomes) == {"slow": "cancelled", "later": "cancelled"}


def test_who_begins_to_wait_after_the_first_call_is_ended_by_a_later_one() -> None:
    """A worker may have looked at ``cancel`` just before it was set."""
    cancel, hang, calls = threading.Event(), Hang(Cancelled()), []
    cancel_soon = threading.Timer(0.05, cancel.set)
    cancel_soon.start()

    def stop() -> None:
        calls.append(time.monotonic())
        if len(calls) == 2:
            hang.stop()

    assert results(run({"slow": []}, hang, cancel=cancel, on_cancel=stop)) == {"slow": "cancelled"}


def test_ctrl_c_waits_for_the_workers_to_clean_up() -> None:
    cleaned = threading.Event()
    cancel, hang = threading.Event(), Hang(Cancelled())

    def work(step: Step) -> Outcome:
        if step.node.id == "quick":
            assert hang.begun.wait(5)
            return Outcome(node="quick", result=Result.BUILT)
        try:
            return hang(step)
        finally:
            time.sleep(0.1)
            cleaned.set()

    def interrupt(outcome: Outcome) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run({"quick": [], "slow": []}, work, cancel=cancel, on_outcome=interrupt, on_cancel=hang.stop)
    assert cleaned.is_set()
    assert cancel.is_set()


def test_ctrl_c_while_a_worker_is_only_just_started_waits_for_it() -> None:
    """It comes as soon as the work has begun: the caller is still in the midst of starting it."""
    cleaned: list[str] = []

    def work(step: Step) -> Outcome:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
        cleaned.append(step.node.id)
        raise Cancelled

    for number in range(20):
        with pytest.raises(KeyboardInterrupt):
            run({f"n{number}": []}, work, cancel=threading.Event())
    assert cleaned == [f"n{number}" for number in range(20)]


def test_ctrl_c_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "END_S", 0.2)
    released = threading.Event()
    work = Work(wait_for={"deaf": released})

    def interrupt(outcome: Outcome) -> None:
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run({"quick": [], "deaf": []}, work, on_outcome=interrupt)
    assert time.monotonic() - started < 20
    released.set()


# --- size --------------------------------------------------------------------------------------------------------------------


def test_five_thousand_nodes_that_are_there_take_no_time() -> None:
    below = {"n0": [], **{f"n{number}": [f"n{(number - 1) // 2}"] for number in range(1, 5000)}}
    started = time.process_time()
    outcomes = run(below, Work(), dict.fromkeys(below, Action.REUSE))
    assert time.process_time() - started < 1
    assert len(outcomes) == 5000


def test_a_failed_base_takes_a_long_chain_with_it() -> None:
    below = {"n0": [], **{f"n{number}": [f"n{number - 1}"] for number in range(1, 5000)}}
    outcomes = run(below, Work(fail={"n0": EngineError("broke")}))
    assert outcomes["n4999"].message == "skipped because n0 failed"
