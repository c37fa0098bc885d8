"""Several builders for one run, and several engines for one registry: the same images as from one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hubstack.pool import choose
from hubstack.reference import Digest, ImageRef
from hubstack.registry import Registry

from tests.engine.second_engine import second_engine
from tests.engine.workbench import DEADLINE_S, Run, Work, docker, layer_of, neutral, published, without_hello

pytestmark = pytest.mark.engine

CANDIDATES = [f"second-{number}" for number in range(64)]


@pytest.fixture(scope="module")
def second() -> Iterator[str]:
    """A second engine's DOCKER_HOST."""
    with second_engine() as host:
        yield host


@dataclass(frozen=True)
class One:
    """The project as one engine has built it, and what the registry then had of it."""

    work: Work
    run: Run
    tags: dict[str, Digest]


@pytest.fixture(scope="module")
def one(make_project: Callable[[Path], Work], registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> One:
    work = offline(without_hello(make_project(tmp_path_factory.mktemp("one") / "project")))
    run = work.build("--profiles", str(work.folder / "out"))
    return One(work, run, published(registry, work.prefix))


def offline(work: Work) -> Work:
    """Without what asks the package index, for the second engine's builds have no way there."""
    shutil.rmtree(work.folder / "layers" / "numbers")
    work.edit("layers/both/layer.yaml", "[numbers, words]", "[words]")
    work.edit("stacks/small.yaml", "[numbers]", "[words]")
    work.write("layers/both/tests/greets.sh", "echo hello $(cat /opt/words)\n")
    return work


def elsewhere(work: Work, folder: Path, prefix: ImageRef, **env: str) -> Work:
    return replace(work.clone(folder), prefix=prefix, env=env)


def with_context(work: Work, folder: Path, host: str, name: str) -> Work:
    """Where ``name`` is a docker context, and so a builder of buildx."""
    work = replace(work, env={**work.env, "DOCKER_CONFIG": str(folder)})
    env = {**os.environ, "DOCKER_CONFIG": str(folder)}
    subprocess.run(["docker", "context", "create", name, "--docker", f"host={host}"], env=env, check=True)
    return work


def keys(work: Work) -> dict[str, str]:
    """What nodes are spread by: each node's parent's fingerprint, or its own."""
    nodes = {node["id"]: node for node in work.nodes().values()}
    return {name: nodes[(node["parents"] or [name])[0]]["fingerprint"] for name, node in nodes.items()}


def builder_of(work: Work, node: str) -> str:
    found = re.search(r'building with "([^"]+)" instance', work.log(node))
    assert found
    return found[1]


def test_two_builders_make_what_one_makes_and_siblings_meet(
    one: One, second: str, fresh_prefix: Callable[[], ImageRef], tmp_path: Path
) -> None:
    key_of = keys(one.work)
    # a name under which the second one gets work, but not all
    name = next(name for name in CANDIDATES if len({choose(["default", name], key) for key in key_of.values()}) == 2)
    work = with_context(elsewhere(one.work, tmp_path / "two", fresh_prefix()), tmp_path / "docker", second, name)
    run = work.build("--builder", "default", "--builder", name)
    assert set(run.results.values()) == {"built"}
    assert run.digests == one.run.digests
    assert {node: builder_of(work, node) for node in key_of} == {
        node: choose(["default", name], key) for node, key in key_of.items()
    }
    words = [builder_of(work, node) for node in key_of if layer_of(node) == "words"]
    assert len(words) == 2
    assert len(set(words)) == 1


def test_a_parent_comes_out_of_the_registry_where_this_machine_has_not_built_it(
    one: One, second: str, tmp_path: Path
) -> None:
    work = with_context(one.work.clone(tmp_path / "clone"), tmp_path / "docker", second, "second")
    work.edit("layers/both/Dockerfile.j2", "install /mnt/greet", "install --verbose /mnt/greet")
    run = work.build("--builder", "second", "both/plain")
    assert run.results["both"] == "built"
    assert run.layers("building") == ["both"]
    (both,) = (node for node in keys(work) if layer_of(node) == "both" and node in {e["node"] for e in run.of("phase")})
    assert builder_of(work, both) == "second"


def test_an_unknown_builder_stops_before_anything_is_built(
    one: One, fresh_prefix: Callable[[], ImageRef], tmp_path: Path
) -> None:
    work = elsewhere(one.work, tmp_path / "unknown", fresh_prefix())
    done = work.run("build", "--push", "--builder", "default", "--builder", "defualt", code=2)
    assert 'no buildx builder is called "defualt" (did you mean "default"?)' in done.stderr
    assert not list((work.folder / ".hubstack" / "nodes").iterdir())


def test_two_engines_at_once_end_with_what_one_makes(
    one: One,
    second: str,
    registry: Registry,
    fresh_prefix: Callable[[], ImageRef],
    tmp_path: Path,
) -> None:
    prefix = fresh_prefix()
    works = [
        elsewhere(one.work, tmp_path / "first", prefix),
        elsewhere(one.work, tmp_path / "second", prefix, DOCKER_HOST=second),
    ]
    runs = [work.start("build", "--push", "--json", "--profiles", str(work.folder / "out")) for work in works]
    outputs = [run.communicate(timeout=DEADLINE_S) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    assert without(prefix, published(registry, prefix)) == without(one.work.prefix, one.tags)
    assert {neutral(work.configmap(), work) for work in works} == {neutral(one.work.configmap(), one.work)}
    assert docker("--host", second, "image", "ls", "--quiet").split()  # it has really tested images


def without(prefix: ImageRef, tags: Mapping[str, str]) -> dict[str, str]:
    """Records say how long a build took, so theirs is another digest each time."""
    names = {name.removeprefix(prefix.repository): digest for name, digest in tags.items()}
    return {name: "" if ":info-" in name else digest for name, digest in names.items()}
