"""Promise 5: immutable tags are never overwritten with other content."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from hubstack.oci import Manifest, make_artifact
from hubstack.reference import Digest, ImageRef
from hubstack.registry import Registry

from tests.engine.workbench import DEADLINE_S, Work, docker, published, wrap_buildx

pytestmark = pytest.mark.engine


def foreign(registry: Registry, ref: ImageRef) -> Digest:
    """Something else under that tag."""
    manifest = make_artifact(b"{}", artifact_type="application/vnd.example.other")
    registry.upload_blob(ref, manifest.layers[0].digest, b"{}")
    return registry.put_manifest(ref, manifest)


def changed(work: Work, layer: str) -> None:
    """Nobody has built it in this way before."""
    step = f"{{% call run() %}}\necho {uuid.uuid4()} >/opt/changed\n{{% endcall %}}\n\nUSER 1000:100"
    work.edit(f"layers/{layer}/Dockerfile.j2", "USER 1000:100", step)


def test_a_published_name_that_is_taken_stays_as_it_is(settled: Work, registry: Registry) -> None:
    """The others are published, and the channel of the one that can't be is not moved."""
    changed(settled, "both")
    images = json.loads(settled.run("plan", "--json", "--offline").stdout)["images"]
    name = ImageRef.parse(next(image["ref"] for image in images if image["variant"] == "plain"))
    taken = foreign(registry, name)
    before = published(registry, settled.prefix)
    run = settled.build(code=1)
    assert f"{name} already names {taken}" in run.stderr
    assert "never overwritten" in run.stderr
    after = published(registry, settled.prefix)
    moved = {key for key, digest in before.items() if after[key] != digest}
    assert moved == {f"{settled.prefix.repository}/both:loud-latest"}


def test_two_runs_at_once_end_with_the_same_images(settled: Work, registry: Registry, tmp_path: Path) -> None:
    """Their builds are made to differ, in a label; what is quicker into the registry is what both go on with."""
    for layer in ("words", "tool"):
        changed(settled, layer)
    clones = [
        wrap_buildx(settled.clone(tmp_path / name), tmp_path / f"docker-{name}", f"--label=by={name}")
        for name in ("one", "two")
    ]
    out = [("--profiles", str(clone.folder / "out")) for clone in clones]
    with clones[0].start("build", "--push", "--json", *out[0]) as first:
        assert first.stdout is not None
        while '"building"' not in first.stdout.readline():
            continue
        with clones[1].start("build", "--push", "--json", *out[1]) as second:
            said = [process.communicate(timeout=DEADLINE_S) for process in (first, second)]
    wrong = [line for out, err in said for line in (*out.splitlines(), err) if '"failed"' in line or line == err]
    assert (first.returncode, second.returncode) == (0, 0), "\n".join(wrong)
    assert clones[0].configmap() == clones[1].configmap()
    there = published(registry, settled.prefix)
    built = {name.rpartition(":fp-")[2]: digest for name, digest in there.items() if ":fp-" in name}
    tested = {name.rpartition(":ok-")[2][:64]: digest for name, digest in there.items() if ":ok-" in name}
    assert built == tested
    assert clones[0].build().digests == clones[1].build().digests


def test_what_another_run_has_pushed_is_adopted(settled: Work, registry: Registry, tmp_path: Path) -> None:
    """A store that holds other bytes than the registry, as after a build without --push and somebody else's with it."""
    changed(settled, "python")
    theirs = wrap_buildx(settled.clone(tmp_path / "theirs"), tmp_path / "docker-theirs", "--label=by=theirs")
    mine = wrap_buildx(settled, tmp_path / "docker-mine", "--label=by=mine")
    mine.run("build", "small")
    first = theirs.build("small")
    before = published(registry, mine.prefix)
    second = mine.build("both/plain", "small")
    assert second.digests["small/default"] == first.digests["small/default"]
    after = published(registry, mine.prefix)
    assert {name for name, digest in before.items() if after[name] != digest} == {
        f"{mine.prefix.repository}/both:plain-latest"
    }
    below, above = (manifest(registry, mine, name) for name in (("small", "default"), ("both", "plain")))
    assert layers(above)[: len(layers(below))] == layers(below)


def manifest(registry: Registry, work: Work, image: tuple[str, str]) -> Manifest:
    stack, variant = image
    found = registry.manifest(work.prefix.child(stack).with_tag(f"{variant}-latest"))
    assert found is not None
    return found


def layers(manifest: Manifest) -> list[Digest]:
    return [blob.digest for blob in manifest.layers]


def test_the_engine_can_pull_what_is_named(settled: Work) -> None:
    """By the name that a ConfigMap has: tag and digest."""
    ref = json.loads(settled.run("plan", "--json").stdout)["images"][0]["ref"]
    digest = next(iter(settled.build().digests.values()))
    docker("pull", "--quiet", f"{ref}@{digest}")
    docker("image", "rm", "--force", f"{ref}@{digest}")
