"""`hubstack simulate`: real scheduling, a clock that jumps."""

from __future__ import annotations

import json
import resource
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median

import click
import pytest
import yaml
from hubstack import schedule
from hubstack.ci.chart import SIZES, render_chart
from hubstack.ci.simulate import ARGO_NODE_BYTES, POOL_JOBS, Clock, Costs, Simulated, simulate, simulated_json
from hubstack.ci.synthetic import actual_seconds, make_step, make_up, records
from hubstack.ci.wave import MOST_JOBS
from hubstack.cli.build import command as build
from hubstack.errors import EngineError
from hubstack.export.argo import Cluster, render_workflow
from hubstack.plan import Step
from hubstack.schedule import Outcome, Result

from tests.commandline import run

pytestmark = pytest.mark.long

DOCS = Path(__file__).parents[2] / "docs"
FREE = Costs(startup_s=0.0, pull_s=0.0, pod_s=0.0)


def play(below: Mapping[str, tuple[str, ...]], seconds: Mapping[str, float], jobs: int) -> tuple[float, list[str]]:
    """How long it takes and what ended when, in the order in which it ended."""
    steps = [make_step(name, name, inputs) for name, inputs in below.items()]
    clock, ended = Clock(), []
    schedule.run(
        steps,
        lambda step: Outcome(node=step.node.id, result=Result.BUILT, seconds=seconds[step.node.id]),
        priority=seconds,
        jobs=jobs,
        cancel=threading.Event(),
        on_outcome=lambda outcome: ended.append(f"{outcome.node}@{clock.now_s:g}"),
        crew=clock,
    )
    return clock.now_s, ended


# --- the clock ---------------------------------------------------------------------------------------------------------


def test_no_time_passes_while_the_clock_jumps() -> None:
    started = time.monotonic()
    assert play({"a": (), "b": ("a",), "c": ("a",)}, {"a": 1000, "b": 2000, "c": 500}, 2) == (
        3000,
        ["a@1000", "c@1500", "b@3000"],
    )
    assert time.monotonic() - started < 10


def test_the_real_scheduler_decides_who_is_next() -> None:
    below: dict[str, tuple[str, ...]] = {"short": (), "long": (), "middle": ()}
    assert play(below, {"short": 1, "long": 3, "middle": 2}, 1)[1] == ["long@3", "middle@5", "short@6"]


def test_what_fails_on_the_clock_fails_as_ever() -> None:
    def work(step: Step) -> Outcome:
        raise EngineError("out of order")

    steps = [make_step("a", "a", ()), make_step("b", "b", ("a",))]
    outcomes = schedule.run(steps, work, priority={"a": 1, "b": 1}, jobs=1, cancel=threading.Event(), crew=Clock())
    assert [outcome.result for outcome in outcomes.values()] == [Result.FAILED, Result.SKIPPED]


# --- made-up trees -----------------------------------------------------------------------------------------------------


def test_durations_are_those_of_real_builds() -> None:
    assert len(records()) == 55
    assert {layer for layer, _ in records()} > {"debian", "python", "jupyterlab", "latex"}
    assert {(step.node.layer, step.seconds) for step in make_up(2000, 1).steps} <= set(records())


def test_the_same_seed_gives_the_same_tree() -> None:
    assert make_up(300, 1) == make_up(300, 1) != make_up(300, 2)


def test_nodes_stand_on_nodes_before_them() -> None:
    seen: set[str] = set()
    steps = make_up(3000, 3).steps
    for step in steps:
        assert seen.issuperset(step.node.inputs)
        assert bool(step.node.parents) == bool(seen)
        seen.add(step.node.id)
    assert len(seen) == 3000
    assert 10 < sum(bool(step.node.copies) for step in steps) < 150


