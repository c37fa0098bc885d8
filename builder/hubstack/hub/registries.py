"""The registries that hubs pull from and BinderHub pushes to: what each calls its server, its users and its passwords.

All are spoken to by the distribution protocol. They differ in how robots are called, in how deep names nest, and in who
may read what has just been pushed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hubstack.installation import RegistryKind


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryType:
    """``username`` and ``host`` are regular expressions; an empty ``host`` fits any, and must be told by ``kind``."""

    title: str
    host: str = ""
    username: str = r"\S+"
    default_username: str = ""  # where there is only one
    example: str  # a user name, for people
    password: str  # what goes into the Secret, for people
    components: int = 1  # of a repository's name, in front of its last one
    nests: bool = True  # whether there may be more
    private: bool = True  # what nobody was asked about: whether only those with a password may pull it
    nodes_pull: bool = False  # whether nodes of the same cloud pull without a secret, by a role of theirs
    hours: int = 0  # after which a password is worthless; 0: it lasts
    creates: bool = True  # whether a first push creates the repository


REGISTRIES: Mapping[RegistryKind, RegistryType] = {
    RegistryKind.QUAY: RegistryType(
        title="Quay",
        host=r"quay\.io",
        username=r"[a-z0-9._-]+\+[a-z0-9_-]+",
        example="organization+robot",
        password="the robot's token",  # noqa: S106 - says what to write
        nests=False,
    ),
    RegistryKind.GAR: RegistryType(
        title="Google Artifact Registry",
        host=r"[a-z0-9-]+-docker\.pkg\.dev",
        username="_json_key",
        default_username="_json_key",
        example="_json_key",
        password="the service account's key: its JSON on one line, in single quotes",  # noqa: S106
        components=2,
        nodes_pull=True,
    ),
    RegistryKind.GHCR: RegistryType(
        title="GitHub's container registry",
        host=r"ghcr\.io",
        example="robot-account",
        password="a personal access token (classic) with write:packages",  # noqa: S106
    ),
    RegistryKind.ECR: RegistryType(
        title="Amazon ECR",
        host=r"[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com",
        username="AWS",
        default_username="AWS",
        example="AWS",
        password="what `aws ecr get-login-password` prints",  # noqa: S106
        components=0,
        nodes_pull=True,
        hours=12,
        creates=False,
    ),
    RegistryKind.ACR: RegistryType(
        title="Azure Container Registry",
        host=r"[a-z0-9]+\.azurecr\.io",
        example="the application id of a service principal, or a token's name",
        password="the service principal's secret, or the token's password",  # noqa: S106
        components=0,
        nodes_pull=True,
    ),
    RegistryKind.HARBOR: RegistryType(
        title="Harbor",
        username=r"robot[$+].+",
        example="robot$project+name",
        password="the robot's secret",  # noqa: S106
        private=False,
    ),
}


def kind_of(host: str) -> RegistryKind | None:
    """By its host alone, which Harbor and a Quay of one's own don't tell."""
    known = ((kind, one.host) for kind, one in REGISTRIES.items() if one.host)
    return next((kind for kind, pattern in known if re.fullmatch(pattern, host)), None)


def fits(kind: RegistryKind, host: str) -> bool:
    """A Quay may stand anywhere, the clouds' registries only under their own names."""
    pattern = REGISTRIES[kind].host
    return kind is RegistryKind.QUAY or not pattern or re.fullmatch(pattern, host) is not None


def server(host: str) -> str:
    """As docker's config, BinderHub and its chart name it."""
    return f"https://{host}"
