from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hubstack.errors import TagTaken
from hubstack.model import Image
from hubstack.names import Names
from hubstack.oci import OCI_INDEX, digest_of, make_artifact
from hubstack.pipeline import Inputs
from hubstack.plan import Plan
from hubstack.publish import Published, Publisher, Remote
from hubstack.reference import Layout
from hubstack.schedule import Outcome

from tests.fakes.registry import FakeRegistry, problem
from tests.family import DIAMOND
from tests.site import Site


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def site(tmp_path: Path, fake: FakeRegistry) -> Site:
    return Site.at(tmp_path, fake)


def puts(fake: FakeRegistry) -> list[str]:
    """``repository:tag`` of every manifest that was put under a tag, in order."""
    found = [one.path.removeprefix("/v2/").split("/manifests/") for one in fake.asked("PUT", "/manifests/")]
    return [f"{name}:{tag}" for name, tag in found if ":" not in tag]


def image_names(inputs: Inputs) -> set[str]:
    tops = {image.variant.stack: image.node for image in inputs.selection.images}
    return {f"hub/{stack}:default-{inputs.fingerprint(top)[:12]}" for stack, top in tops.items()}


# --- names and channels --------------------------------------------------------------------------------------------------


def test_every_good_image_gets_a_name_and_then_the_channels_move(site: Site, fake: FakeRegistry) -> None:
    inputs = DIAMOND.inputs()
    assert site.build(inputs)
    tags, channels = site.tags(), {f"hub/{stack}:default-latest" for stack in DIAMOND.stacks}
    assert {tag for tag in tags if not tag.startswith("hub/build:")} == image_names(inputs) | channels
    for stack, top in DIAMOND.stacks.items():
        fingerprint = inputs.fingerprint(top)
        assert len({tags[f"hub/build:fp-{fingerprint}"], *(tags[one] for one in tags if f"/{stack}:" in one)}) == 1
    order = [name for name in puts(fake) if not name.startswith("hub/build:")]
    assert set(order[:3]) == image_names(inputs)
    assert set(order[3:]) == channels


def test_blobs_reach_an_image_s_repository_without_a_byte(site: Site, fake: FakeRegistry) -> None:
    site.build(DIAMOND.inputs("minimal"))
    begun = fake.asked("POST", "/hub/minimal/blobs/uploads/")
    assert begun
    assert all(one.query["from"] == ["hub/build"] for one in begun)
    assert fake.asked("PUT", "/hub/minimal/blobs") == fake.asked("PATCH", "/hub/minimal/blobs") == []


def test_where_mounts_are_refused_blobs_are_copied(site: Site, fake: FakeRegistry) -> None:
    fake.refuse_mounts = True
    assert site.build(DIAMOND.inputs("minimal"))
    lab = site.tags()["hub/minimal:default-latest"]
    manifest = json.loads(fake.repository("hub/minimal").manifests[lab][1])
    assert {one["digest"] for one in manifest["layers"]} <= fake.repository("hub/minimal").blobs


def test_when_nothing_has_changed_it_is_one_head_a_name(site: Site, fake: FakeRegistry) -> None:
    site.build(DIAMOND.inputs())
    before = site.tags()
    fake.requests.clear()
    assert site.build(DIAMOND.inputs())
    assert {one.method for one in fake.requests} == {"HEAD"}
    assert len(fake.requests) == 3 * len(DIAMOND.stacks)  # ok-, the name, the channel
    assert site.tags() == before


def test_an_edit_moves_the_channels_of_what_it_changes(site: Site, fake: FakeRegistry) -> None:
    site.build(DIAMOND.inputs())
    before = site.tags()
    fake.requests.clear()
    changed = replace(DIAMOND, texts={"scipy": "scipy 2"})
    site.build(changed.inputs())
    after = site.tags()
    assert {tag for tag, digest in before.items() if after[tag] != digest} == {
        "hub/science:default-latest",
        "hub/all:default-latest",
    }
    assert after.keys() >= image_names(DIAMOND.inputs()) | image_names(changed.inputs())
    assert not fake.asked("PUT", "/hub/minimal/")


# --- some are not good -----------------------------------------------------------------------------------------------------


