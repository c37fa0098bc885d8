"""A hub as files that a GitOps repository can take over: for Flux, for Flux with generated names, or for Helm alone.

Nothing here reads or writes a disk. What is secret is only named, or stands as a manifest with gaps (``once``): that file
is written where there is none, and belongs to people from then on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hubstack.errors import Problem
from hubstack.hub.account import Account, account_of, builds
from hubstack.hub.bases import Bases
from hubstack.hub.binderhub import SERVICE, binderhub_secrets, binderhub_values
from hubstack.hub.configmap import render_yaml
from hubstack.hub.installation import hub_secrets, hub_values, installation_problems, wrapped
from hubstack.hub.registries import REGISTRIES
from hubstack.installation import CHART_S_PULL_SECRET, Chart, Secrets
from hubstack.model import Project
from hubstack.offer import Hub

GAP = "CHANGE-ME"
"""What stands where a password belongs."""
_VALUES = "values.yaml"
_LABELS = {"app.kubernetes.io/managed-by": "hubstack", "app.kubernetes.io/part-of": "jupyterhub"}
_WATCHED = {**_LABELS, "reconcile.fluxcd.io/watch": "Enabled"}  # Flux then upgrades within seconds
_UNTOUCHED = {"kustomize.toolkit.fluxcd.io/substitute": "disabled"}  # Flux would replace ${…} in our strings


class Shape(StrEnum):
    FLUX = "flux"
    GENERATOR = "generator"
    HELM = "helm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Emission:
    """Path in the folder → text. ``once``: written where nothing is, and never again.

    ``mark`` is what files of this hub begin with, but for those of ``once`` and of the image's recipe.
    """

    mark: str
    files: Mapping[str, str]
    once: Mapping[str, str]


def emission_problems(hub: Hub, project: Project) -> tuple[Problem, ...]:
    """All that keeps ``emission`` from being of use, and its warnings."""
    names = {f"{hub.installation.release}-values", f"{SERVICE}-values"}
    problems = list(installation_problems(hub, project))
    if hub.configmap in names:
        what = f"the ConfigMap {hub.configmap} would hold other values, too"
        problems.append(
            Problem(position=hub.source.at("configmap", "name"), what=what, remedy="Give this one another name.")
        )
    if builds(hub) and hub.installation.release == SERVICE:
        what = f"the HelmRelease {SERVICE} is BinderHub's"
        problems.append(
            Problem(position=hub.source.at("hub", "release"), what=what, remedy="Give the hub's another name.")
        )
    return tuple(problems)


def emission(
    hub: Hub,
    project: Project,
    configmap: str,
    bases: Bases,
    shape: Shape,
    *,
    policy: Mapping[str, object] | None = None,
) -> Emission:
    """``configmap`` is the whole text of the profiles' ConfigMap. ``emission_problems`` has found no error.

    ``policy`` lets the cluster refuse unsigned images. It stands apart, for people to apply: a cluster that doesn't know
    its kind would refuse all the rest with it.
    """
    parts = _Parts(hub=hub, account=account_of(hub, project), bases=bases, configmap=configmap)
    match shape:
        case Shape.FLUX:
            files = parts.plain()
        case Shape.GENERATOR:
            files = parts.generated()
        case Shape.HELM:
            files = parts.bare()
    files |= {"policy/images.yaml": parts.text(policy)} if policy else {}
    once = {} if shape is Shape.HELM else parts.secrets()
    return Emission(mark=parts.head.partition(":")[0], files={**files, **bases.files}, once=once)


@dataclass(frozen=True, kw_only=True)
class _Parts:
    hub: Hub
    account: Account
    bases: Bases
    configmap: str

    def plain(self) -> dict[str, str]:
        """ConfigMaps as they are, watched by Flux."""
        files = {
            f"{release}-values.yaml": self.values_map(release, values) for release, values in self.values().items()
        }
        files["profiles.yaml"] = self.configmap
        files |= self.releases() | self.sops()
        return files | {"kustomization.yaml": self.text(self.kustomization([*files]))}

    def generated(self) -> dict[str, str]:
        """ConfigMaps by kustomize: a hash in each name, so that a change of values is a change of the HelmRelease."""
        values = {f"{release}-values": f"values/{release}.yaml" for release in self.values()}
        values[self.hub.configmap] = "values/profiles.yaml"
        files = self.value_files() | self.releases() | self.sops()
        generator = [
            {
                "name": name,
                "namespace": self.hub.namespace,
                "files": [f"{_VALUES}={path}"],
                "options": {"labels": _LABELS, "annotations": _UNTOUCHED},
            }
            for name, path in values.items()
        ]
        more = {"configMapGenerator": generator, "configurations": ["name-reference.yaml"]}
        reference = {"kind": "ConfigMap", "version": "v1"}
        fields = [{"path": "spec/valuesFrom/name", "kind": "HelmRelease"}]
        return files | {
            "kustomization.yaml": self.text(self.kustomization([*files], more)),
            "name-reference.yaml": self.text({"nameReference": [{**reference, "fieldSpecs": fields}]}),
        }

    def bare(self) -> dict[str, str]:
        """Values alone, for `helm upgrade --values` and for Argo CD, with what the secret ones must hold."""
        secrets = {
            f"values/{release}-secrets.example.yaml": self.text(_with_gaps(values))
            for release, values in self.secret_values().items()
        }
        return self.value_files() | secrets

    def value_files(self) -> dict[str, str]:
        files = {f"values/{release}.yaml": self.text(values) for release, values in self.values().items()}
        return files | {"values/profiles.yaml": f"{self.head}{self.profiles}"}

    # --- values ----------------------------------------------------------------------------------------------------------

    @property
    def profiles(self) -> str:
        import yaml

        text: str = yaml.safe_load(self.configmap)["data"][_VALUES]
        return text

    def values(self) -> dict[str, Mapping[str, object]]:
        """By release."""
        found = {self.hub.installation.release: wrapped(self.hub, hub_values(self.hub, self.account))}
        if builds(self.hub):
            found[SERVICE] = binderhub_values(self.hub, self.account, self.bases)
        return found

    def secret_values(self) -> dict[str, Mapping[str, object]]:
        """By release; each text says what to write."""
        found = {self.hub.installation.release: wrapped(self.hub, hub_secrets(self.hub, self.account))}
        return found | ({SERVICE: binderhub_secrets(self.account)} if builds(self.hub) else {})

    # --- manifests -------------------------------------------------------------------------------------------------------

    @property
    def head(self) -> str:
        return f"# Written by hubstack from {self.hub.source.path}: change that file, not this one.\n"

    def text(self, *documents: Mapping[str, object]) -> str:
        return self.head + "---\n".join(render_yaml(one) for one in documents)

    def metadata(self, name: str, **more: object) -> dict[str, object]:
        return {"name": name, "namespace": self.hub.namespace, "labels": _LABELS, **more}

    def values_map(self, release: str, values: Mapping[str, object]) -> str:
        metadata = self.metadata(f"{release}-values", labels=_WATCHED, annotations=_UNTOUCHED)
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        return self.text(body) + _blocks("data", {_VALUES: render_yaml(values)})

    def releases(self) -> dict[str, str]:
        """Of each chart: where it is, and what is made of it."""
        installation = self.hub.installation
        profiles = {"kind": "ConfigMap", "name": self.hub.configmap, "valuesKey": _VALUES}
        release = installation.release
        files = {f"{release}.yaml": self.text(*self.release(release, installation.chart, [profiles], {}))}
        if builds(self.hub):
            after = {"dependsOn": [{"name": release}]}  # its token is in a Secret that the hub's chart makes
            files[f"{SERVICE}.yaml"] = self.text(*self.release(SERVICE, installation.build.chart, [], after))
        return files

    def release(
        self, name: str, chart: Chart, more_values: list[dict[str, str]], more: Mapping[str, object]
    ) -> Iterator[dict[str, object]]:
        kind = {"type": "oci"} if chart.repository.startswith("oci://") else {}
        yield {
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "HelmRepository",
            "metadata": self.metadata(name),
            "spec": {**kind, "interval": "1h", "url": chart.repository},
        }
        source = {"kind": "HelmRepository", "name": name}
        yield {
            "apiVersion": "helm.toolkit.fluxcd.io/v2",
            "kind": "HelmRelease",
            "metadata": self.metadata(name),
            "spec": {
                **more,
                "interval": self.hub.installation.interval,
                "timeout": self.hub.installation.timeout,
                "chart": {"spec": {"chart": chart.name, "version": chart.version, "sourceRef": source}},
                "valuesFrom": [
                    {"kind": "ConfigMap", "name": f"{name}-values", "valuesKey": _VALUES},
                    *more_values,
                    {"kind": "Secret", "name": f"{name}-secrets", "valuesKey": _VALUES},
                ],
            },
        }

    def kustomization(self, files: list[str], more: Mapping[str, object] | None = None) -> dict[str, object]:
        resources = [path for path in (*files, *self.secrets()) if "/" not in path and not path.startswith(".")]
        head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
        return {**head, "resources": sorted(resources), **(more or {})}

    # --- secrets ---------------------------------------------------------------------------------------------------------

    def sops(self) -> dict[str, str]:
        installation = self.hub.installation
        if installation.secrets is not Secrets.SOPS:
            return {}
        rule = {"path_regex": r"-secrets?\.yaml$", "encrypted_regex": "^(data|stringData)$"}
        keys = {"age": ",".join(installation.age)} if installation.age else {}
        return {".sops.yaml": self.text({"creation_rules": [rule | keys]})}

    def secrets(self) -> dict[str, str]:
        """One Secret a file: SOPS signs files, and Flux decrypts objects."""
        if self.hub.installation.secrets is not Secrets.SOPS:
            return {}
        files = {
            f"{release}-secrets.yaml": self.secret(
                f"{release}-secrets", "Opaque", {_VALUES: render_yaml(_with_gaps(values))}
            )
            for release, values in self.secret_values().items()
        }
        return files | self.pull_secret()

    def secret(self, name: str, kind: str, data: Mapping[str, str]) -> str:
        metadata = self.metadata(name, labels=_WATCHED, annotations=_UNTOUCHED)
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind}
        head = f"# This file is yours: hubstack wrote it once. Fill in what says {GAP}, then `sops --encrypt --in-place`.\n"
        return head + render_yaml(body) + _blocks("stringData", data)

    def pull_secret(self) -> dict[str, str]:
        """One that the hub's file names, where its account is known and its password lasts."""
        account, name = self.account, self.hub.pull_secret
        if not name or name == CHART_S_PULL_SECRET or not account.username or account.kind is None:
            return {}
        if REGISTRIES[account.kind].hours:
            return {}
        user = {"username": account.username, "password": f"{GAP}: {account.password}"}
        config = json.dumps({"auths": {account.host: user}})
        kind = "kubernetes.io/dockerconfigjson"
        return {"pull-secret.yaml": self.secret(name, kind, {".dockerconfigjson": f"{config}\n"})}


def _with_gaps(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: f"{GAP}: {one}" if isinstance(one, str) else _with_gaps(one) for name, one in values.items()}


def _blocks(name: str, data: Mapping[str, str]) -> str:
    """Whole files as block scalars, which people can read and edit."""
    lines = [f"{json.dumps(name)}:"]
    for key, text in data.items():
        lines += [f"  {json.dumps(key)}: |", *(f"    {line}" for line in text.splitlines())]
    return "".join(f"{line}\n" for line in lines)
