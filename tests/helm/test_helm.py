"""The real Helm merges what we write with a chart's values and with secrets, and the hub gets what was meant."""

from __future__ import annotations

import asyncio
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from hubstack.project import load_project
from traitlets.config import Config

from tests.helm.conftest import Helm
from tests.helm.tree import HUBS, THREE_HUBS

pytestmark = pytest.mark.slow  # whole runs of the command, and of helm or kubectl

Emitted = Mapping[tuple[str, str], Path]


def values_of(folder: Path, release: str) -> list[Path]:
    """In the order in which the HelmRelease names them: base, profiles, secrets."""
    names = [release, *(["profiles"] if release == "jupyterhub" else []), f"{release}-secrets.example"]
    return [folder / "values" / f"{name}.yaml" for name in names]


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def choices(values: Any, profile: int = 0, option: str = "image") -> Any:
    return values["singleuser"]["profileList"][profile]["profile_options"][option]["choices"]


# --- what becomes of the profiles ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hub", HUBS)
def test_helm_forgets_the_order_and_the_snippets_of_the_values_bring_it_back(
    helm: Helm, emitted: Emitted, hub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged = helm.merged(values_of(emitted[hub, "helm"], "jupyterhub"))
    wanted = [*choices(load(emitted[hub, "helm"] / "values/profiles.yaml"))]
    assert [*choices(merged)] == sorted(wanted)
    config = run_snippets(merged, monkeypatch)
    found = profiles_for(config, groups={"gpu-users"})
    assert [*found[0]["profile_options"]["image"]["choices"]] == wanted
    assert [one["slug"] for one in found] == [one.slug for one in load_project(THREE_HUBS)[0].hubs[hub].profiles]


def test_one_order_is_really_another_than_helms(helm: Helm, emitted: Emitted) -> None:
    merged = helm.merged(values_of(emitted["prod", "helm"], "jupyterhub"))
    assert [*choices(merged)] == ["science-bookworm", "science-trixie", "torch"]
    assert [*choices(load(emitted["prod", "helm"] / "values/profiles.yaml"))] == [
        "science-trixie",
        "science-bookworm",
        "torch",
    ]
    assert [*choices(merged, option="resources")] == ["large", "small"]


def test_texts_stay_texts_and_numbers_numbers(helm: Helm, emitted: Emitted) -> None:
    """Without quotes Helm reads ``y`` as true, and 1e3 and the short commit 84e1234 as numbers."""
    merged = helm.merged(values_of(emitted["prod", "helm"], "jupyterhub"))
    assert choices(merged)["science-trixie"]["description"] == "y"
    assert choices(merged)["torch"]["description"] == "84e1234"
    assert choices(merged, option="resources")["large"]["kubespawner_override"] == {"mem_limit": "8G", "cpu_limit": 4}
    gpu = helm.merged(values_of(emitted["gpu", "helm"], "jupyterhub"))["singleuser"]["profileList"][0]
    assert gpu["kubespawner_override"] == {
        "environment": {"COMMIT": "1234e56", "ANSWER": "y", "LIMIT": "1e3"},
        "extra_resource_limits": {"nvidia.com/gpu": "1"},
        "node_selector": {"gpu": "true"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
    }


def test_what_helm_would_make_of_them_without_quotes(helm: Helm, tmp_path: Path) -> None:
    """The fault that the quotes keep off is a real one."""
    bare = yaml.safe_dump({"a": "y", "b": "1e3", "c": "1234e56"}).replace("'", "")
    (tmp_path / "bare.yaml").write_text(bare)
    assert helm.merged([tmp_path / "bare.yaml"]).items() >= {"a": True, "b": 1000.0}.items()
    assert helm.merged([tmp_path / "bare.yaml"])["c"] == 1234e56


def test_lists_replace_and_maps_merge(helm: Helm, emitted: Emitted) -> None:
    merged = helm.merged(values_of(emitted["prod", "helm"], "jupyterhub"))
    assert [one["slug"] for one in merged["singleuser"]["profileList"]] == ["science"]  # not the chart's as well
    assert merged["singleuser"]["storage"] == {
        "type": "dynamic",
        "capacity": "20Gi",
        "homeMountPath": "/home/jovyan",
        "dynamic": {"pvcNameTemplate": "claim-{user_server}", "storageClass": "fast"},
    }
    assert merged["hub"]["config"]["JupyterHub"] == {"admin_access": True, "authenticator_class": "github"}
    assert merged["hub"]["config"]["GitHubOAuthenticator"].keys() >= {"client_id", "client_secret"}
    assert merged["proxy"]["https"] == {
        "enabled": True,
        "hosts": ["hub.example.org"],
        "letsencrypt": {"contactEmail": "maintainer@example.org"},
    }
    assert merged["imagePullSecret"].keys() == {"create", "registry", "username", "password"}
    binderhub = helm.merged(values_of(emitted["prod", "helm"], "binderhub"))
    assert binderhub["buildPodsRegistryCredentials"].keys() == {"server", "username", "password"}


def test_secrets_stand_last_and_values_of_secrets_nowhere_else(emitted: Emitted) -> None:
    for release in ("jupyterhub", "binderhub"):
        documents = yaml.safe_load_all((emitted["prod", "flux"] / f"{release}.yaml").read_text())
        (found,) = [one["spec"]["valuesFrom"] for one in documents if one["kind"] == "HelmRelease"]
        profiles = [("ConfigMap", "jhub-profiles")] if release == "jupyterhub" else []
        named = [("ConfigMap", f"{release}-values"), *profiles, ("Secret", f"{release}-secrets")]
        assert [(one["kind"], one["name"]) for one in found] == named
    for path in emitted["prod", "flux"].glob("*.yaml"):
        assert ("assword" in path.read_text()) == path.stem.endswith("-secrets"), path


def test_under_an_umbrella_chart(helm: Helm, tmp_path: Path, emitted: Emitted) -> None:
    from tests.fakes.registry import FakeRegistry
    from tests.helm.tree import Tree

    with FakeRegistry() as registry:
        tree = Tree.published(tmp_path / "tree", registry)
        path = tree.folder / "profiles/prod.yaml"
        path.write_text(path.read_text().replace("{namespace: prod}", "{namespace: prod, wrap: [jupyterhub]}"))
        folder = tree.emitted("prod", tmp_path / "out", "--form", "helm")
    merged = helm.merged(values_of(folder, "jupyterhub"))["jupyterhub"]
    assert merged["hub"]["config"]["GitHubOAuthenticator"].keys() >= {"client_id", "client_secret"}
    assert [one["slug"] for one in merged["singleuser"]["profileList"]] == ["science"]


# --- what the hub makes of it ----------------------------------------------------------------------------------------------------


def run_snippets(values: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``hub.extraConfig`` as the chart's jupyterhub_config.py runs it: by name, with ``c`` and the module z2jh."""

    def get_config(name: str, default: object = None) -> object:
        found: Any = values
        for key in name.split("."):
            if key not in found:
                return default
            found = found[key]
        return found

    z2jh = ModuleType("z2jh")
    z2jh.get_config = get_config  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "z2jh", z2jh)
    config = Config()
    config.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
    config.KubeSpawner.profile_list = values["singleuser"]["profileList"]
    names: dict[str, Any] = {"c": config}
    for _, snippet in sorted(values["hub"]["extraConfig"].items()):
        exec(snippet, names)
    return config


class Group:
    def __init__(self, name: str) -> None:
        self.name = name


class Spawner:
    """As much of one as the filter of groups looks at."""

    def __init__(self, groups: set[str]) -> None:
        self.user = type("User", (), {"groups": [Group(name) for name in groups]})()


def profiles_for(config: Any, groups: set[str]) -> Any:
    found = config.KubeSpawner.profile_list
    return found(Spawner(groups)) if callable(found) else found


def test_groups_see_their_profiles_and_no_others(helm: Helm, emitted: Emitted, monkeypatch: pytest.MonkeyPatch) -> None:
    config = run_snippets(helm.merged(values_of(emitted["gpu", "helm"], "jupyterhub")), monkeypatch)
    assert [one["slug"] for one in profiles_for(config, {"gpu-users", "staff"})] == ["gpu", "cpu"]
    assert [one["slug"] for one in profiles_for(config, {"staff"})] == ["cpu"]
    assert [one["slug"] for one in profiles_for(config, set())] == ["cpu"]


def test_who_may_start_nothing_is_told_so(helm: Helm, emitted: Emitted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a profile the launcher breaks, and a start would take the hub's default image."""
    from tornado.web import HTTPError

    values = helm.merged(values_of(emitted["gpu", "helm"], "jupyterhub"))
    del values["singleuser"]["profileList"][1:]
    config = run_snippets(values, monkeypatch)
    with pytest.raises(HTTPError, match="403"):
        profiles_for(config, {"staff"})


def test_the_launcher_is_fancy_profiles(helm: Helm, emitted: Emitted, monkeypatch: pytest.MonkeyPatch) -> None:
    config = run_snippets(helm.merged(values_of(emitted["staging", "helm"], "jupyterhub")), monkeypatch)
    (folder,) = config.KubeSpawner.additional_profile_form_template_paths
    assert (Path(folder) / "form.html").is_file()


def test_github_s_teams_are_groups(helm: Helm, emitted: Emitted, monkeypatch: pytest.MonkeyPatch) -> None:
    from hubstack.hub.login import TEAMS_SNIPPET

    config = Config()
    exec(TEAMS_SNIPPET, {"c": config})
    teams = [{"slug": "gpu", "organization": {"login": "example-science"}}]
    assert config.GitHubOAuthenticator.auth_state_groups_key({"teams": teams}) == ["example-science:gpu"]
    assert config.GitHubOAuthenticator.auth_state_groups_key({}) == []


def test_the_launcher_and_binderhub_mean_the_same_service(helm: Helm, emitted: Emitted) -> None:
    hub = helm.merged(values_of(emitted["prod", "helm"], "jupyterhub"))["hub"]
    binderhub = helm.merged(values_of(emitted["prod", "helm"], "binderhub"))
    service, environment = hub["services"]["binder"], {one["name"]: one for one in binderhub["extraEnv"]}
    assert service["url"] == f"http://{binderhub['fullnameOverride']}:{binderhub['service']['port']}"
    assert service["oauth_client_id"] == environment["JUPYTERHUB_CLIENT_ID"]["value"]
    assert service["oauth_redirect_uri"] == environment["JUPYTERHUB_OAUTH_CALLBACK_URL"]["value"]
    assert (
        service["oauth_redirect_uri"]
        == f"https://hub.example.org{binderhub['config']['BinderHub']['base_url']}/oauth_callback"
    )
    assert "access:services!service=binder" in hub["loadRoles"]["user"]["scopes"]
    assert environment["JUPYTERHUB_API_TOKEN"]["valueFrom"]["secretKeyRef"]["key"] == "hub.services.binder.apiToken"


# --- what the real KubeSpawner makes of it ---------------------------------------------------------------------------------------

KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: none, cluster: {server: "http://127.0.0.1:9"}}]
contexts: [{name: none, context: {cluster: none, user: none}}]
users: [{name: none, user: {}}]
current-context: none
"""


def start(profiles: Any, groups: set[str], options: Mapping[str, str], config: Path, spawner_class: Any = None) -> Any:
    """A spawner of a user in these groups, as it stands when it would write the pod."""

    async def started() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own dependencies' deprecations
            from kubespawner import KubeSpawner
        spawner = (spawner_class or KubeSpawner)(_mock=True, profile_list=profiles)
        spawner.user.groups = [Group(name) for name in groups]
        spawner.user_options = options
        await spawner.load_user_options()
        return spawner

    with pytest.MonkeyPatch.context() as patch:
        config.write_text(KUBECONFIG)
        patch.setenv("KUBECONFIG", str(config))
        return asyncio.run(started())


def test_nobody_starts_a_profile_of_others(
    helm: Helm, emitted: Emitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form is no fence: a request names whatever profile it likes."""
    config = run_snippets(helm.merged(values_of(emitted["gpu", "helm"], "jupyterhub")), monkeypatch)
    profiles, gpu = config.KubeSpawner.profile_list, {"profile": "gpu", "image": "torch"}
    started = start(profiles, {"gpu-users"}, gpu, tmp_path / "kubeconfig")
    assert started.node_selector == {"gpu": "true"}
    assert started.environment["COMMIT"] == "1234e56"
    with pytest.raises(ValueError, match="No such profile"):
        start(profiles, {"staff"}, gpu, tmp_path / "kubeconfig")


@pytest.mark.parametrize("hub", HUBS)
def test_every_choice_starts_as_it_was_meant(
    helm: Helm, emitted: Emitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: str
) -> None:
    """From our text through Helm, the chart's configuration and our snippets into KubeSpawner."""
    config = run_snippets(helm.merged(values_of(emitted[hub, "helm"], "jupyterhub")), monkeypatch)
    profiles, groups = config.KubeSpawner.profile_list, {"gpu-users"}
    meant = load(emitted[hub, "helm"] / "values/profiles.yaml")["singleuser"]["profileList"]
    for profile in meant:
        for key, choice in profile["profile_options"]["image"]["choices"].items():
            started = start(profiles, groups, {"profile": profile["slug"], "image": key}, tmp_path / "kubeconfig")
            assert started.image == choice["kubespawner_override"]["image"]
