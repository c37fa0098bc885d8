"""Groups of alternatives that several parts have changed, beside what update-alternatives makes of the same steps."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path

import pytest
from hubstack.merge.entry import GONE, Entry, Index, Kind, file_entry, overlay
from hubstack.merge.three_way import Merged, Part, merge

TOOL = shutil.which("update-alternatives", path="/usr/bin:/usr/sbin")
real = pytest.mark.skipif(TOOL is None, reason="Debian's update-alternatives")

PAGE = "/usr/share/man/man1"
MAN = ("--slave", f"{PAGE}/editor.1", "editor.1")


def editor(name: str, priority: int, *slave: str) -> tuple[str, ...]:
    return ("--install", "/usr/bin/editor", "editor", f"/usr/bin/{name}", str(priority), *slave)


ED, VIM = editor("ed", -100, *MAN, f"{PAGE}/ed.1"), editor("vim", 30, *MAN, f"{PAGE}/vim.1")
NANO, TINY = editor("nano", 40), editor("tiny", 15, *MAN, f"{PAGE}/missing.1")
JOE = editor("joe", 70, *MAN, f"{PAGE}/joe.1", "--slave", "/usr/bin/rjoe", "rjoe", "/usr/bin/rjoe.real")
SET = "is a group of alternatives, and they differ in what it is set to"
EDITOR = "/var/lib/dpkg/alternatives/editor"
Steps = Sequence[tuple[str, ...]]


def tree(folder: Path) -> Index:
    entries: dict[str, Entry] = {}
    contents: dict[str, bytes] = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if name.startswith("var/log/"):
            continue
        if path.is_symlink():
            entries[name] = Entry(kind=Kind.LINK, content=str(path.readlink()))
        elif path.is_file():
            contents[name] = path.read_bytes()
            entries[name] = file_entry(contents[name])
    return Index(entries=entries, contents=contents)


def change(before: Index, after: Index) -> Index:
    """As a filesystem layer says it: with whiteouts."""
    gone = dict.fromkeys(before.entries.keys() - after.entries.keys(), GONE)
    changed = {path: entry for path, entry in after.entries.items() if before.entries.get(path) != entry}
    contents = {path: after.contents[path] for path in changed if path in after.contents}
    return Index(entries=gone | changed, contents=contents)


def there(index: Index) -> Mapping[str, tuple[str, str]]:
    return {path: (one.kind, one.content) for path, one in index.entries.items() if one.kind is not Kind.WHITEOUT}


class Machine:
    """A root in which update-alternatives runs; steps that begin with `rm` remove a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def after(self, *steps: tuple[str, ...]) -> Index:
        self._count += 1
        root = self._folder / str(self._count)
        for one in ("etc/alternatives", "var/lib/dpkg/alternatives", "usr/bin", "usr/share/man/man1", "var/log"):
            (root / one).mkdir(parents=True)
        for name in ("ed", "vim", "nano", "tiny", "joe", "rjoe.real"):
            (root / "usr/bin" / name).write_text(name)
        for name in ("ed", "vim", "joe"):
            (root / "usr/share/man/man1" / f"{name}.1").write_text(name)
        for step in steps:
            assert TOOL is not None
            argv = [TOOL, "--root", str(root), "--quiet", *step]
            subprocess.run(argv, check=True, capture_output=True)
        return tree(root)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def parts(base: Index, *ends: Index) -> list[Part]:
    return [Part(name=f"part{number}", index=change(base, end)) for number, end in enumerate(ends)]


def said(found: Merged) -> list[str]:
    return [str(conflict) for conflict in found.conflicts]


@real
@pytest.mark.long
@pytest.mark.parametrize(
    ("base", "one", "two"),
    [
        pytest.param([], [ED], [VIM], id="both make the group"),
        pytest.param([ED], [VIM], [NANO], id="the best has no page, which goes away"),
        pytest.param([ED], [NANO], [JOE], id="the best brings a slave of its own"),
        pytest.param([VIM], [TINY], [ED], id="neither is the best"),
        pytest.param([ED], [TINY], [editor("nano", 5)], id="a page that is not there"),
        pytest.param([ED, JOE], [("--remove", "editor", "/usr/bin/joe")], [VIM], id="one removes the best"),
        pytest.param([ED], [VIM, ("--set", "editor", "/usr/bin/ed")], [JOE], id="what a person has set stands"),
        pytest.param(
            [ED, VIM, ("--set", "editor", "/usr/bin/ed")], [("--auto", "editor")], [NANO], id="set back to automatic"
        ),
        pytest.param([editor("vim", 30)], [editor("joe", 30)], [editor("ed", 30)], id="the base's is as good"),
        pytest.param([], [editor("vim", 30), editor("joe", 30)], [ED], id="the first of one part's two"),
        pytest.param([], [JOE, ("--remove", "editor", "/usr/bin/joe")], [VIM], id="come and gone"),
    ],
)
def test_the_merge_is_what_update_alternatives_makes_in_either_order(
    machine: Machine, base: Steps, one: Steps, two: Steps
) -> None:
    was = machine.after(*base)
    chains = [there(machine.after(*base, *first, *then)) for first, then in permutations((one, two))]
    assert chains[0] == chains[1]
    for ends in permutations((machine.after(*base, *one), machine.after(*base, *two))):
        found = merge(was, parts(was, *ends))
        assert said(found) == []
        assert there(overlay(was, found.index)) == chains[0]


