from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hubstack.errors import ProjectError, Severity
from hubstack.hub.check import check_hubs
from hubstack.hub.choice import offers
from hubstack.hub.configmap import Emitted, parse_configmap, render_configmap
from hubstack.hub.key import number_keys, puller_name
from hubstack.hub.menu import Offer
from hubstack.hub.profiles import ORDER_SNIPPET, profile_list, values
from hubstack.offer import External, Hub, Retired
from hubstack.reference import ImageRef
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.fakes.hubs import EXAMPLE, EXAMPLE_HUB, Shelf, hub, profile, reference, stack

# hub.md, section 8: what KubeSpawner and fancy-profiles take without breaking.
KEY = {
    "type": "string",
    "pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$",
    "not": {
        "anyOf": [
            {"pattern": "--"},
            {"pattern": "^[0-9]+$"},
            {"enum": ["y", "n", "yes", "no", "on", "off", "true", "false", "null"]},
        ]
    },
}
TEXT = {"type": "string"}
FLAG = {"type": "boolean"}
OVERRIDE = {
    "type": "object",
    "properties": {
        "image": {"type": "string", "minLength": 1},
        "cpu_limit": {"type": "number"},
        "cpu_guarantee": {"type": "number"},
        "mem_limit": {"oneOf": [{"type": "number"}, {"type": "string", "pattern": "^[0-9.]+[KMGT]?$"}]},
        "environment": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
    },
}
CHOICE = {
    "type": "object",
    "required": ["display_name"],
    "additionalProperties": False,
    "properties": {"display_name": TEXT, "description": TEXT, "default": FLAG, "kubespawner_override": OVERRIDE},
}
UNLISTED = {
    "type": "object",
    "required": ["enabled", "display_name", "kubespawner_override"],
    "additionalProperties": False,
    "properties": {
        "enabled": FLAG,
        "display_name": TEXT,
        "display_name_in_choices": TEXT,
        "description_in_choices": TEXT,
        "validation_regex": TEXT,
        "validation_message": TEXT,
        "kubespawner_override": OVERRIDE,
    },
}
OPTION = {
    "type": "object",
    "required": ["display_name", "choices"],
    "additionalProperties": False,
    "properties": {
        "display_name": TEXT,
        "choices": {"type": "object", "minProperties": 1, "propertyNames": KEY, "additionalProperties": CHOICE},
        "unlisted_choice": UNLISTED,
        "dynamic_image_building": {"type": "object", "properties": {"enabled": FLAG}},
    },
}
PROFILE = {
    "type": "object",
    "required": ["display_name", "slug"],
    "additionalProperties": False,
    "properties": {
        "display_name": TEXT,
        "slug": KEY,
        "description": TEXT,
        "default": FLAG,
        "allowed_groups": {"type": "array", "items": TEXT},
        "kubespawner_override": OVERRIDE,
        "profile_options": {"type": "object", "propertyNames": KEY, "additionalProperties": OPTION},
    },
}
SCHEMA = {"type": "array", "minItems": 1, "items": PROFILE}


def offered(one: Hub, shelf: Shelf = EXAMPLE, emitted: Emitted | None = None) -> tuple[Offer, ...]:
    return offers(shelf.project(one), shelf.graph, one, emitted)


def listed(one: Hub, shelf: Shelf = EXAMPLE) -> list[dict[str, Any]]:
    return profile_list(one, offered(one, shelf), shelf.images)


def messages(one: Hub, shelf: Shelf = EXAMPLE, emitted: Emitted | None = None) -> list[str]:
    project = shelf.project(one)
    return [str(problem) for problem in check_hubs(project, shelf.graph, {one.name: emitted} if emitted else None)]


def ids(*patterns: str, shelf: Shelf = EXAMPLE) -> list[str]:
    return [one.id for one in offered(hub(profile("p", *patterns)), shelf)]


