"""What a shell sees of each verb: results on stdout, messages on stderr, exit codes, and never a traceback."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest
from hubstack.cli import VERBS, cli

from tests.commandline import PROJECTS, Done, run
from tests.fakes.registry import FakeRegistry, sha256
from tests.fakes.wire import Reply

SMALL = PROJECTS / "good-small"
LOCKED = PROJECTS / "good-locked"
BROKEN = PROJECTS / "faults-of-many-files"
COMMANDS: Mapping[str, click.Command] = {
    name: command
    for verb in VERBS
    for top in [cli.get_command(click.Context(cli), verb)]
    if top is not None
    for name, command in (
        {verb: top, **{f"{verb} {name}": one for name, one in top.commands.items()}}
        if isinstance(top, click.Group)
        else {verb: top}
    ).items()
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A project of two layers, one stack of two variants, and a hub."""
    return Path(shutil.copytree(SMALL, tmp_path / "small"))


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """A project with Python packages and a refresh epoch in its lock."""
    return Path(shutil.copytree(LOCKED, tmp_path / "locked"))


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


def complaint(done: Done) -> str:
    """What a failed command says, which is on stderr alone and no traceback."""
    assert done.out == ""
    assert "Traceback" not in done.err
    return done.err


# --- help ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--help"], ["-h"]])
def test_help_names_every_verb_and_the_exit_codes(words: list[str]) -> None:
    done = run(*words, folder=SMALL)
    assert done.code == 0
    assert re.findall(r"^  (\w+)  ", done.out.partition("Look:")[2], re.MULTILINE) == list(VERBS)
    assert "\n  Examples:\n    hubstack check  " in done.out
    assert "Exit codes: 0 done; 1 " in done.out


def test_help_loads_nothing_that_costs_time() -> None:
    code = "import sys; from hubstack.cli import cli; cli(['--help'], standalone_mode=False); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"docker", "httpx", "jinja2", "networkx", "pydantic", "rich", "yaml", "hubstack.model"}.isdisjoint(loaded)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_verb_says_what_it_and_its_options_do(name: str) -> None:
    done = run(*name.split(), "--help", folder=SMALL)
    assert done.code == 0
    assert done.out.startswith(f"Usage: hubstack {name}")
    for option in COMMANDS[name].params:
        if isinstance(option, click.Option):
            assert option.help, option.name
            assert option.opts[-1] in done.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_shows_examples_and_they_are_commands(verb: str) -> None:
    epilog = COMMANDS[verb].epilog or ""
    shown = [line.strip() for line in epilog.splitlines()[2:]]
    assert epilog.startswith("\b\nExamples:\n")
    assert shown
    assert all(line.startswith(f"hubstack {verb}") for line in shown)


def test_says_its_version() -> None:
    done = run("--version", folder=SMALL)
    assert done.code == 0
    assert re.fullmatch(r"hubstack \d+\.\d+\.\d+\S*\n", done.out)


# --- bad usage (promise 8) ---------------------------------------------------------------------------------------------------

