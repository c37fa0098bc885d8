"""Packages of Python, R and npm: one version of a name in a folder, and each with what it requires."""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
from collections.abc import Mapping

import pytest
from hubstack.merge import npm, python, r
from hubstack.merge.abridged import abridge, whole
from hubstack.merge.conflict import Conflict
from hubstack.merge.entry import GONE, Entry, Index, file_entry
from hubstack.merge.mergers import STATUS
from hubstack.merge.tar import read_blob
from hubstack.merge.three_way import Part, merge

from tests.content import Content, index

SITE = "opt/venv/lib/python3.13/site-packages"


def wheel(name: str, version: str, *requires: str, site: str = SITE) -> dict[str, Content]:
    lines = (f"Requires-Dist: {one}\n" for one in requires)
    metadata = f"Name: {name}\nVersion: {version}\n{''.join(lines)}"
    return {f"{site}/{name}-{version}.dist-info/METADATA": metadata.encode()}


def said(base: Mapping[str, Content], **parts: Mapping[str, Content]) -> list[str]:
    """Of all three languages."""
    below, indexes = index(base), {name: index(one) for name, one in parts.items()}
    merged = merge(below, [Part(name=name, index=one) for name, one in indexes.items()]).index
    found: list[Conflict] = [
        *python.clashes(below, indexes, merged),
        *r.clashes(below, indexes, merged),
        *npm.clashes(below, indexes),
    ]
    return [str(conflict) for conflict in found]


def test_a_requirement_that_the_other_part_breaks() -> None:
    base = wheel("numpy", "1.26")
    newer = {f"{SITE}/numpy-1.26.dist-info": GONE, **wheel("numpy", "2.1")}
    assert said(base, a=newer, b=wheel("old_tool", "1", "NumPy<2")) == [
        f"a and b: /{SITE} has old-tool 1, which requires NumPy<2, and that does not hold in all together"
    ]
    assert said(base, a=newer, b=wheel("old_tool", "1", "NumPy>=1,<3")) == []
    assert said(base, a=newer, b=wheel("old_tool", "1", "numpy<2", site="usr/lib/python3/dist-packages")) == []


def test_a_requirement_that_the_other_part_removes() -> None:
    base = wheel("numpy", "1.26")
    (found,) = said(base, a={f"{SITE}/numpy-1.26.dist-info": GONE, **wheel("six", "1")}, b=wheel("tool", "1", "numpy"))
    assert "has tool 1, which requires numpy, " in found


@pytest.mark.parametrize(
    "requires",
    [
        "numpy<2; python_version < '3.12'",
        "numpy<2; sys_platform == 'win32'",
        "numpy<2; extra == 'all'",
        "numpy (1.x or so",
        "numpy @ https://example.org/numpy.whl",
    ],
)
def test_a_requirement_that_is_not_asked_for_here(requires: str) -> None:
    base = wheel("numpy", "1.26")
    newer = {f"{SITE}/numpy-1.26.dist-info": GONE, **wheel("numpy", "2.1")}
    assert said(base, a=newer, b=wheel("tool", "1", requires)) == []


def test_markers_are_asked_of_the_images_own_python_and_machine() -> None:
    """Of Debian's packages the folder says Python 3 only."""
    site = "usr/lib/python3/dist-packages"
    newer = {f"{site}/numpy-1.26.dist-info": GONE, **wheel("numpy", "2.1", site=site)}
    status = "Package: dpkg\nStatus: install ok installed\nVersion: 1.22\nArchitecture: {}\n\n"
    status += "Package: python3\nStatus: install ok installed\nArchitecture: any\nVersion: {}-1\nDescription: x\n y\n"
    for machine, version, marker, asked in (
        ("arm64", "3.11.2", "platform_machine == 'aarch64'", True),
        ("amd64", "3.11.2", "platform_machine == 'aarch64'", False),
        ("amd64", "3.11.2", "python_version < '3.12'", True),
        ("amd64", "3.13.5", "python_version < '3.12'", False),
    ):
        base = {**wheel("numpy", "1.26", site=site), STATUS: status.format(machine, version).encode()}
        found = said(base, a=newer, b=wheel("tool", "1", f"numpy<2; {marker}", site=site))
        assert len(found) == asked


def test_an_extra_of_a_distribution_that_another_part_brings() -> None:
    """`a` asks for more of `web` than it brings by itself, and lacks it; nobody asks `b` for that."""
    found = said({}, a=wheel("app", "1", "web[fast]"), b=wheel("Web", "1", "loop; extra == 'fast'"))
    assert len(found) == 1
    assert found[0].startswith(f"a and b: /{SITE} has web 1, which requires loop; extra == 'fast'")


