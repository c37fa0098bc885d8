"""The verbs that need an engine, each option where it changes something: a behaving engine, a registry in this process."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hubstack.errors import UsageError

from tests.commandline import PROJECTS, run
from tests.fakes.engine import Call
from tests.fakes.registry import Account, FakeRegistry
from tests.shell import Shell, TerminalEngine

PLAIN_STACK = "title: Plain\nbase: debian\nlayers: [git]\n"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def shell(tmp_path: Path, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Two stacks: ``small`` of two variants, and ``plain``, which needs none of its layers but git."""
    folder = Path(shutil.copytree(PROJECTS / "good-small", tmp_path / "small"))
    (folder / "stacks" / "plain.yaml").write_text(PLAIN_STACK)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    engine = TerminalEngine(registry)
    engine.outputs["greet"] = "hello\n"
    return Shell(folder, registry, engine)


# --- build ---------------------------------------------------------------------------------------------------------------------


def test_build_stays_here_without_push(shell: Shell) -> None:
    result = shell("build", "small/trixie")
    assert result.return_value == 0
    head, row = result.stdout.splitlines()
    assert head.split() == ["STACK", "VARIANT", "SIZE", "DIGEST", "SECONDS", "RESULT"]
    assert re.fullmatch(r"small +trixie +0 MB +sha256:[0-9a-f]{12} +\d+\.\d +built", row)
    assert shell.built() == ["debian", "hello", "git"]
    assert {one.method for one in shell.registry.requests} <= {"GET", "HEAD"}
    assert shell("build", "small/trixie").stdout.splitlines()[1].endswith("reused")
    assert len(shell.built()) == 3


def test_build_and_push_names_images_and_says_what_to_do_next(shell: Shell) -> None:
    result = shell("build", "--push", "small/trixie")
    assert result.return_value == 0
    channel, name = sorted(shell.tags("small"), key=len)
    assert channel == "trixie-latest"
    digest = shell.registry.repository("x/small").tags[name]
    assert f"docker run --rm -p 127.0.0.1:8888:8888 {shell.registry.host}/x/small:{name}@{digest} " in result.stderr
    assert "docker run" not in result.stdout
    assert "debian-" in result.stderr  # progress
    assert "debian-" not in result.stdout


def test_build_tells_machines_in_lines(shell: Shell) -> None:
    result = shell("build", "--push", "--json", "small/trixie")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["event"] for event in events[:2]] == ["planned", "phase"]
    assert [row["variant"] for row in events[-1]["images"]] == ["trixie"]
    assert events[-1]["images"][0]["ref"].startswith(f"{shell.registry.host}/x/small:trixie-")


def test_dry_run_only_shows_the_plan(shell: Shell) -> None:
    result = shell("build", "--dry-run", "small/trixie")
    assert re.findall("^build    ([a-z]+)-", result.stdout, re.MULTILINE) == ["debian", "hello", "git"]
    plan = json.loads(shell("build", "--push", "--dry-run", "--json", "small/trixie").stdout)
    assert [node["action"] for node in plan["nodes"]] == ["build"] * 3
    assert shell.engine.calls == []


def test_what_is_here_counts_only_without_push(shell: Shell) -> None:
    shell("build", "small/trixie")
    assert shell("build", "--dry-run", "small/trixie").stdout == "3 nodes, 1 image: 3 to reuse\n"
    assert shell("build", "--push", "--dry-run", "small/trixie").stdout.endswith("3 nodes, 1 image: 3 to build\n")


def test_fail_fast_leaves_the_rest(shell: Shell) -> None:
    shell.engine.failures["hello"] = "no"
    assert shell("build", "--jobs", "1").return_value == 1
    assert sorted(shell.built()) == ["debian", "debian", "git", "hello", "hello"]
    shell.engine.calls.clear()
    assert shell("build", "--jobs", "1", "--fail-fast").return_value == 1
    assert shell.built() == ["hello"]


