from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from hubstack.errors import EngineError, RegistryError, TagTaken
from hubstack.oci import (
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Manifest,
    digest_of,
    make_artifact,
    make_index,
)
from hubstack.reference import Digest, ImageRef
from hubstack.registry import Registry
from hubstack.registry.credentials import Credential, anonymous
from hubstack.registry.retry import Retry
from hubstack.registry.transport import api_address

from tests.fakes.clock import FakeTime
from tests.fakes.layout import write_layout
from tests.fakes.registry import SCHEMA_1, Account, FakeRegistry, Reply, Seen, problem, sha256

BIG = bytes(range(256)) * 8192  # 2 MiB: it goes up as a stream
NONE = Digest(f"sha256:{'0' * 64}")


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def registry(fake: FakeRegistry) -> Iterator[Registry]:
    registry = Registry(fake.host, look_up=anonymous, retry=FakeTime().retry())
    yield registry
    registry.close()


@pytest.fixture
def ref(fake: FakeRegistry) -> Callable[[str], ImageRef]:
    return lambda text: ImageRef.parse(f"{fake.host}/{text}")


Ref = Callable[[str], ImageRef]


def put(fake: FakeRegistry, repository: str, tag: str, payload: bytes = b"{}") -> Manifest:
    """An image as another client has pushed it."""
    manifest = make_artifact(payload, artifact_type="application/vnd.test")
    for content in (b"{}", payload):
        fake.put_blob(repository, content)
    fake.put_manifest(repository, tag, manifest.content, manifest.media_type)
    return manifest


# --- reading ---------------------------------------------------------------------------------------------------------


def test_head_of_a_tag_a_digest_and_nothing(fake: FakeRegistry, registry: Registry, ref: Ref) -> None:
    manifest = put(fake, "lab", "1")
    assert registry.head(ref("lab:1")) == manifest.digest
    assert registry.head(ref("lab").with_digest(manifest.digest)) == manifest.digest
    assert registry.head(ref("lab:2")) is None
    assert fake.asked("GET") == []


def test_a_docker_manifest_is_not_converted_to_schema_1(fake: FakeRegistry, registry: Registry, ref: Ref) -> None:
    content = put(fake, "lab", "").content.replace(OCI_MANIFEST.encode(), DOCKER_MANIFEST.encode())
    digest = fake.put_manifest("lab", "docker", content, DOCKER_MANIFEST)
    assert registry.head(ref("lab:docker")) == digest
    manifest = registry.manifest(ref("lab:docker"))
    assert manifest is not None
    assert (manifest.media_type, manifest.content) == (DOCKER_MANIFEST, content)


def test_what_is_really_schema_1_is_refused(fake: FakeRegistry, registry: Registry, ref: Ref) -> None:
    fake.put_manifest("lab", "old", b'{"schemaVersion":1}', DOCKER_MANIFEST)
    with pytest.raises(RegistryError, match="schema 1"):
        registry.manifest(ref("lab:old"))


@pytest.mark.parametrize("option", ["state_digests", "heads"])
def test_head_falls_back_to_get(fake: FakeRegistry, registry: Registry, ref: Ref, option: str) -> None:
    manifest = put(fake, "lab", "1")
    setattr(fake, option, False)
    assert registry.head(ref("lab:1")) == manifest.digest
    assert registry.head(ref("lab:2")) is None


def test_head_looks_closer_at_another_media_type(fake: FakeRegistry, registry: Registry, ref: Ref) -> None:
    manifest = put(fake, "lab", "1")
    fake.fault("HEAD", "", Reply(200, {"Content-Type": SCHEMA_1, "Docker-Content-Digest": NONE}))
    assert registry.head(ref("lab:1")) == manifest.digest


def test_head_looks_closer_at_another_digest(fake: FakeRegistry, registry: Registry, ref: Ref) -> None:
    manifest = put(fake, "lab", "1")
    fake.fault("HEAD", "", Reply(200, {"Content-Type": OCI_MANIFEST, "Docker-Content-Digest": NONE}))
    assert registry.head(ref("lab").with_digest(manifest.digest)) == manifest.digest


def test_heads_asks_once_for_each(fake: FakeRegistry, registry: Registry, ref: Ref) -> None:
    refs = [ref(f"lab:{number}") for number in range(40)]
    there = {one: put(fake, "lab", one.tag, one.tag.encode()).digest for one in refs[::2]}
    assert registry.heads([*refs, *refs]) == {one: there.get(one) for one in refs}
    assert len(fake.asked("HEAD")) == 40


