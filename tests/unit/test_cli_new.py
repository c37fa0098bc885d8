"""What ``hubstack new`` writes passes ``hubstack check``, or nothing is written."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from tests.commandline import HUBSTACK, PROJECTS, Done, run

pytestmark = pytest.mark.long

LAB = """\
summary: JupyterLab
requires: [hello]
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROJECTS / "good-small", tmp_path / "small"))


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """A project whose layer ``python`` brings Python."""
    return Path(shutil.copytree(PROJECTS / "good-locked", tmp_path / "locked"))


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def new(folder: Path, *words: str) -> tuple[Done, dict[str, str]]:
    """What it says, and what it has written."""
    before = files(folder)
    done = run("new", *words, folder=folder)
    after = files(folder)
    assert before.items() <= after.items()
    return done, {path: text for path, text in after.items() if path not in before}


def test_a_layer_of_debian_packages(small: Path) -> None:
    done, written = new(small, "layer", "htop", "--requires", "git", "--apt", "htop", "--apt", "lsof")
    assert done.code == 0
    assert done.out.split() == sorted(written, reverse=True) == ["layers/htop/layer.yaml", "layers/htop/apt.txt"]
    assert written["layers/htop/apt.txt"] == "htop\nlsof\n"
    assert "requires: [git]\n" in written["layers/htop/layer.yaml"]
    assert written["layers/htop/layer.yaml"].count("  - run: dpkg --status ") == 2
    assert "  hubstack run layer:htop -- bash\n" in done.err
    assert run("check", folder=small) == Done(0, "no faults found\n", "")
    assert run("plan", "--offline", "layer:htop", folder=small).code == 0


def test_a_bare_layer(small: Path) -> None:
    done, written = new(small, "layer", "bare")
    assert sorted(written) == ["layers/bare/apt.txt", "layers/bare/layer.yaml"]
    assert "requires: []\n" in written["layers/bare/layer.yaml"]
    assert run("check", folder=small).code == 0
    assert "FROM parent" in run("render", "layer:bare", "--layer", "bare", folder=small).out
    assert done.code == 0


def test_a_layer_stands_on_jupyterlab_where_there_is_one(small: Path) -> None:
    (small / "layers" / "jupyterlab").mkdir()
    (small / "layers" / "jupyterlab" / "layer.yaml").write_text(LAB)
    _, written = new(small, "layer", "bare")
    assert "requires: [jupyterlab]\n" in written["layers/bare/layer.yaml"]
    _, written = new(small, "stack", "plain")
    assert "layers: [jupyterlab]\n" in written["stacks/plain.yaml"]
    assert run("check", folder=small).code == 0


def test_a_layer_of_python_packages_needs_only_the_lock(locked: Path) -> None:
    done, written = new(locked, "layer", "plot", "--requires", "scipy", "--pip", "numpy", "--pip", "six>=1")
    assert done.code == 0
    assert written["layers/plot/requirements.txt"] == "numpy\nsix>=1\n"
    assert "import numpy, six" in written["layers/plot/layer.yaml"]
    assert "Next:\n  hubstack update --only layer:plot\n  hubstack check\n" in done.err
    check = run("check", folder=locked)
    assert check.code == 2
    faults = check.out.splitlines()[:-1]
    assert faults
    assert all(line.startswith("layers/plot/requirements.txt:") for line in faults)
    assert all(line.endswith("is not in hubstack.lock. Run `hubstack update`.") for line in faults)


def test_tests_owners_and_npm(small: Path) -> None:
    words = ["--npm", "@scope/tool@1.2.3", "--owner", "@example/web", "--owner", "me@example.org"]
    done, written = new(
        small, "layer", "web", *words, "--summary", "Web: tools", "--test", "tool --version | grep '^1'"
    )
    assert done.code == 0, done.err
    layer = written["layers/web/layer.yaml"]
    assert written["layers/web/npm.txt"] == "@scope/tool@1.2.3\n"
    assert 'summary: "Web: tools"\n' in layer
    assert 'owners: ["@example/web", "me@example.org"]\n' in layer
    assert [line for line in layer.splitlines() if "- run:" in line] == ["  - run: tool --version | grep '^1'"]
    assert run("check", folder=small).code == 0


def test_a_test_is_derived_from_each_package(small: Path) -> None:
    _, written = new(small, "layer", "web", "--npm", "@scope/tool@1.2.3", "--apt", "git=1:2.3")
    assert "- run: npm ls --global --prefix /usr/local --depth 0 @scope/tool\n" in written["layers/web/layer.yaml"]
    assert "- run: dpkg --status git\n" in written["layers/web/layer.yaml"]


def test_python_packages_are_imported_by_their_modules_names(locked: Path) -> None:
    _, written = new(
        locked, "layer", "plot", "--requires", "scipy", "--pip", "scikit-learn>=1", "--pip", "ruamel.yaml[x]"
    )
    assert 'run: python -c "import sklearn, ruamel_yaml"\n' in written["layers/plot/layer.yaml"]