BAD_USAGE = [
    ("biuld", "No such command 'biuld'. Did you mean 'build'?"),
    ("paln", "Did you mean 'plan'?"),
    ("-C nowhere list", "'nowhere' does not exist"),
    ("-C hubstack.yaml list", "is a file"),
    ("--ca-bundle nowhere.pem list", "'nowhere.pem' does not exist"),
    ("plan --registry x/y", "It stands before the verb: hubstack --registry ... VERB."),
    ("build --ca-bundle x", "It stands before the verb: hubstack --ca-bundle ... VERB."),
    ("--registry http://x/y plan", "'http://x/y' is no HOST/PREFIX\n  For example 127.0.0.1:5000/hubstack."),
    ("--registry x.org/y:tag plan", "has a tag or a digest\n  Give HOST/PREFIX alone."),
    ("plan smal", 'no stack is called "smal" (did you mean "small"?)\n  `hubstack list` shows what there is.'),
    ("plan small/trixi", 'small has no variant "trixi" (did you mean "trixie"?)\n  It has bookworm and trixie.'),
    ("plan nothing*", '"nothing*" matches nothing\n  `hubstack list` shows what there is.'),
    ("plan layer:gti", 'no layer is called "gti" (did you mean "git"?)'),
    ("plan hello", "hello is a layer, not a stack\n  Write layer:hello."),
    ("plan --bogus", "No such option '--bogus'"),
    ("graph --format png", "'png' is not one of 'text', 'mermaid', 'svg', 'json'"),
    ("render", "Missing argument 'SELECT...'"),
    ("render small --layer gti", 'small has no layer "gti" (did you mean "git"?)\n  It has debian, git and hello.'),
    ("why", "Missing argument 'SELECT...'"),
    ("run", "Missing argument 'SELECT'"),
    ("run small", "small is 2 images\n  Choose small/bookworm or small/trixie."),
    ("run +layer:git", "+layer:git is 2 images\n  Leave out the +."),
    ("run small/trixie --prot 9", "No such option '--prot'."),
    ("run small/trixie sh -c ls", "A command with options stands behind --: hubstack run SELECT -- CMD..."),
    ("run small/trixie --port 0", "0 is not in the range 1<=x<=65535"),
    ("build --jobs 0", "0 is not in the range 1<=x<=64"),
    ("build --profiles out", "--profiles needs --push"),
    ("build --channel latest", "--channel needs --push"),
    ("build --all-or-nothing", "--all-or-nothing needs --push"),
    ("build --push --hub demo", "--hub needs --profiles DIR"),
    ("profiles dem", 'there is no hub "dem" (did you mean "demo"?)\n  There is demo.'),
    ("profiles --pull-config nowhere", "'nowhere' does not exist"),
    ("update --only nmupy", 'there is no package in the lock "nmupy"\n  --only takes python, images, epochs, '),
    ("update --today tomorrow", "'tomorrow' does not match the format '%Y-%m-%d'"),
    ("new", "Usage: hubstack new"),
    ("new layer", "a layer needs a name"),
    ("new stack x", 'there is no layer "jupyterlab"'),
    ("schema extra", "unexpected extra argument"),
    ("", "Usage: hubstack [OPTIONS] COMMAND"),
]


@pytest.mark.parametrize(("words", "message"), BAD_USAGE)
def test_bad_usage_is_named_and_exits_with_2(words: str, message: str, small: Path) -> None:
    done = run(*words.split(), folder=small)
    assert done.code == 2
    assert message in complaint(done)
    assert not (small / ".hubstack").exists()


@pytest.mark.parametrize("words", ["check", "list", "plan", "new stack x", "update"])
def test_no_project_here_says_what_to_do(words: str, tmp_path: Path) -> None:
    done = run(*words.split(), folder=tmp_path)
    assert done.code == 2
    assert f"no project: neither {tmp_path} nor a folder above it has a hubstack.yaml" in complaint(done)
    assert "hubstack -C DIR" in done.err


def test_the_project_is_found_from_below_and_with_c(small: Path, tmp_path: Path) -> None:
    here = run("list", folder=small)
    assert run("list", folder=small / "layers" / "git") == here
    assert run("-C", "small/stacks", "list", folder=tmp_path) == here


@pytest.mark.parametrize(
    "words", ["list", "plan", "graph", "render x", "why x", "build", "run x", "profiles", "update"]
)
def test_every_verb_names_all_faults_of_a_broken_project(words: str) -> None:
    done = run(*words.split(), folder=BROKEN)
    assert done.code == 2
    expected = (BROKEN / "expected.txt").read_text()
    assert complaint(done) == expected
    assert len(expected.splitlines()) > 3


def test_a_project_without_a_registry_can_be_checked_but_not_planned(locked: Path) -> None:
    assert run("check", folder=locked).code == 0
    done = run("plan", folder=locked)
    assert done.code == 2
    assert "hubstack.yaml names no registry\n  Write `registry: HOST/PREFIX` there, or give --reg" in complaint(done)


def test_an_edited_lock_stops_what_builds_on_it(small: Path) -> None:
    lock = small / "hubstack.lock"
    lock.write_text(lock.read_text().replace("1111", "3333"))
    done = run("plan", "--offline", folder=small)
    assert done.code == 2
    assert "hubstack.lock:3:1: its checksum is not that of its text" in complaint(done)


@pytest.mark.parametrize("words", ["schema --output hubstack.yaml/x", "render small --output hubstack.yaml/x"])
def test_a_folder_that_cant_be_written_is_a_message(words: str, small: Path) -> None:
    done = run(*words.split(), folder=small)
    assert done.code == 1
    assert complaint(done).startswith("error: Not a directory: hubstack.yaml/x")


