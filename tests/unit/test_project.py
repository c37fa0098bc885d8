from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hubstack import folder
from hubstack.errors import ProjectError
from hubstack.model import Project, SourceFile
from hubstack.project import load_project

GOOD = Path(__file__).parents[1] / "projects" / "good-small"
LAYER = "summary: A layer\n"


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """``root``, with these files and an empty hubstack.yaml."""
    for path, content in {"hubstack.yaml": "", **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def load(root: Path) -> Project:
    project, warnings = load_project(root)
    assert warnings == ()
    return project


def faults(root: Path) -> list[str]:
    with pytest.raises(ProjectError) as caught:
        load_project(root)
    return [str(problem) for problem in caught.value.problems]


def layer_files(root: Path) -> Mapping[str, SourceFile]:
    return load(root).layers["a"].files


# --- what a project is made of -----------------------------------------------------------------------------------------


def test_a_whole_project() -> None:
    project = load(GOOD)
    assert list(project.layers) == ["debian", "git", "hello"]
    assert [one.name for one in project.bases()] == ["debian"]
    assert list(project.stacks) == ["small"]
    assert list(project.hubs) == ["demo"]
    assert project.layers["git"].files == {"apt.txt": SourceFile(path="apt.txt", content=b"git\n")}
    assert project.layers["hello"].folder == "layers/hello"
    assert project.stacks["small"].source.at("layers", 1).path == "stacks/small.yaml"
    assert str(project.settings.registry) == "127.0.0.1:5000/good-small"


def test_macros(tmp_path: Path) -> None:
    project = load(write(tmp_path, {"layers/_macros/apt.j2": "{# #}", "layers/_macros/in/pip.j2": ""}))
    assert set(project.macros) == {"apt.j2", "in/pip.j2"}
    assert project.layers == {}


def test_an_empty_project_is_one(tmp_path: Path) -> None:
    assert load(write(tmp_path, {})).stacks == {}


def test_files_keep_their_bytes_and_the_owners_execute_bit(tmp_path: Path) -> None:
    write(tmp_path, {"layers/a/layer.yaml": LAYER, "layers/a/files/bin/x": b"\xff\x00", "layers/a/files/y": ""})
    (tmp_path / "layers/a/files/bin/x").chmod(0o700)
    (tmp_path / "layers/a/files/y").chmod(0o655)
    files = layer_files(tmp_path)
    assert files["files/bin/x"] == SourceFile(path="files/bin/x", content=b"\xff\x00", executable=True)
    assert files["files/y"].executable is False


def test_files_are_in_one_order_wherever_they_lie(tmp_path: Path) -> None:
    names = ["files/b/z", "files/b.txt", "files/B", "files/a", "apt.txt", "tests/t.py"]
    write(tmp_path, {"layers/a/layer.yaml": LAYER, **{f"layers/a/{name}": "" for name in reversed(names)}})
    assert list(layer_files(tmp_path)) == sorted(names)


def test_what_editors_leave_behind_is_no_part_of_a_layer(tmp_path: Path) -> None:
    left = ["__pycache__/x.pyc", "x.pyc", ".DS_Store", "x~", ".x.swp", "#x#", ".ipynb_checkpoints/x"]
    write(tmp_path, {"layers/a/layer.yaml": LAYER, **{f"layers/a/files/{name}": "x" for name in left}})
    (tmp_path / "layers/a/files/.#x").symlink_to("somebody@somewhere:1")
    (tmp_path / "layers/.DS_Store").write_text("x")
    assert layer_files(tmp_path) == {}


def test_a_folder_in_which_only_such_things_lie_is_no_layer(tmp_path: Path) -> None:
    """Git leaves it behind when a branch without that layer is checked out."""
    assert load(write(tmp_path, {"layers/gone/tests/__pycache__/x.pyc": ""})).layers == {}


def test_links_inside_a_layer_stay_links(tmp_path: Path) -> None:
    write(tmp_path, {"layers/a/layer.yaml": LAYER, "layers/a/files/lib/x.so.1": "x"})
    links = {
        "files/lib/x.so": "x.so.1",
        "files/share": "lib/",
        "files/bin": "../files/./lib",
        "files/later": "made-later",
    }
    for name, target in links.items():
        os.symlink(target, tmp_path / "layers/a" / name)  # noqa: PTH211 — verbatim: pathlib cuts the slash off
    found = layer_files(tmp_path)
    assert {name: found[name].link for name in links} == links
    assert all(found[name].content == b"" for name in links)
    assert not any(name.startswith(("files/share/", "files/bin/")) for name in found), "they are not followed"


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "../../../b", "../../b", "../files/../../b", "x/../y", "..//../../b"]
)
def test_links_out_of_a_layer(tmp_path: Path, target: str) -> None:
    write(tmp_path, {"layers/a/layer.yaml": LAYER, "layers/b/layer.yaml": LAYER})
    (tmp_path / "layers/a/files").mkdir()
    (tmp_path / "layers/a/files/link").symlink_to(target)
    (fault,) = faults(tmp_path)
    assert fault.startswith(f'layers/a/files/link:1:1: this link leads out of the layer, to "{target}". ')


