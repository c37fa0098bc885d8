"""A patched base under stacks that are merged, on a real engine and a real registry."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hubstack.lock import load_lock, render_lock
from hubstack.reference import Digest, ImageRef
from hubstack.registry import Registry

from tests.engine.merging import WHOLE, branch, image, inside, to_be_merged
from tests.engine.workbench import Work, docker

pytestmark = pytest.mark.engine

PACKAGE = """\
FROM {base}
USER root
RUN mkdir -p /tmp/p/DEBIAN /tmp/p/usr/share/greeting && printf '%s\\n' 'Package: greeting' 'Version: {version}' \
    'Architecture: all' 'Maintainer: nobody <nobody@example.org>' 'Description: a greeting' >/tmp/p/DEBIAN/control \
    && echo {version} >/tmp/p/usr/share/greeting/version && dpkg-deb --build /tmp/p /tmp/p.deb && dpkg -i /tmp/p.deb \
    && rm -r /tmp/p /tmp/p.deb
"""


@dataclass(frozen=True)
class Based:
    """A project on an upstream image, ``upstream``, which gets newer."""

    work: Work
    upstream: ImageRef
    rootfs: ImageRef
    registry: Registry

    def patch(self, version: str, *, extra: str = "") -> None:
        """Have the lock name an upstream image with that version of a package."""
        text = PACKAGE.format(base=self.rootfs, version=version) + extra
        command = ["docker", "buildx", "build", "--provenance=false", f"--tag={self.upstream}", "-"]
        subprocess.run(command, input=text, text=True, check=True, capture_output=True)
        docker("push", str(self.upstream))
        digest = self.registry.head(self.upstream)
        assert digest is not None
        lock = load_lock((self.work.folder / "hubstack.lock").read_text(encoding="utf-8"))
        images: dict[str, Digest] = {str(self.upstream): digest}
        self.work.write("hubstack.lock", render_lock(replace(lock, images=images)))


@pytest.fixture(scope="module")
def first(
    make_project: Callable[[Path], Work], rootfs: ImageRef, registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> Based:
    """With all of it built on the first version. Not to be changed: see ``based``."""
    work = to_be_merged(make_project(tmp_path_factory.mktemp("first") / "project"))
    based = Based(work, work.prefix.child("upstream").with_tag("stable"), rootfs, registry)
    text = (work.folder / "base/debian/layer.yaml").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("image:"))
    work.edit("base/debian/layer.yaml", line, f"image: {based.upstream}")
    based.patch("1.0")
    work.build("trio", "small")
    return based


@pytest.fixture
def based(first: Based, fresh_prefix: Callable[[], ImageRef], tmp_path: Path) -> Based:
    return replace(first, work=branch(first.work, tmp_path / "project", fresh_prefix(), first.registry))


def greeting(work: Work, choice: str, digest: str) -> str:
    script = "dpkg-query --show --showformat '${Version}' greeting; cat /usr/share/greeting/version"
    return inside(image(work, choice, digest), script).stdout


def test_a_patched_base_reaches_every_stack_without_a_build(based: Based) -> None:
    work = based.work
    based.patch("1.1")
    planned = {node["layer"]: "rebase" in node for node in work.plan("trio", "small")}
    assert planned == {
        "debian": False,
        "hello": True,
        "python": True,
        "numbers": True,
        "words": True,
        "hello + numbers + words": False,
    }
    run = work.build("trio", "small")
    assert run.layers("building") == ["debian"]
    for choice, digest in run.digests.items():
        assert greeting(work, choice, digest) == "1.11.1\n"
    done = inside(image(work, "trio", run.digests["trio/default"]), WHOLE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert work.plan("trio", "small") == []


def test_what_can_not_be_moved_is_built_and_says_why(based: Based) -> None:
    """A file that a layer brings is another one in the new base."""
    work = based.work
    based.patch("1.1", extra="RUN echo other >/opt/words\n")
    run = work.build("trio", "small")
    assert run.layers("building") == ["debian", "words"]
    notes = {one["node"].rpartition("-")[0]: one.get("note", "") for one in run.of("finished")}
    assert notes["hello"] == "rebased"
    assert notes["words"].startswith("not rebased: ")
    assert "/opt/words" in notes["words"]
    assert greeting(work, "trio", run.digests["trio/default"]) == "1.11.1\n"