def test_tags_of_all_pages_and_of_no_repository(fake: FakeRegistry, registry: Registry, ref: Ref) -> None:
    for number in range(5):
        put(fake, "lab", f"t{number}")
    fake.page_size = 2
    assert registry.tags(ref("lab")) == ("t0", "t1", "t2", "t3", "t4")
    assert registry.tags(ref("none")) == ()
    fake.repository("empty")
    assert registry.tags(ref("empty")) == ()


def test_tags_within_so_many_pages(fake: FakeRegistry, registry: Registry, ref: Ref) -> None:
    for number in range(5):
        put(fake, "lab", f"t{number}")
    fake.page_size = 2
    assert registry.tags_within(ref("lab"), pages=3) == frozenset(registry.tags(ref("lab")))
    assert registry.tags_within(ref("lab"), pages=2) is None
    assert registry.tags_within(ref("none"), pages=1) == frozenset()
    fake.fault("GET", "/tags/list", problem(403, "DENIED", "nobody may list"), times=9)
    assert registry.tags_within(ref("lab"), pages=3) is None


def test_a_blob_and_its_limit(fake: FakeRegistry, registry: Registry, ref: Ref) -> None:
    digest = Digest(fake.put_blob("lab", b"content"))
    assert registry.blob(ref("lab"), digest, limit_bytes=7) == b"content"
    with pytest.raises(RegistryError, match="more than the 6 bytes"):
        registry.blob(ref("lab"), digest, limit_bytes=6)
    with pytest.raises(RegistryError, match="404"):
        registry.blob(ref("lab"), NONE)
    assert registry.has_blob(ref("lab"), digest)
    assert not registry.has_blob(ref("lab"), NONE)


def test_a_reference_to_another_host_is_a_mistake(registry: Registry) -> None:
    with pytest.raises(ValueError, match="is not on 127"):
        registry.head(ImageRef.parse("elsewhere.example/lab:1"))


# --- pushing ---------------------------------------------------------------------------------------------------------


def test_blobs_before_the_manifest_and_then_nothing_more(
    fake: FakeRegistry, registry: Registry, ref: Ref, tmp_path: Path
) -> None:
    layout = write_layout(tmp_path, [b"small", BIG])
    sent: list[tuple[Digest, int, int]] = []
    digest = registry.push_image(layout, ref("lab:1"), progress=lambda *now: sent.append(now))
    assert digest == layout.manifest.digest == fake.repository("lab").tags["1"]
    assert fake.content[digest_of(BIG)] == BIG
    puts = [seen.path for seen in fake.asked("PUT")]
    assert [("manifests" in path) for path in puts] == [False] * 3 + [True]
    assert sent[-1] == (digest_of(BIG), len(BIG), len(BIG))
    assert len([one for one in sent if one[0] == digest_of(BIG)]) > 1

    before = len(fake.requests)
    assert registry.push_image(layout, ref("lab:1")) == digest
    assert {seen.method for seen in fake.requests[before:]} == {"HEAD"}


def test_what_its_repository_has_is_neither_sent_nor_mounted(
    fake: FakeRegistry, registry: Registry, ref: Ref, tmp_path: Path
) -> None:
    layout = write_layout(tmp_path)
    registry.push_image(layout, ref("lab:1"))
    before = len(fake.requests)
    registry.push_image(layout, ref("lab:2"), sources=[ref("build")])
    assert {seen.method for seen in fake.requests[before:]} == {"HEAD", "PUT"}


def test_a_blob_that_was_seen_is_not_asked_for_again(
    fake: FakeRegistry, registry: Registry, ref: Ref, tmp_path: Path
) -> None:
    layout = write_layout(tmp_path)
    registry.push_image(layout, ref("lab:1"))
    blobs = {blob.digest for blob in layout.manifest.blobs}
    assert len(fake.asked("HEAD", "/blobs/")) == len(blobs)
    registry.push_image(layout, ref("lab:2"))
    assert len(fake.asked("HEAD", "/blobs/")) == len(blobs)
    registry.push_image(layout.manifest, ref("elsewhere:1"), sources=[ref("lab")])
    assert len(fake.asked("HEAD", "/v2/elsewhere/blobs/")) == len(blobs)


