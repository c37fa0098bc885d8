"""KubeSpawner's ``profile_list``, and the Helm values that carry it to the JupyterHub chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from hubstack.hub.choice import IMAGE, RESOURCES, Offer, retired_profiles
from hubstack.hub.expression import ANY_IMAGE
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
    result: dict[str, object] = {"custom": {"imageStacks": ours}} if ours else {}
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
    choices: dict[str, dict[str, object]] = {IMAGE: {}, RESOURCES: {}}
    for one in offers:
        override = {"image": str(image_of(one, images))} if one.option == IMAGE else dict(one.override)
        choices[one.option][one.key] = _filled(
            display_name=one.title, description=one.description, default=one.default, kubespawner_override=override
        )
    image = {"display_name": "Image", "choices": choices[IMAGE]} | _filled(
        unlisted_choice=_unlisted(hub) if profile.unlisted else {},
        dynamic_image_building={"enabled": True} if profile.build else {},
    )
    resources = {"display_name": "Resources", "choices": choices[RESOURCES]}
    return {IMAGE: image} | ({RESOURCES: resources} if choices[RESOURCES] else {})


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
    for one in offers:
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
