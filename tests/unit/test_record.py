from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hubstack.record import Fact, Record, parse_record, record_json
from hubstack.reference import Fingerprint

RECORD = Record(
    node="scipy-3f2a91c0",
    fingerprint=Fingerprint("a" * 64),
    facts=(Fact(kind="docker", name="Dockerfile", value="1"), Fact(kind="parent", name="lab-1", value="2")),
    sources={"layers/scipy/requirements.txt": "3"},
    seconds=12.3,
    size_bytes=4,
    versions={"SciPy": "1.14"},
    packages={"python": {"scipy": "1.14.1"}},
    previous="b" * 64,
)


def test_a_record_comes_back_through_json() -> None:
    first = replace(RECORD, previous="")
    for record in (RECORD, first):
        assert parse_record(json.loads(json.dumps(record_json(record)))) == record
    assert "previous" not in record_json(first)  # as in those that older releases have written


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "text",
        {},
        {"format": 1},
        {**record_json(RECORD), "format": 2},
        {**record_json(RECORD), "fingerprint": "short"},
        {**record_json(RECORD), "facts": [["one"]]},
        {**record_json(RECORD), "facts": None},
    ],
)
def test_what_is_no_record_of_ours_is_none(data: object) -> None:
    """A registry, or a folder that another release has written, may hold anything; nothing depends on it."""
    assert parse_record(data) is None
