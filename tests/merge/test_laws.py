"""The laws of a three-way merge, for every merger that is registered: one without a row in ``FORMATS`` fails here."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import TypeAlias

import pytest
from hubstack.merge.mergers import EXTENDED_STATES, MERGERS, STATUS, Clash, Sides, find_merger
from hubstack.merge.mergers.alternative import Choice, Group, parse_group, render_group
from hubstack.merge.mergers.ld_so_cache import Library, parse_cache, render_cache
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.long

NAMES = ("apt", "bash", "cron", "dash", "ed", "file")
SETS = st.sets(st.sampled_from(NAMES))
NUMBER = {name: number for number, name in enumerate(NAMES, 1)}
Facts: TypeAlias = frozenset[Hashable] | str  # what a file says; the word "clash" where it can't be merged


def lines(pattern: str) -> Callable[[Sequence[str]], bytes]:
    """A file of lines; ``{name}`` and ``{number}`` are each name's."""

    def write(names: Sequence[str]) -> bytes:
        return "".join(f"{pattern.format(name=name, number=NUMBER[name])}\n" for name in names).encode()

    return write


def said_by_line(content: bytes) -> Facts:
    return frozenset(content.splitlines())


def said_by_three(content: bytes) -> Facts:
    found = content.splitlines()
    return frozenset(tuple(found[start : start + 3]) for start in range(0, len(found), 3))


def said_by_stanza(content: bytes) -> Facts:
    return frozenset(filter(None, content.split(b"\n\n")))


def alternatives(names: Sequence[str]) -> bytes:
    """One choice is always there: a group without is no file."""
    choices = {"/bin/zsh": Choice(priority=0, files={})}
    for name in names:
        files = {"page": f"/man/{name}"} if NUMBER[name] % 2 else {}
        choices[f"/bin/{name}"] = Choice(priority=NUMBER[name], files=files)
    slaves = {"page": "/man/page"} if any(choice.files for choice in choices.values()) else {}
    return render_group(Group(link="/bin/sh", slaves=slaves, choices=choices))


def said_by_group(content: bytes) -> Facts:
    group = parse_group(content)
    choices = {(file, choice.priority, *choice.files.items()) for file, choice in group.choices.items()}
    return frozenset({group.status, group.link, *group.slaves.items(), *choices})


def cache(names: Sequence[str]) -> bytes:
    return render_cache([Library(f"lib{name}.so.1", f"/usr/lib/lib{name}.so.1", 3, 0, "0") for name in names], b"ld")


def said_by_cache(content: bytes) -> Facts:
    libraries, generator = parse_cache(content)
    return frozenset({generator, *libraries})


def stanzas(pattern: str) -> Callable[[Sequence[str]], bytes]:
    return lines(pattern.replace("|", "\n") + "\n")


def union(base: set[str], one: set[str], two: set[str]) -> set[str]:
    return {name for name in base if name in one and name in two} | (one - base) | (two - base)


@dataclass(frozen=True, kw_only=True)
class Format:
    """``write`` gives a file that says something of each name. With ``grows`` a part has whatever the base has."""

    path: str
    write: Callable[[Sequence[str]], bytes]
    read: Callable[[bytes], Facts] = said_by_line
    beside: Callable[[Sequence[str]], Mapping[str, bytes]] = field(default=lambda names: {})
    grows: bool = False


PACKAGE = stanzas("Package: {name}|Status: install ok installed|Architecture: all|Version: 1")
FORMATS = (
    Format(path=STATUS, write=PACKAGE, read=said_by_stanza),
    Format(
        path=EXTENDED_STATES,
        write=stanzas("Package: {name}|Architecture: all|Auto-Installed: 1"),
        read=said_by_stanza,
        beside=lambda names: {STATUS: PACKAGE(names)},
        grows=True,
    ),
    Format(path="var/lib/dpkg/triggers/File", write=lines("/usr/share/{name} {name}")),
    Format(path="var/lib/dpkg/alternatives/sh", write=alternatives, read=said_by_group),
    Format(path="var/lib/dpkg/statoverride", write=lines("root root 4755 /bin/{name}")),
    Format(path="var/lib/dpkg/diversions", write=lines("/{name}\n/{name}.real\n{name}-doc"), read=said_by_three),
    Format(path="var/lib/ucf/hashfile", write=lines("{number}  /etc/{name}")),
    Format(path="var/lib/shells.state", write=lines("/bin/{name}")),
    Format(path="var/lib/systemd/deb-systemd-helper-enabled/x.dsh-also", write=lines("/etc/systemd/{name}")),
    Format(
        path="var/cache/debconf/config.dat",
        write=stanzas("Name: {name}/q|Template: {name}/q|Value: {number}|Owners: {name}"),
        read=said_by_stanza,
    ),
    Format(path="var/lib/pam/seen", write=lines("{name}")),
    Format(path="etc/shells", write=lines("/bin/{name}")),
    Format(path="etc/nsswitch.conf", write=lines("{name}: files dns{number}")),
    Format(path="usr/share/info/dir", write=lambda names: b"* Menu:\n\nBasics\n" + lines("* {name}: ({name}).")(names)),
    Format(path="etc/ld.so.cache", write=cache, read=said_by_cache),
    Format(path="v/x-1.dist-info/RECORD", write=lines("{name}.py,sha256=x,{number}")),
    Format(path="etc/passwd", write=lines("{name}:x:10{number}:10{number}::/:/bin/sh")),
    Format(path="etc/group", write=lines("{name}:x:10{number}:{name},root")),
    Format(path="etc/shadow", write=lines("{name}:!:10{number}::::::")),
    Format(path="etc/gshadow", write=lines("{name}:!::{name}")),
    Format(path="etc/subuid", write=lines("{name}:{number}00000:65536")),
    Format(path="etc/subgid", write=lines("{name}:{number}00000:65536")),
)


