"""Pruning a real docker-registry, which this module starts with deleting switched on."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from hubstack.cli.invocation import Invocation
from hubstack.cli.prune import make_pruner
from hubstack.errors import RegistryError, UsageError
from hubstack.lock import Lock
from hubstack.names import FINGERPRINT_LABEL, Names
from hubstack.oci import make_artifact
from hubstack.pipeline import Inputs, prepare
from hubstack.project import load_project
from hubstack.prune import Pruned
from hubstack.publish import Publisher
from hubstack.record import Record
from hubstack.reference import Digest, ImageRef
from hubstack.registry import Registry
from hubstack.registry.credentials import anonymous
from hubstack.schedule import Outcome, Result

from tests.engine.relay import Moment, Relay
from tests.engine.workbench import HUBSTACK
from tests.fakes.layout import write_layout

pytestmark = pytest.mark.registry

DAY = timedelta(days=1)
START = datetime(2026, 11, 1, 12, tzinfo=UTC)
FILES = {
    "hubstack.yaml": "platforms: [linux/amd64, linux/arm64]\n",
    "base/debian/layer.yaml": "summary: Debian\nbootstrap: {suite: trixie}\n",
    "layers/note/layer.yaml": "summary: A note\n",
    "layers/note/files/opt/note": "one\n",
    "stacks/notes.yaml": "title: Notes\nbase: debian\nlayers: [note]\n",
}


@contextmanager
def docker_registry(folder: Path, *, delete: bool = True) -> Iterator[str]:
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    config = folder / "registry.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f'storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\nhttp: {{addr: "{host}"}}\n'
    )
    env = {**os.environ, "REGISTRY_STORAGE_DELETE_ENABLED": str(delete).lower()}
    with subprocess.Popen(["docker-registry", "serve", str(config)], env=env, stderr=subprocess.DEVNULL) as process:
        try:
            await_registry(host)
            yield host
        finally:
            process.terminate()


def await_registry(host: str) -> None:
    for _ in range(100):
        try:
            httpx.get(f"http://{host}/v2/", trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("docker-registry does not answer")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@dataclass(frozen=True)
class Tree:
    """A project's folder, and where it publishes."""

    folder: Path
    prefix: ImageRef
    registry: Registry

    @property
    def names(self) -> Names:
        return Names.of(self.invocation.project.settings)

    @property
    def invocation(self) -> Invocation:
        return Invocation(folder=self.folder, ca_bundle=None, registry=str(self.prefix))

    def publish(self, note: str) -> ImageRef:
        """A build of the tree with another note in it, to its end; the image's name with its digest."""
        (self.folder / "layers/note/files/opt/note").write_text(f"{note}\n")
        project, _ = load_project(self.folder)
        inputs = prepare(project, Lock(), [])
        publisher = Publisher(registry=self.registry, names=self.names)
        outcomes = {node: self._build(inputs, publisher, node) for node in inputs.rendered}
        plan = inputs.plan(None)
        (one,) = publisher.publish(plan, outcomes, channels=["latest"], all_or_nothing=False)
        return one.ref

    def _build(self, inputs: Inputs, publisher: Publisher, node: str) -> Outcome:
        fingerprint = inputs.fingerprint(node)
        folder = self.folder.with_name("layouts") / fingerprint
        layout = write_layout(folder, [f"{node} {fingerprint}".encode()], {FINGERPRINT_LABEL: fingerprint})
        digest = publisher.push_node(layout, fingerprint, on_bytes=lambda *_: None)
        record = Record(node=node, fingerprint=fingerprint, facts=(), sources={}, seconds=1.0, size_bytes=1)
        publisher.remember(record)
        publisher.mark_tested(fingerprint, inputs.tests[node], digest)
        return Outcome(node=node, result=Result.BUILT, digest=digest)

    def attach(self, ref: ImageRef) -> ImageRef:
        """What cosign leaves beside an image."""
        assert ref.digest is not None
        name = ref.with_tag(f"sha256-{ref.digest.hex}.sig")
        self.registry.write_record(name, {"signs": ref.digest}, artifact_type="application/vnd.dev.cosign")
        return name

    def prune(self, day: int, *in_use: ImageRef, delete: bool = True, keep: int = 30) -> Pruned:
        words = self.folder / "in-use.txt"
        words.write_text("\n".join(map(str, in_use)) or "none")
        invocation = self.invocation
        try:
            pruner = make_pruner(invocation, words, (), (), publish=delete)
            now = START + day * DAY
            return pruner.delete(now, keep * DAY) if delete else pruner.look(now, keep * DAY)
        finally:
            invocation.close()

    def there(self) -> dict[str, Digest]:
        refs = [
            repository.with_tag(tag)
            for repository in (self.names.build, self.prefix.child("notes"))
            for tag in self.registry.tags(repository)
            if tag != "prune-marks"
        ]
        heads = self.registry.heads(refs)
        return {f"{ref.repository}:{ref.tag}": digest for ref in refs if (digest := heads[ref]) is not None}

    def whole(self, ref: ImageRef) -> bool:
        """Whether an image can be pulled, on every platform."""
        index = self.registry.manifest(ref.with_tag("").with_digest(Digest(str(ref.digest))))
        if index is None:
            return False
        parts = [self.registry.manifest(ref.with_digest(part.digest)) for part in index.manifests]
        return len(parts) == 2 and all(
            part is not None and all(self.registry.has_blob(ref, blob.digest) for blob in part.blobs) for part in parts
        )