# --- registries and engines that don't answer ----------------------------------------------------------------------------------


@pytest.mark.slow  # it tries for five seconds
def test_a_registry_that_is_not_there_is_a_message_with_a_way_out(small: Path) -> None:
    done = run("--registry", "127.0.0.1:1/x", "plan", folder=small)
    assert done.code == 1
    assert "http://127.0.0.1:1/v2/x/build/manifests/" in complaint(done)
    assert "Connection refused" in done.err
    assert "`hubstack plan --offline` asks none." in done.err


def test_a_registry_that_refuses_says_how_to_log_in(small: Path, registry: FakeRegistry) -> None:
    registry.fault("HEAD", "", Reply(403), times=100)
    done = run("--registry", f"{registry.host}/x", "plan", folder=small)
    assert done.code == 1
    assert "403, refused" in complaint(done)
    assert f"docker login {registry.host}" in done.err


def test_a_bundle_without_certificates_is_named(small: Path) -> None:
    (small / "ca.pem").write_text("none\n")
    done = run("--ca-bundle", "ca.pem", "--registry", "registry.invalid/x", "plan", folder=small)
    assert done.code == 1
    assert f"{small}/ca.pem: no certificates that can be read" in complaint(done)


# --- check ---------------------------------------------------------------------------------------------------------------------


def test_check_counts_and_exits(small: Path) -> None:
    assert run("check", folder=small) == Done(0, "no faults found\n", "")
    done = run("check", folder=BROKEN)
    faults = (BROKEN / "expected.txt").read_text()
    assert (done.code, done.err) == (2, "")
    assert done.out == f"{faults}{len(faults.splitlines())} errors, 0 warnings\n"


def test_check_lets_warnings_pass() -> None:
    done = run("check", folder=PROJECTS / "hub-long-description")
    assert done.code == 0
    assert done.out.endswith("\n0 errors, 1 warning\n")


def test_check_for_machines(small: Path) -> None:
    (small / "stacks" / "small.yaml").write_text("title: 100% <b>\nlayers: [hello]\nbase: debian\n")
    done = run("check", "--json", folder=small)
    assert done.code == 2
    assert done == run("check", "--format", "json", folder=small)
    (fault,) = [one for one in done.json if one["path"] == "stacks/small.yaml"]
    assert (fault["line"], fault["column"], fault["severity"]) == (1, 13, "error")
    annotations = run("check", "--format", "github", folder=small).out.splitlines()
    assert any(line.startswith("::error file=stacks/small.yaml,line=1,col=13::title holds") for line in annotations)
    assert not any(line.endswith("warnings") for line in annotations)


# --- list, graph, render -----------------------------------------------------------------------------------------------------------


def test_list(small: Path) -> None:
    text = run("list", folder=small).out
    assert "  small            Small  [bookworm, trixie]\n" in text
    assert "  debian           Debian from an upstream image  [release=bookworm|trixie]\n" in text
    assert "  hello            A greeting  [greeting=text]\n" in text
    listing = run("list", "--json", folder=small).json
    assert [stack["name"] for stack in listing["stacks"]] == ["small"]
    assert listing["bases"][0]["variables"] == [
        {
            "name": "release",
            "type": "text",
            "default": "trixie",
            "choices": {"bookworm": "Debian 12", "trixie": "Debian 13"},
            "help": "Debian's release",
        }
    ]
    assert listing["hubs"] == [{"name": "demo", "about": "jhub/jhub-profiles", "profiles": ["small"]}]


def test_list_marks_drafts(small: Path) -> None:
    with (small / "stacks" / "small.yaml").open("a") as file:
        file.write("draft: not yet\n")
    (small / "profiles" / "demo.yaml").unlink()
    assert "  small            Small (draft)  [bookworm, trixie]\n" in run("list", folder=small).out
    assert run("list", "--json", folder=small).json["stacks"][0]["draft"] == "not yet"


def test_graph_in_every_format(small: Path) -> None:
    assert run("graph", folder=small).out.startswith("debian ×2 release=bookworm|trixie")
    assert run("graph", "--format", "mermaid", folder=small).out.startswith("flowchart LR\n")
    assert run("graph", "--format", "svg", folder=small).out.startswith("<svg ")
    document = run("graph", "--json", folder=small)
    assert document == run("graph", "--format", "json", folder=small)
    assert len(document.json["nodes"]) == 6


