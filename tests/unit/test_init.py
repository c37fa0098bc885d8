"""`hubstack init`: a tree that passes check with and without a network, nothing overwritten, and upgrades that keep
what people have changed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hubstack.starter import files
from hubstack.starter.machinery import SUMS, Fate, Step, checksum, parse_sums, sums_after, upgrade
from hubstack.starter.project import base_name, python_release
from hubstack.starter.requirement import requirement

from tests.commandline import Done, run
from tests.fakes.registry import FakeRegistry

pytestmark = pytest.mark.long

NOBODY = "127.0.0.1:9/jupyter/base-notebook:python-3.13"  # the port "discard": nothing answers


@pytest.fixture(autouse=True)
def somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    """What git knows of who is here."""
    for name, value in {"COUNT": "1", "KEY_0": "github.user", "VALUE_0": "somebody"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)


@pytest.fixture(scope="module")
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def image(registry: FakeRegistry) -> str:
    """An image that its registry hasn't."""
    return f"{registry.host}/jupyter/base-notebook:python-3.13"


@pytest.fixture
def begun(tmp_path: Path, image: str) -> Path:
    """A tree of one's own that is not locked."""
    done = run("init", "own", "--from", image, folder=tmp_path)
    assert done.code == 0, done.err
    return tmp_path / "own"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def edit(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


# --- a new tree ----------------------------------------------------------------------------------------------------------


def test_it_passes_check_where_no_registry_answers(tmp_path: Path) -> None:
    done = run("init", "own", "--from", NOBODY, folder=tmp_path)
    assert done.code == 0, done.err
    assert "Nothing is locked yet, so nothing can be built: " in done.err
    assert "  hubstack update    (" in done.err
    check = run("check", folder=tmp_path / "own")
    assert check.code == 0
    assert "0 errors, 2 warnings" in check.out
    plan = run("plan", "--offline", folder=tmp_path / "own")
    assert (plan.code, "has no digest in hubstack.lock. Run `hubstack update`." in plan.err) == (2, True)


def test_it_names_the_branch_that_is_published(tmp_path: Path) -> None:
    """Git's own choice may be another one, of which a push starts nothing."""
    done = run("init", "own", "--from", NOBODY, folder=tmp_path)
    publish = yaml.load((tmp_path / "own/.github/workflows/publish.yml").read_text(), yaml.BaseLoader)
    (branch,) = publish["on"]["push"]["branches"]
    assert f"git init --initial-branch={branch}" in done.err
    assert f"`{branch}`" in (tmp_path / "own/README.md").read_text()


def test_only_an_empty_lock_is_no_fault(begun: Path) -> None:
    (begun / "hubstack.lock").unlink()
    assert run("check", folder=begun).code == 2


def test_what_is_in_it(begun: Path) -> None:
    there = contents(begun)
    assert len([path for path in there if path.startswith("layers/") and path.endswith("layer.yaml")]) == 2
    assert len([path for path in there if path.startswith(("stacks/", "profiles/", "base/"))]) == 3
    assert {"README.md", ".gitignore", "hubstack.yaml", "hubstack.lock", ".github/hubstack.txt"} <= there.keys()
    assert b'python: "3.13"\n' in there["base/base-notebook/layer.yaml"]
    assert not [path for path, text in there.items() if b"@(" in text]
    listed = run("list", "--json", folder=begun).json
    assert json.dumps(listed).count("science") >= 1


def test_its_readme_s_commands_work(begun: Path) -> None:
    commands = [line for line in (begun / "README.md").read_text().splitlines() if line.startswith("hubstack ")]
    made = [line for line in commands if " new " in line]
    assert [run(*line.split()[1:], folder=begun).code for line in made] == [0]
    assert (begun / "layers" / "plots" / "layer.yaml").read_text().startswith("# yaml-language-server: $schema=../../")
    assert {line.split()[1] for line in commands} == {"check", "run", "new", "update"}


def test_who_makes_it_owns_it(begun: Path) -> None:
    assert 'maintainers: ["@somebody"]' in (begun / "hubstack.yaml").read_text()
    assert run("owners", "--check", folder=begun).code == 0
    assert "/.github/" in (begun / ".github" / "CODEOWNERS").read_text()


def test_every_workflow_and_action_is_copied(begun: Path) -> None:
    for folder in ("workflows", "actions"):
        for path, text in files(folder).items():
            assert (begun / ".github" / folder / path).read_bytes() == text
    assert files("workflows")


def test_it_says_where_it_wrote_and_pushes_where_it_was_told(tmp_path: Path, image: str) -> None:
    done = run("init", "own", "--from", image, "--registry", "registry.example.org/x", folder=tmp_path)
    assert set(done.out.split()) | {"own/hubstack.lock"} == {f"own/{path}" for path in contents(tmp_path / "own")}
    assert "registry: registry.example.org/x" in (tmp_path / "own" / "hubstack.yaml").read_text()
    again = run("init", "My_Images", "--from", image, folder=tmp_path)
    assert again.code == 0, again.err
    assert "registry: 127.0.0.1:5000/my-images" in (tmp_path / "My_Images" / "hubstack.yaml").read_text()


def test_without_a_known_python_no_layer_asks_for_python_packages(tmp_path: Path, registry: FakeRegistry) -> None:
    done = run("init", "own", "--from", f"{registry.host}/debian", folder=tmp_path)
    assert done.code == 0, done.err
    assert "Which Python the image has is not known: give --python" in done.err
    assert not list(tmp_path.rglob("requirements.txt"))
    assert run("check", folder=tmp_path / "own").code == 0
    told = run("init", "told", "--from", f"{registry.host}/debian", "--python", "3.12", folder=tmp_path)
    assert told.code == 0
    assert 'python: "3.12"' in (tmp_path / "told" / "base" / "debian" / "layer.yaml").read_text()


def test_nothing_is_overwritten(tmp_path: Path, image: str) -> None:
    own = tmp_path / "own"
    (own / "layers" / "tools").mkdir(parents=True)
    (own / "README.md").write_text("mine\n")
    (own / "layers" / "tools" / "apt.txt").symlink_to("nowhere")
    before = sorted(own.rglob("*"))
    done = run("init", "own", "--from", image, folder=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "own has these already:\n  README.md\n  layers/tools/apt.txt\n  Nothing was written." in done.err
    assert sorted(own.rglob("*")) == before


def test_a_dry_run_names_the_files(tmp_path: Path, image: str) -> None:
    done = run("init", "own", "--from", image, "--dry-run", folder=tmp_path)
    assert "own/stacks/science.yaml\n" in done.out
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("init", "init needs a folder"),
        ("init own --from Not_An_Image", "--from 'Not_An_Image' is "),
        ("init own --python three", "--python 'three' is no release of Python"),
        ("init own --registry x:1", "--registry 'x:1' "),
        ("init --upgrade --from debian", "--upgrade touches no content"),
        ("init --upgrade", "no project: "),
    ],
)
def test_what_it_can_t_do(words: str, message: str, tmp_path: Path) -> None:
    done = run(*words.split(), folder=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert f"error: {message}" in done.err
    assert not list(tmp_path.iterdir())


def test_a_registry_without_the_image_is_said(tmp_path: Path, registry: FakeRegistry) -> None:
    done = run("init", "own", "--from", f"{registry.host}/x:1", "--python", "3.13", folder=tmp_path)
    assert done.code == 0
    assert f"its registry has no image {registry.host}/x:1." in done.err


@pytest.mark.parametrize(
    ("image", "env", "release"),
    [
        ("quay.io/jupyter/base-notebook:python-3.13", {}, "3.13"),
        ("example.org/x:2026-python-3.12.4", {}, "3.12"),
        ("python:slim", {"PYTHON_VERSION": "3.14.1"}, "3.14"),
        ("debian:13", {}, ""),
    ],
)
def test_the_release_of_python(image: str, env: dict[str, str], release: str) -> None:
    assert python_release(image, env) == release


def test_a_base_s_name_is_a_name_and_no_layer_s() -> None:
    assert base_name("registry.example.org:5000/a/Tools_x:1".lower()) == "tools-x"
    assert base_name("example.org/tools:1") == "tools-image"


# --- what the workflows install ------------------------------------------------------------------------------------------

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("direct_url", "line", "doubtful"),
    [
        (None, "hubstack==1.2", False),
        (
            {"url": "https://example.org/h.git", "vcs_info": {"vcs": "git", "commit_id": COMMIT}},
            f"hubstack @ git+https://example.org/h.git@{COMMIT}",
            False,
        ),
        (
            {"url": "file:///home/me/h", "vcs_info": {"vcs": "git", "commit_id": COMMIT}},
            f"hubstack @ git+file:///home/me/h@{COMMIT}",
            True,
        ),
        ({"url": "https://example.org/h.tar.gz", "archive_info": {}}, "hubstack @ https://example.org/h.tar.gz", False),
        ({"url": "file:///h", "dir_info": {"editable": True}}, "hubstack==1.2", True),
    ],
)
def test_the_requirement(direct_url: object, line: str, doubtful: bool) -> None:  # noqa: FBT001 - a case
    found = requirement("1.2", json.dumps(direct_url) if direct_url else None)
    assert (found.line, bool(found.doubt)) == (line, doubtful)
    assert [one for one in found.text.splitlines() if not one.startswith("#")] == [line]


