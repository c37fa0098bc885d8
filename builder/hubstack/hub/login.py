"""Who may log in: the authenticator's part of a hub's values. Its secrets are named here and written nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hubstack.errors import Problem, Severity
from hubstack.installation import Authentication, Login
from hubstack.offer import Hub

TEAMS_SNIPPET = """\
c.GitHubOAuthenticator.auth_state_groups_key = lambda auth_state: [
    f"{team['organization']['login']}:{team['slug']}" for team in auth_state.get("teams") or ()
]
"""
"""For ``hub.extraConfig``: GitHub's teams are the users' groups, as ORGANIZATION:TEAM."""

_CLASSES: Mapping[Authentication, tuple[str, str]] = {  # JupyterHub's name for it, and its class
    Authentication.GITHUB: ("github", "GitHubOAuthenticator"),
    Authentication.GENERIC: ("generic-oauth", "GenericOAuthenticator"),
    Authentication.DUMMY: ("dummy", "DummyAuthenticator"),
}


def has_groups(hub: Hub) -> bool:
    return any(profile.groups for profile in hub.profiles)


def login_values(hub: Hub, login: Login) -> dict[str, object]:
    """``hub.config`` of the chart, without what is secret."""
    name, owner = _CLASSES[login.kind]
    config: dict[str, object] = {"JupyterHub": {"authenticator_class": name}}
    if own := _own_settings(hub, login):
        config[owner] = own
    config["Authenticator"] = {
        "allow_all": login.everybody or login.kind is Authentication.DUMMY,
        "allowed_users": list(login.users),
        "admin_users": list(login.admins),
    }
    return config


def login_secrets(login: Login) -> dict[str, dict[str, str]]:
    """What is secret in it, with what to write there."""
    _, owner = _CLASSES[login.kind]
    if login.kind is Authentication.DUMMY:
        return {owner: {"password": "the password that everybody shares"}}
    return {owner: {"client_secret": "the OAuth application's client secret"}}


def _own_settings(hub: Hub, login: Login) -> dict[str, object]:
    if login.kind is Authentication.DUMMY:
        return {}
    settings: dict[str, object] = {
        "client_id": login.client_id,
        "oauth_callback_url": f"{hub.installation.url}/hub/oauth_callback",
    }
    return settings | (_github(hub, login) if login.kind is Authentication.GITHUB else _generic(hub, login))


def _github(hub: Hub, login: Login) -> dict[str, object]:
    settings: dict[str, object] = {}
    if login.organizations:
        settings["allowed_organizations"] = list(login.organizations)
    if login.organizations or has_groups(hub):
        settings["scope"] = ["read:org"]  # without it GitHub hides private memberships
    if has_groups(hub):
        settings |= {"manage_groups": True, "populate_teams_in_auth_state": True}
    return settings


def _generic(hub: Hub, login: Login) -> dict[str, object]:
    settings: dict[str, object] = {
        "authorize_url": login.authorize_url,
        "token_url": login.token_url,
        "userdata_url": login.userdata_url,
        "username_claim": login.username_claim,
        "scope": list(login.scope),
    }
    if login.groups or has_groups(hub):
        settings |= {"manage_groups": True, "auth_state_groups_key": f"oauth_user.{login.groups_claim}"}
    if login.groups:
        settings["allowed_groups"] = list(login.groups)
    return settings


def login_problems(hub: Hub) -> Iterator[Problem]:
    login, source = hub.installation.login, hub.source
    if login is None:
        what = "nothing says who may log in"
        remedy = "Write `login: {kind: github, client_id: …, organizations: […]}`, or another kind."
        yield Problem(position=source.at("hub"), what=what, remedy=remedy)
        return
    place = source.at("hub", "login")
    for name, remedy in _missing(login):
        yield Problem(position=place, what=f"{login.kind} needs {name}", remedy=remedy)
    for name, kind in (("organizations", Authentication.GITHUB), ("groups", Authentication.GENERIC)):
        if getattr(login, name) and login.kind is not kind:
            what = f"{name} are what {kind} asks for, and this is {login.kind}"
            yield Problem(position=source.at("hub", "login", name), what=what, remedy="Remove them.")
    if not _lets_in(login):
        what = "nobody may log in"
        remedy = "Name organizations, groups, users or admins, or write `everybody: true`."
        yield Problem(position=place, what=what, remedy=remedy)
    yield from _warnings(hub, login)


def _missing(login: Login) -> Iterator[tuple[str, str]]:
    if login.kind is not Authentication.DUMMY and not login.client_id:
        yield "client_id", "Register the hub with the provider, and write `client_id: …`; its secret goes elsewhere."
    if login.kind is Authentication.GENERIC:
        for name in ("authorize_url", "token_url", "userdata_url"):
            if not getattr(login, name):
                remedy = "The provider's page /.well-known/openid-configuration has it."
                yield name, remedy


def _lets_in(login: Login) -> bool:
    named = login.organizations or login.groups or login.users or login.admins
    return bool(named) or login.everybody or login.kind is Authentication.DUMMY


def _warnings(hub: Hub, login: Login) -> Iterator[Problem]:
    if login.kind is not Authentication.DUMMY:
        return
    yield Problem(
        position=hub.source.at("hub", "login", "kind"),
        what="with dummy, whoever knows the one password is anybody, admins included",
        remedy="Use it for trials.",
        severity=Severity.WARNING,
    )
    for index, profile in enumerate(hub.profiles):
        if profile.groups:
            yield Problem(
                position=hub.source.at("profiles", index, "groups"),
                what="dummy knows no groups: only admins can put users into some",
                remedy="Use another kind of login, or make the groups on the hub.",
                severity=Severity.WARNING,
            )
