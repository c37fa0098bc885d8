"""Each merger: the laws of a three-way merge, real files, and what it refuses."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hubstack.merge.mergers import STATUS, Clash, Merger, Sides, find_merger
from hubstack.merge.mergers.ld_so_cache import parse_cache, render_cache
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.long

NAMES = st.sampled_from(["apt", "bash", "cron", "dash", "ed", "file"])


def merger(path: str) -> Merger:
    found = find_merger(path)
    assert found is not None
    return found


def sides(base: bytes, *versions: bytes) -> Sides:
    return Sides(base=base, versions=versions, beside=[{} for _ in versions])


def packages(names: Sequence[str], version: str = "1") -> bytes:
    return b"".join(
        f"Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: {version}\n\n".encode()
        for name in sorted(names)
    )


def accounts(names: Sequence[str]) -> bytes:
    ids = {name: 100 + number for number, name in enumerate(["apt", "bash", "cron", "dash", "ed", "file"])}
    return b"".join(f"{name}:x:{ids[name]}:{ids[name]}::/:/bin/sh\n".encode() for name in sorted(names))


def ranges(names: Sequence[str]) -> bytes:
    starts = {name: 100_000 * (1 + number) for number, name in enumerate(["apt", "bash", "cron", "dash", "ed", "file"])}
    return b"".join(f"{name}:{starts[name]}:65536\n".encode() for name in sorted(names))


def questions(names: Sequence[str]) -> bytes:
    return b"".join(f"Name: {name}/q\nTemplate: {name}/q\nOwners: {name}\n\n".encode() for name in sorted(names))


def lines(names: Sequence[str]) -> bytes:
    return b"".join(f"/bin/{name}\n".encode() for name in sorted(names))


def triples(names: Sequence[str]) -> bytes:
    return b"".join(f"/bin/{name}\n/bin/{name}.real\n{name}-doc\n".encode() for name in sorted(names))


TABLES: list[tuple[str, Callable[[Sequence[str]], bytes]]] = [
    (STATUS, packages),
    ("etc/passwd", accounts),
    ("etc/subuid", ranges),
    ("etc/shells", lines),
    ("var/lib/dpkg/diversions", triples),
    ("var/lib/dpkg/triggers/File", lines),
    ("var/cache/debconf/config.dat", questions),
]


def as_set(content: bytes) -> set[bytes]:
    separator = b"\n\n" if b"\n\n" in content else b"\n"
    return set(filter(None, content.split(separator)))


@pytest.mark.parametrize(("path", "write"), TABLES, ids=[path for path, _ in TABLES])
@given(base=st.sets(NAMES), one=st.sets(NAMES), two=st.sets(NAMES), three=st.sets(NAMES))
def test_laws(
    path: str, write: Callable[[Sequence[str]], bytes], base: set[str], one: set[str], two: set[str], three: set[str]
) -> None:
    merge = merger(path)
    old, a, b, c = (write(sorted(names)) for names in (base, one, two, three))

    def joined(*versions: bytes) -> set[bytes]:
        return as_set(merge(sides(old, *versions)))

    assert joined(a, b) == joined(b, a)  # commutative
    assert joined(a, a) == as_set(a) or path.endswith("diversions")  # idempotent
    assert joined(a, old) == as_set(a) or path.endswith("diversions")  # identity with the base
    assert joined(merge(sides(old, a, b)), c) == joined(a, merge(sides(old, b, c))) == joined(a, b, c)  # associative
    kept = {name for name in base if name in one and name in two}
    assert joined(a, b) == as_set(write(sorted(kept | (one - base) | (two - base))))  # and the right thing


@pytest.mark.parametrize("path", ["/var/lib/dpkg/status", "/etc/passwd", "/etc/group", "/etc/shells", "/etc/shadow"])
def test_real_files_come_through_unharmed(path: str) -> None:
    """Of the machine itself: a merge of what nobody has changed says what the file said."""
    content = Path(path).read_bytes()
    again = merger(path[1:])(sides(content, content, content))
    assert sorted(again.splitlines()) == sorted(content.splitlines())


def test_two_versions_of_one_package_clash() -> None:
    with pytest.raises(Clash, match="ed all: Version is '1' and '2'") as caught:
        merger(STATUS)(sides(packages(["apt"]), packages(["apt", "ed"], "1"), packages(["apt", "ed"], "2")))
    assert set(caught.value.versions) == {0, 1}


def test_one_that_removes_and_one_that_changes_clash() -> None:
    with pytest.raises(Clash, match="one has removed it"):
        merger(STATUS)(sides(packages(["ed"]), b"", packages(["ed"], "2")))


def test_a_package_stays_automatic_only_where_nobody_asked_for_it() -> None:
    auto = b"Package: ed\nArchitecture: all\nAuto-Installed: 1\n\n"
    has = {STATUS: packages(["ed"])}
    lacks = {STATUS: packages([])}
    merge = merger("var/lib/apt/extended_states")
    assert merge(Sides(base=b"", versions=[auto, b""], beside=[has, has])) == b""  # the other has it by name
    assert merge(Sides(base=b"", versions=[auto, b""], beside=[has, lacks])) == auto
    assert merge(Sides(base=b"", versions=[auto, auto], beside=[has, has])) == auto


def test_one_number_for_two_accounts_clashes() -> None:
    base = b"root:x:0:0::/:/bin/sh\n"
    a, b = base + b"cron:x:100:100::/:/bin/sh\n", base + b"sshd:x:100:100::/:/bin/sh\n"
    with pytest.raises(
        Clash, match="the user id 100 to cron and to sshd; `hubstack update --only ids` gives each its own"
    ):
        merger("etc/passwd")(sides(base, a, b))


def test_ranges_of_ids_that_overlap_clash_and_one_name_may_have_several() -> None:
    merge = merger("etc/subuid")
    with pytest.raises(Clash, match="gives ids of a:100000:65536 to b:100000:65536, too") as caught:
        merge(sides(b"", b"a:100000:65536\n", b"b:100000:65536\n"))
    assert set(caught.value.versions) == {0, 1}
    assert merge(sides(b"a:1:2\na:8:2\n", b"a:1:2\na:8:2\nb:20:2\n", b"a:1:2\na:8:2\n")) == b"a:1:2\na:8:2\nb:20:2\n"


def test_a_password_and_none_clash() -> None:
    with pytest.raises(Clash, match="says '' and '!' of cron"):
        merger("etc/shadow")(sides(b"", b"cron:!:1:::::\n", b"cron::1:::::\n"))


@pytest.mark.parametrize(
    ("path", "one", "two"),
    [
        ("var/lib/dpkg/statoverride", b"root root 4755 /bin/x\n", b"root adm 755 /bin/x\n"),
        ("var/lib/ucf/hashfile", b"aa  /etc/x\n", b"bb  /etc/x\n"),
        ("var/lib/ucf/registry", b"a /etc/x\n", b"b /etc/x\n"),
        ("var/lib/dpkg/diversions", b"/bin/x\n/bin/x.a\na\n", b"/bin/x\n/bin/x.b\nb\n"),
    ],
)
def test_a_path_of_which_two_parts_say_different_things_clashes(path: str, one: bytes, two: bytes) -> None:
    with pytest.raises(Clash, match="different things of /"):
        merger(path)(sides(b"", one, two))
    assert merger(path)(sides(b"", one, one)) == one


def test_members_of_a_group_are_joined() -> None:
    base = b"adm:x:4:root,old\n"
    merged = merger("etc/group")(sides(base, b"adm:x:4:root,old,a\n", b"adm:x:4:root,b\n"))
    assert merged == b"adm:x:4:root,a,b\n"


def test_the_later_day_of_a_password_stands() -> None:
    base = b"root:*:100:0:::::\n"
    assert merger("etc/shadow")(sides(base, b"root:*:200:0:::::\n", b"root:*:300:0:::::\n")) == b"root:*:300:0:::::\n"


def test_owners_of_a_question_are_joined_and_two_answers_clash() -> None:
    def question(owners: str, value: str) -> bytes:
        return f"Name: q\nTemplate: q\nValue: {value}\nOwners: {owners}\n\n".encode()

    merge = merger("var/cache/debconf/config.dat")
    merged = merge(sides(question("a", "x"), question("a, b", "x"), question("a, c", "x")))
    assert merged == question("a, b, c", "x")
    with pytest.raises(Clash, match="q: Value is 'y' and 'z'"):
        merge(sides(question("a", "x"), question("a", "y"), question("a", "z")))


CACHE = Path("/etc/ld.so.cache")


def test_the_linkers_cache_comes_through_unharmed() -> None:
    libraries, generator = parse_cache(CACHE.read_bytes())
    assert libraries
    assert parse_cache(render_cache(libraries, generator)) == (libraries, generator)


def test_ldconfig_reads_what_was_merged_and_finds_its_own_order(tmp_path: Path) -> None:
    """Two parts that have half of this machine's libraries each."""
    libraries, generator = parse_cache(CACHE.read_bytes())
    shuffled = random.Random(1).sample(libraries, len(libraries))
    third = len(libraries) // 3
    old, a, b = shuffled[:third], shuffled[: 2 * third], shuffled[:third] + shuffled[2 * third :]
    conf = {
        str(path)[1:]: path.read_bytes()
        for path in (Path("/etc/ld.so.conf"), *Path("/etc/ld.so.conf.d").glob("*.conf"))
    }
    merged = merger("etc/ld.so.cache")(
        Sides(
            base=render_cache(old, generator),
            versions=[render_cache(a, generator), render_cache(b, generator)],
            beside=[conf, conf],
        )
    )
    file = tmp_path / "cache"
    file.write_bytes(merged)
    said = [
        subprocess.run(["/sbin/ldconfig", "-p", "-C", str(one)], check=True, capture_output=True).stdout.splitlines()[
            1:
        ]
        for one in (file, CACHE)
    ]
    assert said[0] == said[1]


@pytest.mark.parametrize("content", [b"", b"ld.so-1.7.0\0", b"glibc-ld.so.cache1.1" + b"\xff" * 40])
def test_another_format_is_refused(content: bytes) -> None:
    with pytest.raises(Clash):
        parse_cache(content)
