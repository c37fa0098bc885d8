"""What hubs offer: the records of the files under ``profiles/``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hubstack.installation import Installation
from hubstack.reference import Digest, ImageRef
from hubstack.source import Position, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A choice of the hub's ``resources`` option. ``override`` holds KubeSpawner traits, already typed."""

    key: str
    title: str
    description: str = ""
    default: bool = False
    override: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    slug: str
    title: str
    description: str = ""
    stacks: tuple[str, ...]  # STACK, STACK/VARIANT or a glob; the order is the launcher's
    default: str = ""  # STACK/VARIANT; empty: the first
    unlisted: bool = False  # "specify an existing image"
    build: bool = False  # "build your own image"
    previous: bool = False  # each of its stacks' images is offered as it was before its last change, too
    resources: tuple[Resource, ...] = ()
    groups: tuple[str, ...] = ()
    override: Mapping[str, object] = field(default_factory=dict)  # KubeSpawner traits, already typed


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """What is no longer offered, but still resolves: to ``successor``.

    A choice's successor is a choice's key in the same profile. Without a key it is a whole profile, whose successor is
    another profile's slug; choices of a retired profile may be retired as well.
    """

    profile: str
    key: str = ""
    successor: str
    until: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class External:
    """An image that is offered without being built here. ``image`` carries a digest."""

    profile: str
    key: str
    title: str
    description: str = ""
    image: ImageRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """An image that no hub offers any more, whatever else says so."""

    digest: Digest
    reason: str
    position: Position


@dataclass(frozen=True, kw_only=True)
class Hub:
    """A file under ``profiles/``: a JupyterHub, its ConfigMap and what it offers."""

    name: str
    configmap: str
    namespace: str
    follow: str = "latest"  # a channel
    promoted_from: str = ""  # a hub whose images it takes over when somebody says so, instead of following a channel
    jupyterhub: str = ""  # its release, for the check against the images' single-user servers
    pull_secret: str = ""  # empty: the hub pulls without credentials
    wrap: tuple[str, ...] = ()  # the umbrella chart's keys above z2jh's values, outermost first
    prefixed_keys: bool = False  # True: the order of choices is kept by key prefixes, not by extraConfig
    lists_options: bool = (
        False  # True: combinations of options are choices; else menus, for which extraConfig is needed
    )
    image_prefix: str = ""  # BinderHub's; its images must pass the unlisted choice's regular expression
    unlisted_regex: str = ""  # empty: any image reference with a tag or a digest
    profiles: tuple[Profile, ...] = ()
    retired: tuple[Retired, ...] = ()
    external: tuple[External, ...] = ()
    withdrawn: tuple[Withdrawn, ...] = ()  # the project's, and then its own
    installation: Installation = field(default_factory=Installation)  # what `hubstack hub` alone needs
    source: Source