# --- what patterns mean ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["minimal"], ["minimal/default"]),
        (["scipy"], ["scipy/bookworm", "scipy/trixie"]),
        (["scipy/*"], ["scipy/bookworm", "scipy/trixie"]),
        (["scipy/trixie", "scipy"], ["scipy/trixie", "scipy/bookworm"]),
        (["base", "minimal"], ["base/default", "minimal/default"]),
        (["*"], ["minimal/default", "scipy/bookworm", "scipy/trixie", "base/default"]),
        (["*/t*"], ["scipy/trixie"]),
        (["s[ac]ipy/?rixie"], ["scipy/trixie"]),
    ],
)
def test_patterns(patterns: list[str], expected: list[str]) -> None:
    assert ids(*patterns) == expected


def test_drafts_are_left_out_of_globs_and_never_offered_by_name() -> None:
    shelf = Shelf(stacks=(stack("one", "One"), stack("two", "Two", draft="not yet")))
    assert ids("*", shelf=shelf) == ["one/default"]
    with pytest.raises(ProjectError, match=r"two/default is a draft \(two: not yet\)"):
        ids("two", shelf=shelf)


def test_a_draft_layer_makes_a_draft_of_what_stands_on_it() -> None:
    with pytest.raises(ProjectError, match=r"one/default is a draft \(lab: no conda here\)"):
        ids("one", shelf=Shelf(stacks=(stack("one", "One"),), draft="no conda here"))


def test_faults_of_all_patterns_come_together() -> None:
    with pytest.raises(ProjectError) as caught:
        ids("scypy", "scipy/trixi", "x*")
    text = str(caught.value)
    assert 'unknown stack "scypy" (did you mean "scipy"?). Known: minimal, scipy and base.' in text
    assert 'stack "scipy" has no variant "trixi" (did you mean "trixie"?). Known: bookworm and trixie.' in text
    assert '"x*" matches no stack and variant' in text


def test_keys_and_titles() -> None:
    shelf = Shelf(
        stacks=(
            stack("plain", "Plain"),
            stack("many", "Many", release=("trixie",), python_release=("3.10", "3.13")),
        ),
        variables={"release": {"trixie": "Debian 13"}},
    )
    found = [(one.key, one.title) for one in offered(hub(profile("p", "*")), shelf)]
    assert found == [
        ("plain", "Plain"),
        ("many-trixie-3-10", "Many, Debian 13, python release 3.10"),
        ("many-trixie-3-13", "Many, Debian 13, python release 3.13"),
    ]


def test_a_list_is_shown_by_the_labels_of_its_items() -> None:
    shelf = Shelf(stacks=(stack("s", "S", kernels=("x",)),), variables={"kernels": {"py": "Python", "r": "R"}})
    (image,) = shelf.graph.images
    listed_values = {"kernels": ("py", "r")}
    several = replace(image, variant=replace(image.variant, axes=listed_values))
    one = hub(profile("p", "s"))
    (offer,) = offers(shelf.project(one), replace(shelf.graph, images=(several,)), one)
    assert offer.title == "S, Python, R"


@pytest.mark.parametrize(
    ("default", "expected"),
    [("", "minimal"), ("scipy/trixie", "scipy-trixie"), ("minimal/default", "minimal")],
)
def test_there_is_one_default(default: str, expected: str) -> None:
    one = replace(EXAMPLE_HUB, profiles=(replace(EXAMPLE_HUB.profiles[0], default=default),))
    assert [offer.key for offer in offered(one) if offer.default] == [expected, "large"]


def test_a_default_must_be_offered() -> None:
    with pytest.raises(ProjectError, match=r'default "scipy/trixy" is none of .* \(did you mean "scipy/trixie"\?\)'):
        offered(hub(replace(profile("p", "minimal", "scipy"), default="scipy/trixy")))
    with pytest.raises(ProjectError, match=r'default "scipy/trixie" is none of .* Offered are minimal/default'):
        offered(hub(replace(profile("p", "minimal"), default="scipy/trixie")))


# --- the list ----------------------------------------------------------------------------------------------------------


