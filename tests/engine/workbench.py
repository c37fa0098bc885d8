"""What tests on a real engine share: a registry prefix of their own, a small project, and the command as people run it.

A plugin of tests/conftest.py, because the tests of promises need it as well.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hubstack.buildx import find_plugin
from hubstack.lock import load_lock, render_lock
from hubstack.reference import Digest, ImageRef
from hubstack.registry import Registry
from hubstack.registry.credentials import anonymous

HUBSTACK = Path(sys.executable).with_name("hubstack")
PROJECT = Path(__file__).parents[1] / "projects" / "good-engine"
ROOTFS = "example.org/rootfs:1"  # as the project's base names what the fixture of this name has made
NO_ENGINE = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
DEADLINE_S = 600

Json = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A finished ``hubstack build --json``."""

    code: int
    events: list[Json]
    stderr: str

    def of(self, event: str) -> list[Json]:
        return [one for one in self.events if one["event"] == event]

    @cached_property
    def results(self) -> dict[str, str]:
        """By layer, or by node where a layer has several."""
        return {node: one["result"] for node, one in by_layer(self.of("finished"), "node").items()}

    def layers(self, phase: str) -> list[str]:
        """The layers of the nodes that entered a phase, sorted; a layer as often as it has such nodes."""
        return sorted(layer_of(one["node"]) for one in self.of("phase") if one["phase"] == phase)

    @property
    def digests(self) -> dict[str, str]:
        """What people can choose: ``stack/variant`` → digest."""
        (done,) = self.of("done")
        return {f"{row['stack']}/{row['variant']}": row["digest"] for row in done["images"]}