def test_an_image_without_a_tag_goes_to_its_digest(
    fake: FakeRegistry, registry: Registry, ref: Ref, tmp_path: Path
) -> None:
    digest = registry.push_image(write_layout(tmp_path), ref("lab"))
    assert list(fake.repository("lab").manifests) == [digest]
    assert fake.repository("lab").tags == {}


def test_a_large_blob_is_read_as_it_is_sent(fake: FakeRegistry, registry: Registry, ref: Ref, tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(BIG)
    assert registry.upload_blob(ref("lab"), digest_of(BIG), path)
    assert not registry.upload_blob(ref("lab"), digest_of(BIG), path)
    assert fake.asked("PATCH")[0].headers["content-length"] == str(len(BIG))


@pytest.mark.parametrize("announced", ["", "http://{host}", "https://{host}"])
def test_upload_locations_may_be_relative_or_absolute_or_have_the_wrong_scheme(
    fake: FakeRegistry, registry: Registry, ref: Ref, announced: str
) -> None:
    fake.announced = announced.format(host=fake.host)
    assert registry.upload_blob(ref("lab"), digest_of(b"x"), b"x")
    assert fake.repository("lab").blobs == {sha256(b"x")}


@pytest.mark.parametrize("size", [4, len(BIG)])
def test_a_damaged_file_is_not_stored(
    fake: FakeRegistry, registry: Registry, ref: Ref, tmp_path: Path, size: int
) -> None:
    path = tmp_path / "blob"
    path.write_bytes(BIG[:size])
    with pytest.raises(EngineError, match="another digest"):
        registry.upload_blob(ref("lab"), NONE, path)
    assert fake.asked("PUT") == []


def test_a_missing_file_is_named(registry: Registry, ref: Ref, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"gone.*No such file"):
        registry.upload_blob(ref("lab"), NONE, tmp_path / "gone")


def test_a_mount_sends_no_bytes(fake: FakeRegistry, registry: Registry, ref: Ref) -> None:
    digest = Digest(fake.put_blob("build", b"x"))
    assert registry.mount_blob(ref("lab"), digest, ref("build"))
    assert digest in fake.repository("lab").blobs
    assert [seen.method for seen in fake.requests] == ["POST"]


def test_a_refused_mount_leaves_no_upload_open(fake: FakeRegistry, registry: Registry, ref: Ref) -> None:
    fake.refuse_mounts = True
    digest = Digest(fake.put_blob("build", b"x"))
    assert not registry.mount_blob(ref("lab"), digest, ref("build"))
    assert fake.uploads == {}
    assert len(fake.asked("DELETE")) == 1


def test_an_image_is_published_by_mounts_and_one_manifest(
    fake: FakeRegistry, registry: Registry, ref: Ref, tmp_path: Path
) -> None:
    digest = registry.push_image(write_layout(tmp_path, [BIG]), ref("build:fp-1"))
    before = len(fake.requests)
    assert registry.copy_image(ref("build:fp-1"), ref("scipy:x")) == digest
    assert fake.repository("scipy").tags == {"x": digest}
    assert {seen.method for seen in fake.requests[before:]} == {"GET", "HEAD", "POST", "PUT"}
    assert fake.asked("GET", "/blobs/") == []


def test_where_mounts_are_refused_the_blobs_are_copied(
    fake: FakeRegistry, registry: Registry, ref: Ref, tmp_path: Path
) -> None:
    digest = registry.push_image(write_layout(tmp_path, [b"small", BIG]), ref("build:fp-1"))
    fake.refuse_mounts = True
    assert registry.copy_image(ref("build:fp-1"), ref("scipy:x")) == digest
    assert fake.repository("scipy").tags == {"x": digest}
    assert fake.repository("scipy").blobs == fake.repository("build").blobs
    assert fake.uploads == {}


def test_an_index_is_copied_with_its_platforms(
    fake: FakeRegistry, registry: Registry, ref: Ref, tmp_path: Path
) -> None:
    layouts = [write_layout(tmp_path / name, [name.encode()]) for name in ("amd64", "arm64")]
    for layout in layouts:
        registry.push_image(layout, ref("build"))
    platforms = [layout.manifest.descriptor(f"linux/{layout.folder.name}") for layout in layouts]
    index = make_index(platforms)
    assert registry.push_image(index, ref("build:all")) == index.digest
    assert registry.copy_image(ref("build:all"), ref("scipy:x")) == index.digest
    copied = registry.manifest(ref("scipy:x"))
    assert copied is not None
    assert copied.media_type == OCI_INDEX
    assert set(fake.repository("scipy").manifests) == {index.digest, *(one.digest for one in platforms)}
    assert fake.repository("scipy").tags == {"x": index.digest}


def test_a_blob_that_is_nowhere(fake: FakeRegistry, registry: Registry, ref: Ref) -> None:
    manifest = make_artifact(b"payload", artifact_type="application/vnd.test")
    with pytest.raises(RegistryError, match="is in none of"):
        registry.push_image(manifest, ref("lab:1"), sources=[ref("build")])
    assert fake.repository("lab").tags == {}


# --- tags ------------------------------------------------------------------------------------------------------------


def test_a_tag_that_is_there_is_not_put_again(fake: FakeRegistry, registry: Registry, ref: Ref) -> None:
    manifest = put(fake, "lab", "1")
    assert registry.put_tag_once(ref("lab:1"), manifest) == manifest.digest
    assert fake.asked("PUT") == []


def test_an_immutable_tag_is_never_overwritten(fake: FakeRegistry, registry: Registry, ref: Ref) -> None:
    first, second = put(fake, "lab", "1", b"first"), put(fake, "lab", "2", b"second")
    with pytest.raises(TagTaken) as caught:
        registry.put_tag_once(ref("lab:1"), second)
    assert (caught.value.found, caught.value.wanted) == (first.digest, second.digest)
    assert registry.put_tag_once(ref("lab:1"), second, adopt=True) == first.digest
    assert fake.asked("PUT") == []


def test_who_comes_second_adopts_what_the_first_has_pushed(
    fake: FakeRegistry, registry: Registry, ref: Ref, tmp_path: Path
) -> None:
    first = put(fake, "lab", "1", b"first")
    assert registry.push_image(write_layout(tmp_path), ref("lab:1"), adopt=True) == first.digest
    assert {seen.method for seen in fake.requests} == {"HEAD"}


@pytest.mark.parametrize("adopt", [True, False])
def test_two_runs_that_both_saw_nothing_and_a_registry_with_immutable_tags(
    fake: FakeRegistry, registry: Registry, ref: Ref, *, adopt: bool
) -> None:
    ours = put(fake, "lab", "", b"ours")
    fake.immutable_tags = True
    theirs: list[Manifest] = []

    def other_run(seen: Seen) -> None:
        if seen.method == "PUT" and not theirs:
            theirs.append(put(fake, "lab", "1", b"theirs"))

    fake.before = other_run
    if adopt:
        assert registry.put_tag_once(ref("lab:1"), ours, adopt=True) == theirs[0].digest
    else:
        with pytest.raises(TagTaken):
            registry.put_tag_once(ref("lab:1"), ours)
    assert fake.repository("lab").tags["1"] == theirs[0].digest


def test_of_two_that_put_a_tag_at_once_the_last_one_is_what_both_find(fake: FakeRegistry, ref: Ref) -> None:
    ours, theirs = put(fake, "lab", "", b"ours"), put(fake, "lab", "", b"theirs")
    retry = Retry(sleep=lambda _s: fake.put_manifest("lab", "1", theirs.content, theirs.media_type))
    registry = Registry(fake.host, look_up=anonymous, retry=retry)
    assert registry.put_tag_once(ref("lab:1"), ours) == ours.digest
    assert registry.settled(ref("lab:1")) == theirs.digest
    registry.close()


@pytest.mark.parametrize(("put_s", "waited_s"), [(0.01, 0.5), (0.4, 1.2), (60.0, 10.0)])
def test_the_slower_the_registry_the_longer_a_tag_settles(
    fake: FakeRegistry, ref: Ref, put_s: float, waited_s: float
) -> None:
    """A run that saw no tag may be as slow to put its own as this one was."""
    times, waits = count(0.0, put_s), list[float]()
    registry = Registry(fake.host, look_up=anonymous, retry=Retry(clock=lambda: next(times), sleep=waits.append))
    registry.put_tag_once(ref("lab:1"), put(fake, "lab", ""))
    registry.settled(ref("lab:1"))
    registry.settled(ref("lab:1"))
    assert waits == [pytest.approx(waited_s), 0.5]
    registry.close()


def test_a_tag_that_is_gone_has_not_settled(fake: FakeRegistry, registry: Registry, ref: Ref) -> None:
    registry.put_tag_once(ref("lab:1"), put(fake, "lab", ""))
    fake.repository("lab").tags.clear()
    with pytest.raises(RegistryError, match="is gone"):
        registry.settled(ref("lab:1"))


def test_a_channel_moves_and_stays_when_it_is_there(fake: FakeRegistry, registry: Registry, ref: Ref) -> None:
    put(fake, "lab", "latest", b"old")
    new = put(fake, "lab", "", b"new")
    assert registry.move_tag(ref("lab:latest"), new)
    assert fake.repository("lab").tags["latest"] == new.digest
    assert not registry.move_tag(ref("lab:latest"), new)
    assert len(fake.asked("PUT")) == 1


def test_a_manifest_does_not_go_to_another_digest(registry: Registry, ref: Ref) -> None:
    manifest = make_artifact(b"{}", artifact_type="application/vnd.test")
    with pytest.raises(ValueError, match="can't name"):
        registry.put_manifest(ref("lab").with_digest(NONE), manifest)


# --- records ---------------------------------------------------------------------------------------------------------

RECORD = "application/vnd.hubstack.test.v1+json"


def test_a_record_comes_back_as_it_was(fake: FakeRegistry, registry: Registry, ref: Ref) -> None:
    record = {"size": 12, "packages": ["numpy 2.1", "ü"]}
    digest = registry.write_record(ref("build:info-1"), record, artifact_type=RECORD)
    assert registry.read_record(ref("build:info-1"), artifact_type=RECORD) == record
    assert registry.write_record(ref("build:info-1"), record, artifact_type=RECORD) == digest
    assert len(fake.asked("PUT", "/manifests/")) == 1


def test_a_record_moves_unless_its_tag_is_for_once(fake: FakeRegistry, registry: Registry, ref: Ref) -> None:
    first = registry.write_record(ref("build:last"), 1, artifact_type=RECORD)
    before = len(fake.requests)
    assert registry.write_record(ref("build:last"), 2, artifact_type=RECORD, once=True) == first
    assert [seen.method for seen in fake.requests[before:]] == ["HEAD"]
    assert registry.read_record(ref("build:last"), artifact_type=RECORD) == 1
    assert registry.write_record(ref("build:last"), 2, artifact_type=RECORD) != first
    assert registry.read_record(ref("build:last"), artifact_type=RECORD) == 2


def test_what_is_no_record_is_none(fake: FakeRegistry, registry: Registry, ref: Ref, tmp_path: Path) -> None:
    registry.push_image(write_layout(tmp_path), ref("build:image"))
    assert registry.read_record(ref("build:image"), artifact_type=RECORD) is None
    assert registry.read_record(ref("build:none"), artifact_type=RECORD) is None


# --- addresses, imports, logs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("docker.io", "https://registry-1.docker.io"),
        ("quay.io", "https://quay.io"),
        ("registry.example:5000", "https://registry.example:5000"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("127.1.2.3", "http://127.1.2.3"),
        ("localhost:5000", "http://localhost:5000"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("127.0.0.1.example.org", "https://127.0.0.1.example.org"),
        ("localhost.example.org", "https://localhost.example.org"),
    ],
)
def test_plain_http_only_on_this_machine(host: str, address: str) -> None:
    assert api_address(host) == address


def test_nothing_that_is_slow_to_import_is_imported_before_it_is_needed() -> None:
    code = "import sys, hubstack.registry; print(sorted({'httpx', 'docker', 'requests'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_log_holds_no_secret(fake: FakeRegistry, ref: Ref, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    registry = Registry(
        fake.host, look_up=lambda _host: Credential(origin="test", username="robot", password="pa55word")
    )
    fake.auth, fake.accounts = "token", {"robot": Account("pa55word")}
    registry.upload_blob(ref("lab"), digest_of(b"x"), b"x")
    registry.close()
    assert f"PUT http://{fake.host}/v2/lab/blobs/uploads/" in caplog.text
    for secret in ("pa55word", "s3cret", "token-", "Basic", "Bearer"):
        assert secret not in caplog.text
