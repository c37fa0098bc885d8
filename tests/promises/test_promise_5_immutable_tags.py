"""Promise 5: immutable tags are never overwritten with other content."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hubstack.model import Digest, ImageRef
from hubstack.oci import Manifest, make_artifact
from hubstack.registry import Registry

from tests.engine.workbench import Work, docker, published, tags, without_hello, wrap_buildx

pytestmark = pytest.mark.engine


def foreign(registry: Registry, ref: ImageRef) -> Digest:
    """Something else under that tag."""
    manifest = make_artifact(b"{}", artifact_type="application/vnd.example.other")
    registry.upload_blob(ref, manifest.layers[0].digest, b"{}")
    return registry.put_manifest(ref, manifest)


def test_a_published_name_that_is_taken_stays_as_it_is(work: Work, registry: Registry) -> None:
    """The others are published, and the channel of the one that can't be is not moved."""
    without_hello(work)
    images = json.loads(work.run("plan", "--json", "--offline").stdout)["images"]
    name = ImageRef.parse(next(image["ref"] for image in images if image["stack"] == "small"))
    taken = foreign(registry, name)
    run = work.build(code=1)
    assert f"{name} already names {taken}" in run.stderr
    assert "never overwritten" in run.stderr
    assert tags(registry, work.prefix.child("small")) == {f"{name.repository}:{name.tag}": taken}
    assert {"plain-latest", "loud-latest"} <= set(registry.tags(work.prefix.child("both")))


def test_two_runs_at_once_end_with_the_same_images(work: Work, registry: Registry, tmp_path: Path) -> None:
    """Their builds are made to differ, in a label; what is quicker into the registry is what both go on with."""
    without_hello(work)
    clones = [
        replace(
            work.clone(tmp_path / name), env=wrap_buildx(work, tmp_path / f"docker-{name}", f"--label=by={name}").env
        )
        for name in ("one", "two")
    ]
    out = [("--profiles", str(clone.folder / "out")) for clone in clones]
    with clones[0].start("build", "--push", "--json", *out[0]) as first:
        assert first.stdout is not None
        while '"building"' not in first.stdout.readline():
            continue
        with clones[1].start("build", "--push", "--json", *out[1]) as second:
            said = [process.communicate(timeout=240) for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), said
    assert clones[0].configmap() == clones[1].configmap()
    assert_tags_are_of_one_kind(registry, work.prefix)
    assert clones[0].build().digests == clones[1].build().digests


def assert_tags_are_of_one_kind(registry: Registry, prefix: ImageRef) -> None:
    """Each node is the one whose digest its ok- tag has, and stands on the parent that the registry names."""
    there = published(registry, prefix)
    built = {name.rpartition(":fp-")[2]: digest for name, digest in there.items() if ":fp-" in name}
    tested = {name.rpartition(":ok-")[2][:64]: digest for name, digest in there.items() if ":ok-" in name}
    assert built == tested
    assert set(there.values()) >= set(built.values())


def test_what_another_run_has_pushed_is_adopted(
    make_project: Callable[[Path], Work], registry: Registry, tmp_path: Path
) -> None:
    """A store that holds other bytes than the registry, as after a build without --push and somebody else's with it."""
    mine = wrap_buildx(without_hello(make_project(tmp_path / "mine")), tmp_path / "docker-mine", "--label=by=mine")
    mine.run("build", "small")
    theirs = wrap_buildx(mine.clone(tmp_path / "theirs"), tmp_path / "docker-theirs", "--label=by=theirs")
    first = theirs.build("small")
    before = published(registry, mine.prefix)
    second = mine.build("both", "small")
    assert second.digests["small/default"] == first.digests["small/default"]
    after = published(registry, mine.prefix)
    assert {name: after[name] for name in before} == before
    both = registry.manifest(mine.prefix.child("both").with_tag("plain-latest"))
    assert both is not None
    assert layers(both)[: len(shared := layers(small(registry, mine)))] == shared


def small(registry: Registry, work: Work) -> Manifest:
    manifest = registry.manifest(work.prefix.child("small").with_tag("default-latest"))
    assert manifest is not None
    return manifest


def layers(manifest: Manifest) -> list[Digest]:
    return [blob.digest for blob in manifest.layers]


def test_the_engine_can_pull_what_is_named(settled: Work) -> None:
    """By the name that a ConfigMap has: tag and digest."""
    ref = json.loads(settled.run("plan", "--json").stdout)["images"][0]["ref"]
    digest = next(iter(settled.build().digests.values()))
    docker("pull", "--quiet", f"{ref}@{digest}")
    docker("image", "rm", "--force", f"{ref}@{digest}")
