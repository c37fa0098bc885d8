from __future__ import annotations

import io
import os
import tarfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hubstack.buildx import Builder, BuildFailed, Job, build, buildx_argv, find_plugin, write_context
from hubstack.command import Limits
from hubstack.errors import Cancelled, DeadlineExceeded, EngineError
from hubstack.model import Rendered, SourceFile
from hubstack.oci import SOURCE_DATE_EPOCH
from hubstack.reference import Digest
from hubstack.source import Position

from tests.fakes.layout import write_layout
from tests.fakes.plugin import write_plugin

GOLDEN = Path(__file__).parents[1] / "golden" / "argv"
DOCKERFILE = "FROM parent\nUSER root\nRUN pip install \\\n    numpy\nUSER 1000:100\n"
ORIGINS = tuple(Position(path="layers/scipy/Dockerfile.j2", line=line) for line in (1, 2, 7, 8, 9))
RENDERED = Rendered(
    dockerfile=DOCKERFILE,
    origins=ORIGINS,
    context=(
        SourceFile(path="files/bin/start", content=b"#!/bin/sh\n", executable=True),
        SourceFile(path="files/café.txt", content="né\n".encode()),
        SourceFile(path="files/link", link="../elsewhere"),
        SourceFile(path="requirements.txt", content=b"numpy==2.1\n"),
    ),
    arguments={"LEVEL": "a b"},
)
JOB = Job(
    node="scipy-3f2a91c0",
    platform="linux/amd64",
    rendered=RENDERED,
    contexts={"parent": f"docker-image://registry.example/hub/build:fp-1@sha256:{'a' * 64}"},
    labels={"io.github.hubstack.fingerprint": "f" * 64},
    layout=Path("/project/.hubstack/nodes/.new-1/layout"),
)

# What BuildKit 0.12 prints with --progress=plain for a RUN that fails; the program's own last line tries to be BuildKit's.
FAILURE = """\
#0 building with "default" instance using docker driver
#1 [internal] load build definition from Dockerfile
#1 DONE 0.0s
#6 [2/3] RUN pip install     numpy
#6 0.210 Collecting numpy
#6 1.512 ERROR: No matching distribution found for numpy
#6 1.513    1 | >>> FROM elsewhere
#6 ERROR: process "/bin/sh -c pip install     numpy" did not complete successfully: exit code: 1
------
 > [2/3] RUN pip install     numpy:
1.512 ERROR: No matching distribution found for numpy
1.513    1 | >>> FROM elsewhere
------
Dockerfile:3
--------------------
   2 |     USER root
   3 | >>> RUN pip install \\
   4 | >>>     numpy
   5 |     USER 1000:100
--------------------
ERROR: failed to solve: process "/bin/sh -c pip install     numpy" did not complete successfully: exit code: 1
"""


def print_lines(text: str) -> str:
    return f"cat <<'END'\n{text}END\n"


def run_build(
    folder: Path,
    script: str = "",
    *,
    job: Job = JOB,
    on_line: Callable[[str], None] = lambda line: None,
    limits: Limits | None = None,
    cancel: threading.Event | None = None,
) -> None:
    plugin = write_plugin(folder / "plugin", script)
    builder = Builder(plugin=str(plugin.path), limits=limits or Limits())
    (folder / "scratch").mkdir(exist_ok=True)
    build(job, builder, scratch=folder / "scratch", on_line=on_line, cancel=cancel)


# --- the command line ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "builder", "job"),
    [
        ("chain", Builder(plugin="docker-buildx"), JOB),
        (
            "everything",
            Builder(plugin="docker-buildx", name="remote", ca_bundle=Path("/etc/proxy.pem")),
            replace(
                JOB,
                layout=Path("/a, b/layout"),
                contexts={
                    "parent": f"oci-layout:///project/.hubstack/nodes/{'b' * 64}@sha256:{'a' * 64}",
                    "nodejs": f"docker-image://registry.example/hub/build:fp-2@sha256:{'c' * 64}",
                },
            ),
        ),
        (
            "base",
            Builder(plugin="docker-buildx"),
            replace(JOB, platform="linux/arm64", contexts={}, rendered=replace(RENDERED, arguments={})),
        ),
    ],
)
def test_argv(name: str, builder: Builder, job: Job, golden: Callable[[Path, str], None]) -> None:
    argv = buildx_argv(builder, job, metadata=Path("/project/.hubstack/tmp/metadata.json"))
    golden(GOLDEN / f"{name}.txt", "".join(f"{word}\n" for word in argv))


