"""The real scheduler and the real matrix on made-up plans, with a clock that jumps.

Three ways to have more than one machine, with the same number of them:

* ``github``: waves of jobs, put together from what is recorded; then each node takes what it really takes.
* ``pool``: one `hubstack build` over several BuildKits: our own scheduler hands out nodes, longest path first.
* ``argo``: a pod for each node, as soon as what it stands on is there; in no order that knows of paths.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from hubstack import schedule
from hubstack.ci.estimate import Work, bound_s, work_of
from hubstack.ci.matrix import Matrix, github_outputs, minutes
from hubstack.ci.synthetic import actual_seconds, make_step, make_up
from hubstack.ci.wave import Job, Machines, make_waves
from hubstack.errors import UsageError
from hubstack.model import Graph
from hubstack.plan import Plan, Step
from hubstack.schedule import Outcome, Result

GITHUB_JOB_S = 6 * 3600.0
POOL_JOBS = 64  # what `hubstack build --jobs` takes at most: each is a client process on one machine
ARGO_NODE_BYTES = 265  # of `hubstack export argo`, as JSON
ARGO_BYTES = 1_500_000  # an object in etcd, whose request limit is 1.5 MiB by default


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What comes to a node's own seconds."""

    startup_s: float = 60.0  # a GitHub runner: queue, boot, checkout, hubstack, the first pull
    pull_s: float = 3.0  # pool and Argo: what the parent has added comes from the registry
    pod_s: float = 15.0  # scheduled, its image there, rootless BuildKit up


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    engine: str
    nodes: int
    runners: int
    makespan_s: float
    bound_s: float
    jobs: int
    waves: int = 0
    ends: str = ""  # why the engine would not do it


class Clock:
    """A crew that has done everything at once; what took how long says the outcome."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._running: list[tuple[float, int, Outcome]] = []
        self._started = 0

    @property
    def busy(self) -> int:
        return len(self._running)

    def start(self, task: Callable[[], Outcome]) -> None:
        outcome = task()
        self._started += 1
        heapq.heappush(self._running, (self.now_s + outcome.seconds, self._started, outcome))

    def wait(self) -> Iterable[Future[Outcome]]:
        self.now_s, _, outcome = heapq.heappop(self._running)
        done: Future[Outcome] = Future()
        done.set_result(outcome)
        return [done]

    def leave(self) -> None:
        self._running.clear()


def simulate(nodes: int, *, runners: int, seed: int, waves: int, error: float, costs: Costs) -> list[Simulated]:
    plan = make_up(nodes, seed)
    actual = actual_seconds(plan, error, seed)
    return [
        _github(plan, actual, Machines(runners=runners, startup_s=costs.startup_s, waves=waves)),
        _pool(plan, actual, runners, costs),
        _argo(plan, actual, runners, costs),
    ]


def _github(plan: Plan, actual: Mapping[str, float], machines: Machines) -> Simulated:
    work = work_of(plan)
    planned = make_waves(work, machines)
    matrix = Matrix(work=work, machines=machines, waves=planned)
    now_s = sum(actual[task.node] for task in planned.here)
    longest_s = now_s
    for jobs in planned.waves:
        took = [sum(actual[task.node] for task in job.tasks) for job in jobs]
        longest_s = max(longest_s, *took)
        now_s += _wave_s(jobs, took, machines)
    return Simulated(
        engine="github",
        nodes=len(plan.steps),
        runners=machines.runners,
        makespan_s=now_s,
        bound_s=bound_s(_with(work, actual), runners=machines.runners, startup_s=machines.startup_s, here=True),
        jobs=planned.jobs,
        waves=len(planned.waves),
        ends=_github_ends(matrix, longest_s),
    )


def _wave_s(jobs: Sequence[Job], took: Sequence[float], machines: Machines) -> float:
    """Jobs begin as GitHub lists them, and nobody waits for anybody but for a free runner."""
    seconds = {f"job-{number}": machines.startup_s + one for number, one in enumerate(took)}
    steps = [make_step(node, node, ()) for node in seconds]
    order = {f"job-{number}": -float(number) for number in range(len(jobs))}
    return _run(steps, seconds, order, machines.runners)


def _github_ends(matrix: Matrix, longest_s: float) -> str:
    try:
        github_outputs(matrix)
    except UsageError as fault:
        return fault.message
    return f"a job takes {minutes(longest_s)}; GitHub grants six hours" if longest_s > GITHUB_JOB_S else ""


def _pool(plan: Plan, actual: Mapping[str, float], runners: int, costs: Costs) -> Simulated:
    seconds = {node: taken + costs.pull_s for node, taken in actual.items()}
    recorded = {step.node.id: step.seconds or 0.0 for step in plan.steps}
    graph = Graph(nodes={step.node.id: step.node for step in plan.steps}, images=(), alone={})
    order = schedule.priorities(graph, recorded)
    found = _simulated("pool", plan, seconds, _run(plan.steps, seconds, order, runners), runners)
    ends = f"one `hubstack build` has {POOL_JOBS} nodes at work at most" if runners > POOL_JOBS else ""
    return replace(found, ends=ends)


def _argo(plan: Plan, actual: Mapping[str, float], runners: int, costs: Costs) -> Simulated:
    seconds = {node: taken + costs.pull_s + costs.pod_s for node, taken in actual.items()}
    order = {step.node.id: -float(number) for number, step in enumerate(plan.steps)}
    found = _simulated("argo", plan, seconds, _run(plan.steps, seconds, order, runners), runners)
    size = len(plan.steps) * ARGO_NODE_BYTES
    ends = f"a Workflow of {size / 1e6:.1f} MB; etcd takes 1.5 MB" if size > ARGO_BYTES else ""
    return replace(found, ends=ends)


def _simulated(engine: str, plan: Plan, seconds: Mapping[str, float], makespan_s: float, runners: int) -> Simulated:
    work = _with(work_of(plan), seconds)
    return Simulated(
        engine=engine,
        nodes=len(plan.steps),
        runners=runners,
        makespan_s=makespan_s,
        bound_s=max(work.path_s, work.seconds / runners),
        jobs=len(plan.steps),
    )


def _with(work: Work, seconds: Mapping[str, float]) -> Work:
    return Work(tasks=tuple(replace(task, seconds=seconds[task.node]) for task in work.tasks))


def _run(steps: Sequence[Step], seconds: Mapping[str, float], order: Mapping[str, float], runners: int) -> float:
    """When the last step ends."""
    clock = Clock()
    schedule.run(
        steps,
        lambda step: Outcome(node=step.node.id, result=Result.BUILT, seconds=seconds[step.node.id]),
        priority=order,
        jobs=runners,
        cancel=threading.Event(),
        crew=clock,
    )
    return clock.now_s


def simulated_json(one: Simulated) -> dict[str, Any]:
    return {
        "engine": one.engine,
        "nodes": one.nodes,
        "runners": one.runners,
        "makespan_s": round(one.makespan_s, 1),
        "lower_bound_s": round(one.bound_s, 1),
        "jobs": one.jobs,
        "waves": one.waves,
        "ends": one.ends,
    }
