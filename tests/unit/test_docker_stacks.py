"""28 images in the shape of jupyter/docker-stacks: how many jobs, waves and minutes a change takes here.

Their workflow has a job for each of the 28 images, builds all of them on every change, and its longest line of six jobs
takes 27.5 minutes. So a job of theirs is taken to last 275 s: a minute to start, 215 s of work.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hubstack import names
from hubstack.ci.matrix import Matrix, make_matrix
from hubstack.ci.wave import Machines
from hubstack.lock import load_lock
from hubstack.pipeline import Inputs, prepare
from hubstack.project import load_project
from hubstack.record import Record
from hubstack.reference import Digest, Fingerprint

pytestmark = pytest.mark.long

STACKS = Path(__file__).parents[1] / "projects" / "good-docker-stacks"
THEIR_JOBS, THEIR_MINUTES = 28, 27.5
NODE_S, STARTUP_S = 215.0, 60.0
MACHINES = Machines(runners=20, startup_s=STARTUP_S, waves=4)


@dataclass(frozen=True)
class Built:
    """A registry in which ``inputs`` were built."""

    tags: dict[str, Digest] = field(default_factory=dict)
    known: dict[str, Record] = field(default_factory=dict)

    @classmethod
    def of(cls, inputs: Inputs) -> Built:
        built = cls()
        for node, identity in inputs.identities.items():
            mark = identity.fingerprint
            for tag in (names.node_tag(mark), names.tested_tag(mark, inputs.tests[node])):
                built.tags[tag] = Digest(f"sha256:{mark}")
            built.known[node] = Record(
                node=node, fingerprint=mark, facts=identity.facts, sources={}, seconds=NODE_S, size_bytes=1
            )
        return built

    def digests(self, tags: Sequence[str]) -> Mapping[str, Digest]:
        return {tag: self.tags[tag] for tag in tags if tag in self.tags}

    def records(self, nodes: Sequence[str]) -> Mapping[str, Record]:
        return {node: self.known[node] for node in nodes}

    def recorded(self, fingerprints: Iterable[Fingerprint]) -> Mapping[Fingerprint, Record]:
        return {}


def read(root: Path) -> Inputs:
    project, _ = load_project(root)
    return prepare(project, load_lock((root / "hubstack.lock").read_text(), "hubstack.lock"), ())


def after_a_change(folder: Path, layer: str = "") -> Matrix:
    """Of a tree that was built, and of which then a file of ``layer`` was changed."""
    root = Path(shutil.copytree(STACKS, folder / "tree"))
    before = Built.of(read(root))
    if layer:
        (root / f"layers/{layer}/files/usr/local/share/stacks/{layer}").write_text("changed\n")
    return make_matrix(read(root).plan(before), MACHINES)


def figures(matrix: Matrix) -> tuple[int, int, float]:
    """Jobs beyond the planner's, waves, minutes."""
    return matrix.waves.jobs, len(matrix.waves.waves), round(matrix.waves.makespan_s / 60, 1)


def test_they_are_28_images() -> None:
    assert len(read(STACKS).graph.images) == 28


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ("", (0, 0, 0.0)),
        ("all-spark-notebook", (2, 1, 4.6)),
        ("scipy-notebook", (10, 2, 12.8)),
        ("foundation", (12, 2, 23.5)),
    ],
)
def test_a_change_takes(layer: str, expected: tuple[int, int, float], tmp_path: Path) -> None:
    """These figures stand in docs/scale.md."""
    jobs, waves, took = figures(after_a_change(tmp_path, layer))
    assert (jobs, waves, took) == expected
    assert jobs < THEIR_JOBS
    assert took < THEIR_MINUTES


def test_what_changes_is_what_stands_on_it(tmp_path: Path) -> None:
    matrix = after_a_change(tmp_path, "pyspark-notebook")
    assert sorted((task.layer, task.platform) for task in matrix.work.tasks) == [
        ("all-spark-notebook", "linux/amd64"),
        ("all-spark-notebook", "linux/arm64"),
        ("pyspark-notebook", "linux/amd64"),
        ("pyspark-notebook", "linux/arm64"),
    ]


def test_each_platform_is_built_on_its_own(tmp_path: Path) -> None:
    for jobs in after_a_change(tmp_path, "foundation").waves.waves:
        assert {job.platform for job in jobs} == {"linux/amd64", "linux/arm64"}
        assert all({task.platform for task in job.tasks} == {job.platform} for job in jobs)
