"""security.md's table of registry faults, row by row, and what else goes wrong between two machines."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest
from hubstack.errors import DigestMismatch, RegistryDenied, RegistryError, RegistryUnreachable, TagTaken
from hubstack.oci import Manifest, digest_of, make_artifact
from hubstack.reference import Digest, ImageRef
from hubstack.registry import Registry
from hubstack.registry.credentials import anonymous
from hubstack.registry.transport import Deadlines

from tests.fakes.clock import FakeTime
from tests.fakes.layout import write_layout
from tests.fakes.registry import FakeRegistry, Reply, Trouble, problem

BIG = bytes(range(256)) * 8192  # 2 MiB: it goes up as a stream
MANIFESTS, UPLOADS = "/manifests/", "/blobs/uploads/."
SILENCE_S = 0.2


class Trial:
    """A registry on a bad day, and a client for whom waiting takes no time."""

    def __init__(self, fake: FakeRegistry) -> None:
        self.fake, self.time = fake, FakeTime()
        self.registry = Registry(
            fake.host, look_up=anonymous, retry=self.time.retry(), deadlines=Deadlines(silence_s=SILENCE_S)
        )
        self.tag = ImageRef.parse(f"{fake.host}/lab:1")

    def image(self) -> Manifest:
        """One whose blobs are there already."""
        for content in (b"{}", b"payload"):
            self.fake.put_blob("lab", content)
        return make_artifact(b"payload", artifact_type="application/vnd.test")

    def statuses(self) -> dict[str, int]:
        return {method: len(self.fake.asked(method)) for method in ("HEAD", "GET", "POST", "PATCH", "PUT")}


@pytest.fixture
def trial() -> Iterator[Trial]:
    with FakeRegistry() as fake:
        trial = Trial(fake)
        yield trial
        trial.registry.close()


# --- row 1: one 429 or 5xx at the manifest PUT -----------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_status_that_passes_is_waited_for(trial: Trial, status: int) -> None:
    manifest = trial.image()
    trial.fake.fault("PUT", MANIFESTS, problem(status, "TOOMANYREQUESTS", "slow down"))
    assert trial.registry.put_manifest(trial.tag, manifest) == manifest.digest
    assert trial.fake.repository("lab").tags == {"1": manifest.digest}
    assert trial.time.slept == [1.0]


def test_retry_after_in_seconds(trial: Trial) -> None:
    manifest = trial.image()
    trial.fake.fault("PUT", MANIFESTS, Reply(429, {"Retry-After": "40"}))
    trial.registry.put_manifest(trial.tag, manifest)
    assert trial.time.slept == [41.0]


def test_retry_after_as_a_date(trial: Trial) -> None:
    manifest = trial.image()
    trial.fake.fault("PUT", MANIFESTS, Reply(503, {"Retry-After": formatdate(time.time() + 30, usegmt=True)}))
    trial.registry.put_manifest(trial.tag, manifest)
    assert 29 <= trial.time.slept[0] <= 32


def test_a_registry_that_stays_busy_is_given_up_within_the_budget(trial: Trial) -> None:
    trial.fake.fault("PUT", MANIFESTS, problem(503, "UNAVAILABLE", "no space\nleft"), times=1000)
    with pytest.raises(
        RegistryError, match=r"503 Service Unavailable \(UNAVAILABLE: no space left\) \(tried 10 times\)"
    ):
        trial.registry.put_manifest(trial.tag, trial.image())
    assert 240 <= sum(trial.time.slept) <= 300
    assert trial.fake.repository("lab").tags == {}


# --- row 2: one 500 at a blob PATCH ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["HEAD", "POST", "PATCH", "PUT"])
@pytest.mark.parametrize("trouble", [Reply(500), Trouble.RESET, Trouble.HANG_UP, Trouble.LOSE_REPLY])
def test_a_broken_upload_begins_again(trial: Trial, tmp_path: Path, method: str, trouble: Trouble | Reply) -> None:
    (tmp_path / "blob").write_bytes(BIG)
    trial.fake.fault(method, "/blobs/", trouble)
    trial.registry.upload_blob(trial.tag, digest_of(BIG), tmp_path / "blob")
    assert trial.fake.content[digest_of(BIG)] == BIG
    assert trial.time.slept == [1.0]


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_an_upload_that_the_registry_has_forgotten_begins_again(trial: Trial, tmp_path: Path, method: str) -> None:
    (tmp_path / "blob").write_bytes(BIG)
    trial.fake.fault(method, UPLOADS, problem(404, "BLOB_UPLOAD_UNKNOWN", "what upload?"))
    assert trial.registry.upload_blob(trial.tag, digest_of(BIG), tmp_path / "blob")


# --- row 3: stored, and the answer is lost ---------------------------------------------------------------------------


def test_after_a_lost_answer_the_digest_is_compared_and_nothing_is_sent_again(trial: Trial) -> None:
    manifest = trial.image()
    trial.fake.fault("PUT", MANIFESTS, Trouble.LOSE_REPLY)
    assert trial.registry.put_manifest(trial.tag, manifest) == manifest.digest
    assert trial.statuses() == {"HEAD": 1, "GET": 0, "POST": 0, "PATCH": 0, "PUT": 1}


def test_the_same_for_a_tag_that_is_put_once(trial: Trial) -> None:
    manifest = trial.image()
    trial.fake.fault("PUT", MANIFESTS, Trouble.LOSE_REPLY)
    assert trial.registry.put_tag_once(trial.tag, manifest) == manifest.digest
    assert len(trial.fake.asked("PUT")) == 1


def test_the_same_for_a_blob(trial: Trial, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(BIG)
    trial.fake.fault("PUT", UPLOADS, Trouble.LOSE_REPLY)
    trial.registry.upload_blob(trial.tag, digest_of(BIG), tmp_path / "blob")
    assert (len(trial.fake.asked("PATCH")), len(trial.fake.asked("PUT"))) == (1, 1)


def test_a_tag_that_another_run_takes_while_we_wait_is_not_overwritten(trial: Trial) -> None:
    ours = trial.image()
    theirs = make_artifact(b"{}", artifact_type="application/vnd.test")
    trial.fake.fault("PUT", MANIFESTS, Reply(503))
    taking = trial.fake.put_manifest
    trial.time.sleep = lambda _s: taking("lab", "1", theirs.content, theirs.media_type)  # type: ignore[method-assign,assignment]
    registry = Registry(trial.fake.host, look_up=anonymous, retry=trial.time.retry())
    with pytest.raises(TagTaken):
        registry.put_tag_once(trial.tag, ours)
    assert trial.fake.repository("lab").tags == {"1": theirs.digest}
    registry.close()


# --- row 4: accepts and never answers --------------------------------------------------------------------------------


def test_silence_is_given_up_and_tried_again(trial: Trial) -> None:
    manifest = trial.image()
    trial.fake.fault("PUT", MANIFESTS, Trouble.SILENCE)
    began = time.monotonic()
    assert trial.registry.put_manifest(trial.tag, manifest) == manifest.digest
    assert SILENCE_S <= time.monotonic() - began < SILENCE_S + 10
    assert len(trial.fake.asked("PUT")) == 2


def test_lasting_silence_ends_with_an_error_that_says_so(trial: Trial) -> None:
    trial.fake.fault("HEAD", MANIFESTS, Trouble.SILENCE, times=1000)
    with pytest.raises(RegistryUnreachable, match=r"HEAD http://127.*/v2/lab/manifests/1: silent for 0.2 s \(tried"):
        trial.registry.head(trial.tag)


@pytest.mark.parametrize("trouble", [Trouble.STALL, Trouble.TRUNCATE])
def test_half_an_answer_is_asked_for_again(trial: Trial, trouble: Trouble) -> None:
    digest = Digest(trial.fake.put_blob("lab", b"content"))
    trial.fake.fault("GET", "/blobs/", trouble)
    assert trial.registry.blob(trial.tag, digest) == b"content"
    assert trial.time.slept == [1.0]


def test_a_host_that_never_answered_is_given_up_soon(trial: Trial) -> None:
    nobody = Registry("127.0.0.1:1", look_up=anonymous, retry=trial.time.retry())
    with pytest.raises(RegistryUnreachable, match="Connection refused"):
        nobody.head(ImageRef.parse("127.0.0.1:1/lab:1"))
    assert sum(trial.time.slept) <= 10
    nobody.close()


def test_one_unreachable_registry_is_one_error_for_many_questions(trial: Trial) -> None:
    nobody = Registry("127.0.0.1:1", look_up=anonymous, retry=trial.time.retry())
    with pytest.raises(RegistryUnreachable):
        nobody.heads(ImageRef.parse(f"127.0.0.1:1/lab:{number}") for number in range(100))
    nobody.close()


# --- row 5: corrupted on the way -------------------------------------------------------------------------------------


def test_a_blob_corrupted_on_its_way_up_is_sent_once_more(trial: Trial, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(BIG)
    trial.fake.fault("PATCH", UPLOADS, Trouble.CORRUPT_REQUEST)
    assert trial.registry.upload_blob(trial.tag, digest_of(BIG), tmp_path / "blob")
    assert trial.fake.content[digest_of(BIG)] == BIG
    assert len(trial.fake.asked("PATCH")) == 2


@pytest.mark.parametrize(("method", "content"), [("PATCH", BIG), ("PUT", b"small")])
def test_and_twice_is_a_named_error(trial: Trial, tmp_path: Path, method: str, content: bytes) -> None:
    (tmp_path / "blob").write_bytes(content)
    trial.fake.fault(method, UPLOADS, Trouble.CORRUPT_REQUEST, times=1000)
    with pytest.raises(DigestMismatch, match=f"{digest_of(content)} arrived as something else"):
        trial.registry.upload_blob(trial.tag, digest_of(content), tmp_path / "blob")
    assert len(trial.fake.asked(method)) == 2


@pytest.mark.parametrize("heads", [True, False])
def test_a_registry_that_does_not_say_what_it_has_stored_is_asked(trial: Trial, *, heads: bool) -> None:
    trial.fake.state_digests, trial.fake.heads = False, heads
    manifest = trial.image()
    assert trial.registry.put_manifest(trial.tag, manifest) == manifest.digest
    assert len(trial.fake.asked("GET", MANIFESTS)) == 1


def test_a_manifest_corrupted_on_its_way_up(trial: Trial) -> None:
    """Put under a tag, the registry has nothing to compare it with: only its answer tells."""
    content = trial.image().content.replace(b"vnd.test", b"vnd.tess")
    trial.fake.fault("PUT", MANIFESTS, Reply(201, {"Docker-Content-Digest": str(digest_of(content))}))
    assert trial.registry.put_manifest(trial.tag, trial.image()) == trial.image().digest
    assert len(trial.fake.asked("PUT")) == 2
    assert trial.fake.repository("lab").tags == {"1": trial.image().digest}


@pytest.mark.parametrize("times", [1, 1000])
def test_a_blob_corrupted_on_its_way_down(trial: Trial, times: int) -> None:
    digest = Digest(trial.fake.put_blob("lab", b"content"))
    trial.fake.fault("GET", "/blobs/", Trouble.CORRUPT_REPLY, times=times)
    if times == 1:
        assert trial.registry.blob(trial.tag, digest) == b"content"
    else:
        with pytest.raises(DigestMismatch):
            trial.registry.blob(trial.tag, digest)
    assert len(trial.fake.asked("GET")) == 2


@pytest.mark.parametrize("state_digests", [True, False])
def test_a_manifest_corrupted_on_its_way_down(trial: Trial, *, state_digests: bool) -> None:
    manifest = trial.image()
    trial.fake.state_digests = state_digests
    trial.fake.put_manifest("lab", "1", manifest.content, manifest.media_type)
    trial.fake.fault("GET", MANIFESTS, Trouble.CORRUPT_REPLY, times=2)
    with pytest.raises(DigestMismatch):
        trial.registry.manifest(trial.tag.with_digest(manifest.digest))
    assert trial.registry.manifest(trial.tag.with_digest(manifest.digest)) == manifest


def test_a_copy_that_is_corrupted_between_two_repositories_is_not_stored(trial: Trial) -> None:
    digest = Digest(trial.fake.put_blob("build", BIG))
    build = ImageRef.parse(f"{trial.fake.host}/build")
    trial.fake.fault("GET", "/build/blobs/", Trouble.CORRUPT_REPLY)
    assert trial.registry.copy_blob(trial.tag, digest, build)
    assert trial.fake.repository("lab").blobs == {digest}
    assert len(trial.fake.asked("PUT")) == 1


@pytest.mark.parametrize("trouble", [Trouble.TRUNCATE, Trouble.STALL])
def test_a_copy_whose_source_breaks_off_begins_again(trial: Trial, trouble: Trouble) -> None:
    digest = Digest(trial.fake.put_blob("build", BIG))
    trial.fake.fault("GET", "/build/blobs/", trouble)
    assert trial.registry.copy_blob(trial.tag, digest, ImageRef.parse(f"{trial.fake.host}/build"))
    assert trial.fake.content[digest] == BIG
    assert trial.time.slept == [1.0]


# --- row 6: what does not pass ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
def test_refused_is_final_and_quick(trial: Trial, status: int) -> None:
    trial.fake.fault("PUT", MANIFESTS, problem(status, "DENIED", "no"), times=1000)
    began = time.monotonic()
    with pytest.raises(RegistryDenied, match=rf"{status}, refused with no credential.*\(DENIED: no\)") as caught:
        trial.registry.put_manifest(trial.tag, trial.image())
    assert time.monotonic() - began < 10
    assert "docker login" in caught.value.hint
    assert (len(trial.fake.asked("PUT")), trial.time.slept) == (1, [])


@pytest.mark.parametrize("status", [400, 404, 405, 409, 413, 415])
def test_what_a_second_try_would_not_change_is_final(trial: Trial, status: int) -> None:
    trial.fake.fault("PUT", MANIFESTS, problem(status, "MANIFEST_INVALID", "bad"), times=1000)
    with pytest.raises(
        RegistryError, match=rf"PUT .*/v2/lab/manifests/1: {status} .*\(MANIFEST_INVALID: bad\)$"
    ) as caught:
        trial.registry.put_manifest(trial.tag, trial.image())
    assert caught.value.code == "MANIFEST_INVALID"
    assert (len(trial.fake.asked("PUT")), trial.time.slept) == (1, [])


def test_a_refused_tag_that_is_not_there_stays_refused(trial: Trial) -> None:
    trial.fake.fault("PUT", MANIFESTS, problem(403, "DENIED", "quota"))
    with pytest.raises(RegistryDenied, match="quota"):
        trial.registry.put_tag_once(trial.tag, trial.image())


def test_an_answer_that_is_no_manifest(trial: Trial) -> None:
    trial.fake.fault("GET", MANIFESTS, Reply(200, {"Content-Type": "text/html"}, b"<html>log in</html>"))
    with pytest.raises(RegistryError, match="lab:1"):
        trial.registry.manifest(trial.tag)


def test_an_answer_without_end_is_cut_off(trial: Trial) -> None:
    trial.fake.fault("GET", MANIFESTS, Reply(200, {}, b" " * (5 << 20)))
    with pytest.raises(RegistryError, match="more than the 4194304 bytes"):
        trial.registry.manifest(trial.tag)


# --- a push as a whole -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_push_that_fails_leaves_no_tag(trial: Trial, tmp_path: Path, method: str) -> None:
    trial.fake.fault(method, UPLOADS, Reply(500), times=1000)
    with pytest.raises(RegistryError):
        trial.registry.push_image(write_layout(tmp_path, [b"one", BIG]), trial.tag)
    assert trial.fake.repository("lab").tags == {}
    assert trial.fake.repository("lab").manifests == {}


def test_faults_all_along_a_push_share_one_budget(trial: Trial, tmp_path: Path) -> None:
    """183 s of waiting for the first blob and again for the second: each alone would be within the 300 s."""
    trial.fake.fault("POST", "/uploads/", Reply(500), times=8)
    trial.fake.fault("POST", "/uploads/", Reply(500), nth=10, times=8)
    with pytest.raises(RegistryError):
        trial.registry.push_image(write_layout(tmp_path), trial.tag)
    assert 183 < sum(trial.time.slept) <= 300


def test_closing_ends_the_waiting(trial: Trial) -> None:
    registry = Registry(trial.fake.host, look_up=anonymous)
    trial.fake.fault("HEAD", MANIFESTS, Reply(503, {"Retry-After": "100"}))
    threading.Timer(0.1, registry.close).start()
    began = time.monotonic()
    with pytest.raises(RegistryError, match="503"):
        registry.head(trial.tag)
    assert time.monotonic() - began < 20