def test_a_failed_build_says_where_its_log_is(shell: Shell) -> None:
    shell.engine.failures["hello"] = "cc: not found"
    result = shell("build", "small/trixie")
    (log,) = re.findall(r"The whole log: (\S+)", result.stderr)
    assert "cc: not found" in (shell.folder / log).read_text()
    assert result.stdout.splitlines()[-1].split()[-1] in {"failed", "skipped"}


def test_all_or_nothing(shell: Shell) -> None:
    shell.engine.failures["hello"] = "no"
    assert shell("build", "--push", "--all-or-nothing").return_value == 1
    assert shell.tags("plain") == []
    assert shell("build", "--push").return_value == 1
    assert "default-latest" in shell.tags("plain")
    assert shell.tags("small") == []


def test_channels_of_the_command_line_move_instead_of_the_projects(shell: Shell) -> None:
    shell("build", "--push", "plain", "--channel", "2026-11", "--channel", "next")
    assert [tag for tag in shell.tags("plain") if not re.search("[0-9a-f]{12}$", tag)] == [
        "default-2026-11",
        "default-next",
    ]


def test_profiles_are_written_after_the_push(shell: Shell) -> None:
    (shell.folder / "profiles" / "other.yaml").write_text(
        "configmap: {name: other, namespace: jhub}\nprofiles: [{slug: plain, title: Plain, stacks: [plain]}]\n"
    )
    shell("build", "--push", "--profiles", "out", "--hub", "demo")
    assert [path.name for path in (shell.folder / "out").iterdir()] == ["demo.yaml"]
    shell("build", "--push", "--profiles", "out")
    assert sorted(path.name for path in (shell.folder / "out").iterdir()) == ["demo.yaml", "other.yaml"]


def test_jobs_are_how_many_nodes_are_at_work(shell: Shell) -> None:
    both = threading.Barrier(2)

    def meet(call: Call) -> None:
        if call.verb == "build" and call.about.startswith("debian"):
            both.wait(20)  # breaks unless both bases are at work at once

    shell.engine.before = meet
    assert shell("build", "small", "--jobs", "2").return_value == 0
    shutil.rmtree(shell.folder / ".hubstack")
    alive = threading.Lock()

    def alone(call: Call) -> None:
        if call.verb == "build":
            assert alive.acquire(blocking=False)
        elif call.verb == "load":
            alive.release()

    shell.engine.before = alone
    assert shell("build", "small", "--jobs", "1").return_value == 0


def test_builders_are_handed_to_the_engine(shell: Shell) -> None:
    shell("build", "plain", "--builder", "mine", "--builder", "yours")
    shell("build", "plain")
    assert shell.builders == [("mine", "yours"), ()]


# --- run -----------------------------------------------------------------------------------------------------------------------


def test_run_builds_and_starts_jupyterlab_on_its_port(shell: Shell) -> None:
    assert shell("run", "plain").return_value == 0
    assert shell.built() == ["debian", "git"]
    (words, options) = shell.engine.commands[-1]
    assert words == ["jupyter", "lab", "--ip=0.0.0.0", "--port=8888", "--no-browser"]
    assert options[:2] == ["--publish=127.0.0.1:8888:8888", f"--volume={shell.folder}:/home/jovyan/work"]
    shell("run", "plain", "--port", "9000")
    (words, options) = shell.engine.commands[-1]
    assert "--port=9000" in words  # so that the address it prints is the right one
    assert "--publish=127.0.0.1:9000:9000" in options
    assert len(shell.built()) == 2


def test_run_gives_the_commands_exit_code(shell: Shell) -> None:
    shell.engine.exit_code = 7
    assert shell("run", "layer:hello", "--", "sh", "-c", "exit 7").return_value == 7
    ((words, options),) = shell.engine.commands
    assert words == ["sh", "-c", "exit 7"]
    assert options[0] == f"--volume={shell.folder}:/home/jovyan/work"


def test_run_of_an_image_without_jupyterlab_says_so(shell: Shell) -> None:
    shell.engine.exit_code = 127
    result = shell("run", "layer:hello")
    assert result.return_value == 127
    assert "layer:hello has no JupyterLab. Give a command: hubstack run layer:hello -- bash\n" in result.stderr
    assert "no JupyterLab" not in shell("run", "layer:hello", "--", "typo").stderr