@pytest.fixture
def make_tree(host: str, tmp_path: Path) -> Iterator[Callable[..., Tree]]:
    """``make_tree(name, host)``: a project of its own, for a prefix of its own."""
    clients = []

    def make(name: str = "tree", host: str = host) -> Tree:
        folder = tmp_path / name
        for path, text in FILES.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        clients.append(Registry(host, look_up=anonymous))
        return Tree(folder, ImageRef.parse(f"{host}/{name}-{tmp_path.name}".lower().replace("_", "-")), clients[-1])

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def tree(make_tree: Callable[..., Tree]) -> Tree:
    return make_tree()


def states(pruned: Pruned) -> dict[str, str]:
    """``repository:tag`` → state."""
    return {
        f"{row.held.repository.repository}:{tag.name}": str(row.state) for row in pruned.rows for tag in row.held.tags
    }


def test_two_steps(tree: Tree) -> None:
    first, second = tree.publish("one"), tree.publish("two")
    attached = [tree.attach(ref) for ref in (first, second)]
    before_third = tree.there()
    third = tree.publish("three")
    everything = tree.there()
    old = {name for name in before_third if ":last-" not in name and ":notes-latest" not in name}

    listed = tree.prune(0, first, delete=False)  # a server runs the first
    unneeded = states(listed)
    assert set(unneeded.values()) == {"unneeded"}
    assert f"{second.repository}:{second.tag}" in unneeded
    assert f"{attached[1].repository}:{attached[1].tag}" in unneeded
    kinds = sorted(name.rpartition(":")[2].partition("-")[0] for name in unneeded)
    assert kinds == ["default", "fp", "fp", "info", "info", "ok", "ok", "sha256"]  # two platforms, one index
    assert set(unneeded) < old
    assert tree.there() == everything

    assert set(states(tree.prune(0, first)).values()) == {"marked"}
    assert set(states(tree.prune(29, first)).values()) == {"marked"}
    assert tree.there() == everything
    assert states(tree.prune(30, first)) == dict.fromkeys(unneeded, "deleted")
    assert tree.there() == {name: digest for name, digest in everything.items() if name not in unneeded}
    assert not tree.whole(second)
    assert all(tree.registry.head(second.with_digest(part)) is None for row in listed.rows for part in row.held.parts)
    assert tree.whole(first)
    assert tree.whole(third)
    assert not tree.prune(31, first).rows
    assert tree.publish("three") == third


def test_what_becomes_needed_between_the_steps_loses_its_mark(tree: Tree) -> None:
    tree.publish("one")
    first = tree.publish("two")
    tree.publish("three")
    assert f"{first.repository}:{first.tag}" in states(tree.prune(0))
    tree.publish("two")  # somebody goes back
    assert f"{first.repository}:{first.tag}" not in states(tree.prune(29))
    tree.publish("three")  # and forth
    assert states(tree.prune(40))[f"{first.repository}:{first.tag}"] == "marked"
    assert tree.whole(first)
    assert states(tree.prune(70))[f"{first.repository}:{first.tag}"] == "deleted"


