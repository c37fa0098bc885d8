"""A hub's account in its registry: which one it is, as whom it pulls and pushes, and what would fail there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hubstack.errors import Problem, Severity
from hubstack.hub.registries import REGISTRIES, RegistryType, fits, kind_of, server
from hubstack.installation import CHART_S_PULL_SECRET, RegistryKind, Secrets
from hubstack.model import Project
from hubstack.offer import Hub
from hubstack.spelling import quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """``kind`` is None and the texts are empty where nothing says them; ``account_problems`` has then said so."""

    prefix: str  # what the names of built images begin with
    host: str
    kind: RegistryKind | None
    username: str

    @property
    def server(self) -> str:
        return server(self.host)

    @property
    def password(self) -> str:
        """What to write for it, for people."""
        return REGISTRIES[self.kind].password if self.kind else ""


def builds(hub: Hub) -> bool:
    """Whether BinderHub belongs to this hub."""
    return any(profile.build for profile in hub.profiles)


def account_of(hub: Hub, project: Project) -> Account:
    """Where stacks are; where BinderHub pushes, if that is elsewhere. By default it pushes beside the stacks."""
    registry = project.settings.registry
    prefix = hub.image_prefix or (f"{registry}/{hub.name}-" if registry else "")
    host = prefix.partition("/")[0] if builds(hub) or registry is None else registry.host
    kind = hub.installation.registry or kind_of(host)
    default = REGISTRIES[kind].default_username if kind else ""
    return Account(prefix=prefix, host=host, kind=kind, username=hub.installation.username or default)


def account_problems(hub: Hub, project: Project) -> Iterator[Problem]:
    """Errors and warnings; none where no password is needed."""
    account = account_of(hub, project)
    needed = hub.pull_secret == CHART_S_PULL_SECRET or builds(hub)
    if not needed or not account.host:  # without a host image_prefix or the project's registry is missed already
        return
    if account.kind is None:
        what = f"nothing says what kind of registry {account.host} is"
        remedy = f"Write `registry: {{kind: …}}`: {', '.join(REGISTRIES)}."
        yield Problem(position=hub.source.at("hub", "registry"), what=what, remedy=remedy)
        return
    registry = REGISTRIES[account.kind]
    yield from _name_problems(hub, account, account.kind, registry)
    if builds(hub):
        yield from _prefix_problems(hub, account.prefix, registry)
        yield from _private_problems(hub, registry)
    yield from _password_problems(hub, registry)


def _name_problems(hub: Hub, account: Account, kind: RegistryKind, registry: RegistryType) -> Iterator[Problem]:
    if not fits(kind, account.host):
        what = f"{account.host} is no registry of kind {kind}"
        remedy = "Correct `registry: {kind: …}`, or remove it where the host's name tells."
        yield Problem(position=hub.source.at("hub", "registry", "kind"), what=what, remedy=remedy)
    place = hub.source.at("hub", "registry", "username")
    if not account.username:
        what = f"{registry.title} is asked as nobody: registry has no username"
        remedy = f"Write `registry: {{username: …}}`, as {registry.example}; its password goes into a Secret."
        yield Problem(position=place, what=what, remedy=remedy)
    elif not re.fullmatch(registry.username, account.username):
        what = f"username is {quote(account.username)}, and {registry.title} calls nobody so"
        yield Problem(position=place, what=what, remedy=f"There it is {registry.example}.")


def _prefix_problems(hub: Hub, prefix: str, registry: RegistryType) -> Iterator[Problem]:
    depth = prefix.count("/") - 1
    if depth >= registry.components and (registry.nests or depth == registry.components):
        return
    exactly = "at least" if registry.nests else "exactly"
    yield Problem(
        position=hub.source.at("hub", "image_prefix"),
        what=f"image_prefix {quote(prefix)} has {depth} names between the host and the last part; "
        f"{registry.title} wants {exactly} {registry.components}",
        remedy=f"Write it as HOST/{'NAME/' * registry.components}{hub.name}-.",
    )


def _private_problems(hub: Hub, registry: RegistryType) -> Iterator[Problem]:
    """The trap: what BinderHub pushes is private, and servers of it never start (hub.md, 2)."""
    if hub.pull_secret or registry.nodes_pull:
        return
    yield Problem(
        position=hub.source.at("hub", "pull_secret"),
        what=f"{registry.title} keeps what is pushed private, and this hub pulls without credentials"
        if registry.private
        else f"this hub pulls without credentials, so {registry.title}'s project must be public",
        remedy=f"Write `pull_secret: {CHART_S_PULL_SECRET}`: the chart makes it of `registry` and a password.",
        severity=Severity.ERROR if registry.private else Severity.WARNING,
    )


def _password_problems(hub: Hub, registry: RegistryType) -> Iterator[Problem]:
    if registry.hours:
        worthless = f"{registry.title}'s passwords are worthless after {registry.hours} hours"
        if hub.pull_secret == CHART_S_PULL_SECRET:
            remedy = "Name a secret that something renews, or write `none` where the nodes have the right to pull."
            yield Problem(position=hub.source.at("hub", "pull_secret"), what=worthless, remedy=remedy)
        if builds(hub) and hub.installation.secrets is not Secrets.EXISTING:
            what = f"{worthless}, and secrets in git stay as they are"
            remedy = "Write `secrets: {kind: existing}`, and let something renew them."
            yield Problem(position=hub.source.at("hub", "secrets"), what=what, remedy=remedy)
    if builds(hub) and not registry.creates:
        yield Problem(
            position=hub.source.at("hub", "image_prefix"),
            what=f"a push to {registry.title} fails where nobody has made the repository, and BinderHub makes none",
            remedy="Have repositories created on push there, or let builds go to a registry that does it.",
            severity=Severity.WARNING,
        )
