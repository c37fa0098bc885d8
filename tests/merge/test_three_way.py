"""Trees: what is joined, what stays out of the topmost layer, and what is refused, with both names."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hubstack.merge.assembly import Assembled, Workshop
from hubstack.merge.built import Built
from hubstack.merge.config import merge_configs
from hubstack.merge.conflict import Cause, Conflict, MergeConflict
from hubstack.merge.debian import breaches, compare_versions
from hubstack.merge.entry import GONE, OPAQUE, Entry, Index, Kind, file_entry, overlay
from hubstack.merge.filesystem import write_layer
from hubstack.merge.interest import DIVERSIONS, TRIGGERS, declared
from hubstack.merge.mergers import STATUS
from hubstack.merge.python import stale
from hubstack.merge.three_way import Merged, Part, merge
from hubstack.model import Kind as LayerKind
from hubstack.model import Layer
from hubstack.oci import Descriptor, digest_of
from hubstack.reference import Fingerprint
from hubstack.source import Source
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize(
    "path", ["var/log/dpkg.log", "var/lib/texmf/web2c/pdftex/pdftex.log", "var/lib/sgml-base/supercatalog.old"]
)
def test_noise_is_nobodys_business(path: str) -> None:
    found = merged({}, {path: b"1"}, {path: b"2"})
    assert (said(found), dict(found.written)) == ([], {})


@pytest.mark.parametrize(
    ("base", "one", "two", "what"),
    [
        ({}, {"a": b"1"}, {"a": b"2"}, "/a has different contents"),
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


@pytest.mark.parametrize(
    ("base", "gone", "there", "what"),
    [
        ({"a": b"0"}, {"a": GONE}, {"a": b"2"}, "/a is removed by {gone} and changed by {there}"),
        (
            {"d": FOLDER, "d/x": b"x"},
            {"d": GONE},
            {"d/y": b""},
            "/d is a folder with files in {there}, and removed or replaced by {gone}",
        ),
    ],
)
def test_who_has_removed_what_another_has(
    base: Mapping[str, Content], gone: Mapping[str, Content], there: Mapping[str, Content], what: str
) -> None:
    for parts, names in (((gone, there), ("part0", "part1")), ((there, gone), ("part1", "part0"))):
        (conflict,) = said(merged(base, *parts))
        assert conflict.endswith(what.format(gone=names[0], there=names[1]))


NAMES = ("base", "mid", "one", "two", "far", "a", "b")


def node(name: str, files: Mapping[str, Content], size: int = 1, **config: Any) -> Built:
    blob = Descriptor(media_type="x", digest=digest_of(name.encode()), size=size)
    return Built(
        name=name,
        parents=(),
        index=index(files),
        config=config,
        machine={},
        layers=(blob,),
        diff_ids=(name,),
        digest=blob.digest,
        below=(),
    )


def assemble(lines: Sequence[Sequence[str]], built: Mapping[str, Built]) -> Assembled:
    """Of nodes that stand on each other as ``lines`` say."""
    marks = {node: Fingerprint(hashlib.sha256(node.encode()).hexdigest()) for node in built}
    below = {node: line[number - 1 : number] for line in lines for number, node in enumerate(line)}
    standing = {
        marks[node]: replace(one, parents=tuple(marks[parent] for parent in below[node])) for node, one in built.items()
    }
    return Workshop(built=standing).assemble([marks[line[-1]] for line in lines])


def names(found: Assembled) -> tuple[str, ...]:
    return tuple({hashlib.sha256(name.encode()).hexdigest(): name for name in NAMES}[node] for node in found.nodes)


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
    assert names(found) == ("base", "mid", "two", "one", "far")  # the big ones low
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
        "a and b: exim 1 of a has Conflicts: mta, which doesn't hold in both together, as postfix 1 of b is there",
        "a and b: postfix 1 of b has Conflicts: mta, which doesn't hold in both together, as exim 1 of a is there",
    ]
    assert "together, as exim 1 of a is there. Leave one" in MergeConflict(found.conflicts).message


def test_of_many_layers_those_are_named_that_have_the_packages() -> None:
    mta = "Provides: mta\nConflicts: mta"
    lines = (("base", "mid", "a", "one"), ("base", "mid", "far"), ("base", "mid", "b", "two"))
    built = {name: node(name, {f"opt/{name}": b""}, 9 - number) for number, name in enumerate(NAMES)}
    built |= {
        "base": node("base", {STATUS: packages(sh="", lib="")}, 99),
        "one": node("one", {STATUS: packages(sh="", lib="", exim=mta)}),
        "b": node("b", {STATUS: packages(sh="", lib="", postfix=mta)}),
    }
    found = assemble(lines, built).conflicts
    assert {one.parts for one in found} == {("b", "one")}
    assert "exim 1 of one has Conflicts: mta, " in found[0].what
    assert ", as postfix 1 of b is there" in found[0].what
    built |= {
        "one": node("one", {STATUS: packages(sh="", lib="", tool="Depends: lib")}),
        "b": node("b", {STATUS: packages(sh="")}),
    }
    (conflict,) = assemble(lines, built).conflicts
    assert conflict.parts == ("b", "one")
    assert (
        conflict.what
        == "tool 1 of one has Depends: lib, which doesn't hold in both together, as nothing of that is left"
    )
    assert conflict.remedy.startswith("Install what is required")


def test_of_many_layers_those_are_named_that_set_a_variable() -> None:
    built = {name: node(name, {f"opt/{name}": b""}, 9 - number, Env=["X=0"]) for number, name in enumerate(NAMES)}
    for name, value in (("one", "1"), ("two", "1"), ("b", "2")):
        built[name] = replace(built[name], config={"Env": [f"X={value}"]})
    lines = (("base", "mid", "one", "two"), ("base", "far"), ("base", "a"), ("base", "b"))
    (conflict,) = assemble(lines, built).conflicts
    assert sorted(conflict.parts) == ["b", "one"]
    assert str(conflict).endswith("set the variable X to '1' and '2'")
    built["b"] = replace(built["b"], config={"Env": ["X=0"], "Entrypoint": ["b"]})
    built["two"] = replace(built["two"], config={"Env": ["X=1"], "Cmd": ["two"]})
    (conflict,) = assemble(lines, built).conflicts
    assert conflict.what == "set Entrypoint (b) and Cmd (two), which belong together"


def test_what_is_said_of_a_path_names_the_layers_that_have_it() -> None:
    site = "opt/venv/lib/python3.13/site-packages"
    built = {name: node(name, {f"opt/{name}": b""}, 9 - number) for number, name in enumerate(NAMES)}
    for name, version in (("one", "1.0"), ("b", "2.0")):
        there: dict[str, Content] = {site: FOLDER, f"{site}/tool-{version}.dist-info/METADATA": b""}
        built[name] = node(name, there)
    lines = (("base", "mid", "one", "two"), ("base", "far"), ("base", "a", "b"))
    (conflict,) = assemble(lines, built).conflicts
    assert sorted(conflict.parts) == ["b", "one"]
    assert "tool 1.0 of one" in conflict.what
    assert "2.0 of b" in conflict.what
    built["one"] = node(
        "one", {"usr/local/lib/R/site-library/x/DESCRIPTION": b"Package: x\nVersion: 1\nImports: y (>= 2)\n"}
    )
    for name, newest in (("base", b"2"), ("b", b"1")):
        built[name] = node(name, {"usr/lib/R/library/y/DESCRIPTION": b"Package: y\nVersion: %s\n" % newest})
    (conflict,) = assemble(lines, built).conflicts
    assert conflict.parts == ("b", "one")


def test_two_versions_of_a_distribution_in_one_folder() -> None:
    built = {
        "base": node("base", {}),
        "a": node("a", {"opt/venv/lib/python3.13/site-packages/My_Tool-1.0.dist-info/METADATA": b""}),
        "b": node("b", {"opt/venv/lib/python3.13/site-packages/my.tool-2.0.dist-info/METADATA": b""}),
    }
    (conflict,) = assemble([("base", "a"), ("base", "b")], built).conflicts
    assert str(conflict).endswith("has my-tool 1.0 of a and 2.0 of b")


@pytest.mark.parametrize(("package", "interests"), [("tex-common", 1), ("man-db", 0)])
def test_a_trigger_of_one_that_another_would_have_fired(package: str, interests: int) -> None:
    built = {
        "base": node("base", {TRIGGERS: b""}),
        "a": node("a", {TRIGGERS: f"/usr/share/x {package}\n".encode()}),
        "b": node("b", {"usr/share/x/file": b""}),
    }
    assembled = assemble([("base", "a"), ("base", "b")], built)
    found = assembled.interests
    assert (len(found), assembled.conflicts) == (interests, ())
    assert all("/usr/share/x/file" in str(one) for one in found)


def test_a_folder_in_a_links_place_is_that_parts_change() -> None:
    base: Mapping[str, Content] = {"etc/x": Entry(kind=Kind.LINK, content="../opt/x"), "opt/x": FOLDER}
    found = merged(base, {"etc/x": FOLDER, "etc/x/conf": b"1"}, {"opt/x/other": b"2"})
    assert said(found) == []
    assert found.index.entries["etc/x"] == FOLDER
    assert said(merged(base, {"etc/x": FOLDER, "etc/x/conf": b"1"}, {"etc/x": Entry(kind=Kind.LINK, content="y")}))


def test_configs() -> None:
    base = {"Env": ["PATH=/bin:/sbin", "A=1", "EMPTY="], "User": "1000", "ExposedPorts": {"80/tcp": {}}}
    one = base | {"Env": ["PATH=/one/bin:/bin:/sbin", "A=1", "EMPTY=", "URL=a=b"], "Cmd": ["lab"]}
    two = base | {"Env": ["PATH=/bin:/sbin:/two:/bin", "A=1", "EMPTY="], "ExposedPorts": {"80/tcp": {}, "81/tcp": {}}}
    merged, conflicts = merge_configs(base, [("one", one), ("two", two)])
    assert merged["Env"] == ["PATH=/one/bin:/bin:/sbin:/two", "A=1", "EMPTY=", "URL=a=b"]
    assert (merged["User"], merged["Cmd"], list(merged["ExposedPorts"])) == ("1000", ["lab"], ["80/tcp", "81/tcp"])
    assert conflicts == []
    _, conflicts = merge_configs(
        base,
        [
            ("one", one),
            ("two", base | {"Cmd": ["sh"], "Env": ["PATH=/bin:/sbin", "A=3"]}),
            ("x", base | {"Env": ["PATH=/bin:/sbin", "A=2"]}),
        ],
    )
    assert [str(one) for one in conflicts] == [
        "one and two: set Cmd to ['lab'] and ['sh']",
        "two and x: set the variable A to '3' and '2'",
    ]


def test_variables_that_are_lists_and_those_that_name_one_place() -> None:
    base = {"Env": ["PATH=/bin:/sbin", "BROWSERS_PATH=/a"]}

    def found(*envs: list[str]) -> tuple[list[str], list[Conflict]]:
        merged, conflicts = merge_configs(base, [(str(number), {"Env": env}) for number, env in enumerate(envs)])
        return merged["Env"], conflicts

    assert found(["PATH=/only", "BROWSERS_PATH=/a"], base["Env"]) == (["PATH=/only", "BROWSERS_PATH=/a"], [])
    for one, two in (("PATH=/only", "PATH=/x:/bin:/sbin"), ("BROWSERS_PATH=/b", "BROWSERS_PATH=/c")):
        assert len(found([one], [two])[1]) == 1
    assert found(["PATH=/bin:/sbin"], ["PATH=/bin:/sbin", "BROWSERS_PATH=/a"]) == (
        ["PATH=/bin:/sbin"],
        [],
    )  # one has it out
    assert found(["PATH=/x:/bin:/sbin"], ["PATH=/y:/z:/bin:/sbin:/w"]) == (["PATH=/y:/z:/x:/bin:/sbin:/w"], [])


def test_an_empty_variable_puts_no_working_directory_into_a_list() -> None:
    def found(*values: str) -> list[str]:
        return merge_configs({}, [(value, {"Env": [f"PYTHONPATH={value}"]}) for value in values])[0]["Env"]  # type: ignore[no-any-return]

    assert found("", "/x") == found("/x", "") == ["PYTHONPATH=/x"]
    assert found("", "") == ["PYTHONPATH="]


def test_one_parts_command_is_not_for_anothers_entrypoint() -> None:
    _, conflicts = merge_configs({}, [("a", {"Entrypoint": ["tini"]}), ("b", {"Cmd": ["lab"]})])
    assert [str(one) for one in conflicts] == ["a and b: set Entrypoint (a) and Cmd (b), which belong together"]
    both, start = {"Entrypoint": ["tini"], "Cmd": ["lab"]}, {"Entrypoint": ["tini"]}
    assert merge_configs({}, [("a", both), ("b", {})])[1] == []
    assert merge_configs({}, [("a", both), ("b", start)]) == ({**both, "Env": []}, [])
    lab = {"Cmd": ["bash"]}  # ENTRYPOINT in a Dockerfile takes it away
    assert merge_configs(lab, [("a", both), ("b", start)]) == ({**both, "Env": []}, [])
    assert merge_configs(lab, [("a", start), ("b", lab)]) == ({**start, "Env": []}, [])
    assert len(merge_configs(lab, [("a", start), ("b", {"Cmd": ["sh"]})])[1]) == 1
    assert len(merge_configs(lab, [("a", {}), ("b", {"Cmd": ["sh"]})])[1]) == 1
    _, conflicts = merge_configs({}, [("a", both), ("b", {"Cmd": ["sh"]})])
    assert "a and b: set Entrypoint (a) and Cmd (b), which belong together" in [str(one) for one in conflicts]


def refused(base: Mapping[str, Content], one: Mapping[str, Content], two: Mapping[str, Content]) -> list[str]:
    """Why layers ``a`` and ``b`` can't be merged; the same whichever is the bigger one."""
    said = [sorted(str(one) for one in found.conflicts) for found in both(base, one, two)]
    assert said[0] == said[1]
    return said[0]


