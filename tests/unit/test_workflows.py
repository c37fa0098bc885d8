"""The workflows keep the rules of docs/github.md, which each break on a copy made wrong; linters of others agree.

What the workflows *do* is tested by tests/engine/test_runners.py.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

pytestmark = pytest.mark.long

Json: TypeAlias = dict[str, Any]
ROOT = Path(__file__).parents[2]
STARTER = ROOT / "builder" / "hubstack" / "starter"
BIN = Path(sys.executable).parent
WORKFLOWS, ACTIONS = ".github/workflows/*.yml", ".github/actions/*/action.yml"
WRITES = {
    "publish.yml": {"deliver": {"contents", "pull-requests"}},
    "update.yml": {"propose": {"contents", "pull-requests"}},
}


def parse(text: str) -> Json:
    """The key ``on`` is True to YAML 1.1."""
    return {"on" if key is True else key: value for key, value in yaml.safe_load(text).items()}


class Tree:
    """The workflows and actions of a repository, parsed."""

    def __init__(self, root: Path) -> None:
        self.texts = {path: path.read_text(encoding="utf-8") for path in [*root.glob(WORKFLOWS), *root.glob(ACTIONS)]}
        self.files: Mapping[Path, Json] = {path: parse(text) for path, text in self.texts.items()}

    @property
    def workflows(self) -> Iterator[tuple[str, Json]]:
        return ((path.name, file) for path, file in self.files.items() if "jobs" in file)

    @property
    def jobs(self) -> Iterator[tuple[str, str, Json]]:
        return ((name, job, file["jobs"][job]) for name, file in self.workflows for job in file["jobs"])

    @property
    def steps(self) -> Iterator[tuple[str, Json]]:
        for path, file in self.files.items():
            for steps in [one.get("steps", []) for one in file.get("jobs", {"": file.get("runs", {})}).values()]:
                yield from ((f"{path.parent.name}/{path.name}: {step.get('name')}", step) for step in steps)

    def workflow(self, name: str) -> Json:
        return next(file for path, file in self.files.items() if path.name == name)


# --- the rules: each yields what breaks it -----------------------------------------------------------------------------


def no_right_by_default(tree: Tree) -> Iterator[str]:
    yield from (name for name, file in tree.workflows if file.get("permissions") != {})
    yield from (f"{name}: {job}" for name, job, one in tree.jobs if not isinstance(one.get("permissions"), dict))


def few_may_write(tree: Tree) -> Iterator[str]:
    """Packages and signatures are for what publish.yml calls; the tree itself is for the two jobs above."""
    for name, job, one in tree.jobs:
        may = {"packages", "id-token"} if name == "build.yml" or (name, job) == ("publish.yml", "build") else set()
        may |= WRITES.get(name, {}).get(job, set())
        yield from (
            f"{name}: {job}: {key}" for key, value in one["permissions"].items() if value != "read" and key not in may
        )


def a_caller_grants_what_is_asked(tree: Tree) -> Iterator[str]:
    for name, job, one in tree.jobs:
        if called := one.get("uses"):
            asked = {
                right
                for inner in tree.workflow(Path(called).name)["jobs"].values()
                for right in inner["permissions"].items()
            }
            yield from (
                f"{name}: {job}: {right}"
                for right in asked
                if one["permissions"].get(right[0]) not in {right[1], "write"}
            )


def every_action_is_pinned(tree: Tree) -> Iterator[str]:
    pinned = re.compile(r"\S+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    for path, text in tree.texts.items():
        for used in re.findall(r"^\s*(?:- )?uses: (.+)$", text, re.MULTILINE):
            if not used.startswith("$/.github/") and pinned.fullmatch(used) is None:
                yield f"{path.name}: {used}"


def no_text_of_others_in_a_script(tree: Tree) -> Iterator[str]:
    yield from (where for where, step in tree.steps if "${{" in step.get("run", ""))


def no_event_with_rights_for_strangers(tree: Tree) -> Iterator[str]:
    ours = {"push", "pull_request", "schedule", "workflow_call", "workflow_dispatch"}
    yield from (f"{name}: {event}" for name, file in tree.workflows for event in file["on"] if event not in ours)


def no_credential_stays_in_a_clone(tree: Tree) -> Iterator[str]:
    for where, step in tree.steps:
        if (
            step.get("uses", "").startswith("actions/checkout@")
            and step.get("with", {}).get("persist-credentials") is not False
        ):
            yield where


def no_cache(tree: Tree) -> Iterator[str]:
    """What a proposal may fill must not be read by a publish."""
    for where, step in tree.steps:
        if "actions/cache" in step.get("uses", "") or any(key.startswith("cache") for key in step.get("with", {})):
            yield where


def a_proposal_has_nothing(tree: Tree) -> Iterator[str]:
    for path, text in tree.texts.items():
        if path.name == "pull-request.yml":
            words = ("secrets", "token", "auth:", "login", "--push", "environment", "write")
            code = re.sub(r"#.*", "", text)
            yield from (f"{path.name}: {word}" for word in words if word in code)


def a_publish_is_not_cancelled(tree: Tree) -> Iterator[str]:
    for name in ("publish.yml", "update.yml"):
        concurrency = tree.workflow(name).get("concurrency", {})
        if concurrency.get("cancel-in-progress") is not False or "${{" in concurrency.get("group", "${{"):
            yield name


def rights_and_secrets_are_in_an_environment(tree: Tree) -> Iterator[str]:
    for name, job, one in tree.jobs:
        strong = one["permissions"].get("packages") == "write" or "secrets." in str(one)
        if strong and "uses" not in one and one.get("environment") != "publish":
            yield f"{name}: {job}"


def every_job_ends(tree: Tree) -> Iterator[str]:
    yield from (
        f"{name}: {job}"
        for name, job, one in tree.jobs
        if "uses" not in one and not 0 < one.get("timeout-minutes", 0) < 360
    )


def the_machine_is_named(tree: Tree) -> Iterator[str]:
    known = {"ubuntu-24.04", "${{ matrix.runner }}", None}
    yield from (f"{name}: {job}" for name, job, one in tree.jobs if one.get("runs-on") not in known)


def one_failure_stops_no_other_work(tree: Tree) -> Iterator[str]:
    for job, one in tree.workflow("build.yml")["jobs"].items():
        if one.get("needs") and not one.get("if", "").startswith("${{ !cancelled() && "):
            yield f"{job} stops where a job before it fails"
        if one.get("strategy", {"fail-fast": False}).get("fail-fast") is not False:
            yield f"{job} stops where another of its matrix fails"


def files_are_small(tree: Tree) -> Iterator[str]:
    yield from (path.name for path, text in tree.texts.items() if len(text) >= 500_000 or text.count("\n") > 250)


RULES: Mapping[str, Callable[[Tree], Iterator[str]]] = {
    rule.__name__: rule
    for rule in (
        no_right_by_default,
        few_may_write,
        a_caller_grants_what_is_asked,
        every_action_is_pinned,
        no_text_of_others_in_a_script,
        no_event_with_rights_for_strangers,
        no_credential_stays_in_a_clone,
        no_cache,
        a_proposal_has_nothing,
        a_publish_is_not_cancelled,
        rights_and_secrets_are_in_an_environment,
        every_job_ends,
        the_machine_is_named,
        one_failure_stops_no_other_work,
        files_are_small,
    )
}
_CHECKOUT = "uses: actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2"
BROKEN = [  # rule, file, what stands there, what breaks the rule
    ("no_right_by_default", "workflows/update.yml", "permissions: {}\n", "permissions: read-all\n"),
    ("no_right_by_default", "workflows/update.yml", "permissions: {}\n", ""),
    ("no_right_by_default", "workflows/pull-request.yml", "    permissions:\n      contents: read\n", ""),
    ("few_may_write", "workflows/pull-request.yml", "contents: read", "contents: write"),
    ("few_may_write", "workflows/update.yml", "pull-requests: write", "packages: write"),
    ("a_caller_grants_what_is_asked", "workflows/publish.yml", "      id-token: write # their signatures\n", ""),
    ("every_action_is_pinned", "workflows/pull-request.yml", _CHECKOUT, "uses: actions/checkout@v6.0.2"),
    ("every_action_is_pinned", "workflows/pull-request.yml", _CHECKOUT, _CHECKOUT.partition(" #")[0]),
    ("every_action_is_pinned", "actions/hubstack/action.yml", " # v6.2.0", ""),
    ("no_text_of_others_in_a_script", "workflows/build.yml", "--push $HERE", "--push ${{ steps.matrix.outputs.here }}"),
    ("no_text_of_others_in_a_script", "actions/hubstack/action.yml", "${AUTH#*:}", "${{ inputs.auth }}"),
    ("no_event_with_rights_for_strangers", "workflows/pull-request.yml", "  pull_request:", "  pull_request_target:"),
    ("no_credential_stays_in_a_clone", "workflows/pull-request.yml", "persist-credentials: false", "clean: true"),
    ("no_cache", "actions/hubstack/action.yml", 'python-version: "3.13"', "cache: pip"),
    ("a_proposal_has_nothing", "workflows/pull-request.yml", "hubstack build --since", "hubstack build --push --since"),
    ("a_proposal_has_nothing", "workflows/pull-request.yml", "fetch-depth: 2", "token: ${{ github.token }}"),
    ("a_publish_is_not_cancelled", "workflows/publish.yml", "cancel-in-progress: false", "cancel-in-progress: true"),
    ("a_publish_is_not_cancelled", "workflows/publish.yml", "group: publish", "group: publish-${{ github.sha }}"),
    ("rights_and_secrets_are_in_an_environment", "workflows/publish.yml", "    environment: publish\n", ""),
    ("every_job_ends", "workflows/pull-request.yml", "    timeout-minutes: 180\n", ""),
    ("the_machine_is_named", "workflows/pull-request.yml", "ubuntu-24.04", "ubuntu-latest"),
    ("one_failure_stops_no_other_work", "workflows/build.yml", "!cancelled() && needs.plan.outputs.wave2", "needs.plan.outputs.wave2"),
    ("files_are_small", "workflows/update.yml", "permissions: {}\n", "permissions: {}\n" + "# padding\n" * 250),
]  # fmt: skip


def test_a_new_project_gets_what_this_repository_has() -> None:
    for folder in ("workflows", "actions"):
        files = [path.relative_to(STARTER) for path in (STARTER / folder).rglob("*.yml")]
        assert files
        for path in files:
            assert (ROOT / ".github" / path).read_bytes() == (STARTER / path).read_bytes(), path
    assert (ROOT / ".github" / "hubstack.txt").read_text().splitlines()[-1] == "."


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_our_workflows_keep_the_rule(rule: Callable[[Tree], Iterator[str]]) -> None:
    assert [*rule(Tree(ROOT))] == []


@pytest.mark.parametrize(("rule", "path", "old", "new"), BROKEN)
def test_a_rule_notices_what_breaks_it(rule: str, path: str, old: str, new: str, tmp_path: Path) -> None:
    broken = copy(tmp_path, path, old, new)
    assert [*RULES[rule](Tree(broken))] != []


def test_every_rule_is_broken_once() -> None:
    assert {rule for rule, *_ in BROKEN} == {*RULES}


def copy(folder: Path, path: str, old: str, new: str) -> Path:
    shutil.copytree(ROOT / ".github", folder / ".github")
    file = folder / ".github" / path
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return folder


# --- the linters of others ----------------------------------------------------------------------------------------------


def lint(*words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    argv = [str(BIN / words[0]), *words[1:]]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)


ZIZMOR = (
    "zizmor",
    "--offline",
    "--strict-collection",
    "--no-progress",
    "--persona=auditor",
    "--no-config",
    "--no-ignores",
)
SCHEMA = ("check-jsonschema", "--builtin-schema")


def test_zizmor_finds_nothing() -> None:
    starter = [
        str(path) for path in STARTER.rglob("*.yml") if path.parent.name == "workflows" or path.name == "action.yml"
    ]
    done = lint(*ZIZMOR, ".github", *starter)
    assert done.returncode == 0, done.stdout
    assert "No findings to report" in done.stdout


def test_zizmor_would_find_something(tmp_path: Path) -> None:
    broken = copy(tmp_path, "workflows/build.yml", "--push $HERE", "--push ${{ steps.matrix.outputs.here }}")
    assert "template-injection" in lint(*ZIZMOR, ".github", folder=broken).stdout


@pytest.mark.parametrize(
    ("schema", "files"), [("vendor.github-workflows", WORKFLOWS), ("vendor.github-actions", ACTIONS)]
)
def test_github_s_schemas_hold(schema: str, files: str, tmp_path: Path) -> None:
    good = [str(path) for path in ROOT.glob(files)]
    done = lint(*SCHEMA, schema, *good)
    assert done.returncode == 0, done.stdout
    path = Path(files).parent.name.replace("*", "actions/hubstack") + (
        "/pull-request.yml" if "workflows" in files else "/action.yml"
    )
    broken = copy(tmp_path, path, "steps:", "stepps:")
    assert lint(*SCHEMA, schema, str(broken / ".github" / path)).returncode != 0


def test_scripts_are_sound(tmp_path: Path) -> None:
    """Words that are split on purpose are settings and lists of nodes, which hold no blanks of their own: SC2086."""
    for number, (_, step) in enumerate(Tree(ROOT).steps):
        if "run" in step:
            (tmp_path / f"{number}.sh").write_text(step["run"], encoding="utf-8")
    done = lint("shellcheck", "--shell=bash", "--exclude=SC2086", *(str(path) for path in tmp_path.glob("*.sh")))
    assert done.returncode == 0, done.stdout


# --- one pull request that is open, and a new one where the last was merged ------------------------------------------------

GH = """#!/bin/sh
echo "$*" >>"$OUT/asked"
case "$1 $2" in
  "auth setup-git") ;;
  "pr view") test -n "$STATE" || { echo "no pull requests found" >&2; exit 1; }
    case "$*" in *--jq*) echo "$STATE" ;; esac ;;
  "pr edit" | "pr create") body=; while [ $# -gt 0 ]; do [ "$1" != --body-file ] || body=$2; shift; done
    [ -z "$body" ] || cp "$body" "$OUT/body" ;;
  *) exit 98 ;;