def test_no_content_from_outside_comes_in(tmp_path: Path) -> None:
    """A folder that is a link, at every depth at which one can stand."""
    secret = write(tmp_path / "elsewhere", {"layer.yaml": LAYER, "secret": "s3cret"})
    root = write(tmp_path / "project", {"layers/a/layer.yaml": LAYER})
    (root / "layers/b").symlink_to(secret)
    (root / "layers/a/files").symlink_to(secret)
    (root / "stacks").symlink_to(secret)
    (root / "profiles").mkdir()
    (root / "profiles/demo.yaml").symlink_to(secret / "layer.yaml")
    said = faults(root)
    assert [fault.split(":")[0] for fault in said] == [
        "layers/a/files", "layers/b", "profiles/demo.yaml", "stacks",
    ]  # fmt: skip
    assert "s3cret" not in "".join(said)


def test_pipes_and_sockets_are_refused_and_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"layers/a/layer.yaml": LAYER, "layers/a/files/x": ""})
    os.mkfifo(tmp_path / "layers/a/files/pipe")
    os.mkfifo(tmp_path / "layers/pipe")
    (tmp_path / "profiles").mkdir()
    os.mkfifo(tmp_path / "profiles/demo.yaml")
    with socket.socket(socket.AF_UNIX) as unix:
        monkeypatch.chdir(tmp_path / "layers/a/files")  # a socket's path may have 108 bytes
        unix.bind("socket")
        assert [fault.split(". ")[0] for fault in faults(tmp_path)] == [
            "layers/a/files/pipe:1:1: a named pipe can't be part of a layer",
            "layers/a/files/socket:1:1: a socket can't be part of a layer",
            'layers/pipe:1:1: "pipe" is no folder, and layers/ holds nothing else',
            "profiles/demo.yaml:1:1: a named pipe stands where a file belongs",
        ]


