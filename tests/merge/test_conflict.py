"""What is said of a conflict: who, what, and how to mend it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hubstack.errors import UsageError
from hubstack.merge.assembly import Assembled, Workshop
from hubstack.merge.behind import behind
from hubstack.merge.built import Built
from hubstack.merge.choice import decidable
from hubstack.merge.conflict import Cause, Conflict, MergeConflict
from hubstack.merge.entry import GONE, Entry, Index, Kind, file_entry
from hubstack.merge.image import merged_image
from hubstack.merge.interest import DIVERSIONS, Interest, declared
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
        "(`after:` with the other's name in one's layer.yaml), keep them apart where they are options (`conflicts:` there), or say in "
        "the stack, for each path, whose version stands: "
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


def test_who_has_many_paths_that_no_folder_has_together() -> None:
    many = {f"{name}/x": name.encode() for name in "abcd"}
    found = merged({}, a=many, b=dict.fromkeys(many, b"other"))
    (line,) = MergeConflict(found.conflicts).message.splitlines()[1:]
    assert line.startswith("  a and b: have 4 paths of which each has different contents, /a/x the first. ")


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


@pytest.mark.parametrize(
    ("path", "lines", "what"),
    [
        ("etc/group", "same:x:{}:", "gives the group same different ids: 998 in a and 999 in b"),
        ("etc/passwd", "same:x:{}:9::/:/bin/sh", "gives the user same different ids: 998 in a and 999 in b"),
        ("etc/passwd", "same:x:9:{}::/:/bin/sh", "gives the user same different groups' ids: 998 in a and 999 in b"),
    ],
)
def test_one_name_with_two_ids_is_about_ids(path: str, lines: str, what: str) -> None:
    one, two = ({path: f"{lines}\n".format(number).encode()} for number in (998, 999))
    (conflict,) = merged({}, a=one, b=two).conflicts
    assert str(conflict) == f"a and b: /{path} {what}"
    assert "`hubstack update --only ids`" in conflict.remedy


def test_what_helps_where_two_have_the_same_subordinate_ids() -> None:
    one, two = ({"etc/subuid": f"{name}:100000:65536\n".encode()} for name in ("ua", "ub"))
    (conflict,) = merged({}, a=one, b=two).conflicts
    assert "`useradd --system`" in conflict.remedy
    assert "--only ids" not in conflict.remedy
    two = {"etc/subuid": b"ub:165536:65536\n"}  # as `useradd --key SUB_UID_MIN=165536` writes it
    assert said(merged({}, a=one, b=two)) == []


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


FOLDER, SHUT = Entry(kind=Kind.DIRECTORY, mode=0o755), Entry(kind=Kind.DIRECTORY, mode=0o700)
SHARED: dict[str, Content] = {"d": FOLDER, "d/one": file_entry(b"1"), "d/sub": FOLDER, "d/sub/two": b"2"}


def unpacked(base: Mapping[str, Content], *layers: Mapping[str, Entry]) -> dict[str, Entry]:
    """What an image has whose filesystem layers are these, the lowest first."""
    there: dict[str, Entry] = {}
    for layer in (index(base).entries, *layers):
        for path, entry in sorted(layer.items()):
            if entry.kind is not Kind.DIRECTORY:
                there = {one: it for one, it in there.items() if one != path and not one.startswith(f"{path}/")}
            there |= {path: entry} if entry.kind is not Kind.WHITEOUT else {}
    return there


@pytest.mark.parametrize("big", ["keeps", "drops"])
@pytest.mark.parametrize("other", [GONE, Entry(kind=Kind.LINK, content="e"), b""])
@pytest.mark.parametrize("chosen", ["keeps", "drops"])
def test_the_word_about_a_folder_is_about_all_that_stands_in_it(chosen: str, other: Content, big: str) -> None:
    layers: dict[str, Mapping[str, Content]] = {"keeps": {"d": SHUT}, "drops": {"d": other}}
    layers = dict(sorted(layers.items(), key=lambda one: one[0] != big))
    found, conflicts = resolved(SHARED, {"d": chosen}, **layers)
    assert conflicts == []
    stacked = [index(one).entries for one in layers.values()]
    image = unpacked(SHARED, *stacked, found.written)
    assert image == unpacked(SHARED, index(layers[chosen]).entries)
    assert image == {path: one for path, one in found.index.entries.items() if one.kind is not Kind.WHITEOUT}
    assert found.lost.keys() == ({"d/one"} if chosen == "keeps" else set())
    if chosen == "keeps":
        assert found.index.contents["d/sub/two"] == b"2"


def remedies(base: Mapping[str, Content], **layers: Mapping[str, Content]) -> dict[str, bool]:
    """The paths about which layers conflict, and whether a word is said to help."""
    found, _ = resolved(base, {}, **layers)
    assert all(one.remedy.startswith("Move it into") for one in found.conflicts if one.cause is Cause.PLACE)
    offered = {one.path for one in found.conflicts if "`resolve:" in one.remedy}
    return {one.path: one.path in offered for one in found.conflicts}


@pytest.mark.parametrize(
    ("base", "layers"),
    [
        ({}, ({"d": Entry(kind=Kind.LINK, content="e")}, {"d": FOLDER, "d/x": b""})),
        ({"d": b""}, ({"d": b"1"}, {"d": FOLDER, "d/x": b""})),
        (SHARED, ({"d": GONE}, {"d": SHUT, "d/three": b""})),
        (SHARED, ({"d": GONE}, {"d": SHUT}, {"d/three": b""})),
    ],
)
def test_no_word_is_offered_about_a_folder_of_which_a_choice_would_lose_something(
    base: Mapping[str, Content], layers: tuple[Mapping[str, Content], ...]
) -> None:
    named = dict(zip("abc", layers, strict=False))
    assert remedies(base, **named) == {"d": False}
    for name in named:
        said = resolved(base, {"d": name}, **named)[1]
        assert said
        assert all(one.endswith("wouldn't do)") or "no such path" in one for one in said)


def test_no_word_is_offered_where_a_version_or_a_diversion_stands_behind_the_path() -> None:
    def six(version: str) -> dict[str, Content]:
        return {
            f"{SITE}/six.py": version.encode(),
            f"{SITE}/six-{version}.dist-info/METADATA": b"Name: six\n",
            "x": version.encode(),
        }

    assert remedies({}, a=six("1"), b=six("2")) == {f"{SITE}/six.py": False, SITE: False, "x": True}
    ed = {STATUS: package("ed", "1"), "usr/bin/ed": b"1", "opt/x": b"1", "usr/local/bin/ed": b"1"}
    newer: dict[str, Content] = {STATUS: package("ed", "2"), **dict.fromkeys((*ed,)[1:], b"2")}
    assert remedies({}, a=ed, b=newer) == {STATUS: False, "usr/bin/ed": False, "opt/x": True, "usr/local/bin/ed": True}
    tiny: dict[str, Content] = {"usr/share/help": b"1"}
    vim: dict[str, Content] = {
        "usr/share/help": b"2",
        DIVERSIONS: b"/usr/share/help\n/usr/share/help.tiny\nvim-runtime\n",
    }
    assert remedies({}, a=tiny, b=vim) == {"usr/share/help": False}


def test_packages_that_exclude_each_other_stand_behind_what_both_have() -> None:
    one, two = (
        {STATUS: package(name, "1", "Provides: mta\nConflicts: mta\n"), "usr/sbin/mail": name.encode()}
        for name in ("exim", "post")
    )
    assert remedies({}, a=one, b=two) == {"": False, "usr/sbin/mail": False}


def test_what_isnt_utf_8_is_shown_and_no_word_is_offered_that_no_file_can_say() -> None:
    path = b"opt/lat-\xe9".decode("utf-8", "surrogateescape")
    found = merged({}, a={path: b"1"}, b={path: b"2"})
    message = MergeConflict(found.conflicts).message
    assert "a and b: /opt/lat-\\xe9 has different contents. Move it into" in message
    assert "resolve:" not in message
    assert "/opt/lat-\\xe9" in str(Interest(host="a", guest="b", who="x", path=path))


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


def test_what_others_quarrel_about_takes_no_choice_away() -> None:
    """`a` or `b` and `d` have two versions of a package; that `a` or `b` and `c` have two messages of the day is another matter."""
    versions = Conflict(parts=("a+b", "d"), path=STATUS, what="", cause=Cause.VERSION)
    motd = Conflict(parts=("a+b", "c"), path="etc/motd", what="", cause=Cause.PATH)
    assert [one.cause for one in decidable([versions, motd], lambda _: True)] == [Cause.VERSION, Cause.PATH]
    both = replace(motd, parts=("a", "d"))
    assert [one.cause for one in decidable([versions, both], lambda _: True)] == [Cause.VERSION, Cause.PLACE]


def test_the_remedy_names_the_path_as_yaml_reads_it() -> None:
    path = "opt/\N{GRINNING FACE} and so on"
    remedy = Conflict(parts=("a", "b"), path=path, what="", cause=Cause.PATH).remedy
    assert yaml.safe_load(remedy[remedy.index("{") : remedy.rindex("`")]) == {
        f"/{path}": {"layer": "LAYER", "reason": "WHY"}
    }
