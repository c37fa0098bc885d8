"""`hubstack matrix`: the plan as jobs, in the form that the workflow reads, inside GitHub's limits."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hubstack.ci.estimate import Task, Work, work_of
from hubstack.ci.matrix import OUTPUTS_BYTES, Matrix, explain, github_outputs, make_matrix, matrix_json, matrix_text
from hubstack.ci.synthetic import make_step, make_up
from hubstack.ci.wave import Machines, make_waves
from hubstack.errors import UsageError
from hubstack.plan import Action, Plan, Step
from hubstack.schedule import DEFAULT_SECONDS

from tests.commandline import PROJECTS, Done, run
from tests.fakes.registry import FakeRegistry
from tests.shell import Shell, TerminalEngine

pytestmark = pytest.mark.long

MACHINES = Machines(runners=20, startup_s=60.0, waves=4)
LEAVES = ("scipy", "dask", "sql")


def step(node: str, *inputs: str, seconds: float | None = 100.0, action: Action = Action.BUILD, **fields: Any) -> Step:
    made = make_step(node, node.partition("-")[0], inputs, seconds=seconds)
    return replace(made, action=action, node=replace(made.node, **fields))


def plan_of(*steps: Step) -> Plan:
    return Plan(steps=steps, images=())


def family(**more: Any) -> Plan:
    return plan_of(step("base-1", **more), *(step(f"{leaf}-1", "base-1", **more) for leaf in LEAVES))


def outputs(text: str) -> dict[str, str]:
    """As GitHub reads ``$GITHUB_OUTPUT``."""
    return dict(line.split("=", 1) for line in text.splitlines())


def named(value: Mapping[str, str]) -> list[str]:
    """All terms of all jobs."""
    matrices = [json.loads(one) for name, one in value.items() if name.startswith("wave") and one]
    return [
        *value["here"].split(),
        *(term for one in matrices for job in one["include"] for term in job["nodes"].split()),
    ]


# --- work --------------------------------------------------------------------------------------------------------------


def test_work_is_what_is_dirty() -> None:
    plan = plan_of(
        step("base-1", action=Action.REUSE),
        step("python-1", "base-1", seconds=None),
        step("lab-1", "python-1", "base-1", action=Action.TEST),
        step("gone-1", "lab-1", action=Action.BLOCKED),
    )
    assert work_of(plan).tasks == (
        Task(node="python-1", layer="python", platform="linux/amd64", seconds=DEFAULT_SECONDS),
        Task(node="lab-1", layer="lab", platform="linux/amd64", inputs=("python-1",), seconds=100.0, walks=False),
    )
    assert (work_of(plan).recorded, work_of(plan).seconds, work_of(plan).path_s) == (1, 130.0, 130.0)


def test_who_copies_waits_for_what_it_copies_from() -> None:
    plan = plan_of(step("base-1"), step("node-1"), step("lab-1", "base-1", copies={"node": "node-1"}))
    assert work_of(plan).tasks[-1].inputs == ("base-1", "node-1")


# --- GitHub ------------------------------------------------------------------------------------------------------------


def test_nothing_to_build_is_no_job() -> None:
    matrix = make_matrix(plan_of(step("base-1", action=Action.REUSE)), MACHINES)
    assert github_outputs(matrix) == "here=\nwave1=\nwave2=\nwave3=\nwave4=\n"
    assert explain(matrix) == "Nothing is to be built: no job."


def test_little_work_is_built_by_the_planner() -> None:
    matrix = make_matrix(family(seconds=5.0), MACHINES)
    nodes = "node:base-1 node:scipy-1 node:dask-1 node:sql-1"
    assert github_outputs(matrix) == f"here={nodes}\nwave1=\nwave2=\nwave3=\nwave4=\n"
    assert "Built here" in explain(matrix)


def test_more_work_is_a_matrix() -> None:
    found = outputs(github_outputs(make_matrix(family(), MACHINES)))
    assert found.pop("here") == "node:base-1"
    assert json.loads(found.pop("wave1")) == {
        "include": [{"name": leaf, "runner": "ubuntu-24.04", "nodes": f"node:{leaf}-1"} for leaf in LEAVES]
    }
    assert found == {"wave2": "", "wave3": "", "wave4": ""}


@pytest.mark.parametrize("waves", [1, 2, 6])
def test_there_are_as_many_outputs_as_the_workflow_has_waves(waves: int) -> None:
    found = outputs(github_outputs(make_matrix(family(), replace(MACHINES, waves=waves))))
    assert list(found) == ["here", *(f"wave{number}" for number in range(1, waves + 1))]


def test_a_platform_has_its_own_runner() -> None:
    steps = [step(f"lab-{platform[6:]}", platform=platform) for platform in ("linux/amd64", "linux/arm64")]
    found = outputs(github_outputs(make_matrix(plan_of(*steps), MACHINES)))
    assert json.loads(found["wave1"])["include"] == [
        {"name": "lab (amd64)", "runner": "ubuntu-24.04", "nodes": "node:lab-amd64"},
        {"name": "lab (arm64)", "runner": "ubuntu-24.04-arm", "nodes": "node:lab-arm64"},
    ]


def test_a_platform_without_runner_is_an_error() -> None:
    matrix = make_matrix(plan_of(step("lab-1", platform="linux/s390x")), MACHINES)
    with pytest.raises(UsageError, match="GitHub has no runner for linux/s390x"):
        github_outputs(matrix)


# --- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [1000, 5000, 12_000])
def test_thousands_of_nodes_are_inside_github_s_limits(nodes: int) -> None:
    matrix = make_matrix(make_up(nodes, 1), replace(MACHINES, runners=256))
    text = github_outputs(matrix)
    assert len(text.encode("utf-16-le")) <= OUTPUTS_BYTES <= 2**20
    for value in outputs(text).values():
        assert not value.startswith("{") or 1 <= len(json.loads(value)["include"]) <= 256


def test_everything_is_named_as_long_as_there_is_room() -> None:
    plan = make_up(2000, 1)
    assert sorted(named(outputs(github_outputs(make_matrix(plan, MACHINES))))) == sorted(
        f"node:{step.node.id}" for step in plan.steps
    )


def crowded() -> Matrix:
    """Chains of three: all their names are too much, those on top are not. Of every fifth only the tests are missing."""
    steps = []
    for number in range(6000):
        action = Action.TEST if number % 5 == 0 else Action.BUILD
        low, middle, top = (f"{layer}-{number:08x}" for layer in ("jupyterlab", "language-servers", "tidyverse"))
        steps += [step(low), step(middle, low), step(top, middle, action=action)]
    return make_matrix(plan_of(*steps), replace(MACHINES, runners=256, waves=1))


def test_what_something_else_stands_on_is_left_out_where_names_are_too_many() -> None:
    """`hubstack build node:X` builds what is missing below X, and asks for that only where X itself isn't built."""
    matrix = crowded()
    text = github_outputs(matrix)
    assert len(text.encode("utf-16-le")) <= OUTPUTS_BYTES
    terms = {term.removeprefix("node:") for term in named(outputs(text))}
    tasks = {task.node: task for task in matrix.work.tasks}
    assert len(terms) < len(tasks) / 2
    reached: set[str] = set()
    waiting = list(terms)
    while waiting:
        node = waiting.pop()
        reached.add(node)
        waiting += tasks[node].inputs if tasks[node].walks else ()
    assert reached == tasks.keys()