def test_graph_of_a_selection_and_of_nodes(small: Path) -> None:
    assert len(run("graph", "small/trixie", "--json", folder=small).json["nodes"]) == 3
    drawn = run("graph", "--nodes", folder=small).out
    assert len(re.findall(r"^debian-[0-9a-f]{8} release=", drawn, re.MULTILINE)) == 2
    assert "×2" not in drawn


def test_render(small: Path, tmp_path: Path) -> None:
    everything = run("render", "small/trixie", folder=small).out
    assert re.findall("^# === ([a-z]+)-", everything, re.MULTILINE) == ["debian", "hello", "git"]
    one = run("render", "small/trixie", "--layer", "git", folder=small).out
    assert one in everything
    assert re.findall("^# === ([a-z]+)-", one, re.MULTILINE) == ["git"]
    as_json = run("render", "small/trixie", "--layer", "git", "--json", folder=small).json
    ((node, dockerfile),) = as_json.items()
    assert one == f"# === {node}\n{dockerfile}\n"
    out = tmp_path / "out"
    done = run("render", "small/trixie", "--output", str(out), folder=small)
    assert [Path(line).parent for line in done.out.splitlines()] == [out] * 3
    assert (out / node / "Dockerfile").read_text() == dockerfile
    assert [path.read_text() for path in out.rglob("files/usr/local/bin/greet")] == ["#!/bin/sh\necho hello\n"]


def test_render_can_be_written_twice(small: Path, tmp_path: Path) -> None:
    first = run("render", "small", "--output", str(tmp_path), folder=small)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert run("render", "small", "--output", str(tmp_path), folder=small) == first
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


# --- plan and why ----------------------------------------------------------------------------------------------------------------


def test_plan_offline_asks_nobody(small: Path) -> None:
    text = run("plan", "--offline", folder=small)
    assert text.code == 0
    assert re.findall("^unknown  ([a-z]+)-", text.out, re.MULTILINE) == ["debian", "hello", "git"] * 2
    assert text.out.endswith("\nnodes: 6, images: 2; the registry was not asked\n")
    plan = run("plan", "--offline", "--json", folder=small).json
    assert plan["format"] == 1
    assert {node["action"] for node in plan["nodes"]} == {"unknown"}
    assert [image["variant"] for image in plan["images"]] == ["bookworm", "trixie"]


def test_plan_is_of_the_selection(small: Path) -> None:
    plan = run("plan", "--offline", "--json", "layer:git", folder=small).json
    assert [node["layer"] for node in plan["nodes"]] == ["debian", "git"]
    assert plan["images"] == []


def test_plan_asks_the_registry_that_it_is_given(small: Path, registry: FakeRegistry) -> None:
    there = "--registry", f"{registry.host}/x"
    node = run(*there, "plan", "--json", "small/trixie", folder=small).json["nodes"][-1]
    assert node["action"] == "build"
    assert {one.path.rpartition("/")[0] for one in registry.requests} == {"/v2/x/build/manifests"}
    registry.put_manifest("x/build", f"fp-{node['fingerprint']}", b"{}", "application/vnd.oci.image.manifest.v1+json")
    done = run(*there, "plan", "small/trixie", folder=small)
    assert done.out.splitlines()[0].startswith(f"test     {node['id']}  built, but ")
    everything = run(*there, "plan", "--all", "small/trixie", folder=small)
    assert len(everything.out.splitlines()) == len(done.out.splitlines()) + 2
    assert run("plan", "small/trixie", folder=small, env={"HUBSTACK_REGISTRY": there[1]}) == done


def test_plan_says_how_stacks_are_put_together_and_what_it_can_not_know(small: Path, registry: FakeRegistry) -> None:
    there = "--registry", f"{registry.host}/x"
    assert "its layers are a chain" not in run(*there, "plan", folder=small).out
    with (small / "hubstack.yaml").open("a") as file:
        file.write("assembly: merge\n")
    assert "build    small/trixie  git is built after hello\n" in run(*there, "plan", folder=small).out
    git = small / "layers" / "git" / "layer.yaml"
    git.write_text(git.read_text().replace("after: [hello]\n", ""))
    assert "unknown  small/trixie  it shows once git-" in run(*there, "plan", folder=small).out
    (image,) = run("plan", "--offline", "--json", "small/trixie", folder=small).json["images"]
    assert (image["tier"], image["why"]) == ("unknown", "the registry was not asked")


