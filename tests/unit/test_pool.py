"""Which builder a node goes to, and what buildx says of a builder."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hubstack.buildx import Builder, Job, environment
from hubstack.engine import Docker
from hubstack.errors import EngineError, UsageError
from hubstack.pool import choose, find_builders, find_driver

from tests.fakes.engine import FakeEngine
from tests.fakes.registry import FakeRegistry
from tests.family import Family
from tests.site import Site

pytestmark = pytest.mark.long

KEYS = [f"{number:064x}" for number in range(600)]
LIST = """\
NAME/NODE     DRIVER/ENDPOINT   STATUS    BUILDKIT         PLATFORMS
default*      docker
 \\\\_ default    \\\\_ default       running   v0.13.1   linux/amd64
farm-1        remote
 \\\\_ farm-10    \\\\_ tcp://b:1234  inactive
"""


def buildx(folder: Path, inspected: str, code: int = 0) -> str:
    """A buildx that says ``inspected`` of every builder."""
    path = folder / "docker-buildx"
    path.write_text(
        f"#!/bin/sh\nif [ $1 = ls ]; then cat <<'END'\n{LIST.replace(chr(92) * 2, chr(92))}END\nexit 0; fi\n"
        f"cat >&{2 if code else 1} <<'END'\n{inspected}END\nexit {code}\n"
    )
    path.chmod(0o755)
    return str(path)


def test_a_key_has_one_builder_and_builders_share_evenly() -> None:
    three = ["a", "b", "c"]
    chosen = {key: choose(three, key) for key in KEYS}
    assert chosen == {key: choose(["c", "a", "b"], key) for key in KEYS}
    assert all(140 < list(chosen.values()).count(name) < 260 for name in three)
    assert choose(["a"], KEYS[0]) == "a"


def test_one_builder_less_moves_its_own_keys_alone() -> None:
    before, after = ({key: choose(names, key) for key in KEYS} for names in (["a", "b", "c"], ["a", "b"]))
    assert {before[key] for key in KEYS if before[key] != after[key]} == {"c"}


@dataclass
class Nosy(FakeEngine):
    """Keeps what would decide where a node is built."""

    near: dict[str, str] = field(default_factory=dict)

    def build(self, job: Job, *, on_line: Callable[[str], None], cancel: threading.Event | None) -> None:
        self.near[job.node] = job.near
        super().build(job, on_line=on_line, cancel=cancel)


def test_siblings_are_built_where_their_parent_is(tmp_path: Path) -> None:
    family = Family(below={"base": (), "a": ("base",), "b": ("base",), "c": ("a", "b")}, stacks={"x": "c", "y": "b"})
    with FakeRegistry() as fake:
        site = Site.at(tmp_path, fake)
        site.engine = engine = Nosy(fake)
        inputs = family.inputs()
        assert site.build(inputs)
    parents = {"base": "base", "a": "base", "b": "base", "c": "a"}
    assert engine.near == {node: inputs.fingerprint(parent) for node, parent in parents.items()}


def test_what_buildx_says_of_a_builder(tmp_path: Path) -> None:
    plugin = buildx(tmp_path, "Name:   farm-1\nDriver: remote\nLast Activity: today\n\nNodes:\nName: farm-10\n")
    assert find_driver(plugin, "farm-1") == "remote"
    assert find_builders(plugin) == ("default", "farm-1")


def test_a_builder_that_does_not_answer(tmp_path: Path) -> None:
    plugin = buildx(tmp_path, "Name:   farm-1\nDriver: \nError:  Cannot connect to unix:///x\n")
    with pytest.raises(EngineError, match="the builder farm-1 does not answer: Cannot connect to unix:///x"):
        find_driver(plugin, "farm-1")


def test_an_unknown_builder_is_an_error_before_the_engine_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cli-plugins").mkdir()
    buildx(tmp_path / "cli-plugins", 'ERROR: no builder "farm" found\n', code=1)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with pytest.raises(UsageError) as caught:
        Docker(scratch=tmp_path, builders=("farm",)).check()
    assert caught.value.message == 'no buildx builder is called "farm" (did you mean "farm-1"?)'
    assert caught.value.hint == "There is default and farm-1; `docker buildx create` makes more."


def test_other_faults_of_buildx_are_told_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="can't tell about the builder farm: ERROR: disk on fire"):
        find_driver(buildx(tmp_path, "ERROR: disk on fire\n", code=1), "farm")


def test_a_docker_context_is_made_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere:1")
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    context = environment(Builder(plugin="x", name="second", driver="docker"))
    assert (context.get("DOCKER_HOST"), context["DOCKER_CONTEXT"]) == (None, "second")
    for one in (
        Builder(plugin="x", name="farm", driver="remote"),
        Builder(plugin="x", name="default", driver="docker"),
    ):
        env = environment(one)
        assert (env["DOCKER_HOST"], env.get("DOCKER_CONTEXT")) == ("tcp://elsewhere:1", None)
