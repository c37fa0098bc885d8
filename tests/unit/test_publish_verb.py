"""``hubstack publish``: the end of a run whose nodes were built elsewhere. Nothing is built, and no engine is asked."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from hubstack.errors import HubstackError, ProjectError, UsageError

from tests.commandline import PROJECTS
from tests.fakes.registry import FakeRegistry
from tests.shell import Shell, TerminalEngine

pytestmark = pytest.mark.long


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def shell(tmp_path: Path, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A stack ``small`` of two variants, and a hub that offers both."""
    folder = Path(shutil.copytree(PROJECTS / "good-small", tmp_path / "small"))
    monkeypatch.chdir(folder)
    for name in ("GITHUB_ACTIONS", "GITHUB_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    engine = TerminalEngine(registry)
    engine.outputs["greet"] = "hello\n"
    return Shell(folder, registry, engine)


def nodes(shell: Shell, *select: str) -> list[str]:
    """As words of SELECT, the images' own nodes."""
    plan = json.loads(shell("plan", "--json", "--offline", *select).stdout)
    return [f"node:{image['node']}" for image in plan["images"]]


def built(shell: Shell, *select: str) -> Shell:
    """Built, tested and pushed as jobs do it: by nodes, nothing named."""
    assert shell("build", "--push", *nodes(shell, *select)).return_value == 0
    assert not [name for name in shell.registry.repositories if name != "x/build"]
    shell.engine.calls.clear()
    return shell


def test_what_jobs_have_built_gets_its_names(shell: Shell) -> None:
    built(shell)
    result = shell("publish")
    assert result.return_value == 0
    assert len(shell.tags("small")) == 4
    assert {tag for tag in shell.tags("small") if tag.endswith("latest")} == {"trixie-latest", "bookworm-latest"}
    assert [line.split()[-1] for line in result.stdout.splitlines()] == ["RESULT", "reused", "reused"]
    assert shell.engine.calls == []


def test_it_is_what_build_would_have_published(shell: Shell) -> None:
    built(shell)
    shell("publish")
    after = {name: dict(one.tags) for name, one in shell.registry.repositories.items()}
    shell("build", "--push")
    assert {name: dict(one.tags) for name, one in shell.registry.repositories.items()} == after


def test_a_second_time_nothing_is_written(shell: Shell, registry: FakeRegistry) -> None:
    built(shell)
    shell("publish")
    registry.requests.clear()
    assert shell("publish").return_value == 0
    assert {one.method for one in registry.requests} <= {"HEAD", "GET"}


def test_what_is_not_there_fails_and_the_others_move_on(shell: Shell) -> None:
    built(shell, "small/trixie")
    result = shell("publish")
    assert result.return_value == 1
    assert [tag.partition("-")[0] for tag in shell.tags("small")] == ["trixie", "trixie"]
    (node,) = nodes(shell, "small/bookworm")
    assert f"small/bookworm (linux/amd64) is not published: {node[5:]}: " in result.stderr
    assert f"hubstack build --push {node}\n" in result.stderr
    assert shell.engine.calls == []


def test_what_is_built_and_not_tested_is_not_published(shell: Shell) -> None:
    built(shell, "small/trixie")
    tags = shell.registry.repository("x/build").tags
    for tag in [tag for tag in tags if tag.startswith("ok-")]:
        del tags[tag]
    result = shell("publish", "small/trixie")
    assert result.return_value == 1
    assert "it is built, but its tests have not passed" in result.stderr
    assert "x/small" not in shell.registry.repositories


def test_all_or_nothing(shell: Shell) -> None:
    built(shell, "small/trixie")
    assert shell("publish", "--all-or-nothing").return_value == 1
    assert "x/small" not in shell.registry.repositories


def test_another_channel(shell: Shell) -> None:
    built(shell)
    shell("publish", "--channel", "2026-11", "small/trixie")
    assert [tag for tag in shell.tags("small") if "2026" in tag] == ["trixie-2026-11"]
    assert "trixie-latest" not in shell.tags("small")


def test_dry_run_writes_nothing(shell: Shell, registry: FakeRegistry, tmp_path: Path) -> None:
    built(shell)
    registry.requests.clear()
    result = shell("publish", "--dry-run", "--profiles", str(tmp_path / "out"))
    assert result.return_value == 0
    assert "small" in result.stdout
    assert {one.method for one in registry.requests} <= {"HEAD", "GET"}
    assert not (tmp_path / "out").exists()


def test_then_the_configmaps(shell: Shell, tmp_path: Path) -> None:
    built(shell)
    out = tmp_path / "out"
    done = json.loads(shell("publish", "--json", "--profiles", str(out)).stdout)
    assert [(row["hub"], row["changed"]) for row in done["hubs"]] == [("demo", True)]
    assert [row["ref"].partition("@")[2] for row in done["images"]] == [row["digest"] for row in done["images"]]
    text = (out / "demo.yaml").read_text()
    assert all(row["ref"] in text for row in done["images"])


def test_words_that_make_no_sense(shell: Shell) -> None:
    with pytest.raises(click.UsageError, match="--hub needs --profiles"):
        shell("publish", "--hub", "demo")
    with pytest.raises(click.UsageError, match="names no image"):
        shell("publish", "layer:git")


# --- the summary ------------------------------------------------------------------------------------------------------------


def test_the_summary_tells_what_was_built_from_what_was_there(shell: Shell, tmp_path: Path) -> None:
    built(shell)
    file, plan = tmp_path / "summary.md", tmp_path / "planned"
    plan.write_text(f'wave1={{"include": [{{"name": "a", "nodes": "{nodes(shell, "small/trixie")[0]}"}}]}}\n')
    shell("publish", "--summary", str(file), "--planned", str(plan))
    text = file.read_text()
    assert re.findall(r"<code>small/(\w+)</code>\|.*\|(built|reused)\|", text) == [
        ("trixie", "built"),
        ("bookworm", "reused"),
    ]
    assert "6 nodes: 1 built, 5 reused." in text


def test_the_summary_is_appended(shell: Shell, tmp_path: Path) -> None:
    built(shell)
    file = tmp_path / "summary.md"
    file.write_text("What stood there.\n")
    shell("publish", "--summary", str(file))
    assert file.read_text().startswith("What stood there.\n## Published\n")


def test_a_summary_in_a_folder_that_is_not_there_yet(shell: Shell, tmp_path: Path) -> None:
    built(shell)
    (tmp_path / "planned").write_bytes(b"\xff")  # and of a file that says nothing
    assert shell("publish", "--summary", "out/summary.md", "--planned", str(tmp_path / "planned")).exit_code == 0
    assert "## Published" in (shell.folder / "out" / "summary.md").read_text()


def test_build_writes_one_of_its_own(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    shell.engine.codes["git --version"] = 1
    assert shell("build", "--push", "--summary", str(file), "small/trixie").return_value == 1
    text = file.read_text()
    assert text.startswith("## Built\n")
    assert "### What failed" in text
    assert "git &#45;&#45;version" in text or "git --version" in text
    assert "classDef failed" in text


def test_an_edit_shows_what_changes(shell: Shell, tmp_path: Path) -> None:
    """Size, launcher and packages, against what was published before."""
    shell("build", "--push", "--profiles", str(tmp_path / "out"))
    (shell.folder / "layers" / "git" / "apt.txt").write_text("git\nless\n")
    file = tmp_path / "summary.md"
    shell("build", "--push", "small/trixie", "--profiles", str(tmp_path / "out"), "--summary", str(file))
    text = file.read_text()
    assert re.search(r"<code>small/trixie</code>\|0\.0.MB\|[+-]\d\.\d.MB\|built\|", text)
    assert "### The launcher of <code>demo</code>" in text
    assert re.search(r"<code>small/small-trixie</code>\|new image\|<code>small&#58;trixie-\w+</code> → ", text)
    assert "<code>small/trixie</code>: the same packages" in text


def test_a_configmap_that_can_t_be_is_no_reason_to_say_nothing(shell: Shell, tmp_path: Path) -> None:
    """The first publish of all, and one of two images has failed: the hub can't be given both."""
    built(shell, "small/trixie")
    file = tmp_path / "summary.md"
    with pytest.raises(ProjectError, match="small/bookworm can't be pulled"):
        shell("publish", "--profiles", str(tmp_path / "out"), "--summary", str(file))
    assert re.search(r"<code>small/bookworm</code>\|\|\|\*\*skipped\*\*", file.read_text())
    assert not (tmp_path / "out").exists()


def test_a_summary_that_is_full_takes_no_more(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    file.write_text("x" * (1 << 20))
    built(shell)
    assert shell("publish", "--summary", str(file)).return_value == 0
    assert file.stat().st_size == 1 << 20


# --- deliver ------------------------------------------------------------------------------------------------------------------


def git(folder: Path, *words: str) -> str:
    argv = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@example.org", *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def cluster(shell: Shell, tmp_path: Path) -> Path:
    """A GitOps repository; the project is in git, and its ConfigMap is written."""
    git(shell.folder, "init", "--quiet", "--initial-branch=main")
    git(shell.folder, "add", "--all")
    git(shell.folder, "commit", "--quiet", "--message", "all")
    folder = tmp_path / "cluster"
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(folder))
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "first")
    git(folder, "checkout", "--quiet", "--detach")
    built(shell)
    shell("publish", "--profiles", "profiles/emitted")
    return folder


def test_the_configmap_goes_to_the_cluster_s_repository(shell: Shell, cluster: Path) -> None:
    result = shell("deliver", str(cluster), "--branch", "main", "--path", "apps/hub/")
    assert result.stdout == "apps/hub/demo.yaml: delivered\n"
    assert git(cluster, "show", "main:apps/hub/demo.yaml") == (
        (shell.folder / "profiles/emitted/demo.yaml").read_text().strip()
    )
    assert git(cluster, "log", "-1", "--format=%s", "main") == "hubstack: ConfigMaps of demo"
    assert shell("deliver", str(cluster), "--branch", "main", "--path", "apps/hub").stdout.endswith(": unchanged\n")


def test_deliver_tells_a_workflow_whether_to_open_a_pull_request(shell: Shell, cluster: Path) -> None:
    words = ("deliver", str(cluster), "--branch", "hubstack/profiles", "--base", "main", "--json")
    tried = json.loads(shell(*words, "--dry-run").stdout)
    assert (tried["pull_request"], tried["commit"]) == (True, None)
    assert git(cluster, "branch", "--list", "hubstack/profiles") == ""
    done = json.loads(shell(*words).stdout)
    assert done == {
        "branch": "hubstack/profiles",
        "base": "main",
        "commit": git(cluster, "rev-parse", "hubstack/profiles"),
        "source": git(shell.folder, "rev-parse", "HEAD"),
        "changed": ["demo.yaml"],
        "pull_request": True,
    }
    git(cluster, "update-ref", "refs/heads/main", "hubstack/profiles")
    assert json.loads(shell(*words).stdout)["pull_request"] is False


def test_deliver_from_another_folder_with_another_message(shell: Shell, cluster: Path, tmp_path: Path) -> None:
    shutil.move(shell.folder / "profiles" / "emitted", tmp_path / "out")
    words = ("--from", str(tmp_path / "out"), "--hub", "demo", "--message", "By hand")
    shell("deliver", str(cluster), "--branch", "main", *words)
    assert git(cluster, "log", "-1", "--format=%s", "main") == "By hand"


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (("--path", "../x"), UsageError, "no folder of a repository"),
        (("--path", ".git"), UsageError, "no folder of a repository"),
        (("--path", "a,b"), UsageError, "no folder of a repository"),
        (("--base", "main"), click.UsageError, "--base needs another --branch"),
        (("--hub", "dmo"), UsageError, 'did you mean "demo"'),
        (("--from", "stacks"), UsageError, "there is no hub's ConfigMap in stacks"),
    ],
)
def test_deliver_with_words_that_make_no_sense(
    shell: Shell, cluster: Path, words: tuple[str, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        shell("deliver", str(cluster), *words)


@pytest.mark.parametrize("content", [b"kind: Secret\n", b"\xff\xfe"])
def test_only_a_configmap_is_delivered(content: bytes, shell: Shell, cluster: Path) -> None:
    (shell.folder / "profiles" / "emitted" / "demo.yaml").write_bytes(content)
    with pytest.raises(HubstackError):
        shell("deliver", str(cluster), "--branch", "main")
    assert git(cluster, "ls-tree", "--name-only", "main") == ""
