"""BinderHub's values: what the chart binderhub-service is told, so that the launcher's "build your own image" works.

fancy-profiles asks for ``/services/binder/`` and nothing else, so the service's name and path are no choice.
"""

from __future__ import annotations

from collections.abc import Iterator

from hubstack.errors import Problem
from hubstack.hub.account import Account, builds
from hubstack.hub.bases import Bases
from hubstack.hub.expression import expression_faults
from hubstack.offer import Hub

SERVICE = "binderhub"
"""The HelmRelease's and the Service's name."""
PORT = 8090
PATH = "/services/binder"
CALLBACK = f"{PATH}/oauth_callback"
CLIENT = "service-binder"
TOLERATIONS = tuple(  # the chart of JupyterHub taints people's nodes so; some clouds allow no slash
    {"key": key, "operator": "Equal", "value": "user", "effect": "NoSchedule"}
    for key in ("hub.jupyter.org/dedicated", "hub.jupyter.org_dedicated")
)


def binderhub_values(hub: Hub, account: Account, bases: Bases) -> dict[str, object]:
    """Without what is secret."""
    installation = hub.installation
    values: dict[str, object] = {
        "fullnameOverride": SERVICE,
        "service": {"port": PORT},
        "config": _config(hub, account, bases),
        "buildPodsRegistryCredentials": {"server": account.server, "username": account.username},
        "dockerApi": _docker(hub),
        "extraEnv": _environment(hub),
        "podLabels": {"hub.jupyter.org/network-access-hub": "true"},  # the hub's NetworkPolicy lets nobody else in
    }
    if installation.core_nodes:
        values["nodeSelector"] = dict(installation.core_nodes)
    return values


def binderhub_secrets(account: Account) -> dict[str, object]:
    """Values that only a Secret may hold: the one password at both places that need it."""
    return {
        "config": {"DockerRegistry": {"password": account.password}},
        "buildPodsRegistryCredentials": {"password": account.password},
    }


def image_prefix(account: Account, release: str) -> str:
    """With the stacks' release: what was built on older ones is built again."""
    return f"{account.prefix}{release}-" if release else account.prefix


def _config(hub: Hub, account: Account, bases: Bases) -> dict[str, object]:
    build, user_nodes = hub.installation.build, hub.installation.user_nodes
    executor: dict[str, object] = {}
    if bases.image:
        executor["build_image"] = bases.image
    if arguments := [*bases.arguments, *build.arguments]:
        executor["repo2docker_extra_args"] = arguments
    if user_nodes:
        executor["node_selector"] = dict(user_nodes)  # where the docker daemons are
    config: dict[str, object] = {
        "BinderHub": {
            "base_url": PATH,
            "use_registry": True,
            "auth_enabled": True,
            "image_prefix": image_prefix(account, bases.release),
        },
        "DockerRegistry": {"url": account.server, "username": account.username},  # or each launch would build again
    }
    return config | ({"KubernetesBuildExecutor": executor} if executor else {})


def _docker(hub: Hub) -> dict[str, object]:
    """The daemon on each node for people, into whose socket builds are sent."""
    installation = hub.installation
    values: dict[str, object] = {
        "tolerations": [dict(one) for one in TOLERATIONS],
        "storage": {"emptyDir": {"sizeLimit": installation.build.storage}},
    }
    return values | ({"nodeSelector": dict(installation.user_nodes)} if installation.user_nodes else {})


def _environment(hub: Hub) -> list[dict[str, object]]:
    """What JupyterHub would set if it started this service itself."""
    token = {"name": "hub", "key": "hub.services.binder.apiToken"}  # the JupyterHub chart generates it
    return [
        {"name": "JUPYTERHUB_API_TOKEN", "valueFrom": {"secretKeyRef": token}},
        {"name": "JUPYTERHUB_API_URL", "value": "http://hub:8081/hub/api"},
        {"name": "JUPYTERHUB_BASE_URL", "value": "/"},
        {"name": "JUPYTERHUB_CLIENT_ID", "value": CLIENT},
        {"name": "JUPYTERHUB_OAUTH_CALLBACK_URL", "value": f"{hub.installation.url}{CALLBACK}"},
    ]


def binderhub_problems(hub: Hub, account: Account) -> Iterator[Problem]:
    """What the service needs and has no default for; nothing where no profile has ``build``."""
    if not builds(hub):
        return
    index = next(index for index, profile in enumerate(hub.profiles) if profile.build)
    place, chart = hub.source.at("profiles", index, "build"), hub.installation.build.chart
    if not chart.version:
        remedy = f"Under `hub`, write `build: {{chart: {{version: …}}}}`, one of those in {chart.repository}."
        what = f"this needs BinderHub, and the release of the chart {chart.name} is missing"
        yield Problem(position=place, what=what, remedy=remedy)
    if not account.prefix:
        what = "this needs BinderHub, and nothing says how the images are called that it builds"
        remedy = "Under `hub`, write `image_prefix: HOST/NAME/…-`, where only this hub pushes."
        yield Problem(position=place, what=what, remedy=remedy)
    elif hub.unlisted_regex:
        prefix = image_prefix(account, "01234567")
        for fault, remedy in expression_faults(hub.unlisted_regex, image_prefix=prefix, built=True):
            what = f"the regular expression {fault}"
            yield Problem(position=hub.source.at("unlisted_regex"), what=what, remedy=remedy)
