"""`hubstack prune` as it is typed: what it must know before it says anything. tests/engine/test_prune.py deletes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from hubstack.errors import ProjectError, RegistryError, UsageError

from tests.commandline import PROJECTS
from tests.fakes.registry import FakeRegistry
from tests.shell import Shell, TerminalEngine

pytestmark = pytest.mark.long

EMITTED = "profiles/emitted/demo.yaml"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def shell(tmp_path: Path, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Everything built and published once, changed, and built and published again."""
    folder = Path(shutil.copytree(PROJECTS / "good-small", tmp_path / "small"))
    monkeypatch.chdir(folder)
    engine = TerminalEngine(registry)
    engine.outputs["greet"] = "hello\n"
    shell = Shell(folder, registry, engine)
    shell("build", "--push")
    (folder / "layers/hello/files/usr/local/bin/more").write_text("more\n")
    shell("build", "--push")
    return shell


def writes(registry: FakeRegistry) -> list[str]:
    return [one.method for one in registry.requests if one.method not in {"GET", "HEAD"}]


def test_a_hub_of_which_nothing_is_known_stops_it(shell: Shell) -> None:
    with pytest.raises(UsageError, match="nobody knows what demo offers now") as caught:
        shell("prune")
    assert "--configmap" in caught.value.hint


def test_what_hubs_were_given_is_kept(shell: Shell) -> None:
    shell("profiles", "--output", "profiles/emitted")
    shell.registry.requests.clear()
    lines = shell("prune").stdout.splitlines()
    kinds = {line.split()[1] for line in lines}
    assert kinds == {"image", "node", "record"}
    assert all(line.startswith("unneeded  ") for line in lines)
    assert not writes(shell.registry)
    # the older image is what another ConfigMap, which is live somewhere, still names
    (image,) = [line.split()[-1] for line in lines if " image " in line and ":trixie-" in line]
    tag = image.rpartition(":")[2]
    emitted = (shell.folder / EMITTED).read_text()
    newer = next(
        name for name in shell.tags("small") if name.startswith("trixie-") and name not in {tag, "trixie-latest"}
    )
    old, new = (shell.registry.repository("x/small").tags[name] for name in (tag, newer))
    assert new in emitted
    live = shell.folder / "live.yaml"
    live.write_text(with_checksum(emitted.replace(new, old)))
    kept = shell("prune", "--configmap", str(live)).stdout
    assert image not in kept
    assert len(kept.splitlines()) < len(lines)


def with_checksum(text: str) -> str:
    import hashlib
    import re

    import yaml

    values = yaml.safe_load(text)["data"]["values.yaml"]
    return re.sub(r'(hubstack/sha256": )"\w+"', rf'\1"{hashlib.sha256(values.encode()).hexdigest()}"', text)


def test_faults_delete_nothing(shell: Shell) -> None:
    shell("profiles", "--output", "profiles/emitted")
    in_use = shell.folder / "in-use.txt"
    in_use.write_bytes(b"\xff\n")
    emitted = (shell.folder / EMITTED).read_text()
    shell.registry.requests.clear()
    with pytest.raises(click.UsageError, match="--delete needs --in-use"):
        shell("prune", "--delete")
    with pytest.raises(UsageError, match="no text in UTF-8"):
        shell("prune", "--delete", "--in-use", str(in_use))
    in_use.write_text("none\n")
    (shell.folder / EMITTED).write_text(emitted[:-200])
    with pytest.raises(ProjectError, match="Nothing is deleted"):
        shell("prune", "--delete", "--in-use", str(in_use))
    (shell.folder / EMITTED).write_text(emitted)
    name = next(tag for tag in shell.tags("build") if tag.startswith("last-"))
    repository = shell.registry.repository("x/build")
    repository.tags[name] = next(digest for tag, digest in repository.tags.items() if tag.startswith("fp-"))
    with pytest.raises(UsageError, match="nobody knows what the newest run has built"):
        shell("prune", "--delete", "--in-use", str(in_use))
    assert not writes(shell.registry)


def test_a_registry_that_answers_nonsense_deletes_nothing(shell: Shell) -> None:
    shell("profiles", "--output", "profiles/emitted")
    in_use = shell.folder / "in-use.txt"
    in_use.write_text("none\n")
    digest = shell.registry.repository("x/small").tags["trixie-latest"]
    media_type, _ = shell.registry.repository("x/small").manifests[digest]
    shell.registry.repository("x/small").manifests[digest] = (media_type, b"{}")
    shell.registry.requests.clear()
    with pytest.raises(RegistryError):
        shell("prune", "--delete", "--in-use", str(in_use))
    assert not writes(shell.registry)
