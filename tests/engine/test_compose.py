"""``hubstack compose``: an image of layers that no stack has, put together in a real registry, and looked at from inside."""

from __future__ import annotations

import json
import subprocess

import pytest
from hubstack.reference import ImageRef
from hubstack.registry import Registry

from tests.engine.workbench import Work

pytestmark = pytest.mark.engine

LAYERS = ("hello", "numbers", "note", "editor")
WHOLE = """
set -e
hello; python -c 'import six'; cat /opt/note; ed --version
dpkg --audit; apt-get check
export PATH="$PATH:/usr/sbin:/sbin"; ldconfig -p >/tmp/merged; ldconfig; ldconfig -p >/tmp/own; cmp /tmp/merged /tmp/own
grpck -r; pwck -r || [ $? = 2 ]  # folders that Debian never makes
find / -xdev '(' -nouser -o -nogroup ')' -print
"""


def inside(ref: str, script: str) -> subprocess.CompletedProcess[str]:
    command = ["docker", "run", "--rm", "--interactive", "--user=0", "--network=none", "--entrypoint=sh", ref]
    return subprocess.run(command, input=script, capture_output=True, text=True, check=False)


@pytest.fixture
def composed(settled: Work) -> dict[str, object]:
    """Of two layers with packages of Debian, one with one of PyPI, and one with a file."""
    settled.write("layers/editor/layer.yaml", "summary: The standard one\ntests: [{run: ed --version}]\n")
    settled.write("layers/editor/apt.txt", "ed\n")
    settled.write("layers/note/layer.yaml", "summary: A file\n")
    settled.write("layers/note/files/opt/note", "a note\n")
    found: dict[str, object] = json.loads(settled.run("compose", *LAYERS, "--push", "--json").stdout)
    return found


def test_the_image_holds_what_each_layer_brings_and_no_database_lies(composed: dict[str, object]) -> None:
    done = inside(str(composed["ref"]), WHOLE)
    assert done.returncode == 0, done.stdout + done.stderr
    both = inside(str(composed["ref"]), "dpkg-query --show ed hello")
    assert [line.split()[0] for line in both.stdout.splitlines()] == ["ed", "hello"]


def test_again_and_in_another_order_it_is_the_same_image(
    settled: Work, composed: dict[str, object], registry: Registry
) -> None:
    before = registry.tags(settled.prefix.child("build"))
    again = json.loads(settled.run("compose", *reversed(LAYERS), "--push", "--json").stdout)
    assert again["ref"] == composed["ref"]
    assert registry.tags(settled.prefix.child("build")) == before


def test_a_changed_test_is_run_again_and_what_fails_is_not_marked(settled: Work, composed: dict[str, object]) -> None:
    settled.edit("layers/editor/layer.yaml", "ed --version", "grep -q nothing /etc/passwd")
    done = settled.run("compose", *LAYERS, "--push", code=1)
    assert "editor" in done.stderr
    settled.edit("layers/editor/layer.yaml", "grep -q nothing", "grep -q jovyan")
    again = settled.run("compose", *LAYERS, "--push", "--json")
    assert json.loads(again.stdout)["ref"] == composed["ref"]
    assert ": testing" in again.stderr
    assert ": testing" not in settled.run("compose", *LAYERS, "--push", "--json").stderr


def test_a_project_whose_images_are_signed_is_refused(settled: Work) -> None:
    settings = (settled.folder / "hubstack.yaml").read_text()
    settled.write("hubstack.yaml", f"{settings}signing: {{key: cosign.pub}}\n")
    done = settled.run("compose", "hello", "numbers", "--push", code=2)
    assert "compose can't sign" in done.stderr


def test_without_push_it_is_only_worked_out(settled: Work, registry: Registry) -> None:
    repository = settled.prefix.child("composed")
    before = registry.tags(repository)
    done = settled.run("compose", "hello", "numbers", "--json")
    found = json.loads(done.stdout)
    assert "nothing is pushed" in done.stderr
    assert registry.tags(repository) == before
    ref = ImageRef.parse(found["ref"])
    assert (ref.tag.startswith("hello-numbers-"), ref.digest) == (True, None)


def test_layers_that_want_different_things_are_refused_by_name(settled: Work, registry: Registry) -> None:
    for name in ("left", "right"):
        settled.write(f"layers/{name}/layer.yaml", f"summary: On the {name}\n")
        settled.write(f"layers/{name}/files/opt/side", f"{name}\n")
    before = registry.tags(settled.prefix.child("composed"))
    done = settled.run("compose", "right", "left", "--push", code=1)
    assert "left, right can't be merged:\n  left and right: /opt/side has different contents. Move it" in done.stderr
    assert "after:" in done.stderr
    assert registry.tags(settled.prefix.child("composed")) == before
