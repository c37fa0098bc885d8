"""A launcher's menus: for each profile the image, the options of its stacks and resources, each with its choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hubstack.reference import ImageRef
from hubstack.source import Position

IMAGE = "image"  # fancy-profiles builds images for an option of this key alone
PREVIOUS = "-previous"  # what the key of a previous image ends with
COMBINATION = "combination"  # no option of KubeSpawner's: what the choices of several options mean together
RESOURCES = "resources"  # after "image", in which order Helm puts them and KubeSpawner obeys them


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A choice in a profile: of the image (a stack's variant, or one that is not built here), of a stack's option, or of
    resources.

    A variant of a stack with options may be a COMBINATION instead: then people reach it by the choices of its options.
    """

    profile: str  # its slug
    option: str = IMAGE
    key: str
    title: str
    description: str = ""
    default: bool = False
    stack: str = ""
    variant: str = ""
    external: ImageRef | None = None
    override: Mapping[str, object] = field(default_factory=dict)  # of resources; an image's comes from the registry
    retired: bool = False  # another key for what succeeded it
    previous: bool = False  # the stack's image before its last change; hub.previous says which one that is
    position: Position  # in the hub's file, of what brought it here
    texts: tuple[tuple[str, Position], ...]  # what title and description are made of, and where each was written
    chosen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # each option of its stack → layers
    group: str = ""  # the image's key for all variants that differ in their options alone; empty: it is none of several
    group_title: str = ""
    menu: str = ""  # of a stack's option: what people read above its choices

    @property
    def id(self) -> str:
        """What an author writes to name it."""
        return f"{self.stack}/{self.variant}" if self.stack else self.key
