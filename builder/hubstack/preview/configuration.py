"""The hub's own configuration: JupyterHub as the chart of Zero to JupyterHub runs it, without a cluster."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Any

from hubstack.preview.container import Containers
from hubstack.preview.launcher import add_combinations
from hubstack.preview.options import VARIABLE, Options

START_S = 900  # a big image is pulled in that time
ANSWER_S = 120
SERVICE = "binder"  # fancy-profiles asks /services/binder/ and nothing else
KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: none, cluster: {server: "http://127.0.0.1:9"}}]
contexts: [{name: none, context: {cluster: none, user: none}}]
current-context: none
users: [{name: none, user: {}}]
"""
"""KubeSpawner reads such a file as it begins; nobody is ever asked at that address."""


def configure(c: Any, options: Options) -> None:
    from jupyterhub_fancy_profiles import setup_ui  # type: ignore[import-untyped]

    _hub(c, options)
    _proxy(c, options)
    _spawner(c, options)
    if options.stack_image:
        _service(c, options)
    setup_ui(c)


def _hub(c: Any, options: Options) -> None:
    c.JupyterHub.bind_url = f"http://127.0.0.1:{options.port}/"
    c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{options.hub_port}/hub/"
    c.JupyterHub.db_url = "sqlite:///:memory:"
    c.JupyterHub.cookie_secret_file = f"{options.state}/cookie-secret"
    c.JupyterHub.authenticator_class = "dummy"
    c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}  # as the chart: always the progress page
    c.DummyAuthenticator.password = options.password
    c.Authenticator.allow_all = True


def _proxy(c: Any, options: Options) -> None:
    c.ConfigurableHTTPProxy.command = [*_guard(), sys.executable, "-P", "-m", "hubstack.preview.proxy"]
    c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{options.proxy_port}"
    c.ConfigurableHTTPProxy.pid_file = f"{options.state}/proxy.pid"


def _guard() -> list[str]:
    """What it starts gets SIGTERM when the hub was killed and could not end it."""
    setpriv = shutil.which("setpriv")  # util-linux: not on macOS
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def _spawner(c: Any, options: Options) -> None:
    c.JupyterHub.spawner_class = "hubstack.preview.spawner.PreviewSpawner"
    c.PreviewSpawner.containers = Containers(project=options.project, state=options.state)
    c.KubeSpawner.cmd = ["jupyterhub-singleuser"]
    c.KubeSpawner.start_timeout = START_S
    c.KubeSpawner.http_timeout = ANSWER_S
    c.KubeSpawner.profile_list = [*options.profiles]
    if options.combinations:
        add_combinations(c, options.combinations)


def _service(c: Any, options: Options) -> None:
    c.JupyterHub.services = [
        {
            "name": SERVICE,
            "url": f"http://127.0.0.1:{options.binder_port}",
            "command": [*_guard(), sys.executable, "-P", "-m", "hubstack.preview.binder"],
            "environment": {**os.environ, VARIABLE: str(options.path)},  # the engine's address, proxies, certificates
        }
    ]
    c.JupyterHub.load_roles = [{"name": "user", "scopes": ["self", f"access:services!service={SERVICE}"]}]
