"""The real workflow files on machines of their own, with only the registry in common.

What is executed, and what stands in for GitHub's part, is in tests/engine/runner.py. docs/github.md lists what is not
seen here. Needs root: each machine has an engine of its own.
"""

from __future__ import annotations

import os
import re
import shutil
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import pytest
from hubstack.lock import load_lock, render_lock
from hubstack.reference import Digest, ImageRef
from hubstack.registry import Registry

from tests.engine.machine import Machine
from tests.engine.relay import WRITES, Moment, Relay
from tests.engine.runner import GitHub, Run
from tests.engine.workbench import Work, copy_project, tags
from tests.fakes.wire import Reply, Seen

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="an engine of its own for each machine: needs root"),
]
ROOT = Path(__file__).parents[2]
Plain = Callable[[], dict[str, Digest]]
LOGIN = "robot:a-password-that-nobody-else-has"
CLUSTER = "Somebody/Cluster"
PROTECTED = '#!/bin/sh\ntest "$1" != refs/heads/main || test ! -e protected\n'  # a hook of git: when it refuses a push
HERE = "--startup 3600"  # a machine's start takes longer than all the work: it is done by the planner
WAVES = "--startup 0 --runners 3"


class Trusted(Relay):
    """The registry of a project: all may read, and whoever has the password may write."""

    refused: int = 0
    closed: bool = False  # to strangers, as a new package on GHCR is

    def __enter__(self) -> Self:
        super().__enter__()
        # Whoever begins with TLS must be told, in HTTP, that this is HTTP: engines then go on without.
        vars(self._server)["RequestHandlerClass"].default_request_version = "HTTP/1.0"
        return self

    def answer(self, seen: Seen) -> Reply:
        password = "Basic " + b64encode(LOGIN.encode()).decode()
        given = seen.headers.get("authorization")
        secret = self.closed or seen.method in WRITES or seen.path == "/v2/"
        if given != password and (secret or given is not None):
            self.refused += seen.method in WRITES
            return Reply(401, {"WWW-Authenticate": 'Basic realm="trusted"', "Content-Length": "0"})
        return super().answer(replace(seen, headers={k: v for k, v in seen.headers.items() if k != "authorization"}))

    def pushes(self) -> list[str]:
        """What was written, by path, since the list was cleared: manifests, so names."""
        return [seen.path for seen in self.requests if seen.method == "PUT" and "/manifests/" in seen.path]


@dataclass
class Site:
    """A repository on GitHub, and the registry that its settings name."""

    github: GitHub
    registry: Trusted
    prefix: ImageRef
    work: Work  # a clone that somebody works in

    def commit(self, message: str = "work", branch: str = "main") -> str:
        for words in (
            ["add", "--all"],
            ["-c", "user.name=S", "-c", "user.email=s@example.org", "commit", "--quiet", "--message", message],
            ["push", "--quiet", "origin", f"HEAD:{branch}"],
        ):
            git(self.work.folder, *words)
        return self.github.git("rev-parse", branch).strip()

    def publish(self, matrix: str) -> Run:
        """What a push of main starts. It is given the settings that the README names, and how to deal out the work."""
        variables = {"HUBSTACK_REGISTRY": str(self.prefix), "HUBSTACK_MATRIX": matrix}
        variables["HUBSTACK_GITOPS"] = f"{self.github.folder}/{CLUSTER} --path apps/hub"
        event = {"event_name": "push", "ref": "refs/heads/main", "server_url": f"file://{self.github.folder}"}
        commit = self.github.git("rev-parse", "main").strip()
        path = ".github/workflows/publish.yml"
        return Run(
            self.github, path, commit, event, {"HUBSTACK_REGISTRY_AUTH": LOGIN, "HUBSTACK_GITOPS_TOKEN": "t"}, variables
        )

    def pull(self) -> None:
        git(self.work.folder, "pull", "--quiet", "--rebase", "origin", "main")

    def tags(self, registry: Registry, prefix: ImageRef | None = None) -> dict[str, Digest]:
        """Every tag under the prefix, by its name below it, but what says how long things took."""
        prefix = prefix or self.prefix
        below = [ImageRef(host=registry.host, repository=prefix.repository).child(name) for name in ("build", "words")]
        found = tags(registry, *below)
        return {
            name.removeprefix(f"{prefix.repository}/"): digest
            for name, digest in found.items()
            if not re.search(":(last|info)-", name)
        }