def test_a_failed_stack_keeps_its_last_good_image_and_the_others_move_on(site: Site) -> None:
    site.build(DIAMOND.inputs())
    before = site.tags()
    changed = replace(DIAMOND, texts={"lab": "lab 2"})
    site.engine.codes["scipy works"] = 1
    assert not site.build(changed.inputs())
    after = site.tags()
    kept = ["hub/science:default-latest", "hub/all:default-latest"]
    assert {tag: after[tag] for tag in kept} == {tag: before[tag] for tag in kept}
    assert after["hub/minimal:default-latest"] != before["hub/minimal:default-latest"]
    assert not (image_names(changed.inputs("science", "all")) & after.keys())


def test_all_or_nothing(site: Site) -> None:
    site.build(DIAMOND.inputs())
    before = site.tags()
    changed = replace(DIAMOND, texts={"lab": "lab 2"})
    site.engine.codes["scipy works"] = 1
    assert not site.build(changed.inputs(), all_or_nothing=True)
    after = site.tags()
    assert {tag: after[tag] for tag in before} == before
    assert not [tag for tag in after.keys() - before.keys() if not tag.startswith("hub/build:")]
    site.engine.codes.clear()
    assert site.build(changed.inputs(), all_or_nothing=True)
    assert site.tags()["hub/minimal:default-latest"] != before["hub/minimal:default-latest"]


@pytest.mark.parametrize("all_or_nothing", [False, True])
def test_a_name_that_is_taken_stops_its_own_stack(site: Site, fake: FakeRegistry, all_or_nothing: bool) -> None:  # noqa: FBT001
    """Somebody has put something else under an immutable name."""
    inputs = DIAMOND.inputs()
    name = f"default-{inputs.fingerprint('lab')[:12]}"
    foreign = fake.put_manifest("hub/minimal", name, b'{"schemaVersion":2}', OCI_INDEX)
    with pytest.raises(TagTaken) as caught:
        site.build(inputs, all_or_nothing=all_or_nothing)
    assert str(caught.value.ref) == f"{fake.host}/hub/minimal:{name}"
    tags = site.tags()
    assert tags[f"hub/minimal:{name}"] == foreign
    assert "hub/minimal:default-latest" not in tags
    assert ("hub/science:default-latest" in tags) == (not all_or_nothing)


# --- layouts and platforms ---------------------------------------------------------------------------------------------------


def publish(site: Site, names: Names, plan: Plan, outcomes: dict[str, Outcome]) -> tuple[Published, ...]:
    publisher = Publisher(registry=site.connect(publish=True), names=names)
    try:
        return publisher.publish(plan, outcomes, channels=["latest", "2026-11"], all_or_nothing=False)
    finally:
        site.close()


def test_one_repository_for_all(site: Site) -> None:
    inputs, names = DIAMOND.inputs(), replace(site.names, layout=Layout.SINGLE)
    plan = site.plan(inputs)
    outcomes = site.run(inputs, plan=plan)
    site.fake.repositories["hub"] = site.fake.repositories.pop("hub/build")
    published = publish(site, names, plan, outcomes)
    digest, tag = outcomes["scipy"].digest, f"science-default-{inputs.fingerprint('scipy')[:12]}"
    assert site.fake.repository("hub").tags[tag] == digest
    assert site.fake.repository("hub").tags["science-default-latest"] == digest
    assert str(published[1].ref) == f"{site.fake.host}/hub:{tag}@{digest}"
    assert list(site.fake.repositories) == ["hub"]
    again = publish(site, names, plan, outcomes)
    assert [one.moved for one in published] == [("latest", "2026-11")] * 3
    assert [one.moved for one in again] == [()] * 3
    assert [one.ref for one in again] == [one.ref for one in published]


@pytest.fixture
def two_platforms() -> Inputs:
    """The stack `minimal` for two platforms; the node `r` plays the second one's."""
    inputs = DIAMOND.inputs()
    first = inputs.selection.images[0]
    images = (first, Image(variant=first.variant, platform="linux/arm64", node="r"), *inputs.selection.images[1:])
    selection = replace(inputs.selection, nodes=("lab", "r", "scipy", "both"), images=images)
    return replace(inputs, graph=replace(inputs.graph, images=images), selection=selection)


