"""An index in columns says what one of entries says."""

from __future__ import annotations

import pytest
from hubstack.merge.built import Built
from hubstack.merge.entry import GONE, OPAQUE, Entry, Index, Kind, file_entry
from hubstack.merge.packed import Packed
from hubstack.merge.record import parse_built, render_built
from hubstack.oci import digest_of

FOLDER = Entry(kind=Kind.DIRECTORY, mode=0o755)
PLAIN = Index(
    entries={
        "usr": FOLDER,
        "usr/lib": FOLDER._replace(content=OPAQUE),
        "usr/lib/a.py": file_entry(b"a", mode=0o600, uid=7),
        "usr/lib/__pycache__/a.pyc": file_entry(b"", gid=9, xattrs=(("user.a", "b"),)),
        "usr/share/icons/x/icon-theme.cache": file_entry(b"icons"),
        "bin": Entry(kind=Kind.LINK, content="usr/bin"),
        "dev/null": Entry(kind=Kind.DEVICE, mode=0o666, content="c 1:3"),
        "etc/gone": GONE,
        "README": file_entry(b"at the root"),
    },
    contents={"README": b"at the root"},
)


def packed() -> Index:
    digest = digest_of(b"")
    built = Built(
        name="layer",
        parents=(),
        index=PLAIN,
        config={},
        machine={},
        layers=(),
        diff_ids=(),
        digest=digest,
        below=(),
    )
    found = parse_built(render_built(built))
    assert found is not None
    assert isinstance(found.index.entries, Packed)
    return found.index


def test_it_has_the_same_entries() -> None:
    index = packed()
    assert index == PLAIN
    assert index != Index(entries=PLAIN.entries)
    assert (len(index.entries), sorted(index.entries)) == (len(PLAIN.entries), sorted(PLAIN.entries))
    assert index.entries.keys() & {"usr", "bin", "nowhere"} == {"usr", "bin"}
    assert "usr/lib/a.py" in index.entries
    assert "usr/lib/b.py" not in index.entries
    with pytest.raises(KeyError):
        index.entries["usr/lib/b.py"]


@pytest.mark.parametrize("fact", ["folders", "kept", "links", "opaque", "owners", "bytecode", "icon_caches"])
def test_what_is_found_out_from_columns_is_what_entries_say(fact: str) -> None:
    assert getattr(packed(), fact) == getattr(PLAIN, fact)
    assert getattr(PLAIN, fact)


def test_what_stands_in_a_folder() -> None:
    assert sorted(packed().inside("usr/lib")) == ["usr/lib/__pycache__/a.pyc", "usr/lib/a.py"]