def test_what_becomes_needed_while_it_runs_stays(make_tree: Callable[..., Tree], host: str) -> None:
    with Relay(host) as relay:
        through = make_tree(host=relay.host)
        direct = replace(through, prefix=replace(through.prefix, host=host), registry=make_tree("other").registry)
        first = direct.publish("one")
        direct.publish("two")
        tags = set(states(through.prune(0)))
        assert f"{first.repository}:{first.tag}" in tags

        def name_it() -> None:
            manifest = direct.registry.manifest(first)
            assert manifest is not None
            direct.registry.put_manifest(first.with_tag("default-2026-11"), manifest)

        relay.moments.append(Moment("GET", "/manifests/prune-marks$", name_it))  # it has just looked at everything
        found = states(through.prune(30))
        assert f"{first.repository}:{first.tag}" not in found
        assert set(found.values()) <= {"deleted", "marked"}
        assert direct.whole(first)


def test_deleted_and_built_again_is_young_again(tree: Tree) -> None:
    first = tree.publish("one")
    tree.publish("two")
    tree.prune(0)
    assert states(tree.prune(30))[f"{first.repository}:{first.tag}"] == "deleted"
    assert tree.publish("one") == first
    tree.publish("two")
    assert states(tree.prune(31))[f"{first.repository}:{first.tag}"] == "marked"
    assert tree.whole(first)


def test_names_that_nobody_knows_keep_what_they_name(tree: Tree) -> None:
    first = tree.publish("one")
    manifest = tree.registry.manifest(first)
    assert manifest is not None
    tree.registry.put_manifest(first.with_tag("keep-this"), manifest)
    stranger = make_artifact(b"{}", artifact_type="application/vnd.example")
    tree.registry.upload_blob(first, stranger.layers[0].digest, b"{}")
    looks_like_ours = first.with_tag("default-0123456789ab")
    tree.registry.put_manifest(looks_like_ours, stranger)
    tree.publish("two")
    for day in (0, 40):
        assert not {name for name in states(tree.prune(day)) if name.startswith(f"{first.repository}:")}
    assert tree.whole(first)
    assert tree.registry.head(looks_like_ours) == stranger.digest


def test_a_newer_run_s_images_are_kept_by_an_older_tree(tree: Tree) -> None:
    tree.publish("one")
    newest = tree.publish("two")
    (tree.folder / "layers/note/files/opt/note").write_text("one\n")
    assert not tree.prune(0).rows
    assert tree.whole(newest)


def test_another_tree_s_registry_is_left_alone(tree: Tree, make_tree: Callable[..., Tree]) -> None:
    tree.publish("one")
    tree.publish("two")
    there = tree.there()
    stranger = replace(make_tree("other"), prefix=tree.prefix)
    (stranger.folder / "base/debian/layer.yaml").write_text("summary: Debian\nbootstrap: {suite: bookworm}\n")
    with pytest.raises(UsageError, match="has no node of this tree"):
        stranger.prune(0)
    assert tree.there() == there


def test_a_registry_that_deletes_nothing_says_so(make_tree: Callable[..., Tree], tmp_path: Path) -> None:
    folder = tmp_path / "strict"
    folder.mkdir()
    with docker_registry(folder, delete=False) as host:
        tree = make_tree("strict-tree", host)
        tree.publish("one")
        tree.publish("two")
        there = tree.there()
        tree.prune(0)
        with pytest.raises(RegistryError, match="does not let anybody delete"):
            tree.prune(30)
        assert tree.there() == there


def test_the_command(tree: Tree) -> None:
    tree.publish("one")
    tree.publish("two")
    there = tree.there()
    run = command(tree, "--json")
    value = json.loads(run.stdout)
    assert {one["state"] for one in value["unneeded"]} == {"unneeded"}
    assert value["kept"]["this tree"] >= 6
    assert len(command(tree).stdout.splitlines()) == len(value["unneeded"])
    in_use = tree.folder / "in-use.txt"
    in_use.write_text("none\n")
    assert "marked" in command(tree, "--delete", "--in-use", str(in_use)).stdout
    assert tree.there() == there
    (tree.folder / "profiles" / "emitted").mkdir(parents=True)
    broken = tree.folder / "profiles" / "emitted" / "demo.yaml"
    broken.write_text('"apiVersion": "v1"\n"kind": "ConfigMap"\n')
    faults = {
        ("--delete",): "--delete needs --in-use",
        ("--delete", "--in-use", str(in_use)): "profiles/emitted/demo.yaml:1:1: this is no ConfigMap",
    }
    for words, said in faults.items():
        assert said in command(tree, *words, code=2).stderr
    broken.unlink()
    in_use.write_text("")
    assert "no images at all" in command(tree, "--delete", "--in-use", str(in_use), code=2).stderr
    assert tree.there() == there


def command(tree: Tree, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    argv = [str(HUBSTACK), "-C", str(tree.folder), f"--registry={tree.prefix}", "prune", *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done