# --- forms ---------------------------------------------------------------------------------------------------------------


def test_issue_forms_are_what_github_takes(begun: Path) -> None:
    forms = sorted((begun / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert [path.name for path in forms] == ["propose-a-layer.yml", "request-a-package.yml"]
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-issue-forms"]
    done = subprocess.run([*argv, *map(str, forms)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    for path in forms:
        ids = [one["id"] for one in yaml.safe_load(path.read_text())["body"] if "id" in one]
        assert len(ids) == len(set(ids))


# --- upgrades ------------------------------------------------------------------------------------------------------------


def test_an_upgrade_of_what_is_new_changes_nothing(begun: Path) -> None:
    before = contents(begun)
    done = run("init", "--upgrade", folder=begun / "layers")
    assert done == Done(0, "", "the machinery is up to date\n")
    assert contents(begun) == before


def older(begun: Path, path: str) -> None:
    """As if an earlier hubstack had written something else there."""
    file, sums = begun / path, begun / ".github" / "hubstack.sums"
    text = sums.read_text().replace(checksum(file.read_bytes()), checksum(b"older\n"))
    file.write_bytes(b"older\n")
    sums.write_text(text)


def test_an_upgrade_brings_what_is_new_and_keeps_what_people_changed(begun: Path) -> None:
    before = contents(begun)
    for path in (".github/pull_request_template.md", ".schemas/hub.schema.json", ".github/hubstack.txt"):
        older(begun, path)
    edit(begun / ".github" / "pull_request_template.md", "- [ ] ours\n")
    edit(begun / "README.md", "ours\n")
    (begun / ".schemas" / "base.schema.json").unlink()
    dry = run("init", "--upgrade", "--dry-run", folder=begun)
    changed = contents(begun)
    done = run("init", "--upgrade", folder=begun)
    assert (dry.out, dry.err) == (done.out, done.err)
    assert done.out.split() == [".github/hubstack.txt", ".schemas/hub.schema.json"]
    assert ".github/pull_request_template.md: you have changed it, so it is kept." in done.err
    assert "-- [ ] ours\n" in done.err
    assert ".schemas/base.schema.json: you have removed it, so it is not put back\n" in done.err
    after = contents(begun)
    for path in (".github/hubstack.txt", ".schemas/hub.schema.json"):
        assert after[path] == before[path]
        assert changed[path] == b"older\n"
    assert {path for path in after if after[path] != changed[path]} == {*done.out.split(), ".github/hubstack.sums"}
    again = run("init", "--upgrade", folder=begun)
    assert (again.out, contents(begun)) == ("", after)
    assert again.err == done.err


def test_a_tree_without_sums_is_people_s_own(begun: Path) -> None:
    (begun / ".github" / "hubstack.sums").unlink()
    edit(begun / ".github" / "hubstack.txt", "# ours\n")
    (begun / ".schemas" / "hub.schema.json").unlink()
    done = run("init", "--upgrade", folder=begun)
    assert done.out.split() == [".schemas/hub.schema.json"]
    assert ".github/hubstack.txt: you have changed it" in done.err


def fates(*, new: bytes | None, there: bytes | None, written: bytes | None) -> Fate:
    steps = upgrade(
        {"x": new} if new is not None else {},
        {"x": there} if there is not None else {},
        {"x": checksum(written)} if written is not None else {},
    )
    (step,) = steps
    return step.fate


@pytest.mark.parametrize(
    ("new", "there", "written", "fate"),
    [
        (b"2", None, None, Fate.WRITE),
        (b"2", b"1", b"1", Fate.WRITE),
        (b"2", b"2", None, Fate.SAME),
        (b"2", b"mine", b"1", Fate.KEEP),
        (b"2", b"mine", None, Fate.KEEP),
        (b"1", b"mine", b"1", Fate.SAME),
        (b"2", None, b"1", Fate.LEAVE),
        (None, b"1", b"1", Fate.REMOVE),
        (None, b"mine", b"1", Fate.SAME),
    ],
)
def test_what_becomes_of_a_file(new: bytes | None, there: bytes | None, written: bytes | None, fate: Fate) -> None:
    assert fates(new=new, there=there, written=written) == fate


def test_sums_forget_what_is_removed_and_remember_what_is_changed() -> None:
    steps = [
        Step(path="gone", fate=Fate.REMOVE, old=b"1", new=None),
        Step(path="kept", fate=Fate.KEEP, old=b"mine", new=b"2"),
        Step(path="new", fate=Fate.WRITE, old=None, new=b"2"),
    ]
    assert sums_after(steps, {"gone": "g", "kept": "k"}) == {"kept": "k", "new": checksum(b"2")}


def test_a_merge_s_marks_in_the_sums_lose_no_other_line() -> None:
    text = f"<<<<<<< ours\n{checksum(b'1')}  .github/a b\n=======\n>>>>>>> theirs\n"
    assert parse_sums(text) == {".github/a b": checksum(b"1")}


@pytest.mark.parametrize("path", ["../mine", ".github/../../mine", "hubstack.yaml", ".github/.."])
def test_an_upgrade_removes_nothing_that_is_not_hubstack_s_own(path: str, begun: Path) -> None:
    """Whatever a tree of somebody else's says that hubstack once wrote."""
    mine = begun.parent / "mine"
    mine.write_text("mine")
    before = contents(begun)
    for text in (b"mine", before["hubstack.yaml"]):
        (begun / SUMS).write_text(f"{before[SUMS].decode()}{checksum(text)}  {path}\n")
        assert run("init", "--upgrade", folder=begun).code == 0
        assert mine.read_text() == "mine"
        assert contents(begun) == before
