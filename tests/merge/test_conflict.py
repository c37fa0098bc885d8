"""What is said of a conflict: who, what, and how to mend it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pytest
from hubstack.merge.assembly import Assembled, Built, Workshop
from hubstack.merge.behind import behind
from hubstack.merge.conflict import Cause, Conflict, MergeConflict
from hubstack.merge.entry import Entry, Index, Kind, file_entry
from hubstack.merge.mergers import STATUS
from hubstack.merge.three_way import Merged, Part, merge
from hubstack.oci import Descriptor, digest_of
from hubstack.reference import Fingerprint

Content = bytes | Entry
SITE = "opt/venv/lib/python3.13/site-packages"


def index(files: Mapping[str, Content]) -> Index:
    contents = {path: one for path, one in files.items() if isinstance(one, bytes)}
    return Index(
        entries={path: file_entry(one) if isinstance(one, bytes) else one for path, one in files.items()},
        contents=contents,
    )


def merged(base: Mapping[str, Content], **parts: Mapping[str, Content]) -> Merged:
    named = [Part(name=name.replace("_", "+"), index=index(one)) for name, one in parts.items()]
    return merge(index(base), named)


def said(found: Merged) -> list[str]:
    return [str(conflict) for conflict in found.conflicts]


def package(name: str, version: str, more: str = "") -> bytes:
    return f"Package: {name}\nStatus: install ok installed\nVersion: {version}\nArchitecture: all\n{more}\n".encode()


def test_a_message_says_who_what_and_how_to_mend_it() -> None:
    found = merged({}, left={"opt/side": b"l"}, right={"opt/side": b"r"})
    assert MergeConflict(found.conflicts).message == (
        "left, right can't be merged:\n"
        "  left and right: /opt/side has different contents. Move it into a layer that both require, build one on the other "
        "(`after:` with the other's name in one's layer.yaml), or say in the stack whose stands: `resolve: {/opt/side: LAYER}`."
    )


@pytest.mark.parametrize("cause", Cause)
def test_each_cause_has_a_remedy_that_is_a_sentence(cause: Cause) -> None:
    remedy = Conflict(parts=("a", "b"), path="x", what="", cause=cause).remedy
    assert (remedy[0].isupper(), remedy[-1], "{" in remedy) == (True, ".", cause is Cause.PATH)


def test_many_paths_of_which_the_same_is_to_be_said_are_one_line() -> None:
    many = {f"opt/app/{name}": name.encode() for name in "abcd"}
    found = merged({}, a=many, b=dict.fromkeys(many, b"other"))
    (line,) = MergeConflict(found.conflicts).message.splitlines()[1:]
    assert line.startswith(
        "  a and b: /opt/app has 4 paths of which each has different contents, /opt/app/a the first. "
    )


def test_a_remedy_for_several_is_said_once_and_two_causes_have_two() -> None:
    conflicts = [Conflict(parts=("a", "b"), path=path, what="differs", cause=Cause.PATH) for path in ("x", "y")]
    lines = MergeConflict([*conflicts, Conflict(parts=("a", "b"), path="", what="clash", cause=Cause.ID)]).message
    assert [line.count("layer that both require") for line in lines.splitlines()] == [0, 1, 0, 1]


def test_versions_of_a_package_are_named_with_their_layers() -> None:
    base = {STATUS: package("sh", "1")}
    one, two = ({STATUS: base[STATUS] + package("ed", one) + package("vi", one)} for one in ("1.19-1", "1.20-1"))
    (conflict,) = merged(base, old=one, new=two).conflicts
    assert str(conflict) == (
        "new and old: /var/lib/dpkg/status has different versions of ed (and so it is with vi): 1.19-1 in old and 1.20-1 in new"
    )
    assert "`hubstack update` locks one" in conflict.remedy


def test_ids_are_named_with_their_layers() -> None:
    one, two = ({"etc/passwd": f"{name}:x:100:100::/:/bin/sh\n".encode()} for name in ("cron", "sshd"))
    (conflict,) = merged({}, a=one, b=two).conflicts
    assert str(conflict) == "a and b: /etc/passwd gives the user id 100 to two names: cron in a and sshd in b"
    assert conflict.cause is Cause.ID


RECORD = f"{SITE}/six-1.dist-info/RECORD"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("etc/ed.conf", "ed 1.19-1"),
        ("etc/ed", ""),
        ("usr/share/doc/ed/README", "ed 1.19-1"),
        ("var/lib/dpkg/info/ed:amd64.list", "ed 1.19-1"),
        (f"{SITE}/six.py", "six 1"),
        ("opt/venv/bin/six", "six 1"),
        (f"{SITE}/six-1.dist-info/direct_url.json", "six 1"),
        (f"{SITE}/ix.py", ""),
        (f"{SITE}/other.py", ""),
        ("usr/lib/R/site-library/rlang/R/rlang.rdb", "rlang 1.1"),
        ("usr/lib/node_modules/@jupyter/tool/lib/a.js", "@jupyter/tool 2"),
    ],
)
def test_which_package_a_path_is_of(path: str, found: str) -> None:
    here = index(
        {
            STATUS: package("sh", "1") + package("ed", "1.19-1", "Conffiles:\n /etc/ed.conf 0123\n"),
            RECORD: b"six.py,=\n../../../bin/six,=\n",
            RECORD.replace("RECORD", "METADATA"): b"Name: six\nVersion: 1\n",
            "usr/lib/R/site-library/rlang/DESCRIPTION": b"Package: rlang\nVersion: 1.1\n",
            "usr/lib/node_modules/@jupyter/tool/package.json": b'{"name": "x", "version": "2"}',
        }
    )
    assert behind(path, here) == found


def test_a_conflict_names_the_package_behind_the_path() -> None:
    one = {STATUS: package("ed", "1", "Conffiles:\n /etc/ed.conf 0123\n"), "etc/ed.conf": b"1"}
    assert said(merged({}, a=one, b={"etc/ed.conf": b"2"})) == ["a and b: /etc/ed.conf has different contents (ed 1)"]


def resolved(
    base: Mapping[str, Content], resolve: Mapping[str, str], **layers: Mapping[str, Content]
) -> tuple[Assembled, list[str]]:
    """Of layers on one base, the first the largest, with a person's word."""
    sizes = {name: 100 - number for number, name in enumerate(layers)}
    marks = {name: Fingerprint(hashlib.sha256(name.encode()).hexdigest()) for name in ("base", *layers)}
    built = {
        marks[name]: Built(
            name=name,
            parents=() if name == "base" else (marks["base"],),
            index=index(files),
            config={},
            machine={},
            layers=(Descriptor(media_type="x", digest=digest_of(name.encode()), size=sizes.get(name, 1000)),),
            diff_ids=(name,),
            digest=digest_of(name.encode()),
            below=(),
        )
        for name, files in {"base": base, **layers}.items()
    }
    found = Workshop(built=built).assemble([marks[name] for name in layers], resolve)
    return found, [str(one) for one in found.conflicts]