def settled(base: Mapping[str, Content], one: Mapping[str, Content], two: Mapping[str, Content]) -> list[str]:
    """What is to be settled between layers ``a`` and ``b``."""
    found = both(base, one, two)
    said = [sorted(str(one) for one in each.interests) for each in found]
    assert said[0] == said[1]
    assert [each.conflicts for each in found] == [(), ()]
    return said[0]


def both(base: Mapping[str, Content], one: Mapping[str, Content], two: Mapping[str, Content]) -> list[Assembled]:
    """With ``a`` as the smaller one and as the bigger one."""
    return [
        assemble(
            [("base", "a"), ("base", "b")],
            {"base": node("base", base), "a": node("a", one, size), "b": node("b", two, 2)},
        )
        for size in (1, 3)
    ]


DIVERSION = b"/bin/x\n/bin/x.real\na-guard\n"


@pytest.mark.parametrize("path", ["usr/bin/x", "usr/bin/x.real"])
def test_a_diversion_of_what_another_part_has(path: str) -> None:
    base: Mapping[str, Content] = {"bin": Entry(kind=Kind.LINK, content="usr/bin"), "var/lib/dpkg/diversions": b""}
    (said,) = refused(base, {"var/lib/dpkg/diversions": DIVERSION}, {path: b"x"})
    assert said == f"a and b: /{path} is in b, and diverted by a-guard of a (/bin/x to /bin/x.real)"
    assert refused(base, {"var/lib/dpkg/diversions": DIVERSION, path: b"x"}, {"usr/bin/y": b"y"}) == []
    same = {"var/lib/dpkg/diversions": DIVERSION, path: b"x"}  # as libreadline of Debian 13 has in both
    assert refused(base, same, {**same, "usr/bin/y": b"y"}) == []


