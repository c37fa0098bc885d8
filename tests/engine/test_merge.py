"""Stacks that are merged, on a real engine and a real registry; what has to be settled in them; and a patched base."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hubstack.lock import load_lock, render_lock
from hubstack.reference import Digest, ImageRef
from hubstack.registry import Registry

from tests.engine.workbench import Work, docker, published

pytestmark = pytest.mark.engine

WHOLE = """
set -e
hello; python -c 'import six'; cat /opt/words
dpkg --audit; apt-get check
export PATH="$PATH:/usr/sbin:/sbin"; ldconfig -p >/tmp/merged; ldconfig; ldconfig -p >/tmp/own; cmp /tmp/merged /tmp/own
find / -xdev '(' -nouser -o -nogroup ')' -print
"""
TRIO = "title: Trio\ndescription: Three layers\nbase: debian\nlayers: [hello, numbers, words]\n"


def inside(ref: object, script: str) -> subprocess.CompletedProcess[str]:
    command = ["docker", "run", "--rm", "--interactive", "--user=0", "--network=none", "--entrypoint=sh", str(ref)]
    return subprocess.run(command, input=script, capture_output=True, text=True, check=False)


def image(work: Work, choice: str, digest: str) -> str:
    return f"{work.prefix.child(choice.partition('/')[0])}@{digest}"


@pytest.fixture
def merged(work: Work) -> Work:
    """The small project, to be merged, with a stack of three layers that know nothing of each other."""
    work.edit("hubstack.yaml", "base: debian\n", "base: debian\nassembly: merge\n")
    work.write("stacks/trio.yaml", TRIO)
    return work


def test_each_layer_is_built_once_and_what_stacks_hold_is_the_whole(
    merged: Work, registry: Registry, tmp_path: Path
) -> None:
    run = merged.build("trio", "small", "hello")
    built = [one["node"].rpartition("-")[0] for one in run.of("phase") if one["phase"] == "building"]
    assert sorted(built) == ["debian", "hello", "numbers", "python", "words"]
    assert [one["node"].rpartition("-")[0] for one in run.of("phase") if one["phase"] == "merging"] == [
        "hello.numbers.words"
    ]
    ref = image(merged, "trio", run.digests["trio/default"])
    done = inside(ref, WHOLE)
    assert done.returncode == 0, done.stdout + done.stderr
    before = published(registry, merged.prefix)
    again = merged.clone(tmp_path / "elsewhere").build("trio", "small", "hello")
    assert set(again.results.values()) == {"reused"}
    assert published(registry, merged.prefix) == before


def test_two_machines_make_the_same_image_whatever_they_have_of_it(merged: Work, tmp_path: Path) -> None:
    """The second one has nothing but the registry: it merges what it has not built, and lets its engine fetch the rest."""
    first = merged.build("layer:hello", "layer:numbers", "layer:words")
    assert first.code == 0
    here = merged.build("trio").digests
    other = merged.clone(tmp_path / "other")
    node = merged.nodes("trio")["hello.numbers.words"]["fingerprint"]
    (merged.folder / ".hubstack" / "nodes" / node).rename(tmp_path / "away")
    there = other.run("compose", "hello", "numbers", "words", "--push", "--json").stdout
    assert here["trio/default"] in there


def test_what_packages_have_to_be_told_of_each_other_is_settled(merged: Work) -> None:
    merged.write("layers/mime/layer.yaml", "summary: The table of file types\n")
    merged.write("layers/mime/apt.txt", "shared-mime-info\n")
    merged.write("layers/type/layer.yaml", "summary: A file type\n")
    merged.write(
        "layers/type/files/usr/share/mime/packages/hub.xml",
        '<mime-info xmlns="http://www.freedesktop.org/standards/shared-mime-info"><mime-type type="text/x-hub">'
        '<comment>hub</comment><glob pattern="*.hub"/></mime-type></mime-info>\n',
    )
    merged.write("stacks/types.yaml", "title: Types\nbase: debian\nlayers: [numbers, mime, type]\n")
    run = merged.build("types")
    (node,) = [one["node"] for one in run.of("phase") if one["phase"] == "merging"]
    said = merged.log(node)
    assert "shared-mime-info of mime has to be told of what type has (/usr/share/mime/packages/hub.xml)" in said
    ref = image(merged, "types", run.digests["types/default"])
    assert "text/x-hub:*.hub" in inside(ref, "cat /usr/share/mime/globs; dpkg --audit").stdout


# --- what can't be merged, and its remedies --------------------------------------------------------------------------------


def clash(work: Work, *stack: str) -> Work:
    """Two layers with a file that each has in its own way, and a stack of both."""
    for name in ("left", "right"):
        work.write(f"layers/{name}/layer.yaml", f"summary: On the {name}\n")
        work.write(f"layers/{name}/files/opt/side", f"{name}\n")
    text = "title: Sides\ndescription: Both\nbase: debian\nlayers: [numbers, left, right]\n"
    work.write("stacks/sides.yaml", "\n".join((text, *stack)))
    return work


def test_a_conflict_fails_one_image_and_names_remedies_that_work(merged: Work) -> None:
    clash(merged)
    failed = merged.build("sides", "small", code=1)
    (said,) = [one["message"] for one in failed.of("finished") if one["result"] == "failed"]
    assert "left and right: /opt/side has different contents" in said
    assert "`resolve: {/opt/side: LAYER}`" in said
    assert failed.digests["small/default"]
    clash(merged, "resolve: {/opt/side: {layer: left, reason: It is the older one}}")
    resolved = merged.build("sides")
    assert inside(image(merged, "sides", resolved.digests["sides/default"]), "cat /opt/side").stdout == "left\n"
    clash(merged)
    merged.edit("layers/right/layer.yaml", "", "after: [left]\n")
    stacked = merged.build("sides")
    assert inside(image(merged, "sides", stacked.digests["sides/default"]), "cat /opt/side").stdout == "right\n"
    assert json.loads(merged.run("plan", "sides", "--json").stdout)["images"][0]["tier"] == "build"


def test_a_diversion_is_refused_and_a_layer_built_after_the_other_is_the_remedy(merged: Work) -> None:
    """vim-runtime diverts vim-tiny's help: dpkg has to rename it as it installs the second of the two."""
    for name, package in (("small-vim", "vim-tiny"), ("whole-vim", "vim")):
        merged.write(f"layers/{name}/layer.yaml", f"summary: {package}\n")
        merged.write(f"layers/{name}/apt.txt", f"{package}\n")
    merged.write(
        "stacks/vims.yaml", "title: Vims\ndescription: Both\nbase: debian\nlayers: [numbers, small-vim, whole-vim]\n"
    )
    failed = merged.build("vims", code=1)
    (said,) = [one["message"] for one in failed.of("finished") if one["result"] == "failed"]
    assert "diverted by vim-runtime of whole-vim" in said
    assert "`after:`" in said
    merged.edit("layers/whole-vim/layer.yaml", "", "after: [small-vim]\n")
    run = merged.build("vims")
    ref = image(merged, "vims", run.digests["vims/default"])
    assert "/usr/share/vim/vim91/doc/help.txt.vim-tiny" in inside(ref, "dpkg-divert --list; dpkg --audit").stdout