def git(folder: Path, *words: str) -> str:
    import subprocess

    return subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout


GREETING = """\
summary: A word
requires: [words]
copy_from: [tool]
tests:
  - run: test -s /opt/greeting
  - run: greet you
    stdout: hello you
"""
INSTALLED = """\
FROM parent

{{ copy("files/", "/") }}

{% call run(mounts="type=bind,from=tool,source=/opt/tool,target=/mnt") %}
install /mnt/greet /usr/local/bin/greet
{% endcall %}

USER 1000:100
"""


def make_tree(folder: Path, rootfs: ImageRef, prefix: ImageRef, ca_bundle: Path | None) -> Work:
    """The small project without what needs a network: one image in two tones, on a layer each, with a copy of a third."""
    work = copy_project(folder, prefix, rootfs, ca_bundle)
    for gone in ("hello", "numbers", "both", "python", "unused"):
        shutil.rmtree(folder / "layers" / gone)
    for stack in (folder / "stacks").iterdir():
        stack.unlink()
    (folder / "expected.txt").unlink()
    work.edit("layers/words/layer.yaml", "requires: [python]\n", "")
    work.write("layers/greeting/layer.yaml", GREETING)
    work.write("layers/greeting/Dockerfile.j2", INSTALLED)
    work.write("layers/greeting/files/opt/greeting", "hello\n")
    work.write("stacks/words.yaml", "title: Words\nbase: debian\nlayers: [greeting]\nmatrix:\n  tone: [plain, loud]\n")
    offered = 'stacks: [small, "both/*", hello]\n    default: small/default'
    work.edit("profiles/demo.yaml", offered, 'stacks: ["words/*"]')
    work.edit("hubstack.yaml", "registry: example.org/engine", f'registry: "{prefix}"')
    work.run("update", "--only", "python")
    for part in ("workflows", "actions"):
        shutil.copytree(ROOT / ".github" / part, folder / ".github" / part)
    work.write(".github/hubstack.txt", "hubstack==0.1.0\n")
    return work