def test_two_diversions_to_one_place() -> None:
    old = b"/x\n/x.old\nx\n"
    one, two = (old + f"/{name}\n/bin/d\nx-{name}\n".encode() for name in "yz")
    base: dict[str, Content] = {DIVERSIONS: old, "bin": Entry(kind=Kind.LINK, content="usr/bin")}
    (said,) = refused(base, {DIVERSIONS: one}, {DIVERSIONS: two})
    assert said == "a and b: /usr/bin/d is where /y of a is diverted to, and /z of b"
    assert refused(base, {DIVERSIONS: one}, {DIVERSIONS: one}) == []


def test_an_override_of_what_another_part_has() -> None:
    table, other = "var/lib/dpkg/statoverride", b"root adm 2755 /usr/bin/y\n"
    base: Mapping[str, Content] = {"bin": Entry(kind=Kind.LINK, content="usr/bin"), table: other, "usr/bin/z": b"z"}
    one: Mapping[str, Content] = {table: other + b"root adm 2755 /bin/x\n"}
    (said,) = refused(base, one, {"usr/bin/x": b"x"})
    assert said == (
        "a and b: /usr/bin/x is in b, and dpkg-statoverride of a gives it another owner or mode (root adm 2755 /bin/x)"
    )
    assert refused(base, one, {"usr/bin/x": b"x", **one}) == []
    assert refused(base, one, {"usr/bin/y": b"y"}) == []  # which was built with the base's
    assert refused(base, {"opt/a": b""}, {table: b"", "usr/bin/y": b"y"}) == []  # which has taken the base's out
    assert refused({**base, "usr/bin/x": b"x"}, one, {"usr/bin/x": b"x"}) == []  # only written again
    assert refused({**base, "usr/bin/x": b"x"}, one, {"usr/bin/x": GONE}) == []
    own = file_entry(b"x", mode=0o2755)
    assert refused(base, {**one, "usr/bin/x": own}, {"usr/bin/x": own}) == []


