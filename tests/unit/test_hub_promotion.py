"""Whose images are taken over: what a hub may do with them, test_cli_profiles.py shows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hubstack.hub.choice import offers
from hubstack.hub.configmap import Emitted, Past
from hubstack.hub.promotion import images_given
from hubstack.names import Names
from hubstack.reference import Digest, ImageRef, Layout

from tests.fakes.hubs import EXAMPLE, hub, profile, reference

HUB = hub(profile("p", "minimal", "scipy"))
OFFERS = offers(EXAMPLE.project(HUB), EXAMPLE.graph, HUB)
PREFIX = ImageRef(host="registry.example", repository="hub")
OTHER = Digest(f"sha256:{'7' * 64}")


def given(*choices: Past, layout: Layout = Layout.NESTED) -> dict[str, ImageRef]:
    emitted = Emitted(profiles={"any": {"image": {f"key-{index}": one for index, one in enumerate(choices)}}})
    found = images_given(emitted, Names(prefix=PREFIX, layout=layout), OFFERS)
    return {"/".join(place): ref for place, ref in found.items()}


def past(ref: ImageRef, *, retired: bool = False, previous: bool = False) -> Past:
    return Past(title="", image=str(ref), retired=retired, previous=previous)


TRIXIE = reference("scipy/trixie")


def test_stacks_are_known_by_their_images_whatever_their_keys() -> None:
    minimal = reference("minimal/default")
    assert given(past(TRIXIE), past(minimal)) == {"scipy/trixie": TRIXIE, "minimal/default": minimal}


@pytest.mark.parametrize("mark", [{"retired": True}, {"previous": True}])
def test_neither_an_alias_nor_a_previous_image_is_taken(mark: dict[str, bool]) -> None:
    assert given(past(replace(TRIXIE, digest=OTHER), **mark), past(TRIXIE)) == {"scipy/trixie": TRIXIE}
    assert given(past(TRIXIE, **mark)) == {}


def test_what_only_looks_alike_is_not_taken() -> None:
    elsewhere = replace(TRIXIE, host="other.example")
    outside = ImageRef.parse(f"quay.io/team/scipy:trixie-1@{OTHER}")
    longer = replace(TRIXIE, tag=f"my-{TRIXIE.tag}")
    assert given(past(elsewhere), past(outside), past(longer), Past(title="a size")) == {}


def test_one_repository_for_all() -> None:
    single = replace(PREFIX, tag=f"scipy-{TRIXIE.tag}", digest=TRIXIE.digest)
    assert given(past(single), layout=Layout.SINGLE) == {"scipy/trixie": single}
