"""Which image a previous one is; what people see of it over time: test_cli_profiles.py."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hubstack.hub.choice import offers
from hubstack.hub.configmap import Emitted, Past
from hubstack.hub.menu import Offer
from hubstack.hub.previous import settle_previous
from hubstack.offer import Hub, Retired
from hubstack.reference import Digest, ImageRef

from tests.fakes.hubs import EXAMPLE, hub, profile, reference

HUB = hub(replace(profile("p", "minimal", "scipy/trixie"), previous=True))
NOW = reference("minimal/default")


def older(digit: str) -> ImageRef:
    """An image that the stack ``minimal`` had once."""
    return replace(NOW, tag=f"default-{digit * 12}", digest=Digest(f"sha256:{digit * 64}"))


def given(**images: ImageRef | Past) -> Emitted:
    """What profile ``p`` was given; ``_`` stands for a hyphen."""
    choices = {
        key.replace("_", "-"): one if isinstance(one, Past) else Past(title=key, image=str(one))
        for key, one in images.items()
    }
    return Emitted(profiles={"p": {"image": choices}})


def settled(one: Hub, emitted: Emitted | None, *, gone: Iterable[ImageRef] = ()) -> dict[str, ImageRef]:
    found = offers(EXAMPLE.project(one), EXAMPLE.graph, one, emitted)
    return {
        offer.key: image(offer)
        for offer in settle_previous(found, EXAMPLE.images, emitted, lambda refs: frozenset(refs) - {*gone})
    }


def image(offer: Offer) -> ImageRef:
    return offer.external or EXAMPLE.images[offer.stack, offer.variant]


def test_without_memory_there_is_none() -> None:
    assert list(settled(HUB, None)) == ["minimal", "scipy-trixie"]
    assert list(settled(HUB, given(minimal=NOW))) == ["minimal", "scipy-trixie"]


def test_it_is_off_by_default() -> None:
    assert list(settled(hub(profile("p", "minimal")), given(minimal=older("1")))) == ["minimal"]


def test_it_stands_behind_its_stack_s_choice() -> None:
    found = settled(HUB, given(minimal=older("1")))
    assert found == {
        "minimal": NOW,
        "minimal-previous": older("1"),
        "scipy-trixie": reference("scipy/trixie"),
    }
    assert [*found] == ["minimal", "minimal-previous", "scipy-trixie"]


def test_numbers_keep_it_there_under_helm() -> None:
    found = settled(replace(HUB, prefixed_keys=True), given(**{"010_minimal": older("1")}))
    assert sorted(found) == [*found] == ["010-minimal", "010-minimal-previous", "020-scipy-trixie"]


def test_nothing_changed_so_it_stays() -> None:
    assert settled(HUB, given(minimal=NOW, minimal_previous=older("1")))["minimal-previous"] == older("1")


def test_a_change_moves_it_on() -> None:
    found = settled(HUB, given(minimal=older("2"), minimal_previous=older("1")))
    assert found["minimal-previous"] == older("2")


def test_where_that_one_is_gone_it_is_the_one_before() -> None:
    found = settled(HUB, given(minimal=older("2"), minimal_previous=older("1")), gone=[older("2")])
    assert found["minimal-previous"] == older("1")


def test_a_key_never_vanishes() -> None:
    both = [older("1"), older("2")]
    assert settled(HUB, given(minimal=older("2"), minimal_previous=older("1")), gone=both)["minimal-previous"] == NOW
    assert "minimal-previous" not in settled(HUB, given(minimal=older("2")), gone=both)


def test_another_repository_s_image_was_never_this_stack_s() -> None:
    for elsewhere in (replace(older("1"), host="other.example"), replace(older("1"), repository="hub/other")):
        assert "minimal-previous" not in settled(HUB, given(minimal=elsewhere))


def test_an_alias_s_image_was_never_this_stack_s() -> None:
    alias = Past(title="x", image=str(older("1")), retired=True)
    assert "minimal-previous" not in settled(HUB, given(minimal=alias))


def test_what_is_retired_for_it_follows_it() -> None:
    one = replace(HUB, retired=(Retired(profile="p", key="stable", successor="minimal-previous"),))
    assert settled(one, given(minimal=older("1")))["stable"] == older("1")
    assert settled(one, given(minimal=NOW))["stable"] == NOW


def test_the_registry_is_asked_once_and_only_where_there_is_something_to_ask() -> None:
    asked: list[list[ImageRef]] = []

    def ask(refs: Iterable[ImageRef]) -> frozenset[ImageRef]:
        asked.append([*refs])
        return frozenset()

    for emitted in (None, given(minimal=NOW), given(minimal=older("2"), minimal_previous=older("1"))):
        settle_previous(offers(EXAMPLE.project(HUB), EXAMPLE.graph, HUB, emitted), EXAMPLE.images, emitted, ask)
    assert asked == [[older("2"), older("1")]]