def test_run_stops_where_the_build_fails(shell: Shell) -> None:
    shell.engine.failures["hello"] = "no"
    assert shell("run", "layer:hello").return_value == 1
    assert shell.engine.commands == []


def test_run_takes_what_only_the_registry_has(shell: Shell) -> None:
    shell("build", "--push", "plain")
    shutil.rmtree(shell.folder / ".hubstack")
    shell.engine.calls.clear()
    assert shell("run", "plain").return_value == 0
    assert shell.built() == []
    assert shell.engine.commands


# --- test ----------------------------------------------------------------------------------------------------------------------


def test_test_runs_what_passed_before_again(shell: Shell) -> None:
    shell("build", "small/trixie")
    before = shell.engine.verbs("run").count("greet")
    result = shell("test", "small/trixie")
    assert (result.return_value, result.stdout) == (0, f"{shell.engine.verbs('build')[-1]}: passed\n")
    assert shell.engine.verbs("run").count("greet") == before + 1


def test_test_says_what_failed_and_where(shell: Shell) -> None:
    shell("build", "layer:hello", "small/trixie")
    shell.engine.codes["git --version"], shell.engine.outputs["git --version"] = 3, "no git\nat all\n"
    result = shell("test", "layer:hello", "small/trixie")
    assert result.return_value == 1
    first, second, *tail = result.stdout.splitlines()
    assert sorted([first.rpartition(" ")[2], second.partition(" ")[0]]) == ["layers/git/layer.yaml:4:5:", "passed"]
    assert tail == ["    no git", "    at all"]
    rows = json.loads(shell("test", "--json", "layer:hello", "small/trixie").stdout)
    assert [row["passed"] for row in rows] == [True, False]
    assert (rows[1]["position"], rows[1]["tail"]) == ("layers/git/layer.yaml:4:5", ["no git", "at all"])


def test_test_needs_a_built_image(shell: Shell) -> None:
    with pytest.raises(UsageError, match="not built yet: git-") as error:
        shell("test", "plain")
    assert error.value.hint == "Build first: hubstack build plain"


# --- profiles --------------------------------------------------------------------------------------------------------------------


def test_profiles_check_and_write(shell: Shell) -> None:
    shell("build", "--push", "small")
    emitted = shell.folder / "profiles" / "emitted" / "demo.yaml"
    before = shell("profiles", "--check")
    assert before.return_value == 1
    assert before.stdout.startswith("profiles/emitted/demo.yaml: would change\n")
    assert not emitted.exists()
    written = shell("profiles", "--json", "demo")
    assert written.return_value == 0
    assert [(row["hub"], row["path"], row["changed"]) for row in json.loads(written.stdout)] == [
        ("demo", "profiles/emitted/demo.yaml", True)
    ]
    text = emitted.read_text()
    assert '"kind": "ConfigMap"' in text
    again = shell("profiles", "--check")
    assert (again.return_value, again.stdout) == (0, "profiles/emitted/demo.yaml: unchanged\n")
    shell("profiles", "--output", "dist")
    assert (shell.folder / "dist" / "demo.yaml").read_text() == text


def test_profiles_ask_with_the_hubs_own_credentials(shell: Shell) -> None:
    shell("build", "--push", "small")
    shell.registry.auth = "basic"
    shell.registry.accounts["hub"] = Account("secret", frozenset({"pull"}))
    (shell.folder / "pull.json").write_text(
        json.dumps({"auths": {shell.registry.host: {"username": "hub", "password": "secret"}}})
    )
    words = "-C", str(shell.folder), "--registry", f"{shell.registry.host}/x", "profiles", "--output", "out"
    refused = run(*words, folder=shell.folder)
    assert refused.code == 1
    assert "401, refused" in refused.err
    assert not (shell.folder / "out").exists()
    assert run(*words, "--pull-config", "pull.json", folder=shell.folder).code == 0
    assert (shell.folder / "out" / "demo.yaml").exists()
