"""A hub's profileList as its launcher will show it: in Helm's order, then put right by the hub's snippets."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping, Sequence
from functools import cmp_to_key
from types import SimpleNamespace
from typing import Any

from hubstack.errors import UsageError
from hubstack.hub.lookup import LOOKUP_SNIPPET, MENUS_SNIPPET
from hubstack.hub.profiles import ORDER_SNIPPET

Json = Mapping[str, Any]

SHOWN = frozenset(
    {
        "args",
        "cmd",
        "cpu_limit",
        "debug",
        "default_url",
        "environment",
        "gid",
        "http_timeout",
        "image",
        "mem_limit",
        "notebook_dir",
        "start_timeout",
        "uid",
        "working_dir",
    }
)
"""The traits of KubeSpawner that mean the same to a container on an engine. Only a cluster can follow the others."""


def parse_values(text: str, path: str) -> Json:
    """Helm values, bare or in a ConfigMap, without the keys of an umbrella chart. Raises UsageError."""
    import yaml

    try:
        found = yaml.safe_load(text)
        values = yaml.safe_load(found["data"]["values.yaml"]) if "data" in found else found
        while "singleuser" not in values:
            (values,) = values.values()
        listed = isinstance(values["singleuser"]["profileList"], list)
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        listed, values = False, {}
    if not listed:
        hint = "Give a ConfigMap that `hubstack profiles` wrote, or Helm values."
        raise UsageError(f"{path} has no singleuser.profileList", hint=hint)
    result: Json = values
    return result


def as_shown(values: Json) -> list[dict[str, Any]]:
    """The profiles in the order in which a hub on a cluster shows them and their choices."""
    profiles: list[dict[str, Any]] = helm_order(values["singleuser"]["profileList"])
    config = SimpleNamespace(KubeSpawner=SimpleNamespace(profile_list=profiles))
    for snippet in (MENUS_SNIPPET, ORDER_SNIPPET):
        run_snippet(snippet, config, values)
    return profiles


def find_combinations(values: Json) -> Json:
    """What ``LOOKUP_SNIPPET`` looks images up in."""
    found: Json = values.get("custom", {}).get("imageStacks", {}).get("combinations", {})
    return found


def add_combinations(config: Any, combinations: Json) -> None:
    run_snippet(LOOKUP_SNIPPET, config, {"custom": {"imageStacks": {"combinations": combinations}}})


def run_snippet(snippet: str, config: Any, values: Json) -> None:
    """As the hub itself does with one of hubstack's own, in its configuration."""
    z2jh = _z2jh(values)

    def find(name: str, *more: Any) -> Any:
        return z2jh if name == "z2jh" else __import__(name, *more)

    exec(snippet, {"c": config, "__builtins__": {**vars(builtins), "__import__": find}, "__name__": "snippet"})  # noqa: S102


def _z2jh(values: Json) -> SimpleNamespace:
    """The module of this name in a hub's image."""

    def get_config(path: str, default: object) -> object:
        found: Any = values
        for key in path.split("."):
            if not isinstance(found, Mapping) or key not in found:
                return default
            found = found[key]
        return found

    return SimpleNamespace(get_config=get_config)


def helm_order(value: Any) -> Any:
    """``value`` with every mapping's keys in the order in which Helm writes them."""
    match value:
        case Mapping():
            keys = sorted(value, key=cmp_to_key(_compare))
            return {key: helm_order(value[key]) for key in keys}
        case list() | tuple():
            return [helm_order(one) for one in value]
        case _:
            return value


def _compare(left: str, right: str) -> int:
    """As Go's YAML writers compare: letters last, and runs of digits by their number ("9" before "10")."""
    at = next((index for index, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), None)
    if at is None:
        return len(left) - len(right)
    a, b = left[at], right[at]
    if a.isalpha() or b.isalpha():
        return (1 if a.isalpha() else -1) if a.isalpha() != b.isalpha() else ord(a) - ord(b)
    first, second = _digits(left, at), _digits(right, at)
    return int(first or 0) - int(second or 0) or len(first) - len(second) or ord(a) - ord(b)


def _digits(text: str, at: int) -> str:
    """The run of digits round ``at``."""
    start = end = at
    while start and text[start - 1].isdecimal():
        start -= 1
    while end < len(text) and text[end].isdecimal():
        end += 1
    return text[start:end]


def builds(profiles: Sequence[Json]) -> bool:
    """Whether people may have an image built."""
    return any(_image(profile).get("dynamic_image_building", {}).get("enabled") for profile in profiles)


def stack_image(profiles: Sequence[Json]) -> str:
    """What repositories are built on: the first choice's image, of the first profile that builds any."""
    for profile in filter(lambda one: builds([one]), profiles):
        choices = [*_image(profile).get("choices", {}).values()]
        for choice in sorted(choices, key=lambda one: not one.get("default")):
            if image := choice.get("kubespawner_override", {}).get("image"):
                return str(image)
    return ""


def _image(profile: Json) -> Json:
    found: Json = profile.get("profile_options", {}).get("image", {})
    return found


def describe(profiles: Sequence[Json]) -> Iterator[str]:
    """The launcher in lines, for a terminal."""
    for profile in profiles:
        yield f"{profile['display_name']}"
        for option in profile.get("profile_options", {}).values():
            yield f"  {option['display_name']}"
            for key, choice in option.get("choices", {}).items():
                mark = "*" if choice.get("default") else " "
                yield f"  {mark} {key:24} {choice['display_name']}"
            unlisted = option.get("unlisted_choice", {})
            if unlisted.get("enabled"):
                yield f"    {unlisted.get('display_name_in_choices', 'Other...')}"
            if option.get("dynamic_image_building", {}).get("enabled"):
                yield "    Build your own image"


def ignored(profiles: Sequence[Json]) -> Iterator[str]:
    """What a cluster would do with the profiles, and a preview doesn't; one line each."""
    for profile in profiles:
        name = profile["display_name"]
        if groups := profile.get("allowed_groups"):
            yield f"{name}: only for {', '.join(groups)}; here everybody sees it"
        for what, override in _overrides(profile):
            if foreign := sorted(set(override) - SHOWN):
                yield f"{name}{what}: {', '.join(foreign)}"


def _overrides(profile: Json) -> Iterator[tuple[str, Json]]:
    yield "", profile.get("kubespawner_override", {})
    for option in profile.get("profile_options", {}).values():
        for choice in option.get("choices", {}).values():
            yield f", {choice['display_name']}", choice.get("kubespawner_override", {})


def chosen_traits(profiles: Sequence[Json], user_options: Json) -> list[str]:
    """What the chosen profile and choices set, and only a cluster follows; sorted."""
    profile = next((one for one in profiles if one["slug"] == user_options.get("profile")), profiles[0])
    names = set(profile.get("kubespawner_override", {}))
    for name, option in profile.get("profile_options", {}).items():
        choices = option.get("choices", {})
        default = next((key for key, choice in choices.items() if choice.get("default")), "")
        choice = choices.get(user_options.get(name, default), {})
        names.update(choice.get("kubespawner_override", {}))
    return sorted(names - SHOWN)
