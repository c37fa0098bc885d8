"""A stack's options from our text through the real Helm, the chart's configuration and our snippets into KubeSpawner."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hubstack.hub.lookup import NAME
from tornado.web import HTTPError

from tests.commandline import PROJECTS, run
from tests.fakes.registry import FakeRegistry
from tests.helm.conftest import Helm
from tests.helm.test_helm import KUBECONFIG, load, run_snippets, start, values_of
from tests.shell import Shell, TerminalEngine

pytestmark = pytest.mark.slow  # whole runs of the command, and of helm or kubectl

OPERATORS = "c.KubeSpawner.pre_spawn_hook = lambda spawner: None"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What `hubstack hub` writes for a hub with menus, its 37 images published."""
    tree = Path(shutil.copytree(PROJECTS / "good-options", tmp_path_factory.mktemp("options") / "tree"))
    with FakeRegistry() as registry:
        Shell(tree, registry, TerminalEngine(registry))("build", "--push", "*")
        words = ("--registry", f"{registry.host}/x", "hub", "menus", "--form", "helm", "--output", str(tree / "out"))
        done = run(*words, folder=tree)
        assert done.code == 0, done.err
        yield tree / "out"


@pytest.fixture(autouse=True)
def _no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KubeSpawner, which the snippet imports, asks for it as it is imported."""
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))


@pytest.fixture
def merged(helm: Helm, folder: Path, tmp_path: Path) -> Any:
    """With the operator's own values, whose snippets stay beside ours."""
    own = tmp_path / "own.yaml"
    own.write_text(f'hub: {{extraConfig: {{own-hook: "{OPERATORS}"}}}}\n')
    return helm.merged([*values_of(folder, "jupyterhub"), own])


def test_helm_keeps_both_snippets_and_the_menus_order_comes_back(merged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"own-hook", NAME, "hubstack-1-order"} <= merged["hub"]["extraConfig"].keys()
    assert [*merged["singleuser"]["profileList"][0]["profile_options"]] == ["image", "language", "resources", "tools"]
    config = run_snippets(merged, monkeypatch)
    (profile,) = config.KubeSpawner.profile_list
    assert [*profile["profile_options"]] == ["image", "language", "tools", "resources"]
    assert [*profile["profile_options"]["tools"]["choices"]][:3] == ["tools-none", "tools-geo", "tools-dask"]
    assert config.KubeSpawner.pre_spawn_hook(None) is None


def set_by(option: Any, key: str) -> dict[str, str]:
    found: dict[str, str] = option["choices"][key]["kubespawner_override"]["environment"]
    return found


def test_every_combination_starts_its_image_and_no_other_is_started(
    merged: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meant = load(folder / "values/profiles.yaml")["custom"]["imageStacks"]["combinations"]["science"]
    config = run_snippets(merged, monkeypatch)
    profiles, spawner = config.KubeSpawner.profile_list, config.JupyterHub.spawner_class
    options, images = profiles[0]["profile_options"], set()
    for release in ("bookworm", "trixie"):
        wanted = [(one["chosen"], one["image"]) for one in meant[f"science-{release}"]["images"].values()]
        for language, tools in product(*(options[name]["choices"] for name in ("language", "tools"))):
            posted = {"profile": "science", "image": f"science-{release}", "language": language, "tools": tools}
            chosen = set_by(options["language"], language) | set_by(options["tools"], tools)
            image = next((image for there, image in wanted if there == chosen), None)
            if image is None:
                with pytest.raises(HTTPError, match=r"is not offered with Language: Octave, Tools: .*sql"):
                    start(profiles, set(), posted, tmp_path / "kubeconfig", spawner)
            else:
                assert start(profiles, set(), posted, tmp_path / "kubeconfig", spawner).image == image
                images.add(image)
    assert len(images) == 36
