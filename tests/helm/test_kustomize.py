"""The real kustomize builds both forms, and a cluster would take what comes out.

Core objects are judged by Kubernetes' own schemas; Flux's by a schema of ours (flux.json), made of what its documentation
says, since its own comes with its controllers alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it ships no types
import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.helm.conftest import Tool
from tests.helm.tree import HUBS, files

pytestmark = pytest.mark.slow  # whole runs of the command, and of helm or kubectl

Emitted = Mapping[tuple[str, str], Path]
FLUX = json.loads((Path(__file__).parent / "flux.json").read_text())
RELEASES = ("1.30", "1.37")  # the oldest that somebody may still run, and the newest whose schemas are here
FORMS = ("flux", "generator")


def built(kubectl: Tool, folder: Path) -> list[Any]:
    return list(yaml.safe_load_all(kubectl("kustomize", str(folder))))


def named(objects: list[Any]) -> dict[tuple[str, str], Any]:
    return {(one["kind"], one["metadata"]["name"]): one for one in objects}


def sources(objects: list[Any], release: str) -> list[tuple[str, str]]:
    values = named(objects)["HelmRelease", release]["spec"]["valuesFrom"]
    return [(one["kind"], one["name"]) for one in values]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("hub", HUBS)
def test_every_object_that_is_named_is_there(kubectl: Tool, emitted: Emitted, hub: str, form: str) -> None:
    objects = built(kubectl, emitted[hub, form])
    releases = [name for kind, name in named(objects) if kind == "HelmRelease"]
    assert releases == (["jupyterhub"] if hub == "gpu" else ["binderhub", "jupyterhub"])
    for release in releases:
        assert set(sources(objects, release)) <= named(objects).keys()
        chart = named(objects)["HelmRelease", release]["spec"]["chart"]["spec"]["sourceRef"]
        assert ("HelmRepository", chart["name"]) in named(objects)
    assert {one["metadata"]["namespace"] for one in objects} == {hub}


@pytest.mark.parametrize("hub", HUBS)
def test_names_carry_a_hash_that_changes_with_the_values(
    kubectl: Tool, emitted: Emitted, hub: str, tmp_path: Path
) -> None:
    plain, hashed = (built(kubectl, emitted[hub, form]) for form in FORMS)
    for (kind, name), (_, rewritten) in zip(sources(plain, "jupyterhub"), sources(hashed, "jupyterhub"), strict=True):
        assert re.fullmatch(rf"{name}-[a-z0-9]{{10}}" if kind == "ConfigMap" else name, rewritten)
    copied = tmp_path / "copy"
    for path, text in files(emitted[hub, "generator"]).items():
        (copied / path).parent.mkdir(parents=True, exist_ok=True)
        (copied / path).write_text(text.replace('"description": "y"', '"description": "z"'))
    changed = sources(built(kubectl, copied), "jupyterhub")
    same = [before == after for before, after in zip(sources(hashed, "jupyterhub"), changed, strict=True)]
    assert same == [True, False, True]


@pytest.mark.parametrize("hub", HUBS)
def test_both_forms_hold_the_same_values(kubectl: Tool, emitted: Emitted, hub: str) -> None:
    """And Helm by itself gets them, too."""
    found = []
    for form in FORMS:
        objects = built(kubectl, emitted[hub, form])
        maps = [one["data"]["values.yaml"] for one in objects if one["kind"] == "ConfigMap"]
        found.append(sorted(json.dumps(yaml.safe_load(one)) for one in maps))
    bare = [path for path in (emitted[hub, "helm"] / "values").iterdir() if "secrets" not in path.name]
    found.append(sorted(json.dumps(yaml.safe_load(path.read_text())) for path in bare))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("hub", HUBS)
def test_a_cluster_takes_every_manifest(kubectl: Tool, emitted: Emitted, hub: str, form: str, release: str) -> None:
    core = [one for one in built(kubectl, emitted[hub, form]) if one["kind"] in {"ConfigMap", "Secret"}]
    assert len(core) >= 4
    for one in core:
        kubernetes_validate.validate(one, release, strict=True)
    for one in built(kubectl, emitted[hub, form]):
        if one not in core:
            assert flux_faults(one) == []


def flux_faults(one: Any) -> list[str]:
    validator = Draft202012Validator({"$ref": f"#/$defs/{one['kind']}", "$defs": FLUX["$defs"]})
    return [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(one)]


def test_the_schema_of_flux_sees_a_word_spelt_wrong(kubectl: Tool, emitted: Emitted) -> None:
    release = named(built(kubectl, emitted["prod", "flux"]))["HelmRelease", "jupyterhub"]
    release["spec"]["valueFrom"] = release["spec"].pop("valuesFrom")
    assert flux_faults(release)


@pytest.mark.parametrize("hub", HUBS)
def test_flux_leaves_our_texts_alone_and_sees_changes_at_once(kubectl: Tool, emitted: Emitted, hub: str) -> None:
    for one in built(kubectl, emitted[hub, "flux"]):
        if one["kind"] in {"ConfigMap", "Secret"}:
            assert one["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/substitute"] == "disabled"
            assert one["metadata"]["labels"]["reconcile.fluxcd.io/watch"] == "Enabled"


def test_a_pull_secret_is_what_kubernetes_takes_for_one(kubectl: Tool, emitted: Emitted) -> None:
    secret = named(built(kubectl, emitted["gpu", "flux"]))["Secret", "europe-pull"]
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    (account,) = json.loads(secret["stringData"][".dockerconfigjson"])["auths"].values()
    assert account == {"username": "example+gpu", "password": "CHANGE-ME: the robot's token"}
