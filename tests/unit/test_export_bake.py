"""`hubstack export bake`: what is written, and that buildx reads it as it is meant."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hubstack.buildx import find_plugin
from hubstack.errors import EngineError, UsageError
from hubstack.export.bake import Bake, find_bases, refuse_blocked, refuse_repositories
from hubstack.export.folder import clear, settle, write
from hubstack.lock import Lock, load_lock
from hubstack.model import SourceFile
from hubstack.names import Names, node_tag
from hubstack.oci import SOURCE_DATE_EPOCH
from hubstack.pipeline import Inputs, prepare
from hubstack.plan import Known
from hubstack.project import load_project
from hubstack.record import Record
from hubstack.reference import Digest, Fingerprint

from tests.commandline import PROJECTS, run

pytestmark = pytest.mark.long

GOLDEN = Path(__file__).parents[1] / "golden" / "export"
SOMEWHERE = Digest(f"sha256:{'a' * 64}")


class Has:
    """A registry that has everything but ``missing``."""

    def __init__(self, *missing: str) -> None:
        self.missing = missing

    def digests(self, tags: Sequence[str]) -> dict[str, Digest]:
        return {tag: SOMEWHERE for tag in tags if tag not in self.missing}

    def records(self, nodes: Sequence[str]) -> dict[str, Record]:
        return {}

    def recorded(self, fingerprints: Iterable[Fingerprint]) -> Mapping[Fingerprint, Record]:
        return {}


BOOTSTRAPPED = {
    "hubstack.yaml": "registry: example.org/x\nplatforms: [linux/amd64, linux/arm64]\n",
    "base/debian/layer.yaml": "summary: Debian\nbootstrap: {suite: trixie}\n",
    "layers/files/layer.yaml": "summary: Files\n",
    "layers/files/files/opt/note": "a note\n",
    "stacks/files.yaml": "title: Files\nbase: debian\nlayers: [files]\n",
}


@pytest.fixture
def bootstrapped(tmp_path: Path) -> Path:
    """A project on a base from Debian packages, for two platforms."""
    for path, text in BOOTSTRAPPED.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def inputs_of(name: str, *select: str) -> Inputs:
    folder = PROJECTS / name
    return prepare(load_project(folder)[0], load_lock((folder / "hubstack.lock").read_text(), "hubstack.lock"), select)


def export(inputs: Inputs, *, known: Known | None = None, ca_bundle: Path | None = None) -> Bake:
    there = find_bases(inputs, known) if known else {}
    return Bake(inputs=inputs, names=Names.of(inputs.project.settings), there=there, ca_bundle=ca_bundle)


def test_the_bake_file_of_a_small_project(golden: Callable[[Path, str], None]) -> None:
    inputs = inputs_of("good-small", "small/trixie")
    golden(GOLDEN / "docker-bake.json", export(inputs, known=Has(), ca_bundle=Path("/etc/proxy.pem")).render())


def test_the_folder_holds_what_is_fingerprinted_whatever_this_machine_is_like(tmp_path: Path) -> None:
    one = export(inputs_of("good-engine", "both"))
    write(tmp_path, one.files())
    settle(tmp_path)
    mask = os.umask(0o077)
    try:
        write(tmp_path / "again", one.files())
        settle(tmp_path / "again")
    finally:
        os.umask(mask)
    first, second = listing(tmp_path), listing(tmp_path / "again")
    assert first == second
    for node in one.nodes:
        rendered = one.inputs.rendered[node.id]
        held = {path: entry for path, entry in first.items() if path.startswith(f"nodes/{node.id}/")}
        files = {f"nodes/{node.id}/{file.path}": file for file in rendered.context}
        assert {path for path, (mode, _) in held.items() if mode != "0o40755"} == {
            *files,
            f"nodes/{node.id}/Dockerfile",
        }
        assert held[f"nodes/{node.id}/Dockerfile"] == ("0o100644", rendered.dockerfile.encode())
        assert all(
            held[path] == ("0o100755" if file.executable else "0o100644", file.content) for path, file in files.items()
        )


def listing(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Each file and folder with its mode and content; every one has the time of builds."""
    paths = [path for path in folder.rglob("*") if "again" not in path.relative_to(folder).parts]
    assert {path.lstat().st_mtime for path in paths} == {SOURCE_DATE_EPOCH}
    return {
        path.relative_to(folder).as_posix(): (oct(path.lstat().st_mode), b"" if path.is_dir() else path.read_bytes())
        for path in paths
    }


def test_links_are_links(tmp_path: Path) -> None:
    write(tmp_path, [SourceFile(path="nodes/a/files/link", link="../elsewhere")])
    settle(tmp_path)
    link = tmp_path / "nodes/a/files/link"
    assert (str(link.readlink()), link.lstat().st_mtime) == ("../elsewhere", SOURCE_DATE_EPOCH)


