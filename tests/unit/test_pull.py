"""What a hub is told to pull: only what the registry has behind the channel, for the hub's own eyes (promise 1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hubstack.errors import ProjectError, RegistryDenied, RegistryError
from hubstack.hub.menu import Offer
from hubstack.hub.pull import Pull
from hubstack.model import Image
from hubstack.offer import Hub
from hubstack.pipeline import Inputs
from hubstack.reference import Digest, ImageRef
from hubstack.registry import Registry
from hubstack.registry.credentials import Credential, Lookup, anonymous
from hubstack.source import Position

from tests.fakes.clock import FakeTime
from tests.fakes.hubs import hub
from tests.fakes.layout import write_layout
from tests.fakes.registry import Account, FakeRegistry
from tests.family import DIAMOND
from tests.site import Site

PLACE = Position(path="profiles/demo.yaml", line=7, column=11)
HUB = hub()


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def site(tmp_path: Path, fake: FakeRegistry) -> Site:
    return Site.at(tmp_path / "site", fake)


def offer(stack: str = "", external: ImageRef | None = None) -> Offer:
    variant = "default" if stack else ""
    return Offer(
        profile="p", key=stack, title="", stack=stack, variant=variant, external=external, position=PLACE, texts=()
    )


def pulled(
    site: Site, inputs: Inputs, offers: Sequence[Offer], *, one: Hub = HUB, look_up: Lookup = anonymous
) -> dict[str, str]:
    clients: list[Registry] = []

    def client(host: str) -> Registry:
        clients.append(Registry(host, look_up=look_up, retry=FakeTime().retry()))
        return clients[-1]

    expected = {
        (image.variant.stack, image.variant.name): site.names.published(
            image.variant.stack, image.variant.name, inputs.fingerprint(image.node)
        )
        for image in inputs.selection.images
    }
    try:
        images = Pull(names=site.names, client=client).images(one, offers, expected)
        return {stack: str(ref) for (stack, _), ref in images.items()}
    finally:
        for each in clients:
            each.close()


def name_of(site: Site, inputs: Inputs, stack: str) -> str:
    """``name:tag@digest`` of a stack's image as it is in the registry, named by its fingerprint."""
    tag = f"default-{inputs.fingerprint(DIAMOND.stacks[stack])[:12]}"
    return f"{site.fake.host}/hub/{stack}:{tag}@{site.fake.repository(f'hub/{stack}').tags[tag]}"


CHANGED = replace(DIAMOND, texts={"scipy": "scipy 2"})


def test_what_is_published_is_named_with_tag_and_digest(site: Site) -> None:
    inputs = DIAMOND.inputs()
    site.build(inputs)
    found = pulled(site, inputs, [offer("science"), offer("minimal"), offer("science")])
    assert found == {stack: name_of(site, inputs, stack) for stack in ("science", "minimal")}


def test_a_channel_that_names_an_older_image_is_believed(site: Site) -> None:
    """The stack has failed since: people get the last good image, under its own immutable name."""
    before, after = DIAMOND.inputs(), CHANGED.inputs()
    site.build(before)
    site.engine.codes["scipy works"] = 1
    site.build(after)
    assert pulled(site, after, [offer("minimal"), offer("science")]) == {
        "minimal": name_of(site, after, "minimal"),
        "science": name_of(site, before, "science"),
    }


def test_an_older_index_is_named_by_its_first_platform_s_label(site: Site) -> None:
    inputs = DIAMOND.inputs()
    first = inputs.selection.images[0]
    images = (first, Image(variant=first.variant, platform="linux/arm64", node="r"))
    site.build(replace(inputs, selection=replace(inputs.selection, nodes=("lab", "r"), images=images)))
    changed = replace(DIAMOND, texts={"lab": "lab 2"}).inputs()
    assert pulled(site, changed, [offer("minimal")]) == {"minimal": name_of(site, inputs, "minimal")}


def test_what_no_channel_names_is_not_offered_and_all_of_it_is_said(site: Site) -> None:
    inputs = DIAMOND.inputs()
    site.engine.codes["lab works"] = 1
    site.build(inputs)
    outside = ImageRef(host=site.fake.host, repository="old/course", tag="1", digest=Digest(f"sha256:{'5' * 64}"))
    with pytest.raises(ProjectError) as caught:
        pulled(site, inputs, [offer("minimal"), offer("science"), offer(external=outside)])
    said = [str(problem) for problem in caught.value.problems]
    channel = f"{site.fake.host}/hub/minimal:default-latest"
    assert said[1] == (
        f"profiles/demo.yaml:7:11: minimal/default can't be pulled as demo would: {channel} is not there. "
        "Publish it (`hubstack build --push minimal/default`), or make its repository readable."
    )
    assert [text.split(": ")[1].split(" can't")[0] for text in said] == [
        str(outside),
        "minimal/default",
        "science/default",
    ]


def test_it_is_the_channel_that_the_hub_follows(site: Site) -> None:
    inputs = DIAMOND.inputs("minimal")
    site.build(inputs)
    with pytest.raises(ProjectError, match="default-2026-11 is not there"):
        pulled(site, inputs, [offer("minimal")], one=replace(HUB, follow="2026-11"))


@pytest.mark.parametrize("label", [None, "x", "0" * 64])
def test_an_image_that_somebody_else_has_put_there_is_not_offered(
    site: Site, tmp_path: Path, label: str | None
) -> None:
    inputs = DIAMOND.inputs("minimal")
    site.build(inputs)
    name = "io.github.hubstack.fingerprint"
    foreign = write_layout(tmp_path / "foreign", labels={name: label} if label else None)
    registry = site.connect(publish=True)
    channel = site.names.channel("minimal", "default", "latest")
    registry.push_image(foreign, channel.with_tag(""))
    registry.move_tag(channel, foreign.manifest)
    with pytest.raises(RegistryError, match="has no immutable name") as caught:
        pulled(site, inputs, [offer("minimal")])
    assert "hubstack build --push minimal/default" in caught.value.hint
    site.close()


def test_it_asks_with_the_hub_s_eyes(site: Site, fake: FakeRegistry) -> None:
    """Who publishes may read; that says nothing of the hub."""
    inputs = DIAMOND.inputs("minimal")
    site.build(inputs)
    fake.auth, fake.accounts = "token", {"hub": Account("s3cret", frozenset({"pull"}))}
    with pytest.raises(RegistryDenied, match="demo could not pull") as caught:
        pulled(site, inputs, [offer("minimal")])
    assert "--pull-config" in caught.value.hint
    assert "docker login" not in caught.value.hint
    hub_s = Credential(username="hub", password="s3cret", origin="the hub's")
    found = pulled(site, inputs, [offer("minimal")], look_up=lambda host: hub_s)
    assert found == {"minimal": name_of(site, inputs, "minimal")}


def test_external_images_are_asked_for_where_they_are(site: Site) -> None:
    with FakeRegistry() as elsewhere:
        there = ImageRef(host=elsewhere.host, repository="course", tag="1", digest=None)
        digest = elsewhere.put_manifest(
            "course", "1", b'{"schemaVersion":2}', "application/vnd.oci.image.index.v1+json"
        )
        assert pulled(site, DIAMOND.inputs(), [offer(external=there.with_digest(Digest(digest)))]) == {}
        assert [one.path for one in elsewhere.requests] == [f"/v2/course/manifests/{digest}"]