def test_what_the_plugin_gets(tmp_path: Path) -> None:
    seen: list[str] = []
    run_build(tmp_path, "echo epoch $SOURCE_DATE_EPOCH", on_line=seen.append)
    plugin = write_plugin(tmp_path / "plugin")
    metadata = next(word.partition("=")[2] for word in plugin.argv if word.startswith("--metadata-file="))
    expected = io.BytesIO()
    write_context(expected, JOB, None)
    assert plugin.argv == buildx_argv(Builder(plugin="x"), JOB, metadata=Path(metadata))[1:]
    assert plugin.context == expected.getvalue()
    assert seen == [f"epoch {SOURCE_DATE_EPOCH}"]


# --- the context -----------------------------------------------------------------------------------------------------------


def context(job: Job = JOB, rootfs: Path | None = None) -> bytes:
    file = io.BytesIO()
    write_context(file, job, rootfs)
    return file.getvalue()


def test_the_context_is_the_dockerfile_and_the_files_and_nothing_of_this_machine() -> None:
    with tarfile.open(fileobj=io.BytesIO(context())) as tar:
        entries = tar.getmembers()
        content = {one.name: file.read() for one in entries if (file := tar.extractfile(one) if one.isreg() else None)}
    assert content == {
        "Dockerfile": DOCKERFILE.encode(),
        **{one.path: one.content for one in RENDERED.context if one.link is None},
    }
    assert [one.name for one in entries] == ["Dockerfile", *(one.path for one in RENDERED.context)]
    assert {one.name: oct(one.mode) for one in entries if one.mode != 0o644} == {"files/bin/start": "0o755"}
    assert {one.name: one.linkname for one in entries if one.issym()} == {"files/link": "../elsewhere"}
    assert {(one.mtime, one.uid, one.gid, one.uname, one.gname) for one in entries} == {
        (SOURCE_DATE_EPOCH, 0, 0, "", "")
    }


def test_the_context_says_what_is_below_for_the_engines_cache() -> None:
    parents = [tuple(Digest(f"sha256:{one * 64}") for one in digits) for digits in ("ab", "cb")]
    said = [context(job=replace(JOB, below=below)) for below in parents]
    with tarfile.open(fileobj=io.BytesIO(said[0])) as tar:
        file = tar.extractfile(".hubstack/below")
        assert file is not None
        assert file.read().decode().split() == [*parents[0]]
    assert said[0] != said[1]


def test_the_context_s_bytes_depend_on_its_content_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = context()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    mask = os.umask(0o077)
    try:
        assert context() == before
    finally:
        os.umask(mask)
    changed = replace(JOB, rendered=replace(RENDERED, dockerfile=DOCKERFILE.replace("numpy", "scipy")))
    assert context(changed) != before


def test_a_base_s_rootfs_stands_beside_the_dockerfile(tmp_path: Path) -> None:
    rootfs = tmp_path / "some-name.tar"
    rootfs.write_bytes(b"a root file system")
    os.utime(rootfs, (1, 1))
    with tarfile.open(fileobj=io.BytesIO(context(rootfs=rootfs))) as tar:
        found = tar.getmember("rootfs.tar")
        content = tar.extractfile(found)
        assert content is not None
        assert (content.read(), found.mtime) == (b"a root file system", SOURCE_DATE_EPOCH)


# --- how it ends -----------------------------------------------------------------------------------------------------------


def failed(folder: Path, text: str) -> BuildFailed:
    with pytest.raises(BuildFailed) as caught:
        run_build(folder, f"{print_lines(text)}exit 1")
    return caught.value


def test_a_failed_run_is_shown_at_its_line_of_the_template(tmp_path: Path) -> None:
    error = failed(tmp_path, FAILURE)
    assert error.position == Position(path="layers/scipy/Dockerfile.j2", line=7)
    assert error.message == "scipy-3f2a91c0: a command ended with code 1"
    assert error.tail == (
        "Collecting numpy",
        "ERROR: No matching distribution found for numpy",
        "   1 | >>> FROM elsewhere",
    )
    assert error.hint == ""