def test_files_of_a_number_that_another_part_gives_to_a_name() -> None:
    base, more = b"root:x:0:0::/:/bin/sh\n", b"root:x:0:0::/:/bin/sh\ncron:x:100:0::/:/bin/sh\n"
    theirs = file_entry(b"", uid=100)
    assert refused({"etc/passwd": base}, {"etc/passwd": more}, {"srv/x": theirs}) == [
        "b and a: /srv/x has the user id 100, which a gives to cron"
    ]
    assert refused({"etc/passwd": base}, {"etc/passwd": more}, {"etc/passwd": more, "srv/x": theirs}) == []
    assert refused({"etc/passwd": base, "srv/x": theirs}, {"etc/passwd": more}, {"srv/x": theirs}) == []


def test_bytecode_is_of_the_part_that_has_the_module() -> None:
    base: Mapping[str, Content] = {"lib/m.py": b"1"}
    pyc = "lib/__pycache__/m.cpython-313.pyc"
    assert refused(base, {"lib/m.py": b"2", pyc: b"2"}, {pyc.replace(".pyc", ".opt-1.pyc"): b"1"}) == [
        "a and b: /lib/m.py is of a, and its bytecode of b, which has another"
    ]
    assert refused(base, {"lib/m.py": b"2", pyc: b"2"}, {"lib/m.py": b"2", pyc: b"2"}) == []
    assert refused(base, {pyc: b"1"}, {"lib/other.py": b""}) == []


