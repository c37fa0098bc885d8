"""What packages make of all files in a folder: where each part has made it of its own, it is made anew, and nobody is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hubstack.merge.aggregate import AGGREGATES
from hubstack.merge.assembly import Assembled, Workshop
from hubstack.merge.built import Built
from hubstack.merge.entry import GONE, Entry, Index, Kind
from hubstack.merge.interest import TRIGGERS
from hubstack.merge.rebase import rebase
from hubstack.merge.settle import settle_script
from hubstack.oci import Descriptor, digest_of
from hubstack.reference import Fingerprint

from tests.content import Content, index

Files = Mapping[str, Content]
BASE, LOW, A, B = (Fingerprint(hashlib.sha256(name.encode()).hexdigest()) for name in ("base", "low", "a", "b"))
NAMED = "var/lib/dpkg/triggers"
MULTIARCH = "usr/lib/x86_64-linux-gnu"
KNOWN = [  # a line of dpkg's list of triggers, or a name and who is told; a file that is watched; what is made of it
    ("/usr/share/mime/packages shared-mime-info/noawait", "usr/share/mime/packages/x.xml", "usr/share/mime/mime.cache"),
    ("/usr/share/mime/packages shared-mime-info/noawait", "usr/share/mime/packages/x.xml", "usr/share/mime/text/x.xml"),
    (
        "/usr/share/glib-2.0/schemas libglib2.0-0t64:amd64",
        "usr/share/glib-2.0/schemas/x.xml",
        "usr/share/glib-2.0/schemas/gschemas.compiled",
    ),
    (
        f"/{MULTIARCH}/gio/modules libglib2.0-0:amd64/noawait",
        f"{MULTIARCH}/gio/modules/libx.so",
        f"{MULTIARCH}/gio/modules/giomodule.cache",
    ),
    (
        f"/{MULTIARCH}/gdk-pixbuf-2.0/2.10.0/loaders libgdk-pixbuf-2.0-0:amd64/noawait",
        f"{MULTIARCH}/gdk-pixbuf-2.0/2.10.0/loaders/libx.so",
        f"{MULTIARCH}/gdk-pixbuf-2.0/2.10.0/loaders.cache",
    ),
    (
        f"/{MULTIARCH}/gtk-3.0/3.0.0/immodules libgtk-3-0t64:amd64/noawait",
        f"{MULTIARCH}/gtk-3.0/3.0.0/immodules/im-x.so",
        f"{MULTIARCH}/gtk-3.0/3.0.0/immodules.cache",
    ),
    (
        f"/{MULTIARCH}/gtk-4.0/4.0.0/printbackends libgtk-4-1:amd64/noawait",
        f"{MULTIARCH}/gtk-4.0/4.0.0/printbackends/libx.so",
        f"{MULTIARCH}/gtk-4.0/4.0.0/printbackends/giomodule.cache",
    ),
    (
        f"/{MULTIARCH}/vlc/plugins libvlc-bin:amd64/noawait",
        f"{MULTIARCH}/vlc/plugins/x/libx.so",
        f"{MULTIARCH}/vlc/plugins/plugins.dat",
    ),
    (
        "/usr/share/octave/packages octave/noawait",
        "usr/share/octave/packages/x-1.0/packinfo/DESCRIPTION",
        "usr/share/octave/octave_packages",
    ),
    (
        "/usr/share/applications desktop-file-utils/noawait",
        "usr/share/applications/x.desktop",
        "usr/share/applications/mimeinfo.cache",
    ),
    ("/usr/lib/udev/hwdb.d udev/noawait", "usr/lib/udev/hwdb.d/20-x.hwdb", "usr/lib/udev/hwdb.bin"),
    (
        "/usr/lib/systemd/catalog systemd/noawait",
        "usr/lib/systemd/catalog/x.catalog",
        "var/lib/systemd/catalog/database",
    ),
    ("/usr/share/xml sgml-base", "usr/share/xml/x.cat", "var/lib/sgml-base/supercatalog"),
    ("/usr/share/texmf tex-common/noawait", "usr/share/texmf/x.sty", "var/lib/texmf/ls-R-TEXMFMAIN"),
    (
        "/usr/share/texlive/texmf-dist tex-common/noawait",
        "usr/share/texlive/texmf-dist/x.sty",
        "var/lib/texmf/ls-R-TEXLIVEDIST",
    ),
    ("texmf-map tex-common/noawait", "etc/texmf/updmap.d/x", "var/lib/texmf/fonts/map/pdftex/updmap/pdftex.map"),
    ("texmf-hyphen tex-common/noawait", "etc/texmf/hyphen.d/x", "var/lib/texmf/tex/generic/config/language.dat"),
    ("texmf-format tex-common/noawait", "etc/texmf/fmt.d/x", "var/lib/texmf/web2c/pdftex/pdflatex.fmt"),
    (
        "update-ca-certificates ca-certificates",
        "usr/local/share/ca-certificates/x.crt",
        "etc/ssl/certs/ca-certificates.crt",
    ),
]
MIME, WATCHED, MADE = KNOWN[0]


def told(line: str) -> dict[str, bytes]:
    """What dpkg keeps of a package that is to be told of something."""
    trigger, package = line.split()
    if trigger.startswith("/"):
        return {TRIGGERS: f"{line}\n".encode()}
    return {f"{NAMED}/{trigger}": f"{package}\n".encode()}


def node(name: str, files: Files, *parents: Fingerprint) -> Built:
    blob = Descriptor(media_type="x", digest=digest_of(name.encode()), size=1)
    return Built(
        name=name,
        parents=parents,
        index=index(files),
        config={},
        machine={},
        layers=(blob,),
        diff_ids=(name,),
        digest=blob.digest,
        below=(),
    )


def merged(base: Files, a: Files, b: Files, resolve: Mapping[str, str] | None = None) -> Assembled:
    built = {BASE: node("base", base), A: node("a", a, BASE), B: node("b", b, BASE)}
    return Workshop(built=built).assemble([A, B], resolve)


def conflicts(found: Assembled) -> list[str]:
    return [str(one) for one in found.conflicts]


def part(name: str, watched: str = WATCHED, made: str = MADE) -> dict[str, bytes]:
    """A file of its own, and what was made of that alone."""
    return {f"{watched}.{name}": b"", made: name.encode()}


@pytest.mark.parametrize(("line", "watched", "made"), KNOWN)
def test_what_each_has_made_of_its_own_is_made_anew_whoever_brings_the_package(
    line: str, watched: str, made: str
) -> None:
    one, two = part("a", watched, made), part("b", watched, made)
    trigger, _ = line.split()
    for below, beside in ((told(line), {}), ({}, told(line))):
        found = merged(below, {**one, **beside}, {**two, **beside})
        assert conflicts(found) == []
        assert {interest.trigger for interest in found.interests} == {trigger}
        assert {interest.guest for interest in found.interests} == {"a", "b"}
        assert f"--by-package=dpkg {trigger}\n" in settle_script(found.interests)
    assert f"a and b: /{made} has different contents" in conflicts(merged({}, one, two))


def test_of_a_daemon_s_package_what_it_makes_is_made_anew_and_the_rest_is_harmless() -> None:
    """On Debian 13 udev watches the folder twice, for the sake of /lib: that is told once."""
    base = {"lib": Entry(kind=Kind.LINK, content="usr/lib")}
    udev = "/usr/lib/udev/hwdb.d udev/noawait\n/lib/udev/hwdb.d udev/noawait\n"
    systemd = "/usr/lib/sysctl.d systemd/noawait\n/usr/lib/binfmt.d systemd/noawait\n"
    host = {TRIGGERS: f"{udev}{systemd}".encode(), "usr/lib/udev/hwdb.bin": b"a"}
    watched = ("usr/lib/udev/hwdb.d/20-camera.hwdb", "usr/lib/sysctl.d/x.conf", "usr/lib/binfmt.d/x.conf")
    found = merged(base, host, dict.fromkeys(watched, b"x"))
    assert conflicts(found) == []
    assert [*map(str, found.interests)] == [f"udev of a has to be told of what b has (/{watched[0]})"]


def test_every_aggregate_is_tried() -> None:
    for one in AGGREGATES:
        assert any(one.makes(line.split()[0].lstrip("/"), made) for line, _, made in KNOWN), one


def test_another_packages_trigger_at_the_folder_settles_nothing() -> None:
    found = merged(told("/usr/share/mime/packages somebody"), part("a"), part("b"))
    assert conflicts(found) == [f"a and b: /{MADE} has different contents"]
    assert found.interests == ()


def test_a_trigger_that_makes_something_else_settles_nothing() -> None:
    compiled = "usr/share/glib-2.0/schemas/gschemas.compiled"
    found = merged(told(MIME), {**part("a"), compiled: b"a"}, {**part("b"), compiled: b"b"})
    assert conflicts(found) == [f"a and b: /{compiled} has different contents"]


@pytest.mark.parametrize("path", ["usr/share/mime/packages/x.xml", "usr/share/mime/README", "usr/share/mime/a/b/x.xml"])
def test_what_no_package_makes_of_the_folder_is_a_conflict_as_ever(path: str) -> None:
    found = merged(told(MIME), {**part("a"), path: b"a"}, {**part("b"), path: b"b"})
    assert conflicts(found) == [f"a and b: /{path} has different contents"]


def test_what_somebody_has_written_into_by_hand_is_a_conflict_as_ever() -> None:
    line, watched, bundle = KNOWN[-1]
    found = merged(told(line), part("a", watched, bundle), {bundle: b"and mine"})
    assert conflicts(found) == [f"a and b: /{bundle} has different contents"]
    assert found.interests == ()


def test_a_part_that_has_files_without_having_had_them_told_of() -> None:
    found = merged(told(MIME), part("a"), {WATCHED: b"copied"})
    assert [str(one) for one in found.interests] == [
        "shared-mime-info has to be told of what a has (/usr/share/mime/packages/x.xml.a)",
        "shared-mime-info has to be told of what b has (/usr/share/mime/packages/x.xml)",
    ]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (part("a"), {"opt/b": b""}),
        (part("a"), {MADE: b"old", "usr/share/mime/packages/old.xml": b""}),
        (part("a"), part("a")),
        (part("a"), {"usr/share/mime/packages/b": Entry(kind=Kind.DIRECTORY, mode=0o755)}),
    ],
    ids=["the other has none", "the other says what was there", "both the same", "the other has a folder"],
)
def test_what_nobody_has_to_be_told_of(a: Files, b: Files) -> None:
    base = {**told(MIME), MADE: b"old", "usr/share/mime/packages/old.xml": b""}
    found = merged(base, a, b)
    assert (conflicts(found), found.interests) == ([], ())
    assert found.index.contents[MADE] == b"a"


@pytest.mark.parametrize(("line", "watched", "made"), [KNOWN[0], KNOWN[-1]])
def test_where_one_has_removed_the_package_nobody_makes_it_anew(line: str, watched: str, made: str) -> None:
    for empty in (b"", GONE):  # dpkg unlinks a list that has got empty
        removed: Files = dict.fromkeys(told(line), empty)
        found = merged(told(line), {**part("a", watched, made), **removed}, part("b", watched, made))
        assert conflicts(found) == [f"a and b: /{made} has different contents"]
        assert found.interests == ()


def test_what_is_made_anew_is_not_written_before_and_so_read_from_no_blob() -> None:
    """Of the layers in stacking order the topmost is not the part that is put topmost."""
    sizes = {BASE: 1000, LOW: 5, A: 300, B: 200}
    built = {
        BASE: node("base", told(MIME)),
        LOW: node("low", {"usr/low": b""}, BASE),
        A: node("a", part("a"), LOW),
        B: node("b", part("b"), BASE),
    }
    for number, one in built.items():
        contents = {path: content for path, content in one.index.contents.items() if path != MADE}
        layers = (replace(one.layers[0], size=sizes[number]),)
        built[number] = replace(one, layers=layers, index=Index(entries=one.index.entries, contents=contents))
    found = Workshop(built=built).assemble([A, B])
    assert (conflicts(found), found.written, found.lost) == ([], {}, {})
    assert len(found.interests) == 2


def test_what_each_has_made_of_nothing_is_made_anew() -> None:
    """Octave's list of no packages, of two whose own RUN left the clock in it."""
    host = told("/usr/share/octave/packages octave/noawait")
    made = "usr/share/octave/octave_packages"
    found = merged({}, {**host, made: b"# at one\n"}, {**host, made: b"# at two\n"})
    assert conflicts(found) == []
    assert {(one.guest, one.trigger) for one in found.interests} == {
        (one, "/usr/share/octave/packages") for one in "ab"
    }
    assert merged({}, {**host, made: b"# at one\n"}, {**host, made: b"# at one\n"}).interests == ()


def test_a_persons_word_is_not_asked_for_and_changes_nothing() -> None:
    asked, unasked = (merged(told(MIME), part("a"), part("b"), word) for word in ({MADE: "a"}, None))
    assert asked == unasked
    assert len(asked.interests) == 2


def test_what_one_has_lost_is_made_anew_and_a_folder_in_its_place_is_not() -> None:
    base = {**told(MIME), MADE: b"old"}
    lost, folder = (Entry(kind=kind) for kind in (Kind.WHITEOUT, Kind.DIRECTORY))
    assert conflicts(merged(base, {**part("a"), MADE: lost}, part("b"))) == []
    assert conflicts(merged(base, {**part("a"), MADE: folder}, part("b"))) == [
        f"a and b: /{MADE} is a directory and a file"
    ]


def test_a_move_onto_a_base_that_has_made_it_anew_is_settled_as_well() -> None:
    old = {BASE: node("debian", told(MIME)), A: node("lab", part("a"), BASE)}
    assembled = rebase(old, A, {B: node("debian", {**told(MIME), **part("b")})}, B).assembled
    assert conflicts(assembled) == []
    assert [one.guest for one in assembled.interests] == ["the new debian", "lab"]