def test_devices_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {"layers/a/layer.yaml": LAYER, "layers/a/files/x": ""})
    try:
        os.mknod(tmp_path / "layers/a/files/null", 0o020666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")
    assert faults(tmp_path)[0].startswith("layers/a/files/null:1:1: a device can't be part of a layer.")


def test_files_that_may_not_be_read() -> None:
    with tempfile.TemporaryDirectory(prefix="hubstack-") as name:
        root = write(Path(name), {"layers/a/layer.yaml": LAYER, "layers/a/apt.txt": "git"})
        root.chmod(0o755)
        (root / "layers/a/apt.txt").chmod(0)
        with nobody():
            assert faults(root) == [
                "layers/a/apt.txt:1:1: this can't be read: Permission denied. Mend its permissions."
            ]


@pytest.mark.parametrize("mode", [0o000, 0o404, 0o101])
@pytest.mark.parametrize("place", ["", "layers", "layers/a", "layers/a/files", "stacks"])
def test_folders_that_may_not_be_read(place: str, mode: int) -> None:
    """With r alone the names can be listed and nothing more; with x alone the reverse."""
    with tempfile.TemporaryDirectory(prefix="hubstack-") as name:
        Path(name).chmod(0o755)
        root = write(
            Path(name) / "project", {"layers/a/layer.yaml": LAYER, "layers/a/files/x": "", "stacks/a.yaml": ""}
        )
        (root / place).chmod(mode)
        with nobody():
            said = faults(root)
        (root / place).chmod(0o755)
    assert any("this can't be read: Permission denied" in fault for fault in said)


@contextmanager
def nobody() -> Iterator[None]:
    """As somebody who can't read everything."""
    if (user := os.geteuid()) != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("name", [b"\xff.txt", b"a\nb", b"a\x1b[31m", b"a\\b"])
def test_names_that_no_message_could_show(tmp_path: Path, name: bytes) -> None:
    write(tmp_path, {"layers/a/layer.yaml": LAYER, "layers/a/files/x": ""})
    Path(os.fsdecode(os.fsencode(tmp_path / "layers/a/files/") + b"/" + name)).touch()
    (fault,) = faults(tmp_path)
    assert fault.startswith("layers/a/files:1:1: the name ")
    assert fault.isprintable()


def test_large_files_are_not_read(tmp_path: Path) -> None:
    write(tmp_path, {"layers/a/layer.yaml": LAYER, "layers/a/files/large": "", "layers/a/files/small": "x"})
    os.truncate(tmp_path / "layers/a/files/large", 20 * 1024**3)
    before = time.monotonic()
    assert faults(tmp_path)[0].startswith("layers/a/files/large:1:1: this file is larger than 32 MiB.")
    assert time.monotonic() - before < 5


def test_the_size_of_all_is_bounded(tmp_path: Path) -> None:
    write(tmp_path, {"layers/a/layer.yaml": LAYER, "layers/a/files/x": "x" * 600})
    reader = folder.Reader(root=tmp_path, bytes_left=500)
    assert reader.folder("layers/a").keys() == {"layer.yaml"}
    (problem,) = reader.problems
    assert str(problem).startswith("layers/a/files/x:1:1: the project's files are larger than 256 MiB together.")
    assert reader.bytes_left == 500 - len(LAYER)


def test_the_number_of_files_is_bounded(tmp_path: Path) -> None:
    write(tmp_path, {"layers/a/layer.yaml": LAYER, "layers/a/files/x": ""})
    for number in range(folder.MAX_FILES - 3):
        (tmp_path / f"layers/a/files/{number}").touch()
    assert len(layer_files(tmp_path)) == folder.MAX_FILES - 2, "layer.yaml and the folder are counted, too"
    (tmp_path / "layers/a/files/one-more").touch()
    assert faults(tmp_path)[0].startswith("layers/a:1:1: more than 2000 files are in this folder.")


# --- names and places --------------------------------------------------------------------------------------------------


def test_names_that_differ_only_in_case(tmp_path: Path) -> None:
    """They can't both be checked out on macOS or Windows, so no fixture in git can show it."""
    files = {
        "layers/scipy/layer.yaml": LAYER,
        "layers/SciPy/layer.yaml": LAYER,
        "stacks/A.yaml": "",
        "stacks/a.yaml": "",
    }
    said = [fault for fault in faults(write(tmp_path, files)) if "case" in fault and "lower-case" not in fault]
    assert said == [
        'layers/scipy:1:1: "scipy" and "SciPy" differ only in case. Rename one of them.',
        'stacks/a.yaml:1:1: "a" and "A" differ only in case. Rename one of them.',
    ]


def test_a_missing_project_is_no_traceback(tmp_path: Path) -> None:
    assert faults(tmp_path / "nowhere")[0].startswith("hubstack.yaml:1:1: the file is missing.")


def test_warnings_come_with_the_project(tmp_path: Path) -> None:
    _, warnings = load_project(write(tmp_path, {"stacks/notes.txt": "", "stack/a.yaml": "", "stacks/README.md": ""}))
    assert [str(one).split(": ", 2)[2] for one in warnings] == [
        'nothing reads "notes.txt". stacks/ holds one .yaml file for each.',
    ]


def test_warnings_come_with_the_faults(tmp_path: Path) -> None:
    said = faults(write(tmp_path, {"stacks/notes.txt": "", "stacks/a.yaml": "", "layer/a/layer.yaml": ""}))
    assert [": warning: " in fault for fault in said] == [True, False, False, False, True]


def test_the_order_of_a_folder_makes_no_difference(tmp_path: Path) -> None:
    names = ["c", "a", "b"]
    first = write(tmp_path / "1", {f"layers/{name}/layer.yaml": LAYER for name in names})
    second = write(tmp_path / "2", {f"layers/{name}/layer.yaml": LAYER for name in reversed(names)})
    assert list(load(first).layers) == list(load(second).layers) == ["a", "b", "c"]


def test_a_thousand_layers_load_at_once(tmp_path: Path) -> None:
    """0.25 s on two cores of 2026; the bound leaves room for slow machines and not for a second quadratic loop."""
    text = (
        LAYER
        + "requires: [python]\nvariables: {a%d: {type: version, default: 4.4}}\ntests: [{run: x, stdout: '^4\\.'}]\n"
    )
    layers = {f"layers/l{number}/layer.yaml": text % number for number in range(1000)}
    write(tmp_path, {**layers, **{f"layers/l{number}/apt.txt": "git\n" for number in range(1000)}})
    before = time.process_time()
    assert len(load(tmp_path).layers) == 1000
    assert time.process_time() - before < 3
