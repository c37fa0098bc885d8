"""The hub's own values: what Zero to JupyterHub's chart is told beside the profiles.

Nothing secret is here. What is, ``hub_secrets`` names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hubstack.errors import Problem
from hubstack.hub.account import Account, account_of, account_problems, builds
from hubstack.hub.binderhub import CALLBACK, CLIENT, PORT, SERVICE, binderhub_problems
from hubstack.hub.login import TEAMS_SNIPPET, has_groups, login_problems, login_secrets, login_values
from hubstack.hub.profiles import ORDER_SNIPPET
from hubstack.installation import CHART_S_PULL_SECRET, Authentication
from hubstack.model import Project
from hubstack.offer import Hub
from hubstack.reference import ImageRef

FANCY_SNIPPET = """\
from jupyterhub_fancy_profiles import setup_ui

setup_ui(c)
"""
GROUPS_SNIPPET = """\
from tornado.web import HTTPError

_all_profiles = c.KubeSpawner.profile_list


def _profiles_of(spawner):
    groups = {group.name for group in spawner.user.groups}
    profiles = [one for one in _all_profiles if not one.get("allowed_groups") or groups & set(one["allowed_groups"])]
    if not profiles:
        raise HTTPError(403, "None of your groups may start a server here.")
    return profiles


c.KubeSpawner.profile_list = _profiles_of
"""
"""For ``hub.extraConfig``: who is in none of a profile's ``allowed_groups`` neither sees nor starts it."""

START_TIMEOUT_S = 600  # a node that has just joined pulls the image first


def hub_values(hub: Hub, account: Account) -> dict[str, object]:
    """``installation_problems`` has been asked, and found no error."""
    installation = hub.installation
    values: dict[str, object] = {"hub": _hub(hub)}
    if proxy := _proxy(hub):
        values["proxy"] = proxy
    if installation.core_nodes:
        values["scheduling"] = {"userScheduler": {"nodeSelector": dict(installation.core_nodes)}}
    values["singleuser"] = _servers(hub)
    values["prePuller"] = {
        "hook": {"enabled": False},  # an upgrade would wait for every image on every node, and time out
        "continuous": {"enabled": True},
    }
    return values | _pull_secret(hub, account)


def hub_secrets(hub: Hub, account: Account) -> dict[str, object]:
    """Values that only a Secret may hold, each as a text that says what to write."""
    secrets: dict[str, object] = {}
    if hub.installation.login is not None:
        secrets["hub"] = {"config": login_secrets(hub.installation.login)}
    if hub.pull_secret == CHART_S_PULL_SECRET:
        secrets["imagePullSecret"] = {"password": account.password}
    return secrets


def wrapped(hub: Hub, values: Mapping[str, object]) -> Mapping[str, object]:
    """Under an umbrella chart's keys where the hub has any."""
    for key in reversed(hub.wrap):
        values = {key: values}
    return values


def _hub(hub: Hub) -> dict[str, object]:
    installation = hub.installation
    image = ImageRef.parse(installation.image)
    values: dict[str, object] = {
        "image": {"name": f"{image.host}/{image.repository}", "tag": _tag(image)},
        "config": login_values(hub, installation.login) if installation.login else {},
        "extraConfig": _snippets(hub),
    }
    if builds(hub):
        values["services"] = {"binder": _service(hub)}
        values["loadRoles"] = {"user": {"scopes": ["self", "access:services!service=binder"]}}
    if installation.core_nodes:
        values["nodeSelector"] = dict(installation.core_nodes)
    return values


def _proxy(hub: Hub) -> dict[str, object]:
    installation = hub.installation
    values: dict[str, object] = {}
    if installation.letsencrypt:
        host = installation.url.partition("://")[2]
        letsencrypt = {"contactEmail": installation.letsencrypt}
        values["https"] = {"enabled": True, "hosts": [host], "letsencrypt": letsencrypt}
    if installation.core_nodes:
        selector = {"nodeSelector": dict(installation.core_nodes)}
        values |= {"chp": selector, "traefik": selector}
    return values


