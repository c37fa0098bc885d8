"""Each merger by itself: what it joins, and what it refuses. test_laws.py has what all of them promise."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hubstack.merge.mergers import STATUS, Clash, Merger, Sides, find_merger
from hubstack.merge.mergers.ld_so_cache import Library, parse_cache, render_cache

pytestmark = pytest.mark.long


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


def test_two_versions_of_one_package_clash() -> None:
    with pytest.raises(Clash, match="has different versions of ed: 1 and 2") as caught:
        merger(STATUS)(sides(packages(["apt"]), packages(["apt", "ed"], "1"), packages(["apt", "ed"], "2")))
    assert set(caught.value.versions) == {0, 1}


def test_one_that_removes_and_one_that_changes_clash() -> None:
    with pytest.raises(Clash, match="has ed changed by one and removed by another: removed and 2"):
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
    with pytest.raises(Clash, match="the user id 100 to two names: cron and sshd"):
        merger("etc/passwd")(sides(base, a, b))


def test_two_names_to_which_the_base_gives_one_number_are_its_own_affair() -> None:
    base = b"root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\n"
    a, b = base + b"cron:x:100:100::/:/bin/sh\n", base + b"sshd:x:101:101::/:/bin/sh\n"
    assert merger("etc/passwd")(sides(base, a, b)) == a + b"sshd:x:101:101::/:/bin/sh\n"
    assert b"toor:x:0:0::/root:/bin/zsh" in merger("etc/passwd")(
        sides(base, a, base.replace(b"toor:x:0:0::/root:/bin/sh", b"toor:x:0:0::/root:/bin/zsh"))
    )
    with pytest.raises(Clash, match="the user id 0 to two names"):
        merger("etc/passwd")(sides(base, a, base + b"boss:x:0:0::/:/bin/sh\n"))


def test_ranges_of_ids_that_overlap_clash_and_one_name_may_have_several() -> None:
    merge = merger("etc/subuid")
    with pytest.raises(Clash, match="gives ids of a:100000:65536 to b:100000:65536, too") as caught:
        merge(sides(b"", b"a:100000:65536\n", b"b:100000:65536\n"))
    assert set(caught.value.versions) == {0, 1}
    assert merge(sides(b"a:1:2\na:8:2\n", b"a:1:2\na:8:2\nb:20:2\n", b"a:1:2\na:8:2\n")) == b"a:1:2\na:8:2\nb:20:2\n"


def test_a_password_and_none_clash() -> None:
    with pytest.raises(Clash, match="says different things of cron: '!' and ''"):
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
    with pytest.raises(Clash, match="of q in the field Value: y and z"):
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


MENU = b"""File: dir,\tNode: Top

* Menu:

Basics
* Ed: (ed).                     The GNU line editor
* Finding files: (find).
                                Operating on files.