@pytest.fixture(scope="module")
def site(
    rootfs: ImageRef,
    fresh_prefix: Callable[[], ImageRef],
    real_registry: ImageRef,
    ca_bundle: Path | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """A repository with a tree that nobody has built."""
    folder = tmp_path_factory.mktemp("site")
    with Trusted(real_registry.host) as registry:
        prefix = ImageRef(host=registry.host, repository=fresh_prefix().repository)
        github = GitHub(folder / "github")
        for repository in (github.repository, github.folder / CLUSTER):
            repository.mkdir(parents=True)
            git(repository, "init", "--quiet", "--bare", "--initial-branch=main")
        github.git("config", "uploadpack.allowAnySHA1InWant", "true")
        hook = github.repository / "hooks" / "update"
        hook.write_text(PROTECTED)
        hook.chmod(0o755)
        work = make_tree(folder / "clone", rootfs, prefix, ca_bundle)
        git(work.folder, "init", "--quiet", "--initial-branch=main")
        git(work.folder, "remote", "add", "origin", str(github.repository))
        site = Site(github, registry, prefix, work)
        site.commit("a tree")
        git(work.folder, "push", "--quiet", str(github.folder / CLUSTER), "HEAD:main")
        yield site


@pytest.fixture(scope="module")
def first(site: Site) -> Run:
    """The first publish of the tree, dealt out to waves of jobs."""
    return site.publish(WAVES).start()


@pytest.fixture
def settled(site: Site, first: Run) -> Iterator[Site]:
    """What is on main is published, and nobody has pushed anything since."""
    assert first.result == "success", first.log
    site.pull()
    site.registry.requests.clear()
    site.registry.moments.clear()
    yield site
    site.github.on_step = lambda _machine, _job, _step: None


@pytest.fixture(scope="module")
def plain(site: Site, fresh_prefix: Callable[[], ImageRef], registry: Registry) -> Plain:
    """Every tag that `hubstack build --push` gives what is on main, by this machine's engine and under another prefix."""
    prefix = fresh_prefix()

    def build() -> dict[str, Digest]:
        other = replace(site.work, prefix=prefix)
        other.build()
        return site.tags(registry, prefix)

    return build


def test_a_publish_in_waves(site: Site, first: Run, plain: Plain, registry: Registry) -> None:
    assert first.result == "success", first.log
    kinds = [name.split("/")[1] for name in first.executed if name.startswith("build/")]
    assert [*dict.fromkeys(kinds)] == ["plan", "wave1", "wave2", "finish"], first.executed
    assert first.executed[-1] == "deliver"
    there = site.tags(registry)
    assert plain().items() <= there.items()
    configmap = site.github.git("show", "main:profiles/emitted/demo.yaml")
    for tone in ("plain", "loud"):
        assert f"@{there[f'words:{tone}-latest']}" in configmap
    assert git(site.github.folder / CLUSTER, "show", "main:apps/hub/demo.yaml") == configmap


def test_nothing_changed_is_the_planner_alone(settled: Site) -> None:
    run = settled.publish(WAVES).start()
    assert run.result == "success", run.log
    assert run.executed == ["build/plan"]
    assert settled.registry.writes() == []


def test_little_work_is_done_by_the_planner(settled: Site, plain: Plain, registry: Registry) -> None:
    """And where main is protected, a pull request asks for the ConfigMaps."""
    protected = settled.github.repository / "protected"
    settled.work.edit("layers/greeting/files/opt/greeting", "hello\n", "hello from the planner\n")
    settled.commit("a greeting")
    protected.touch()
    run = settled.publish(HERE).start()
    protected.unlink()
    assert run.result == "success", run.log
    assert run.executed == ["build/plan", "deliver"]
    assert "--head\nhubstack/emitted\n" in settled.github.asked_of_gh.read_text()
    assert "demo.yaml" in settled.github.git("diff", "--name-only", "main", "hubstack/emitted")
    settled.github.git("update-ref", "refs/heads/main", "hubstack/emitted")  # merged
    assert plain().items() <= settled.tags(registry).items()


def test_a_job_is_killed_and_run_again(settled: Site, plain: Plain, registry: Registry) -> None:
    """Its machine goes away while the first of its images is on its way. The others go on; then it is run again."""
    settled.work.edit("layers/words/Dockerfile.j2", "{% endcall %}", "touch /opt/killed\n{% endcall %}")
    settled.commit("a file")
    run, building = settled.publish(WAVES), {}

    def remember(machine: Machine, job: str, step: str) -> None:
        if step == "Build":
            building[job] = machine

    settled.github.on_step = remember
    settled.registry.moments.append(Moment("PUT", "/manifests/fp-", lambda: unplug(building)))
    assert run.start().result == "failure"
    (killed,) = [job for job, machine in building.items() if machine.off]
    assert run.jobs[killed].result == "failure"
    assert run.start().result == "success", run.log
    assert killed in run.executed
    assert "build/plan" not in run.executed
    assert plain().items() <= settled.tags(registry).items()
    assert settled.publish(WAVES).start().executed == ["build/plan"]


def unplug(building: dict[str, Machine]) -> None:
    next(machine for machine in building.values() if not machine.off).unplug()


def test_a_failure_stops_nothing_else(settled: Site, registry: Registry) -> None:
    """One tone can't be built: the other moves on, its ConfigMap is delivered, and the run is red until it is mended."""
    before = settled.tags(registry)
    fault = "{% if tone == 'loud' %}exit 1{% endif %}\n"
    settled.work.edit("layers/words/Dockerfile.j2", "{% call run() %}\n", "{% call run() %}\ntouch /opt/one\n" + fault)
    settled.commit("a fault")
    run = settled.publish(WAVES)
    assert run.start().result == "failure"
    assert "deliver" in run.executed
    after = settled.tags(registry)
    assert after["words:plain-latest"] != before["words:plain-latest"]
    assert after["words:loud-latest"] == before["words:loud-latest"]
    configmap = settled.github.git("show", "main:profiles/emitted/demo.yaml")
    assert f"@{after['words:plain-latest']}" in configmap
    assert f"@{after['words:loud-latest']}" in configmap
    settled.pull()
    settled.work.edit("layers/words/Dockerfile.j2", fault, "")
    settled.commit("mended")
    assert settled.publish(HERE).start().result == "success"


def test_two_runs_at_once_come_to_the_same_end(settled: Site, plain: Plain, registry: Registry) -> None:
    settled.work.edit("layers/greeting/layer.yaml", "summary: A word", "summary: A word of two runs")
    settled.work.edit("layers/greeting/files/opt/greeting", "hello", "hello, hello")
    settled.commit("a greeting for two")
    with ThreadPoolExecutor(2) as pool:
        runs = [*pool.map(lambda run: run.start(), [settled.publish(HERE), settled.publish(HERE)])]
    assert [run.result for run in runs] == ["success", "success"], "\n".join(run.log for run in runs)
    assert plain().items() <= settled.tags(registry).items()
    assert settled.publish(WAVES).start().executed == ["build/plan"]


def test_an_update_is_proposed(settled: Site) -> None:
    """From a commit whose lock has another digest than the registry; the job that asks for the merge resolves nothing."""
    git(settled.work.folder, "switch", "--quiet", "--create", "stale")
    lock = load_lock((settled.work.folder / "hubstack.lock").read_text(encoding="utf-8"))
    (name,) = lock.images
    settled.work.write("hubstack.lock", render_lock(replace(lock, images={name: Digest("sha256:" + "1" * 64)})))
    commit = settled.commit("a stale lock", "stale")
    git(settled.work.folder, "switch", "--quiet", "main")
    event = {"event_name": "schedule", "ref": "refs/heads/main", "server_url": f"file://{settled.github.folder}"}
    run = Run(settled.github, ".github/workflows/update.yml", commit, event, {}, {}).start()
    assert run.result == "success", run.log
    assert run.executed == ["update", "propose"]
    assert load_lock(settled.github.git("show", "hubstack/update:hubstack.lock")) == lock
    asked = settled.github.asked_of_gh.read_text()
    assert "--head\nhubstack/update\n" in asked
    assert f"sha256:{'1' * 12}" in asked


# --- a fork's proposal: GitHub gives its jobs no secret and no variable ------------------------------------------------


def test_a_proposal_is_built_and_reviewed_without_a_credential(settled: Site, registry: Registry) -> None:
    before = settled.tags(registry)
    run = propose(settled, 1, lambda work: work.write("layers/greeting/files/opt/more", "more\n")).start()
    assert run.result == "success", run.log
    assert "greeting" in run.summary
    assert "Login Succeeded" not in run.log
    assert settled.registry.writes() == []
    assert settled.tags(registry) == before


def test_a_proposal_that_wants_to_push_is_refused(settled: Site, registry: Registry) -> None:
    """GitHub takes the workflow from the proposal: it may say what it likes, but it has nothing to say it with."""
    before = settled.tags(registry)

    def change(work: Work) -> None:
        work.write("layers/greeting/files/opt/more", "evil\n")
        work.edit(".github/workflows/pull-request.yml", 'hubstack build --since "$BASE"', "hubstack build --push")

    run = propose(settled, 2, change).start()
    assert run.result == "failure"
    assert settled.registry.refused > 0
    assert settled.tags(registry) == before


def test_a_proposal_needs_no_registry(settled: Site) -> None:
    """Where strangers may not read it, everything is built: slower, and right."""
    settled.registry.closed = True
    try:
        run = propose(settled, 3, lambda work: work.write("layers/tool/files/more", "more\n")).start()
    finally:
        settled.registry.closed = False
    assert run.result == "success", run.log
    assert settled.registry.writes() == []


def propose(site: Site, number: int, change: Callable[[Work], None]) -> Run:
    """The run that a fork's pull request starts, at the merge that GitHub makes of it and main."""
    folder = site.work.folder.with_name(f"fork{number}")
    git(site.github.repository, "clone", "--quiet", ".", str(folder))
    fork = replace(site.work, folder=folder)
    change(fork)
    who = ("-c", "user.name=F", "-c", "user.email=f@example.org")
    git(folder, "switch", "--quiet", "--create", "proposal")
    git(folder, "add", "--all")
    git(folder, *who, "commit", "--quiet", "--message", "a proposal")
    git(folder, "switch", "--quiet", "--detach", "origin/main")
    git(folder, *who, "merge", "--quiet", "--no-ff", "--message", "a merge", "proposal")
    ref = f"refs/pull/{number}/merge"
    git(folder, "push", "--quiet", "origin", f"HEAD:{ref}")
    commit = site.github.git("rev-parse", ref).strip()
    event = {"event_name": "pull_request", "ref": ref, "server_url": f"file://{site.github.folder}"}
    return Run(site.github, ".github/workflows/pull-request.yml", commit, event, {}, {})
