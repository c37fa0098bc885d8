"""The build step that compiles Python modules: the same bytes whatever the machine, and nothing but what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import venv
from pathlib import Path

import pytest
from hubstack.inside import bytecode

SCRIPT = Path(bytecode.__file__)
WORDS = ("alpha", "beta", "gamma")
MODULES = 20


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, symlinks=True)
    return folder / "bin" / "python"


@pytest.fixture
def packages(python: Path) -> Path:
    """site-packages with modules that share names and constants with each other, side by side and in a folder."""
    (folder,) = python.parents[1].glob("lib/python*/site-packages")
    (folder / "together").mkdir(exist_ok=True)
    for number in range(MODULES):
        text = f"def f{number}(a, b={WORDS!r}):\n    return a in {{'alpha', 'beta', {WORDS[number % 3]!r}}}, 'alpha beta', b\n"
        for place in (folder, folder / "together"):
            (place / f"m{number}.py").write_text(text)
    for old in folder.rglob("*.pyc"):
        old.unlink()
    return folder


def compiled(python: Path, packages: Path, cpus: set[int]) -> dict[str, bytes]:
    subprocess.run(
        ["taskset", "--cpu-list", ",".join(map(str, cpus)), python, "-B", SCRIPT],
        check=True,
        env={"PYTHONHASHSEED": "0"},
    )
    found = {str(path.relative_to(packages)): path.read_bytes() for path in packages.rglob("*.pyc")}
    for path in packages.rglob("*.pyc"):
        path.unlink()
    return found


def test_the_number_of_processors_does_not_show(python: Path, packages: Path) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    one, all_of_them = compiled(python, packages, {cpus[0]}), compiled(python, packages, set(cpus))
    assert one == all_of_them
    assert len(one) >= 2 * MODULES


def test_what_is_compiled_in_one_process_is_of_one_distribution(packages: Path) -> None:
    """What a process has read shows in a few modules (Python 3.13), and what else a layer installs must not."""
    for name in ("another", "zebra"):
        shutil.copytree(packages / "together", packages / name)
    found = [sorted(paths) for paths in bytecode.companies([str(packages)])]
    for name in ("another", "together", "zebra"):
        assert sorted(map(str, packages.glob(f"{name}/*.py"))) in found
    assert all([str(path)] in found for path in packages.glob("*.py"))
    for name in ("another", "zebra"):
        shutil.rmtree(packages / name)


def test_what_has_bytecode_keeps_it_and_what_cannot_be_compiled_is_left_alone(python: Path, packages: Path) -> None:
    subprocess.run([python, "-B", SCRIPT], check=True)
    (cached,) = packages.glob("__pycache__/m0.*.pyc")
    cached.write_bytes(b"from below")
    (packages / "template.py").write_text("{% no python %}\n")
    done = subprocess.run([python, "-B", SCRIPT], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert cached.read_bytes() == b"from below"
    assert not list(packages.rglob("template.*.pyc"))
    (packages / "template.py").unlink()


def test_folders_and_links_to_nowhere_are_no_modules(python: Path, packages: Path) -> None:
    odd = packages / "odd"
    (odd / "folder.py").mkdir(parents=True)
    for name, target in (("link", "nowhere"), ("loop", "loop.py"), ("through", "../m0.py/nowhere")):
        (odd / f"{name}.py").symlink_to(target)
    (odd / f"{'n' * 250}.py").write_text("A = 1\n")
    (odd / "linked.py").write_text("A = 1\n")
    (odd / "__pycache__").mkdir()
    (odd / "__pycache__" / f"linked.{tag(python)}.pyc").symlink_to("nowhere")
    done = subprocess.run([python, "-B", SCRIPT], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in odd.rglob("*.pyc")] == [f"linked.{tag(python)}.pyc"]
    assert list(packages.rglob("m0.*.pyc"))
    shutil.rmtree(odd)


@pytest.mark.parametrize("blocks", [0, 1])
def test_what_cannot_be_written_fails_the_step(python: Path, packages: Path, blocks: int) -> None:
    """A full disk, for which a limit stands here: an image that lacks some bytecode, or has half of it, would pass."""
    (packages / "m0.py").write_text("".join(f"def f{number}(): pass\n" for number in range(200)))
    limit = f"ulimit -f {blocks}; exec {python} -B {SCRIPT}"
    done = subprocess.run(["sh", "-c", limit], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "m0.py can't be compiled: " in done.stderr or "is not whole: " in done.stderr


def tag(python: Path) -> str:
    words = [str(python), "-c", "import sys; print(sys.implementation.cache_tag)"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def test_what_python_imports_as_it_starts_is_compiled_like_the_rest(python: Path, packages: Path) -> None:
    (packages / "early.py").write_text("EARLY = True\n")
    (packages / "early.pth").write_text("import early\n")
    cpus = os.sched_getaffinity(0)
    before = compiled(python, packages, cpus)
    os.utime(packages / "early.py", (1, 1))
    assert compiled(python, packages, cpus) == before
    (packages / "early.pth").unlink()


def test_sources_may_get_another_date(python: Path, packages: Path) -> None:
    """Steps end by giving every file one date; bytecode that goes by dates would be stale then."""
    subprocess.run([python, "-B", SCRIPT], check=True)
    os.utime(packages / "m1.py", (1, 1))
    before = {path: path.stat().st_mtime_ns for path in packages.rglob("m1.*.pyc")}
    subprocess.run([python, "-c", "import m1"], check=True)
    assert before == {path: path.stat().st_mtime_ns for path in packages.rglob("m1.*.pyc")}
