"""KubeSpawner's ``profile_list``, and the Helm values that carry it to the JupyterHub chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from hubstack.hub.choice import retired_profiles
from hubstack.hub.combination import environment, variable
from hubstack.hub.expression import ANY_IMAGE
from hubstack.hub.lookup import NAME, OPTIONS_SNIPPET
from hubstack.hub.menu import COMBINATION, IMAGE, RESOURCES, Offer
from hubstack.offer import Hub, Profile
from hubstack.reference import ImageRef

Images: TypeAlias = Mapping[tuple[str, str], ImageRef]
"""(stack, variant) → what the hub is to pull, ``name:tag@digest``."""

ORDER_SNIPPET = """\
from z2jh import get_config as _get_config

_order = _get_config("custom.imageStacks.order", {})
for _profile in c.KubeSpawner.profile_list:
    for _name, _option in _profile.get("profile_options", {}).items():
        _keys = _order.get(_profile.get("slug"), {}).get(_name, [])
        _choices = _option.get("choices", {})
        _option["choices"] = {
            _key: _choices[_key] for _key in dict.fromkeys([*_keys, *_choices]) if _key in _choices
        }
"""
"""For ``hub.extraConfig``: Helm sorts the keys of choices, and this puts them into the order of the hub's file again."""


def values(hub: Hub, offers: Sequence[Offer], images: Images) -> dict[str, object]:
    """Helm values, under the umbrella chart's keys where the hub has any."""
    ours: dict[str, object] = {} if hub.prefixed_keys else {"order": _keys(offers)}
    for mark, marked in {
        "retired": [one for one in offers if one.retired],
        "previous": [one for one in offers if one.previous and not one.retired],
    }.items():
        ours |= {mark: _keys(marked)} if marked else {}
    if table := _combinations(offers, images):
        ours |= {"menus": {slug: list(options) for slug, options in _keys(offers).items()}, "combinations": table}
    result: dict[str, object] = {"custom": {"imageStacks": ours}} if ours else {}
    result |= {"hub": {"extraConfig": {NAME: OPTIONS_SNIPPET}}} if table else {}
    result["singleuser"] = {
        "image": _image_fields(hub, offers, images),
        "profileList": profile_list(hub, offers, images),
    }
    for key in reversed(hub.wrap):
        result = {key: result}
    return result


def profile_list(hub: Hub, offers: Sequence[Offer], images: Images) -> list[dict[str, object]]:
    """Profiles in the hub's order; the first is the default. From a stack comes nothing but text and the image's name."""
    return [
        _filled(
            display_name=profile.title,
            slug=profile.slug,
            description=profile.description,
            default=index == 0,
            allowed_groups=list(profile.groups),
            kubespawner_override=dict(profile.override),
            profile_options=_options(hub, profile, [one for one in offers if one.profile == profile.slug], images),
        )
        for index, profile in enumerate((*hub.profiles, *retired_profiles(hub)))
    ]


def image_of(offer: Offer, images: Images) -> ImageRef:
    """What a hub pulls for ``offer``. Raises ValueError where no digest says which content that is."""
    image = offer.external or images[offer.stack, offer.variant]
    if image.digest is None:
        raise ValueError(f"{offer.id} is offered as {image}, without a digest")
    return image


def _options(hub: Hub, profile: Profile, offers: Sequence[Offer], images: Images) -> dict[str, object]:
    titles = {IMAGE: "Image", RESOURCES: "Resources"}
    choices: dict[str, dict[str, object]] = {IMAGE: {}}
    for one in (one for one in offers if one.option != COMBINATION):
        override = {"image": str(image_of(one, images))} if one.option == IMAGE else dict(one.override)
        titles.setdefault(one.option, one.menu)
        choices.setdefault(one.option, {})[one.key] = _filled(
            display_name=one.title, description=one.description, default=one.default, kubespawner_override=override
        )
    image = {"display_name": titles[IMAGE], "choices": choices.pop(IMAGE)} | _filled(
        unlisted_choice=_unlisted(hub) if profile.unlisted else {},
        dynamic_image_building={"enabled": True} if profile.build else {},
    )
    menus = {name: {"display_name": titles[name], "choices": menu} for name, menu in choices.items()}
    return {IMAGE: image, **menus}


def _combinations(offers: Sequence[Offer], images: Images) -> dict[str, dict[str, object]]:
    """By profile and key of the image: what ``hub.lookup`` looks up. A retired profile has what its successor has."""
    found: dict[str, dict[str, object]] = {}
    groups = {(one.profile, one.group): one for one in reversed(offers) if one.group and one.option == IMAGE}
    for group in reversed(groups.values()):  # each by its own key, before which no retired one stands
        here = [one for one in offers if one.profile == group.profile]
        members = [one for one in here if one.option == COMBINATION and one.group == group.group]
        menus = [one for one in here if one.menu and one.option in group.chosen]
        found.setdefault(group.profile, {})[group.key] = {
            "title": group.title,
            "image": str(image_of(group, images)),
            "options": {
                variable(option): {"title": title, "choices": _shown([one for one in menus if one.option == option])}
                for option, title in {one.option: one.menu for one in menus}.items()
            },
            "images": {
                one.key: {"title": one.title, "image": str(image_of(one, images)), "chosen": environment(one.chosen)}
                for one in members
            },
        }
    return found


def _shown(menu: Sequence[Offer]) -> dict[str, str]:
    """What a variable holds → what people chose for it; not the title of a retired key, which stands behind."""
    found: dict[str, str] = {}
    for one in menu:
        found.setdefault(environment(one.chosen)[variable(one.option)], one.title)
    return found


def _unlisted(hub: Hub) -> dict[str, object]:
    return {
        "enabled": True,
        "display_name": "Image",
        "display_name_in_choices": "Specify an existing image",
        "description_in_choices": "Any image that a hub can run, by its name",
        "validation_regex": hub.unlisted_regex or ANY_IMAGE,
        "validation_message": "The name of an image with a tag or a digest, as host/name:tag",
        "kubespawner_override": {"image": "{value}"},
    }


def _filled(**fields: object) -> dict[str, object]:
    """Without what is empty or false: both forms take that for absent."""
    return {name: value for name, value in fields.items() if value not in ("", False, [], {})}


def _keys(offers: Sequence[Offer]) -> dict[str, dict[str, list[str]]]:
    """By profile and option, in the order of ``offers``."""
    keys: dict[str, dict[str, list[str]]] = {}
    for one in (one for one in offers if one.option != COMBINATION):
        keys.setdefault(one.profile, {}).setdefault(one.option, []).append(one.key)
    return keys


def _image_fields(hub: Hub, offers: Sequence[Offer], images: Images) -> dict[str, object]:
    """What starts where no profile is chosen, and what the chart pulls beforehand. It joins both with a colon."""
    default = next(one for one in offers if one.profile == hub.profiles[0].slug and one.option == IMAGE and one.default)
    image = image_of(default, images)
    name = f"{image.host}/{image.repository}"
    if not image.tag:
        return {"name": f"{name}@sha256", "tag": str(image.digest).removeprefix("sha256:")}
    return {"name": name, "tag": f"{image.tag}@{image.digest}"}
