"""What BinderHub builds repositories on: the stacks that the hub offers, in an image that runs repo2docker with them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hubstack.hub.choice import offers
from hubstack.hub.configmap import parse_configmap
from hubstack.hub.menu import IMAGE, Offer
from hubstack.model import Graph, Project
from hubstack.offer import Hub
from hubstack.repository.binder import build_image_files, extra_args
from hubstack.repository.project import find_offers

FOLDER = "build-image"
"""In the hub's folder: what to build and push, since a build pod can't be given files."""
_LENGTH = 8


@dataclass(frozen=True, kw_only=True)
class Bases:
    """Empty where the hub builds nothing, or with repo2docker as it is."""

    files: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    arguments: tuple[str, ...] = ()

    @property
    def release(self) -> str:
        """Another one when a stack's image or the build pack is; BinderHub knows what it has built by name alone."""
        if not self.files:
            return ""
        digest = hashlib.sha256()
        for path, text in sorted(self.files.items()):
            digest.update(f"{path}\0{text}\0".encode())
        return digest.hexdigest()[:_LENGTH]


def find_bases(hub: Hub, project: Project, graph: Graph, configmap: str) -> Bases:
    """``configmap`` is the text of the profiles' one, which says each stack's image. Raises ProjectError."""
    image = hub.installation.build.image
    building = [profile.slug for profile in hub.profiles if profile.build]
    if not image or not building:
        return Bases()
    past = parse_configmap(configmap, hub.source.path)
    there = find_offers(project, graph, project.settings.platforms[0])
    names = {one.name for one in there}
    images, default = {}, ""
    for one in offers(project, graph, hub, past):
        if _is_base(one) and one.id in names:
            images[one.id] = past.choices(one.profile, IMAGE)[one.key].image
            if one.default and one.profile == building[0]:
                default = images[one.id]
    stacks: dict[str, Any] = {one.name: replace(one, image=images[one.name]) for one in there if one.name in images}
    if not stacks:
        return Bases(image=image)  # only foreign images are offered
    default = default or next(one.image for one in stacks.values())
    found = {f"{FOLDER}/{path}": content.decode() for path, content in build_image_files(default, stacks).items()}
    bases = Bases(files=found, arguments=tuple(extra_args()))
    return replace(bases, image=_tagged(image, bases.release))


def _is_base(offer: Offer) -> bool:
    return bool(offer.stack) and offer.option == IMAGE and not offer.retired and not offer.previous


def _tagged(image: str, release: str) -> str:
    """An image without a tag gets one that is new whenever it must be built again."""
    return image if ":" in image.rpartition("/")[2] or "@" in image else f"{image}:{release}"