def _tag(image: ImageRef) -> str:
    """The chart puts a colon between name and tag; a digest goes behind the tag."""
    return f"{image.tag}@{image.digest}" if image.digest else image.tag


def _snippets(hub: Hub) -> dict[str, str]:
    """The chart runs them in the order of their names: groups filter a list that is in order."""
    login = hub.installation.login
    snippets = {} if hub.prefixed_keys else {"hubstack-1-order": ORDER_SNIPPET}
    if has_groups(hub):
        snippets["hubstack-2-groups"] = GROUPS_SNIPPET
        if login is not None and login.kind is Authentication.GITHUB:
            snippets["hubstack-3-teams"] = TEAMS_SNIPPET
    return snippets | {"hubstack-4-fancy-profiles": FANCY_SNIPPET}


def _service(hub: Hub) -> dict[str, object]:
    return {
        "url": f"http://{SERVICE}:{PORT}",
        "oauth_client_id": CLIENT,
        "oauth_no_confirm": True,
        "oauth_redirect_uri": f"{hub.installation.url}{CALLBACK}",
        "display": False,
    }


def _servers(hub: Hub) -> dict[str, object]:
    installation = hub.installation
    storage: dict[str, object] = {"type": "none"}
    if installation.homes:
        storage = {"type": "dynamic", "capacity": installation.homes, "homeMountPath": "/home/jovyan"}
        if installation.storage_class:
            storage["dynamic"] = {"storageClass": installation.storage_class}
    values: dict[str, object] = {"startTimeout": START_TIMEOUT_S, "storage": storage}
    if installation.user_nodes:
        values["nodeSelector"] = dict(installation.user_nodes)
    return values


def _pull_secret(hub: Hub, account: Account) -> dict[str, object]:
    if hub.pull_secret == CHART_S_PULL_SECRET:
        return {"imagePullSecret": {"create": True, "registry": account.host, "username": account.username}}
    return {"imagePullSecrets": [{"name": hub.pull_secret}]} if hub.pull_secret else {}


# --- what is missing ---------------------------------------------------------------------------------------------------


def installation_problems(hub: Hub, project: Project) -> Iterator[Problem]:
    """What ``hubstack hub`` needs and has no default for, and what would not work. Errors and warnings."""
    source, installation = hub.source, hub.installation
    if not installation.url:
        remedy = "Write the address that people will use, as `url: https://hub.example.org`."
        yield Problem(position=source.at("hub"), what="url is missing", remedy=remedy)
    elif installation.letsencrypt and not installation.url.startswith("https://"):
        what, remedy = "url has no https, for which letsencrypt gets a certificate", "Write https://…."
        yield Problem(position=source.at("hub", "url"), what=what, remedy=remedy)
    if not installation.image:
        what = "image is missing: the chart's own hub has no jupyterhub-fancy-profiles"
        remedy = "Write `image: …`, one with them for the chart's release; docs/first-hub.md says where they are."
        yield Problem(position=source.at("hub"), what=what, remedy=remedy)
    elif not ImageRef.parse(installation.image).tag:
        what, remedy = "image has no tag, which the chart needs", "Write it as name:tag or name:tag@sha256:…."
        yield Problem(position=source.at("hub", "image"), what=what, remedy=remedy)
    if not installation.chart.version:
        what = f"the release of the chart {installation.chart.name} is missing"
        remedy = f"Write `chart: {{version: …}}`, one of those in {installation.chart.repository}."
        yield Problem(position=source.at("hub"), what=what, remedy=remedy)
    yield from login_problems(hub)
    yield from account_problems(hub, project)
    yield from binderhub_problems(hub, account_of(hub, project))
    yield from _neighbours(hub, project)


def _neighbours(hub: Hub, project: Project) -> Iterator[Problem]:
    """The chart's objects have fixed names (hub, proxy, …): a namespace holds one of it."""
    for other in project.hubs.values():
        if other.name != hub.name and other.namespace == hub.namespace and not (hub.wrap or other.wrap):
            yield Problem(
                position=hub.source.at("configmap", "namespace"),
                what=f"hub {other.name} is in namespace {hub.namespace}, too, and a namespace holds one",
                remedy="Give each hub a namespace of its own.",
            )
