"""What several layers hold alike: fine, and said, as bytes that could move down."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from hubstack.merge.built import Built
from hubstack.merge.entry import Entry, Index, Kind, file_entry
from hubstack.merge.repeat import WORTH_BYTES, repeated
from hubstack.oci import Descriptor, digest_of
from hubstack.reference import Fingerprint

BIG = file_entry(b"big")._replace(size=2 * WORTH_BYTES)
BLOB = Descriptor(media_type="x", digest=digest_of(b""), size=1)


def named(name: str) -> Fingerprint:
    return Fingerprint(hashlib.sha256(name.encode()).hexdigest())


def said(*unnamed: str, **nodes: tuple[str, Mapping[str, Entry]]) -> str | None:
    """Of nodes in this order, each with the names of what it stands on, and its files; ``unnamed`` are merges."""
    built = {
        named(name): Built(
            name="" if name in unnamed else name,
            parents=tuple(map(named, parents.split())),
            index=Index(entries=entries),
            config={},
            machine={},
            layers=(BLOB,),
            diff_ids=("x",),
            digest=BLOB.digest,
            below=(),
        )
        for name, (parents, entries) in nodes.items()
    }
    found = repeated([*built], built)
    return None if found is None else str(found)


def test_the_biggest_of_what_two_layers_hold_alike_is_named() -> None:
    files = {"opt/a": BIG, "opt/empty": file_entry(b""), "opt/z": BIG}
    found = said(base=("", {}), one=("base", files), two=("base", files))
    assert found == (
        "2 files are there more than once, 40 MB too much: /opt/a of one and two the biggest. A layer that all of them require "
        "would hold that once"
    )


def test_a_file_that_three_have_counts_twice() -> None:
    nodes = {name: ("", {"opt/a": BIG}) for name in ("one", "two", "three")}
    assert (said(**nodes) or "").startswith(
        "1 file is there more than once, 40 MB too much: /opt/a of one, three and two."
    )


def test_nothing_is_said_of_what_could_not_move_or_would_not_matter() -> None:
    one = {"opt/a": BIG}
    assert said(base=("", one), upper=("base", one)) is None
    assert said(base=("", one), middle=("base", {}), upper=("middle", one)) is None
    assert said(one=("", one), two=("", {"opt/a": BIG._replace(mode=0o755)})) is None
    assert said(one=("", one), two=("", {"opt/b": BIG})) is None
    small = {"opt/a": BIG._replace(size=WORTH_BYTES - 1)}
    assert said(one=("", small), two=("", small)) is None
    folder = {"opt": Entry(kind=Kind.DIRECTORY, size=2 * WORTH_BYTES)}
    assert said(one=("", folder), two=("", folder)) is None


def test_what_a_merge_has_written_is_nobodys() -> None:
    assert said("merged", one=("", {"opt/a": BIG}), merged=("", {"opt/a": BIG})) is None


def test_of_many_layers_three_are_named() -> None:
    nodes = {name: ("", {"opt/a": BIG}) for name in "abcde"}
    assert "/opt/a of a, b, c and 2 more." in (said(**nodes) or "")
