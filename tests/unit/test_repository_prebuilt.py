"""A stack's repository built as one node of a run: real git, a behaving engine, a registry in this process."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hubstack.buildx import BuildFailed, Job, write_context
from hubstack.event import Line
from hubstack.lock import Lock
from hubstack.model import Revision
from hubstack.pipeline import Inputs, prepare
from hubstack.reference import Digest
from hubstack.repository.checkout import RepositoryError, find_commit
from hubstack.schedule import Outcome, Result

from tests.fakes.engine import FakeEngine
from tests.fakes.registry import FakeRegistry
from tests.site import Site
from tests.tree import tree
from tests.unit.test_repository_checkout import git

pytestmark = pytest.mark.long

LOG = """\
#9 [3/3] RUN --mount=type=tmpfs,target=/tmp {command}
#9 0.1 this is why
#9 0.2 hubstack: error: postBuild ended with code 7.
#9 ERROR: process "/bin/sh -c {command}" did not complete successfully: exit code: 1
------
"""


@dataclass
class Watched(FakeEngine):
    """Keeps what it was given: the files of a repository are gone when the build ends."""

    jobs: dict[str, Job] = field(default_factory=dict)
    contexts: dict[str, dict[str, str]] = field(default_factory=dict)

    def build(self, job: Job, *, on_line: Callable[[str], None], cancel: threading.Event | None) -> None:
        layer, file = job.node.rpartition("-")[0], io.BytesIO()
        write_context(file, job, None)
        with tarfile.open(fileobj=io.BytesIO(file.getvalue())) as tar:
            self.contexts[layer] = {one.name: f"{one.mode:o}" for one in tar if not one.isdir()}
        self.jobs[layer] = job
        super().build(job, on_line=on_line, cancel=cancel)


@dataclass
class Course:
    """A project with a course on a small stack, and a second stack that has nothing to do with it."""

    site: Site
    folder: Path

    @property
    def engine(self) -> Watched:
        assert isinstance(self.site.engine, Watched)
        return self.site.engine

    def write(self, **files: str) -> str:
        """Commit files, whose names have _ for . and __ for /; the commit."""
        for name, text in files.items():
            path = self.folder / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "--quiet", "--allow-empty", "--message", "one")
        return git(self.folder, "rev-parse", "HEAD")

    def inputs(self, commit: str, *, url: str = "") -> Inputs:
        url = url or f"file://{self.folder}"
        files = {
            "base/debian": "",
            "layers/lab": "",
            "layers/other": "",
            "stacks/small.yaml": "base: debian\nlayers: [lab]",
            "stacks/other.yaml": "base: debian\nlayers: [other]",
            "stacks/course.yaml": f"repository: {{url: '{url}', ref: main, stack: small}}",
        }
        images = {"example.org/one:1": Digest("sha256:" + "1" * 64)}
        locked = Lock(images=images, repositories={"course": Revision(url=url, ref="main", commit=commit)})
        return prepare(tree(files), locked, [])

    def run(self, commit: str, *, url: str = "") -> dict[str, Outcome]:
        """By layer."""
        outcomes = self.site.run(self.inputs(commit, url=url))
        return {node.rpartition("-")[0]: outcome for node, outcome in outcomes.items()}

    def fails(self, commit: str, *, url: str = "") -> BuildFailed:
        """The course does, and nothing else."""
        outcomes = self.run(commit, url=url)
        bad = {layer for layer, outcome in outcomes.items() if outcome.result is Result.FAILED}
        assert (bad, len(outcomes)) == ({"course"}, 4)
        error = outcomes["course"].error
        assert isinstance(error, BuildFailed)
        assert str(error.position) == "stacks/course.yaml:1:1"
        return error

    @property
    def said(self) -> list[str]:
        return [one.text for one in self.site.events if isinstance(one, Line) and one.node.startswith("course-")]


@pytest.fixture
def course(tmp_path: Path) -> Iterator[Course]:
    (tmp_path / "course").mkdir()
    git(tmp_path / "course", "init", "--quiet", "--initial-branch=main")
    with FakeRegistry() as fake:
        site = Site.at(tmp_path / "here", fake)
        site.engine = Watched(fake)
        yield Course(site, tmp_path / "course")


def test_it_is_fetched_at_its_commit_and_built_on_its_stack(course: Course) -> None:
    first = course.write(notes_md="one", run_sh="#!/bin/sh\n")
    course.write(notes_md="two", late_md="two")
    outcomes = course.run(first)
    assert outcomes["course"].result is Result.BUILT
    job = course.engine.jobs["course"]
    assert job.rendered.dockerfile.startswith("FROM parent\n")
    assert job.rendered.dockerfile.endswith("USER 1000:100\n")
    assert list(job.contexts) == ["parent"]
    assert job.labels["repo2docker.ref"] == first
    assert job.labels["io.github.hubstack.repository.stack"] == "small/default"
    assert len(job.labels["io.github.hubstack.fingerprint"]) == 64
    context = course.engine.contexts["course"]
    mine = {name: mode for name, mode in context.items() if name.startswith("src/") and "/.git/" not in name}
    assert mine == {"src/notes.md": "644", "src/run.sh": "644"}
    assert {".hubstack/provide.py", ".hubstack/run.sh", ".hubstack/entrypoint.sh", "Dockerfile"} <= context.keys()
    assert not [path for path in (course.site.folder / ".hubstack" / "tmp").iterdir() if "repository" in path.name]


def test_again_it_is_there(course: Course) -> None:
    first = course.write(notes_md="one")
    course.run(first)
    course.engine.jobs.clear()
    course.folder.rename(course.folder.with_name("gone"))
    assert {outcome.result for outcome in course.run(first).values()} == {Result.REUSED}
    assert course.engine.jobs == {}


def test_another_commit_builds_its_node_alone(course: Course) -> None:
    course.run(course.write(notes_md="one"))
    course.engine.jobs.clear()
    course.run(course.write(notes_md="two"))
    assert list(course.engine.jobs) == ["course"]


def test_modes_and_links_are_gits(course: Course) -> None:
    (course.folder / "link").symlink_to("notes.md")
    (course.folder / "run").write_text("")
    (course.folder / "run").chmod(0o700)
    course.run(course.write(notes_md="one"))
    context = course.engine.contexts["course"]
    assert context["src/run"] == "755"
    assert "src/link" in context


def test_what_a_dockerignore_names_stays_away(course: Course) -> None:
    """Of the folder whose files are read."""
    course.run(course.write(binder___dockerignore="# why\ndata\n!data/kept.txt\n", data__big_txt="", data__kept_txt=""))
    assert {name for name in course.engine.contexts["course"] if "/data/" in name} == {"src/data/kept.txt"}


def test_its_own_warnings_are_in_its_log(course: Course) -> None:
    course.run(course.write(binder__stack="elsewhere\n", binder__Pipfile=""))
    said = "\n".join(course.said)
    assert "hubstack: warning: binder/stack names elsewhere, but this is built on small/default" in said
    assert "hubstack: warning: binder/Pipfile is not read" in said


# --- what fails is one node --------------------------------------------------------------------------------------------


def test_a_step_that_fails_is_told_by_its_last_lines(course: Course) -> None:
    first = course.write(postBuild="#!/bin/sh\n")
    course.engine.failures["course"] = LOG.format(command="exec python /tmp/.hubstack/provide.py postBuild <<'EOF'")
    error = course.fails(first)
    assert error.message.endswith(f": file://{course.folder}: postBuild ended with code 7.")
    assert error.tail == ("this is why",)


def test_what_is_no_fault_of_a_step_is_told_by_buildkit(course: Course) -> None:
    course.engine.failures["course"] = "ERROR: failed to solve: no space left on device\n"
    error = course.fails(course.write(notes_md="one"))
    assert error.message.endswith(": no space left on device")
    assert "docker builder prune" in error.hint


def test_a_repository_or_commit_that_is_gone(course: Course, tmp_path: Path) -> None:
    course.write(notes_md="one")
    assert f" file://{course.folder} can't be fetched at {'4d' * 6}: " in course.fails("4d" * 20).message
    assert f" file://{tmp_path}/no can't be fetched at " in course.fails("4d" * 20, url=f"file://{tmp_path}/no").message


def test_files_that_cannot_be_read_and_a_dockerfile_of_its_own(course: Course) -> None:
    error = course.fails(course.write(apt_txt="hello; id\n"))
    assert f"file://{course.folder}: apt.txt:1: 'hello;' is no Debian package's name." in error.message
    error = course.fails(course.write(apt_txt="", Dockerfile="FROM scratch\n"))
    assert ": Dockerfile: the repository has a Dockerfile" in error.message
    assert "course" not in course.engine.jobs


# --- what a ref means --------------------------------------------------------------------------------------------------


def test_a_lock_holds_whole_commits(course: Course) -> None:
    first = course.write(notes_md="one")
    git(course.folder, "tag", "--annotate", "v1", "--message", "v1")
    url = f"file://{course.folder}"
    assert [find_commit(url, ref) for ref in ("main", "v1", "", first)] == [first] * 4
    with pytest.raises(RepositoryError, match="is no whole commit"):
        find_commit(url, first[:8])
    with pytest.raises(RepositoryError, match="has no branch, tag or commit"):
        find_commit(url, "mian")


def test_an_address_is_no_option_and_no_program(tmp_path: Path) -> None:
    """The form refuses them; git gets them as addresses all the same."""
    made = tmp_path / "made"
    for url in (f"--upload-pack=touch {made}", f"ext::touch {made}"):
        with pytest.raises(RepositoryError, match="there is no repository at"):
            find_commit(url, "main")
    assert not made.exists()
