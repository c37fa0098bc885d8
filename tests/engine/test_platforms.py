"""Two platforms in a real registry: the engine builds and tests its own, a machine of the other kind brings the other.

There is no second processor here, so that machine's engine is the fake; its images are as real to the registry as any.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner
from hubstack.oci import OCI_INDEX, canonical_json
from hubstack.registry import Registry

from tests.engine.workbench import Work, docker, tags
from tests.fakes.registry import FakeRegistry
from tests.shell import Here, TerminalEngine

pytestmark = pytest.mark.engine

AMD64, ARM64 = "linux/amd64", "linux/arm64"
SAYS = {"id": "uid=1000(jovyan) gid=100(users)", "/opt/tool/greet you": "hello you"}


@dataclass(frozen=True)
class Arm:
    """A machine for linux/arm64: a clone of the project, an engine that behaves as if, and the same registry."""

    work: Work
    engine: TerminalEngine

    def build(self, *nodes: str) -> int:
        here = Here(
            folder=self.work.folder, ca_bundle=self.work.ca_bundle, registry=str(self.work.prefix), machine=self.engine
        )
        command = import_module("hubstack.cli.build").command
        with chdir(self.work.folder):
            result = CliRunner().invoke(command, ["--push", *nodes], obj=here, standalone_mode=False)
        here.close()
        if result.exception is not None:
            raise result.exception
        return int(result.return_value)


@pytest.fixture
def pair(make_project: Callable[[Path], Work], tmp_path: Path) -> Work:
    """The small project with one stack, for two platforms, and a hub that offers it."""
    work = make_project(tmp_path / "project")
    for name in ("both", "hello", "numbers", "words", "unused"):
        shutil.rmtree(work.folder / "layers" / name)
    for stack in (work.folder / "stacks").iterdir():
        stack.unlink()
    work.edit("hubstack.yaml", "", f"platforms: [{AMD64}, {ARM64}]\n")
    work.write("stacks/small.yaml", "title: Small\nbase: debian\nlayers: [tool]\n")
    work.edit("profiles/demo.yaml", 'stacks: [small, "both/*", hello]', "stacks: [small]")
    return work


@pytest.fixture
def arm(pair: Work, tmp_path: Path) -> Iterator[Arm]:
    with FakeRegistry() as unused:
        yield Arm(pair.clone(tmp_path / "arm"), TerminalEngine(unused, platform=ARM64, outputs=dict(SAYS)))


def nodes(work: Work, platform: str) -> list[str]:
    """As SELECT, the images' nodes of one platform."""
    plan = json.loads(work.run("plan", "--json", "--offline").stdout)
    return [f"node:{image['node']}" for image in plan["images"] if image["platform"] == platform]


def test_each_in_its_own_job_then_one_index(pair: Work, arm: Arm, registry: Registry, tmp_path: Path) -> None:
    small = pair.prefix.child("small")
    refused = pair.run("build", "--push", *nodes(pair, ARM64), code=1)
    assert f"it is for {ARM64}, and this engine is {AMD64}" in refused.stderr
    assert tags(registry, pair.prefix.child("build")) == {}

    pair.run("build", "--push", *nodes(pair, AMD64))
    early = pair.run("publish", code=1)
    assert f"small/default ({ARM64}) is not published" in early.stderr
    assert registry.tags(small) == ()  # no tag before the index

    assert arm.build(*nodes(pair, ARM64)) == 0
    assert registry.tags(small) == ()
    finisher = pair.clone(tmp_path / "finisher")
    done = json.loads(finisher.run("publish", "--json", "--profiles", str(tmp_path / "out")).stdout)
    there = tags(registry, small)
    assert len(there) == 2
    (digest,) = set(there.values())
    index = registry.manifest(small.with_digest(digest))
    assert index is not None
    assert index.media_type == OCI_INDEX
    assert canonical_json(json.loads(index.content)) == index.content
    assert [part.platform for part in index.manifests] == [AMD64, ARM64]
    assert {part.digest for part in index.manifests} == {row["digest"] for row in done["images"]}
    assert f"@{digest}" in (tmp_path / "out" / "demo.yaml").read_text()

    again = pair.clone(tmp_path / "again").run("publish")  # another finisher, later
    assert tags(registry, small) == there
    assert again.stdout.count("reused") == 2

    ref = small.with_digest(digest)
    assert docker("run", "--rm", "--platform", AMD64, str(ref), "/opt/tool/greet", "you") == "hello you\n"


def test_a_failed_platform_keeps_the_last_good_image(pair: Work, arm: Arm, registry: Registry) -> None:
    small = pair.prefix.child("small")
    pair.run("build", "--push", *nodes(pair, AMD64))
    arm.build(*nodes(pair, ARM64))
    pair.run("publish")
    before = tags(registry, small)
    for work in (pair, arm.work):
        work.edit("layers/tool/Dockerfile.j2", "", "LABEL again=yes\n")
    pair.run("build", "--push", *nodes(pair, AMD64))
    arm.engine.failures["tool"] = "ERROR: failed to solve: it broke"
    assert arm.build(*nodes(pair, ARM64)) == 1
    pair.run("publish", code=1)
    assert tags(registry, small) == before
    arm.engine.failures.clear()
    assert arm.build(*nodes(pair, ARM64)) == 0
    pair.run("publish")
    after = tags(registry, small)
    assert len(after) == 3
    channel = next(name for name in before if name.endswith("-latest"))
    assert after[channel] != before[channel]
