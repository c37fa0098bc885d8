"""What a preview shows: the profiles as Helm and the hub's own configuration would order them."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hubstack.errors import UsageError
from hubstack.preview.launcher import (
    as_shown,
    chosen_traits,
    describe,
    helm_order,
    ignored,
    parse_values,
    stack_image,
)

AS_HELM_WRITES = """
    9 10 a a-1 a-b a.b a_b a1 a1- a1b a01 a001 a2b a9 a09 a10 a12 a205 aa ab mem_4 mem_15
    scipy-bookworm-4-4 scipy-trixie-4-5 scipy-trixie-4-10 x x10 x1y
"""  # helm 4.1.4 with `toYaml`, given these keys in any order


def choice(title: str, **override: Any) -> dict[str, Any]:
    return {"display_name": title, "kubespawner_override": override}


def values() -> dict[str, Any]:
    images = {"zoo": choice("Zoo", image="host/zoo:1"), "ape": choice("Ape", image="host/ape:1") | {"default": True}}
    resources = {"small": choice("Small", mem_limit="1G"), "big": choice("Big", mem_limit="8G", mem_guarantee="2G")}
    image = {
        "display_name": "Image",
        "choices": images,
        "unlisted_choice": {"enabled": True, "display_name_in_choices": "Any image"},
        "dynamic_image_building": {"enabled": True},
    }
    options = {"image": image, "resources": {"display_name": "Resources", "choices": resources}}
    gpu = {
        "slug": "gpu",
        "display_name": "GPU",
        "allowed_groups": ["gpu-users"],
        "kubespawner_override": {"node_selector": {"gpu": "true"}, "default_url": "/lab"},
        "profile_options": {"image": {"display_name": "Image", "choices": {"one": choice("One", image="host/one:1")}}},
    }
    order = {"python": {"image": ["zoo", "ape"], "resources": ["small", "big"]}}
    python = {"slug": "python", "display_name": "Python", "profile_options": options}
    return {"custom": {"imageStacks": {"order": order}}, "singleuser": {"profileList": [python, gpu]}}


def keys(profiles: list[dict[str, Any]], option: str = "image") -> list[str]:
    return [*profiles[0]["profile_options"][option]["choices"]]


def test_keys_are_ordered_as_helm_does() -> None:
    written = AS_HELM_WRITES.split()
    mixed = random.Random(1).sample(written, len(written))
    assert [*helm_order(dict.fromkeys(mixed, 0))] == written


def test_the_order_snippet_puts_plain_keys_right() -> None:
    assert keys(as_shown(values())) == ["zoo", "ape"]
    assert keys(as_shown(values()), "resources") == ["small", "big"]


def test_without_an_order_people_see_helm_s() -> None:
    plain = {"singleuser": values()["singleuser"]}
    assert keys(as_shown(plain)) == ["ape", "zoo"]
    assert [profile["slug"] for profile in as_shown(plain)] == ["python", "gpu"]  # lists stay as they are


@pytest.mark.parametrize("wrap", [(), ("jupyterhub",), ("basehub", "jupyterhub")])
def test_values_are_read_bare_and_below_an_umbrella_chart(wrap: tuple[str, ...]) -> None:
    whole = values()
    for name in reversed(wrap):
        whole = {name: whole}
    assert parse_values(json.dumps(whole), "values.yaml") == values()
    configmap = {"kind": "ConfigMap", "data": {"values.yaml": json.dumps(whole)}}
    assert parse_values(json.dumps(configmap), "hub.yaml") == values()


@pytest.mark.parametrize(
    "text", ["", "[]", "a: 1", "a: {b: 1}", "singleuser: {}", "singleuser: {profileList: {}}", "data: 1", "{", "a: {}"]
)
def test_another_file_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(UsageError, match=r"^other\.yaml has no singleuser\.profileList$"):
        parse_values(text, "other.yaml")


def test_repositories_are_built_on_the_default_image_of_the_profile_that_builds() -> None:
    shown = as_shown(values())
    assert stack_image(shown) == "host/ape:1"
    assert stack_image([shown[1], shown[0]]) == "host/ape:1"
    assert stack_image(shown[1:]) == ""  # it builds none


def test_the_terminal_lists_what_the_page_does() -> None:
    assert [*describe(as_shown(values()))] == [
        "Python",
        "  Image",
        "    zoo                      Zoo",
        "  * ape                      Ape",
        "    Any image",
        "    Build your own image",
        "  Resources",
        "    small                    Small",
        "    big                      Big",
        "GPU",
        "  Image",
        "    one                      One",
    ]


def test_it_is_said_what_only_a_cluster_follows() -> None:
    assert [*ignored(as_shown(values()))] == [
        "Python, Big: mem_guarantee",
        "GPU: only for gpu-users; here everybody sees it",
        "GPU: node_selector",
    ]


@pytest.mark.parametrize(
    ("options", "traits"),
    [
        ({"profile": "python", "image": "ape", "resources": "big"}, ["mem_guarantee"]),
        ({"profile": "python", "image": "ape", "resources": "small"}, []),
        ({"profile": "gpu"}, ["node_selector"]),
        ({}, []),
    ],
)
def test_a_server_is_told_its_own_part_of_it(options: dict[str, str], traits: list[str]) -> None:
    assert chosen_traits(as_shown(values()), options) == traits