def test_a_requirement_of_an_extra_that_a_distribution_asks_for() -> None:
    base = {**wheel("numpy", "1.26"), **wheel("tool", "1", "numpy<2; extra == 'arrays'")}
    newer = {f"{SITE}/numpy-1.26.dist-info": GONE, **wheel("numpy", "2.1")}
    (found,) = said(base, a=newer, b=wheel("app", "3", "tool[arrays]"))
    assert "has tool 1, which requires numpy<2; extra == 'arrays'" in found
    assert said(base, a=newer, b=wheel("app", "3", "tool")) == []


def test_what_is_unmet_in_a_part_by_itself_is_not_the_merges_business() -> None:
    assert said({}, a=wheel("tool", "1", "numpy"), b=wheel("other", "1")) == []
    assert said(wheel("tool", "1", "numpy"), a=wheel("one", "1"), b=wheel("two", "1")) == []


def test_two_versions_of_one_name() -> None:
    assert said({}, a=wheel("My.Tool", "1"), b=wheel("my_tool", "2")) == [
        f"a and b: /{SITE} has my-tool 1 of a and 2 of b"
    ]
    egg = {f"{SITE}/my_tool-2-py3.13.egg-info/PKG-INFO": b""}
    assert said({}, a=wheel("My.Tool", "1"), b=egg) == [f"a and b: /{SITE} has my-tool 1 of a and 2 of b"]
    assert said({}, a=wheel("tool", "1"), b=wheel("tool", "1")) == []


def cran(name: str, version: str, needs: str = "", library: str = "usr/lib/R/site-library") -> dict[str, Content]:
    return {f"{library}/{name}/DESCRIPTION": f"Package: {name}\nVersion: {version}\nImports: {needs}\n".encode()}


def test_packages_of_r() -> None:
    assert said({}, a=cran("rlang", "1.0"), b=cran("rlang", "1.1")) == [
        "a and b: /usr/lib/R/site-library has rlang 1.0 of a and 1.1 of b"
    ]
    base = {**cran("base", "4.2.2", library="usr/lib/R/library"), **cran("rlang", "1.0-9")}
    newer = cran("rlang", "1.0-10")
    local = "usr/local/lib/R/site-library"
    for needs in ("rlang (>= 1.0.9)", "R (>= 4.2), rlang", "rlang (>1.0-9)"):
        assert said(base, a=newer, b=cran("dplyr", "1", needs, local)) == []
    assert said(base, a=newer, b=cran("dplyr", "1", "cli,\n  rlang (< 1.0-10)", local)) == [
        "a and b: /usr/lib/R has dplyr 1, which requires rlang (< 1.0-10), and that does not hold in all together"
    ]


def test_of_r_s_libraries_the_first_that_has_a_package_counts_whichever_part_is_bigger() -> None:
    """Debian's .libPaths(): /usr/local, site-library, then R's own."""
    debian = {**cran("Matrix", "1.5", library="usr/lib/R/library"), **cran("Matrix", "1.6")}
    local = "usr/local/lib/R/site-library"
    newer = {**cran("Matrix", "1.7", library=local), **cran("new", "1", "Matrix (>= 1.7)", local)}
    assert said({}, a=debian, b=newer) == said({}, a=newer, b=debian) == []
    assert said(cran("Matrix", "1.7", library=local), a=cran("new", "1", "Matrix (>= 1.7)"), b=debian) == []
    old = {**cran("Matrix", "1.4", library=local)}
    needs = {**debian, **cran("new", "1", "Matrix (>= 1.6)")}
    for found in (said({}, a=needs, b=old), said({}, a=old, b=needs)):
        assert found == [
            "a and b: /usr/lib/R has new 1, which requires Matrix (>= 1.6), and that does not hold in all together"
        ]


def test_packages_of_npm() -> None:
    def package(version: str, name: str = "@jupyter/tool") -> dict[str, Content]:
        return {f"usr/lib/node_modules/{name}/package.json": b'{"name": "x", "version": "%s"}' % version.encode()}

    assert said({}, a=package("1.0.0"), b=package("2.0.0")) == [
        "a and b: /usr/lib/node_modules has @jupyter/tool 1.0.0 of a and 2.0.0 of b"
    ]
    assert said(package("1.0.0"), a=package("1.0.0"), b=package("2.0.0")) == []
    assert said({}, a=package("1.0.0"), b=package("1.0.0")) == []


@pytest.mark.parametrize("content", [b"[]", b"1", b""])
def test_what_is_no_package_of_npms(content: bytes) -> None:
    path = "usr/lib/node_modules/tool/package.json"
    assert said({}, a={path: content}, b={"x": b""}) == []


