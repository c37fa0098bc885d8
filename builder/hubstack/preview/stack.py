"""The stacks on which a hub's people may build repositories, as its launcher names their images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hubstack.hub.choice import offers
from hubstack.hub.configmap import Emitted
from hubstack.hub.menu import IMAGE
from hubstack.model import Graph, Project
from hubstack.offer import Hub
from hubstack.repository.choice import Offer
from hubstack.repository.project import find_offers


def find_stacks(
    hub: Hub, project: Project, graph: Graph, profiles: Sequence[Mapping[str, Any]], emitted: Emitted | None
) -> tuple[Offer, ...]:
    """Those of the project that ``profiles`` offers, the smallest first. Raises ProjectError."""
    shown = {profile["slug"]: _images(profile) for profile in profiles}
    images = {
        one.id: image
        for one in offers(project, graph, hub, emitted)
        if one.stack and one.option == IMAGE and not one.retired and not one.previous
        if (image := shown.get(one.profile, {}).get(one.key))
    }
    there = find_offers(project, graph, project.settings.platforms[0])
    return tuple(replace(one, image=images[one.name]) for one in there if one.name in images)


def _images(profile: Mapping[str, Any]) -> dict[str, str]:
    choices = profile.get("profile_options", {}).get(IMAGE, {}).get("choices", {})
    return {key: choice.get("kubespawner_override", {}).get("image", "") for key, choice in choices.items()}


def as_json(stack: Offer) -> dict[str, Any]:
    return {
        "name": stack.name,
        "image": stack.image,
        "python": stack.python,
        "provides": sorted(stack.provides),
    }


def parse(found: Mapping[str, Any]) -> Offer:
    return Offer(
        name=found["name"],
        image=found["image"],
        python=found["python"],
        provides=frozenset(found["provides"]),
    )
