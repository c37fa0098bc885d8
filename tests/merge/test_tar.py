"""The index of a filesystem layer, against what Python's own tarfile finds in it."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import tracemalloc
import zlib
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hubstack.errors import EngineError
from hubstack.merge.built import Built
from hubstack.merge.entry import GONE, OPAQUE, Entry, Index, Kind, file_entry, overlay
from hubstack.merge.filesystem import write_layer
from hubstack.merge.record import parse_built, render_built
from hubstack.merge.tar import read_blob
from hubstack.oci import Descriptor
from hubstack.reference import Digest, Fingerprint
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.long


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", content: bytes = b"", pax: Mapping[str, str] | None = None
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mode, info.pax_headers = kind, link, len(content), 0o640, dict(pax or {})
    return info, content


def blob(*members: tuple[tarfile.TarInfo, bytes], style: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=style) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def read(content: bytes) -> Index:
    return read_blob(io.BytesIO(content), lambda path: path.startswith("kept"))


def test_each_kind_of_member() -> None:
    long = "folder/" + "n" * 180
    index = read(
        blob(
            member("./kept/", tarfile.DIRTYPE),
            member("kept/file", content=b"x" * 700),
            member("other", content=b"y", pax={"SCHILY.xattr.user.b": "2", "SCHILY.xattr.security.a": "1"}),
            member(long, content=b"z"),
            member("kept/hard", tarfile.LNKTYPE, "kept/file"),
            member("soft", tarfile.SYMTYPE, "../é"),
            member("fifo", tarfile.FIFOTYPE),
            member("kept/.wh.gone"),
        )
    )
    assert index.entries["kept"] == Entry(kind=Kind.DIRECTORY, mode=0o640)
    assert index.entries["kept/file"] == file_entry(b"x" * 700, mode=0o640)
    assert index.entries["kept/hard"] == index.entries["kept/file"]
    assert index.entries["other"] == file_entry(b"y", mode=0o640, xattrs=(("security.a", "1"), ("user.b", "2")))
    assert index.entries[long].content == hashlib.sha256(b"z").hexdigest()
    assert index.entries["soft"] == Entry(kind=Kind.LINK, content="../é")
    assert index.entries["fifo"].kind is Kind.DEVICE
    assert index.entries["kept/gone"] == GONE
    assert dict(index.contents) == {"kept/file": b"x" * 700, "kept/hard": b"x" * 700}


@pytest.mark.parametrize("style", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@given(
    st.dictionaries(
        st.text("abc/é", min_size=1, max_size=140).filter(
            lambda t: t.strip("/") and "//" not in t and t[0] != "/" and t[-1] != "/"
        ),
        st.binary(max_size=1500),
        max_size=5,
    )
)
def test_names_and_sizes(style: int, files: dict[str, bytes]) -> None:
    try:
        content = blob(*(member(name, content=data) for name, data in files.items()), style=style)
    except ValueError:
        return  # ustar has no room for every name
    assert dict(read(content).entries) == {name: file_entry(data, mode=0o640) for name, data in files.items()}
    assert read(gzip.compress(content)) == read(content)


def test_a_big_number_is_read() -> None:
    info, data = member("big", content=b"x")
    info.uid = 1 << 40
    assert read(blob((info, data), style=tarfile.GNU_FORMAT)).entries["big"].uid == 1 << 40
    assert read(blob((info, data))).entries["big"].uid == 1 << 40


def test_a_folder_made_anew_hides_what_was_in_it_wherever_its_whiteout_stands() -> None:
    mark, folder = member(".wh.folder"), member("folder", tarfile.DIRTYPE)
    made = read(blob(mark, folder, member("folder/new")))
    assert made == read(blob(folder, mark, member("folder/new")))
    assert made.entries["folder"] == Entry(kind=Kind.DIRECTORY, mode=0o640, content=OPAQUE)
    assert made == read(blob(folder, member("folder/.wh..wh..opq"), member("folder/new")))
    below = Index(entries={"folder": Entry(kind=Kind.DIRECTORY), "folder/old": file_entry(b"")})
    assert set(overlay(below, made).entries) == {"folder", "folder/new"}
    twice = overlay(read(blob(mark)), read(blob(folder)))  # a node of two filesystem layers
    assert twice.entries["folder"].content == OPAQUE


def test_a_file_made_anew_is_there() -> None:
    assert read(blob(member("file", content=b"x"), member(".wh.file"))).entries["file"].kind is Kind.FILE


def test_a_hard_link_has_the_content_of_what_stands_before_it_under_another_name() -> None:
    links = [member("app/tool", content=b"x"), member("kept/tool", tarfile.LNKTYPE, "app/tool")]
    assert read(blob(*links)).contents == {"kept/tool": b"x"}
    assert read(gzip.compress(blob(*links, member("kept/more", tarfile.LNKTYPE, "kept/tool")))).contents == {
        "kept/tool": b"x",
        "kept/more": b"x",
    }


def test_memory_does_not_grow_with_what_a_blob_inflates_to() -> None:
    """A sparse file, as lastlog is once there is a large number of a user."""
    content = gzip.compress(blob(member("var/log/lastlog", content=bytes(100 << 20))))
    tracemalloc.start()
    assert read(content).entries["var/log/lastlog"].size == 100 << 20
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20 << 20


def test_gzip_s_members_may_follow_each_other_and_nothing_may_be_missing() -> None:
    content = blob(member("kept/a", content=bytes(9 << 20)))
    half = len(content) // 2
    assert read(gzip.compress(content[:half]) + gzip.compress(content[half:])).contents == {"kept/a": bytes(9 << 20)}
    with pytest.raises(EngineError, match="ends too early"):
        read(gzip.compress(content)[:2000])


def test_a_hard_link_to_a_hard_link() -> None:
    links = member("a", tarfile.LNKTYPE, "b"), member("b", tarfile.LNKTYPE, "c"), member("c", content=b"x")
    assert read(blob(*links)).entries["a"] == file_entry(b"x", mode=0o640)


@pytest.mark.parametrize(
    "broken",
    [
        b"\x1f\x8bnonsense",
        b"text" * 300,
        gzip.compress(blob(member("file", content=bytes(5000))), mtime=0)[:-20],
        blob(member("link", tarfile.LNKTYPE, "in/another/blob")),
        blob(member("../out")),
        blob(member("sparse", tarfile.GNUTYPE_SPARSE)),
        blob(member(".wh..wh..opq")),
    ],
)
def test_what_can_not_be_read_is_refused(broken: bytes) -> None:
    with pytest.raises(EngineError, match="can't be read"):
        read(broken)


def test_zstd_is_named_as_what_it_is() -> None:
    with pytest.raises(EngineError, match="compressed by zstd") as caught:
        read_blob(io.BytesIO(b"\x28\xb5\x2f\xfd\x04\x00\x01\x00\x00"), lambda _: False)
    assert "`assembly: chain`" in caught.value.hint


def test_an_index_comes_back_from_its_record_whatever_bytes_names_and_attributes_hold() -> None:
    entry = file_entry(b"", xattrs=(("security.capability", "\x01\udcc0"),))
    index = Index(
        entries={"\udcff": entry, "d": Entry(kind=Kind.DIRECTORY, content=OPAQUE)}, contents={"etc/shells": b"\xff"}
    )

    blob = Descriptor(media_type="application/x", digest=Digest("sha256:" + "0" * 64), size=7)
    built = Built(
        name="layer",
        parents=(Fingerprint("a" * 64),),
        index=index,
        config={"Env": ["A=b=c"]},
        machine={"os": "linux"},
        layers=(blob,),
        diff_ids=("sha256:1",),
        digest=blob.digest,
        below=(blob.digest,),
    )
    stored = render_built(built)
    assert parse_built(stored) == built
    assert parse_built(render_built(replace(built, moves=3))) == replace(built, moves=3)
    assert render_built(replace(built, index=replace(index, entries=dict(sorted(index.entries.items()))))) == stored
    assert parse_built(stored[:-1]) is None
    assert parse_built(zlib.compress(zlib.decompress(stored) + b"more")) is None
    assert parse_built(zlib.compress(zlib.decompress(stored).replace(b"\0d\xff", b"/d\xff"))) is None
    assert parse_built(zlib.compress(zlib.decompress(stored).replace(b'"format":7', b'"format":6'))) is None


def test_what_is_written_is_read_again() -> None:
    content = b"root:x:0:0\n"
    written = {
        "etc/passwd": file_entry(content, mode=0o600, uid=1, gid=2, xattrs=(("user.a", "b"),)),
        "etc/link": Entry(kind=Kind.LINK, content="passwd"),
        "var/old": GONE,
    }
    tree = Index(
        entries={"etc": Entry(kind=Kind.DIRECTORY, mode=0o750, gid=7), **written}, contents={"etc/passwd": content}
    )
    tar, compressed = write_layer(written, tree, mtime=5)
    index = read(compressed)
    assert gzip.decompress(compressed) == tar
    assert dict(index.entries) == {
        **written,
        "etc": Entry(kind=Kind.DIRECTORY, mode=0o750, gid=7),  # what is above it is said again, as it is
        "var": Entry(kind=Kind.DIRECTORY, mode=0o755),
    }
    assert write_layer(written, tree, mtime=5) == (tar, compressed)


def test_a_folder_that_becomes_a_file_takes_what_was_in_it_along() -> None:
    lower = Index(entries={"a": Entry(kind=Kind.DIRECTORY), "a/b": file_entry(b"b"), "c": file_entry(b"c")})
    upper = Index(entries={"a": file_entry(b"a"), "c": GONE})
    assert dict(overlay(lower, upper).entries) == {"a": file_entry(b"a"), "c": GONE}