def test_one_version_of_a_distribution_under_two_spellings() -> None:
    one, two = wheel("Foo_Bar", "1.0"), wheel("foo.bar", "1.0")
    assert said({}, a=one, b=two) == [
        f"a and b: /{SITE} has foo-bar 1.0 of a and 1.0 of b (in Foo_Bar-1.0.dist-info and foo.bar-1.0.dist-info)"
    ]
    assert said({}, a=one, b=one) == said({}, a=one | two, b=dict(reversed([*(one | two).items()]))) == []


RECORD = f"{SITE}/six-1.dist-info/RECORD"
SIX = file_entry(b"import sys\n")
LINES = (
    b"six.py,sha256=r-6dhRqvbkyjGmz1m8EnbT3YVEWqLSsLHEmC8lMIvLA,11\r\n"
    b'"a,b.py",sha256=r-6dhRqvbkyjGmz1m8EnbT3YVEWqLSsLHEmC8lMIvLA,11\r\n'
    b"six-1.dist-info/RECORD,,\r\n"
)


def shelved(files: Mapping[str, bytes]) -> Index:
    """As an index comes out of a blob."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in files.items():
            header = tarfile.TarInfo(path)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    return read_blob(io.BytesIO(gzip.compress(buffer.getvalue())), lambda path: path.endswith("RECORD"))


def test_a_record_is_kept_without_what_the_index_has_and_is_whole_again() -> None:
    lines = LINES.replace(b"r-6dhRqvbkyjGmz1m8EnbT3YVEWqLSsLHEmC8lMIvLA", hashed(SIX))
    found = shelved({RECORD: lines, f"{SITE}/six.py": b"import sys\n"})
    assert found.contents[RECORD].startswith(b'six.py,=\r\n"a,b.py",sha256=')
    assert whole(RECORD, found, {}) == lines
    alone = Index(entries={RECORD: found.entries[RECORD]}, contents=found.contents)
    assert whole(RECORD, alone, {}) is None
    assert whole(RECORD, alone, {f"{SITE}/six.py": SIX}) == lines


def hashed(entry: Entry) -> bytes:
    return base64.urlsafe_b64encode(bytes.fromhex(entry.content)).rstrip(b"=")


def test_records_of_one_distribution_are_joined() -> None:
    """One part has asked for it by name, the other has compiled it."""
    line = b"six.py,sha256=%s,11\n" % hashed(SIX)
    asked, compiled = b"six-1.dist-info/REQUESTED,sha256=%s,0\n" % hashed(file_entry(b"")), b"__pycache__/six.pyc,,\n"
    one = shelved({f"{SITE}/six.py": b"import sys\n", f"{SITE}/six-1.dist-info/REQUESTED": b"", RECORD: line + asked})
    two = shelved({f"{SITE}/six.py": b"import sys\n", RECORD: compiled + line})
    found = merge(Index(entries={}), [Part(name="a", index=one), Part(name="b", index=two)])
    assert found.conflicts == []
    assert found.index.contents[RECORD] == compiled + asked + line
    assert f"{SITE}/six-1.dist-info/REQUESTED" in found.index.entries


def test_what_is_kept_in_part_is_never_written() -> None:
    """A part above only repeats the base's METADATA; the other has changed it."""
    path = f"{SITE}/six-1.dist-info/METADATA"
    old, new = b"Name: six\nVersion: 1\n\nOld words\n", b"Name: six\nVersion: 1\n\nNew words\n"
    below, one, two = (
        Index(entries={path: file_entry(content)}, contents={path: abridge(path, content)})
        for content in (old, new, old)
    )
    found = merge(below, [Part(name="a", index=one), Part(name="b", index=two)])
    assert found.index.entries[path] == file_entry(new)
    assert whole(path, found.index, {}) is None


@pytest.mark.parametrize(
    ("path", "content", "kept"),
    [
        (f"{SITE}/x-1.dist-info/METADATA", b"Name: x\nSummary: y\nRequires-Dist: a\n\nRequires-Dist: b\n", 25),
        ("usr/lib/R/library/x/DESCRIPTION", b"Package: x\nTitle: y\nImports: a,\n  b\nBuilt: now\n", 27),
        ("usr/lib/node_modules/x/package.json", b'{"version": "1", "name": "x", "scripts": {}}', 29),
        ("usr/lib/node_modules/x/package.json", b"[]", 2),
        ("etc/passwd", b"root:x", 6),
    ],
)
def test_only_what_is_read_is_kept(path: str, content: bytes, kept: int) -> None:
    assert len(abridge(path, content)) == kept
