"""Promise 1: a ConfigMap never names an image that is not in the registry, tested, at that digest, and pullable with the
hub's credentials.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hubstack.errors import HubstackError, ProjectError
from hubstack.hub.choice import offers
from hubstack.hub.configmap import render_configmap
from hubstack.hub.profiles import values
from hubstack.hub.pull import Pull
from hubstack.pipeline import Inputs
from hubstack.reference import ImageRef
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.commandline import PROJECTS, run
from tests.fakes.hubs import hub, profile
from tests.fakes.registry import FakeRegistry
from tests.family import CHAIN, Family
from tests.site import Site

HUB = hub(profile("python", "minimal", "science"))
HUB_TEST = "python3 /srv/hubstack/hubtest.py 60"


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def site(tmp_path: Path, fake: FakeRegistry) -> Site:
    return Site.at(tmp_path, fake)


def configmap(site: Site, inputs: Inputs) -> str:
    offered = offers(inputs.project, inputs.graph, HUB)
    expected = {
        (image.variant.stack, image.variant.name): site.names.published(
            image.variant.stack, image.variant.name, inputs.fingerprint(image.node)
        )
        for image in inputs.selection.images
    }
    try:
        images = Pull(names=site.names, client=lambda _host: site.connect()).images(HUB, offered, expected)
    finally:
        site.close()
    return render_configmap(HUB, values(HUB, offered, images))


def named(text: str) -> set[ImageRef]:
    """Every image in it. The hub's default is written in two parts, as the chart has it, and is one of the others."""
    found = set(re.findall(r"[^\s\"']+@sha256:[0-9a-f]{64}", text))
    whole = {one for one in found if "/" in one}
    assert all(any(one.endswith(f":{part}") for one in whole) for part in found - whole)
    return {ImageRef.parse(one) for one in whole}


def check(site: Site, ref: ImageRef) -> None:
    """All that the promise says of one image."""
    repository = site.fake.repository(ref.repository)
    assert repository.tags[ref.tag] == ref.digest
    manifest = json.loads(repository.manifests[str(ref.digest)][1])
    assert {one["digest"] for one in (manifest["config"], *manifest["layers"])} <= repository.blobs
    commands = {"lab works", HUB_TEST} | ({"scipy works"} if ref.repository == "hub/science" else set())
    assert {(str(ref.digest), command) for command in commands} <= site.engine.passed


def test_what_is_good_is_named(site: Site) -> None:
    inputs = CHAIN.inputs()
    site.build(inputs)
    refs = named(configmap(site, inputs))
    assert {ref.repository for ref in refs} == {"hub/minimal", "hub/science"}
    for ref in refs:
        check(site, ref)


@pytest.mark.parametrize("breaks", ["build", "test", "hub test"])
def test_what_never_was_good_is_not(site: Site, breaks: str) -> None:
    if breaks == "build":
        site.engine.failures["scipy"] = "ERROR: failed to solve: it broke"
    elif breaks == "test":
        site.engine.codes["scipy works"] = 1
    else:
        site.engine.codes[HUB_TEST] = 1
    site.build(CHAIN.inputs())
    with pytest.raises(ProjectError, match="science/default can't be pulled as demo would"):
        configmap(site, CHAIN.inputs())


def families() -> st.SearchStrategy[Family]:
    texts = st.fixed_dictionaries({"lab": st.sampled_from(["a", "b"]), "scipy": st.sampled_from(["a", "b"])})
    return st.builds(lambda texts: replace(CHAIN, texts=texts), texts)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_happens(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Edits, tests that fail, and people who clean up a registry: a ConfigMap is true, or there is none."""
    with FakeRegistry() as fake:
        site = Site.at(tmp_path_factory.mktemp("any"), fake)
        for _ in range(data.draw(st.integers(1, 3), label="runs")):
            inputs = data.draw(families(), label="edit").inputs()
            site.engine.codes["scipy works"] = data.draw(st.sampled_from([0, 1]), label="scipy's test")
            try:
                site.build(inputs)
                tags = sorted(site.tags())
                for tag in data.draw(st.lists(st.sampled_from(tags), max_size=2), label="removed") if tags else []:
                    repository, _, name = tag.partition(":")
                    fake.repository(repository).tags.pop(name, None)
                text = configmap(site, inputs)
            except HubstackError:
                continue
            for ref in named(text):
                check(site, ref)


# --- the command ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROJECTS / "good-small", tmp_path / "small"))


def test_the_command_writes_nothing_where_an_image_is_missing(small: Path, fake: FakeRegistry) -> None:
    done = run("--registry", f"{fake.host}/hub", "profiles", "--output", "out", folder=small)
    assert done.code == 2
    assert "profiles/demo.yaml:" in done.err
    assert "hubstack build --push small/trixie" in done.err
    assert not (small / "out").exists()


def test_the_command_writes_nothing_that_the_hub_may_not_pull(small: Path, fake: FakeRegistry) -> None:
    fake.auth = "token"
    done = run("--registry", f"{fake.host}/hub", "profiles", "--output", "out", folder=small)
    assert done.code == 1
    assert "demo could not pull" in done.err
    assert not (small / "out").exists()
