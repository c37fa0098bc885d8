"""The registry client against a real docker-registry, and an image of a real engine on its way through it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hubstack.errors import RegistryError, TagTaken
from hubstack.oci import (
    DOCKER_MANIFEST,
    EMPTY,
    OCI_CONFIG,
    OCI_MANIFEST,
    digest_of,
    make_artifact,
    make_index,
    read_layout,
)
from hubstack.reference import Digest, ImageRef
from hubstack.registry import Registry
from hubstack.registry.credentials import anonymous

from tests.fakes.layout import write_layout

PREFIX = ImageRef.parse(os.environ.get("HUBSTACK_TEST_REGISTRY") or "127.0.0.1:5000/hubstack")
RECORD = "application/vnd.hubstack.test.v1+json"
BIG_BYTES = 300 << 20

pytestmark = pytest.mark.registry


@pytest.fixture
def registry() -> Iterator[Registry]:
    registry = Registry(PREFIX.host, look_up=anonymous)
    yield registry
    registry.close()


@pytest.fixture
def ref() -> ImageRef:
    """A repository that nobody else has."""
    return PREFIX.child(f"trial-{uuid.uuid4().hex}")


def test_an_image_goes_up_and_comes_back(registry: Registry, ref: ImageRef, tmp_path: Path) -> None:
    layout = write_layout(tmp_path, [b"small", os.urandom(3 << 20)])
    assert registry.head(ref.with_tag("1")) is None
    assert registry.tags(ref) == ()
    digest = registry.push_image(layout, ref.with_tag("1"))
    assert registry.head(ref.with_tag("1")) == registry.head(ref.with_digest(digest)) == digest
    assert registry.manifest(ref.with_tag("1")) == layout.manifest
    for blob in layout.manifest.blobs:
        assert registry.blob(ref, blob.digest) == layout.path(blob.digest).read_bytes()
    assert registry.tags(ref) == ("1",)
    assert registry.push_image(layout, ref.with_tag("1")) == digest


def test_head_is_not_deceived_by_the_conversion_to_schema_1(registry: Registry, ref: ImageRef, tmp_path: Path) -> None:
    """The config must be one that the registry can convert: so an image as an engine writes it, with Docker's media types."""
    layout = write_layout(tmp_path)
    registry.push_image(layout, ref)
    content = layout.manifest.content.replace(OCI_MANIFEST.encode(), DOCKER_MANIFEST.encode())
    content = content.replace(OCI_CONFIG.encode(), b"application/vnd.docker.container.image.v1+json")
    content = content.replace(
        b"application/vnd.oci.image.layer.v1.tar+gzip", b"application/vnd.docker.image.rootfs.diff.tar.gzip"
    )
    address = f"http://{ref.host}/v2/{ref.repository}/manifests/docker"
    assert httpx.put(address, content=content, headers={"Content-Type": DOCKER_MANIFEST}).status_code == 201
    assert registry.head(ref.with_tag("docker")) == digest_of(content)
    without = httpx.head(address, headers={"Accept": OCI_MANIFEST})
    assert without.headers.get("docker-content-digest") != digest_of(content)


def test_mounts_and_what_can_not_be_mounted(registry: Registry, ref: ImageRef) -> None:
    other = PREFIX.child(f"trial-{uuid.uuid4().hex}")
    registry.upload_blob(ref, digest_of(b"x"), b"x")
    assert registry.mount_blob(other, digest_of(b"x"), ref)
    assert registry.has_blob(other, digest_of(b"x"))
    assert not registry.mount_blob(other, digest_of(b"absent"), ref)
    assert not registry.has_blob(other, digest_of(b"absent"))


def test_an_image_and_an_index_are_published_by_mounts(registry: Registry, ref: ImageRef, tmp_path: Path) -> None:
    layouts = [write_layout(tmp_path / name, [name.encode()]) for name in ("amd64", "arm64")]
    for layout in layouts:
        registry.push_image(layout, ref)
    index = make_index(layout.manifest.descriptor(f"linux/{layout.folder.name}") for layout in layouts)
    registry.push_image(index, ref.with_tag("all"))
    target = PREFIX.child(f"trial-{uuid.uuid4().hex}").with_tag("x")
    assert registry.copy_image(ref.with_tag("all"), target) == index.digest
    assert registry.manifest(target) == index
    assert registry.head(target.with_digest(layouts[0].manifest.digest)) == layouts[0].manifest.digest


def test_a_blob_is_copied(registry: Registry, ref: ImageRef) -> None:
    content = os.urandom(3 << 20)
    registry.upload_blob(ref, digest_of(content), content)
    target = PREFIX.child(f"trial-{uuid.uuid4().hex}")
    assert registry.copy_blob(target, digest_of(content), ref)
    assert registry.blob(target, digest_of(content)) == content


