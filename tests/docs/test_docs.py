"""README and docs promise nothing that isn't shown: every command is run, every file is read, every link leads somewhere."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from textwrap import indent

import click
import pytest
from hubstack.cli import VERBS, cli
from hubstack.cli.invocation import Invocation
from hubstack.graph import resolve
from hubstack.hub.profiles import ORDER_SNIPPET
from hubstack.lock import Lock, render_lock
from hubstack.lock.update import Outside, update
from hubstack.reference import Digest, ImageRef
from hubstack.pipeline import demand
from hubstack.schema import render_formats_doc

from tests.commandline import HUBSTACK, run
from tests.docs.page import PAGES, ROOT, File, Story, stories
from tests.fakes.registry import FakeRegistry
from tests.fakes.uv import FakeUv, Release
from tests.shell import Shell, TerminalEngine

STORIES = {story.name: story for story in stories()}
PARTS = ("hubstack.yaml", "hubstack.lock", "base", "layers", "stacks", "profiles")
STACKS = ("minimal", "scipy", "datascience")  # that stories begin with: all that they name, and what `make demo` builds
PICTURE = ("graph", "minimal", "scipy", "datascience", "geo", "--format", "svg")

UPSTREAM = "README.md: Start from an upstream image"
LAYER = "README.md: Add a layer"
UPDATE = "docs/commands.md: `hubstack update`"

EMPTY_FOLDER = {UPSTREAM}  # where a story begins with nothing; all others begin with the example's tree

BEFORE: Mapping[str, list[str]] = {  # what a story takes for granted
    "docs/merge.md: Certificates": ["hubstack build --push"],
    "docs/commands.md: `hubstack certify`": ["hubstack build --push"],
    "README.md: Add a stack": ["hubstack new layer tools --requires git --apt tmux"],
    "docs/commands.md: `hubstack test`": ["hubstack build minimal layer:octave"],
    "docs/commands.md: `hubstack profiles`": ["hubstack build --push minimal scipy datascience"],
    "docs/commands.md: `hubstack hub`": ["hubstack build --push minimal scipy datascience"],
    "docs/commands.md: `hubstack site`": ["hubstack build --push minimal"],
    "docs/commands.md: `hubstack where`": ["hubstack build --push minimal"],
    "docs/hubs.md: What changes": ["hubstack build --push minimal scipy datascience"],
    "docs/hubs.md: Writing it": ["hubstack build --push minimal scipy datascience"],
    "docs/commands.md: `hubstack new`": ["hubstack build --push minimal"],
    "docs/commands.md: `hubstack publish`": ["hubstack build --push"],
    "docs/commands.md: `hubstack export`": ["hubstack build --push"],
    "docs/commands.md: `hubstack prune`": [
        "hubstack build --push",
        "hubstack profiles --output profiles/emitted",
    ],
    "docs/repositories.md: Where BinderHub can't be changed": ["hubstack build --push minimal"],
}
CONTINUES = {"docs/layers.md: A Dockerfile template": "docs/layers.md: Variables"}  # story → the one before it
CODES = {"hubstack profiles --check": 1}  # nothing was emitted into the example's tree yet

ELSEWHERE = {  # commands that no test here runs, and why
    "hubstack repo https://github.com/binder-examples/requirements": "git and an engine build it: tests/engine has some",
    "hubstack repo . --stack scipy/trixie-4.5": "an engine builds it: tests/engine has some",
    "hubstack repo . --ref main --push": "git and an engine build it: tests/engine has some",
    "make demo": "installs what a machine lacks and builds for minutes; what it calls is run by tests/engine",
    "make test": "is what runs this test",
    "hubstack simulate --runners 64 --format svg > scale.svg": "draws 100,000 nodes: tests/unit/test_simulate.py does it once",
    "hubstack profiles demo --diff -": "waits for a ConfigMap on its standard input; tests/unit/test_cli_profiles.py gives it one",
    "hubstack profiles --promote staging prod": "the example has one hub; tests/unit/test_cli_profiles.py has both",
    'hubstack matrix --format github >>"$GITHUB_OUTPUT"': "a workflow's: tests/engine/test_runners.py runs it",
    "hubstack certify datascience": "takes what is really in images: tests/engine/test_certify.py has some",
    **dict.fromkeys(
        ("hubstack compose scipy r", "hubstack compose scipy r --push"),
        "takes what is really in images: tests/engine/test_compose.py has some",
    ),
    **dict.fromkeys(
        (
            "hubstack deliver git@example.org:ops/cluster.git --path apps/jupyterhub",
            "hubstack deliver https://example.org/ops/cluster.git --branch hubstack/profiles --base main",
            "hubstack deliver ../cluster --from dist --hub demo --dry-run",
        ),
        "needs another git repository: tests/unit/test_delivery.py has some",
    ),
    **dict.fromkeys(
        (
            "hubstack init images",
            "hubstack init images --from debian:13",
            "hubstack init --upgrade",
            "hubstack init --upgrade --dry-run",
        ),
        "asks a registry and an index, or needs a tree that init has made: tests/unit/test_init.py has both",
    ),
    **dict.fromkeys(
        (
            "hubstack import scipy-notebook/Dockerfile",
            "hubstack import course1/ course2/",
            "hubstack import environment.yml --write",
        ),
        "needs such files: tests/unit/test_import.py has them",
    ),
    **dict.fromkeys(
        (
            "hubstack attest --key cosign.key",
            "hubstack attest --adopt minimal",
            "hubstack attest --dry-run",
            "hubstack verify",
            "hubstack verify --key other.pub",
        ),
        "needs `signing:` and keys: tests/engine/test_supply.py runs them",
    ),
    **dict.fromkeys(
        (
            "hubstack prune --configmap live.yaml",
            "hubstack prune --delete --in-use in-use.txt",
        ),
        "needs what a cluster says: tests/unit/test_cli_prune.py gives it",
    ),
    **dict.fromkeys(
        (
            "hubstack preview demo",
            "hubstack preview demo --port 0",
            "hubstack preview demo --profiles profiles/emitted",
        ),
        "stays until Ctrl-C; tests/browser starts one",
    ),
}
NEEDS_AN_INDEX = {  # run with the real one by the test marked `engine`; only parsed, or answered by a fake, here
    "hubstack update",
    "hubstack update --only layer:dask",
    "hubstack update --only numpy",
    "hubstack update --only debian",
    "hubstack update --only layer:plots",
}
OUTPUTS = {"sh /srv/hubstack/contents.sh": "=python\nnumpy\t2.3.5\n=debian\nlibgdal36\t3.10\n"}  # what images hold
ON_A_REAL_ENGINE = (LAYER,)
WITH_A_REAL_INDEX = (UPDATE,)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


def copy_example(folder: Path) -> None:
    for part in PARTS:
        source = ROOT / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
    for stack in folder.glob("stacks/*.yaml"):
        if stack.stem not in STACKS:
            stack.unlink()


def let_any_output_pass(folder: Path) -> None:
    """A fake engine runs no command of an image, so nothing comes out that a test could look for."""
    for path in (*folder.glob("layers/*/layer.yaml"), *folder.glob("base/*/layer.yaml")):
        path.write_text(re.sub(r"^ +stdout: .*\n", "", path.read_text(), flags=re.MULTILINE))


def commit_twice(folder: Path) -> None:
    git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["init", "--initial-branch=main"], ["add", "--all"], ["commit", "-m", "one"], ["commit", "--allow-empty", "-m", "two"]):
        subprocess.run([*git, *words, *([] if words == ["add", "--all"] else ["--quiet"])], check=True)


@dataclass
class Reader:
    """Does what a story says, with an engine, a registry and an index that are not real."""

    folder: Path
    registry: FakeRegistry
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.env["HUBSTACK_REGISTRY"] = f"{self.registry.host}/x"
        self.shell = Shell(self.folder, self.registry, TerminalEngine(self.registry, outputs=OUTPUTS))

    def follow(self, story: Story) -> None:
        if story.name in CONTINUES:
            self.follow(STORIES[CONTINUES[story.name]])
        for line in BEFORE.get(story.name, []):
            self.type(line)
        for step in story.steps:
            if isinstance(step, File):
                (self.folder / step.path).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / step.path).write_text(step.text)
                let_any_output_pass(self.folder)
            elif step.line not in ELSEWHERE:
                self.type(step.line)

    def type(self, line: str) -> None:
        name, *words = shlex.split(line.partition(" > ")[0], comments=True)
        if name == "export":
            variable, _, value = words[0].partition("=")
            self.env[variable] = value.replace("$PWD", str(self.folder))
            return
        assert name == "hubstack", line
        options, verb, rest = split(words)
        if line in NEEDS_AN_INDEX:
            self.update(rest)
        elif verb in {"build", "rebase", "run", "test"}:
            result = self.shell(verb, *rest)
            assert result.return_value == CODES.get(line, 0), f"{line}\n{result.output}"
        else:
            done = run(*options, verb, *rest, folder=self.folder, env=self.env)
            assert done.code == CODES.get(line, 0), f"{line}\n{done.out}{done.err}"

    def update(self, words: list[str]) -> None:
        """`hubstack update` of a tree without a lock, from an index and a registry that hold what it asks for."""
        command = cli.get_command(click.Context(cli), "update")
        assert command is not None
        command.make_context("update", words)  # the words are right
        if (self.folder / "hubstack.lock").exists():
            return
        project = Invocation(folder=self.folder, ca_bundle=None, registry=None).project
        asked = demand(project, resolve(project))
        names = {line.text if hasattr(line, "text") else line for one in asked.inputs.values() for line in one.lines}
        outside = Outside(
            today=date(2026, 11, 1),
            run=FakeUv({name: {"1.0": Release()} for name in names}),
            resolve_image=digest_of_any,
            env={},
            say=lambda _: None,
        )
        (self.folder / "hubstack.lock").write_text(render_lock(update(asked, Lock(), outside).lock))


def digest_of_any(_ref: ImageRef) -> Digest:
    return Digest("sha256:" + "7" * 64)


def split(words: list[str]) -> tuple[list[str], str, list[str]]:
    """The options before the verb, the verb, and the rest; no verb in `hubstack --help`."""
    at = next((number for number, word in enumerate(words) if word in VERBS), len(words))
    return words[:at], "".join(words[at : at + 1]), words[at + 1 :]


@pytest.mark.parametrize("name", STORIES)
def test_a_reader_can_do_what_it_says(
    name: str, tmp_path: Path, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = STORIES[name]
    if name not in EMPTY_FOLDER:
        copy_example(tmp_path)
        let_any_output_pass(tmp_path)
    if any("--since" in line for line in story.commands):
        commit_twice(tmp_path)
    if any("proxy.pem" in line for line in story.commands):
        certificates = ssl.get_default_verify_paths().cafile
        (tmp_path / "proxy.pem").write_bytes(Path(certificates).read_bytes() if certificates else b"")
    monkeypatch.chdir(tmp_path)
    Reader(tmp_path, registry).follow(story)
    if name in EMPTY_FOLDER:
        assert run("check", folder=tmp_path).out == "no faults found\n"


def test_the_exceptions_are_still_there() -> None:
    commands = {line for story in STORIES.values() for line in story.commands}
    assert commands >= {*ELSEWHERE, *NEEDS_AN_INDEX, *CODES}
    assert STORIES.keys() >= {*EMPTY_FOLDER, *BEFORE, *CONTINUES, *ON_A_REAL_ENGINE, *WITH_A_REAL_INDEX}
    assert len(commands) > 40


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [*ON_A_REAL_ENGINE, *WITH_A_REAL_INDEX])
def test_on_a_real_engine_and_a_real_index(
    name: str, tmp_path: Path, real_registry: ImageRef, ca_bundle: Path | None
) -> None:
    """The command itself, as it is typed. Without a terminal, and with the nodes that others may have pushed."""
    copy_example(tmp_path)
    path = f"{HUBSTACK.parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "HUBSTACK_REGISTRY": str(real_registry)}
    env |= {"HUBSTACK_CA_BUNDLE": str(ca_bundle)} if ca_bundle else {}
    for line in STORIES[name].commands:
        done = subprocess.run(shlex.split(line), cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"


# --- what is written from something else ---------------------------------------------------------------------------------------


def test_the_reference_is_the_commands_own_help(golden: Callable[[Path, str], None]) -> None:
    argv = [sys.executable, str(ROOT / "tests" / "docs" / "reference.py")]
    golden(ROOT / "docs" / "commands.md", subprocess.run(argv, check=True, capture_output=True, text=True).stdout)


def test_the_formats_are_the_schemas(golden: Callable[[Path, str], None]) -> None:
    golden(ROOT / "docs" / "formats.md", render_formats_doc())


def test_the_picture_is_what_the_command_draws(golden: Callable[[Path, str], None]) -> None:
    golden(ROOT / "docs" / "graph.svg", run(*PICTURE, folder=ROOT).out)
    assert f"`hubstack {' '.join(PICTURE)}`" in (ROOT / "README.md").read_text()


def test_the_picture_of_a_merge_is_what_the_command_draws(golden: Callable[[Path, str], None]) -> None:
    words = ("graph", "datascience", "--nodes", "--format", "svg")
    golden(ROOT / "docs" / "merge.svg", run(*words, folder=ROOT).out)
    assert f"`hubstack {' '.join(words)}`" in (ROOT / "docs" / "merge.md").read_text()


def test_the_snippet_is_the_one_that_is_tested(golden: Callable[[Path, str], None]) -> None:
    path = ROOT / "docs" / "hubs.md"
    before, block, after = re.split(r"(^  ```python$.*?^  ```$)", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert block
    golden(path, f"{before}  ```python\n{indent(ORDER_SNIPPET, '  ')}  ```{after}")


def test_every_kind_of_fact_is_explained() -> None:
    """Of those that the example's tree has: the table says them all."""
    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "fingerprints.md").read_text(), re.MULTILINE)
    facts = run("why", "*", "layer:*", "conda", "upstream", "--json", folder=ROOT).json
    kinds = [kind for node in facts.values() for kind, _, _ in node["facts"]]
    assert set(table) >= set(kinds)
    assert [kind for kind in table if kind in set(kinds)] == sorted(set(kinds), key=table.index)