def test_the_schema_of_the_launcher_holds() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(listed(EXAMPLE_HUB))
    prefixed = replace(EXAMPLE_HUB, prefixed_keys=True, retired=())
    Draft202012Validator(SCHEMA).validate(listed(prefixed))


def test_exactly_one_default_everywhere() -> None:
    found = listed(EXAMPLE_HUB)
    assert [one.get("default", False) for one in found] == [True, False]
    for one in found:
        for option in one["profile_options"].values():
            assert sum(choice.get("default", False) for choice in option["choices"].values()) == 1


def test_options_are_there_only_where_asked_for() -> None:
    python, gpu = listed(EXAMPLE_HUB)
    image = python["profile_options"]["image"]
    assert image["unlisted_choice"]["enabled"] is True
    assert image["unlisted_choice"]["kubespawner_override"] == {"image": "{value}"}
    assert image["dynamic_image_building"] == {"enabled": True}
    assert list(gpu["profile_options"]) == ["image"]
    assert set(gpu["profile_options"]["image"]) == {"display_name", "choices"}
    assert "allowed_groups" not in python
    assert gpu["allowed_groups"] == ["gpu-users"]


def test_an_image_without_digest_is_never_written() -> None:
    one = hub(profile("p", "minimal"))
    with pytest.raises(ValueError, match="without a digest"):
        profile_list(one, offered(one), {("minimal", "default"): reference("minimal/default").with_tag("latest")})


@pytest.mark.parametrize("tag", [":2024", ""])
def test_the_chart_joins_name_and_tag_of_the_default_image(tag: str) -> None:
    image = ImageRef.parse(f"quay.io/team/course{tag}@sha256:{'5' * 64}")
    one = replace(hub(profile("p")), external=(External(profile="p", key="course", title="Course", image=image),))
    found = values(one, offered(one), {})["singleuser"]
    assert isinstance(found, dict)
    assert f"{found['image']['name']}:{found['image']['tag']}" == str(image)


def test_values_of_an_umbrella_chart_stand_below_its_keys() -> None:
    plain = hub(profile("p", "minimal"))
    wrapped = replace(plain, wrap=("hubs", "jupyterhub"))
    assert values(wrapped, offered(wrapped), EXAMPLE.images) == {
        "hubs": {"jupyterhub": values(plain, offered(plain), EXAMPLE.images)}
    }


# --- order under Helm --------------------------------------------------------------------------------------------------


def through_helm(tree: Any) -> Any:
    """As Helm hands values on: maps sorted by key, numbers in keys by their value; lists as they are."""
    if isinstance(tree, list):
        return [through_helm(one) for one in tree]
    if not isinstance(tree, dict):
        return tree
    return {key: through_helm(tree[key]) for key in sorted(tree, key=natural)}


def natural(key: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall("[0-9]+|[^0-9]+", key)]


def menus(profiles: list[dict[str, Any]]) -> list[list[str]]:
    return [
        [choice["display_name"] for choice in option["choices"].values()]
        for one in profiles
        for option in one["profile_options"].values()
    ]


def test_the_snippet_puts_choices_into_order_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = values(EXAMPLE_HUB, offered(EXAMPLE_HUB), EXAMPLE.images)
    helm = through_helm(tree)
    wanted, lost = menus(listed(EXAMPLE_HUB)), menus(helm["singleuser"]["profileList"])
    assert lost != wanted
    z2jh = ModuleType("z2jh")
    z2jh.get_config = lambda name, default: lookup(helm, name, default)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "z2jh", z2jh)
    c = SimpleNamespace(KubeSpawner=SimpleNamespace(profile_list=helm["singleuser"]["profileList"]))
    exec(ORDER_SNIPPET, {"c": c})
    assert menus(c.KubeSpawner.profile_list) == wanted


def lookup(tree: Mapping[str, Any], name: str, default: object) -> object:
    found: Any = tree
    for key in name.split("."):
        if key not in found:
            return default
        found = found[key]
    return found


