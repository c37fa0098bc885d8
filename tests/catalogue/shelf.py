"""Entries put together by hand: for what only an image's contents can hold, and for many versions of one package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hubstack.catalogue.entry import Entry, Package
from hubstack.catalogue.origin import Origin
from hubstack.catalogue.page import Site
from hubstack.record import Record
from hubstack.reference import Fingerprint

from tests.fakes.hubs import EXAMPLE, reference


def entry(name: str, packages: Mapping[str, Mapping[str, str]], **fields: object) -> Entry:
    """One of no stack; ``fields`` replace others."""
    found = Entry(
        stack="",
        variant="",
        title=name,
        description="",
        draft="",
        withdrawn="",
        channels=("latest",),
        first=True,
        ref=reference(name),
        record=record(packages),
        packages=tuple(
            Package(manager=manager, name=one, version=version, origin=Origin(layers=("lab",), asked=True))
            for manager, some in packages.items()
            for one, version in some.items()
        ),
    )
    return replace(found, **fields)  # type: ignore[arg-type]


def record(packages: Mapping[str, Mapping[str, str]], **fields: object) -> Record:
    found = Record(
        node="lab-0a1b2c3d",
        fingerprint=Fingerprint("0" * 64),
        facts=(),
        sources={},
        seconds=1,
        size_bytes=10**9,
        packages=packages,
    )
    return replace(found, **fields)  # type: ignore[arg-type]


def site(*entries: Entry) -> Site:
    shelf = replace(EXAMPLE, variables={})
    return Site(project=shelf.project(), graph=shelf.graph, entries=entries, registry="registry.example/hub")
