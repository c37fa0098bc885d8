"""`hubstack export argo`: the workflow as Argo's own models read it, and what its pods do first."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hera.workflows import models
from hubstack import names
from hubstack.errors import HubstackError
from hubstack.export.argo import START, Cluster, render_workflow
from hubstack.lock import load_lock
from hubstack.pipeline import Inputs, prepare
from hubstack.project import load_project
from hubstack.record import Record
from hubstack.reference import Digest, Fingerprint

from tests.commandline import HUBSTACK, PROJECTS, run
from tests.fakes.registry import FakeRegistry
from tests.shell import Shell, TerminalEngine

pytestmark = pytest.mark.long

GOLDEN = Path(__file__).parents[1] / "golden" / "export"
PROJECT = PROJECTS / "good-engine"
CLUSTER = Cluster(image="registry.example/tools/hubstack:1", registry="registry.example/family")


class Has:
    """A registry that has some nodes, built and tested."""

    def __init__(self, inputs: Inputs, *nodes: str) -> None:
        fingerprints = {inputs.fingerprint(node): inputs.tests[node] for node in nodes}
        self.tags = {*map(names.node_tag, fingerprints), *(names.tested_tag(*one) for one in fingerprints.items())}

    def digests(self, tags: Any) -> dict[str, Digest]:
        return {tag: Digest(f"sha256:{'a' * 64}") for tag in tags if tag in self.tags}

    def records(self, nodes: Any) -> dict[str, Record]:
        return {}

    def recorded(self, fingerprints: Iterable[Fingerprint]) -> Mapping[Fingerprint, Record]:
        return {}


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    lock = load_lock((PROJECT / "hubstack.lock").read_text(), "hubstack.lock")
    return prepare(load_project(PROJECT)[0], lock, ["both"])


def render(inputs: Inputs, *there: str, cluster: Cluster = CLUSTER, everything: bool = False) -> str:
    plan = inputs.plan(Has(inputs, *there))
    return render_workflow(plan, ["both"], cluster, everything=everything, template=False)


def tasks_of(text: str) -> dict[str, str]:
    """Task → what it depends on."""
    templates = {one["name"]: one for one in yaml.safe_load(text)["spec"]["templates"]}
    return {task["name"]: task.get("depends", "") for task in templates["family"]["dag"]["tasks"]}


def layer(name: str, inputs: Inputs) -> list[str]:
    return [node.id for node in inputs.graph.nodes.values() if node.layer == name and node.id in inputs.rendered]


def test_the_workflow_of_a_small_project(inputs: Inputs, golden: Callable[[Path, str], None]) -> None:
    cluster = Cluster(
        image=CLUSTER.image,
        registry=CLUSTER.registry,
        repository="https://git.example/family.git",
        revision="0" * 40,
        git_secret="git",
        ca_secret="proxy",
    )
    there = [node for node in inputs.rendered if node not in layer("both", inputs)]
    golden(GOLDEN / "workflow.yaml", render(inputs, *there, cluster=cluster))


@pytest.mark.parametrize(
    "cluster",
    [
        CLUSTER,
        Cluster(image="i", registry="r/p", buildkit=("tcp://a:1", "tcp://b:1"), engine="tcp://c:2", ca_secret="x"),
    ],
    ids=["beside", "elsewhere"],
)
def test_it_is_what_argo_s_models_know_and_names_nothing_that_is_not_there(inputs: Inputs, cluster: Cluster) -> None:
    value = yaml.safe_load(render(inputs, cluster=cluster))
    workflow = models.Workflow.model_validate(value)
    # what the models do not know would be lost
    assert workflow.model_dump(by_alias=True, exclude_none=True, exclude_unset=True, mode="json") == value
    spec = value["spec"]
    templates = {one["name"]: one for one in spec["templates"]}
    volumes = {one["name"] for one in spec["volumes"]}
    for template in templates.values():
        for container in [*template.get("sidecars", []), *([template["container"]] if "container" in template else [])]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    needed: dict[str, set[str]] = {}
    tasks = templates[spec["entrypoint"]]["dag"]["tasks"]
    for task in tasks:
        given = {one["name"] for one in task.get("arguments", {}).get("parameters", [])}
        assert given == {one["name"] for one in templates[task["template"]]["inputs"].get("parameters", [])}
        assert re.fullmatch(r"[a-zA-Z0-9][-a-zA-Z0-9]*", task["name"])
        needed[task["name"]] = set(re.findall(r"([-\w]+)\.(?:Succeeded|Failed)", task.get("depends", "")))
    assert len(needed) == len(tasks)
    order = list(TopologicalSorter(needed).static_order())
    assert set(order) == set(needed)
    assert order[-1] == "publish"


def test_a_node_waits_for_its_parent_and_for_what_it_copies_from(inputs: Inputs) -> None:
    tasks = tasks_of(render(inputs))
    assert set(tasks) == {*inputs.rendered, "publish"}
    for node, depends in tasks.items():
        if node != "publish":
            assert depends == " && ".join(f"{one}.Succeeded" for one in inputs.graph.nodes[node].inputs)


def test_only_what_is_to_be_built_gets_a_pod(inputs: Inputs) -> None:
    both = layer("both", inputs)
    there = [node for node in inputs.rendered if node not in both]
    tasks = tasks_of(render(inputs, *there))
    assert tasks == {**dict.fromkeys(both, ""), "publish": tasks["publish"]}
    for node in both:  # however they end
        assert re.search(rf"\({node}\.Succeeded \|\| {node}\.Failed \|\| .*{node}\.Omitted\)", tasks["publish"])
    assert tasks_of(render(inputs, *inputs.rendered)) == {"publish": ""}
    assert set(tasks_of(render(inputs, *inputs.rendered, everything=True))) == {*inputs.rendered, "publish"}


def test_builders_elsewhere_are_given_to_each_pod(inputs: Inputs) -> None:
    pool = Cluster(image="i", registry="r/p", buildkit=("tcp://a:1", "tcp://b:1"), engine="tcp://c:2")
    (node,) = (
        one for one in yaml.safe_load(render(inputs, cluster=pool))["spec"]["templates"] if one["name"] == "node"
    )
    assert node.get("sidecars", []) == []
    env = {one["name"]: one["value"] for one in node["container"]["env"]}
    assert (env["BUILDKIT"], env["DOCKER_HOST"]) == ("tcp://a:1 tcp://b:1", "tcp://c:2")
    assert node["container"]["args"][3:5] == ["--builder=buildkit-1", "--builder=buildkit-2"]


def test_a_pod_makes_its_builders_and_then_is_the_command(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n'
        f"[ $1 = version ] && [ ! -e {tmp_path}/awake ] && {{ touch {tmp_path}/awake; exit 1; }}\nexit 0\n"
    )
    docker.chmod(0o755)
    (tmp_path / "sleep").symlink_to("/bin/true")
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "BUILDKIT": "tcp://a:1 unix:///b"}
    words = ["sh", "-ec", START, "sh", "printf", "%s|", "build", "two words", "node:a-1"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "build|two words|node:a-1|"
    assert (tmp_path / "asked").read_text().splitlines() == [
        "buildx create --name buildkit-1 --driver remote tcp://a:1",
        "buildx inspect --bootstrap buildkit-1",
        "buildx create --name buildkit-2 --driver remote unix:///b",
        "buildx inspect --bootstrap buildkit-2",
        "version",
        "version",
    ]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with FakeRegistry() as registry:
        yield Shell(Path(shutil.copytree(PROJECT, tmp_path / "project")), registry, TerminalEngine(registry))


def test_the_command_asks_the_registry_unless_everything_is_wanted(shell: Shell) -> None:
    words = ["argo", "small", "--image", "i", "--template", "--pods", "3", "--registry-secret", "pull"]
    text = shell("export", *words).stdout
    value = yaml.safe_load(text)
    assert (value["kind"], value["metadata"], value["spec"]["parallelism"]) == (
        "WorkflowTemplate",
        {"name": "hubstack"},
        3,
    )
    assert value["spec"]["volumes"][0]["secret"]["secretName"] == "pull"
    assert shell.registry.requests
    shell.registry.requests.clear()
    assert shell("export", *words, "--all").stdout == text
    assert not shell.registry.requests


def test_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    outputs = set()
    for seed in ("0", "1"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "TZ": f"Etc/GMT+{seed}"}
        words = [str(HUBSTACK), "-C", str(PROJECT), "export", "argo", "both", "--all", "--image", "i"]
        outputs.add(subprocess.run(words, env=env, cwd=tmp_path, capture_output=True, check=True).stdout)
    assert len(outputs) == 1


def test_without_hera_it_says_what_to_install(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hera.workflows", None)
    monkeypatch.setitem(sys.modules, "hera", None)
    with pytest.raises(HubstackError, match="needs hera") as caught:
        render(inputs)
    assert "hubstack[argo]" in caught.value.hint


def test_an_image_for_the_pods_must_be_named() -> None:
    done = run("export", "argo", folder=PROJECT)
    assert (done.code, "Missing option '--image'" in done.err) == (2, True)
