"""What there is to do, how long it takes as far as anybody knows, and how quickly it could be done at best."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from hubstack.plan import Action, Plan
from hubstack.schedule import DEFAULT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A node that is to be built or tested. ``inputs`` are those of its inputs that are, too; on the same platform."""

    node: str
    layer: str
    platform: str
    inputs: tuple[str, ...] = ()
    seconds: float = DEFAULT_SECONDS
    walks: bool = True  # who names it in a command need not name its inputs: they are built where they are missing


@dataclass(frozen=True, kw_only=True)
class Work:
    """Tasks in build order, inputs before those that need them."""

    tasks: tuple[Task, ...]
    recorded: int = 0  # how many of the durations somebody has measured

    @cached_property
    def seconds(self) -> float:
        """One after another."""
        return sum(task.seconds for task in self.tasks)

    @cached_property
    def path_s(self) -> float:
        """The longest line of tasks of which each needs the one before: no number of machines is quicker."""
        end: dict[str, float] = {}
        for task in self.tasks:
            end[task.node] = task.seconds + max((end[one] for one in task.inputs), default=0.0)
        return max(end.values(), default=0.0)


def work_of(plan: Plan) -> Work:
    dirty = plan.dirty()
    names = {step.node.id for step in dirty}
    tasks = tuple(
        Task(
            node=step.node.id,
            layer=step.node.label,
            platform=step.node.platform,
            inputs=tuple(one for one in dict.fromkeys(step.node.inputs) if one in names),
            seconds=DEFAULT_SECONDS if step.seconds is None else step.seconds,
            walks=step.action is Action.BUILD,
        )
        for step in dirty
    )
    return Work(tasks=tasks, recorded=sum(step.seconds is not None for step in dirty))


def bound_s(work: Work, *, runners: int, startup_s: float, here: bool) -> float:
    """No waves of jobs can end sooner: the longest path, or all work spread evenly, behind one machine's start.

    ``here``: the machine that plans has started already, and might do everything itself.
    """
    if not work.tasks:
        return 0.0
    waves_s = startup_s + max(work.path_s, work.seconds / runners)
    return min(work.seconds, waves_s) if here else waves_s


def makespan_s(jobs: Iterable[float], runners: int) -> float:
    """When the last of ``jobs`` ends that begin in this order, each as soon as one of ``runners`` is free."""
    free = [0.0] * runners
    for seconds in jobs:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)
