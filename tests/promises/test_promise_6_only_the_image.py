"""The launcher that a hub really has: KubeSpawner from PyPI reads what hubstack writes. No cluster is asked."""

from __future__ import annotations

import asyncio
import re
import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hubstack.errors import Severity
from hubstack.hub.check import check_hubs
from hubstack.hub.choice import offers
from hubstack.hub.configmap import render_configmap
from hubstack.hub.expression import ANY_IMAGE, built_image
from hubstack.hub.profiles import values
from hubstack.model import Matrix
from hubstack.offer import Hub
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.hubs import EXAMPLE, EXAMPLE_HUB, Shelf, hub, profile, stack

# KubeSpawner connects to nothing before it starts a pod, but it wants to know where to.
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: none
contexts: [{name: none, context: {cluster: none, user: none}}]
clusters: [{name: none, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: none, user: {}}]
"""


@pytest.fixture(autouse=True)
def _no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kubeconfig.yaml"
    path.write_text(KUBECONFIG, encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", str(path))


def launcher(one: Hub, shelf: Shelf = EXAMPLE) -> list[dict[str, Any]]:
    """What a hub gets: through the ConfigMap's text, as a YAML 1.1 reader takes it."""
    tree = values(one, offers(shelf.project(one), shelf.graph, one), shelf.images)
    data = yaml.safe_load(yaml.safe_load(render_configmap(one, tree))["data"]["values.yaml"])
    found: list[dict[str, Any]] = data["singleuser"]["profileList"]
    return found