def test_the_snippet_leaves_a_list_alone_that_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    z2jh = ModuleType("z2jh")
    z2jh.get_config = lambda _name, default: default  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "z2jh", z2jh)
    theirs = [{"display_name": "A"}, {"slug": "b", "profile_options": {"image": {"choices": {"z": {}, "a": {}}}}}]
    c = SimpleNamespace(KubeSpawner=SimpleNamespace(profile_list=json.loads(json.dumps(theirs))))
    exec(ORDER_SNIPPET, {"c": c})
    assert json.dumps(c.KubeSpawner.profile_list) == json.dumps(theirs)


def test_prefixed_keys_keep_the_order_without_the_snippet() -> None:
    one = replace(EXAMPLE_HUB, prefixed_keys=True, retired=())
    found = listed(one)
    images = found[0]["profile_options"]["image"]["choices"]
    assert list(images) == ["010-minimal", "020-scipy-bookworm", "030-scipy-trixie", "040-base", "050-old-course"]
    assert list(through_helm(images)) == list(images)
    custom = values(one, offered(one), EXAMPLE.images).get("custom", {})
    assert "order" not in json.dumps(custom)


def emitted_by(one: Hub, shelf: Shelf = EXAMPLE) -> Emitted:
    text = render_configmap(one, values(one, offered(one, shelf), shelf.images))
    return parse_configmap(text, "profiles/emitted/demo.yaml")


def test_numbers_that_were_given_out_stay() -> None:
    before = replace(hub(profile("p", "minimal", "base")), prefixed_keys=True)
    after = replace(hub(profile("p", "minimal", "scipy/*", "base")), prefixed_keys=True)
    found = [one.key for one in offered(after, emitted=emitted_by(before))]
    assert found == ["010-minimal", "015-scipy-bookworm", "017-scipy-trixie", "020-base"]


def test_an_order_that_was_given_out_stays_and_is_told() -> None:
    before = replace(hub(profile("p", "minimal", "base")), prefixed_keys=True)
    after = replace(hub(profile("p", "base", "minimal")), prefixed_keys=True)
    assert [one.key for one in offered(after, emitted=emitted_by(before))] == ["020-base", "010-minimal"]
    (warning,) = messages(after, emitted=emitted_by(before))
    assert "warning: the launcher keeps the order 010-minimal and 020-base" in warning


KEYS = st.lists(st.sampled_from([*"abcdefghijklmnopqrstuvwxyz"]), unique=True)


@given(KEYS, KEYS)
def test_numbering(first: list[str], second: list[str]) -> None:
    before = number_keys(first, {})
    assert sorted(before.values()) == list(before.values())
    given_out = {key: int(name[:3]) for key, name in before.items()}
    after = number_keys(second, given_out)
    assert list(after) == second
    assert {key: after[key] for key in second if key in before} == {key: before[key] for key in second if key in before}
    assert len(set(after.values())) == len(second)


def test_numbering_with_no_gap_left() -> None:
    assert number_keys(["a", "x", "b"], {"a": 1, "b": 2}) == {"a": "001-a", "x": "003-x", "b": "002-b"}


# --- keys that were given out ------------------------------------------------------------------------------------------


def test_a_key_never_vanishes_silently() -> None:
    before = emitted_by(hub(profile("python", "scipy", "minimal"), profile("gpu", "minimal")))
    after = hub(replace(profile("python", "scipy/trixie", "minimal"), default="minimal/default"))
    gone, profile_gone = messages(after, emitted=before)
    assert 'choice "scipy-bookworm" of profile "python" is gone' in gone
    assert "`- {profile: python, key: scipy-bookworm, successor: scipy-trixie}`" in gone
    assert 'profile "gpu" is gone' in profile_gone