def test_why_lists_the_facts(small: Path) -> None:
    node = run("plan", "--offline", "--json", "small/trixie", folder=small).json["nodes"][-1]
    text = run("why", "small/trixie", folder=small).out
    assert text.startswith(f"{node['id']}  {node['fingerprint']}\n  format ")
    ((name, found),) = run("why", "small/trixie", "--json", folder=small).json.items()
    assert (name, found["fingerprint"]) == (node["id"], node["fingerprint"])
    assert {"docker", "platform", "parent"} <= {kind for kind, _, _ in found["facts"]}


# --- compose ---------------------------------------------------------------------------------------------------------------


def test_compose_names_what_is_not_built(small: Path, registry: FakeRegistry) -> None:
    there = "--registry", f"{registry.host}/x"
    nodes = run(*there, "plan", "--json", "layer:git", folder=small).json["nodes"]
    done = run(*there, "compose", "git", folder=small)
    assert done.code == 2
    assert complaint(done) == (
        f"error: not built yet: {', '.join(node['id'] for node in nodes)}\n  --push builds what is missing.\n"
    )


def test_compose_puts_nothing_on_two_bases(small: Path) -> None:
    """As in a stack, where it is said of a list of layers."""
    (small / "hubstack.yaml").write_text("registry: example.org/x\nbase: debian\n")
    for folder, text in (("base/other", "image: example.org/other:1\n"), ("layers/there", "requires: [other]\n")):
        (small / folder).mkdir()
        (small / folder / "layer.yaml").write_text(f"summary: Another\n{text}")
    done = run("compose", "git", "there", folder=small)
    assert done.code == 2
    assert "an image has one base, and git stands on debian and there stands on other\n" in complaint(done)


@pytest.mark.parametrize("words", [["other"], ["git", "other"], ["git", "other", "--push"]])
def test_compose_names_what_can_not_be_built(words: list[str], small: Path, registry: FakeRegistry) -> None:
    (small / "layers" / "other").mkdir()
    (small / "layers" / "other" / "layer.yaml").write_text(
        'summary: Another\ndraft: no network\nupstream: ["quay.io/other/one:1"]\n'
    )
    copying = "FROM parent\nCOPY --from=quay.io/other/one:1 /a /a\nUSER 1000:100\n"
    (small / "layers" / "other" / "Dockerfile.j2").write_text(copying)
    done = run("--registry", f"{registry.host}/x", "compose", *words, folder=small)
    assert done.code == 2
    assert "can't be built: quay.io/other/one:1 is not in hubstack.lock\n  Run `hubstack update`." in complaint(done)


def git(folder: Path, *words: str) -> None:
    subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@example.org", *words], check=True
    )


@pytest.fixture
def committed(small: Path) -> Path:
    """The project in a folder of a git repository, its first state committed."""
    git(small.parent, "init", "--quiet")
    git(small.parent, "add", "--all")
    git(small.parent, "commit", "--quiet", "--message", "first")
    return small


def test_why_since_a_commit(committed: Path) -> None:
    assert run("why", "small", "--since", "HEAD", folder=committed).out == "nothing changed since HEAD\n"
    (committed / "layers" / "hello" / "files" / "usr" / "local" / "bin" / "greet.j2").write_text("echo {{ greeting }}")
    (committed / "hubstack.yaml").write_text("registry: example.org/other\n")  # is no part of any image
    text = run("why", "small/trixie", "--since", "HEAD", folder=committed).out.splitlines()
    assert [line.partition("-")[0] for line in text] == ["hello", "git"]
    assert text[0].endswith("  layers/hello/files/usr/local/bin/greet.j2 changed")
    rows = run("why", "small/trixie", "--since", "HEAD", "--json", folder=committed).json
    assert [f"{row['node']}  {row['reason']}" for row in rows] == text


def test_why_since_knows_what_is_new(committed: Path) -> None:
    assert run("new", "layer", "new", folder=committed).code == 0
    assert "  new since HEAD\n" in run("why", "layer:new", "--since", "HEAD", folder=committed).out


