"""What is remembered of a node's build, as JSON beside the image: so that others need no container to know.

Nothing decides by a record what to build or what to trust: it gives reasons, estimates, and the lists that people see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hubstack.reference import Fingerprint

MEDIA_TYPE = "application/vnd.hubstack.record.v1+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Of what a node is made: a row of :mod:`hubstack.fingerprint`'s list."""

    kind: str
    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Of one build, whoever has made it."""

    node: str
    fingerprint: Fingerprint
    facts: tuple[Fact, ...]
    sources: Mapping[str, str]  # project file → sha256 hex
    seconds: float  # building and testing
    size_bytes: int  # compressed filesystem layers, those below included
    versions: Mapping[str, str] = field(default_factory=dict)  # as the layers' ``versions`` ask for them
    packages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # package manager → name → version
    built: str = ""  # the day in UTC, as 2026-11-21; in no image, for that would be another one each day
    settled: tuple[str, ...] = ()  # of a merge: what its packages had to be told of each other
    previous: str = ""  # the fingerprint of the image that the registry remembered before; of what people can choose


def is_merge(record: Record) -> bool:
    """Whether it is about layers put together, and so about no layer's own build."""
    return any(fact.kind == "merge" for fact in record.facts)


def record_json(record: Record) -> dict[str, Any]:
    return {
        "format": 1,
        "node": record.node,
        "fingerprint": record.fingerprint,
        "facts": [[fact.kind, fact.name, fact.value] for fact in record.facts],
        "sources": dict(record.sources),
        "seconds": round(record.seconds, 1),
        "size_bytes": record.size_bytes,
        "versions": dict(record.versions),
        "packages": {manager: dict(packages) for manager, packages in record.packages.items()},
        **({"built": record.built} if record.built else {}),
        **({"settled": list(record.settled)} if record.settled else {}),
        **({"previous": record.previous} if record.previous else {}),
    }


def parse_record(data: Any) -> Record | None:
    """The record that JSON ``data`` holds; None where it holds none, or another release's."""
    try:
        return _record(data) if data["format"] == 1 else None
    except (KeyError, TypeError, ValueError):
        return None  # nothing depends on it: no reason to stop


def _record(data: Any) -> Record:
    return Record(
        node=data["node"],
        fingerprint=Fingerprint(data["fingerprint"]),
        facts=tuple(Fact(kind=kind, name=name, value=value) for kind, name, value in data["facts"]),
        sources=data["sources"],
        seconds=data["seconds"],
        size_bytes=data["size_bytes"],
        versions=data["versions"],
        packages=data["packages"],
        built=data.get("built", ""),
        settled=tuple(data.get("settled", ())),
        previous=data.get("previous", ""),
    )
