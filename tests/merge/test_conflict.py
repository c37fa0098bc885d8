"""What is said of a conflict: who, what, and how to mend it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hubstack.errors import UsageError
from hubstack.merge.assembly import Assembled, Built, Workshop
from hubstack.merge.behind import behind
from hubstack.merge.conflict import Cause, Conflict, MergeConflict
from hubstack.merge.entry import Entry, Index, Kind, file_entry
from hubstack.merge.image import merged_image
from hubstack.merge.interest import declared
from hubstack.merge.mergers import STATUS
from hubstack.merge.three_way import Merged, Part, merge
from hubstack.model import Preference
from hubstack.oci import Descriptor, digest_of
from hubstack.reference import Fingerprint

from tests.handmade import handmade_layer
from tests.tree import tree

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
        "(`after:` with the other's name in one's layer.yaml), or say in the stack, for each path, whose version stands: "
        "`resolve: {/opt/side: {layer: LAYER, reason: WHY}}`."
    )


@pytest.mark.parametrize("cause", Cause)
def test_each_cause_has_a_remedy_that_is_a_sentence(cause: Cause) -> None:
    remedy = Conflict(parts=("a", "b"), path="x", what="", cause=cause).remedy
    assert (remedy[0].isupper(), remedy[-1], "{" in remedy) == (True, ".", cause is Cause.PATH)


@pytest.mark.parametrize("path", ["etc/motd", "opt/side+1.0~rc1", "opt/a, b: {c} #1", 'opt/"quoted"'])
def test_what_a_remedy_says_of_a_path_is_what_a_stack_can_say(path: str) -> None:
    (conflict,) = merged({}, left={path: b"l"}, right={path: b"r"}).conflicts
    found = re.search("`(resolve: .*)`", conflict.remedy)
    assert found is not None
    line = found[1].replace("LAYER", "left").replace("WHY", "It is the older one")
    files = {"layers/left": "", "layers/right": "", "stacks/s.yaml": f"base: debian\nlayers: [left, right]\n{line}"}
    stack = tree({"hubstack.yaml": "assembly: merge\n", "base/debian": "", **files}).stacks["s"]
    assert stack.resolve == (Preference(path=path, layer="left", reason="It is the older one"),)


def test_of_many_paths_the_remedy_names_one_that_a_person_can_decide_about() -> None:
    many = {f"opt/app/{name}": name.encode() for name in "abcd"}
    found = merged({}, a=many, b=dict.fromkeys(many, b"other"))
    assert "`resolve: {/opt/app/a: {layer: LAYER, " in MergeConflict(found.conflicts).message


@pytest.mark.parametrize(
    ("said", "remedy"),
    [({"after": ("dask",)}, "Make a stack of both"), ({"conflicts": ("dask",)}, "Leave one of them out.")],
)
def test_what_layers_say_of_each_other_is_not_mended_by_saying_it_again(said: Mapping[str, Any], remedy: str) -> None:
    layers = {one.name: one for one in (handmade_layer("dask"), handmade_layer("sql", **said))}
    (conflict,) = declared(layers, [["dask"], ["sql"]])
    assert conflict.remedy.startswith(remedy)
    assert "`after:`" not in conflict.remedy
    assert "`conflicts:`" not in conflict.remedy


def test_which_layers_an_image_has_too_many_filesystem_layers_of() -> None:
    """A merge that others stand on has some too, and no name by which anybody knows it."""
    names = {name: Fingerprint(hashlib.sha256(name.encode()).hexdigest()) for name in ("base", "fat", "")}
    counts = {"base": 1, "fat": 70, "": 30}
    blob = Descriptor(media_type="x", digest=digest_of(b""), size=1)
    built = {
        fingerprint: Built(
            name=name,
            parents=(),
            index=Index(entries={}),
            config={},
            machine={},
            layers=(blob,) * counts[name],
            diff_ids=("x",) * counts[name],
            digest=blob.digest,
            below=(),
        )
        for name, fingerprint in names.items()
    }
    assembled = Workshop(built=built).assemble(names.values())
    with pytest.raises(UsageError, match="101 filesystem layers") as caught:
        merged_image(assembled, built, names["base"])
    assert caught.value.hint.endswith("one: fat (70), base (1) have the most.")


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