def test_what_does_not_fit_at_all_is_an_error_that_says_what_to_do() -> None:
    tasks = tuple(Task(node=f"layer-{number:08x}", layer="layer", platform="linux/amd64") for number in range(40_000))
    work = Work(tasks=tasks)
    machines = replace(MACHINES, waves=1)
    with pytest.raises(UsageError, match=r"the names of 40000 nodes are 1\.[0-9] MB; GitHub passes 1 MB on") as caught:
        github_outputs(Matrix(work=work, machines=machines, waves=make_waves(work, machines)))
    assert caught.value.hint.startswith("Name some of the stacks")


# --- for people --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "name"),
    [
        ("scipy", "scipy"),
        ("git r tidyverse latex", "git, r, tidyverse, latex"),
        ("debian python git r tidyverse latex", "debian, 3 more, tidyverse, latex"),
        ("git git sql", "git ×2, sql"),
    ],
)
def test_jobs_are_called_as_their_layers(layers: str, name: str) -> None:
    steps: list[Step] = []
    for number, layer in enumerate(layers.split()):
        steps.append(step(f"{layer}-{number}", *(one.node.id for one in steps[-1:]), platform="linux/arm64"))
    (((job,),),) = (matrix_json(make_matrix(plan_of(*steps), MACHINES))["waves"],)
    assert job["name"] == name


def test_jobs_of_one_wave_can_be_told_apart() -> None:
    plan = plan_of(*(step(f"scipy-{number}", seconds=1000.0) for number in range(3)))
    ((*jobs,),) = matrix_json(make_matrix(plan, MACHINES))["waves"]
    assert [job["name"] for job in jobs] == ["scipy", "scipy, 2", "scipy, 3"]


def test_json_says_everything() -> None:
    found = matrix_json(make_matrix(family(), MACHINES))
    assert found == {
        "format": 1,
        "here": ["node:base-1"],
        "waves": [
            [
                {
                    "name": leaf,
                    "platform": "linux/amd64",
                    "runner": "ubuntu-24.04",
                    "nodes": [f"node:{leaf}-1"],
                    "seconds": 100.0,
                }
                for leaf in LEAVES
            ]
        ],
        "makespan_s": 260.0,
        "lower_bound_s": 260.0,
        "longest_path_s": 200.0,
        "work_s": 400.0,
        "startup_s": 60.0,
        "runners": 20,
        "why": explain(make_matrix(family(), MACHINES)),
    }