# --- what is named ---------------------------------------------------------------------------------------------------------------


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def prose(path: Path) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", text_of(path), flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", prose(path))
    for link in links:
        target, _, anchor = link.partition("#")
        if not target.startswith("https://"):
            there = (path.parent / target).resolve() if target else path
            assert there.exists(), link
            assert not anchor or anchor in anchors(there), link


def test_readme_names_paths_that_exist() -> None:
    rows = re.findall(r"^\| .* \| (.*) \|$", text_of(ROOT / "README.md"), re.MULTILINE)
    named = [path for row in rows for path in re.findall(r"`([\w./-]+/[\w./-]*)`", row)]
    examples = {"NAME": "scipy", "HUB": "demo", "VERB": "plan"}
    assert len(named) > 15
    for path in named:
        for word, example in examples.items():
            path = path.replace("base/NAME", "base/debian").replace(word, example)  # noqa: PLW2901
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_in_a_sentence_have_verbs_and_options_that_exist(path: Path) -> None:
    for words in re.findall(r"`hubstack ([^`]+)`", prose(path)):
        options, verb, rest = split(words.split())
        command = cli.get_command(click.Context(cli), verb) if verb else cli
        assert command is not None
        if verb and isinstance(command, click.Group) and rest:
            command = command.commands[rest.pop(0)]
        known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
        before = {name for one in cli.params for name in one.opts} | {"--help", "--version"}
        assert {word for word in rest if word.startswith("--")} <= known, words
        assert {word for word in options if word.startswith("-")} <= before, words


def test_pages_are_short_of_lines_that_are_too_long() -> None:
    for path in PAGES:
        if path.name in {"commands.md", "formats.md", "proof.md"}:
            continue  # written by a program
        long = [line for line in text_of(path).splitlines() if len(line) > 130 and not line.startswith(("|", "!"))]
        assert long == [], path
