"""Waves of jobs as GitHub Actions takes them, as JSON and as text.

GitHub's limits: 256 jobs a matrix; 1 MB for all outputs of a job, counted as UTF-16.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hubstack.ci.estimate import Task, Work, bound_s, work_of
from hubstack.ci.wave import JOB_S, PLANNER, Job, Machines, Waves, make_waves
from hubstack.errors import UsageError
from hubstack.plan import Plan

OUTPUTS_BYTES = 1_000_000
RUNNERS: Mapping[str, str] = {"linux/amd64": "ubuntu-24.04", "linux/arm64": "ubuntu-24.04-arm"}
_NAMED = 4  # layers in a job's name


@dataclass(frozen=True, kw_only=True)
class Matrix:
    work: Work
    machines: Machines
    waves: Waves

    @property
    def bound_s(self) -> float:
        here = {task.platform for task in self.work.tasks} == {PLANNER}
        return bound_s(self.work, runners=self.machines.runners, startup_s=self.machines.startup_s, here=here)


def make_matrix(plan: Plan, machines: Machines) -> Matrix:
    work = work_of(plan)
    return Matrix(work=work, machines=machines, waves=make_waves(work, machines))


# --- GitHub ------------------------------------------------------------------------------------------------------------


def github_outputs(matrix: Matrix) -> str:
    """Lines for ``$GITHUB_OUTPUT``: what the planner's job builds, and a matrix for each wave, empty where there is none.

    Raises UsageError where it is more than GitHub takes, or for a platform that GitHub has no runner for.
    """
    for short in (False, True):
        lines = _lines(matrix, short=short)
        if (size := sum(len(f"{line}\n".encode("utf-16-le")) for line in lines)) <= OUTPUTS_BYTES:
            return "".join(f"{line}\n" for line in lines)
    raise UsageError(
        f"the names of {len(matrix.work.tasks)} nodes are {size / 1e6:.1f} MB; GitHub passes 1 MB on to other jobs",
        hint="Name some of the stacks; what is built then is not built again.",
    )


def _lines(matrix: Matrix, *, short: bool) -> list[str]:
    waves = [*matrix.waves.waves, *[()] * (matrix.machines.waves - len(matrix.waves.waves))]
    lines = [f"here={_terms(matrix.waves.here, short=short)}"]
    for number, jobs in enumerate(waves, start=1):
        include = [
            {"name": row["name"], "runner": row["runner"], "nodes": _terms(job.tasks, short=short)}
            for row, job in zip(_rows(jobs, _platforms(matrix)), jobs, strict=True)
        ]
        value = json.dumps({"include": include}, separators=(",", ":")) if include else ""
        lines.append(f"wave{number}={value}")
    return lines


def _terms(tasks: Sequence[Task], *, short: bool) -> str:
    """The SELECT terms of a job; ``short`` leaves out what is built because something above it is named."""
    implied = {below for task in tasks if task.walks for below in task.inputs} if short else ()
    return " ".join(f"node:{task.node}" for task in tasks if task.node not in implied)


# --- for people --------------------------------------------------------------------------------------------------------


def matrix_json(matrix: Matrix) -> dict[str, Any]:
    platforms = _platforms(matrix)
    return {
        "format": 1,
        "here": [f"node:{task.node}" for task in matrix.waves.here],
        "waves": [_rows(jobs, platforms) for jobs in matrix.waves.waves],
        "makespan_s": round(matrix.waves.makespan_s, 1),
        "lower_bound_s": round(matrix.bound_s, 1),
        "longest_path_s": round(matrix.work.path_s, 1),
        "work_s": round(matrix.work.seconds, 1),
        "startup_s": matrix.machines.startup_s,
        "runners": matrix.machines.runners,
        "why": explain(matrix),
    }


def matrix_text(matrix: Matrix) -> str:
    """A line a job; what the planner's job does is the wave ``here``."""
    rows = [("here", _name(matrix.waves.here), matrix.waves.here)] if matrix.waves.here else []
    for number, jobs in enumerate(matrix.waves.waves, start=1):
        names = (row["name"] for row in _rows(jobs, _platforms(matrix)))
        rows += [(f"wave {number}", name, job.tasks) for name, job in zip(names, jobs, strict=True)]
    return "".join(
        f"{wave:<7} {minutes(sum(task.seconds for task in tasks)):>9} {len(tasks):>5}  {name}\n"
        for wave, name, tasks in rows
    )


def explain(matrix: Matrix) -> str:
    """Why it is these jobs, in a few sentences."""
    work, waves, machines = matrix.work, matrix.waves, matrix.machines
    if not work.tasks:
        return "Nothing is to be built: no job."
    first = (
        f"{len(work.tasks)} nodes, {minutes(work.seconds)} of work ({work.recorded} durations recorded, the others "
        f"estimated), the longest path {minutes(work.path_s)}."
    )
    if not waves.waves:
        return (
            f"{first} Built here: other machines, each {machines.startup_s:.0f} s to start, would save less than that."
        )
    shape = ", then ".join(f"{len(jobs)} job{'s' if len(jobs) > 1 else ''}" for jobs in waves.waves)
    here = f"{len(waves.here)} here, as the planner's machine has started already, then " if waves.here else ""
    best = (
        f"It ends after about {minutes(waves.makespan_s)}; sooner than {minutes(matrix.bound_s)} is impossible with "
        f"{machines.runners} runners that take {machines.startup_s:.0f} s to start."
    )
    return " ".join((first, f"{here}{shape}: the best of the ways tried.".capitalize(), best, *_warnings(waves)))


def minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds < 3 * 3600 else f"{seconds / 3600:.1f} h"


def _warnings(waves: Waves) -> list[str]:
    if waves.longest_s <= JOB_S:
        return []
    return [
        f"A job of {minutes(waves.longest_s)} is more than GitHub grants: it will be cut off, and goes on when run again."
    ]


def _platforms(matrix: Matrix) -> Collection[str]:
    return {task.platform for task in matrix.work.tasks}


def _rows(jobs: Sequence[Job], platforms: Collection[str]) -> list[dict[str, Any]]:
    """What is said of each job. Names are unique in a wave, so that people can tell them apart."""
    rows: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for job in jobs:
        name = _name(job.tasks) + (f" ({job.platform.partition('/')[2]})" if len(platforms) > 1 else "")
        seen[name] = seen.get(name, 0) + 1
        rows.append(
            {
                "name": name if seen[name] == 1 else f"{name}, {seen[name]}",
                "platform": job.platform,
                "runner": _runner(job.platform),
                "nodes": [f"node:{task.node}" for task in job.tasks],
                "seconds": round(job.seconds, 1),
            }
        )
    return rows


def _name(tasks: Sequence[Task]) -> str:
    """The layers, the lowest and the topmost of them; ``git ×2`` where several nodes are of one layer."""
    count: dict[str, int] = {}
    for task in tasks:
        count[task.layer] = count.get(task.layer, 0) + 1
    words = [layer if number == 1 else f"{layer} ×{number}" for layer, number in count.items()]
    if len(words) > _NAMED:
        words = [words[0], f"{len(words) - _NAMED + 1} more", *words[2 - _NAMED :]]
    return ", ".join(words)


def _runner(platform: str) -> str:
    try:
        return RUNNERS[platform]
    except KeyError:
        raise UsageError(
            f"GitHub has no runner for {platform}",
            hint=f"hubstack.yaml: platforms takes {' and '.join(RUNNERS)} there; `hubstack build` takes others, too.",
        ) from None
