"""The repository's own tree, as `make demo` builds it: three stacks that people can work with, and a hub that offers them.

Where they are built already, in the registry that the Makefile uses, they are taken as they are.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import subprocess
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hubstack.oci import ImageConfig
from hubstack.reference import Digest, ImageRef
from hubstack.registry import Registry

from tests.engine.workbench import NO_ENGINE, Json, Work, docker
from tests.promises.test_promise_6_only_the_image import KUBECONFIG, started

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(3600)]

ROOT = Path(__file__).parents[2]
BUILD = ("build", "--push", "--json", "minimal", "scipy", "datascience", "--hub", "demo", "--profiles")
ANSWER_S = 60


@pytest.fixture(scope="module")
def tree(real_registry: ImageRef, ca_bundle: Path | None) -> Work:
    return Work(ROOT, real_registry, ca_bundle)


@pytest.fixture(scope="module")
def configmap(tree: Work, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make demo` leaves in dist/demo."""
    folder = tmp_path_factory.mktemp("demo")
    with tree.start(*BUILD, str(folder)) as run:
        out, err = run.communicate()
    assert run.returncode == 0, out[-3000:] + err[-3000:]
    return folder / "demo.yaml"


@pytest.fixture(scope="module")
def profiles(configmap: Path) -> list[Json]:
    values = yaml.safe_load(yaml.safe_load(configmap.read_text(encoding="utf-8"))["data"]["values.yaml"])
    found: list[Json] = values["singleuser"]["profileList"]
    return found


@pytest.fixture(scope="module")
def images(profiles: list[Json]) -> dict[str, ImageRef]:
    """What people can choose in the first profile: key → image."""
    choices = profiles[0]["profile_options"]["image"]["choices"]
    return {key: ImageRef.parse(choice["kubespawner_override"]["image"]) for key, choice in choices.items()}


def test_a_second_run_builds_nothing_and_is_quick(tree: Work, configmap: Path) -> None:
    before = configmap.read_bytes()
    began = time.monotonic()
    done = replace(tree, env=NO_ENGINE).run(*BUILD, str(configmap.parent))
    assert time.monotonic() - began < 20  # 0.5 s where nobody else is at work
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {one["result"] for one in events if one["event"] == "finished"} == {"reused"}
    assert [one for one in events if one["event"] in {"phase", "note"}] == []
    assert configmap.read_bytes() == before


