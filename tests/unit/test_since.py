"""--since: what a branch has changed, and nothing else, is planned, built and tested."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from hubstack.errors import RegistryDenied, UsageError

from tests.commandline import PROJECTS
from tests.fakes.registry import FakeRegistry
from tests.shell import Shell, TerminalEngine

pytestmark = pytest.mark.long

PLAIN = "title: Plain\nbase: debian\nlayers: [git]\n"
LAYER = "summary: Something new\n"


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "more")


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def shell(tmp_path: Path, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Stacks ``small`` of two variants (debian, hello, git) and ``plain`` (debian, git), committed."""
    folder = Path(shutil.copytree(PROJECTS / "good-small", tmp_path / "small"))
    (folder / "stacks" / "plain.yaml").write_text(PLAIN)
    git(folder, "init", "--quiet")
    commit(folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    engine = TerminalEngine(registry)
    engine.outputs["greet"] = "hello\n"
    return Shell(folder, registry, engine)


def write(shell: Shell, path: str, text: str) -> None:
    file = shell.folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def replaced(shell: Shell, path: str, old: str, new: str) -> None:
    text = (shell.folder / path).read_text()
    assert old in text
    write(shell, path, text.replace(old, new))


def to_build(result: Result) -> list[str]:
    return re.findall(r"^build    ([a-z]+)-", result.stdout, re.MULTILINE)


def planned_images(result: Result) -> int:
    found = re.search(r"(\d+) images?[:;]", result.stdout)
    assert found
    return int(found[1])


def published(shell: Shell) -> None:
    """As on the main branch: everything is built and pushed, and this machine's store is another."""
    shell("build", "--push")
    shell.engine.calls.clear()
    shutil.rmtree(shell.folder / ".hubstack")


# --- what has changed ----------------------------------------------------------------------------------------------------


def test_nothing_has_changed(shell: Shell) -> None:
    result = shell("plan", "--since", "HEAD")
    assert result.stdout == "0 nodes, 0 images: nothing to do\n"
    assert result.stderr == "nothing changed since HEAD\n"
    assert shell.registry.requests == []


def test_only_what_stands_on_a_changed_layer(shell: Shell) -> None:
    published(shell)
    write(shell, "layers/hello/files/etc/new", "new\n")
    assert to_build(shell("plan", "--since", "HEAD")) == ["hello", "git", "hello", "git"]
    assert planned_images(shell("plan", "--since", "HEAD")) == 2
    assert to_build(shell("plan", "--since", "HEAD", "small/trixie")) == ["hello", "git"]
    assert shell("plan", "--since", "HEAD", "plain").stdout.startswith("0 nodes")


def test_what_the_work_tree_has_as_the_commit_is_not_asked_for(shell: Shell) -> None:
    """Nothing was ever published, and still --since is about the change alone."""
    write(shell, "layers/hello/files/etc/new", "new\n")
    assert planned_images(shell("plan", "--since", "HEAD")) == 2
    assert planned_images(shell("plan")) == 3


def test_a_layer_with_other_tests_is_tested_again(shell: Shell) -> None:
    published(shell)
    replaced(shell, "layers/hello/layer.yaml", 'stdout: "^hello"', 'stdout: "hello"')
    result = shell("plan", "--since", "HEAD")
    assert re.findall("^(test|build) ", result.stdout, re.MULTILINE) == ["test", "test"]
    assert planned_images(result) == 2


def test_a_new_stack_on_a_new_layer(shell: Shell) -> None:
    published(shell)
    write(shell, "layers/fresh/layer.yaml", LAYER)
    write(shell, "layers/fresh/files/etc/fresh", "1\n")
    write(shell, "stacks/more.yaml", "title: More\nbase: debian\nlayers: [git, fresh]\n")
    result = shell("plan", "--since", "HEAD")
    assert to_build(result) == ["fresh"]
    assert planned_images(result) == 1


def test_a_stack_that_only_names_what_is_built_needs_no_build(shell: Shell) -> None:
    write(shell, "stacks/same.yaml", PLAIN)
    assert shell("plan", "--since", "HEAD").stdout.startswith("0 nodes")


def test_removed_stacks_and_layers_are_in_nobodys_way(shell: Shell) -> None:
    (shell.folder / "stacks" / "plain.yaml").unlink()
    assert shell("plan", "--since", "HEAD").stdout.startswith("0 nodes")
    replaced(shell, "stacks/small.yaml", "hello, ", "")
    replaced(shell, "layers/git/layer.yaml", "after: [hello]\n", "")
    shutil.rmtree(shell.folder / "layers" / "hello")
    assert planned_images(shell("plan", "--since", "HEAD")) == 1  # on bookworm; on trixie it is what plain was


def test_a_value_that_nothing_reads_changes_no_image(shell: Shell) -> None:
    """Other values give nodes other ids; what counts is what they are made of."""
    replaced(
        shell,
        "layers/hello/layer.yaml",
        "variables:\n",
        "variables:\n  unread: {type: text, default: x, help: nothing reads it}\n",
    )
    assert shell("plan", "--since", "HEAD").stdout.startswith("0 nodes")


def test_a_proposed_layer_is_built_by_itself(shell: Shell) -> None:
    write(shell, "layers/idle/layer.yaml", LAYER)
    commit(shell.folder)
    write(shell, "layers/fresh/layer.yaml", LAYER)
    write(shell, "layers/fresh/files/etc/fresh", "1\n")
    assert to_build(shell("plan", "--since", "HEAD"))[-1:] == ["fresh"]
    assert "idle-" not in shell("plan", "--since", "HEAD").stdout
    assert planned_images(shell("plan", "--since", "HEAD")) == 0
    assert shell("plan", "--since", "HEAD", "small").stdout.startswith("0 nodes")


def test_a_base_does_not_bring_layers_that_nobody_uses(shell: Shell) -> None:
    write(shell, "layers/idle/layer.yaml", LAYER)
    commit(shell.folder)
    write(shell, "base/debian/files/etc/new", "new\n")
    result = shell("plan", "--since", "HEAD")
    assert planned_images(result) == 3
    assert "idle-" not in result.stdout


def test_a_proposed_draft_waits(shell: Shell) -> None:
    write(shell, "layers/fresh/layer.yaml", f"{LAYER}draft: not yet\n")
    assert shell("plan", "--since", "HEAD").stdout.startswith("0 nodes")


# --- what there is to compare with ---------------------------------------------------------------------------------------


def test_a_pull_request_may_mend_a_broken_branch(shell: Shell) -> None:
    replaced(shell, "stacks/plain.yaml", "[git]", "[gti]")
    commit(shell.folder)
    replaced(shell, "stacks/plain.yaml", "[gti]", "[git]")
    result = shell("plan", "--since", "HEAD")
    assert result.stderr == "note: the project at HEAD had faults, so everything counts as changed\n"
    assert planned_images(result) == 3


def test_a_repository_without_a_project_until_now(shell: Shell) -> None:
    git(shell.folder, "checkout", "--quiet", "--orphan", "other")
    git(shell.folder, "rm", "--quiet", "-r", "--cached", ".")
    git(shell.folder, "commit", "--quiet", "--allow-empty", "--message", "nothing")
    result = shell("plan", "--since", "other")
    assert "so everything counts as changed" in result.stderr
    assert planned_images(result) == 3


def test_a_shallow_clone_says_why_there_is_no_commit(shell: Shell, tmp_path: Path) -> None:
    write(shell, "stacks/same.yaml", PLAIN)
    commit(shell.folder)
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{shell.folder}", "clone")
    shell.folder = tmp_path / "clone"
    with pytest.raises(UsageError, match="has no commit") as caught:
        shell("plan", "--since", "HEAD~1")
    assert "This clone is shallow" in caught.value.hint


# --- build ---------------------------------------------------------------------------------------------------------------


def test_build_takes_from_the_registry_what_has_not_changed(shell: Shell) -> None:
    published(shell)
    write(shell, "layers/git/files/etc/new", "new\n")
    asked = len(shell.registry.requests)
    result = shell("build", "--since", "HEAD")
    assert result.return_value == 0
    assert shell.built() == ["git", "git", "git"]
    assert {one.method for one in shell.registry.requests[asked:]} <= {"GET", "HEAD"}


def test_build_without_a_change_starts_nothing(shell: Shell) -> None:
    result = shell("build", "--since", "HEAD")
    assert (result.return_value, result.stdout) == (0, "")
    assert shell.engine.verbs("build") == []


def test_build_in_a_fork_whose_registry_nobody_may_read(shell: Shell) -> None:
    published(shell)
    shell.registry.auth = "token"
    write(shell, "layers/git/files/etc/new", "new\n")
    result = shell("build", "--since", "HEAD", "plain")
    assert result.return_value == 0
    assert shell.built() == ["debian", "git"]
    assert result.stderr.count(f"warning: {shell.registry.host}/x/build can't be read: what is not here is built") == 1


def test_who_publishes_must_read_the_registry(shell: Shell) -> None:
    shell.registry.auth = "token"
    with pytest.raises(RegistryDenied):
        shell("build", "--push", "plain")


def test_plan_in_a_fork_whose_registry_nobody_may_read(shell: Shell) -> None:
    shell.registry.auth = "token"
    write(shell, "layers/git/files/etc/new", "new\n")
    result = shell("plan", "--since", "HEAD", "plain")
    assert re.findall("^unknown  ([a-z]+)-", result.stdout, re.MULTILINE) == ["debian", "git"]
    assert "can't be read: what is there is not known" in result.stderr
    with pytest.raises(RegistryDenied):
        shell("plan", "plain")