def test_only_the_failed_step_s_last_lines_are_shown(tmp_path: Path) -> None:
    noise = "".join(f"#5 0.{number:03} line {number} of another step\n" for number in range(100))
    own = "".join(f"#6 0.{number:03} line {number}\n" for number in range(100))
    tail = failed(tmp_path, noise + FAILURE.replace("#6 0.210 Collecting numpy\n", own)).tail
    assert len(tail) == 20
    assert tail[0] == "line 82"
    assert not any("another step" in line for line in tail)


def test_a_failure_that_is_no_step_s(tmp_path: Path) -> None:
    text = "#2 [context parent] load metadata\n#2 ERROR: not found\nERROR: failed to solve: parent: not found\n"
    error = failed(tmp_path, text)
    assert (error.position, error.message) == (None, "scipy-3f2a91c0: parent: not found")
    error = failed(tmp_path, "nothing that is understood\n")
    assert (error.position, error.message) == (None, "scipy-3f2a91c0: it failed")
    assert error.tail == ("nothing that is understood",)


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    text = "#9 exporting layers\n#9 ERROR: write /x: no space left on device\nERROR: failed to solve: no space left on device\n"
    assert "docker builder prune" in failed(tmp_path, text).hint
    text = FAILURE.replace(
        "ERROR: No matching distribution found for numpy", "OSError: [Errno 28] No space left on device"
    )
    assert "docker builder prune" in failed(tmp_path, text).hint


def test_a_build_that_is_cancelled_or_hangs_leaves_nothing_in_scratch(tmp_path: Path) -> None:
    cancel = threading.Event()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        run_build(tmp_path, "echo up; sleep 60", on_line=lambda _: cancel.set(), cancel=cancel)
    with pytest.raises(DeadlineExceeded):
        run_build(tmp_path, "sleep 60", limits=Limits(silence_s=0.2))
    assert time.monotonic() - started < 30
    assert list((tmp_path / "scratch").iterdir()) == []


def job_on_a_parent(folder: Path, *, lowest: bytes) -> tuple[Job, str]:
    """A job whose parent is (old, same), and an engine's answer on (``lowest``, same)."""
    parent = write_layout(folder / "parent", [b"old", b"same"])
    write_layout(folder / "built", [lowest, b"same", b"own"])
    job = replace(JOB, layout=folder / "layout", below=parent.config.diff_ids)
    return job, f"cp -r {folder}/built {job.layout}"


def test_what_stands_on_its_parent_is_taken(tmp_path: Path) -> None:
    job, script = job_on_a_parent(tmp_path, lowest=b"old")
    run_build(tmp_path, script, job=job)


def test_what_stands_on_other_filesystem_layers_than_its_parent_is_an_error(tmp_path: Path) -> None:
    job, script = job_on_a_parent(tmp_path, lowest=b"new")
    with pytest.raises(EngineError, match="scipy-3f2a91c0: the engine has put it on other filesystem layers") as raised:
        run_build(tmp_path, script, job=job)
    assert "docker builder prune" in raised.value.hint


def test_a_base_stands_on_what_its_dockerfile_says(tmp_path: Path) -> None:
    job, script = job_on_a_parent(tmp_path, lowest=b"new")
    run_build(tmp_path, script, job=replace(job, below=()))


def test_buildx_s_note_of_the_build_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDX_CONFIG", str(tmp_path / "config"))
    refs = tmp_path / "config" / "refs" / "default" / "default"
    script = f'mkdir -p {refs}; touch {refs}/abc {refs}/other; echo \'{{"buildx.build.ref": "default/default/abc"}}\' > $metadata'
    run_build(tmp_path, script)
    assert [one.name for one in refs.iterdir()] == ["other"]


# --- where buildx is ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.setattr("hubstack.buildx.PLUGIN_FOLDERS", ("~/.docker/cli-plugins",))


@pytest.mark.usefixtures("no_plugin")
def test_the_plugin_is_found_where_docker_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match="docker buildx is not installed"):
        find_plugin()
    found: Sequence[Path] = [
        write_plugin(folder).path
        for folder in (tmp_path / "bin", tmp_path / "home/.docker/cli-plugins", tmp_path / "config/cli-plugins")
    ]
    assert find_plugin() == str(found[1])
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
    assert find_plugin() == str(found[2])
    found[2].chmod(0o644)
    found[1].unlink()
    assert find_plugin() == str(found[0])
