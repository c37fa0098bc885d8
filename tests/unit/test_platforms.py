"""Several platforms: each is built and tested by a machine of its own, and one job joins them when all are there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hubstack.build import native
from hubstack.errors import UsageError
from hubstack.names import joint
from hubstack.oci import OCI_INDEX, canonical_json
from hubstack.reference import Fingerprint

from tests.commandline import PROJECTS
from tests.fakes.registry import FakeRegistry
from tests.shell import Shell, TerminalEngine

pytestmark = pytest.mark.long

AMD64, ARM64 = "linux/amd64", "linux/arm64"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@dataclass(frozen=True)
class Farm:
    """Machines of two kinds with a clone of the project each, and nothing in common but the registry."""

    project: Path
    registry: FakeRegistry
    on: Callable[[str], None]  # lets Python say what the processor is

    def machine(self, platform: str, name: str) -> Shell:
        folder = self.project.parent / name
        if not folder.exists():
            shutil.copytree(self.project, folder, ignore=shutil.ignore_patterns(".hubstack"))
        self.on({AMD64: "x86_64", ARM64: "aarch64"}[platform])
        engine = TerminalEngine(self.registry, platform=platform)
        engine.outputs["greet"] = "hello\n"
        return Shell(folder, self.registry, engine)

    def nodes(self, platform: str) -> list[str]:
        plan = json.loads(self.machine(AMD64, "planner")("plan", "--json", "--offline").stdout)
        return [f"node:{image['node']}" for image in plan["images"] if image["platform"] == platform]

    def build(self, platform: str, name: str = "") -> Result:
        """A job: what is for ``platform``, on a machine for it."""
        shell = self.machine(platform, name or platform.replace("/", "-"))
        return shell("build", "--push", *self.nodes(platform))

    def publish(self, *words: str) -> Result:
        finisher = self.machine(AMD64, "finisher")
        result = finisher("publish", *words)
        assert finisher.engine.calls == []
        return result

    def edit(self, path: str, text: str) -> None:
        """A commit: what every machine begins with from now on."""
        for folder in self.project.parent.iterdir():
            if folder != self.project:
                shutil.rmtree(folder)
        file = self.project / path
        file.write_text(text)

    def tags(self, repository: str = "x/small") -> dict[str, Any]:
        there = self.registry.repositories.get(repository)
        return dict(there.tags) if there else {}

    def index(self, tag: str = "trixie-latest") -> Any:
        media_type, content = self.registry.repository("x/small").manifests[self.tags()[tag]]
        assert media_type == OCI_INDEX
        value = json.loads(content)
        assert canonical_json(value) == content
        return value


@pytest.fixture
def farm(tmp_path: Path, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> Farm:
    project = Path(shutil.copytree(PROJECTS / "good-small", tmp_path / "farm" / "project"))
    with (project / "hubstack.yaml").open("a") as file:
        file.write(f"platforms: [{AMD64}, {ARM64}]\n")
    monkeypatch.chdir(tmp_path)
    return Farm(project, registry, lambda name: monkeypatch.setattr("platform.machine", lambda: name))


# --- jobs, and the last one ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(AMD64, ARM64), (ARM64, AMD64)])
def test_each_platform_in_a_job_and_then_an_index(farm: Farm, order: tuple[str, str]) -> None:
    first, second = order
    assert farm.build(first).return_value == 0
    assert farm.publish().return_value == 1
    assert farm.tags() == {}  # no name before all platforms are there
    assert farm.build(second).return_value == 0
    assert farm.tags() == {}
    result = farm.publish("--json")
    assert result.return_value == 0
    parts = farm.index()["manifests"]
    assert [part["platform"]["architecture"] for part in parts] == ["amd64", "arm64"]
    built = farm.tags("x/build").values()
    assert {part["digest"] for part in parts} <= set(built)
    rows = [row for row in json.loads(result.stdout)["images"] if row["variant"] == "trixie"]
    assert [row["platform"] for row in rows] == [AMD64, ARM64]
    assert {row["ref"].partition("@")[2] for row in rows} == {farm.tags()["trixie-latest"]}


def test_the_order_of_jobs_and_the_finisher_make_no_difference(farm: Farm, registry: FakeRegistry) -> None:
    farm.build(ARM64)
    farm.build(AMD64)
    farm.publish()
    before = farm.tags()
    registry.requests.clear()
    assert farm.publish().return_value == 0
    farm.build(AMD64, "again")
    assert farm.tags() == before
    assert {one.method for one in registry.requests} == {"HEAD", "GET"}


def test_a_platform_that_failed_keeps_the_last_good_image(farm: Farm) -> None:
    for platform in (AMD64, ARM64):
        farm.build(platform)
    farm.publish()
    before = farm.tags()
    farm.edit("layers/git/apt.txt", "git\nless\n")
    farm.build(AMD64)
    result = farm.publish()
    assert result.return_value == 1
    assert f"small/trixie ({ARM64}) is not published" in result.stderr
    assert farm.tags() == before
    farm.build(ARM64)
    assert farm.publish().return_value == 0
    after = farm.tags()
    assert after["trixie-latest"] != before["trixie-latest"]
    assert before.keys() <= after.keys()


def test_what_changes_on_one_platform_gets_a_name_of_its_own(farm: Farm) -> None:
    """Immutable names are over all platforms: nothing is to go under one that is there."""
    for platform in (AMD64, ARM64):
        farm.build(platform)
    farm.publish()
    before, (amd64, arm64) = farm.tags(), farm.index()["manifests"]
    text = "#!/bin/sh\n{% if arch == 'arm64' %}# slowly\n{% endif %}echo {{ greeting }}\n"
    farm.edit("layers/hello/files/usr/local/bin/greet.j2", text)
    farm.build(ARM64)
    assert farm.publish().return_value == 0
    after = farm.index()["manifests"]
    assert after[0] == amd64
    assert after[1] != arm64
    assert len(farm.tags()) == len(before) + 2
    assert {tag: digest for tag, digest in farm.tags().items() if not tag.endswith("latest")}.items() >= {
        tag: digest for tag, digest in before.items() if not tag.endswith("latest")
    }.items()


def test_a_hub_is_given_the_index(farm: Farm, tmp_path: Path) -> None:
    for platform in (AMD64, ARM64):
        farm.build(platform)
    out = tmp_path / "out"
    assert farm.publish("--profiles", str(out)).return_value == 0
    name = next(tag for tag, digest in farm.tags().items() if digest == farm.tags()["trixie-latest"])
    assert f"/x/small:{name}@{farm.tags()['trixie-latest']}" in (out / "demo.yaml").read_text()


def test_a_hub_keeps_an_older_index_under_its_own_name(farm: Farm, tmp_path: Path) -> None:
    """Its stack has failed since: the name is found from the labels of all platforms."""
    for platform in (AMD64, ARM64):
        farm.build(platform)
    farm.publish("--profiles", str(tmp_path / "out"))
    before = (tmp_path / "out" / "demo.yaml").read_text()
    farm.edit("layers/git/apt.txt", "git\nless\n")
    assert farm.publish("--profiles", str(tmp_path / "out")).return_value == 1
    assert (tmp_path / "out" / "demo.yaml").read_text() == before


def test_the_summary_has_a_row_for_each_platform(farm: Farm, tmp_path: Path) -> None:
    for platform in (AMD64, ARM64):
        farm.build(platform)
    farm.publish()
    farm.edit("layers/git/apt.txt", "git\nless\n")
    for platform in (AMD64, ARM64):
        farm.build(platform)
    file = tmp_path / "summary.md"
    farm.publish("--summary", str(file))
    text = file.read_text()
    assert text.count("<code>small/trixie</code> linux&#47;") == 2
    assert text.count("MB|+") + text.count("MB|-") == 4


# --- on one machine --------------------------------------------------------------------------------------------------------------


def test_a_machine_does_not_try_the_other_s(farm: Farm) -> None:
    shell = farm.machine(AMD64, "one")
    result = shell("build", "--push", *farm.nodes(ARM64))
    assert result.return_value == 1
    assert f"it is for {ARM64}, and this engine is {AMD64}" in result.stderr
    assert "On a machine for it: hubstack build --push node:" in result.stderr
    assert shell.engine.verbs("build") == []
    assert farm.tags("x/build") == {}


def test_without_push_a_machine_builds_what_it_runs(farm: Farm) -> None:
    (other, *_), shell = farm.nodes(AMD64), farm.machine(ARM64, "one")
    result = shell("build", "small/trixie")
    assert result.return_value == 0
    assert len(result.stdout.splitlines()) == 2
    assert shell("test", "small/trixie").stdout.count("passed") == 1
    assert shell("run", "small/trixie", "--", "true").return_value == 0
    with pytest.raises(UsageError, match=f"is not for {ARM64}, which this machine is"):
        shell("build", other)


def test_of_one_platform_emulation_may_do(farm: Farm) -> None:
    """As on a laptop with another processor than the cluster's."""
    settings = farm.project / "hubstack.yaml"
    farm.edit("hubstack.yaml", settings.read_text().replace(f", {ARM64}", ""))
    assert farm.machine(ARM64, "laptop")("build", "small/trixie").return_value == 0


def test_all_platforms_are_selected_together(farm: Farm) -> None:
    (node, *_) = farm.nodes(ARM64)
    plan = json.loads(farm.machine(AMD64, "one")("plan", "--json", "--offline", f"{node}+").stdout)
    assert [image["platform"] for image in plan["images"]] == [AMD64, ARM64]
    assert len({image["ref"] for image in plan["images"]}) == 1


# --- parts -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("machine", "platform", "fits"),
    [
        (AMD64, AMD64, True),
        (ARM64, "linux/arm64/v8", True),
        ("linux/arm64/v8", ARM64, True),
        (AMD64, ARM64, False),
        ("windows/amd64", AMD64, False),
    ],
)
def test_native(machine: str, platform: str, fits: bool) -> None:  # noqa: FBT001
    assert native(machine, platform) is fits


def test_a_joint_fingerprint() -> None:
    one, two = Fingerprint("1" * 64), Fingerprint("2" * 64)
    assert joint([one]) == one
    assert joint([one, two]) == joint([two, one])
    assert len({joint([one, two]), one, two, joint([one, one])}) == 4
