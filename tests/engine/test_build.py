"""Whole builds: what comes out of a good one, and what a failure costs and leaves."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hubstack.lock import Lock
from hubstack.names import FINGERPRINT_LABEL, Names
from hubstack.oci import ImageConfig, Layout, read_layout
from hubstack.pipeline import prepare
from hubstack.project import load_project
from hubstack.publish import Publisher
from hubstack.record import MEDIA_TYPE
from hubstack.reference import Digest, ImageRef
from hubstack.registry import Registry
from hubstack.schedule import Outcome, Result

from tests.engine.workbench import NO_ENGINE, Json, Run, Work, containers, docker, layer_of, published, tags

pytestmark = pytest.mark.engine


# --- a good build ------------------------------------------------------------------------------------------------------


def test_everything_is_built_tested_and_named(built: tuple[Work, Run], registry: Registry) -> None:
    work, run = built
    assert list(run.results.values()) == ["built"] * 9
    there = published(registry, work.prefix)
    for node in json.loads(work.run("plan", "--json").stdout)["nodes"]:
        build = f"{work.prefix.repository}/build"
        tested = {digest for name, digest in there.items() if f":ok-{node['fingerprint']}-" in name}
        assert {there[f"{build}:fp-{node['fingerprint']}"]} == tested
        assert f"{build}:info-{node['fingerprint']}" in there
        assert node["action"] == "reuse"


def test_images_have_their_names_their_channels_and_a_configmap(
    settled: Work, built: tuple[Work, Run], registry: Registry
) -> None:
    work, run = built
    there = published(registry, work.prefix)
    values = yaml.safe_load(yaml.safe_load(work.configmap())["data"]["values.yaml"])
    choices = values["singleuser"]["profileList"][0]["profile_options"]["image"]["choices"].values()
    refs = [ImageRef.parse(choice["kubespawner_override"]["image"]) for choice in choices]
    assert len(refs) == len(run.digests) == 4
    for ref in refs:
        stack, variant = ref.repository.rpartition("/")[2], ref.tag.rpartition("-")[0]
        assert ref.digest == run.digests[f"{stack}/{variant}"] == there[f"{ref.repository}:{ref.tag}"]
        assert ref.digest == there[f"{ref.repository}:{variant}-latest"]
        assert registry.manifest(ref) is not None


def test_an_image_is_what_a_hub_needs(built: tuple[Work, Run], registry: Registry) -> None:
    work, run = built
    ref = work.prefix.child("both").with_digest(Digest(run.digests["both/loud"]))
    manifest = registry.manifest(ref)
    assert manifest is not None
    assert manifest.config is not None
    config = ImageConfig.parse(registry.blob(ref, manifest.config.digest))
    assert (config.user, config.platform, config.env["HOME"]) == ("1000:100", "linux/amd64", "/home/jovyan")
    assert config.created == "2026-01-01T00:00:00Z"
    assert re.fullmatch("[0-9a-f]{64}", config.labels[FINGERPRINT_LABEL])
    image = f"{work.prefix}/both@{run.digests['both/loud']}"
    assert docker("run", "--rm", image, "sh", "-c", 'greet "$(cat /opt/words)"; id -u') == "hello loud\n1000\n"
    docker("image", "rm", "--force", image)


def test_what_is_in_an_image_is_stored_beside_it(built: tuple[Work, Run], registry: Registry) -> None:
    work, _ = built
    nodes = work.nodes()
    fingerprints = [nodes[layer]["fingerprint"] for layer in ("numbers", "hello")]
    numbers, hello = (record(registry, work, fingerprint) for fingerprint in fingerprints)
    assert numbers["versions"].items() >= {"six": "1.16.0", "Python": numbers["versions"]["Python"]}.items()
    assert numbers["packages"]["python"]["six"] == "1.16.0"
    assert "hello" in hello["packages"]["debian"]
    assert hello["size_bytes"] > 1_000_000
    assert hello["seconds"] > 0


def record(registry: Registry, work: Work, fingerprint: str) -> Json:
    found = registry.read_record(work.prefix.child("build").with_tag(f"info-{fingerprint}"), artifact_type=MEDIA_TYPE)
    assert isinstance(found, dict)
    return found


def test_nothing_is_left_on_the_machine_but_the_store(built: tuple[Work, Run]) -> None:
    work, run = built
    assert containers(work) == []
    assert [path.name for path in (work.folder / ".hubstack" / "tmp").iterdir()] == []
    logs = {path.stem for path in (work.folder / ".hubstack" / "logs").iterdir()}
    assert logs == {one["node"] for one in run.of("finished")}


# --- a step fails ------------------------------------------------------------------------------------------------------


@pytest.fixture
def failing(settled: Work) -> Work:
    """The step on the fourth line of `words` fails; `hello` has changed too, and knows nothing of that."""
    settled.edit(
        "layers/words/Dockerfile.j2", "{% endcall %}", "echo about to fail >&2\nls /there/is/nothing\n{% endcall %}"
    )
    settled.write("layers/hello/files/opt/note", f"{uuid.uuid4()}\n")
    return settled


def test_a_failing_step_is_told_with_its_line_and_stops_only_what_stands_on_it(
    failing: Work, registry: Registry
) -> None:
    before = published(registry, failing.prefix)
    run = failing.build(code=1)
    outcomes = {layer_of(node) if "words" not in node else node: one for node, one in finished(run).items()}
    words = [one for node, one in outcomes.items() if node.startswith("words-")]
    assert [one["result"] for one in words] == ["failed", "failed"]
    for one in words:
        assert one["position"] == "layers/words/Dockerfile.j2:4:1"
        assert "a command ended with code 2" in one["message"]
        assert "about to fail" in one["tail"][-2:]  # beside what it wrote to stderr, in either order
        assert "/there/is/nothing" in one["tail"][-1]
    assert outcomes["both"]["result"] == "skipped"
    assert re.fullmatch("skipped because words-[0-9a-f]{8} failed", outcomes["both"]["message"])
    assert outcomes["hello"]["result"] == "built"
    assert outcomes["numbers"]["result"] == "reused"
    assert_published_only(registry, failing, before, "hello")


def assert_published_only(registry: Registry, work: Work, before: Mapping[str, str], stack: str) -> None:
    """A failed stack keeps its last good image."""
    after = published(registry, work.prefix)
    changed = {name for name, digest in after.items() if before.get(name) != digest}
    assert {name.removeprefix(f"{work.prefix.repository}/").partition(":")[0] for name in changed} == {"build", stack}
    assert sorted(name.rpartition(":")[2][:3] for name in changed if "/build:" in name) == ["fp-", "inf", "ok-"]


def test_a_failing_step_is_not_tried_again_and_its_log_is_kept(failing: Work) -> None:
    run = failing.run("build", "--push", "both/plain", code=1)
    (node,) = (node for node in failing.nodes("both/plain") if node == "words")
    name = failing.nodes("both/plain")[node]["id"]
    log = failing.log(name)
    assert len(re.findall(r"^#\d+ \d+\.\d+ about to fail$", log, re.MULTILINE)) == 1
    assert log.count("== building") == 1
    lines = run.stderr.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("layers/words/Dockerfile.j2:4:1: "))
    assert lines[start + 1] == "    about to fail"
    assert any(line.startswith("  The whole log: ") and line.endswith(f"{name}.log") for line in lines[start:])


def test_all_or_nothing_publishes_nothing(failing: Work, registry: Registry) -> None:
    names = [failing.prefix.child(stack) for stack in ("small", "both", "hello")]
    before = tags(registry, *names)
    failing.build("--all-or-nothing", code=1)
    assert tags(registry, *names) == before


def test_fail_fast_stops_the_others(settled: Work, registry: Registry) -> None:
    settled.edit(
        "layers/tool/Dockerfile.j2", "FROM parent\n", "FROM parent\n\n{% call run() %}\nfalse\n{% endcall %}\n"
    )
    settled.write("layers/hello/postBuild", "#!/bin/sh\necho asleep\nsleep 120\n")
    started = time.monotonic()
    run = settled.build("--fail-fast", code=1)
    assert time.monotonic() - started < 80
    assert {run.results[layer] for layer in ("tool", "hello")} == {"failed", "cancelled"}
    fingerprint = settled.nodes()["hello"]["fingerprint"]
    assert [tag for tag in registry.tags(settled.prefix.child("build")) if fingerprint in tag] == []


# --- a test fails ------------------------------------------------------------------------------------------------------


def test_a_failing_test_keeps_a_new_image_back(settled: Work, registry: Registry) -> None:
    settled.write("layers/hello/files/opt/note", f"{uuid.uuid4()}\n")
    settled.edit("layers/hello/layer.yaml", "stdout: Hello", "stdout: Goodbye")
    before = published(registry, settled.prefix)
    run = settled.build(code=1)
    (failed,) = [one for one in run.of("finished") if one["result"] == "failed"]
    assert "`/usr/bin/hello` printed nothing that matches 'Goodbye'" in failed["message"]
    assert failed["position"].startswith("layers/hello/layer.yaml:3:")
    assert failed["tail"] == ["Hello, world!"]
    assert published(registry, settled.prefix) == before


def test_a_test_that_fails_now_keeps_a_channel_where_it_was(settled: Work, registry: Registry) -> None:
    """The image is the one that is there, and has failed only the new test: what is published stays."""
    settled.edit("layers/hello/layer.yaml", "run: /usr/bin/hello", "run: false")
    before = published(registry, settled.prefix)
    run = settled.build(code=1)
    assert run.layers("building") == []
    assert run.results["hello"] == "failed"
    assert published(registry, settled.prefix) == before
    settled.edit("layers/hello/layer.yaml", "run: false", "run: /usr/bin/hello --greeting=Hello")
    again = settled.build()
    assert (again.layers("building"), again.results["hello"]) == ([], "tested")
    new = published(registry, settled.prefix).keys() - before.keys()
    assert [name.rpartition(":")[2][:3] for name in new] == ["ok-"]


def test_a_test_has_a_deadline(settled: Work) -> None:
    settled.edit("layers/hello/layer.yaml", "run: /usr/bin/hello\n", "run: sleep 100\n    timeout_s: 1\n")
    run = settled.build(code=1)
    (failed,) = [one for one in run.of("finished") if one["result"] == "failed"]
    assert "`sleep 100` took longer than 1 s" in failed["message"]


def test_the_verb_test_runs_them_again(settled: Work) -> None:
    done = settled.run("test", "hello", "layer:tool")
    assert re.fullmatch(r"(tool|hello)-\w+: passed\n(tool|hello)-\w+: passed\n", done.stdout)
    assert containers(settled) == []


# --- other ways --------------------------------------------------------------------------------------------------------


def test_a_build_without_push_stays_on_this_machine(settled: Work, registry: Registry) -> None:
    settled.edit("layers/tool/files/greet", "", f"# {uuid.uuid4()}\n")
    before = published(registry, settled.prefix)
    settled.run("build", "layer:tool")
    assert published(registry, settled.prefix) == before
    log = settled.log(settled.nodes("layer:tool")["tool"]["id"])
    assert "== testing" in log
    assert "== pushing" not in log
    again = replace(settled, env=NO_ENGINE).run("build", "--json", "layer:tool")
    assert '"reused"' in again.stdout
    pushed = settled.build("layer:tool")
    assert (pushed.layers("building"), pushed.layers("testing")) == ([], [])
    new = published(registry, settled.prefix).keys() - before.keys()
    assert sorted(name.rpartition(":")[2].partition("-")[0] for name in new) == ["fp", "info", "ok"]


def test_everything_in_one_repository(work: Work, registry: Registry) -> None:
    work.edit("hubstack.yaml", "", "layout: single\n")
    work.edit("profiles/demo.yaml", '[small, "both/*", hello]\n    default: small', "[hello]\n    default: hello")
    run = work.build("hello", "--profiles", str(work.folder / "out"))
    fingerprint, digest = work.nodes("hello")["hello"]["fingerprint"], run.digests["hello/default"]
    for tag in (f"fp-{fingerprint}", f"hello-default-{fingerprint[:12]}", "hello-default-latest"):
        assert registry.head(work.prefix.with_tag(tag)) == digest
    assert f"{work.prefix}:hello-default-{fingerprint[:12]}@{digest}" in work.configmap()
    again = replace(work, env=NO_ENGINE).build("hello")
    assert (again.of("phase"), again.of("note"), again.digests) == ([], [], run.digests)


def test_an_index_names_the_image_of_each_platform(
    fresh_prefix: Callable[[], ImageRef], registry: Registry, tmp_path: Path
) -> None:
    """Built for both by a real engine; no step runs in them, for this machine is of one architecture."""
    platforms = ("linux/amd64", "linux/arm64")
    prefix = fresh_prefix()
    write_two_platforms(tmp_path / "project")
    project, _ = load_project(tmp_path / "project")
    names = Names.of(replace(project.settings, registry=prefix))
    inputs = prepare(project, Lock(), ["files"])
    assert {inputs.graph.nodes[image.node].platform for image in inputs.selection.images} == set(platforms)
    publisher = Publisher(registry=registry, names=names)
    outcomes = {}
    for node in inputs.graph.nodes.values():
        layout = built_for(node.platform, tmp_path / node.id)
        digest = publisher.push_node(layout, inputs.fingerprint(node.id), on_bytes=lambda *_: None)
        outcomes[node.id] = Outcome(node=node.id, result=Result.BUILT, digest=digest)
    plan = inputs.plan(None)
    (one,) = publisher.publish(plan, outcomes, channels=["latest"], all_or_nothing=False)
    index = registry.manifest(one.ref)
    assert index is not None
    assert {entry.platform: entry.digest for entry in index.manifests} == {
        inputs.graph.nodes[image.node].platform: outcomes[image.node].digest for image in inputs.selection.images
    }
    assert registry.head(prefix.child("files").with_tag("default-latest")) == one.ref.digest
    for platform in platforms:
        docker("pull", "--quiet", f"--platform={platform}", str(one.ref))
    docker("image", "rm", "--force", str(one.ref))


def write_two_platforms(folder: Path) -> None:
    files = {
        "hubstack.yaml": "base: none\nplatforms: [linux/amd64, linux/arm64]\n",
        "base/none/layer.yaml": "summary: None\nbootstrap: {suite: trixie}\n",
        "layers/files/layer.yaml": "summary: Files\n",
        "layers/files/files/opt/note": "a note\n",
        "stacks/files.yaml": "title: Files\nbase: none\nlayers: [files]\n",
    }
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def built_for(platform: str, folder: Path) -> Layout:
    context = folder / "context"
    context.mkdir(parents=True)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY note /opt/note\nUSER 1000:100\n")
    (context / "note").write_text("a note\n")
    output = f"--output=type=oci,dest={folder / 'layout'},tar=false"
    docker("buildx", "build", f"--platform={platform}", "--provenance=false", "--sbom=false", output, str(context))
    return read_layout(folder / "layout")


def finished(run: Run) -> dict[str, Json]:
    return {one["node"]: one for one in run.of("finished")}
