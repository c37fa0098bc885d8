from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hubstack.oci import Layout, digest_of
from hubstack.record import Record
from hubstack.reference import Fingerprint
from hubstack.store import Store

from tests.fakes.layout import write_layout

ONE, TWO, THREE = (Fingerprint(digit * 64) for digit in "123")
TESTS, OTHER_TESTS = "a" * 32, "b" * 32


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / ".hubstack")
    with store.lock():
        yield store


def put(store: Store, fingerprint: Fingerprint, *blobs: bytes) -> Layout:
    with store.new_layout(fingerprint) as folder:
        write_layout(folder, blobs or (b"shared", fingerprint.encode()))
    layout = store.layout(fingerprint)
    assert layout is not None
    return layout


def record(node: str, fingerprint: Fingerprint) -> Record:
    return Record(node=node, fingerprint=fingerprint, facts=(), sources={}, seconds=1.0, size_bytes=2)


def blobs(store: Store) -> set[str]:
    return {path.name for path in (store.folder / "blobs" / "sha256").iterdir()}


# --- layouts -------------------------------------------------------------------------------------------------------------


def test_layouts_share_their_blobs(store: Store) -> None:
    one, two = put(store, ONE), put(store, TWO)
    assert one.manifest.digest != two.manifest.digest
    assert len(blobs(store)) == 2 * 2 + 3  # manifests and configs; "shared" only once
    assert digest_of(b"shared").hex in blobs(store)
    assert two.config.user == "1000:100"


def test_the_folder_may_be_moved(store: Store, tmp_path: Path) -> None:
    put(store, ONE)
    store.folder.rename(tmp_path / "moved")
    assert Store(tmp_path / "moved").layout(ONE) is not None


def test_the_folder_s_own_path_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store(Path("here"))
    with store.lock():
        put(store, ONE)
    assert store.layout(ONE) is not None


def test_a_build_that_fails_leaves_no_layout(store: Store) -> None:
    def build() -> None:
        with store.new_layout(ONE) as folder:
            write_layout(folder)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        build()
    assert store.layout(ONE) is None
    assert list((store.folder / "nodes").iterdir()) == []


def test_a_new_build_takes_the_old_one_s_place_and_its_marks(store: Store) -> None:
    before = put(store, ONE, b"irreproducible 1").manifest.digest
    store.mark_tested(ONE, TESTS)
    after = put(store, ONE, b"irreproducible 2").manifest.digest
    assert before != after
    assert store.digests([f"fp-{ONE}", f"ok-{ONE}-{TESTS}"]) == {f"fp-{ONE}": after}


@pytest.mark.parametrize("lost", ["index.json", "oci-layout", "blobs", "a blob", "the manifest"])
def test_a_layout_that_is_not_whole_is_none(store: Store, lost: str) -> None:
    """People clean up; disks get full."""
    layout = put(store, ONE)
    paths = {
        "a blob": layout.path(layout.manifest.layers[0].digest),
        "the manifest": layout.path(layout.manifest.digest),
    }
    (paths.get(lost) or layout.folder / lost).unlink()
    assert (store.layout(ONE) is None) == (lost != "oci-layout")
    put(store, TWO)
    store.prune([TWO], [])
    assert store.layout(TWO) is not None


# --- tags ----------------------------------------------------------------------------------------------------------------


def test_it_answers_as_the_build_repository_would(store: Store) -> None:
    digest = put(store, ONE).manifest.digest
    store.mark_tested(ONE, TESTS)
    tags = [f"fp-{ONE}", f"ok-{ONE}-{TESTS}", f"ok-{ONE}-{OTHER_TESTS}", f"fp-{TWO}", f"ok-{TWO}-{TESTS}"]
    assert store.digests(tags) == {f"fp-{ONE}": digest, f"ok-{ONE}-{TESTS}": digest}
    store.discard(ONE)
    assert store.digests(tags) == {}


def test_a_store_that_was_never_written_to_has_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "nowhere")
    assert store.digests([f"fp-{ONE}"]) == {}
    assert store.records(["lab"]) == {}
    assert store.layout(ONE) is None
    assert not store.folder.exists()


# --- records -------------------------------------------------------------------------------------------------------------


def test_the_last_record_of_a_node_counts(store: Store) -> None:
    store.write_record(record("lab", ONE))
    store.write_record(record("lab", TWO))
    assert store.records(["lab", "other"]) == {"lab": record("lab", TWO)}


# --- cleaning up ---------------------------------------------------------------------------------------------------------


def test_prune_takes_what_an_edit_has_replaced_and_its_blobs(store: Store) -> None:
    for fingerprint in (ONE, TWO):
        put(store, fingerprint)
        store.write_record(record("lab", fingerprint))
    store.prune([TWO], ["lab"])
    assert store.layout(ONE) is None
    assert store.layout(TWO) is not None
    assert digest_of(ONE.encode()).hex not in blobs(store)
    assert digest_of(b"shared").hex in blobs(store)


def test_prune_leaves_other_selections_alone(store: Store) -> None:
    """`hubstack build scipy` must not cost what `hubstack build r` has built, as long as the graph has it."""
    for node, fingerprint in (("lab", ONE), ("r", TWO), ("gone", THREE)):
        put(store, fingerprint)
        store.write_record(record(node, fingerprint))
    store.prune([ONE], ["lab", "r"])
    assert [store.layout(one) is not None for one in (ONE, TWO, THREE)] == [True, True, False]


def test_who_comes_next_clears_away_what_a_killed_build_has_left(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.lock():
        put(store, ONE)
        (store.folder / "tmp" / "build-x").mkdir()
        (store.folder / "tmp" / "build-x" / "rootfs.tar").touch()
        (store.folder / "tmp" / "lab.json").touch()
        (store.folder / "nodes" / ".new-x" / "layout").mkdir(parents=True)
    with store.lock():
        assert list((store.folder / "tmp").iterdir()) == []
        assert [path.name for path in (store.folder / "nodes").iterdir()] == [ONE]
    assert (tmp_path / ".gitignore").read_text() == "*\n"


# --- one at a time -------------------------------------------------------------------------------------------------------


def test_a_second_build_waits_and_says_so_once(tmp_path: Path) -> None:
    store, waiting, done = Store(tmp_path), threading.Event(), threading.Event()
    calls: list[str] = []

    def say() -> None:
        calls.append("waiting")
        waiting.set()

    def second() -> None:
        with Store(tmp_path).lock(on_wait=say):
            done.set()

    with store.lock():
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(5)
        assert not done.wait(0.05)
    thread.join(5)
    assert done.is_set()
    assert calls == ["waiting"]


def test_who_has_the_lock_may_take_it_again_and_keeps_what_is_half_done(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.lock():
        half = store.folder / "tmp" / "half"
        half.touch()
        with store.lock(on_wait=lambda: pytest.fail("nobody else has it")):
            assert half.exists()
        with Path(store.folder / "lock").open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it is still held
    with store.lock():
        assert not half.exists()