@real
@pytest.mark.long
def test_of_three_it_is_the_same_whichever_two_come_first(machine: Machine) -> None:
    """The best is removed by one; the second has a slave of its own, and the third no page."""
    base, steps = [ED, VIM], ([("--remove", "editor", "/usr/bin/vim")], [editor("joe", 20, *JOE[5:])], [NANO])
    was = machine.after(*base)
    chain = there(machine.after(*base, *(step for some in steps for step in some)))
    for several in permutations(parts(was, *(machine.after(*base, *some) for some in steps))):
        first, second, third = several
        pair = merge(was, [first, second])
        found = merge(was, [Part(name="pair", index=pair.index), third])
        assert said(pair) == said(found) == said(merge(was, several)) == []
        assert there(overlay(was, found.index)) == there(overlay(was, merge(was, several).index)) == chain


@real
@pytest.mark.long
def test_of_two_that_are_as_good_the_first_by_path_stands(machine: Machine) -> None:
    """In a chain it is the one that was installed first."""
    was = machine.after()
    one, two = editor("vim", 30), editor("joe", 30)
    for ends in permutations((machine.after(one), machine.after(two))):
        found = merge(was, parts(was, *ends))
        assert there(overlay(was, found.index)) == there(machine.after(two, one))
        assert found.index.entries["etc/alternatives/editor"].content == "/usr/bin/joe"


@real
@pytest.mark.long
def test_two_that_set_different_choices_are_refused(machine: Machine) -> None:
    was = machine.after(ED, VIM)
    joe = [machine.after(ED, VIM, one, ("--set", "editor", one[3])) for one in (JOE, NANO)]
    assert said(merge(was, parts(was, *joe))) == [
        f"part0 and part1: {EDITOR} {SET}: /usr/bin/joe in part0 and /usr/bin/nano in part1"
    ]
    ends = [machine.after(ED, VIM, ("--set", "editor", f"/usr/bin/{name}")) for name in ("ed", "vim")]
    assert said(merge(was, parts(was, *ends))) == [  # the group's file is the same in both
        f"part0 and part1: {EDITOR} {SET}: /usr/bin/ed in part0 and /usr/bin/vim in part1"
    ]


GROUP = b"auto\n/bin/nc\n\n/bin/nc.a\n10\n\n"


def index(files: Mapping[str, bytes | Entry]) -> Index:
    contents = {path: one for path, one in files.items() if isinstance(one, bytes)}
    return Index(
        entries={path: file_entry(one) if isinstance(one, bytes) else one for path, one in files.items()},
        contents=contents,
    )


def link(target: str) -> Entry:
    return Entry(kind=Kind.LINK, content=target)


def test_a_link_behind_a_link_is_found_where_it_stands() -> None:
    """Groups of Debian 12 say /bin/nc where the tree has /usr/bin/nc."""
    name = "var/lib/dpkg/alternatives/nc"
    base = index({"bin": link("usr/bin"), "usr/bin/nc.a": b"", "usr/bin/nc.b": b""})
    one = index({name: GROUP, "etc/alternatives/nc": link("/bin/nc.a"), "usr/bin/nc": link("/etc/alternatives/nc")})
    two = index(
        {
            name: GROUP.replace(b"nc.a\n10", b"nc.b\n20"),
            "etc/alternatives/nc": link("/bin/nc.b"),
            "usr/bin/nc": link("/etc/alternatives/nc"),
        }
    )
    for several in permutations((Part(name="one", index=one), Part(name="two", index=two))):
        found = merge(base, several)
        assert (said(found), found.index.entries["etc/alternatives/nc"]) == ([], link("/bin/nc.b"))
        assert found.index.entries["usr/bin/nc"] == link("/etc/alternatives/nc")
        assert not any(path.startswith("bin/") for path in found.written)


def test_a_file_in_a_links_place_is_left_and_two_of_them_conflict() -> None:
    name = "var/lib/dpkg/alternatives/nc"
    base = index({name: GROUP, "etc/alternatives/nc": link("/bin/nc.a"), "bin/nc": b"a file"})
    one = index({name: GROUP.replace(b"\n\n/bin", b"\n\n/bin/nc.0\n5\n/bin")})
    two = index({name: GROUP.replace(b"nc.a\n10\n", b"nc.a\n10\n/bin/nc.b\n20\n"), "bin/nc": b"another"})
    found = merge(base, [Part(name="one", index=one), Part(name="two", index=two)])
    assert said(found) == []
    assert found.written["etc/alternatives/nc"] == link("/bin/nc.b")
    assert found.index.entries["bin/nc"] == file_entry(b"another")
