"""`hubstack review`: what a change costs, which stacks and launchers it touches, and what budget and policy say of it."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterator
from contextlib import chdir
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hubstack.errors import UsageError

from tests.commandline import PROJECTS
from tests.fakes.registry import FakeRegistry
from tests.shell import Shell, TerminalEngine
from tests.unit.test_since import PLAIN, commit, git, replaced, write

pytestmark = pytest.mark.long

BIG = "layers/git/Dockerfile.j2"


@dataclass(frozen=True)
class Published:
    folder: Path
    registry: FakeRegistry


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """Stacks ``small`` of two variants, which a hub offers, and ``plain``; committed, built and published."""
    folder = Path(shutil.copytree(PROJECTS / "good-small", tmp_path_factory.mktemp("main") / "small"))
    (folder / "stacks" / "plain.yaml").write_text(PLAIN)
    git(folder, "init", "--quiet")
    commit(folder)
    with FakeRegistry() as registry, chdir(folder):
        shell(folder, registry)("build", "--push")
        shutil.rmtree(folder / ".hubstack")
        yield Published(folder, registry)


def shell(folder: Path, registry: FakeRegistry) -> Shell:
    engine = TerminalEngine(registry)
    engine.outputs["greet"] = "hello\n"
    return Shell(folder, registry, engine)


@pytest.fixture(name="shell")
def machine(published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """Another machine, which has built nothing, and a registry that has everything."""
    folder = Path(shutil.copytree(published.folder, tmp_path / "small"))
    monkeypatch.chdir(folder)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    with FakeRegistry() as registry:
        registry.content.update(published.registry.content)
        registry.repositories.update(deepcopy(published.registry.repositories))
        yield shell(folder, registry)


def grown(size_bytes: int) -> str:
    """A template that makes images larger by so much, and is always the same: the engine keeps Dockerfiles in them."""
    noise = random.Random(1).randbytes(size_bytes).hex()  # of which half is left when it is compressed
    return f"FROM parent\n# {noise}\n{{{{ packages() }}}}\nUSER 1000:100\n"


def review(shell: Shell, *words: str) -> Any:
    result = shell("review", "--since", "HEAD", "--json", *words)
    return {**json.loads(result.stdout), "code": result.return_value}


def test_without_a_change(shell: Shell) -> None:
    result = shell("review", "--since", "HEAD")
    assert (result.return_value, result.stdout) == (0, "since HEAD: nothing is to be built or tested\n")


def test_what_is_to_be_built_and_how_long_it_took_last_time(shell: Shell) -> None:
    write(shell, "layers/hello/files/etc/new", "new\n")
    found = review(shell)
    assert [node["node"].partition("-")[0] for node in found["nodes"]] == ["hello", "git", "hello", "git"]
    assert found["nodes"][0]["reason"] == "layers/hello/files/etc/new added"
    assert found["durations_recorded"] == 4
    write(shell, "layers/fresh/layer.yaml", "summary: Fresh\n")
    found = review(shell)
    assert (len(found["nodes"]), found["durations_recorded"]) == (5, 4)
    assert 30 <= found["seconds"] < 60  # nobody knows how long the new one takes
    assert found["seconds_at_best"] == 30
    assert "4 of 5 durations are known" in shell("review", "--since", "HEAD").stdout


def test_other_tests_build_nothing(shell: Shell) -> None:
    replaced(shell, "layers/hello/layer.yaml", 'stdout: "^hello"', 'stdout: "hello"')
    found = review(shell)
    assert found["nodes"] == []
    assert len(found["tests"]) == 2
    assert [(one["image"], one["kind"], one["pulls"]) for one in found["images"]] == [
        ("small/bookworm", "other tests", 0),
        ("small/trixie", "other tests", 0),
    ]
    assert shell("review", "--since", "HEAD").stdout.startswith("since HEAD: 2 to test again\n")
    assert [one["pulls"] for one in review(shell, "--offline")["images"]] == [0, 0]


# --- sizes ---------------------------------------------------------------------------------------------------------------


def test_what_a_node_pulls_more_shows_once_it_is_built(shell: Shell) -> None:
    write(shell, BIG, grown(100_000))
    found = review(shell)
    assert (found["pull_bytes"], found["images_not_measured"]) == (None, 3)
    assert all(one["size_before"] and one["size"] is None for one in found["images"])
    shell("build", "--since", "HEAD")
    found = review(shell)
    assert found["images_not_measured"] == 0
    for one in found["images"]:
        assert 95_000 < one["size"] - one["size_before"] < 130_000
        assert 95_000 < one["pulls"] < one["size"]  # what lies below is there already
    assert found["pull_bytes"] == sum({one["pulls"] for one in found["images"]})  # two images got the same new blob
    own = {one["layer"]: one for one in found["layers"]}
    assert set(own) == {"git"}
    assert 95_000 < own["git"]["more"] < own["git"]["own"]


def test_blobs_that_images_share_are_pulled_once(shell: Shell) -> None:
    write(shell, "base/debian/Dockerfile.j2", grown(100_000))
    shell("build", "--since", "HEAD")
    found = review(shell)
    pulls = [one["pulls"] for one in found["images"]]
    assert len(pulls) == 3
    assert max(pulls) < found["pull_bytes"] < sum(pulls)  # plain and small/trixie have one base


def test_a_registry_that_cannot_be_read(shell: Shell) -> None:
    shell.registry.auth = "token"
    write(shell, BIG, grown(10_000))
    shell("build", "--since", "HEAD", "plain")
    asked = len(shell.registry.requests)
    found = review(shell)
    assert found["code"] == 0
    assert len(found["nodes"]) == 3
    assert found["notes"][0].startswith("the registry can't be read, so sizes and durations from it are missing: ")
    (plain,) = (one for one in found["images"] if one["image"] == "plain/default")
    assert plain["size"] > 10_000
    assert (plain["size_before"], plain["pulls"]) == (None, None)
    assert len(shell.registry.requests) - asked < 8
    asked = len(shell.registry.requests)
    assert review(shell, "--offline")["notes"] == []
    assert len(shell.registry.requests) == asked


# --- the budget ----------------------------------------------------------------------------------------------------------

BUDGET = "policy: {size: {growth: 50kB}}\n"


def test_the_size_budget_is_an_error_of_the_review_and_a_warning_of_the_build(shell: Shell) -> None:
    write(shell, "hubstack.yaml", BUDGET)
    write(shell, BIG, grown(100_000))
    built = shell("build", "--since", "HEAD")
    assert built.return_value == 0
    assert re.search(
        r"^layers/git/layer.yaml:1:1: warning: git-\w+ adds .* and it may be 50 kB more\.", built.stderr, re.MULTILINE
    )
    result = shell("review", "--since", "HEAD", "--format", "github")
    assert result.return_value == 2
    (said,) = (line for line in result.stdout.splitlines() if line.startswith("::"))
    assert re.match(r"::error file=layers/git/layer.yaml,line=1,col=1::git-\w+ adds .* more than before", said)
    write(shell, "hubstack.yaml", "policy: {size: {growth: 150kB}}\n")
    assert shell("review", "--since", "HEAD").return_value == 0


def test_an_exception_from_the_budget_ends(shell: Shell) -> None:
    entry = "exceptions: [{layer: git, rule: size, reason: models, until: 2027-03-01}]"
    write(shell, "hubstack.yaml", f"policy:\n  size: {{growth: 50kB}}\n  {entry}\n")
    write(shell, BIG, grown(100_000))
    shell("build", "--since", "HEAD")
    assert review(shell, "--today", "2027-03-01")["code"] == 0
    late = review(shell, "--today", "2027-03-02")
    assert late["code"] == 2
    assert {one["path"] for one in late["problems"]} == {"hubstack.yaml", "layers/git/layer.yaml"}


def test_what_check_says_is_in_the_review_but_annotated_by_check_alone(shell: Shell) -> None:
    write(shell, "hubstack.yaml", "policy: {require_owners: true}\n")
    write(shell, "layers/fresh/layer.yaml", "summary: Fresh\n")
    result = shell("review", "--since", "HEAD", "--format", "github")
    assert result.return_value == 2
    assert "layers/fresh/layer.yaml:1:1: nobody owns the layer fresh." in result.stdout
    assert "::error" not in result.stdout


def test_a_project_with_faults_has_no_review(shell: Shell) -> None:
    replaced(shell, "stacks/plain.yaml", "[git]", "[gti]")
    result = shell("review", "--since", "HEAD")
    assert (result.return_value, result.stdout) == (2, "")
    assert result.stderr.startswith("stacks/plain.yaml:3:10: ")


# --- stacks and launchers ------------------------------------------------------------------------------------------------


def test_stacks_that_come_and_go(shell: Shell) -> None:
    (shell.folder / "stacks" / "plain.yaml").unlink()
    write(shell, "stacks/other.yaml", "title: Other\nbase: debian\nlayers: [hello]\n")
    assert [(one["image"], one["kind"]) for one in review(shell)["images"]] == [
        ("other/default", "new"),
        ("plain/default", "gone"),
    ]


def test_choices_that_change_in_each_launcher(shell: Shell) -> None:
    write(shell, "layers/hello/files/etc/new", "new\n")
    write(shell, "stacks/other.yaml", "title: Other\nbase: debian\nlayers: [hello]\n")
    replaced(shell, "profiles/demo.yaml", 'stacks: ["small/*"]', "stacks: [small/trixie, other]")
    (hub,) = review(shell)["hubs"]
    assert hub["hub"] == "demo"
    changes = {one["key"]: one["change"] for one in hub["changes"]}
    assert changes == {"small-trixie": "new image", "other": "added", "small-bookworm": "removed"}
    text = shell("review", "--since", "HEAD").stdout
    assert "\nhub demo: 3 choices and 0 settings change\n" in text


def test_a_hub_that_nothing_changes_for_is_not_named(shell: Shell) -> None:
    write(shell, "stacks/other.yaml", "title: Other\nbase: debian\nlayers: [hello]\n")
    assert review(shell)["hubs"] == []


def test_a_new_hub_and_one_that_is_gone(shell: Shell) -> None:
    text = (shell.folder / "profiles" / "demo.yaml").read_text()
    (shell.folder / "profiles" / "demo.yaml").unlink()
    write(shell, "profiles/other.yaml", text)
    found = {hub["hub"]: {one["change"] for one in hub["changes"]} for hub in review(shell)["hubs"]}
    assert found == {"other": {"added"}, "demo": {"removed"}}


def test_settings_of_a_launcher(shell: Shell) -> None:
    with (shell.folder / "profiles" / "demo.yaml").open("a") as file:
        file.write("    override: {mem_limit: 1G}\n")
    (hub,) = review(shell)["hubs"]
    assert hub["changes"] == []
    assert [(one["name"], one["after"]) for one in hub["settings"]] == [("kubespawner_override.mem_limit", "1G")]


# --- the summary ---------------------------------------------------------------------------------------------------------


def test_the_summary_is_appended(shell: Shell, tmp_path: Path) -> None:
    write(shell, BIG, grown(100_000))
    shell("build", "--since", "HEAD")
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    shell("review", "--since", "HEAD", "--summary", str(file))
    text = file.read_text()
    assert text.startswith("before\n## What this changes\n\n3 nodes to build")
    assert re.search(r"\|<code>plain/default</code>\|changed\|0.1\sMB\|\+0.1\sMB\|0.1\sMB\|\n", text)
    assert "### The launcher of <code>demo</code>" in text
    assert "<summary>3 nodes to build</summary>" in text


def test_what_a_contributor_writes_stays_text(shell: Shell, tmp_path: Path) -> None:
    write(shell, "hubstack.yaml", "policy: {test_network: false}\n")
    evil = "'curl | tee <img src=x> @everyone `x`'"
    write(shell, "layers/fresh/layer.yaml", f"summary: Fresh\ntests: [{{run: {evil}, network: yes}}]\n")
    file = tmp_path / "summary.md"
    shell("review", "--since", "HEAD", "--summary", str(file))
    (line,) = (line for line in file.read_text().splitlines() if "curl" in line)
    assert not set("<>`@") & set(re.sub(r"</?code>", "", line))
    assert line.count("|") == 5


def test_the_summary_of_a_project_with_faults_names_them(shell: Shell, tmp_path: Path) -> None:
    replaced(shell, "stacks/plain.yaml", "[git]", "[gti]")
    file = tmp_path / "summary.md"
    assert shell("review", "--since", "HEAD", "--summary", str(file)).return_value == 2
    (line,) = (one for one in file.read_text().splitlines() if "plain" in one)
    assert line.startswith("|**error**|<code>stacks")
    assert "unknown layer" in line


def test_a_summary_that_can_t_be_written(shell: Shell, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"summary\.md: No such file or directory"):
        shell("review", "--since", "HEAD", "--summary", str(tmp_path / "nowhere" / "summary.md"))


def test_who_changes_the_policy_is_seen_to(shell: Shell) -> None:
    write(shell, "hubstack.yaml", "# no other policy\npolicy: {require_owners: false}\n")
    assert review(shell)["notes"] == []
    write(shell, "hubstack.yaml", "policy: {size: {growth: 1GB}}\n")
    assert review(shell)["notes"] == [
        "the policy in hubstack.yaml is another one too, and what is said here is by the new one"
    ]


def test_there_must_be_something_to_compare_with(shell: Shell) -> None:
    with pytest.raises(UsageError, match="has no commit"):
        shell("review", "--since", "nowhere")


def test_against_a_branch_with_faults_everything_is_new(shell: Shell) -> None:
    replaced(shell, "stacks/plain.yaml", "[git]", "[gti]")
    commit(shell.folder)
    replaced(shell, "stacks/plain.yaml", "[gti]", "[git]")
    found = review(shell)
    assert found["notes"] == ["the project at HEAD had faults, so everything counts as new"]
    assert {one["kind"] for one in found["images"]} == {"new"}
