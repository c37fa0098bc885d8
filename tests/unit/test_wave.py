"""Waves of jobs: what holds for any work, and what they look like for work that people know."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

import pytest
from hubstack.ci.estimate import Task, Work, bound_s, makespan_s, work_of
from hubstack.ci.synthetic import make_up
from hubstack.ci.wave import JOB_S, MOST_JOBS, Machines, Waves, make_waves
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.long

CALMLY = settings(deadline=None, max_examples=50)  # the machine may be busy
AMD, ARM = "linux/amd64", "linux/arm64"


def work_like(below: Mapping[str, Sequence[str]], seconds: float | Mapping[str, float] = 100.0) -> Work:
    """``below`` in build order; names that end in ``@arm`` are of that platform."""
    return Work(
        tasks=tuple(
            Task(
                node=name,
                layer=name,
                platform=ARM if name.endswith("@arm") else AMD,
                inputs=tuple(inputs),
                seconds=seconds if isinstance(seconds, float) else seconds[name],
            )
            for name, inputs in below.items()
        )
    )


def shape(waves: Waves) -> tuple[str, list[list[str]]]:
    """``a b`` for what is done here, and for each job of each wave."""
    return (
        " ".join(task.node for task in waves.here),
        [sorted(" ".join(task.node for task in job.tasks) for job in jobs) for jobs in waves.waves],
    )


def machines(runners: int = 20, startup_s: float = 60.0, waves: int = 4) -> Machines:
    return Machines(runners=runners, startup_s=startup_s, waves=waves)


# --- of any work -------------------------------------------------------------------------------------------------------


@st.composite
def any_work(draw: st.DrawFn) -> Work:
    """Up to 25 tasks on one or two platforms; each needs up to three before it."""
    platforms = draw(st.sampled_from([[AMD], [ARM], [AMD, ARM]]))
    tasks: list[Task] = []
    for number in range(draw(st.integers(0, 25))):
        platform = draw(st.sampled_from(platforms))
        lower = [task.node for task in tasks if task.platform == platform]
        inputs = draw(st.lists(st.sampled_from(lower), unique=True, max_size=3)) if lower else []
        seconds = draw(st.sampled_from([0.0, 1.0, 30.0, 90.5, 600.0, 9000.0]))
        tasks.append(Task(node=f"n{number}", layer="l", platform=platform, inputs=tuple(inputs), seconds=seconds))
    return Work(tasks=tuple(tasks))


any_machines = st.builds(
    Machines,
    runners=st.sampled_from([1, 2, 5, 20, 1000]),
    startup_s=st.sampled_from([0.0, 1.0, 60.0, 600.0]),
    waves=st.integers(1, 6),
)


@CALMLY
@given(any_work(), any_machines)
def test_every_task_is_in_exactly_one_job(work: Work, asked: Machines) -> None:
    waves = make_waves(work, asked)
    dealt = [task for jobs in waves.waves for job in jobs for task in job.tasks]
    assert sorted(task.node for task in (*waves.here, *dealt)) == sorted(task.node for task in work.tasks)


@CALMLY
@given(any_work(), any_machines)
def test_what_a_task_needs_is_in_an_earlier_wave_or_earlier_in_its_job(work: Work, asked: Machines) -> None:
    waves = make_waves(work, asked)
    done: set[str] = set()
    for jobs in [[waves.here], *([job.tasks for job in jobs] for jobs in waves.waves)]:
        for tasks in jobs:
            own = set(done)
            for task in tasks:
                assert own.issuperset(task.inputs)
                own.add(task.node)
        done |= {task.node for tasks in jobs for task in tasks}


@CALMLY
@given(any_work(), any_machines)
def test_limits_are_kept(work: Work, asked: Machines) -> None:
    waves = make_waves(work, asked)
    assert len(waves.waves) <= asked.waves
    assert {task.platform for task in waves.here} <= {AMD}
    for jobs in waves.waves:
        assert 1 <= len(jobs) <= MOST_JOBS
        for job in jobs:
            assert {task.platform for task in job.tasks} == {job.platform}


@CALMLY
@given(any_work(), any_machines)
def test_a_chain_stays_together(work: Work, asked: Machines) -> None:
    waves = make_waves(work, asked)
    places = [waves.here, *(job.tasks for jobs in waves.waves for job in jobs)]
    place = {task.node: number for number, tasks in enumerate(places) for task in tasks}
    for task in work.tasks:
        if len(task.inputs) == 1 and sum(task.inputs[0] in other.inputs for other in work.tasks) == 1:
            assert place[task.node] == place[task.inputs[0]]


@CALMLY
@given(any_work(), any_machines)
def test_the_estimate_is_what_such_jobs_take(work: Work, asked: Machines) -> None:
    """Played through here once more; and neither quicker than is possible, nor slower than one machine alone."""
    waves = make_waves(work, asked)
    now = sum(task.seconds for task in waves.here)
    for jobs in waves.waves:
        free = [now] * asked.runners
        for job in jobs:
            first = min(range(len(free)), key=free.__getitem__)
            free[first] += asked.startup_s + sum(task.seconds for task in job.tasks)
        now = max(free)
    assert waves.makespan_s == pytest.approx(now)
    alone = {task.platform for task in work.tasks} == {AMD}
    least = bound_s(work, runners=asked.runners, startup_s=asked.startup_s, here=alone)
    assert least <= waves.makespan_s + 1e-6
    if work.seconds <= JOB_S:  # one machine a platform could do it all
        assert waves.makespan_s <= work.seconds + 3 * asked.startup_s + 1e-6


@CALMLY
@given(any_work(), any_machines)
def test_the_same_work_gives_the_same_jobs(work: Work, asked: Machines) -> None:
    assert make_waves(work, asked) == make_waves(work, asked)


def test_no_hash_seed_changes_anything() -> None:
    code = (
        "from hubstack.ci.wave import *; from hubstack.ci.estimate import *; from hubstack.ci.synthetic import *; "
        "print(make_waves(work_of(make_up(300, 1)), Machines(runners=20, startup_s=60.0, waves=4)))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


# --- of work that people know ------------------------------------------------------------------------------------------


def test_nothing_is_no_job() -> None:
    assert make_waves(Work(tasks=()), machines()) == Waves(here=(), waves=(), makespan_s=0.0)


def test_little_work_is_done_by_the_planner() -> None:
    work = work_like({"a": [], "b": [], "c": ["a"]}, 10.0)
    assert shape(make_waves(work, machines())) == ("a b c", [])
    assert make_waves(work, machines()).makespan_s == 30.0


def test_a_chain_is_done_by_the_planner_however_long_it_takes() -> None:
    work = work_like({"a": [], "b": ["a"], "c": ["b"]}, 1000.0)
    assert shape(make_waves(work, machines())) == ("a b c", [])


def test_the_planner_can_not_build_for_another_platform() -> None:
    work = work_like({"a@arm": [], "b@arm": ["a@arm"]}, 1.0)
    assert shape(make_waves(work, machines())) == ("", [["a@arm b@arm"]])


def test_leaves_get_machines_and_the_trunk_stays_here() -> None:
    work = work_like({"trunk": [], **{leaf: ["trunk"] for leaf in "abc"}})
    waves = make_waves(work, machines())
    assert shape(waves) == ("trunk", [["a", "b", "c"]])
    assert waves.makespan_s == 100 + 60 + 100


def test_two_machines_share_leaves_evenly() -> None:
    work = work_like({"trunk": [], **{leaf: ["trunk"] for leaf in "abcdef"}})
    here, (jobs,) = shape(make_waves(work, machines(runners=2)))
    assert here == "trunk"
    assert [len(job.split()) for job in jobs] == [3, 3]


def test_what_needs_two_branches_comes_after_both() -> None:
    below = {"a": [], "a1": ["a"], "b": [], "b1": ["b"], "both": ["a1", "b1"], "ab": ["a1"], "ba": ["b1"]}
    here, jobs = shape(make_waves(work_like(below, 2000.0), machines()))
    assert (here, jobs[-1]) == ("", ["ab", "ba", "both"])
    assert jobs[:-1] == [["a a1", "b b1"]]


def test_many_small_ones_do_not_get_a_machine_each() -> None:
    work = work_like({f"n{number:02}": [] for number in range(40)}, 5.0)
    waves = make_waves(work, machines(startup_s=30.0))
    assert waves.jobs <= 14


def test_a_start_that_takes_long_is_worth_fewer_machines() -> None:
    work = work_like({f"n{number:02}": [] for number in range(40)}, 60.0)
    quick, slow = (make_waves(work, machines(startup_s=startup_s)).jobs for startup_s in (1.0, 900.0))
    assert slow < quick == 20


def test_a_tree_deeper_than_the_waves_fits() -> None:
    """Each node has two on top of it, and one of those again."""
    below: dict[str, list[str]] = {"n0": []}
    for level in range(1, 40):
        below[f"n{level}"] = [f"n{level - 1}"]
        below[f"leaf{level}"] = [f"n{level - 1}"]
    for waves in (1, 2, 4):
        assert len(make_waves(work_like(below, 600.0), machines(waves=waves)).waves) <= waves


def test_no_job_is_longer_than_github_lets_it_run_where_it_can_be_cut() -> None:
    work = work_like({f"n{number:03}": [] for number in range(300)}, 1800.0)  # 150 hours, for four runners
    waves = make_waves(work, machines(runners=4))
    assert max(job.seconds for jobs in waves.waves for job in jobs) <= JOB_S
    assert waves.jobs >= 29


def test_no_matrix_has_more_than_256_jobs() -> None:
    work = work_like({f"n{number:04}": [] for number in range(2 * MOST_JOBS)}, 600.0)
    (jobs,) = make_waves(work, machines(runners=1000)).waves
    assert len(jobs) == MOST_JOBS == 256


def test_nor_where_work_would_take_more_jobs_than_that() -> None:
    work = work_like({f"n{number:04}": [] for number in range(2000)}, 3600.0)  # 400 jobs of five hours
    assert max(len(jobs) for jobs in make_waves(work, machines()).waves) <= MOST_JOBS


def test_a_job_that_would_be_cut_off_is_worse_than_a_long_run() -> None:
    """22 hours at least, on five machines."""
    assert make_waves(work_of(make_up(3000, 1)), machines(runners=5)).longest_s <= JOB_S


# --- bounds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runners", "here", "expected"),
    [(100, True, 60 + 300), (2, True, 60 + 450), (100, False, 60 + 300), (1, True, 900), (1, False, 960)],
)
def test_the_bound_is_the_longest_path_or_the_work_divided_and_one_start(
    runners: int,
    here: bool,  # noqa: FBT001 - a parameter of the cases
    expected: float,
) -> None:
    work = work_like({"a": [], "b": ["a"], "c": ["b"], **{f"l{number}": ["a"] for number in range(6)}})
    assert bound_s(work, runners=runners, startup_s=60, here=here) == expected


def test_nothing_takes_no_time() -> None:
    assert bound_s(Work(tasks=()), runners=1, startup_s=60, here=False) == 0


@pytest.mark.parametrize(("jobs", "expected"), [([], 0), ([5], 5), ([5, 4, 3], 7), ([1, 1, 1, 1, 9], 11)])
def test_jobs_begin_in_order_when_a_runner_is_free(jobs: list[float], expected: float) -> None:
    assert makespan_s(jobs, 2) == expected


# --- size --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runners", [20, 256])
def test_thousands_of_nodes_come_near_the_bound_in_a_moment(runners: int) -> None:
    work = work_of(make_up(3000, 1))
    started = time.process_time()
    waves = make_waves(work, machines(runners=runners))
    assert time.process_time() - started < 20
    least = bound_s(work, runners=runners, startup_s=60, here=True)
    assert waves.makespan_s < (2.5 if runners == 256 else 1.3) * least