def test_the_launcher_starts_each_choice(
    profiles: list[Json],
    images: dict[str, ImageRef],
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the KubeSpawner of a hub; and each image is in the registry under its name, with its digest."""
    (tmp_path / "kubeconfig.yaml").write_text(KUBECONFIG, encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig.yaml"))
    assert len(images) == 4
    for key, ref in images.items():
        spawner = started(profiles, profile="python", image=key)
        assert spawner.image == str(ref)
        assert registry.head(ref.with_tag(ref.tag)) == ref.digest
    assert started(profiles).image == str(next(ref for key, ref in images.items() if key.startswith("scipy-trixie")))
    assert started(profiles, profile="class").mem_limit == 1 << 30


def test_jupyterlab_answers(images: dict[str, ImageRef]) -> None:
    """Behind a published port, with nothing but what the image brings."""
    ref = next(ref for key, ref in images.items() if key.startswith("minimal"))
    command = ("jupyter", "lab", "--ip=0.0.0.0", "--IdentityProvider.token=secret")
    container = docker("run", "--detach", "--publish=127.0.0.1::8888", str(ref), *command).strip()
    try:
        port = docker("port", container, "8888").split(":")[-1].strip()
        page = answer(f"http://127.0.0.1:{port}/lab?token=secret", container)
        assert "<title>JupyterLab</title>" in page
        status = json.loads(answer(f"http://127.0.0.1:{port}/api/status?token=secret", container))
        assert status["kernels"] == 0
    finally:
        docker("rm", "--force", container)


def answer(url: str, container: str) -> str:
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline:
        try:
            reply = httpx.get(url, follow_redirects=True, trust_env=False, timeout=10)
        except httpx.TransportError:
            time.sleep(0.2)
            continue
        assert reply.status_code == 200
        return reply.text
    pytest.fail(f"{url} does not answer\n{docker('logs', container)}")


CELLS = {
    "python3": ("import scipy, pandas\nprint('six times seven is', 6 * 7)", "six times seven is 42"),
    "ir": ("x <- c(20, 22)\ncat('the sum is', sum(x), R.version$language)", "the sum is 42 R"),
}


@pytest.mark.parametrize(("kernel", "cell", "printed"), [(k, *c) for k, c in CELLS.items()], ids=CELLS)
def test_datascience_runs_a_cell(images: dict[str, ImageRef], kernel: str, cell: str, printed: str) -> None:
    ref = next(ref for key, ref in images.items() if key.startswith("datascience"))
    notebook = {
        "nbformat": 4,
        "nbformat_minor": 4,
        "metadata": {"kernelspec": {"name": kernel, "display_name": kernel}},
        "cells": [{"cell_type": "code", "source": cell, "metadata": {}, "outputs": [], "execution_count": None}],
    }
    command = ("jupyter", "nbconvert", "--stdin", "--stdout", "--execute", "--to", "markdown")
    done = subprocess.run(
        ["docker", "run", "--rm", "--interactive", "--network=none", str(ref), *command],
        input=json.dumps(notebook),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"    {printed}" in done.stdout.splitlines()


def test_every_image_runs_as_the_user_of_the_hub(images: dict[str, ImageRef], registry: Registry) -> None:
    for ref in images.values():
        config = config_of(registry, ref)
        assert (config.user, config.env["HOME"]) == ("1000:100", "/home/jovyan")
        assert not [name for name in config.env if re.search("SSL|CERT|PROXY|TOKEN|SECRET", name.upper())]


def config_of(registry: Registry, ref: ImageRef) -> ImageConfig:
    manifest = registry.manifest(ref)
    assert manifest is not None
    assert manifest.config is not None
    return ImageConfig.parse(registry.blob(ref, manifest.config.digest))


def test_no_certificate_of_this_machine_is_in_an_image(
    images: dict[str, ImageRef], registry: Registry, ca_bundle: Path | None
) -> None:
    """Of the bundle that builds were given, an image may have what Debian, then or now, and PyPI's certifi bring."""
    if ca_bundle is None or not (foreign := certificates(ca_bundle.read_text()) - public(images)):
        pytest.skip("builds were given no certificates but public ones")
    words = [*foreign, *(base64.b64encode(one)[64:128] for one in foreign)]  # the second: a line of its PEM form
    ref = next(ref for key, ref in images.items() if key.startswith("datascience"))
    manifest = registry.manifest(ref)
    assert manifest is not None
    assert [blob.digest for blob in manifest.layers if holds(registry, ref, blob.digest, words)] == []


def public(images: dict[str, ImageRef]) -> set[bytes]:
    """The certificates that packages bring, in an image and on this machine."""
    script = "cat /usr/share/ca-certificates/mozilla/*.crt $(python -m certifi)"
    there = docker("run", "--rm", "--network=none", str(next(iter(images.values()))), "sh", "-c", script)
    here = Path("/usr/share/ca-certificates/mozilla").glob("*.crt")
    return certificates(there + "".join(one.read_text(encoding="utf-8") for one in here))


def certificates(text: str) -> set[bytes]:
    found = re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", text, re.DOTALL)
    return {ssl.PEM_cert_to_DER_cert(one) for one in found}


def holds(registry: Registry, ref: ImageRef, digest: Digest, words: list[bytes]) -> bool:
    overlap = max(map(len, words))
    before = b""
    for chunk in unpacked(registry.blob(ref, digest, limit_bytes=4 << 30)):
        if any(word in before + chunk for word in words):
            return True
        before = chunk[-overlap:]
    return False


def unpacked(content: bytes) -> Iterator[bytes]:
    stream: Any = zlib.decompressobj(wbits=31)
    for start in range(0, len(content), 1 << 20):
        yield stream.decompress(content[start : start + (1 << 20)])