@pytest.mark.parametrize("ref", ["nowhere", "HEAD~1", "--all", ""])
def test_why_since_what_is_no_commit(ref: str, committed: Path) -> None:
    done = run("why", "small", f"--since={ref}", folder=committed)
    assert done.code == 2
    assert f'has no commit "{ref}"\n  Give a commit, a branch or a tag' in complaint(done)


def test_why_since_outside_of_git(small: Path) -> None:
    done = run("why", "small", "--since", "HEAD", folder=small)
    assert done.code == 2
    assert "is in no git repository" in complaint(done)


@pytest.mark.parametrize("top", [".", ".."])
def test_why_since_before_there_was_a_project(top: str, small: Path) -> None:
    repository = small / top
    git(repository, "init", "--quiet")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "nothing")
    done = run("why", "small", "--since", "HEAD", folder=small)
    assert done.code == 2
    assert complaint(done) == f"error: there was no project in {small} at HEAD\n"


def test_why_since_a_broken_state(committed: Path) -> None:
    stack = committed / "stacks" / "small.yaml"
    good = stack.read_text()
    stack.write_text("title: x\n")
    git(committed, "commit", "--quiet", "--all", "--message", "broken")
    stack.write_text(good)
    done = run("why", "small", "--since", "HEAD", folder=committed)
    assert done.code == 2
    assert "the project at HEAD had faults\n  stacks/small.yaml:1:1: " in complaint(done)


# --- update and schema -------------------------------------------------------------------------------------------------------------


def test_update_of_epochs_needs_nothing_but_a_date(locked: Path) -> None:
    lock = locked / "hubstack.lock"
    before = lock.read_text()
    same = run("update", "--only", "epochs", "--today", "2026-11-20", folder=locked)
    assert (same.code, same.out) == (0, "hubstack.lock: nothing changed\n")
    assert lock.read_text() == before
    done = run("update", "--only", "epochs", "--today", "2026-11-24", folder=locked)
    assert done.code == 0
    assert re.search(r"^scipy +2026-11-16 +2026-11-23$", done.out, re.MULTILINE)
    assert "  scipy: 2026-11-23\n" in lock.read_text()
    assert run("check", folder=locked).code == 0


def test_update_as_json(locked: Path) -> None:
    done = run("update", "--only", "epochs", "--today", "2026-11-24", "--json", folder=locked)
    (row,) = done.json["changes"]
    assert (row["name"], row["old"], row["new"]) == ("scipy", "2026-11-16", "2026-11-23")


def test_a_part_of_an_edited_lock_is_not_updated(small: Path) -> None:
    """The rest would have a checksum that says that it is sound."""
    lock = small / "hubstack.lock"
    text = lock.read_text().replace("sha256:", "sha256:0", 1)
    lock.write_text(text)
    done = run("update", "--only", "epochs", folder=small)
    assert done.code == 2
    assert "it was edited, or merged line by line" in complaint(done)
    assert lock.read_text() == text


def test_a_whole_update_mends_an_edited_lock(tmp_path: Path, registry: FakeRegistry) -> None:
    registry.put_manifest("base", "1", b"{}", "application/vnd.oci.image.manifest.v1+json")
    files = {
        "hubstack.yaml": f"registry: {registry.host}/hub\n",
        "base/debian/layer.yaml": f"summary: Debian\nimage: {registry.host}/base:1\n",
        "layers/note/layer.yaml": "summary: A note\n",
        "stacks/one.yaml": "title: One\nbase: debian\nlayers: [note]\n",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert run("update", folder=tmp_path).code == 0
    lock = tmp_path / "hubstack.lock"
    whole = lock.read_text()
    digest = sha256(b"{}")
    assert digest in whole
    lock.write_text(whole.replace(digest, f"sha256:{'1' * 64}"))
    assert run("plan", "--offline", folder=tmp_path).code == 2
    assert run("update", folder=tmp_path).code == 0
    assert lock.read_text() == whole


def test_schema(small: Path, tmp_path: Path) -> None:
    printed = run("schema", folder=tmp_path)  # no project is needed
    assert set(printed.json) == {f"{name}.schema.json" for name in ("hubstack", "base", "layer", "stack", "hub")}
    done = run("schema", "--output", str(tmp_path / "schemas"), folder=small)
    assert sorted(done.out.splitlines()) == sorted(str(tmp_path / "schemas" / name) for name in printed.json)
    for name, schema in printed.json.items():
        assert json.loads((tmp_path / "schemas" / name).read_text()) == schema