# --- a patched base ------------------------------------------------------------------------------------------------------

PACKAGE = """\
FROM {base}
USER root
RUN mkdir -p /tmp/p/DEBIAN /tmp/p/usr/share/greeting && printf '%s\\n' 'Package: greeting' 'Version: {version}' \
    'Architecture: all' 'Maintainer: nobody <nobody@example.org>' 'Description: a greeting' >/tmp/p/DEBIAN/control \
    && echo {version} >/tmp/p/usr/share/greeting/version && dpkg-deb --build /tmp/p /tmp/p.deb && dpkg -i /tmp/p.deb \
    && rm -r /tmp/p /tmp/p.deb
"""


def patch_base(work: Work, rootfs: ImageRef, registry: Registry, version: str, *, extra: str = "") -> None:
    """Have the lock name an upstream image with that version of a package."""
    name = work.prefix.child("upstream").with_tag("stable")
    text = PACKAGE.format(base=rootfs, version=version) + extra
    command = ["docker", "buildx", "build", "--provenance=false", f"--tag={name}", "-"]
    subprocess.run(command, input=text, text=True, check=True, capture_output=True)
    docker("push", str(name))
    digest = registry.head(name)
    assert digest is not None
    lock = load_lock((work.folder / "hubstack.lock").read_text(encoding="utf-8"))
    images: dict[str, Digest] = {str(name): digest}
    work.write("hubstack.lock", render_lock(replace(lock, images=images)))


@pytest.fixture
def based(merged: Work, rootfs: ImageRef, registry: Registry) -> Work:
    """On an upstream image that gets newer, with all of it built on its first version."""
    text = (merged.folder / "base/debian/layer.yaml").read_text()
    line = next(line for line in text.splitlines() if line.startswith("image:"))
    merged.edit("base/debian/layer.yaml", line, f"image: {merged.prefix.child('upstream').with_tag('stable')}")
    patch_base(merged, rootfs, registry, "1.0")
    merged.build("trio", "small")
    return merged


def greeting(work: Work, choice: str, digest: str) -> str:
    script = "dpkg-query --show --showformat '${Version}' greeting; cat /usr/share/greeting/version"
    return inside(image(work, choice, digest), script).stdout


def test_a_patched_base_reaches_every_stack_without_a_build(based: Work, rootfs: ImageRef, registry: Registry) -> None:
    patch_base(based, rootfs, registry, "1.1")
    planned = {node["layer"]: "rebase" in node for node in based.plan("trio", "small")}
    assert planned == {
        "debian": False,
        "hello": True,
        "python": True,
        "numbers": True,
        "words": True,
        "hello + numbers + words": False,
    }
    run = based.build("trio", "small")
    assert [one["node"].rpartition("-")[0] for one in run.of("phase") if one["phase"] == "building"] == ["debian"]
    for choice, digest in run.digests.items():
        assert greeting(based, choice, digest) == "1.11.1\n"
    done = inside(image(based, "trio", run.digests["trio/default"]), WHOLE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert based.plan("trio", "small") == []


def test_what_can_not_be_moved_is_built_and_says_why(based: Work, rootfs: ImageRef, registry: Registry) -> None:
    """A file that a layer brings is another one in the new base."""
    patch_base(based, rootfs, registry, "1.1", extra="RUN echo other >/opt/words\n")
    run = based.build("trio", "small")
    built = [one["node"].rpartition("-")[0] for one in run.of("phase") if one["phase"] == "building"]
    assert sorted(built) == ["debian", "words"]
    notes = {one["node"].rpartition("-")[0]: one.get("note", "") for one in run.of("finished")}
    assert notes["hello"] == "rebased"
    assert notes["words"].startswith("not rebased: ")
    assert "/opt/words" in notes["words"]
    assert greeting(based, "trio", run.digests["trio/default"]) == "1.11.1\n"
