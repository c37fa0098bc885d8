"""Pairs of layers, merged and built on each other on a real engine, and what is said of them."""

from __future__ import annotations

import json

import pytest

from tests.engine.workbench import Work

pytestmark = pytest.mark.engine

LOOKS = """FROM parent

{{% call run() %}}
mkdir /opt/{own}
if [ -e /opt/{other} ]; then touch /opt/met; fi
{{% endcall %}}

USER 1000:100
"""


@pytest.fixture
def merged(work: Work) -> Work:
    work.edit("hubstack.yaml", "base: debian\n", "base: debian\nassembly: merge\n")
    return work


def images_of(work: Work) -> set[str]:
    """What the engine has under this project's names; other projects' tests build the same images beside it."""
    from docker import from_env

    client = from_env()
    try:
        tags = [tag for image in client.images.list(name=f"{work.prefix}/build") for tag in image.tags]
        return {tag for tag in tags if tag.startswith(f"{work.prefix}/build:")}
    finally:
        client.close()


def test_a_pair_is_checked_once_and_every_image_with_it_says_so(merged: Work) -> None:
    """One needs nothing of the other; what is settled is compared as it is then."""
    merged.write("layers/mime/layer.yaml", "summary: The table of file types\n")
    merged.write("layers/mime/apt.txt", "shared-mime-info\n")
    merged.write(
        "layers/type/layer.yaml", "summary: A file type\ntests:\n  - run: test -e /usr/share/mime/packages/hub.xml\n"
    )
    merged.write(
        "layers/type/files/usr/share/mime/packages/hub.xml",
        '<mime-info xmlns="http://www.freedesktop.org/standards/shared-mime-info"><mime-type type="text/x-hub">'
        '<comment>hub</comment><glob pattern="*.hub"/></mime-type></mime-info>\n',
    )
    merged.write("stacks/types.yaml", "title: Types\nbase: debian\nlayers: [mime, type]\n")
    merged.write("stacks/more.yaml", "title: More\nbase: debian\nlayers: [mime, type, numbers]\n")
    assert "not all are built and pushed yet" in merged.run("certify", "types", code=2).stderr
    merged.build("types", "more")
    assert "unknown   mime + type in types/default\n" in merged.run("certify", "types", "--dry-run").stdout
    there = images_of(merged)
    said = merged.run("certify", "types").stdout
    assert there
    assert images_of(merged) == there, "what was built for the verdict alone stays on the engine"
    assert "certified mime + type in types/default: " in said
    assert "2 tests, settled (1)" in said
    images = json.loads(merged.run("plan", "types", "more", "--json").stdout)["images"]
    assert {one["stack"]: one["certificates"] for one in images} == {
        "types": {"pairs": 1, "certified": 1, "differing": []},
        "more": {"pairs": 3, "certified": 1, "differing": []},
    }
    again = merged.run("certify", "types")
    assert "pair 1 of" not in again.stderr
    assert again.stdout == said


def test_layers_that_look_for_each_other_differ_from_a_chain(merged: Work) -> None:
    """What no path, trigger or package shows: in a chain the second one meets the first, whichever it is."""
    for own, other in (("here", "there"), ("there", "here")):
        merged.write(f"layers/{own}/layer.yaml", f"summary: Looks for {other}\n")
        merged.write(f"layers/{own}/Dockerfile.j2", LOOKS.format(own=own, other=other))
    merged.write("stacks/two.yaml", "title: Two\nbase: debian\nlayers: [here, there]\n")
    merged.build("two")
    found = merged.run("certify", "two", code=1)
    assert "differs   here + there" in found.stdout
    assert "    /opt/met is missing, and a file" in found.stdout
    assert "here + there differ from a chain in 1 places" in merged.run("plan", "two").stdout