def test_what_the_message_says_mends_it() -> None:
    before = emitted_by(hub(profile("python", "scipy", "minimal")))
    entry = Retired(profile="python", key="scipy-bookworm", successor="scipy-trixie")
    after = replace(hub(profile("python", "scipy/trixie", "minimal")), retired=(entry,))
    assert messages(after, emitted=before) == []
    last = offered(after, emitted=before)[-1]
    assert last.key == "scipy-bookworm"
    assert last.title == "Scientific Python, Python 3.11 (retired, now Scientific Python, Python 3.13)"
    found = profile_list(after, offered(after, emitted=before), EXAMPLE.images)[0]["profile_options"]
    assert isinstance(found, dict)
    choices = found["image"]["choices"]
    assert choices["scipy-bookworm"]["kubespawner_override"] == choices["scipy-trixie"]["kubespawner_override"]


def test_an_alias_reads_the_same_the_next_time_and_may_go_in_the_end() -> None:
    before = emitted_by(hub(profile("python", "scipy")))
    entry = Retired(profile="python", key="scipy-bookworm", successor="scipy-trixie")
    after = replace(hub(profile("python", "scipy/trixie")), retired=(entry,))
    first = offered(after, emitted=before)
    text = render_configmap(after, values(after, first, EXAMPLE.images))
    again = parse_configmap(text, "profiles/emitted/demo.yaml")
    assert offered(after, emitted=again) == first
    assert messages(replace(after, retired=()), emitted=again) == []


def test_resources_are_retired_in_the_same_way() -> None:
    before = emitted_by(EXAMPLE_HUB)
    small_gone = replace(EXAMPLE_HUB.profiles[0], resources=EXAMPLE_HUB.profiles[0].resources[1:])
    after = replace(EXAMPLE_HUB, profiles=(small_gone, EXAMPLE_HUB.profiles[1]), retired=EXAMPLE_HUB.retired[:1])
    (gone,) = messages(after, emitted=before)
    assert "`- {profile: python, key: small, successor: large}`" in gone


def test_an_option_that_is_given_up_needs_no_aliases() -> None:
    """KubeSpawner ignores a saved choice of an option that is not there."""
    before = emitted_by(EXAMPLE_HUB)
    without = replace(EXAMPLE_HUB.profiles[0], resources=())
    after = replace(EXAMPLE_HUB, profiles=(without, EXAMPLE_HUB.profiles[1]), retired=EXAMPLE_HUB.retired[:1])
    assert messages(after, emitted=before) == []


# --- rules -------------------------------------------------------------------------------------------------------------


def test_a_good_hub_has_no_problems() -> None:
    assert messages(EXAMPLE_HUB) == []


TWINS = Shelf(stacks=(stack("ab", "AB", x=("1.0", "1-0")), stack("ab-1", "AB", x=("0",)), stack("2026", "A year")))