def test_people_read_why() -> None:
    assert explain(make_matrix(family(), MACHINES)) == (
        "4 nodes, 6.7 min of work (4 durations recorded, the others estimated), the longest path 3.3 min. "
        "1 here, as the planner's machine has started already, then 3 jobs: the best of the ways tried. "
        "It ends after about 4.3 min; sooner than 4.3 min is impossible with 20 runners that take 60 s to start."
    )
    assert matrix_text(make_matrix(family(), MACHINES)).splitlines() == [
        "here      1.7 min     1  base",
        "wave 1    1.7 min     1  scipy",
        "wave 1    1.7 min     1  dask",
        "wave 1    1.7 min     1  sql",
    ]


def test_people_are_warned_of_a_job_that_github_will_end() -> None:
    matrix = make_matrix(plan_of(step("lab-1", seconds=7 * 3600.0, platform="linux/arm64")), MACHINES)
    assert "A job of 7.0 h is more than GitHub grants" in explain(matrix)


# --- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def stacks(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROJECTS / "good-docker-stacks", tmp_path / "stacks"))


def matrix(registry: FakeRegistry, folder: Path, *words: str) -> Done:
    return run("--registry", f"{registry.host}/stacks", "matrix", *words, folder=folder)


def test_the_command_prints_outputs_and_says_why_beside_them(registry: FakeRegistry, stacks: Path) -> None:
    done = matrix(registry, stacks, "--format", "github", "--startup", "5", "--waves", "3")
    assert done.code == 0
    found = outputs(done.out)
    assert list(found) == ["here", "wave1", "wave2", "wave3"]
    assert len(named(found)) == 30
    assert "30 nodes, 15.0 min of work (0 durations recorded" in done.err
    assert "runners that take 5 s to start" in done.err


def test_the_number_of_runners_bounds_the_jobs(registry: FakeRegistry, stacks: Path) -> None:
    for runners in ("2", "20"):
        done = matrix(registry, stacks, "--format", "json", "--startup", "5", "--runners", runners)
        assert max(map(len, done.json["waves"])) <= int(runners)
    assert max(map(len, done.json["waves"])) > 2


def test_what_is_named_is_what_is_built(registry: FakeRegistry, stacks: Path) -> None:
    done = matrix(registry, stacks, "--startup", "5", "r-notebook")
    assert "r-notebook" in done.out
    assert "scipy-notebook" not in done.out
    assert done.err.startswith("10 nodes")


def test_every_term_that_it_prints_can_be_selected(registry: FakeRegistry, stacks: Path) -> None:
    found = outputs(matrix(registry, stacks, "--format", "github").out)
    planned = run("plan", "--offline", "--json", *named(found), folder=stacks)
    assert planned.code == 0
    assert len(planned.json["nodes"]) == 30
    assert planned.json["images"] == []


# --- a run, each job a machine of its own ------------------------------------------------------------------------------


@pytest.fixture
def machines(tmp_path: Path, registry: FakeRegistry) -> Callable[[], Shell]:
    """A clean clone and an engine that has nothing; only the registry is one and the same."""

    def start() -> Shell:
        folder = tmp_path / f"machine-{len([*tmp_path.iterdir()])}"
        engine = TerminalEngine(registry)
        engine.outputs["greet"] = "hello\n"
        return Shell(Path(shutil.copytree(PROJECTS / "good-small", folder)), registry, engine)

    return start


def test_jobs_that_share_only_the_registry_build_each_node_once(machines: Callable[[], Shell]) -> None:
    """As the workflow does: the planner's part, then wave by wave; `hubstack publish` is another test's."""
    found = outputs(machines()("matrix", "--format", "github", "--startup", "0").stdout)
    jobs = [found["here"], *(one["nodes"] for value in [*found.values()][1:] if value for one in waves_of(value))]
    built: list[str] = []
    for terms in filter(None, jobs):
        machine = machines()
        assert machine("build", "--push", *terms.split()).return_value == 0
        built += machine.engine.verbs("build")
        assert machine.tags("small") == []  # nothing has a name yet
    assert sorted(f"node:{node}" for node in built) == sorted(named(found))
    assert len(jobs) > 2
    assert set(outputs(machines()("matrix", "--format", "github").stdout).values()) == {""}


def waves_of(value: str) -> list[dict[str, str]]:
    include: list[dict[str, str]] = json.loads(value)["include"]
    return include


def test_since_leaves_out_what_has_not_changed(registry: FakeRegistry, stacks: Path) -> None:
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "-m", "one")):
        subprocess.run([*git, *words], cwd=stacks, check=True)
    assert matrix(registry, stacks, "--since", "HEAD").err.splitlines()[-1] == "Nothing is to be built: no job."
    (stacks / "layers/r-notebook/files/usr/local/share/stacks/r-notebook").write_text("changed\n")
    done = matrix(registry, stacks, "--since", "HEAD", "--format", "json")
    assert {node.rpartition("-")[0] for node in listed(done.json)} >= {"node:r-notebook"}
    assert not any("julia" in node for node in listed(done.json))


def listed(found: Mapping[str, Any]) -> list[str]:
    return [*found["here"], *(node for jobs in found["waves"] for job in jobs for node in job["nodes"])]