def test_records_are_as_wrong_as_is_asked_for() -> None:
    plan = make_up(2000, 1)
    exact, wrong = (actual_seconds(plan, error, 1) for error in (0.0, 0.2))
    assert exact == {step.node.id: step.seconds for step in plan.steps}
    off = [abs(wrong[node] / seconds - 1) for node, seconds in exact.items()]
    assert 0.05 < median(off) < 0.2


# --- engines -----------------------------------------------------------------------------------------------------------


def by_engine(nodes: int, runners: int = 20, **more: float) -> dict[str, Simulated]:
    costs = FREE if more.get("free") else Costs()
    rows = simulate(nodes, runners=runners, seed=1, waves=4, error=more.get("error", 0.2), costs=costs)
    return {row.engine: row for row in rows}


@pytest.mark.parametrize("nodes", [1, 5, 100, 3000])
def test_nothing_is_quicker_than_is_possible(nodes: int) -> None:
    rows = by_engine(nodes)
    assert [*rows] == ["github", "pool", "argo"]
    for row in rows.values():
        assert row.nodes == nodes
        assert row.makespan_s >= row.bound_s - 1e-6
        assert not row.ends


def test_longest_path_first_comes_near_the_bound() -> None:
    for nodes in (300, 3000):
        row = by_engine(nodes)["pool"]
        assert row.makespan_s < 1.1 * row.bound_s


def test_greedy_work_is_at_most_twice_the_bound() -> None:
    """Graham, Bounds on Multiprocessing Timing Anomalies (1969): whatever the order."""
    for runners in (2, 20, 200):
        rows = by_engine(500, runners)
        assert all(rows[engine].makespan_s <= 2 * rows[engine].bound_s for engine in ("pool", "argo"))


def test_costs_count() -> None:
    free, dear = by_engine(500, free=True), by_engine(500)
    assert free["pool"].makespan_s < dear["pool"].makespan_s < dear["argo"].makespan_s
    assert free["github"].makespan_s < dear["github"].makespan_s


@pytest.mark.parametrize(("cost", "slower"), [("pull_s", "pool argo"), ("pod_s", "argo"), ("startup_s", "github")])
def test_each_cost_is_somebody_s(cost: str, slower: str) -> None:
    free = by_engine(300, free=True)
    rows = simulate(300, runners=20, seed=1, waves=4, error=0.2, costs=replace(FREE, **{cost: 100.0}))
    assert [row.engine for row in rows if row.makespan_s > free[row.engine].makespan_s] == [
        engine for engine in free if engine in slower.split()
    ]


def test_one_machine_does_all_the_work_itself() -> None:
    row = by_engine(50, runners=1, free=True, error=0.0)["github"]
    assert row.makespan_s == pytest.approx(sum(step.seconds or 0 for step in make_up(50, 1).steps))


def test_wrong_records_make_waves_longer_and_the_pool_hardly() -> None:
    right, wrong = (by_engine(1000, error=error) for error in (0.0, 0.6))
    loss = {
        engine: wrong[engine].makespan_s / wrong[engine].bound_s - right[engine].makespan_s / right[engine].bound_s
        for engine in ("github", "pool")
    }
    assert loss["github"] > loss["pool"]


@pytest.mark.slow
def test_a_hundred_thousand_nodes_take_less_than_two_minutes(golden: Callable[[Path, str], None]) -> None:
    """All of docs/scale.svg, in fact."""
    started = time.process_time()
    rows = [row for nodes in SIZES for row in by_engine(nodes, 64).values()]
    assert time.process_time() - started < 100
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1_500_000  # kB; with all that other tests have left
    github, pool, argo = rows[-3:]
    assert github.nodes == 100_000
    assert github.ends.startswith("the names of 100000 nodes are 2.")
    assert github.jobs <= 4 * MOST_JOBS
    assert argo.ends == "a Workflow of 26.5 MB; etcd takes 1.5 MB"
    assert pool.makespan_s < 1.05 * pool.bound_s
    golden(DOCS / "scale.svg", render_chart(rows))