@pytest.mark.parametrize(
    ("one", "shelf", "message"),
    [
        (replace(hub(profile("p", "minimal")), follow="lastest"), EXAMPLE, 'unknown channel "lastest" (did you mean "latest"?)'),
        (hub(profile("p", "ab")), TWINS, 'ab/1.0 and ab/1-0 have the same key "ab-1-0" in profile "p"'),
        (hub(profile("p", "ab/1.0", "ab-1")), TWINS, 'ab/1.0 and ab-1/0 have the same key "ab-1-0"'),
        (hub(profile("p", "2026")), TWINS, 'the key of 2026/default, "2026", has only digits'),
        (
            hub(profile("p", "*")),
            Shelf(stacks=(stack("null", "Null"),)),
            'the key of null/default, "null", is a word that Helm or the launcher takes',
        ),
        (
            hub(profile("p", "*")),
            Shelf(stacks=(stack("unlisted", "U", x=("choice",)),)),
            '"unlisted-choice", is a word that Helm or the launcher takes',
        ),
        (
            hub(profile("p", "*")),
            Shelf(stacks=(stack("a-stack-with-a-name-for-all", "A", release=("1.0",)),)),
            "is 2 characters too long: the image puller's container image-pull-profile-0-option-image-a-stack-with-a-name",
        ),
        (
            replace(hub(profile("p", "minimal")), retired=(Retired(profile="p", key="minimal", successor="minimal"),)),
            EXAMPLE,
            'the retired key "minimal" is still offered',
        ),
        (
            replace(hub(profile("p", "minimal")), retired=(Retired(profile="p", key="old", successor="minimum"),)),
            EXAMPLE,
            'unknown successor "minimum" (did you mean "minimal"?). Keys in p: minimal.',
        ),
        (
            replace(
                hub(profile("p", "minimal")),
                retired=(
                    Retired(profile="p", key="old", successor="minimal"),
                    Retired(profile="p", key="older", successor="old"),
                ),
            ),
            EXAMPLE,
            'successor "old" is retired itself',
        ),
        (
            replace(hub(profile("p", "minimal")), image_prefix="Quay.io/Team/"),
            EXAMPLE,
            'no image\'s name begins with "Quay.io/Team/"',
        ),
        (hub(profile("p", "*")), Shelf(stacks=(stack("s", "<b>S</b>"),)), "which launchers take for markup or a template"),
        (
            replace(hub(profile("p", "minimal")), unlisted_regex="^.*$"),
            EXAMPLE,
            "the regular expression lets an empty text, a space or a line break pass",
        ),
    ],
)  # fmt: skip
def test_errors(one: Hub, shelf: Shelf, message: str) -> None:
    found = messages(one, shelf)
    assert any(message in line for line in found), found
    assert not any("warning" in line for line in found if message in line)


@pytest.mark.parametrize(
    ("one", "shelf", "message"),
    [
        (
            hub(profile("p", "*")),
            Shelf(stacks=(stack("a", "Same"), stack("b", "Same"))),
            'profiles/demo.yaml:1:1: warning: a/default and b/default are both shown as "Same"',
        ),
        (
            hub(profile("p", "*")),
            Shelf(stacks=tuple(stack(f"s{number}", f"S {number}") for number in range(13))),
            'profile "p" has 13 choices of image',
        ),
        (
            hub(profile("p", "*")),
            Shelf(stacks=(stack("a", "A", "x" * 56),)),
            "stacks/a.yaml:1:1: warning: the description has 56 characters; launchers show about 55",
        ),
        (
            hub(profile("p", "*")),
            Shelf(stacks=(stack("a", "A", "x" * 3000, x=[f"v{number}" for number in range(100)]),)),
            "this hub's ConfigMap has",
        ),
    ],
)
def test_warnings(one: Hub, shelf: Shelf, message: str) -> None:
    found = messages(one, shelf)
    assert any(message in line and "warning:" in line for line in found), found


def test_limits_are_where_they_are_said_to_be() -> None:
    shelf = Shelf(stacks=(*(stack(f"s{number}", f"S {number}", "x" * 55) for number in range(12)),))
    assert messages(hub(profile("p", "*")), shelf) == []
    longest = "a" * 29
    assert len(puller_name(0, "image", longest)) == 63
    assert messages(hub(profile("p", "*")), Shelf(stacks=(stack(longest, "A"),))) == []


def test_two_hubs_never_write_one_configmap() -> None:
    first, second = hub(profile("p", "minimal"), name="one"), hub(profile("p", "minimal"), name="two")
    (problem,) = check_hubs(EXAMPLE.project(first, second), EXAMPLE.graph)
    assert problem.what == 'hub "one" has the ConfigMap jhub-profiles in namespace jhub, too'
    elsewhere = replace(second, namespace="other")
    assert check_hubs(EXAMPLE.project(first, elsewhere), EXAMPLE.graph) == []


def test_a_configmap_that_is_too_big_is_an_error() -> None:
    many = Shelf(stacks=(stack("a", "A", "x" * 3000, x=[f"v{number}" for number in range(250)]),))
    found = check_hubs(many.project(one := hub(profile("p", "*"))), many.graph)
    assert [p.severity for p in found if "ConfigMap" in p.what] == [Severity.ERROR], one
