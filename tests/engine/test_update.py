"""`hubstack update` with the real uv and the real package index: what the fake one is believed for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest
from hubstack import command
from hubstack.errors import ProjectError
from hubstack.lock import Demand, Lock, load_lock, pins_for, render_lock
from hubstack.lock.resolution import Package, Resolution
from hubstack.lock.update import Outside, update
from hubstack.model import Pin
from uv import find_uv_bin

from tests.handmade import handmade_graph, handmade_inputs, handmade_layer, handmade_project

pytestmark = [pytest.mark.engine, pytest.mark.slow]

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
PROJECT = handmade_project(
    handmade_layer("base-debian", default={"release": HERE}),
    handmade_layer("web", default={"werkzeug": "2.3"}),
    handmade_layer("client", requires=("web",)),
)
CHAIN = ("base-debian", "web", "client")
TEXTS = {
    "web": "flask==2.3.*\nwerkzeug=={werkzeug}.*  # a release line, as JupyterLab's\n",
    "client": 'requests[socks]==2.32.*\npython-dateutil==2.9.*\ncolorama; sys_platform == "win32"\n',
}


def demand(*values: Mapping[str, str], texts: Mapping[str, str] = TEXTS) -> Demand:
    graph = handmade_graph(PROJECT, [(CHAIN, one) for one in values])
    return Demand(project=PROJECT, graph=graph, inputs=handmade_inputs(graph, texts, "{release}"))


OUTSIDE = Outside(
    today=date(2026, 11, 1), run=command.output, resolve_image=lambda _: None, env=os.environ, say=lambda _: None
)


@pytest.fixture(scope="module")
def lock() -> Lock:
    """For this Python in two values, and for one that this machine need not have."""
    return update(demand({}, {"werkzeug": "3.0"}, {"release": "3.13"}), Lock(), OUTSIDE).lock


def test_slices_install_one_after_the_other_and_fit(lock: Lock, tmp_path: Path) -> None:
    asked = demand({"werkzeug": "3.0"})
    cut = pins_for(PROJECT, asked.graph, load_lock(render_lock(lock)), asked.inputs)
    assert cut.problems == ()
    slices = [cut.pins[node] for node in asked.graph.nodes if node in cut.pins]
    assert {pin.name for pin in slices[0]} >= {"flask", "werkzeug", "click"}
    assert {pin.name for pin in slices[1]} == {
        *("requests", "pysocks", "certifi", "charset-normalizer", "idna", "urllib3"),
        *("python-dateutil", "six"),
    }
    uv("venv", "--python", sys.executable, str(tmp_path))
    for number, pins in enumerate(slices):
        file = tmp_path / f"{number}.txt"
        file.write_text("".join(map(requirement, pins)))
        uv("pip", "install", "--python", str(tmp_path), "--no-deps", "--require-hashes", "-r", str(file))
    uv("pip", "check", "--python", str(tmp_path))


def test_another_python_than_this_one_is_resolved_for(lock: Lock) -> None:
    """charset-normalizer has wheels of its own for each Python."""
    assert {"3.13", HERE, f"{HERE} werkzeug=3.0"} == set(lock.python)
    if HERE != "3.13":
        here, there = (lock.python[scope].packages["charset-normalizer"] for scope in (HERE, "3.13"))
        assert set(here.hashes) != set(there.hashes)


def test_the_lock_names_no_address(lock: Lock) -> None:
    assert "://" not in render_lock(lock)
    assert "simple" not in render_lock(lock)


def test_versions_of_the_old_lock_are_kept_unless_they_may_move(lock: Lock) -> None:
    found = lock.python[HERE]
    older = {**found.packages, **{name: older_one(found, name, version) for name, version in OLDER.items()}}
    old = Lock(python={HERE: Resolution(requirements=found.requirements, packages=older)})
    new = update(demand({}), old, OUTSIDE, ["six"]).lock.python[HERE].packages
    assert new["certifi"].version == OLDER["certifi"]
    assert new["six"] == found.packages["six"]


OLDER = {"certifi": "2025.1.31", "six": "1.16.0"}


def older_one(found: Resolution, name: str, version: str) -> Package:
    assert found.packages[name].version != version
    return Package(name=name, version=version, hashes=("0" * 64,))


def test_a_conflict_is_told_at_the_lines_that_make_it() -> None:
    texts = {"web": "flask==2.3.*\nwerkzeug<2\n", "client": "six\nwerkzeug>=3\n"}
    with pytest.raises(ProjectError) as caught:
        update(demand({}, texts=texts), Lock(), OUTSIDE)
    assert [str(problem.position) for problem in caught.value.problems] == [
        "layers/client/requirements.txt:2:1",
        "layers/web/requirements.txt:2:1",
    ]
    reason = str(caught.value.problems[0])
    assert 'layer "client" depends on werkzeug>=3' in reason
    assert 'layer "web" depends on werkzeug<2' in reason


def requirement(pin: Pin) -> str:
    return f"{pin.name}=={pin.version} {' '.join(f'--hash={one}' for one in pin.hashes)}\n"


def uv(*arguments: str) -> None:
    subprocess.run([find_uv_bin(), *arguments], check=True, capture_output=True, text=True)
