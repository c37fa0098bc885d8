"""Trees: what is joined, what stays out of the topmost layer, and what is refused, with both names."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import Any

import pytest
from hubstack.merge.assembly import Built, assemble
from hubstack.merge.config import merge_configs
from hubstack.merge.conflict import MergeConflict
from hubstack.merge.debian import breaches, compare_versions
from hubstack.merge.entry import GONE, Entry, Index, Kind, file_entry
from hubstack.merge.interest import TRIGGERS
from hubstack.merge.mergers import STATUS
from hubstack.merge.three_way import Merged, Part, merge

FOLDER = Entry(kind=Kind.DIRECTORY, mode=0o755)
Content = bytes | Entry


def index(files: Mapping[str, Content]) -> Index:
    contents = {path: one for path, one in files.items() if isinstance(one, bytes)}
    entries = {path: file_entry(one) if isinstance(one, bytes) else one for path, one in files.items()}
    return Index(entries=entries, contents=contents)


def merged(base: Mapping[str, Content], *parts: Mapping[str, Content]) -> Merged:
    return merge(index(base), [Part(name=f"part{number}", index=index(one)) for number, one in enumerate(parts)])


def said(found: Merged) -> list[str]:
    return [str(conflict) for conflict in found.conflicts]


def test_what_nobody_shares_needs_no_layer_of_its_own() -> None:
    found = merged({"a": b"1"}, {"b": b"2"}, {"c": b"3"}, {"a": b"4"})
    assert (set(found.index.entries), dict(found.written), said(found)) == ({"a", "b", "c"}, {}, [])


def test_the_same_change_twice_is_one() -> None:
    assert said(merged({}, {"a": b"1"}, {"a": b"1"})) == []


def test_a_database_is_joined_and_written() -> None:
    found = merged(
        {"etc/shells": b"/bin/sh\n"}, {"etc/shells": b"/bin/sh\n/bin/a\n"}, {"etc/shells": b"/bin/sh\n/bin/b\n"}
    )
    assert found.index.contents["etc/shells"] == b"/bin/sh\n/bin/a\n/bin/b\n"
    assert found.written["etc/shells"] == file_entry(b"/bin/sh\n/bin/a\n/bin/b\n")


def test_what_a_part_above_only_repeats_is_restored() -> None:
    found = merged({"etc/shells": b"/bin/sh\n"}, {"etc/shells": b"/bin/new\n"}, {"etc/shells": b"/bin/sh\n"})
    assert found.index.contents["etc/shells"] == b"/bin/new\n"
    assert set(found.written) == {"etc/shells"}


def test_folders_are_merged_by_attribute() -> None:
    base = {"srv": FOLDER}
    mode, owner = Entry(kind=Kind.DIRECTORY, mode=0o700), Entry(kind=Kind.DIRECTORY, mode=0o755, gid=5)
    found = merged(base, {"srv": mode}, {"srv": owner})
    assert found.written["srv"] == Entry(kind=Kind.DIRECTORY, mode=0o700, gid=5)
    assert said(merged(base, {"srv": mode}, {"srv": Entry(kind=Kind.DIRECTORY, mode=0o711)})) == [
        "part0 and part1: /srv is a folder whose mode they set differently"
    ]


def test_noise_is_nobodys_business() -> None:
    found = merged({}, {"var/log/dpkg.log": b"1"}, {"var/log/dpkg.log": b"2"})
    assert (said(found), dict(found.written)) == ([], {})


@pytest.mark.parametrize(
    ("base", "one", "two", "what"),
    [
        ({}, {"a": b"1"}, {"a": b"2"}, "/a has different contents"),
        ({"a": b"0"}, {"a": GONE}, {"a": b"2"}, "/a is removed by one and changed by another"),
        ({}, {"a": b"1"}, {"a": Entry(kind=Kind.LINK, content="b")}, "/a is a file and a link"),
        (
            {},
            {"a": Entry(kind=Kind.LINK, content="b")},
            {"a": Entry(kind=Kind.LINK, content="c")},
            "/a points to different places",
        ),
        (
            {},
            {"a": file_entry(b"1")},
            {"a": file_entry(b"1", mode=0o755)},
            "/a has different modes, owners or attributes",
        ),
        (
            {"d": FOLDER, "d/x": b"x"},
            {"d": GONE},
            {"d/y": b"y"},
            "/d is a folder in which the one has files, and the other has removed or replaced it",
        ),
        (
            {"bin": Entry(kind=Kind.LINK, content="usr/bin")},
            {"bin/x": b"x"},
            {"y": b"y"},
            "/bin/x stands behind a link",
        ),
    ],
)
def test_what_is_refused(
    base: Mapping[str, Content], one: Mapping[str, Content], two: Mapping[str, Content], what: str
) -> None:
    for parts in permutations((one, two)):
        (conflict,) = said(merged(base, *parts))
        assert conflict.endswith(what)


def node(name: str, files: Mapping[str, Content], size: int = 1, **config: Any) -> Built:
    return Built(name=name, index=index(files), config=config, size_bytes=size)


def test_branches_are_merged_on_what_they_have_in_common() -> None:
    """`one` and `two` stand on `mid`, which has changed what the base says; `far` stands on the base."""
    built = {
        "base": node("base", {"etc/shells": b"/bin/sh\n", "v": b"0"}),
        "mid": node("mid", {"etc/shells": b"/bin/sh\n/bin/mid\n", "v": b"1"}, 9),
        "one": node("one", {"etc/shells": b"/bin/sh\n/bin/mid\n/bin/one\n", "v": b"2"}, 5),
        "two": node("two", {"etc/shells": b"/bin/sh\n/bin/mid\n/bin/two\n"}, 7),
        "far": node("far", {"etc/shells": b"/bin/far\n/bin/sh\n"}, 1),
    }
    found = assemble([("base", "mid", "one"), ("base", "far"), ("base", "mid", "two")], built)
    assert found.nodes == ("base", "mid", "two", "one", "far")  # the big ones low
    assert found.index.contents["etc/shells"] == b"/bin/sh\n/bin/far\n/bin/mid\n/bin/one\n/bin/two\n"
    assert set(found.written) == {"etc/shells"}
    assert found.index.entries["v"] == file_entry(b"2")
    assert found.conflicts == ()


def test_the_order_in_which_layers_are_named_does_not_show() -> None:
    built = {"base": node("base", {})} | {
        name: node(name, {name: b"", "etc/shells": f"/{name}\n".encode()}) for name in "abc"
    }
    found = {str(assemble([("base", name) for name in names], built)) for names in permutations("abc")}
    assert len(found) == 1


def packages(**fields: str) -> bytes:
    return "".join(
        f"Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n{more}\n\n".replace(
            "\n\n\n", "\n\n"
        )
        for name, more in sorted(fields.items())
    ).encode()


def test_packages_that_exclude_each_other() -> None:
    built = {
        "base": node("base", {STATUS: packages(sh="")}),
        "a": node("a", {STATUS: packages(sh="", exim="Provides: mta\nConflicts: mta")}),
        "b": node("b", {STATUS: packages(sh="", postfix="Provides: mta\nConflicts: mta")}),
    }
    found = assemble([("base", "a"), ("base", "b")], built)
    assert [str(one) for one in found.conflicts] == [
        "a and b: exim's Conflicts: mta doesn't hold in both together",
        "a and b: postfix's Conflicts: mta doesn't hold in both together",
    ]
    assert "a and b: exim's" in MergeConflict(found.conflicts).message


def test_two_versions_of_a_distribution_in_one_folder() -> None:
    built = {
        "base": node("base", {}),
        "a": node("a", {"opt/venv/lib/python3.13/site-packages/My_Tool-1.0.dist-info/METADATA": b""}),
        "b": node("b", {"opt/venv/lib/python3.13/site-packages/my.tool-2.0.dist-info/METADATA": b""}),
    }
    (conflict,) = assemble([("base", "a"), ("base", "b")], built).conflicts
    assert str(conflict).endswith("has my-tool 1.0 of a and 2.0 of b")


@pytest.mark.parametrize(("package", "conflicts"), [("tex-common", 1), ("man-db", 0)])
def test_a_trigger_of_one_that_another_would_have_fired(package: str, conflicts: int) -> None:
    built = {
        "base": node("base", {TRIGGERS: b""}),
        "a": node("a", {TRIGGERS: f"/usr/share/x {package}\n".encode()}),
        "b": node("b", {"usr/share/x/file": b""}),
    }
    found = assemble([("base", "a"), ("base", "b")], built).conflicts
    assert len(found) == conflicts
    assert all("/usr/share/x/file" in str(one) for one in found)


def test_configs() -> None:
    base = {"Env": ["PATH=/bin:/sbin", "A=1", "EMPTY="], "User": "1000", "ExposedPorts": {"80/tcp": {}}}
    one = base | {"Env": ["PATH=/one/bin:/bin:/sbin", "A=1", "EMPTY=", "URL=a=b"], "Cmd": ["lab"]}
    two = base | {"Env": ["PATH=/bin:/sbin:/two:/bin", "A=1", "EMPTY="], "ExposedPorts": {"80/tcp": {}, "81/tcp": {}}}
    merged, conflicts = merge_configs(base, [("one", one), ("two", two)])
    assert merged["Env"] == ["PATH=/one/bin:/bin:/sbin:/two", "A=1", "EMPTY=", "URL=a=b"]
    assert (merged["User"], merged["Cmd"], list(merged["ExposedPorts"])) == ("1000", ["lab"], ["80/tcp", "81/tcp"])
    assert conflicts == []
    _, conflicts = merge_configs(
        base, [("one", one), ("two", base | {"Cmd": ["sh"], "Env": ["A=3"]}), ("x", base | {"Env": ["A=2"]})]
    )
    assert [str(one) for one in conflicts] == [
        "one and two: set Cmd to ['lab'] and ['sh']",
        "two and x: set the variable A to '3' and '2'",
    ]


def test_versions_of_debian() -> None:
    """Pairs from deb-version(7) and Policy 5.6.12, each smaller than the next."""
    order = [
        "0.9~~",
        "0.9~~a",
        "0.9~",
        "0.9",
        "0.9-1",
        "0.9-1.1",
        "0.9+b1",
        "0.10-1",
        "1.0a",
        "1.0+x",
        "1:0",
        "1:0-0.1",
    ]
    for number, one in enumerate(order):
        assert compare_versions(one, one) == 0
        for other in order[number + 1 :]:
            assert (compare_versions(one, other) < 0, compare_versions(other, one) > 0) == (True, True), (one, other)


def test_relations_of_debian() -> None:
    status = packages(
        aa="Depends: bb (>= 1), cc | dd, ee:any (<< 2)",
        bb="Provides: cc (= 3)",
        ee="Breaks: bb (<< 1), virtual\nProvides: virtual",
    )
    assert breaches(status) == []
    assert [str(one) for one in breaches(packages(aa="Depends: bb (>= 2) | xx, bb", bb=""))] == [
        "aa's Depends: bb (>= 2) | xx"
    ]
