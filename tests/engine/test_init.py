"""`hubstack init` on an image that is really there: what it writes is locked, built, tested and published as it is."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from hubstack.lock import load_lock
from hubstack.registry import Registry

from tests.engine.workbench import HUBSTACK, Run, Work

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def test_a_tree_of_one_s_own(built: tuple[Work, Run], tmp_path: Path, registry: Registry) -> None:
    """The small project's image, which has Python and a stand-in for JupyterHub's server, is what it stands on."""
    upstream = built[0].prefix.child("small").with_tag("default-latest")
    own = Work(tmp_path / "own", built[0].prefix.child("own"), built[0].ca_bundle)
    words = ["init", str(own.folder), f"--from={upstream}", f"--registry={own.prefix}", "--python=3.13"]
    bundle = [f"--ca-bundle={own.ca_bundle}"] if own.ca_bundle else []
    subprocess.run(["git", "init", "--quiet", str(own.folder)], check=True)
    begun = subprocess.run([HUBSTACK, *bundle, *words], capture_output=True, text=True, check=False)
    assert begun.returncode == 0, begun.stderr
    assert "hubstack update" not in begun.stderr  # the lock is there
    lock = load_lock((own.folder / "hubstack.lock").read_text())
    assert lock.images == {str(upstream): registry.head(upstream)}
    assert "numpy" in lock.python["3.13"].packages
    assert own.run("check").stdout == "no faults found\n"
    assert set(own.build("--profiles", str(own.folder / "out")).results.values()) == {"built"}
    assert f"{own.prefix}/science:default-" in (own.folder / "out" / "main.yaml").read_text()
    assert own.plan() == []
    committed = commit(own.folder)
    assert "hubstack.lock" in committed
    assert not [path for path in committed if path.startswith(".hubstack/")]


def commit(folder: Path) -> list[str]:
    """What git has after a commit of everything."""
    git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run([*git, "add", "--all"], check=True, env=env)
    subprocess.run([*git, "commit", "--quiet", "-m", "one"], check=True, env=env)
    listed = subprocess.run([*git, "ls-files"], check=True, capture_output=True, text=True, env=env).stdout
    return listed.splitlines()


def test_layers_from_images_of_one_family(settled: Work, tmp_path: Path) -> None:
    """Their packages are asked of the images, their steps of the histories; what both have is one layer."""
    small, both = (settled.prefix.child(name) for name in ("small", "both"))
    (tmp_path / "own").mkdir()
    own = Work(tmp_path / "own", settled.prefix, settled.ca_bundle)
    done = own.run("import", "--json", f"{small}:default-latest", f"{both}:loud-latest")
    layers = json.loads(done.stdout)["layers"]
    assert layers["common"]["layers/common/requirements.txt"] == "six\n"
    assert "python3 -m venv /opt/venv" in layers["common"]["layers/common/Dockerfile.j2"]
    assert "six" not in "".join(layers["both"].values())
    assert "common]" in layers["both"]["layers/both/layer.yaml"]
    assert "echo loud >/opt/words" in layers["both"]["layers/both/Dockerfile.j2"]
    assert "install /mnt/greet" in done.stderr  # a mount of another layer: it is said, not guessed