esac
"""
HUBSTACK = """#!/bin/sh
case "$*" in *"--branch main"*) exit 1 ;; esac
"""
GIT = "#!/bin/sh\n"


def ask(folder: Path, workflow: str, job: str, state: str, *, table: str = "") -> list[str]:
    """What the job's last step asks of GitHub where the branch's newest pull request is in this state, or there is none."""
    for name, script in (("gh", GH), ("hubstack", HUBSTACK), ("git", GIT)):
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    (folder / "update").mkdir()
    (folder / "update" / "table.txt").write_text(table, encoding="utf-8")
    (folder / "update" / "hubstack.lock").touch()
    step = Tree(ROOT).workflow(workflow)["jobs"][job]["steps"][-1]
    env = {"PATH": f"{folder}:/usr/bin:/bin", "OUT": str(folder), "RUNNER_TEMP": str(folder), "STATE": state}
    env |= {"GITHUB_STEP_SUMMARY": f"{folder}/summary", "REPOSITORY": "here", "GITHUB_SHA": "0" * 40}
    subprocess.run(["bash", "-eo", "pipefail", "-c", step["run"]], cwd=folder, env=env, check=True)
    return [line for line in (folder / "asked").read_text().splitlines() if line.startswith(("pr create", "pr edit"))]


@pytest.mark.parametrize("state", ["", "MERGED", "CLOSED", "OPEN"])
@pytest.mark.parametrize(("workflow", "job"), [("publish.yml", "deliver"), ("update.yml", "propose")])
def test_a_pull_request_is_opened_where_none_is_open(workflow: str, job: str, state: str, tmp_path: Path) -> None:
    asked = ask(tmp_path, workflow, job, state)
    assert any(line.startswith("pr create") for line in asked) is (state != "OPEN")
    assert workflow != "update.yml" or len(asked) == 1


def test_a_long_table_of_changes_fits_into_a_pull_request(tmp_path: Path) -> None:
    ask(tmp_path, "update.yml", "propose", "", table="numpy 2.1.0 → 2.2.0\n" * 10_000)
    body = (tmp_path / "body").read_bytes()
    assert b"numpy" in body
    assert body.endswith(b"\n```\n")
    assert len(body) < 65_536


# --- which registry, and who logs in there ------------------------------------------------------------------------------

DOCKER = '#!/bin/sh\necho "$* $(cat)" >>"$OUT/logins"\n'


@pytest.mark.parametrize(
    ("settings", "registry", "auth", "token", "expected", "login"),
    [
        ("", "", "", "run", "ghcr.io/us/images", "login ghcr.io --username me --password-stdin run"),
        ("registry: 127.0.0.1:5000/x", "", "", "run", "ghcr.io/us/images", "login ghcr.io --username me --password-stdin run"),
        ('registry: "quay.io/us/x"  # ours', "", "", "run", "quay.io/us/x", ""),
        ("registry: quay.io/us/x", "", "bot:a:b", "run", "quay.io/us/x", "login quay.io --username bot --password-stdin a:b"),
        ("registry: quay.io/us/x", "GHCR.io/Us/X", "", "run", "ghcr.io/us/x", "login ghcr.io --username me --password-stdin run"),
        ("registry: quay.io/us/x", "ghcr.io/us/x", "bot:b", "run", "ghcr.io/us/x", "login ghcr.io --username bot --password-stdin b"),
        ("", "", "", "", "ghcr.io/us/images", ""),
    ],
    ids=["nothing", "new-tree", "only-the-tree", "secret", "variable", "secret-on-ghcr", "proposal"],
)  # fmt: skip
def test_the_registry_and_the_login(
    settings: str, registry: str, auth: str, token: str, expected: str, login: str, tmp_path: Path
) -> None:
    action = next(file for path, file in Tree(ROOT).files.items() if path.parent.name == "hubstack")
    script = next(step["run"] for step in action["runs"]["steps"] if step.get("id") == "registry")
    (tmp_path / "hubstack.yaml").write_text(f"{settings}\nbase: debian\n")
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    env = {
        "GITHUB_OUTPUT": f"{tmp_path}/output",
        "GITHUB_REPOSITORY": "Us/Images",
        "GITHUB_ACTOR": "me",
        "OUT": str(tmp_path),
    }
    given = {"REGISTRY": registry, "AUTH": auth, "TOKEN": token, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(["bash", "-eo", "pipefail", "-c", script], cwd=tmp_path, env={**env, **given}, check=True)
    assert (tmp_path / "output").read_text() == f"registry={expected}\n"
    logins = tmp_path / "logins"
    assert (logins.read_text() if logins.exists() else "").strip() == login