def test_bytecode_that_a_layer_above_has_removed_is_nobodys() -> None:
    base = Index(entries={"lib/m.py": file_entry(b"1")})
    folder = Entry(kind=Kind.DIRECTORY, mode=0o755)
    compiled = Index(entries={"lib/__pycache__": folder, "lib/__pycache__/m.cpython-313.pyc": file_entry(b"1")})
    removed = overlay(compiled, Index(entries={"lib/__pycache__": GONE}))
    changed = Index(entries={"lib/m.py": file_entry(b"2"), "lib/__pycache__/x.pyc": file_entry(b"")})
    assert len([*stale(base, {"a": changed, "b": compiled})]) == 1
    assert [*stale(base, {"a": changed, "b": removed})] == []


def test_what_layers_say_of_each_other() -> None:
    def layer(name: str, **fields: Any) -> Layer:
        return Layer(name=name, kind=LayerKind.LAYER, summary="", source=Source(path=""), **fields)

    layers = {one.name: one for one in (layer("base"), layer("a", after=("mta",)), layer("b", provides=("mta",)))}
    assert [str(one) for one in declared(layers, [["base", "a"], ["base", "b"]])] == [
        "a and b: a says that it stands after b"
    ]
    assert [*declared(layers, [["base", "b", "a"]])] == []
    layers["b"] = layer("b", conflicts=("a",))
    assert [str(one) for one in declared(layers, [["base", "a"], ["base", "b"]])] == [
        "b and a: b says that it conflicts with a"
    ]


def test_plug_ins_and_their_host() -> None:
    host = {"var/lib/emacsen-common/state/flavor/installed/emacs": b""}
    plugin = {"usr/lib/emacsen-common/packages/install/elpa-x": b""}
    path = "/usr/lib/emacsen-common/packages/install/elpa-x"
    assert settled({}, host, plugin) == [f"Emacs of a has to be told of what b has ({path})"]
    assert settled({}, {**host, **plugin}, {**host, **plugin}) == []


def test_what_stands_in_an_order_of_its_own_once_both_have_it() -> None:
    """PAM's profiles are sorted by a priority that each states in its file."""
    base: Mapping[str, Content] = {"usr/share/pam-configs/unix": b""}
    one, other = {"usr/share/pam-configs/tmpdir": b""}, {"usr/share/pam-configs/capability": b""}
    found = both(base, one, other)
    assert [{one.command for one in each.interests} for each in found] == [{"pam-auth-update --package"}] * 2
    assert settled(base, one, {"usr/bin/x": b""}) == []


def test_a_trigger_at_a_path_behind_a_link() -> None:
    base: Mapping[str, Content] = {"lib": Entry(kind=Kind.LINK, content="usr/lib"), TRIGGERS: b""}
    found = both(base, {TRIGGERS: b"/lib/x tool\n"}, {"usr/lib/x/y": b""})
    assert [[one.trigger for one in each.interests] for each in found] == [["/lib/x"], ["/lib/x"]]


def test_a_package_asked_for_by_name_where_nothing_is_automatic() -> None:
    """`b` has no word on it in extended_states: that is how apt writes "by name"."""
    states = "var/lib/apt/extended_states"
    auto = b"Package: ed\nArchitecture: all\nAuto-Installed: 1\n\n"
    both = {STATUS: packages(ed="")}
    found = merged({STATUS: packages()}, {**both, states: auto}, both)
    assert found.index.contents[states] == b""
    assert found.written[states] == file_entry(b"")
    alone = merged({STATUS: packages()}, {**both, states: auto}, {STATUS: packages(cron="")})
    assert states not in alone.written


def test_an_icon_cache_that_knows_of_one_part_only_is_dropped() -> None:
    cache = "usr/share/icons/hicolor/icon-theme.cache"
    assert merged({}, {cache: b"1"}, {"usr/share/icons/hicolor/x.svg": b""}).written == {cache: GONE}
    assert merged({}, {cache: b"1"}, {cache: b"2"}).written == {cache: GONE}
    assert merged({}, {cache: b"1"}, {"usr/share/icons/other/x.svg": b""}).written == {}


def test_alternatives_are_no_noise() -> None:
    path = "var/lib/dpkg/alternatives/libmpi.so.4"
    assert said(merged({}, {path: b"1"}, {path: b"2"})) == [
        f"part0 and part1: /{path} is no file of update-alternatives"
    ]


def test_a_folder_that_one_has_made_anew_and_another_has_files_in() -> None:
    anew = Entry(kind=Kind.DIRECTORY, mode=0o755, content=OPAQUE)
    (conflict,) = refused({"d": FOLDER, "d/old": b""}, {"d": anew}, {"d/new": b""})
    assert conflict == "a and b: /d is a folder with files in b, and removed or replaced by a"
    assert refused({"d": FOLDER, "d/old": b""}, {"d": anew}, {"d": FOLDER}) == []


def test_a_device_that_a_part_above_repeats_is_written_as_one() -> None:
    was, pipe = Entry(kind=Kind.DEVICE, content="p 0:0"), Entry(kind=Kind.DEVICE, content="p 0:0", mode=0o600)
    below, above = both({"p": was}, {"p": pipe}, {"p": was})
    assert (below.written, above.written) == ({}, {"p": pipe})
    tar, _ = write_layer(above.written, above.index, mtime=0)
    with tarfile.open(fileobj=io.BytesIO(tar)) as file:
        assert (file.getmember("p").isfifo(), file.getmember("p").mode) == (True, 0o600)


