"""What a node may rely on when it is moved onto a newer build of what it stands on, and what comes out of the move."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hubstack.merge.built import Built
from hubstack.merge.entry import OPAQUE, Entry, Kind, file_entry
from hubstack.merge.mergers import STATUS
from hubstack.merge.mergers.ld_so_cache import Library, render_cache
from hubstack.merge.rebase import MOST_MOVES, Rebased, moved_index, rebase
from hubstack.oci import Descriptor, digest_of
from hubstack.reference import Fingerprint

from tests.content import Content, index

FOLDER = Entry(kind=Kind.DIRECTORY, mode=0o755)
OLD, NEW, LAYER = (Fingerprint(hashlib.sha256(name.encode()).hexdigest()) for name in ("old", "new", "layer"))


def node(name: str, files: Mapping[str, Content], *parents: Fingerprint, moves: int = 0) -> Built:
    blob = digest_of(name.encode())
    return Built(
        name=name,
        parents=parents,
        index=index(files),
        config={},
        machine={"architecture": "amd64", "os": "linux"},
        layers=(Descriptor(media_type="x", digest=blob, size=1),),
        diff_ids=(blob,),
        digest=blob,
        below=(),
        moves=moves,
    )


def moved(
    was: Mapping[str, Content], now: Mapping[str, Content], layer: Mapping[str, Content] | None = None, moves: int = 0
) -> Rebased:
    """A layer that stands on a base that was ``was`` and is ``now``."""
    old = {OLD: node("debian", was), LAYER: node("lab", layer or {"opt/lab": b"lab"}, OLD, moves=moves)}
    return rebase(old, LAYER, {NEW: node("debian", now)}, NEW)


def refused(was: Mapping[str, Content], now: Mapping[str, Content], layer: Mapping[str, Content] | None = None) -> str:
    return "; ".join(map(str, moved(was, now, layer).assembled.conflicts))


def cache(*names: str) -> bytes:
    libraries = [Library(name=name, path=f"/lib/{name}", flags=1, version=0, hwcap="0") for name in names]
    return render_cache(libraries, b"")


def link(target: str) -> Entry:
    return Entry(kind=Kind.LINK, content=target)


def release(number: int) -> dict[str, Content]:
    return {"usr/lib/os-release": f'NAME="Debian"\nID=debian\nVERSION_ID="{number}"\n'.encode()}


def test_what_the_new_base_has_and_what_the_layer_has_changed_are_both_there() -> None:
    found = moved(
        {"etc/shells": b"/bin/sh\n", "v": b"1"},
        {"etc/shells": b"/bin/sh\n/bin/new\n", "v": b"2"},
        {"etc/shells": b"/bin/sh\n/bin/lab\n", "opt/lab": b"lab"},
    )
    assert found.assembled.conflicts == ()
    assert found.assembled.nodes == (NEW, LAYER)
    assert found.assembled.index.contents["etc/shells"] == b"/bin/sh\n/bin/lab\n/bin/new\n"
    assert found.assembled.index.entries["v"] == file_entry(b"2")
    assert set(found.assembled.written) == {"etc/shells"}
    own = moved_index(found, LAYER)
    assert own.entries.keys() == {"etc/shells", "opt/lab"}
    assert own.contents["etc/shells"] == b"/bin/sh\n/bin/lab\n/bin/new\n"


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        (release(12), release(13), "the release is debian 13, and was debian 12"),
        (
            {"usr/lib/os-release": b"ID=debian\nVERSION_CODENAME=trixie\n"},
            {"usr/lib/os-release": b"ID=debian\nVERSION_CODENAME=forky\n"},
            "the release is debian forky, and was debian trixie",
        ),
        ({"etc/ld.so.cache": cache("libx.so.1", "liby.so.1")}, {"etc/ld.so.cache": cache("liby.so.1")}, "no libx.so.1"),
        ({"etc/passwd": b"man:x:6:12::/:/x\n"}, {"etc/passwd": b"man:x:7:12::/:/x\n"}, "man has the id 7, and had 6"),
        ({"etc/group": b"man:x:12:\n"}, {"etc/group": b"man:x:13:\n"}, "the group man has the id 13, and had 12"),
        ({"usr/bin/python3": link("python3.11")}, {"usr/bin/python3": link("python3.13")}, "is python3.13, and was"),
        ({"usr/bin/python3": link("python3.11")}, {}, "is gone, and was python3.11"),
    ],
)
def test_what_a_layer_may_rely_on(was: Mapping[str, Content], now: Mapping[str, Content], said: str) -> None:
    assert said in refused(was, now)
    assert refused(was, was) == ""


def test_a_library_that_ldconfig_does_not_know() -> None:
    """By the name by which programs ask for it: the file behind that has another one in each version."""
    old: dict[str, Content] = {
        "opt/c/libx.so.1": link("libx.so.1.0"),
        "opt/c/libx.so.1.0": b"0",
        "opt/c/liby.so.2": b"y",
    }
    newer: dict[str, Content] = {**old, "opt/c/libx.so.1": link("libx.so.1.1"), "opt/c/libx.so.1.1": b"1"}
    del newer["opt/c/libx.so.1.0"]
    assert refused(old, newer) == ""
    next_one: dict[str, Content] = {"opt/c/libx.so.2": b"2", "opt/c/liby.so.2": b"y"}
    assert "there is no libx.so.1 any more" in refused(old, next_one)
    assert "there is no liby.so.2 any more" in refused(old, {path: old[path] for path in old if "liby" not in path})


def test_a_library_that_a_wheel_brings_is_its_own() -> None:
    folder = "opt/python/lib/python3.13/site-packages/numpy.libs"
    assert refused({f"{folder}/libopenblas-0cf9.so": b"1"}, {f"{folder}/libopenblas-ff65.so": b"2"}) == ""


def test_what_a_link_of_the_layer_leads_to() -> None:
    old: dict[str, Content] = {"opt": FOLDER, "usr/opt": link("../opt"), "opt/py-3.12.3/bin/python": b"3"}
    newer: dict[str, Content] = {"opt": FOLDER, "usr/opt": link("../opt"), "opt/py-3.12.4/bin/python": b"4"}
    for target in ("/opt/py-3.12.3/bin/python", "../../../usr/opt/py-3.12.3/bin/python"):
        layer: dict[str, Content] = {
            "srv/venv/bin/python": link(target),
            "srv/venv/bin/nowhere": link("/nowhere/python"),
        }
        assert f"/srv/venv/bin/python leads to {target}, which is gone" in refused(old, newer, layer)
        assert refused(old, {**newer, **old}, layer) == ""
    own: dict[str, Content] = {"srv/bin/python": link("/srv/python"), "srv/python": b"own"}
    assert refused(old, newer, own) == ""


@pytest.mark.parametrize(
    ("was", "layer", "now", "joint"),
    [
        (
            "/usr/bin",
            "/opt/lab/bin:/usr/bin:/opt/old",
            "/new:/usr/bin:/behind",
            "/opt/lab/bin:/new:/usr/bin:/behind:/opt/old",
        ),
        ("/venv:/usr/bin", "/venv:/opt/lab/bin:/usr/bin", "/venv:/usr/bin", "/venv:/opt/lab/bin:/usr/bin"),
        ("/venv:/usr/bin", "/venv:/usr/bin", "/usr/bin:/new:/venv", "/usr/bin:/new:/venv"),
        ("/venv:/usr/bin", "/venv:/opt/lab/bin:/usr/bin", "/venv:/new:/usr/bin", "/venv:/opt/lab/bin:/new:/usr/bin"),
    ],
)
def test_folders_of_the_layer_stand_before_those_of_the_new_base_as_if_it_were_built(
    was: str, layer: str, now: str, joint: str
) -> None:
    def with_path(one: Built, path: str) -> Built:
        return replace(one, config={"Env": [f"PATH={path}"]})

    old = {OLD: with_path(node("debian", {}), was), LAYER: with_path(node("lab", {"opt/lab": b""}, OLD), layer)}
    found = rebase(old, LAYER, {NEW: with_path(node("debian", {"v": b""}), now)}, NEW)
    assert found.assembled.config["Env"] == [f"PATH={joint}"]


def test_another_machine() -> None:
    old = {OLD: node("debian", {}), LAYER: node("lab", {"opt/lab": b""}, OLD)}
    other = replace(node("debian", {}), machine={"architecture": "arm64", "os": "linux"})
    (conflict,) = rebase(old, LAYER, {NEW: other}, NEW).assembled.conflicts
    assert "arm64" in conflict.what


def test_packages_in_lock_step_with_the_base() -> None:
    def status(base: str, *more: str) -> bytes:
        stanzas = (f"Package: perl-base\nStatus: install ok installed\nVersion: {base}\nArchitecture: amd64\n", *more)
        return "\n".join(stanzas).encode()

    perl = (
        "Package: perl\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\nPre-Depends: perl-base (= 1)\n"
    )
    said = refused({STATUS: status("1")}, {STATUS: status("2")}, {STATUS: status("1", perl)})
    assert "perl 1 of lab has Pre-Depends: perl-base (= 1)" in said
    loose = perl.replace("(= 1)", "(>= 1)")
    assert refused({STATUS: status("1")}, {STATUS: status("2")}, {STATUS: status("1", loose)}) == ""


def test_a_file_that_the_layer_has_changed_and_the_new_base_too() -> None:
    assert "/etc/x has different contents" in refused({"etc/x": b"1"}, {"etc/x": b"2"}, {"etc/x": b"3"})


def test_after_many_moves_a_build_makes_one_of_all() -> None:
    assert moved({}, {"v": b"2"}, moves=MOST_MOVES - 1).assembled.conflicts == ()
    (conflict,) = moved({}, {"v": b"2"}, moves=MOST_MOVES).assembled.conflicts
    assert f"was moved {MOST_MOVES} times" in conflict.what


def test_a_folder_that_the_base_has_made_anew_is_not_made_anew_by_the_layer() -> None:
    base: dict[str, Content] = {"d": Entry(kind=Kind.DIRECTORY, mode=0o755, content=OPAQUE), "d/base": b"1"}
    found = moved(base, {**base, "d/base": b"2"}, {"d": FOLDER, "d/lab": b""})
    assert found.assembled.conflicts == ()
    assert moved_index(found, LAYER).entries["d"] == FOLDER


def test_a_database_that_can_not_be_read_is_said_and_built() -> None:
    found = refused({"v": b"1"}, {"v": b"2"}, {"usr/lib/node_modules/x/package.json": b"{oops"})
    assert "have a database that can't be read (JSONDecodeError" in found
