"""What a hub is made of beside its images: charts, addresses, log-in, registry account, nodes, homes.

``hubstack hub`` needs it and nothing else does. Empty text means "not said": what has no sensible default is asked for
when that verb is used, and not before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

JUPYTERHUB_CHARTS = "https://hub.jupyter.org/helm-chart/"
BINDERHUB_CHARTS = "https://2i2c.org/binderhub-service/"
CHART_S_PULL_SECRET = "image-pull-secret"  # noqa: S105 - its name
"""The secret that the JupyterHub chart makes by itself, of a registry, a user name and a password."""


class Authentication(StrEnum):
    GITHUB = "github"
    GENERIC = "generic"
    DUMMY = "dummy"


class RegistryKind(StrEnum):
    QUAY = "quay"
    GAR = "gar"
    GHCR = "ghcr"
    ECR = "ecr"
    ACR = "acr"
    HARBOR = "harbor"


class Secrets(StrEnum):
    SOPS = "sops"
    EXISTING = "existing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A Helm chart. ``repository`` begins with ``https://`` or ``oci://``."""

    name: str
    repository: str
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Who may log in, and how. Passwords and client secrets are no part of it."""

    kind: Authentication
    client_id: str = ""
    organizations: tuple[str, ...] = ()  # GitHub's: ORGANIZATION or ORGANIZATION:TEAM
    groups: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    admins: tuple[str, ...] = ()
    everybody: bool = False
    authorize_url: str = ""  # this and what follows: of generic OAuth
    token_url: str = ""
    userdata_url: str = ""
    username_claim: str = "preferred_username"
    groups_claim: str = "groups"
    scope: tuple[str, ...] = ("openid", "profile")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildService:
    """The BinderHub service. It is installed where a profile has ``build``."""

    chart: Chart = Chart(name="binderhub-service", repository=BINDERHUB_CHARTS)
    image: str = ""  # runs repo2docker; empty: BinderHub's own choice
    arguments: tuple[str, ...] = ()  # for repo2docker
    storage: str = "15Gi"  # of each node's docker daemon


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    url: str = ""  # https://HOST, without a path
    letsencrypt: str = ""  # whom Let's Encrypt writes to; empty: the certificate is somebody else's business
    chart: Chart = Chart(name="jupyterhub", repository=JUPYTERHUB_CHARTS)
    release: str = "jupyterhub"
    image: str = ""  # of the hub itself
    login: Login | None = None
    registry: RegistryKind | None = None  # None: told from the host's name
    username: str = ""  # in the registry
    core_nodes: Mapping[str, str] = field(default_factory=dict)  # labels
    user_nodes: Mapping[str, str] = field(default_factory=dict)
    homes: str = "10Gi"  # empty: they vanish with the server
    storage_class: str = ""  # empty: the cluster's default
    secrets: Secrets = Secrets.SOPS
    age: tuple[str, ...] = ()  # public keys
    interval: str = "10m"
    timeout: str = "30m"
    build: BuildService = BuildService()