def test_what_no_index_keeps_is_named_with_the_node_whose_blobs_have_it() -> None:
    below, above = both({"f": b"old"}, {"f": file_entry(b"new")}, {"f": file_entry(b"old")})
    assert below.lost == {}
    assert [names(above)[above.nodes.index(node)] for node in above.lost.values()] == ["a"]


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
    assert breaches(status) == ()
    assert [str(one) for one in breaches(packages(aa="Depends: bb (>= 2) | xx, bb", bb=""))] == [
        "aa's Depends: bb (>= 2) | xx"
    ]


def test_what_is_rare_is_found_in_pieces_as_it_is_without_them() -> None:
    left = {
        path: file_entry(b"", uid=uid)
        for path, uid in (("c/x/y", 7), ("c/m.pyc", 0), ("usr/share/icons/x/icon-theme.cache", 0))
    }
    pieces = [
        Index(entries={"a/gone.pyc": file_entry(b"", gid=9), "c/m.pyc": left["c/m.pyc"]}),
        Index(entries={path: left[path] for path in ("c/x/y", "usr/share/icons/x/icon-theme.cache")}),
    ]
    joint, plain = Index(entries=left, pieces=pieces), Index(entries=left)
    assert joint.bytecode - {"a/gone.pyc"} == plain.bytecode == {"c/m.pyc"}
    assert joint.icon_caches == plain.icon_caches == {"usr/share/icons/x/icon-theme.cache"}
    assert sorted(joint.inside("c")) == sorted(plain.inside("c")) == ["c/m.pyc", "c/x/y"]
    assert [*joint.inside("a")] == [*joint.inside("c/m.pyc")] == []
    assert plain.folders == {"c", "c/x", "usr", "usr/share", "usr/share/icons", "usr/share/icons/x"}
    assert joint.folders >= plain.folders
    assert joint.owners == {"uid": {0, 7}, "gid": {0, 9}}


def test_a_folder_that_the_base_has_made_anew_is_no_conflict_and_hides_nothing_above() -> None:
    """The base removed what its upstream had in a folder; two layers put files into it, and what the base put there stays."""
    anew = Entry(kind=Kind.DIRECTORY, mode=0o755, content=OPAQUE)
    base: Mapping[str, Content] = {"d": anew, "d/base": b"kept"}
    for found in both(base, {"d": FOLDER, "d/a": b""}, {"d": FOLDER, "d/b": b""}):
        assert found.conflicts == ()
        assert {"d/base", "d/a", "d/b"} <= found.index.entries.keys()
        assert found.written == {}


def test_what_a_whiteout_is_does_not_depend_on_where_it_was_read() -> None:
    gone = Entry(kind=Kind.WHITEOUT)  # equal to GONE, as from an index that was stored
    for noise in ("var/log/x", "opt/x"):
        written = [found.written for found in both({noise: b"1"}, {noise: gone}, {noise: b"1"})]
        assert written == [found.written for found in both({noise: b"1"}, {noise: GONE}, {noise: b"1"})]


def test_many_parts_are_merged_at_once() -> None:
    names_ = [f"p{number}" for number in range(11)]
    files = {name: {f"opt/{name}": b"", "etc/shells": f"/bin/sh\n/bin/{name}\n".encode()} for name in names_}
    built = {"base": node("base", {"etc/shells": b"/bin/sh\n"})} | {name: node(name, files[name]) for name in names_}
    found = assemble([("base", name) for name in names_], built)
    assert found.conflicts == ()
    assert found.index.contents["etc/shells"].split() == [
        b"/bin/sh",
        *sorted(f"/bin/{name}".encode() for name in names_),
    ]


@st.composite
def forests(draw: st.DrawFn) -> tuple[dict[str, Built], list[str]]:
    """Nodes that stand on each other, each with a line of its own in one file, and those of which none is below another."""
    names_ = [f"p{number}" for number in range(draw(st.integers(3, 9)))]
    below = {name: names_[draw(st.integers(0, number - 1))] for number, name in enumerate(names_) if number}
    built: dict[str, Built] = {}
    for name in names_:
        parent = built.get(below.get(name, ""))
        shells = [] if parent is None else parent.index.contents["etc/shells"].split()
        env = [] if parent is None else [*parent.config["Env"]]
        folders = env[0].removeprefix("PATH=") if env else "/bin"
        built[name] = node(
            name,
            {"etc/shells": b"\n".join((*shells, f"/{name}".encode(), b"")), f"opt/{name}": b""},
            draw(st.integers(1, 9)),
            Env=[f"PATH=/{name}:{folders}", *env[1:], f"{name.upper()}=1"],
        )
    built = {name: replace(one, parents=(mark(below[name]),) if name in below else ()) for name, one in built.items()}
    return built, [name for name in names_ if name not in below.values()]


