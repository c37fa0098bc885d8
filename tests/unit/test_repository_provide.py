"""What runs in the image: repository against stack, with a Python whose packages are made up here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long

HAS = {"demo-one": "1.5", "Demo_Two": "2.0rc1"}
NOTHING: Mapping[str, Any] = {"stack": "minimal", "runtime": None, "apt": [], "requirements": [], "conda": []}
PYTHON = ".".join(str(part) for part in sys.version_info[:3])


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A folder of installed packages, and one of programs."""
    for name, version in HAS.items():
        info = tmp_path / "packages" / f"{name}-{version}.dist-info" / "METADATA"
        info.parent.mkdir(parents=True)
        info.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (tmp_path / "bin").mkdir()
    return tmp_path


def program(stack: Path, name: str, script: str) -> None:
    (stack / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
    (stack / "bin" / name).chmod(0o755)


def provide(stack: Path, step: str, asked: Mapping[str, Any], **env: str) -> tuple[int, list[str]]:
    """The exit code, and each fault."""
    done = subprocess.run(
        [sys.executable, str(files("hubstack") / "inside" / "provide.py"), step],
        input=json.dumps({**NOTHING, **asked}),
        env={"PATH": f"{stack / 'bin'}{os.pathsep}/bin", "PYTHONPATH": str(stack / "packages"), **env},
        cwd=stack,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    mark = "hubstack: error: "
    return done.returncode, [line.removeprefix(mark) for line in done.stdout.splitlines() if line.startswith(mark)]


def lines(*texts: str) -> list[dict[str, str]]:
    return [{"text": text, "where": f"requirements.txt:{number}"} for number, text in enumerate(texts, 1)]


def conda(name: str, *alternatives: str) -> list[dict[str, Any]]:
    return [{"name": name, "alternatives": alternatives, "text": f"{name}=1", "where": "environment.yml:3"}]


def test_what_the_stack_has_or_lacks_is_no_clash(stack: Path) -> None:
    texts = (
        "demo.one>=1",
        "demo-two",
        "demo-two>=2.0rc1",
        "unheard-of==9",
        "demo-one<1; python_version < '3'",
        "-e .",
        "--no-index",
        "https://example.org/x.whl",
        "demo-one==1.5 --hash=sha256:00 \\",
    )
    assert provide(stack, "check", {"requirements": lines(*texts)}) == (0, [])


def test_a_clash_names_the_package_the_stacks_version_and_the_asked_one(stack: Path) -> None:
    code, faults = provide(stack, "check", {"requirements": lines("fine", "demo_one[x]<1.5,>1", "Demo-Two==1")})
    assert code == 1
    assert [fault.partition(". ")[0] for fault in faults] == [
        "requirements.txt:2: demo_one: minimal has 1.5, and demo_one<1.5,>1 is asked for",
        "requirements.txt:3: Demo-Two: minimal has 2.0rc1, and Demo-Two==1 is asked for",
    ]


@pytest.mark.parametrize("version", ["", PYTHON.split(".")[0], PYTHON])
def test_the_stacks_python_is_the_right_one(stack: Path, version: str) -> None:
    runtime = {"name": "python", "version": version, "where": "runtime.txt:1"}
    assert provide(stack, "check", {"runtime": runtime}) == (0, [])


def test_another_python_or_no_r(stack: Path) -> None:
    _, faults = provide(stack, "check", {"runtime": {"name": "python", "version": "2.7", "where": "runtime.txt:1"}})
    assert faults[0].startswith(f"runtime.txt:1: Python: minimal has {PYTHON}, and 2.7 is asked for.")
    r = {"name": "r", "version": "4.1", "where": "runtime.txt:1"}
    assert provide(stack, "check", {"runtime": r})[1][0].startswith("runtime.txt:1: minimal has no R.")
    program(stack, "Rscript", "printf 4.5.0")
    assert "R: minimal has 4.5.0, and 4.1 is asked for" in provide(stack, "check", {"runtime": r})[1][0]
    assert provide(stack, "check", {"runtime": {**r, "version": "4.5"}}) == (0, [])


def test_a_debian_package_at_another_version(stack: Path) -> None:
    program(stack, "dpkg-query", '[ "$3" = "hello" ] && printf "ii 2.10-5"')
    asked = [{"text": text, "where": "apt.txt:1"} for text in ("hello", "hello=2.10-5", "new=1", "hello=2.9-1")]
    assert [fault.partition(". ")[0] for fault in provide(stack, "check", {"apt": asked})[1]] == [
        "apt.txt:1: hello: minimal has 2.10-5, and 2.9-1 is asked for"
    ]


def test_without_conda_an_environment_asks_for_what_is_there(stack: Path) -> None:
    program(stack, "dpkg-query", '[ "$3" = "r-cran-dplyr" ] && printf "ii 1:1.1.4-3+b1"')
    for name, alternatives in (
        ("demo-one", ("==1.5.*",)),
        ("python", (">=3",)),
        ("pip", ()),
        ("r-dplyr", ("==1.1.4",)),
    ):
        assert provide(stack, "check", {"conda": conda(name, *alternatives)}) == (0, []), name
    (old,) = provide(stack, "check", {"conda": conda("demo-one", "<1", "==1.4")})[1]
    assert old.startswith("environment.yml:3: demo-one: minimal has 1.5, and demo-one=1 is asked for.")
    (lacking,) = provide(stack, "check", {"conda": conda("xarray")})[1]
    assert lacking.startswith("environment.yml:3: xarray: minimal has neither it nor conda. Move it below `pip:`")


@pytest.fixture
def with_conda(stack: Path) -> Path:
    """A mamba that notes what it was given, and a prefix with one package."""
    meta = stack / "conda" / "conda-meta"
    meta.mkdir(parents=True)
    (meta / "numpy-1.26.4-0.json").write_text(json.dumps({"name": "numpy", "version": "1.26.4"}))
    program(stack, "mamba", f'echo "$@" >{stack}/given; cat $6 $4/conda-meta/pinned >>{stack}/given; exit ${{CODE:-0}}')
    return stack


def install(stack: Path, environment: Sequence[str] = (), **env: str) -> tuple[int, list[str]]:
    asked = {"path": "", "environment": environment, "environment_path": "", "package": False}
    return provide(stack, "install", asked, CONDA_PREFIX=str(stack / "conda"), **env)


def test_on_conda_what_is_missing_is_no_clash(with_conda: Path) -> None:
    prefix = str(with_conda / "conda")
    assert provide(with_conda, "check", {"conda": conda("xarray")}, CONDA_PREFIX=prefix) == (0, [])
    (clash,) = provide(with_conda, "check", {"conda": conda("numpy", ">=2")}, CONDA_PREFIX=prefix)[1]
    assert "numpy: minimal has 1.26.4" in clash


def test_on_conda_mamba_gets_the_environment_and_the_stacks_versions(with_conda: Path) -> None:
    assert install(with_conda, ["dependencies:", "- xarray"]) == (0, [])
    given = (with_conda / "given").read_text()
    assert given.startswith(f"env update --prefix {with_conda / 'conda'} --file ")
    assert given.endswith("dependencies:\n- xarray\nnumpy ==1.26.4\n")
    assert not (with_conda / "conda/conda-meta/pinned").exists()
    assert install(with_conda, ["- x"], CODE="3") == (
        1,
        ["mamba could not add what environment.yml asks for to minimal."],
    )


def test_a_failing_post_build_and_one_that_writes_into_the_home(stack: Path) -> None:
    home = stack / "home"
    home.mkdir()
    (stack / "postBuild").write_text("#!/bin/sh\nexit ${CODE:-0}\n")
    asked = {"post_build": "postBuild"}
    assert provide(stack, "postBuild", asked, HOME=str(home)) == (0, [])
    assert provide(stack, "postBuild", asked, CODE="7", HOME=str(home)) == (1, ["postBuild ended with code 7."])