def test_every_merger_is_held_to_the_laws() -> None:
    for pattern in MERGERS:
        assert any(re.fullmatch(pattern, one.path) for one in FORMATS), pattern


class Machine:
    """Files of one format, merged with a base."""

    def __init__(self, form: Format, base: set[str]) -> None:
        self._form, self._base = form, base
        merger = find_merger(form.path)
        assert merger is not None
        self._merger = merger

    def part(self, names: set[str]) -> tuple[bytes, Mapping[str, bytes]]:
        there = sorted(names | self._base if self._form.grows else names)
        return self._form.write(there), self._form.beside(there)

    def merged(self, *parts: tuple[bytes, Mapping[str, bytes]] | None) -> tuple[bytes, Mapping[str, bytes]] | None:
        """None where they clash, or are of such."""
        there = [part for part in parts if part is not None]
        if len(there) < len(parts):
            return None
        base = self._form.write(sorted(self._base))
        beside = {path: b"".join(part[1][path] for part in there) for path in there[0][1]}
        try:
            return self._merger(
                Sides(base=base, versions=[part[0] for part in there], beside=[part[1] for part in there])
            ), beside
        except Clash:
            return None

    def content(self, *parts: tuple[bytes, Mapping[str, bytes]]) -> bytes | None:
        found = self.merged(*parts)
        return found[0] if found is not None else None

    def says(self, *parts: tuple[bytes, Mapping[str, bytes]] | None) -> Facts:
        found = self.merged(*parts)
        return "clash" if found is None else self._form.read(found[0])


@pytest.mark.parametrize("form", FORMATS, ids=[one.path for one in FORMATS])
@settings(max_examples=40)
@given(base=SETS, one=SETS, two=SETS, three=SETS)
def test_laws(form: Format, base: set[str], one: set[str], two: set[str], three: set[str]) -> None:
    machine = Machine(form, base)
    old, a, b, c = (machine.part(names) for names in (base, one, two, three))
    together = machine.says(a, b, c)
    assert machine.says(a, a) == form.read(a[0])  # idempotent
    assert machine.says(a, old) == machine.says(old, a) == form.read(a[0])  # identity with the base
    assert machine.content(a, b) == machine.content(b, a)  # to the byte
    for several in permutations((a, b, c)):
        assert machine.says(*several) == together  # commutative
        first, second, third = several
        assert machine.says(machine.merged(first, second), third) == together  # associative
    wanted = base | one | two if form.grows else union(base, one, two)
    assert machine.says(a, b) == form.read(form.write(sorted(wanted)))  # and the right thing


FOLDERS = (
    "/etc",
    "/var/lib/dpkg",
    "/var/lib/dpkg/triggers",
    "/var/lib/dpkg/alternatives",
    "/var/lib/apt",
    "/var/lib/ucf",
)
MORE = ("/usr/share/info", "/var/cache/debconf", "/var/lib", "/var/lib/systemd/deb-systemd-helper-enabled")


def real_files() -> Iterator[Path]:
    """Of this machine, in folders in which Debian has them; and of the Python that runs this."""
    for folder in map(Path, (*FOLDERS, *MORE)):
        if folder.is_dir():
            yield from (path for path in sorted(folder.iterdir()) if path.is_file() and not path.is_symlink())
    site = Path(pytest.__file__).parent.parent
    yield from sorted(site.glob("py*.dist-info/RECORD"))


def test_real_files_come_through_unharmed() -> None:
    """A merge of what nobody has changed says what the file said."""
    seen = set()
    for path in real_files():
        name = str(path)[1:]
        form = next((one for one in FORMATS if find_merger(one.path) is find_merger(name) is not None), None)
        merger = find_merger(name)
        try:
            content = path.read_bytes() if form is not None and merger is not None else b""
        except PermissionError:
            continue
        if form is None or merger is None or not content:
            continue
        beside = {STATUS: Path("/var/lib/dpkg/status").read_bytes()} if form.grows else {}
        merged = merger(Sides(base=content, versions=[content, content], beside=[beside, beside]))
        assert sorted(map(repr, form.read(merged))) == sorted(map(repr, form.read(content))), path
        seen.add(form.path)
    assert len(seen) > 8, seen
