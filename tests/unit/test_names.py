from __future__ import annotations

from dataclasses import replace

import pytest
from hubstack.errors import UsageError
from hubstack.model import Settings
from hubstack.names import Names
from hubstack.reference import Fingerprint, ImageRef, Layout
from hubstack.source import Source

FINGERPRINT = Fingerprint("0123456789abcdef" * 4)
SETTINGS = Settings(registry=ImageRef.parse("registry.example:5000/team/hub"), source=Source(path="hubstack.yaml"))


@pytest.mark.parametrize(
    ("layout", "build", "image"),
    [
        (Layout.NESTED, "registry.example:5000/team/hub/build:", "registry.example:5000/team/hub/scipy:"),
        (Layout.SINGLE, "registry.example:5000/team/hub:", "registry.example:5000/team/hub:scipy-"),
    ],
)
def test_names(layout: Layout, build: str, image: str) -> None:
    names = Names.of(replace(SETTINGS, layout=layout))
    tests = "f" * 32
    assert str(names.node(FINGERPRINT)) == f"{build}fp-{FINGERPRINT}"
    assert str(names.tested(FINGERPRINT, tests)) == f"{build}ok-{FINGERPRINT}-{tests}"
    assert str(names.record(FINGERPRINT)) == f"{build}info-{FINGERPRINT}"
    assert str(names.last("scipy-3f2a91c0")) == f"{build}last-scipy-3f2a91c0"
    assert str(names.published("scipy", "trixie-4.5", FINGERPRINT)) == f"{image}trixie-4.5-0123456789ab"
    assert str(names.channel("scipy", "trixie-4.5", "latest")) == f"{image}trixie-4.5-latest"


def test_every_name_is_a_reference_that_engines_read() -> None:
    names = Names.of(SETTINGS)
    long = "x" * 200
    for ref in (names.node(FINGERPRINT), names.tested(FINGERPRINT, "f" * 32), names.last(f"{long}-3f2a91c0")):
        assert ImageRef.parse(str(ref)) == ref


def test_long_layers_keep_records_of_their_own() -> None:
    names, long = Names.of(SETTINGS), "x" * 200
    assert names.last(f"{long}-3f2a91c0") != names.last(f"{long}-c019a2f3")


def test_without_a_registry_it_says_what_to_write() -> None:
    with pytest.raises(UsageError, match=r"hubstack\.yaml names no registry") as caught:
        Names.of(replace(SETTINGS, registry=None))
    assert "--registry HOST/PREFIX" in caught.value.hint