def test_several_platforms_are_one_index(site: Site, fake: FakeRegistry, two_platforms: Inputs) -> None:
    plan = site.plan(two_platforms)
    outcomes = site.run(two_platforms, plan=plan)
    minimal = publish(site, site.names, plan, outcomes)[0]
    repository = fake.repository("hub/minimal")
    assert minimal.ref.digest is not None
    media_type, content = repository.manifests[minimal.ref.digest]
    assert media_type == OCI_INDEX
    found = {
        f"{one['platform']['os']}/{one['platform']['architecture']}": one["digest"]
        for one in json.loads(content)["manifests"]
    }
    assert found == {"linux/amd64": outcomes["lab"].digest, "linux/arm64": outcomes["r"].digest}
    assert set(found.values()) <= repository.manifests.keys()
    assert repository.tags["default-latest"] == minimal.ref.digest
    before = site.tags()
    assert publish(site, site.names, plan, outcomes)[0].moved == ()
    assert site.tags() == before


def test_an_index_needs_all_its_platforms(site: Site, two_platforms: Inputs) -> None:
    plan = site.plan(two_platforms)
    site.engine.failures["r"] = "ERROR: failed to solve: it broke"
    published = publish(site, site.names, plan, site.run(two_platforms, plan=plan))
    assert [one.stack for one in published] == ["science"]
    assert not [tag for tag in site.tags() if tag.startswith("hub/minimal:")]


# --- what a registry has -------------------------------------------------------------------------------------------------------


def test_a_registry_answers_for_tags_and_records(site: Site) -> None:
    inputs = DIAMOND.inputs("minimal")
    outcomes = site.run(inputs)
    remote = Remote(registry=site.connect(), names=site.names)
    there, missing = f"fp-{inputs.fingerprint('lab')}", f"fp-{'0' * 64}"
    assert remote.digests([there, missing]) == {there: outcomes["lab"].digest}
    records = remote.records(["debian", "lab", "unknown"])
    assert list(records) == ["debian", "lab"]
    assert records["lab"].fingerprint == inputs.fingerprint("lab")
    assert records["lab"].size_bytes == outcomes["lab"].size_bytes > 0
    site.close()


def test_a_record_that_is_none_is_in_nobody_s_way(site: Site) -> None:
    registry = site.connect(publish=True)
    kind = "application/vnd.hubstack.record.v1+json"
    registry.write_record(site.names.last("lab"), {"format": 1, "node": 3}, artifact_type=kind)
    registry.write_record(site.names.last("r"), {"other": "tool"}, artifact_type="application/vnd.other")
    assert Remote(registry=registry, names=site.names).records(["lab", "r"]) == {}
    site.close()


def many(known: Remote, count: int = 40) -> list[str]:
    """Tags of nodes, of which the registry has the first three."""
    tags = [f"fp-{number:064x}" for number in range(count)]
    artifact = make_artifact(b"{}", artifact_type="application/vnd.test")
    known.registry.upload_blob(known.names.build, digest_of(b"{}"), b"{}")
    for tag in tags[:3]:
        known.registry.put_manifest(known.names.build.with_tag(tag), artifact)
    return tags


@pytest.fixture
def known(site: Site) -> Iterator[Remote]:
    yield Remote(registry=site.connect(publish=True), names=site.names)
    site.close()


def test_many_questions_become_a_list_and_a_few(known: Remote, fake: FakeRegistry) -> None:
    tags = many(known)
    before = len(fake.requests)
    assert set(known.digests(tags)) == set(tags[:3])
    assert [one.method for one in fake.requests[before:]] == ["GET", "HEAD", "HEAD", "HEAD"]
    before = len(fake.requests)
    assert known.records([f"node-{number}" for number in range(40)]) == {}
    assert len(fake.requests) == before + 1


@pytest.mark.parametrize("trouble", ["too many", "refused"])
def test_without_a_list_each_is_asked_for(known: Remote, fake: FakeRegistry, trouble: str) -> None:
    tags = many(known)
    if trouble == "refused":
        fake.fault("GET", "/tags/list", problem(403, "DENIED", "nobody may list"), times=9)
    else:
        fake.page_size = 1
    before = len(fake.asked("HEAD", "/manifests/"))
    assert set(known.digests(tags)) == set(tags[:3])
    assert len(fake.asked("HEAD", "/manifests/")) == before + len(tags)


def test_what_is_tested_is_never_looked_up_in_a_list(known: Remote, fake: FakeRegistry) -> None:
    """It may lag behind, and what is there would be built again."""
    known.digests([f"ok-{number:064x}-{number:032x}" for number in range(40)])
    assert fake.asked("GET", "/tags/list") == []
    assert len(fake.asked("HEAD", "/manifests/")) == 40