@pytest.mark.parametrize("layer", ["low", "mid", "top"])
def test_a_person_says_whose_version_stands_whichever_are_merged_first(layer: str) -> None:
    layers: dict[str, dict[str, Content]] = {
        name: {"etc/motd": name.encode(), "opt": Entry(kind=Kind.DIRECTORY, mode=mode)}
        for name, mode in (("low", 0o700), ("mid", 0o750), ("top", 0o770))
    }
    found, conflicts = resolved({}, {"etc/motd": layer, "opt": layer}, **layers)
    assert conflicts == []
    assert found.index.contents["etc/motd"] == layer.encode()
    assert found.index.entries["opt"] == layers[layer]["opt"]


def test_what_no_person_can_decide() -> None:
    both = [{"etc/passwd": f"{name}:x:100:100::/:/bin/sh\n".encode(), "etc/motd": name.encode()} for name in ("a", "b")]
    _, conflicts = resolved({}, {"etc/passwd": "a", "etc/motd": "elsewhere"}, a=both[0], b=both[1])
    assert [one.rpartition(" (")[2] for one in conflicts] == [
        "it can't be resolved by elsewhere: that has no such path)",
        "it can't be resolved by a: one part's version of it isn't true of all)",
    ]


def test_a_word_where_nothing_conflicts_changes_nothing() -> None:
    base = {"etc/shells": b"/bin/sh\n"}
    one, two = ({"etc/shells": f"/bin/sh\n/bin/{name}\n".encode()} for name in "ab")
    assert resolved(base, {"etc/shells": "a"}, a=one, b=two) == resolved(base, {}, a=one, b=two)


def test_the_content_of_the_chosen_version_is_read_from_its_blob_where_no_index_has_it() -> None:
    found, conflicts = resolved({}, {"etc/motd": "low"}, low={"etc/motd": file_entry(b"low")}, top={"etc/motd": b"top"})
    assert conflicts == []
    assert "etc/motd" not in found.index.contents
    assert found.lost.keys() == {"etc/motd"}


def test_a_table_that_is_none_is_a_conflict_and_not_the_end_of_the_run() -> None:
    base = {"etc/shadow": b"root:*:1:0:99999:7:::\n"}
    one, two = ({"etc/shadow": f"root:*:{day}:0:99999:7:::\n".encode()} for day in ("x", "2"))
    _, conflicts = resolved(base, {}, a=one, b=two)
    assert "can't be read" in conflicts[0]
