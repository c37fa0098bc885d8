"""What of GitHub Actions our workflows need, to run them as they are: jobs, steps, composite actions, matrices, re-runs.

Each ``run:`` step of the real files is executed by bash. A job has a machine of its own (tests/engine/machine.py); jobs
have the registry in common, and the outputs that the files declare. ``uses:`` of others' actions is done by what stands
in for them here: a clone for checkout, a copied folder for artifacts, what is installed already for Python and cosign.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import count, takewhile
from operator import ne
from pathlib import Path
from typing import Any, Literal, TypeAlias

import yaml

from tests.engine.expression import Anything, Unknown, as_text, holds, interpolate
from tests.engine.machine import Machine, Unplugged
from tests.engine.stand_in import STAND_INS

Json: TypeAlias = dict[str, Any]
Conclusion: TypeAlias = Literal["success", "failure", "skipped"]
BASH = ["bash", "--noprofile", "--norc", "-eo", "pipefail"]
_OURS = "$/"


@dataclass
class GitHub:
    """What outlives a job: the repository, its settings, artifacts of runs."""

    folder: Path
    name: str = "Somebody/Images"
    variables: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)  # of machines and runs, also of two at once
    on_step: Callable[[Machine, str, str], None] = lambda _machine, _job, _step: None  # before each ``run:`` of ours

    @property
    def repository(self) -> Path:
        return self.folder / self.name

    @property
    def asked_of_gh(self) -> Path:
        return self.folder / "gh.txt"

    def git(self, *words: str) -> str:
        argv = ["git", "-C", str(self.repository), *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    def read(self, commit: str, path: str) -> Json:
        """A YAML file of a commit. The key ``on`` is True to YAML 1.1."""
        found = yaml.safe_load(self.git("show", f"{commit}:{path}"))
        return {"on" if key is True else key: value for key, value in found.items()}

    def machine(self) -> Machine:
        return Machine(self.new_folder("machine"), self.asked_of_gh)

    def new_folder(self, name: str) -> Path:
        return self.folder / f"{name}{next(self._numbers)}"


@dataclass
class Job:
    """What has become of a job, or of one cell of its matrix."""

    result: Conclusion
    outputs: Mapping[str, str]
    log: str = ""


@dataclass
class Run:
    """A workflow at a commit. Started again, it does what failed, and what needs that, anew."""

    github: GitHub
    path: str
    commit: str
    event: Json  # the context `github`, beyond what is the same for all
    secrets: Mapping[str, str]
    variables: Mapping[str, str]
    jobs: dict[str, Job] = field(default_factory=dict)  # "build/wave2/name of the cell"
    executed: list[str] = field(default_factory=list)  # in this attempt
    summary: str = ""

    def start(self) -> Run:
        self.executed, self.summary = [], ""
        self.jobs = {name: job for name, job in self.jobs.items() if job.result == "success"}
        _Workflow(self, self.path, "", Anything(self.secrets)).run()
        return self

    @property
    def result(self) -> Conclusion:
        return "failure" if any(job.result == "failure" for job in self.jobs.values()) else "success"

    @property
    def log(self) -> str:
        return "\n".join(f"===== {name}: {job.result}\n{job.log}" for name, job in self.jobs.items())

    @cached_property
    def artifacts(self) -> Path:
        return self.github.new_folder("artifacts")

    def context(self) -> Json:
        return {
            "repository": self.github.name,
            "sha": self.commit,
            "token": "the-token-of-the-run",
            "actor": "somebody",
        } | self.event


@dataclass
class _Workflow:
    run_: Run
    path: str
    prefix: str  # of the names of its jobs
    secrets: Anything

    def run(self) -> tuple[Conclusion, dict[str, str]]:
        self.file = self.run_.github.read(self.run_.commit, self.path)
        self.done: dict[str, Job] = {}
        self.fresh: set[str] = set()  # jobs of which something was executed in this attempt
        for name, job in self.file["jobs"].items():  # in our files each stands below those that it needs
            self.done[name] = self._job(name, job)
        failed = any(job.result == "failure" for job in self.done.values())
        declared = self.file["on"].get("workflow_call", {}).get("outputs", {})
        jobs = {name: {"outputs": job.outputs, "result": job.result} for name, job in self.done.items()}
        values = {name: as_text(interpolate(one["value"], {"jobs": jobs})) for name, one in declared.items()}
        return "failure" if failed else "success", values

    def _contexts(self, job: Json) -> Json:
        needs = {
            name: {"outputs": self.done[name].outputs, "result": self.done[name].result}
            for name in job.get("needs", ())
        }
        return {
            "github": self.run_.context(),
            "vars": Anything(self.run_.variables),
            "secrets": self.secrets,
            "needs": needs,
            "functions": {
                "success": lambda: all(one["result"] == "success" for one in needs.values()),
                "cancelled": lambda: False,
            },
        }

    def _job(self, name: str, job: Json) -> Job:
        contexts = self._contexts(job)
        outputs = dict.fromkeys(job.get("outputs", ()), "")
        if "uses" in job:
            outputs |= dict.fromkeys(self._called(job).file_outputs, "")
        if not holds(job.get("if"), contexts):
            return Job("skipped", outputs)
        if "uses" in job:
            called = self._called(job, Anything(interpolate(job.get("secrets", {}), contexts)), f"{self.prefix}{name}/")
            before = len(self.run_.executed)
            result, values = called.run()
            if len(self.run_.executed) > before:
                self.fresh.add(name)
            return Job(result, values)
        cells = [_cell(job, matrix, contexts) for matrix in _matrix(job, contexts)]
        again = any(one in self.fresh for one in job.get("needs", ()))
        results = [
            self._execute(name, f"{self.prefix}{name}{label}", job, inside, again=again) for label, inside in cells
        ]
        failed = any(one.result == "failure" for one in results)
        return Job("failure" if failed else "success", results[-1].outputs)

    def _called(self, job: Json, secrets: Anything | None = None, prefix: str = "") -> _Called:
        assert job["uses"].startswith(_OURS), job["uses"]
        return _Called(self.run_, job["uses"].removeprefix(_OURS), prefix, secrets or Anything())

    def _execute(self, name: str, label: str, job: Json, contexts: Json, *, again: bool) -> Job:
        if label in self.run_.jobs and not again:
            return self.run_.jobs[label]  # of an attempt before this one
        self.fresh.add(name)
        self.run_.executed.append(label)
        with self.run_.github.machine() as machine:
            work = _Work(self.run_, machine, label, contexts, as_env(job.get("env", {}), contexts))
            try:
                result = work.steps(job["steps"])
            except Unplugged:
                result = "failure"
            outputs: dict[str, str] = {}
            if not machine.off:
                values = {**contexts, "steps": work.results}
                outputs = {key: as_text(interpolate(one, values)) for key, one in job.get("outputs", {}).items()}
            log = work.log.read_text(encoding="utf-8", errors="replace") if work.log.exists() else ""
        self.run_.jobs[label] = Job(result, outputs or dict.fromkeys(job.get("outputs", ()), ""), log)
        return self.run_.jobs[label]


class _Called(_Workflow):
    @property
    def file_outputs(self) -> list[str]:
        """The names of the outputs that a reusable workflow declares."""
        return [*self.run_.github.read(self.run_.commit, self.path)["on"]["workflow_call"].get("outputs", {})]


def _matrix(job: Json, contexts: Json) -> list[Json]:
    if "strategy" not in job:
        return [{}]
    found = interpolate(job["strategy"]["matrix"], contexts)
    assert isinstance(found, dict)
    assert list(found) == ["include"], found
    assert len(found["include"]) <= 256
    return list(found["include"])


def _cell(job: Json, matrix: Json, contexts: Json) -> tuple[str, Json]:
    inside = {**contexts, "matrix": matrix}
    assert str(interpolate(job["runs-on"], inside)).startswith("ubuntu-24.04")
    return (f"/{matrix['name']}" if matrix else ""), inside


def as_env(declared: Mapping[str, Any], contexts: Json) -> dict[str, str]:
    return {name: as_text(interpolate(value, contexts)) for name, value in declared.items()}


@dataclass
class _Work:
    """The steps of a job, or of a composite action, on one machine."""

    run: Run
    machine: Machine
    job: str
    contexts: Json
    env: Mapping[str, str]
    results: dict[str, Json] = field(default_factory=dict)
    result: Conclusion = "success"
    began: float = field(default_factory=time.monotonic)

    @property
    def log(self) -> Path:
        return self.machine.folder / "job.log"

    def steps(self, steps: list[Json]) -> Conclusion:
        for number, step in enumerate(steps):
            contexts = {**self.contexts, "steps": self.results, "runner": {"temp": str(self.machine.temp)}}
            contexts["functions"] = {"success": lambda: self.result == "success", "cancelled": lambda: False}
            if not holds(step.get("if"), contexts):
                self.results[step.get("id", f"#{number}")] = {"outputs": Anything(), "outcome": "skipped"}
                continue
            good, outputs = self._step(step, contexts)
            if not good:
                self.result = "failure"
            outcome = "success" if good else "failure"
            self.results[step.get("id", f"#{number}")] = {"outputs": outputs, "outcome": outcome}
        return self.result

    def _step(self, step: Json, contexts: Json) -> tuple[bool, Mapping[str, str]]:
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"----- {step['name']}, {time.monotonic() - self.began:.1f} s after the machine's start\n")
        if "run" in step:
            return self._run(step, contexts)
        given = {name: as_text(interpolate(value, contexts)) for name, value in step.get("with", {}).items()}
        if step["uses"].startswith(_OURS):
            return self._composite(step["uses"].removeprefix(_OURS), given)
        name = step["uses"].partition("@")[0]
        if name not in STAND_INS:
            raise Unknown(f"{name}: nothing stands in for it here")
        clone = {
            "origin": f"file://{self.run.github.repository}",
            "ref": self.run.context()["ref"],
            "commit": self.run.commit,
        }
        STAND_INS[name](self.machine, {**clone, "artifacts": str(self.run.artifacts), **given})
        return True, Anything()

    def _composite(self, path: str, given: Mapping[str, str]) -> tuple[bool, Mapping[str, str]]:
        action = self.run.github.read(self.run.commit, f"{path}/action.yml")
        declared = action.get("inputs", {})
        assert set(given) <= set(declared), f"{path} takes no {set(given) - set(declared)}"
        inputs = {name: given.get(name, as_text(one.get("default"))) for name, one in declared.items()}
        inner = _Work(self.run, self.machine, self.job, {"inputs": inputs, "github": self.contexts["github"]}, {})
        result = inner.steps(action["runs"]["steps"])
        outputs = action.get("outputs", {})
        values = {name: as_text(interpolate(one["value"], {"steps": inner.results})) for name, one in outputs.items()}
        return result == "success", values

    def _run(self, step: Json, contexts: Json) -> tuple[bool, Mapping[str, str]]:
        assert "${{" not in step["run"]
        files = {
            name: self.machine.temp / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV")
        }
        for path in files.values():
            path.write_text("")
        script = self.machine.temp / "step.sh"
        script.write_text(step["run"], encoding="utf-8")
        self.run.github.on_step(self.machine, self.job, step["name"])
        env = {**_github_env(self.run), **self.env, **{name: str(path) for name, path in files.items()}}
        code = self.machine.run([*BASH, str(script)], {**env, **as_env(step.get("env", {}), contexts)}, self.log)
        self.run.summary += files["GITHUB_STEP_SUMMARY"].read_text(encoding="utf-8")
        assert not files["GITHUB_ENV"].read_text(), "no step of ours hands variables to all that follow"
        return code == 0, Anything(_outputs(files["GITHUB_OUTPUT"].read_text(encoding="utf-8")))


def _github_env(run: Run) -> dict[str, str]:
    github = run.context()
    return {
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_ACTOR": github["actor"],
        "GITHUB_EVENT_NAME": github["event_name"],
        "GITHUB_REF": github["ref"],
        "GITHUB_REF_NAME": github["ref"].removeprefix("refs/heads/").removeprefix("refs/pull/"),
        "GITHUB_REPOSITORY": run.github.name,
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_RUN_ID": "1",
        "GITHUB_SERVER_URL": f"file://{run.github.folder}",
        "GITHUB_SHA": run.commit,
        "GITHUB_WORKFLOW": run.path,
    }


def _outputs(text: str) -> dict[str, str]:
    """As the runner reads $GITHUB_OUTPUT: ``name=value``, or ``name<<WORD``, lines, ``WORD``."""
    found, lines = {}, iter(text.splitlines())
    for line in lines:
        if (block := re.fullmatch(r"([\w-]+)<<(\w+)", line)) is not None:
            found[block[1]] = "\n".join(takewhile(partial(ne, block[2]), lines))
        else:
            name, sign, value = line.partition("=")
            assert sign, f"{line!r} in $GITHUB_OUTPUT"
            found[name] = value
    assert sum(2 * len(value) for value in found.values()) <= 1_000_000  # what a job may hand on, as UTF-16
    return found