def test_tags_that_never_move_and_one_that_does(registry: Registry, ref: ImageRef, tmp_path: Path) -> None:
    first = write_layout(tmp_path / "1", [b"1"])
    second = write_layout(tmp_path / "2", [b"2"])
    for layout in (first, second):
        registry.push_image(layout, ref)
    tag, channel = ref.with_tag("x-1"), ref.with_tag("x-latest")
    assert registry.put_tag_once(tag, first.manifest) == first.manifest.digest
    with pytest.raises(TagTaken):
        registry.put_tag_once(tag, second.manifest)
    assert registry.put_tag_once(tag, second.manifest, adopt=True) == first.manifest.digest
    moved = [registry.move_tag(channel, one.manifest) for one in (first, first, second)]
    assert moved == [True, False, True]
    assert registry.heads([tag, channel]) == {tag: first.manifest.digest, channel: second.manifest.digest}


def test_a_record(registry: Registry, ref: ImageRef) -> None:
    digest = registry.write_record(ref.with_tag("info"), {"packages": ["numpy"]}, artifact_type=RECORD)
    assert registry.read_record(ref.with_tag("info"), artifact_type=RECORD) == {"packages": ["numpy"]}
    manifest = registry.manifest(ref.with_digest(digest))
    assert manifest is not None
    assert manifest.config is not None
    assert (manifest.artifact_type, manifest.config.media_type) == (RECORD, EMPTY)


def test_a_manifest_without_its_blobs_is_refused(registry: Registry, ref: ImageRef) -> None:
    manifest = make_artifact(b"not there", artifact_type=RECORD)
    with pytest.raises(RegistryError) as caught:
        registry.put_manifest(ref.with_tag("1"), manifest)
    assert caught.value.code == "MANIFEST_BLOB_UNKNOWN"
    assert registry.head(ref.with_tag("1")) is None


def test_many_questions_are_quick(registry: Registry, ref: ImageRef) -> None:
    digest = registry.write_record(ref.with_tag("t0"), {}, artifact_type=RECORD)
    refs = [ref.with_tag(f"t{number}") for number in range(1000)]
    began = time.perf_counter()
    found = registry.heads(refs)
    assert time.perf_counter() - began < 5  # 1.0 to 1.4 s on a quiet machine with 2 cores
    assert [one for one in refs if found[one]] == refs[:1]
    assert found[refs[0]] == digest


def test_a_large_blob_needs_no_large_memory(ref: ImageRef, tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.touch()
    os.truncate(path, BIG_BYTES)  # the same zeros each time, so that the registry's disk does not fill up
    code = """
import hashlib, json, sys
from pathlib import Path
from hubstack.registry.credentials import anonymous
from hubstack.model import Digest, ImageRef
from hubstack.registry import Registry
ref, path = ImageRef.parse(sys.argv[1]), Path(sys.argv[2])
with path.open("rb") as file:
    digest = Digest("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())
registry = Registry(ref.host, look_up=anonymous)
sent = registry.upload_blob(ref, digest, path)
copied = registry.copy_blob(ref.child("copy"), digest, ref)
peak = next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))
print(json.dumps([sent, copied, int(peak)]))
"""
    done = subprocess.run([sys.executable, "-c", code, str(ref), str(path)], capture_output=True, check=True)
    sent, copied, peak_kib = json.loads(done.stdout)
    assert (sent, copied) == (True, True)
    assert peak_kib < 100 << 10


@pytest.mark.engine
def test_an_image_that_an_engine_has_built_can_be_pulled(registry: Registry, ref: ImageRef, tmp_path: Path) -> None:
    layout_folder, shared = tmp_path / "layout", tmp_path / "shared"
    layout_folder.mkdir()
    shared.mkdir()
    (layout_folder / "blobs").symlink_to(shared)
    dockerfile = f"FROM scratch\nLABEL trial={ref.repository}\nCOPY <<EOF /hello\nhello\nEOF\n"
    build = ["docker", "buildx", "build", "--provenance=false", "--sbom=false", "--file=-"]
    build += [f"--output=type=oci,dest={layout_folder},tar=false", str(tmp_path / "shared")]
    subprocess.run(build, input=dockerfile.encode(), capture_output=True, check=True)
    layout = read_layout(layout_folder)
    assert layout.config.labels == {"trial": ref.repository}
    assert layout.config.platform.startswith("linux/")
    digest = registry.push_image(layout, ref.with_tag("1"))
    name = str(ref.with_digest(digest))
    subprocess.run(["docker", "pull", "--quiet", name], capture_output=True, check=True)
    pulled = subprocess.run(["docker", "image", "rm", name], capture_output=True, check=True, text=True)
    assert Digest(digest) in pulled.stdout
