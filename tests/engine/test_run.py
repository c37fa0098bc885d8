"""``hubstack run``: a command in an image that is built for it, also of a layer that no stack has."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace

import pytest
from hubstack.registry import Registry

from tests.engine.workbench import NO_ENGINE, Work

pytestmark = pytest.mark.engine


def run_in(work: Work, *words: str) -> subprocess.CompletedProcess[str]:
    """With the project's folder as the current one, which the container gets to see."""
    return subprocess.run(
        work.argv("run", *words),
        check=False,
        cwd=work.folder,
        env={**os.environ, **work.env},
        capture_output=True,
        text=True,
    )


def test_a_layer_that_no_stack_has(settled: Work, registry: Registry) -> None:
    done = run_in(settled, "layer:unused", "--", "/opt/unused", "two words", "--port=1")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "used after all, with two words --port=1\n"
    assert "unused-" in done.stderr
    assert "== pushing" not in settled.log(settled.nodes("layer:unused")["unused"]["id"])
    fingerprint = settled.nodes("layer:unused")["unused"]["fingerprint"]
    assert registry.head(settled.prefix.child("build").with_tag(f"fp-{fingerprint}")) is None
    again = run_in(settled, "layer:unused", "--", "/opt/unused")
    assert (again.stdout, again.stderr) == ("used after all, with \n", "")


def test_an_image_that_is_built_is_not_built_again(settled: Work) -> None:
    """It is pulled; the folder is mounted; the exit code is the command's."""
    settled.write("note.txt", "from outside\n")
    done = run_in(settled, "both/loud", "--", "sh", "-c", "id -u; cat /opt/words; cd ~/work && cat note.txt; exit 7")
    assert (done.returncode, done.stdout) == (7, "1000\nloud\nfrom outside\n")
    assert done.stderr == ""
    assert not (settled.folder / ".hubstack" / "nodes").exists()


def test_what_is_no_single_image(settled: Work) -> None:
    done = run_in(replace(settled, env=NO_ENGINE), "both", "--", "true")
    assert done.returncode == 2
    assert "'both' is 2 images" in done.stderr or "both is 2 images" in done.stderr


def test_a_failing_build_runs_nothing(settled: Work) -> None:
    settled.edit("layers/unused/layer.yaml", "test -x /opt/unused", "false")
    done = run_in(settled, "layer:unused", "--", "/opt/unused")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "`false` ended with code 1, not 0" in done.stderr
