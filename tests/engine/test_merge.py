"""Stacks that are merged, on a real engine and a real registry, and what has to be settled in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hubstack.reference import ImageRef
from hubstack.registry import Registry

from tests.engine.merging import WHOLE, branch, image, inside, to_be_merged
from tests.engine.workbench import Run, Work, published

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def whole(make_project: Callable[[Path], Work], tmp_path_factory: pytest.TempPathFactory) -> tuple[Work, Run]:
    """The small project, merged, with a stack of three layers, and the run that did it. Not to be changed: see ``merged``."""
    work = to_be_merged(make_project(tmp_path_factory.mktemp("whole") / "project"))
    return work, work.build("trio", "small", "hello")


@pytest.fixture
def merged(whole: tuple[Work, Run], fresh_prefix: Callable[[], ImageRef], registry: Registry, tmp_path: Path) -> Work:
    """It again, to be changed, with what is built of it."""
    return branch(whole[0], tmp_path / "project", fresh_prefix(), registry)


def test_each_layer_is_built_once_and_what_stacks_hold_is_the_whole(
    whole: tuple[Work, Run], registry: Registry, tmp_path: Path
) -> None:
    work, run = whole
    assert run.layers("building") == ["debian", "hello", "numbers", "python", "words"]
    assert run.layers("merging") == ["hello.numbers.words"]
    ref = image(work, "trio", run.digests["trio/default"])
    done = inside(ref, WHOLE)
    assert done.returncode == 0, done.stdout + done.stderr
    before = published(registry, work.prefix)
    again = work.clone(tmp_path / "elsewhere").build("trio", "small", "hello")
    assert set(again.results.values()) == {"reused"}
    assert published(registry, work.prefix) == before


def test_two_machines_make_the_same_image_whatever_they_have_of_it(merged: Work, tmp_path: Path) -> None:
    """The second one has nothing but the registry: it merges what it has not built, and lets its engine fetch the rest."""
    merged.write("stacks/duo.yaml", "title: Duo\nbase: debian\nlayers: [hello, words]\n")
    here = merged.build("duo").digests
    other = merged.clone(tmp_path / "other")
    node = merged.nodes("duo")["hello.words"]["fingerprint"]
    (merged.folder / ".hubstack" / "nodes" / node).rename(tmp_path / "away")
    there = other.run("compose", "hello", "words", "--push", "--json").stdout
    assert here["duo/default"] in there


MAKING_TYPES = """\
FROM parent
{apt}
{{{{ copy("files/type.xml", "/usr/share/mime/packages/{name}.xml") }}}}
{{% call run() %}}
update-mime-database /usr/share/mime
{{% endcall %}}
USER 1000:100
"""
ALL_TYPES = """
set -e
cd /usr/share/mime
grep -x 'text/x-left\\|text/x-right' types
grep -ao 'text/x-left\\|text/x-right' mime.cache | sort -u | wc -l
cp -r . /tmp/anew; update-mime-database /tmp/anew; diff -r . /tmp/anew; dpkg --audit
"""


def mime_type(name: str) -> str:
    return (
        '<mime-info xmlns="http://www.freedesktop.org/standards/shared-mime-info">'
        f'<mime-type type="text/x-{name}"><comment>{name}</comment><glob pattern="*.{name}"/></mime-type></mime-info>\n'
    )


def test_what_packages_have_to_be_told_of_each_other_is_settled(merged: Work) -> None:
    merged.write("layers/mime/layer.yaml", "summary: The table of file types\n")
    merged.write("layers/mime/apt.txt", "shared-mime-info\n")
    merged.write("layers/type/layer.yaml", "summary: A file type\n")
    merged.write("layers/type/files/usr/share/mime/packages/hub.xml", mime_type("hub"))
    merged.write("stacks/types.yaml", "title: Types\nbase: debian\nlayers: [numbers, mime, type]\n")
    run = merged.build("types")
    (node,) = [one["node"] for one in run.of("phase") if one["phase"] == "merging"]
    said = merged.log(node)
    assert "shared-mime-info of mime has to be told of what type has (/usr/share/mime/packages/hub.xml)" in said
    ref = image(merged, "types", run.digests["types/default"])
    assert "text/x-hub:*.hub" in inside(ref, "cat /usr/share/mime/globs; dpkg --audit").stdout


@pytest.mark.parametrize("below", [False, True], ids=["in each", "below both"])
def test_what_each_has_made_of_its_own_files_is_made_anew_of_all(merged: Work, *, below: bool) -> None:
    """Without settling, update-mime-database of one layer has never seen the other's type."""
    shared, apt = "shared-mime-info\n", "" if below else "{{ packages() }}"
    if below:
        merged.write("layers/mime/layer.yaml", "summary: The table of file types\n")
        merged.write("layers/mime/apt.txt", shared)
    for name in ("left", "right"):
        merged.write(f"layers/{name}/layer.yaml", f"summary: A type\nrequires: [{'mime' if below else 'debian'}]\n")
        merged.write(f"layers/{name}/files/type.xml", mime_type(name))
        merged.write(f"layers/{name}/Dockerfile.j2", MAKING_TYPES.format(name=name, apt=apt))
        if not below:
            merged.write(f"layers/{name}/apt.txt", shared)
    merged.write("stacks/types.yaml", "title: Types\nbase: debian\nlayers: [numbers, left, right]\n")
    run = merged.build("types")
    (node,) = [one["node"] for one in run.of("phase") if one["phase"] == "merging"]
    assert "has to be told of what left has (/usr/share/mime/packages/" in merged.log(node)
    done = inside(image(merged, "types", run.digests["types/default"]), ALL_TYPES)
    assert (done.stdout, done.returncode) == ("text/x-left\ntext/x-right\n2\n", 0), done.stderr


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
    remedy = "resolve: {/opt/side: {layer: LAYER, reason: WHY}}"
    assert f"`{remedy}`" in said
    assert failed.digests["small/default"]
    clash(merged, remedy.replace("LAYER", "left").replace("WHY", "It is the older one"))
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