def mark(name: str) -> Fingerprint:
    return Fingerprint(hashlib.sha256(name.encode()).hexdigest())


@pytest.mark.long
@given(forests(), st.data())
def test_what_was_merged_before_does_not_show(forest: tuple[dict[str, Built], list[str]], data: st.DataObject) -> None:
    """Everything that an image is made of is as in a merge of its own, whatever a workshop has been asked for before."""
    built, tops = forest
    standing = {mark(name): one for name, one in built.items()}
    fresh = Workshop(built=standing).assemble(map(mark, tops))
    used = Workshop(built=standing)
    for some in data.draw(st.lists(st.lists(st.sampled_from(tops), min_size=1, unique=True), max_size=6)):
        used.assemble(map(mark, some))
    found = used.assemble(map(mark, data.draw(st.permutations(tops))))
    assert found == fresh
    assert [*found.config["Env"]] == [*fresh.config["Env"]]
    assert found.conflicts == ()
    whole = {node for top in tops for node in lineage(standing, mark(top))}
    assert {f"/{standing[one].name}" for one in whole} == set(found.index.contents["etc/shells"].decode().split())


def lineage(built: Mapping[Fingerprint, Built], node: Fingerprint) -> set[Fingerprint]:
    return {node}.union(*(lineage(built, parent) for parent in built[node].parents))


def test_of_many_it_is_said_who_agrees_and_who_does_not() -> None:
    said = {"a": b"1", "b": b"1", "far": b"2"}
    built = {"base": node("base", {})} | {name: node(name, {"opt/x": content}) for name, content in said.items()}
    (conflict,) = assemble([("base", name) for name in said], built).conflicts
    assert conflict.parts == ("a+b", "far")


def test_a_link_of_a_group_that_two_have_changed_and_a_third_has_taken() -> None:
    group, link = "var/lib/dpkg/alternatives/editor", "etc/alternatives/editor"

    def choices(*names: str) -> dict[str, Content]:
        lines = "".join(f"/bin/{name}\n{len(name)}\n" for name in names)
        best = max(names, key=len)
        found: dict[str, Content] = {f"bin/{name}": b"" for name in names}
        found[group] = f"auto\n/usr/bin/editor\n\n{lines}\n".encode()
        found[link] = Entry(kind=Kind.LINK, content=f"/bin/{best}")
        return found

    base = choices("ed")
    mine: dict[str, Content] = {link: Entry(kind=Kind.LINK, content="/bin/mine"), "bin/mine": b""}
    for third in (mine, {link: GONE}):
        built = {
            "base": node("base", base, 9),
            "a": node("a", choices("ed", "vim"), 5),
            "b": node("b", choices("ed", "nano"), 4),
            "far": node("far", third, 3),
        }
        (conflict,) = assemble([("base", name) for name in ("a", "b", "far")], built).conflicts
        assert (conflict.path, conflict.parts) == (link, ("a+b", "far"))


def test_one_that_is_broken_by_itself_excuses_no_others() -> None:
    """Of three, two break something together; the third has brought it along broken."""

    def status(**packages: str) -> dict[str, Content]:
        stanzas = (
            f"Package: {name}\nStatus: install ok installed\nVersion: 1\n{more}\n" for name, more in packages.items()
        )
        return {STATUS: "".join(stanzas).encode()}

    def distributions(**said: str) -> dict[str, Content]:
        site = "usr/lib/python3.13/site-packages"
        found: dict[str, Content] = {}
        for name, version in said.items():
            requires = "Requires-Dist: q<2\n" if name == "p" else ""
            found[f"{site}/{name}-{version}.dist-info/METADATA"] = (
                f"Name: {name}\nVersion: {version}\n{requires}".encode()
            )
        return found

    gone: dict[str, Content] = {"usr/lib/python3.13/site-packages/q-1.dist-info/METADATA": GONE}
    debian = (status(qq=""), status(qq="", pp="Depends: qq\n"), status(zz=""), status(pp="Depends: qq\n"))
    python = (
        distributions(q="1"),
        distributions(p="1"),
        distributions(q="2") | gone,
        distributions(p="1", q="2") | gone,
    )
    for base, *parts in (debian, python):
        built = {"base": node("base", base)} | {name: node(name, one) for name, one in zip("abc", parts, strict=True)}
        conflicts = assemble([("base", name) for name in "abc"], built).conflicts
        assert ("a", "b") in [one.parts for one in conflicts]


def test_a_folder_that_two_of_a_part_have_removed_and_made_anew() -> None:
    built = {
        "base": node("base", {"d": FOLDER, "d/0": b""}, 99),
        "mid": node("mid", {"d": GONE}, 8),
        "one": node("one", {"d": FOLDER, "d/1": b""}, 5),
        "two": node("two", {"opt/two": b""}, 9),
        "far": node("far", {"d/2": b""}, 6),
    }
    below = {"mid": "base", "one": "mid", "two": "mid", "far": "base"}
    standing = {
        mark(name): replace(one, parents=(mark(below[name]),) if name in below else ()) for name, one in built.items()
    }
    (conflict,) = Workshop(built=standing).assemble(map(mark, ("two", "far", "one"))).conflicts
    assert str(conflict).startswith(
        "far and mid+one: /d is a folder with files in far, and removed or replaced by mid+one"
    )
    assert "d/0" not in Workshop(built=standing).assemble(map(mark, ("two", "one"))).index.entries