def test_a_base_from_packages_comes_from_the_registry_or_is_made(bootstrapped: Path) -> None:
    inputs = prepare(load_project(bootstrapped)[0], Lock(), ["files"])
    bases = {node for node, rendered in inputs.rendered.items() if rendered.bootstrap}
    assert len(bases) == 2
    targets = json.loads(export(inputs, known=Has()).render())["target"]
    assert not bases & targets.keys()
    assert {target["contexts"]["parent"] for target in targets.values()} == {
        f"docker-image://example.org/x/build:fp-{inputs.fingerprint(base)}@{SOMEWHERE}" for base in bases
    }
    with pytest.raises(UsageError, match="is not in the registry") as caught:
        export(inputs, known=Has(node_tag(inputs.fingerprint(min(bases)))))
    assert caught.value.hint == "hubstack build --push layer:debian; or --rootfs, which makes it here."
    made = export(inputs)
    assert {path for path, _ in made.rootfs()} == {f"nodes/{base}/rootfs.tar" for base in bases}
    assert {json.dumps(json.loads(made.render())["target"][base]["contexts"]) for base in bases} == {"{}"}


def test_a_selection_that_is_there_leaves_nothing_to_bake(bootstrapped: Path) -> None:
    with pytest.raises(UsageError, match="there is nothing to bake"):
        export(prepare(load_project(bootstrapped)[0], Lock(), ["layer:debian"]), known=Has()).render()


def test_platforms_have_targets_and_tags_of_their_own(bootstrapped: Path) -> None:
    value = json.loads(export(prepare(load_project(bootstrapped)[0], Lock(), ["files"])).render())
    images = [value["target"][name] for name in value["group"]["files"]["targets"]]
    assert [(one["platforms"], one["tags"]) for one in images] == [
        ([f"linux/{arch}"], [f"example.org/x/files:default-bake-{arch}"]) for arch in ("amd64", "arm64")
    ]


def test_what_looks_like_a_template_of_bake_s_stays_text(tmp_path: Path) -> None:
    """As buildx itself reads it."""
    try:
        plugin = find_plugin()
    except EngineError:
        pytest.skip("buildx is not installed")
    inputs = inputs_of("good-engine", "small")
    (node,) = inputs.selection.nodes
    arguments = {"A": "${HOME} %{ if } $${x}", "B": "a$b"}
    rendered = {**inputs.rendered, node: replace(inputs.rendered[node], arguments=arguments)}
    bundle = tmp_path / "${b}.pem"
    bundle.touch()
    write(tmp_path, export(replace(inputs, rendered=rendered), ca_bundle=bundle).files())
    done = subprocess.run([plugin, "bake", "--print"], cwd=tmp_path, capture_output=True, text=True, check=True)
    target = json.loads(done.stdout)["target"][node]
    assert target["args"] == {"SOURCE_DATE_EPOCH": str(SOURCE_DATE_EPOCH), **arguments}
    assert target["secret"] == [f"id=hubstack-ca,src={bundle}"]


def test_an_export_replaces_an_export_and_nothing_else(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(PROJECTS / "good-engine", tmp_path / "project"))
    done = run("export", "bake", "both", "--output", "out", folder=folder)
    assert (done.code, done.out) == (0, "out/docker-bake.json: 8 targets\n")
    old = set((folder / "out/nodes").iterdir())
    assert run("export", "bake", "small", "--output", "out", folder=folder).code == 0
    assert set((folder / "out/nodes").iterdir()) < old
    (folder / "mine").mkdir()
    (folder / "mine/docker-bake.json").write_text('{"target": {}}')
    done = run("export", "bake", "--output", "mine", folder=folder)
    assert (done.code, done.err.splitlines()[0]) == (2, "error: mine is not empty, and no export")
    assert [path.name for path in (folder / "mine").iterdir()] == ["docker-bake.json"]


def test_what_can_not_be_built_is_not_exported() -> None:
    inputs = inputs_of("good-engine", "both")
    with pytest.raises(UsageError, match=r"debian-1 can't be built: example\.org/x is not in hubstack\.lock"):
        refuse_blocked(replace(inputs, blocked={"debian-1": "example.org/x is not in hubstack.lock"}))


def test_an_empty_folder_is_anybody_s(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    clear(tmp_path / "out")


def test_an_image_of_a_repository_is_refused() -> None:
    project, _ = load_project(PROJECTS / "good-repository")
    lock = load_lock((PROJECTS / "good-repository" / "hubstack.lock").read_text(), "hubstack.lock")
    name = next(stack.name for stack in project.stacks.values() if stack.repository is not None)
    with pytest.raises(UsageError, match="is made of a repository"):
        refuse_repositories(prepare(project, lock, [name]))