def test_the_pool_ends_where_the_command_does() -> None:
    (jobs,) = (param for param in build.params if param.name == "jobs")
    assert isinstance(jobs.type, click.IntRange)
    assert jobs.type.max == POOL_JOBS


def test_a_node_of_argo_is_as_large_as_is_said() -> None:
    small, large = (len(json.dumps(yaml.safe_load(workflow(nodes)), separators=(",", ":"))) for nodes in (100, 400))
    assert (large - small) / 300 == pytest.approx(ARGO_NODE_BYTES, rel=0.2)


def workflow(nodes: int) -> str:
    cluster = Cluster(image="ghcr.io/example/hubstack:1", registry="ghcr.io/example")
    return render_workflow(make_up(nodes, 1), (), cluster, everything=True, template=False)


# --- the command and the picture ---------------------------------------------------------------------------------------


def test_the_command_prints_a_table(tmp_path: Path) -> None:
    done = run("simulate", "--nodes", "30", "--nodes", "100", folder=tmp_path)
    assert done.code == 0
    head, *rows = done.out.splitlines()
    assert head.split() == ["NODES", "RUNNERS", "ENGINE", "MAKESPAN", "AT", "LEAST", "RATIO", "JOBS", "WAVES"]
    assert [row.split()[:3] for row in rows] == [
        [nodes, "20", engine] for nodes in ("30", "100") for engine in ("github", "pool", "argo")
    ]


def test_json_is_what_was_simulated(tmp_path: Path) -> None:
    done = run("simulate", "--nodes", "30", "--runners", "3", "--json", folder=tmp_path)
    rows = simulate(30, runners=3, seed=1, waves=4, error=0.2, costs=Costs())
    assert done.json == [simulated_json(row) for row in rows]


@pytest.mark.parametrize(
    "option",
    ["--seed 2", "--waves 1", "--startup 600", "--pod 90", "--pull 90", "--error 0.5", "--runners 2"],
)
def test_every_option_changes_something(option: str, tmp_path: Path) -> None:
    plain, other = (
        run("simulate", "--nodes", "200", "--json", *words, folder=tmp_path).json for words in ((), option.split())
    )
    assert plain != other


def test_where_an_engine_ends_is_said(tmp_path: Path) -> None:
    done = run("simulate", "--nodes", "10", "--runners", "65", folder=tmp_path)
    assert "beyond its limits: one `hubstack build` has 64 nodes" in done.out


def test_a_picture_of_every_point() -> None:
    rows = [row for nodes in (10, 100, 1000) for row in by_engine(nodes).values()]
    svg = ET.fromstring(render_chart(rows))
    space = "{http://www.w3.org/2000/svg}"
    assert len(list(svg.iter(f"{space}circle"))) == 2 * len(rows)  # two panels
    assert len(list(svg.iter(f"{space}polyline"))) == 2 * 3 + 1
    said = svg.findtext(f"{space}desc") or ""
    assert "BuildKit pool, 1000 nodes" in said
    for circle in svg.iter(f"{space}circle"):
        assert 0 <= float(circle.attrib["cx"]) <= 380
        assert 0 <= float(circle.attrib["cy"]) <= 270


def test_higher_is_slower() -> None:
    rows = list(by_engine(100).values()) + list(by_engine(3000).values())
    svg = ET.fromstring(render_chart(rows))
    circles = [one for one in svg.iter("{http://www.w3.org/2000/svg}circle") if "pool" in one.attrib["class"]]
    small, large = circles[:2]
    assert float(large.attrib["cy"]) < float(small.attrib["cy"])
    assert float(large.attrib["cx"]) > float(small.attrib["cx"])


def test_one_size_is_a_picture_too(tmp_path: Path) -> None:
    done = run("simulate", "--nodes", "10", "--format", "svg", folder=tmp_path)
    assert ET.fromstring(done.out).tag.endswith("svg")
