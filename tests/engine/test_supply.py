"""Signatures, bills of materials and provenance: cosign itself, with a pair of keys made here, on registries on loopback.

Most of it needs no engine but a behaving one: what is signed is a real image in a real layout. One project is built by
Docker and pushed to the registry of `make setup`.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hubstack.errors import UsageError
from hubstack.supply import bom, provenance
from hubstack.supply.cosign import SigningError

from tests.commandline import PROJECTS
from tests.engine.workbench import Work, without_hello
from tests.fakes.registry import FakeRegistry
from tests.shell import Shell, TerminalEngine

pytestmark = pytest.mark.engine

PASSWORD = "a-canary-of-a-password"
LISTS = "=debian\nbash\t5.2.15-2\n=python\nnumpy\t2.3.1\n=npm\n@jupyter/lab\t4.5.0\n=r\nggplot2\t3.5.1\n"
Pair = tuple[Path, Path]


def make_pair(folder: Path) -> Pair:
    folder.mkdir(parents=True)
    env = {**os.environ, "COSIGN_PASSWORD": PASSWORD}
    subprocess.run(["cosign", "generate-key-pair"], cwd=folder, env=env, check=True, capture_output=True)
    return folder / "cosign.key", folder / "cosign.pub"


@pytest.fixture(scope="module", autouse=True)
def cosign() -> None:
    """Skipped where there is none, unless HUBSTACK_TEST_TOOLS says that there must be."""
    if shutil.which("cosign") is None:
        (pytest.fail if os.environ.get("HUBSTACK_TEST_TOOLS") else pytest.skip)("there is no cosign")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("keys") / "ours")


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("keys") / "theirs")


@pytest.fixture
def wire() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


def project(folder: Path, registry: FakeRegistry, pair: Pair) -> Shell:
    """Two images on each other, one hub. It trusts nobody yet."""
    shutil.copytree(PROJECTS / "good-three-hubs", folder)
    for name in ("prod", "gpu"):
        (folder / "profiles" / f"{name}.yaml").unlink()
    (folder / "stacks" / "science.yaml").write_text("title: Science\nbase: debian\nlayers: [lab]\n")
    defaults = folder / "profiles" / "_defaults.yaml"
    defaults.write_text(defaults.read_text().replace("science/trixie", "science/default"))
    shutil.copy(pair[1], folder / "cosign.pub")
    return Shell(folder, registry, engine(registry))


def engine(registry: FakeRegistry) -> TerminalEngine:
    engine = TerminalEngine(registry)
    engine.outputs["sh /srv/hubstack/contents.sh"] = LISTS
    return engine


@pytest.fixture(scope="module")
def environment(pair: Pair) -> Iterator[None]:
    """The key is at hand, and this is no job of GitHub Actions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUBSTACK_SIGNING_KEY", str(pair[0]))
        patch.setenv("COSIGN_PASSWORD", PASSWORD)
        for name in ("GITHUB_ACTIONS", "GITHUB_WORKFLOW_REF", "ACTIONS_ID_TOKEN_REQUEST_URL"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture
def unsigned(
    tmp_path: Path, wire: FakeRegistry, pair: Pair, environment: None, monkeypatch: pytest.MonkeyPatch
) -> Shell:
    shell = project(tmp_path / "project", wire, pair)
    monkeypatch.chdir(shell.folder)
    return shell


@pytest.fixture
def shell(unsigned: Shell) -> Shell:
    """The same project, signing. Nothing is built."""
    return trusting(unsigned)


@pytest.fixture(scope="module")
def once(pair: Pair, environment: None, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Built, signed and published, for those who begin there."""
    with FakeRegistry() as fake:
        shell = trusting(project(tmp_path_factory.mktemp("once") / "project", fake, pair))
        assert shell("build", "--push").return_value == 0
        return shell


@pytest.fixture
def signed(once: Shell, tmp_path: Path, wire: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A project that is built, signed and published; to be changed."""
    folder = Path(shutil.copytree(once.folder, tmp_path / "project", symlinks=True))
    monkeypatch.chdir(folder)
    wire.content |= once.registry.content
    wire.repositories |= deepcopy(once.registry.repositories)
    return Shell(folder, wire, engine(wire))


def trusting(shell: Shell, key: Path | None = None) -> Shell:
    if key is not None:
        shutil.copy(key, shell.folder / "cosign.pub")
    settings = shell.folder / "hubstack.yaml"
    if "signing:" not in settings.read_text():
        settings.write_text(f"{settings.read_text()}signing: {{key: cosign.pub, transparency_log: false}}\n")
    return shell


def clone(shell: Shell, folder: Path) -> Shell:
    """Another machine: the same files, and nothing that was built."""
    shutil.copytree(shell.folder, folder, ignore=shutil.ignore_patterns(".hubstack", "out"))
    return Shell(folder, shell.registry, TerminalEngine(shell.registry))


def puts(registry: FakeRegistry) -> list[str]:
    """``repository:tag`` of every manifest that was put, in order."""
    found = [one.path.removeprefix("/v2/").split("/manifests/") for one in registry.asked("PUT", "/manifests/")]
    return [":".join(one) for one in found]


def wrote(registry: FakeRegistry) -> bool:
    return any(one.method in {"PUT", "POST", "PATCH", "DELETE"} for one in registry.requests)


def attested(ref: str, kind: str, key: Path) -> list[Any]:
    """What cosign, asked by hand, says is stated of an image."""
    argv = ["cosign", "verify-attestation", f"--key={key}", "--insecure-ignore-tlog=true", f"--type={kind}", ref]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return [json.loads(base64.b64decode(json.loads(line)["payload"]))["predicate"] for line in done.stdout.splitlines()]


def names(shell: Shell) -> dict[str, str]:
    """Stack/variant → the name under which it is published."""
    rows = json.loads(shell("plan", "--json").stdout)["images"]
    return {f"{row['stack']}/{row['variant']}": row["ref"] for row in rows}


def nodes(shell: Shell) -> dict[str, dict[str, Any]]:
    return {node["id"]: node for node in json.loads(shell("plan", "--json", "--offline").stdout)["nodes"]}


def move(registry: FakeRegistry, tag: str, other: str) -> None:
    """As somebody who may push, and is not us: let one tag of a repository name what another names."""
    (repository, one), (_, two) = tag.rsplit(":", 1), other.rsplit(":", 1)
    tags = registry.repository(repository).tags
    tags[one] = tags[two]


def drop(registry: FakeRegistry, repository: str, suffix: str) -> None:
    """Take away signatures (.sig) or attestations (.att)."""
    tags = registry.repository(repository).tags
    for tag in [tag for tag in tags if tag.endswith(suffix)]:
        del tags[tag]


def forget_bill(registry: FakeRegistry, repository: str) -> None:
    """Take away the bill of materials alone: cosign keeps all that is attested of an image in one manifest."""
    there = registry.repository(repository)
    tag = next(tag for tag in there.tags if tag.endswith(".att"))
    media_type, content = there.manifests[there.tags[tag]]
    manifest = json.loads(content)
    kept = [n for n, one in enumerate(manifest["layers"]) if one["annotations"]["predicateType"] != bom.PREDICATE]
    config = json.loads(registry.content[manifest["config"]["digest"]])
    config["rootfs"]["diff_ids"] = [config["rootfs"]["diff_ids"][n] for n in kept]
    blob = json.dumps(config).encode()
    manifest["layers"] = [manifest["layers"][n] for n in kept]
    manifest["config"] |= {"digest": registry.put_blob(repository, blob), "size": len(blob)}
    registry.put_manifest(repository, tag, json.dumps(manifest).encode(), media_type)


# --- all is well ------------------------------------------------------------------------------------------------------------


def test_what_is_pushed_is_signed_before_it_has_a_name(shell: Shell, pair: Pair) -> None:
    assert shell("build", "--push", "--profiles", "out").return_value == 0
    order = puts(shell.registry)
    for tag in [one for one in order if one.startswith("x/build:fp-")]:
        digest = shell.registry.repository("x/build").tags[tag.partition(":")[2]]
        assert order.index(f"x/build:sha256-{digest[7:]}.att") < order.index(tag)
    for ref in names(shell).values():
        repository, tag = ref.split("/", 1)[1].rsplit(":", 1)
        digest = shell.registry.repository(repository).tags[tag]
        mine = [one for one in order if one.startswith(f"{repository}:")]
        assert mine.index(f"{repository}:sha256-{digest[7:]}.sig") < mine.index(f"{repository}:{tag}")
        assert mine.index(f"{repository}:sha256-{digest[7:]}.att") < mine.index(f"{repository}:{tag}")
    assert (shell.folder / "out" / "staging.yaml").exists()
    verified = shell("verify")
    assert (verified.return_value, verified.stdout) == (0, "2 of 2 images are signed, and made from this tree\n")


def test_the_bill_of_materials_lists_what_is_in_the_image(signed: Shell, pair: Pair) -> None:
    ref = names(signed)["torch/default"]
    (bill,) = attested(ref, "cyclonedx", pair[1])
    assert {one["purl"] for one in bill["components"]} == {
        "pkg:deb/debian/bash@5.2.15-2",
        "pkg:pypi/numpy@2.3.1",
        "pkg:npm/%40jupyter/lab@4.5.0",
        "pkg:cran/ggplot2@3.5.1",
    }


def test_the_provenance_is_the_build_jobs_own(shell: Shell, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = "example/images/.github/workflows/publish.yml@refs/heads/main"
    monkeypatch.setenv("GITHUB_WORKFLOW_REF", workflow)
    node = next(node for node in nodes(shell).values() if node["layer"] == "torch")
    shell("build", "--push", f"node:{node['id']}")
    monkeypatch.delenv("GITHUB_WORKFLOW_REF")
    shell("publish", "torch")
    (stated,) = attested(names(shell)["torch/default"], "slsaprovenance1", pair[1])
    assert stated["runDetails"]["builder"]["id"] == f"https://github.com/{workflow}"
    assert provenance.fingerprint_in(stated) == node["fingerprint"]


def test_nothing_changed_is_nothing_pushed(signed: Shell) -> None:
    signed("profiles", "--output", "out")
    before = (signed.folder / "out" / "staging.yaml").read_bytes()
    signed.registry.requests.clear()
    signed("build", "--push", "--profiles", "out")
    signed("publish")
    attest = signed("attest")
    assert (attest.return_value, attest.stdout) == (0, "5 are signed already\n")
    assert not wrote(signed.registry)
    assert (signed.folder / "out" / "staging.yaml").read_bytes() == before


def test_several_platforms_of_several_machines_are_signed_as_one(shell: Shell, tmp_path: Path) -> None:
    settings = shell.folder / "hubstack.yaml"
    settings.write_text(f"{settings.read_text()}platforms: [linux/amd64, linux/arm64]\n")
    shell("build", "--push", "science")
    arm = clone(shell, tmp_path / "arm")
    arm.engine.platform = "linux/arm64"
    assert arm("build", "--push", "science").return_value == 0
    assert shell("verify", "science").return_value == 0
    shell.registry.requests.clear()
    shell("publish", "science")
    assert not wrote(shell.registry)
    drop(shell.registry, "x/science", ".att")
    assert shell("verify", "science").return_value == 1


# --- what was there before ------------------------------------------------------------------------------------------------


def test_signing_begins_with_what_this_machine_has_built(unsigned: Shell) -> None:
    unsigned("build", "--push")
    shell = trusting(unsigned)
    assert shell("verify").return_value == 1
    with pytest.raises(SigningError, match="nobody whom the project trusts has signed it"):
        shell("build", "--push")
    said = json.loads(shell("attest", "--dry-run", "--json").stdout)
    assert {row["result"] for row in said} == {"unsigned"}
    assert shell("attest").return_value == 0
    assert shell("verify").return_value == 0
    assert shell("build", "--push", "--profiles", "out").return_value == 0


def test_what_another_machine_has_built_is_signed_only_by_who_vouches_for_it(unsigned: Shell, tmp_path: Path) -> None:
    unsigned("build", "--push")
    other = clone(trusting(unsigned), tmp_path / "other")
    refused = other("attest")
    assert refused.return_value == 1
    assert "not built on this machine: --adopt signs it as it is" in refused.stdout
    assert other("verify").return_value == 1
    assert other("attest", "--adopt").return_value == 0
    assert other("verify").return_value == 0


def test_an_unsigned_node_is_neither_built_on_nor_published(unsigned: Shell, tmp_path: Path) -> None:
    unsigned("build", "--push", "layer:lab")
    other = clone(trusting(unsigned), tmp_path / "other")
    lab = next(name for name, node in nodes(other).items() if node["layer"] == "lab")
    for words in (("--push",), ()):
        with pytest.raises(SigningError, match=r"lab-\w+ would be reused") as refusal:
            other("build", *words)
        assert f"hubstack attest --adopt node:{lab}" in refusal.value.hint or "node:lab-" in refusal.value.hint
    with pytest.raises(SigningError):
        other("publish", "science")
    assert other.built() == []
    assert not [tag for tag in other.tags("science") if not tag.startswith("sha256-")]


def test_what_is_built_and_stays_here_needs_no_signature(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUBSTACK_SIGNING_KEY")
    assert shell("build").return_value == 0
    assert shell("build").return_value == 0


# --- somebody else was there ------------------------------------------------------------------------------------------------


def refused(shell: Shell, *words: str) -> str:
    """What is said where no ConfigMap is written."""
    with pytest.raises(SigningError) as refusal:
        shell(*words)
    assert not (shell.folder / "out").exists()
    return refusal.value.message


@pytest.mark.parametrize(
    ("befalls", "says"),
    [
        (lambda registry: drop(registry, "x/torch", ".sig"), "is not signed by the key"),
        (lambda registry: drop(registry, "x/torch", ".att"), "has no provenance signed by"),
        (lambda registry: forget_bill(registry, "x/torch"), "has no signed bill of materials"),
        (lambda registry: drop(registry, "x/build", ".att"), ""),  # the images are still whole
    ],
    ids=["no-signature", "no-attestation", "no-bill", "nodes-alone"],
)
def test_an_image_that_lacks_something_is_never_named(
    signed: Shell, befalls: Callable[[FakeRegistry], None], says: str
) -> None:
    befalls(signed.registry)
    if says:
        assert says in refused(signed, "profiles", "--output", "out")
        signed("publish", "--profiles", "out")  # brings what is missing: its node is signed
    else:
        signed("profiles", "--output", "out")
    assert (signed.folder / "out" / "staging.yaml").exists()


def test_another_key_is_nobody(signed: Shell, strangers: Pair) -> None:
    trusting(signed, strangers[1])
    assert "would be reused" in refused(signed, "publish", "--profiles", "out")
    assert "is not signed by the key" in refused(signed, "profiles", "--output", "out")
    verified = signed("verify", "--json")
    assert verified.return_value == 1
    assert all("is not signed by" in fault for row in json.loads(verified.stdout) for fault in row["faults"])


def test_the_wrong_private_key_is_found_out_at_once(shell: Shell, strangers: Pair, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv("HUBSTACK_SIGNING_KEY", str(strangers[0]))
    assert shell("build", "--push", "torch").return_value == 1
    assert not [tag for tag in shell.tags("build") if tag.startswith(("fp-", "ok-"))]


def test_a_node_that_somebody_has_put_in_the_place_of_another(signed: Shell, tmp_path: Path) -> None:
    """Both are signed: only the fingerprint tells them apart."""
    mine = {one["layer"]: one for one in nodes(signed).values()}
    tests = {tag[:67]: tag for tag in signed.tags("build") if tag.startswith("ok-")}
    lab, torch = (tests[f"ok-{mine[layer]['fingerprint']}"] for layer in ("debian", "torch"))
    move(signed.registry, f"x/build:{torch}", f"x/build:{lab}")
    with pytest.raises(SigningError, match="torch-"):
        clone(signed, tmp_path / "other")("publish", "torch")


def test_a_name_that_somebody_has_moved(signed: Shell) -> None:
    """From one good image to another good image: its own provenance gives it away."""
    before = names(signed)["torch/default"].split("/", 1)[1]
    (signed.folder / "layers" / "torch" / "apt.txt").write_text("wget\ncurl\n")
    signed("build", "--push", "torch")
    now = names(signed)["torch/default"].split("/", 1)[1]
    for tag in (now, "x/torch:default-latest"):
        move(signed.registry, tag, before)
    assert signed("verify", "torch").return_value == 1
    assert "another build than its name says" in refused(signed, "profiles", "--output", "out")


# --- the cluster ------------------------------------------------------------------------------------------------------------


def test_the_cluster_is_told_the_same_key(signed: Shell, pair: Pair, tmp_path: Path) -> None:
    signed("hub", "staging", "--output", str(tmp_path / "hub"))
    policy = yaml.safe_load((tmp_path / "hub" / "policy" / "images.yaml").read_text())
    assert policy["spec"]["authorities"] == [{"name": "hubstack", "key": {"data": pair[1].read_text()}}]
    applied = yaml.safe_load((tmp_path / "hub" / "kustomization.yaml").read_text())["resources"]
    assert not [name for name in applied if "policy" in name]  # a cluster may not know its kind
    settings = signed.folder / "hubstack.yaml"
    settings.write_text(re.sub(r"(?m)^signing:.*\n", "", settings.read_text()))
    signed("hub", "staging", "--output", str(tmp_path / "hub"))
    assert not (tmp_path / "hub" / "policy" / "images.yaml").exists()


# --- usage ------------------------------------------------------------------------------------------------------------------


def test_without_a_key_nothing_is_begun(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUBSTACK_SIGNING_KEY")
    with pytest.raises(UsageError, match="its private half is not given"):
        shell("build", "--push")
    assert shell.built() == []


def test_the_password_is_nowhere(shell: Shell, capfd: pytest.CaptureFixture[str]) -> None:
    result = shell("build", "--push", "torch")
    said = result.stdout + result.stderr + "".join(capfd.readouterr())
    stored = b"".join(shell.registry.content.values()) + b"".join(
        content for one in shell.registry.repositories.values() for _, content in one.manifests.values()
    )
    assert PASSWORD not in said
    assert PASSWORD.encode() not in stored


def test_a_project_that_trusts_nobody_has_nothing_to_ask(unsigned: Shell) -> None:
    for verb in ("attest", "verify"):
        with pytest.raises(UsageError, match="doesn't say whose signatures") as refusal:
            unsigned(verb)
        assert "signing: {key: cosign.pub}" in refusal.value.hint


# --- a real engine and a real registry --------------------------------------------------------------------------------------


def test_built_by_docker(work: Work, pair: Pair) -> None:
    work = without_hello(replace(work, env={"HUBSTACK_SIGNING_KEY": str(pair[0]), "COSIGN_PASSWORD": PASSWORD}))
    shutil.copy(pair[1], work.folder / "cosign.pub")
    work.edit("hubstack.yaml", "", "signing: {key: cosign.pub, transparency_log: false}\n")
    subprocess.run(["git", "init", "--quiet", str(work.folder)], check=True)
    author = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["add", "."], [*author, "commit", "--quiet", "--message=x"]):
        subprocess.run(["git", "-C", str(work.folder), *words], check=True)
    work.build("small")
    ref = json.loads(work.run("plan", "--json", "small").stdout)["images"][0]["ref"]
    (bill,) = attested(ref, "cyclonedx", pair[1])
    assert "pkg:deb/debian/base-files" in {one["purl"].partition("@")[0] for one in bill["components"]}
    (stated,) = attested(ref, "slsaprovenance1", pair[1])
    named = {one["name"].partition("/")[0] for one in stated["buildDefinition"]["resolvedDependencies"]}
    assert named == {"project", "hubstack.lock", "dockerfile", "image", "node"}
    assert {"hubstack", "buildx", "buildkit"} <= stated["runDetails"]["builder"]["version"].keys()
    assert stated["buildDefinition"]["internalParameters"]["dirty"] is False
    assert work.run("verify", "small").stdout == "1 of 1 images are signed, and made from this tree\n"