async def _started(profiles: list[dict[str, Any]], options: dict[str, str]) -> tuple[Any, set[str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own dependencies' deprecations
        from kubespawner import KubeSpawner
    found = KubeSpawner(_mock=True, profile_list=profiles)
    before = traits(found)
    found.user_options = options
    await found.load_user_options()
    return found, {name for name, value in traits(found).items() if value != before[name]}


def started(profiles: list[dict[str, Any]], **options: str) -> Any:
    """As it stands when it would write the pod of somebody who chose ``options``."""
    return asyncio.run(_started(profiles, options))[0]


def changed_by(profiles: list[dict[str, Any]], **options: str) -> set[str]:
    """The traits that those choices set."""
    return asyncio.run(_started(profiles, options))[1]


def traits(one: Any) -> dict[str, object]:
    """All that can be configured. Some are maps, into which KubeSpawner merges what a profile overrides."""
    found = {name: getattr(one, name) for name in one.trait_names(config=True)}
    assert len(found) > 100
    return {name: deepcopy(value) if isinstance(value, dict | list) else value for name, value in found.items()}


def expected_images(one: Hub) -> dict[tuple[str, str], str]:
    return {
        (offer.profile, offer.key): str(offer.external or EXAMPLE.images[offer.stack, offer.variant])
        for offer in offers(EXAMPLE.project(one), EXAMPLE.graph, one)
        if offer.option == "image"
    }


@pytest.mark.parametrize(
    "one", [EXAMPLE_HUB, replace(EXAMPLE_HUB, prefixed_keys=True, retired=())], ids=["plain", "prefixed"]
)
def test_every_choice_starts_its_image_with_its_resources(one: Hub) -> None:
    profiles = launcher(one)
    images, seen = expected_images(one), 0
    for entry in profiles:
        slug, options = entry["slug"], entry["profile_options"]
        resources = options.get("resources", {"choices": {"": {}}})["choices"]
        for key, (size, resource) in product(options["image"]["choices"], resources.items()):
            chosen = {"profile": slug, "image": key} | ({"resources": size} if size else {})
            found = started(profiles, **chosen)
            assert found.image == images[slug, key]
            assert "@sha256:" in found.image
            if size:
                assert found.cpu_limit == resource["kubespawner_override"]["cpu_limit"]
                assert found.mem_limit == {"2G": 2 << 30, "8G": 8 << 30}[resource["kubespawner_override"]["mem_limit"]]
            seen += 1
    assert seen == len(one.profiles[0].resources + one.retired[1:]) * (5 + len(one.retired[:1])) + 1


def test_overrides_of_a_profile_arrive_in_their_types() -> None:
    found = started(launcher(EXAMPLE_HUB), profile="gpu", image="scipy-trixie")
    assert found.node_selector == {"gpu": "true", "1e3": "y"}
    assert found.tolerations == [{"key": "gpu", "operator": "Exists"}]
    assert found.extra_resource_limits == {"nvidia.com/gpu": "1"}
    assert found.start_timeout == 900
    assert found.cpu_limit is None
    changed = changed_by(launcher(EXAMPLE_HUB), profile="gpu", image="scipy-trixie")
    assert changed == {"image", "node_selector", "tolerations", "extra_resource_limits", "start_timeout"}


def test_a_start_without_choices_takes_the_defaults() -> None:
    found = started(launcher(EXAMPLE_HUB))
    assert found.image == str(EXAMPLE.images["scipy", "trixie"])
    assert found.mem_limit == 8 << 30
    tree = values(EXAMPLE_HUB, offers(EXAMPLE.project(EXAMPLE_HUB), EXAMPLE.graph, EXAMPLE_HUB), EXAMPLE.images)
    singleuser = tree["singleuser"]
    assert isinstance(singleuser, dict)
    assert f"{singleuser['image']['name']}:{singleuser['image']['tag']}" == found.image


@pytest.mark.parametrize("image", ["quay.io/jupyter/scipy-notebook:2026-01-05", built_image(EXAMPLE_HUB.image_prefix)])
def test_an_unlisted_or_a_built_image_starts(image: str) -> None:
    found = started(launcher(EXAMPLE_HUB), profile="python", **{"image--unlisted-choice": image})
    assert found.image == image


@pytest.mark.parametrize("image", ["quay.io/jupyter/scipy-notebook", "x:1\n", "x:1 --privileged", "{0.__class__}:1"])
def test_what_is_no_image_is_refused(image: str) -> None:
    with pytest.raises(ValueError, match="failed validation regex"):
        started(launcher(EXAMPLE_HUB), profile="python", **{"image--unlisted-choice": image})


def test_unlisted_images_are_refused_where_the_hub_does_not_offer_them() -> None:
    with pytest.raises(ValueError, match="without being enabled"):
        started(launcher(EXAMPLE_HUB), profile="gpu", **{"image--unlisted-choice": "x/y:1"})


def test_a_key_that_is_gone_is_what_the_check_says_it_is() -> None:
    """The reason for retired keys."""
    with pytest.raises(KeyError):
        started(launcher(EXAMPLE_HUB), profile="python", image="gone")
    with pytest.raises(ValueError, match="No such profile"):
        started(launcher(EXAMPLE_HUB), profile="gone")


# --- promise 6: a contributor's text sets no field of a pod but the image, and reaches the page as text -----------------

HOSTILE = [
    '" onmouseover="alert(1)',
    "' autofocus onfocus='alert(1)",
    "</select></h3><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "{{ spawner.api_token }}",
    "{% include '/etc/passwd' %}",
    "{user.__class__}",
    "{value}",
    "privileged",
    "uid: 0",
    "kubespawner_override",
    '"\n  "privileged": true\n',
    '", "kubespawner_override": {"uid": 0}, "x": "',
    '\\"}]} # ',
    "x\x00y",
    "\u202egnp.exe",
    "\u2028- privileged: true",
    "!!python/object/apply:os.system [id]",
    "*alias &anchor <<: *x",
    "${HOME} $(id) `id` %s %(x)s",
    "__class__",
    "unlisted_choice",
    "-",
    "--",
    "y",
    "",
]


def hostile_texts(text: str) -> tuple[Hub, Shelf]:
    """``text`` stands wherever a contributor writes for people, in one of the choices."""
    stacks = (
        stack("good", "Good"),
        stack("told", text, text),
        stack("axis", "Axis", release=("labelled",)),
    )
    return hub(profile("p", "*")), Shelf(stacks=stacks, variables={"release": {"labelled": text}})


def hostile_names(text: str) -> tuple[Hub, Shelf]:
    """``text`` stands wherever a contributor gives a name or a value."""
    stacks = (
        stack("good", "Good"),
        stack(text, "Named"),
        stack("value", "Value", release=(text,)),
        replace(stack("axis", "Axis"), matrix=Matrix(axes={text: ("1",)})),
    )
    return hub(profile("p", "*")), Shelf(stacks=stacks, variables={text: {"1": "one"}})


def is_refused(one: Hub, shelf: Shelf) -> bool:
    return any(found.severity is Severity.ERROR for found in check_hubs(shelf.project(one), shelf.graph))


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("project", [hostile_texts, hostile_names])
def test_hostile_text_is_refused_or_harmless(project: Callable[[str], tuple[Hub, Shelf]], text: str) -> None:
    one, shelf = project(text)
    if not is_refused(one, shelf):
        assert_harmless(one, shelf)


def test_harmless_text_is_not_refused() -> None:
    """Or the tests above would show nothing."""
    passed = [text for text in HOSTILE if not is_refused(*hostile_texts(text))]
    assert len(passed) > 10
    assert passed == [text for text in HOSTILE if not set(text) & MARKUP]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([hostile_texts, hostile_names]), st.lists(st.sampled_from(HOSTILE) | st.text(), max_size=3))
def test_text_by_anybody_is_refused_or_harmless(project: Callable[[str], tuple[Hub, Shelf]], parts: list[str]) -> None:
    one, shelf = project("".join(parts))
    if not is_refused(one, shelf):
        assert_harmless(one, shelf)


MARKUP = set("<>{}\n\x00\u202e\u2028")


@pytest.mark.parametrize("text", [one for one in HOSTILE if set(one) & MARKUP])
@pytest.mark.parametrize("field", ["title", "description", "label", "value", "axis"])
def test_markup_and_templates_are_refused_in_every_field(field: str, text: str) -> None:
    variables = {"release": {"1": text if field == "label" else "one"}}
    axes = {text if field == "axis" else "release": (text if field == "value" else "1",)}
    plain = stack("s", text if field == "title" else "S", text if field == "description" else "")
    shelf = Shelf(stacks=(replace(plain, matrix=Matrix(axes=axes)),), variables=variables)
    assert is_refused(hub(profile("p", "*")), shelf)


def assert_harmless(one: Hub, shelf: Shelf) -> None:
    profiles = launcher(one, shelf)
    for key, choice in profiles[0]["profile_options"]["image"]["choices"].items():
        assert set(choice) <= {"display_name", "description", "default", "kubespawner_override"}
        assert changed_by(profiles, profile="p", image=key) == {"image"}
    assert Skeleton.of(profiles) == Skeleton.of(launcher(*benign(shelf)))


def benign(shelf: Shelf) -> tuple[Hub, Shelf]:
    """As many choices of the same variants, with nothing written on them that anybody could misread."""
    stacks = tuple(stack(f"s{index}", f"S {index}") for index, _ in enumerate(shelf.graph.images))
    return hub(profile("p", "*")), Shelf(stacks=stacks)


class Skeleton(HTMLParser):
    """The tags of a page with their attributes' names, and whatever a browser would run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.scripts: list[str] = []

    @classmethod
    def of(cls, profiles: list[dict[str, Any]]) -> tuple[list[tuple[str, ...]], list[str]]:
        page = cls()
        page.feed(started(profiles).options_form)
        page.close()
        return page.tags, page.scripts

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((f"/{tag}",))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem:
            self.scripts.append(data)


def test_people_read_what_was_written() -> None:
    page = started(launcher(EXAMPLE_HUB)).options_form
    shown = re.findall("<option[^>]*>([^<]*)<", page)
    titles = [offer.title for offer in offers(EXAMPLE.project(EXAMPLE_HUB), EXAMPLE.graph, EXAMPLE_HUB)]
    assert sorted(shown) == sorted([*titles, "Specify an existing image"])
    assert ANY_IMAGE in page
