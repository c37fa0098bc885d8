"""Promise 7: a build secret is in no blob, history, label, log or plan. Here: in nothing that hubstack itself writes or
hands on; what is in real images is looked for by the tests with an engine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commandline import HUBSTACK, PROJECTS
from tests.fakes.daemon import FakeDaemon
from tests.fakes.plugin import FakePlugin, write_plugin
from tests.fakes.registry import Account, FakeRegistry

CANARIES = {
    "certificate": "CANARY-IN-THE-BUNDLE",
    "password": "CANARY-PASSWORD",
    "environment": "CANARY-IN-THE-ENVIRONMENT",
}


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        fake.auth, fake.accounts = "basic", {"robot": Account(CANARIES["password"])}
        yield fake


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    with FakeDaemon() as fake:
        yield fake


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROJECTS / "good-small", tmp_path / "project"))


@pytest.fixture
def plugin(tmp_path: Path) -> FakePlugin:
    """A buildx that shows all it was given and then fails, as a RUN that prints what it can find."""
    return write_plugin(
        tmp_path / "docker" / "cli-plugins", 'echo "#7 0.1 $@"; tr -d "\\0" < "$(dirname $0)/stdin"; exit 1'
    )


def test_no_secret_is_written_or_handed_on(
    project: Path, plugin: FakePlugin, registry: FakeRegistry, daemon: FakeDaemon, tmp_path: Path
) -> None:
    bundle = tmp_path / "proxy.pem"
    bundle.write_text(f"# {CANARIES['certificate']}\n")
    login = b64encode(f"robot:{CANARIES['password']}".encode()).decode()
    config = {"auths": {registry.host: {"auth": login}}}
    (tmp_path / "docker" / "config.json").write_text(json.dumps(config))
    env = {
        **os.environ,
        "DOCKER_HOST": daemon.address,
        "DOCKER_CONFIG": str(tmp_path / "docker"),
        "MY_TOKEN": CANARIES["environment"],
    }
    said = ""
    for words in (["plan", "--json"], ["build", "--push"], ["build", "--push", "--json"]):
        argv = [str(HUBSTACK), "--ca-bundle", str(bundle), "--registry", f"{registry.host}/hub", *words]
        done = subprocess.run(argv, cwd=project, env=env, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr
        said += done.stdout + done.stderr

    written = b"".join(path.read_bytes() for path in project.rglob("*") if path.is_file())
    stored = b"".join(registry.content.values())
    assert b"#7 0.1 build - --platform" in written  # the log has what buildx has printed
    assert f"--secret=id=hubstack-ca,src={bundle}" in plugin.argv
    for canary in (*CANARIES.values(), login):
        assert canary not in said
        assert canary.encode() not in written + stored + plugin.context
        assert canary not in "\n".join(plugin.argv)


def test_a_refused_password_is_not_shown(
    project: Path, plugin: FakePlugin, registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.accounts["robot"] = Account("another")
    config = {"auths": {registry.host: {"username": "robot", "password": CANARIES["password"]}}}
    (tmp_path / "docker" / "config.json").write_text(json.dumps(config))
    env = {**os.environ, "DOCKER_CONFIG": str(tmp_path / "docker")}
    argv = [str(HUBSTACK), "--registry", f"{registry.host}/hub", "plan"]
    done = subprocess.run(argv, cwd=project, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "401" in done.stderr
    assert str(tmp_path / "docker" / "config.json") in done.stderr  # where it came from
    assert CANARIES["password"] not in done.stdout + done.stderr