@dataclass(frozen=True)
class Work:
    """A project's folder and the prefix under which it is published."""

    folder: Path
    prefix: ImageRef
    ca_bundle: Path | None
    env: Mapping[str, str] = field(default_factory=dict)

    def argv(self, *words: str) -> list[str]:
        bundle = [f"--ca-bundle={self.ca_bundle}"] if self.ca_bundle else []
        return [str(HUBSTACK), "-C", str(self.folder), f"--registry={self.prefix}", *bundle, *words]

    def start(self, *words: str) -> subprocess.Popen[str]:
        """The command at work, in a session of its own, so that a signal to it is a signal to it alone."""
        return subprocess.Popen(
            self.argv(*words),
            env={**os.environ, "NO_COLOR": "1", **self.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        with self.start(*words) as process:
            try:
                out, err = process.communicate(timeout=DEADLINE_S)
            except BaseException:
                process.terminate()
                raise
        failed = [line for line in out.splitlines() if '"result": "failed"' in line]
        said = "\n".join((*failed, out[-3000:], err[-6000:]))
        assert process.returncode == code, f"{words} ended with {process.returncode}\n{said}"
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def build(self, *words: str, code: int = 0) -> Run:
        """``hubstack build --push --json``."""
        done = self.run("build", "--push", "--json", *words, code=code)
        return Run(code, [json.loads(line) for line in done.stdout.splitlines()], done.stderr)

    def plan(self, *words: str) -> list[Json]:
        """The nodes that something happens to, in build order."""
        nodes = json.loads(self.run("plan", "--json", *words).stdout)["nodes"]
        return [node for node in nodes if node["action"] != "reuse"]

    def nodes(self, *words: str) -> dict[str, Json]:
        """Every planned node, by layer or, where a layer has several, by id. Asks no registry."""
        return by_layer(json.loads(self.run("plan", "--json", "--offline", *words).stdout)["nodes"], "id")

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace ``old``, which stands there once; an empty one stands at the end."""
        file = self.folder / path
        text = file.read_text(encoding="utf-8")
        assert not old or text.count(old) == 1, f"{old!r} in {path}"
        file.write_text(text.replace(old, new) if old else text + new, encoding="utf-8")

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def configmap(self, folder: str = "out") -> str:
        return (self.folder / folder / "demo.yaml").read_text(encoding="utf-8")

    def log(self, node: str) -> str:
        return (self.folder / ".hubstack" / "logs" / f"{node}.log").read_text(encoding="utf-8")

    def clone(self, folder: Path) -> Work:
        """The same project elsewhere, as git would give it to somebody: without the store."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns(".hubstack", "out"))
        return replace(self, folder=folder)


def layer_of(node: str) -> str:
    return node.rpartition("-")[0]


def by_layer(items: list[Json], key: str) -> dict[str, Json]:
    layers = [layer_of(item[key]) for item in items]
    return {name if layers.count(name) == 1 else item[key]: item for name, item in zip(layers, items, strict=True)}


# --- the registry and the engine ---------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def ca_bundle() -> Path | None:
    path = os.environ.get("HUBSTACK_TEST_CA_BUNDLE")
    return Path(path) if path else None


@pytest.fixture(scope="session")
def real_registry() -> ImageRef:
    """Where the Makefile publishes: HOST/PREFIX. What tests push goes below it."""
    return ImageRef.parse(os.environ.get("HUBSTACK_TEST_REGISTRY") or "127.0.0.1:5000/hubstack")


@pytest.fixture(scope="session")
def session_prefix(real_registry: ImageRef) -> Iterator[ImageRef]:
    """Below it everything is this session's; at its end the engine forgets the images of that name."""
    prefix = real_registry.child("test").child(uuid.uuid4().hex[:8])
    yield prefix
    filters = [f"--filter=reference={prefix}/{below}" for below in ("*", "*/*", "*/*/*", "*/*/*/*")]
    listed = docker("images", "--format={{.Repository}}|{{.Tag}}|{{.Digest}}", *filters)
    images = [line.split("|") for line in listed.splitlines()]
    names = [f"{name}@{digest}" if tag == "<none>" else f"{name}:{tag}" for name, tag, digest in images]
    if names:  # nobody waits for it: an engine with much in its store takes seconds for each
        remove = 'docker image rm --force "$@" >/dev/null 2>&1 &'
        subprocess.run(["sh", "-c", remove, "sh", *names], check=True, start_new_session=True)


@pytest.fixture(scope="session")
def fresh_prefix(session_prefix: ImageRef) -> Callable[[], ImageRef]:
    """A prefix that nobody has used."""
    numbers = count(1)
    return lambda: session_prefix.child(str(next(numbers)))


@pytest.fixture(scope="session")
def registry(real_registry: ImageRef) -> Iterator[Registry]:
    client = Registry(real_registry.host, look_up=anonymous)
    yield client
    client.close()


def docker(*words: str) -> str:
    """What the docker command prints."""
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout


def tags(registry: Registry, *repositories: ImageRef) -> dict[str, Digest]:
    """Every tag of some repositories, without the host."""
    refs = [repository.with_tag(tag) for repository in repositories for tag in registry.tags(repository)]
    there = registry.heads(refs)
    return {f"{ref.repository}:{ref.tag}": digest for ref in refs if (digest := there[ref]) is not None}


def published(registry: Registry, prefix: ImageRef) -> dict[str, Digest]:
    """Every tag of the small project under ``prefix``, but ``last-…``: those move and are trusted by nothing."""
    found = tags(registry, *(prefix.child(name) for name in ("build", "small", "both", "hello")))
    return {name: digest for name, digest in found.items() if ":last-" not in name}


def containers(work: Work) -> list[str]:
    """The test containers of a project that are there, running or not."""
    label = f"io.github.hubstack.scratch={work.folder.resolve() / '.hubstack' / 'tmp'}"
    return docker("ps", "--all", "--quiet", f"--filter=label={label}").split()


def builders(work: Work) -> list[str]:
    """The command lines of the buildx that work for a project."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended
        if "docker-buildx build" in line and str(work.folder.resolve()) in line:
            found.append(line)
    return found


# --- projects ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def rootfs(
    real_registry: ImageRef, registry: Registry, ca_bundle: Path | None, tmp_path_factory: pytest.TempPathFactory
) -> ImageRef:
    """A Debian with Python, which a base can name. Made by hubstack itself; a later session finds it in the registry."""
    prefix = real_registry.child("test").child("rootfs")
    work = Work(tmp_path_factory.mktemp("rootfs"), prefix, ca_bundle)
    work.write("hubstack.yaml", "base: debian\n")
    work.write(
        "base/debian/layer.yaml",
        "summary: Debian with Python\n"
        "bootstrap: {suite: trixie, variant: minbase, include: [ca-certificates, python3, python3-venv]}\n",
    )
    work.write("base/debian/Dockerfile.j2", "FROM parent\nUSER 1000:100\n")
    with Path(tempfile.gettempdir(), "hubstack-rootfs.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # who runs beside finds it in the registry, too
        work.build("layer:debian")
    tag = f"fp-{work.nodes('layer:debian')['debian']['fingerprint']}"
    ref = prefix.child("build").with_tag(tag)
    digest = registry.head(ref)
    assert digest is not None
    return replace(ref, digest=digest)


@pytest.fixture(scope="session")
def make_project(
    rootfs: ImageRef, fresh_prefix: Callable[[], ImageRef], ca_bundle: Path | None
) -> Callable[[Path], Work]:
    """``make_project(folder)``: the small project in a folder that is made for it, with a prefix of its own."""
    return lambda folder: copy_project(folder, fresh_prefix(), rootfs, ca_bundle)


@pytest.fixture
def work(make_project: Callable[[Path], Work], tmp_path: Path) -> Work:
    """A small project that nobody has built."""
    return make_project(tmp_path / "project")


@pytest.fixture(scope="session")
def built(make_project: Callable[[Path], Work], tmp_path_factory: pytest.TempPathFactory) -> tuple[Work, Run]:
    """The small project, built, tested and published, and the run that did it. Not to be changed: see ``settled``."""
    work = make_project(tmp_path_factory.mktemp("built") / "project")
    return work, work.build("--profiles", str(work.folder / "out"))


@pytest.fixture
def settled(built: tuple[Work, Run], tmp_path: Path) -> Work:
    """A clone of the small project, to be changed. It is published, and has no store of its own.

    Tests share its prefix: what they build anew should be new to it, and channels are only now where its files want them.
    """
    work = built[0].clone(tmp_path / "settled")
    assert set(work.build().results.values()) == {"reused"}
    return work


@dataclass(frozen=True)
class Cold:
    """A build without BuildKit's cache; ``canary`` is a word in the file of certificates that it was given."""

    work: Work
    run: Run
    canary: str


@pytest.fixture(scope="session")
def cold(
    make_project: Callable[[Path], Work], ca_bundle: Path | None, tmp_path_factory: pytest.TempPathFactory
) -> Cold:
    """The small project, each step of it really run, under a prefix of its own. Not to be changed."""
    folder, canary = tmp_path_factory.mktemp("cold"), f"CANARY{uuid.uuid4().hex}"
    bundle = with_canary(folder / f"{canary}.pem", ca_bundle, canary)
    work = replace(wrap_buildx(make_project(folder / "project"), folder / "docker", "--no-cache"), ca_bundle=bundle)
    return Cold(work, work.build("--profiles", str(work.folder / "out")), canary)


def with_canary(path: Path, ca_bundle: Path | None, canary: str) -> Path:
    certificates = ca_bundle.read_text(encoding="utf-8") if ca_bundle else ""
    path.write_text(f"{certificates}\n{canary}\n", encoding="utf-8")
    return path


def copy_project(folder: Path, prefix: ImageRef, rootfs: ImageRef, ca_bundle: Path | None) -> Work:
    shutil.copytree(PROJECT, folder)
    work = Work(folder, prefix, ca_bundle)
    assert rootfs.digest is not None
    name = f"{rootfs.host}/{rootfs.repository}:{rootfs.tag}"
    work.edit("base/debian/layer.yaml", ROOTFS, name)
    lock = load_lock((folder / "hubstack.lock").read_text(encoding="utf-8"))
    work.write("hubstack.lock", render_lock(replace(lock, images={name: rootfs.digest})))
    return work


def without_hello(work: Work) -> Work:
    """Without what asks Debian's archive: for tests that build a project many times."""
    shutil.rmtree(work.folder / "layers" / "hello")
    (work.folder / "stacks" / "hello.yaml").unlink()
    work.edit("profiles/demo.yaml", ', "both/*", hello]', ', "both/*"]')
    return work


def wrap_buildx(work: Work, folder: Path, options: str) -> Work:
    """Let hubstack find a buildx that takes ``options`` (a shell's words) with each build."""
    plugins = folder / "cli-plugins"
    plugins.mkdir(parents=True)
    wrapper = plugins / "docker-buildx"
    wrapper.write_text(f'#!/bin/sh\nshift\nexec {find_plugin()} build {options} "$@"\n')
    wrapper.chmod(0o755)
    return replace(work, env={**work.env, "DOCKER_CONFIG": str(folder)})


def neutral(configmap: str, work: Work) -> str:
    """Without the prefix's own name and the checksum over it, to compare what two prefixes hold."""
    text = re.sub(rf"{re.escape(str(work.prefix))}\b", "PREFIX", configmap)
    return re.sub(r'sha256": "[0-9a-f]{64}"', 'sha256": "…"', text)