def test_many_who_have_to_tell_each_other_something_are_told_of_once_each() -> None:
    built = {"base": node("base", {TRIGGERS: b""})} | {
        name: node(name, {TRIGGERS: b"/usr/share/x tool\n", f"usr/share/x/{name}": b""})
        for name in (f"p{number:02}" for number in range(20))
    }
    found = assemble([("base", name) for name in built if name != "base"], built).interests
    assert [one.guest for one in found] == [name for name in sorted(built) if name != "base"]
    assert {one.host.count("+") for one in found} == {18}


def test_what_was_settled_in_two_merges_is_no_matter_of_choice() -> None:
    """Two layers on two merges, in each of which a cache was made: neither's is right for all."""
    built = {
        "base": node("base", {}),
        "a": node("a", {"opt/a": b""}),
        "b": node("b", {"opt/b": b""}),
        "one": replace(node("one", {"cache": b"a b"}), name=""),
        "two": replace(node("two", {"cache": b"b a"}), name=""),
        "c": node("c", {"opt/c": b""}),
        "e": node("e", {"opt/e": b""}),
    }
    marks = {name: Fingerprint(hashlib.sha256(name.encode()).hexdigest()) for name in built}
    parents = {
        "a": ["base"],
        "b": ["base"],
        "one": ["a", "b"],
        "two": ["a", "b"],
        "c": ["one"],
        "e": ["two"],
        "base": [],
    }
    standing = {marks[n]: replace(one, parents=tuple(marks[p] for p in parents[n])) for n, one in built.items()}
    (conflict,) = Workshop(built=standing).assemble([marks["c"], marks["e"]]).conflicts
    assert "resolve" not in conflict.remedy


@pytest.mark.parametrize(
    ("path", "decided"),
    [("etc/xml/catalog", False), ("etc/mailcap", False), ("opt/conda/conda-meta/history", False), ("etc/motd", True)],
)
def test_of_what_is_gathered_from_many_no_parts_version_would_do(path: str, *, decided: bool) -> None:
    base = Index(entries={path: file_entry(b"1")})
    parts = [Part(name=name, index=Index(entries={path: file_entry(name.encode())})) for name in ("a", "b")]
    (conflict,) = merge(base, parts).conflicts
    assert ("resolve" in conflict.remedy) == (conflict.cause is Cause.PATH) == decided


def test_a_list_that_all_agree_on_is_no_conflict_where_they_quarrel_about_something_else() -> None:
    """Two by two, to say who quarrels, two of the three have an order of their own, which the third contradicts."""
    lists = {"a": "/x:/b", "b": "/y:/b", "c": "/x:/y:/b"}
    built = {"base": node("base", {}, 9, Env=["PATH=/b"])} | {
        name: node(name, {"m": name.encode()} if name != "c" else {}, 9 - number, Env=[f"PATH={value}"])
        for number, (name, value) in enumerate(lists.items())
    }
    found = assemble([("base", name) for name in lists], built)
    assert [*map(str, found.conflicts)] == ["a and b: /m has different contents"]
    assert found.config["Env"] == ["PATH=/x:/y:/b"]


def test_a_folder_in_which_a_merge_has_written_can_be_decided() -> None:
    """What a merge writes stands in folders, which are in its filesystem layer for that alone."""
    folders = {
        name: Entry(kind=Kind.DIRECTORY, mode=mode) for name, mode in (("low", 0o755), ("a", 0o750), ("b", 0o700))
    }
    joint = replace(node("", {"etc": folders["low"], "etc/shells": b"/x\n/y\n"}), parents=(MARKS["x"], MARKS["y"]))
    built = {
        MARKS["base"]: node("base", {"etc": folders["low"]}),
        MARKS["x"]: replace(node("x", {"etc/shells": b"/x\n"}), parents=(MARKS["base"],)),
        MARKS["y"]: replace(node("y", {"etc/shells": b"/y\n"}), parents=(MARKS["base"],)),
        MARKS["merge"]: joint,
        MARKS["a"]: replace(node("a", {"etc": folders["a"]}), parents=(MARKS["merge"],)),
        MARKS["b"]: replace(node("b", {"etc": folders["b"]}), parents=(MARKS["base"],)),
    }
    found = Workshop(built=built).assemble([MARKS["a"], MARKS["b"]], {"etc": "b"})
    assert found.conflicts == ()
    assert found.index.entries["etc"] == folders["b"]


MARKS = {name: Fingerprint(hashlib.sha256(name.encode()).hexdigest()) for name in ("base", "x", "y", "merge", "a", "b")}