def test_the_owner_is_who_git_says(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git = {"COUNT": "2", "KEY_0": "user.email", "VALUE_0": "me@example.org", "KEY_1": "github.user", "VALUE_1": ""}
    for name, value in git.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    _, written = new(small, "layer", "bare")
    assert 'owners: ["me@example.org"]\n' in written["layers/bare/layer.yaml"]
    monkeypatch.setenv("GIT_CONFIG_VALUE_1", "me")
    _, written = new(small, "layer", "other")
    assert 'owners: ["@me"]\n' in written["layers/other/layer.yaml"]


def test_a_layer_may_require_what_another_provides(small: Path) -> None:
    with (small / "layers" / "git" / "layer.yaml").open("a") as file:
        file.write("provides: [jupyterlab]\n")
    _, written = new(small, "layer", "bare")
    assert "requires: [jupyterlab]\n" in written["layers/bare/layer.yaml"]
    assert new(small, "layer", "other", "--requires", "jupyterlab")[0].code == 0


def test_without_a_terminal_nobody_is_asked(small: Path) -> None:
    done, written = new(small, "layer")
    assert (done.code, written) == (2, {})
    assert "error: a layer needs a name\n  For example hubstack new layer htop --apt htop." in done.err


def test_on_a_terminal_it_asks_for_what_is_missing(small: Path) -> None:
    answers = ["htop", "Processes", "git", "htop lsof", "", "", "htop --version"]
    process, terminal = os.forkpty()
    if process == 0:
        os.execve(HUBSTACK, ["hubstack", "-C", str(small), "new", "layer"], {**os.environ, "TERM": "dumb"})
    os.write(terminal, "".join(f"{answer}\n" for answer in answers).encode())
    with suppress(OSError):  # Linux says so when the other side is gone
        while os.read(terminal, 1 << 16):
            pass
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    layer = (small / "layers" / "htop" / "layer.yaml").read_text()
    assert layer.startswith("summary: Processes\nrequires: [git]\n")
    assert "  - run: htop --version\n" in layer
    assert (small / "layers" / "htop" / "apt.txt").read_text() == "htop\nlsof\n"
    assert not (small / "layers" / "htop" / "requirements.txt").exists()


def test_more_can_be_made_while_the_lock_waits(locked: Path) -> None:
    new(locked, "layer", "plot", "--requires", "scipy", "--pip", "matplotlib")
    done, written = new(locked, "stack", "plots", "--layer", "plot")
    assert (done.code, [*written]) == (0, ["stacks/plots.yaml"])


def test_a_stack(small: Path) -> None:
    done, written = new(small, "stack", "data-tools", "--layer", "git", "--layer", "hello")
    assert done.out == "stacks/data-tools.yaml\n"
    assert written["stacks/data-tools.yaml"].startswith("title: Data tools\n")
    assert "base: debian\nlayers: [git, hello]\n" in written["stacks/data-tools.yaml"]
    assert run("check", folder=small) == Done(0, "no faults found\n", "")
    assert "data-tools       Data tools  [default]" in run("list", folder=small).out


def test_a_stack_over_a_draft_says_that_it_is_one(small: Path) -> None:
    with (small / "layers" / "git" / "layer.yaml").open("a") as file:
        file.write("draft: needs time\n")
    (small / "profiles" / "demo.yaml").unlink()  # a hub can't offer drafts
    done, _ = new(small, "stack", "tools", "--layer", "git")
    assert "git is a draft (needs time): so is tools, and is built only when it is named.\n" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("layer Bad-Name", 'error: the name is "Bad-Name"\n  It must be lower-case letters and digits'),
        ("layer ../../out", 'the name is "../../out"'),
        ("layer " + 41 * "a", "of 41 characters\n  It must have at most 40."),
        ("layer git", "git is there already"),
        ("layer debian", "debian is there already"),
        ("stack small --layer git", "small is there already"),
        ("layer x --requires gti", 'no layer "gti" (did you mean "git"?)'),
        ("layer x --requires git --requires git", "layers/x/layer.yaml:2:"),
        ("layer x --apt Big", 'layers/x/apt.txt:1:1: "Big" is not a Debian package'),
        ("layer x --pip a,b", "--pip 'a,b' is no package\n  Write NAME, "),
        ("layer x --pip six", "layers/x/requirements.txt:1:1: "),
        ("stack x --layer gti", 'no layer "gti" (did you mean "git"?)'),
        ("stack x --layer git --layer git", "stacks/x.yaml:4:"),
        ("stack build --layer git", "hubstack needs it in the registry"),
    ],
)
def test_what_would_not_pass_check_is_not_written(words: str, message: str, small: Path) -> None:
    done, written = new(small, *words.split())
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
    assert (done.out, written) == ("", {})
    assert not (small / "layers" / "x").exists()
    assert not (small.parent.parent / "out").exists()


def test_a_stack_needs_a_base(tmp_path: Path) -> None:
    (tmp_path / "hubstack.yaml").touch()
    done, written = new(tmp_path, "layer", "first", "--apt", "git")
    assert (done.code, sorted(written)) == (0, ["layers/first/apt.txt", "layers/first/layer.yaml"])
    done, written = new(tmp_path, "stack", "first", "--layer", "first")
    assert (done.code, written) == (2, {})
    assert "the project doesn't say which base a stack stands on\n  Make base/NAME/layer.yaml" in done.err
