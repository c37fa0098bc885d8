"""A pull request from a fork on a real engine: only what the change needs, whether or not the registry can be read."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hubstack.reference import ImageRef

from tests.engine.workbench import Work, by_layer, without_hello
from tests.fakes.registry import FakeRegistry

pytestmark = pytest.mark.engine


def commit(work: Work) -> None:
    git = ["git", "-C", str(work.folder), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "main"]):
        subprocess.run([*git, *words], check=True)


def build(work: Work) -> tuple[dict[str, str], str]:
    """Without --push: what became of each layer, and what was said."""
    done = work.run("build", "--since", "HEAD", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    finished = [one for one in events if one["event"] == "finished"]
    return {layer: one["result"] for layer, one in by_layer(finished, "node").items()}, done.stderr


def propose(work: Work) -> None:
    """A layer that no stack has, and a change to one that some have."""
    work.write("layers/proposed/layer.yaml", "summary: Proposed\ntests: [{run: cat /opt/proposed, stdout: '^yes'}]\n")
    work.write("layers/proposed/files/opt/proposed", "yes\n")
    work.edit("layers/tool/files/greet", "", "# later\n")


def test_with_a_registry_to_read_only_the_change_is_built(settled: Work, tmp_path: Path) -> None:
    commit(settled)
    propose(settled)
    results, said = build(settled)
    assert results["proposed"] == "built"
    assert results["debian"] == "reused"
    assert "can't be read" not in said
    summary = tmp_path / "summary.md"
    done = settled.run("review", "--since", "HEAD", "--json", "--summary", str(summary))
    review = json.loads(done.stdout)
    assert {node["node"].rpartition("-")[0] for node in review["nodes"]} == {
        layer.split("-")[0] for layer, result in results.items() if result == "built"
    }
    assert review["images_not_measured"] == 0
    assert 0 < review["pull_bytes"] < 10_000_000  # a small file, and not the Debian below it
    assert "## What this changes" in summary.read_text()


def test_with_a_registry_that_nobody_may_read_all_that_it_needs_is_built(
    make_project: Callable[[Path], Work], tmp_path: Path
) -> None:
    work = without_hello(make_project(tmp_path / "project"))
    commit(work)
    work.write("layers/proposed/layer.yaml", "summary: Proposed\ntests: [{run: cat /opt/proposed, stdout: '^yes'}]\n")
    work.write("layers/proposed/files/opt/proposed", "yes\n")
    with FakeRegistry() as closed:
        closed.auth = "token"
        fork = replace(work, prefix=ImageRef(host=closed.host, repository="trusted"))
        results, said = build(fork)
        assert results == {"debian": "built", "proposed": "built"}
        assert said.count("can't be read: what is not here is built") == 1
        assert {one.method for one in closed.requests} <= {"GET", "HEAD"}
        assert build(fork)[0]["proposed"] == "reused"
        review = json.loads(fork.run("review", "--since", "HEAD", "--json").stdout)
        assert review["notes"][0].startswith("the registry can't be read")
        assert [one["layer"] for one in review["layers"]] == ["proposed"]