Compression
* Gzip: (gzip).                 Compression of files.
"""


def test_entries_of_the_info_menu_are_joined_in_sections() -> None:
    awk = b"* Awk: (gawk).                  Text scanning.\n"
    one = MENU.replace(b"* Ed", awk + b"* Ed")
    two = MENU.replace(b"\nCompression", b"\nC libraries\n* libm: (libm).\n\nCompression").replace(b"* Gzip", b"* Zip")
    merge = merger("usr/share/info/dir")
    merged = two.replace(b"* Ed", awk + b"* Ed")
    assert merge(sides(MENU, one, two)) == merge(sides(MENU, two, one)) == merged
    assert merge(sides(b"", MENU, MENU)) == MENU
    newer = MENU.replace(b"Node", b"node")  # Debian's package makes the file anew as it is installed
    assert merge(sides(MENU, newer, newer)) == merge(sides(MENU, newer, MENU)) == newer
    assert merge(sides(b"", newer, MENU)) == merge(sides(b"", MENU, newer)) == MENU
    assert merge(sides(b"", one, MENU)) == one


def test_where_names_are_looked_up_is_merged_by_database() -> None:
    base = b"# Names\n\npasswd:  files # local\nhosts:   files dns\n"
    one, two = base.replace(b"files # local", b"files systemd"), base.replace(b"dns", b"mdns4 dns") + b"rpc: db\n"
    merge = merger("etc/nsswitch.conf")
    assert merge(sides(base, one, two)) == b"# Names\n\npasswd:  files systemd\nhosts:   files mdns4 dns\nrpc: db\n"
    assert merge(sides(base, base.replace(b"hosts:   files dns\n", b""), one)) == one.replace(
        b"hosts:   files dns\n", b""
    )
    with pytest.raises(Clash, match="looks up hosts in different places: files mdns4 dns and files"):
        merge(sides(base, two, base.replace(b" dns", b"")))


@pytest.mark.parametrize(("kind", "joined"), [("multiselect", True), ("select", False)])
def test_answers_to_a_question_that_takes_several_are_joined(kind: str, *, joined: bool) -> None:
    def question(value: str, names: str) -> bytes:
        variables = f"Variables:\n names = {names}\n" if names else ""
        return f"Name: pam/p\nTemplate: pam/p\nValue: {value}\n{variables}\n".encode()

    templates = {"var/cache/debconf/templates.dat": f"Name: pam/p\nType: {kind}\n\n".encode()}
    given = Sides(
        base=question("unix", "unix"),
        versions=[question("unix, systemd", "unix, systemd"), question("unix, capability", "unix, capability")],
        beside=[templates, templates],
    )
    merge = merger("var/cache/debconf/config.dat")
    if joined:
        assert merge(given) == question("unix, capability, systemd", "unix, capability")
    else:
        with pytest.raises(Clash, match="different things of pam/p"):
            merge(given)


@pytest.mark.parametrize(
    ("path", "merged"),
    [
        ("var/lib/dpkg/triggers/File", True),
        ("var/lib/dpkg/triggers/update-ca-certificates", True),
        ("var/lib/dpkg/triggers/Unincorp", False),
        ("var/lib/dpkg/triggers/Lock", False),
        ("var/lib/systemd/deb-systemd-user-helper-enabled/x.socket.dsh-also", True),
        ("var/lib/systemd/deb-systemd-helper-enabled/multi-user.target.wants/x.service", False),
        ("etc/passwd-", False),
        ("var/lib/dpkg/status-old", False),
    ],
)
def test_which_files_have_a_merger(path: str, *, merged: bool) -> None:
    assert (find_merger(path) is not None) == merged


def test_a_line_of_a_record_of_which_parts_say_different_things() -> None:
    merge = merger("v/x-1.dist-info/RECORD")
    with pytest.raises(Clash, match=r"different things of x\.py"):
        merge(sides(b"", b"x.py,sha256=a,1\n", b"x.py,sha256=b,1\n"))
    line = b"x-1.dist-info/INSTALLER,sha256=%s,4\n"
    assert merge(sides(b"", line % b"b", line % b"a")) == line % b"a"


def test_libraries_of_one_name_stand_as_the_linker_looks_for_them() -> None:
    """Flags descending, those for some processors before those for all, newer kernels first, then folders, then names."""
    order = [
        Library("liba.so.10", "/lib/liba.so.10", 3, 0, "0"),
        Library("liba.so.9", "/x/liba.so.9", 0x303, 0, "0"),
        Library("liba.so.9", "/y/x86-64-v2/liba.so.9", 3, 0, "x86-64-v2"),
        Library("liba.so.9", "/y/x86-64-v3/liba.so.9", 3, 0, "x86-64-v3"),
        Library("liba.so.9", "/z/liba.so.9", 3, 2, "0"),
        Library("liba.so.9", "/opt/liba.so.9", 3, 0, "0"),
        Library("liba.so.9", "/lib/liba.so.9", 3, 0, "0"),
        Library("liba.so.9", "/usr/lib/liba.so.9", 3, 0, "0"),
        Library("liba.so.9", "/elsewhere/liba.so.9", 3, 0, "0"),
    ]
    conf = {"etc/ld.so.conf.d/opt.conf": b"/opt\n"}
    halves = [render_cache(half, b"ld") for half in (order[::2][::-1], order[1::2])]
    for versions in (halves, halves[::-1]):
        merged = merger("etc/ld.so.cache")(Sides(base=b"", versions=versions, beside=[conf, conf]))
        assert parse_cache(merged) == (order, b"ld")


@pytest.mark.parametrize(
    ("conf", "places"),
    [
        ({"": b"include /etc/ld.so.conf.d/*.conf\n/opt/a/\n"}, ["/b", "/opt/a", "/usr/lib"]),
        ({"": b"/opt/a=libc6 # ours\nhwcap 1 x\ninclude ld.so.conf.d/*.conf"}, ["/opt/a", "/b", "/usr/lib"]),
        (
            {"": b"include ld.so.conf.d/[c-z].conf\n", ".d/x.conf": b"include /etc/ld.so.conf*\n/opt/a\n"},
            ["/opt/a", "/usr/lib", "/b"],
        ),
        ({}, ["/b", "/usr/lib", "/opt/a"]),
    ],
)
def test_the_linker_looks_where_its_configuration_says_in_that_order(conf: dict[str, bytes], places: list[str]) -> None:
    """As ldconfig(8) does: what is included stands where it is included."""
    contents = {".d/b.conf": b"/b\n", **conf}
    beside = {f"etc/ld.so.conf{path}": content for path, content in contents.items()}
    caches = [render_cache([Library("liba.so.1", f"{place}/liba.so.1", 3, 0, "0")], b"ld") for place in sorted(places)]
    merged = merger("etc/ld.so.cache")(Sides(base=b"", versions=caches, beside=[beside] * 3))
    assert [one.path.rpartition("/")[0] for one in parse_cache(merged)[0]] == places


def test_of_the_linkers_configuration_that_stands_which_somebody_has_changed() -> None:
    was, now = {"etc/ld.so.conf.d/x.conf": b"/a\n/b\n"}, {"etc/ld.so.conf.d/x.conf": b"/b\n/a\n"}
    caches = [render_cache([Library("liba.so.1", f"{place}/liba.so.1", 3, 0, "0")], b"ld") for place in ("/a", "/b")]
    for beside in ([was, now], [now, was]):
        merged = merger("etc/ld.so.cache")(Sides(base=b"", versions=caches, beside=beside, below=was))
        assert [one.path for one in parse_cache(merged)[0]] == ["/b/liba.so.1", "/a/liba.so.1"]
