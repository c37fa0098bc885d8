"""Repositories that stacks prebuild: locked, built on their stack as one node more, published and offered like any stack."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hubstack.hub.configmap import parse_configmap
from hubstack.reference import ImageRef
from hubstack.registry import Registry

from tests.engine.test_repository import commit, git, repository, run
from tests.engine.workbench import Json, Work, docker, without_hello

pytestmark = pytest.mark.engine

FILES = {
    "binder/requirements.txt": "humanize\n",
    "binder/postBuild": "#!/opt/venv/bin/python\nimport humanize\nopen('made', 'w').write(humanize.intcomma(1234))\n",
    "binder/stack": "elsewhere\n",
    ".dockerignore": "private\n",
    "binder/.dockerignore": "secret*\n",
    "secret.txt": "for nobody",
    "notes.md": "one",
}
STACK = """\
title: The course
description: Its notebooks, on Small
repository: {{url: "file://{folder}", ref: main, stack: small}}
"""
SEEN = """\
import json, os, humanize
print(json.dumps({
    "user": os.getuid(), "folder": os.getcwd(), "made": open("made").read(), "notes": open("notes.md").read(),
    "there": sorted(os.listdir()), "writable": os.access(".", os.W_OK), "package": humanize.__file__,
}))
"""


@dataclass(frozen=True)
class Course:
    """A project, one of whose stacks is a repository in ``folder``."""

    work: Work
    folder: Path

    def node(self) -> str:
        return str(self.work.nodes("course")["course"]["id"])

    def image(self, registry: Registry) -> ImageRef:
        """What people get now; by digest, since the engine keeps an old one under the tag."""
        ref = self.work.prefix.child("course").with_tag("default-latest")
        digest = registry.head(ref)
        assert digest is not None
        return replace(ref, digest=digest)

    def see(self, registry: Registry) -> Json:
        found: Json = json.loads(run(str(self.image(registry)), "/opt/venv/bin/python", "-c", SEEN))
        return found


@pytest.fixture(scope="module")
def course(make_project: Callable[[Path], Work], tmp_path_factory: pytest.TempPathFactory) -> Course:
    """Nothing is built yet."""
    folder = tmp_path_factory.mktemp("prebuilt")
    work = without_hello(make_project(folder / "project"))
    work.edit("layers/python/Dockerfile.j2", "/opt/venv\n", "/opt/venv\nchown -R 1000:100 /opt/venv\n")
    work.edit("stacks/small.yaml", "[numbers]", "[python]")
    work.edit("profiles/demo.yaml", '"both/*"', "course")
    repository(folder / "course", FILES)
    commit(folder / "course", "one")
    work.write("stacks/course.yaml", STACK.format(folder=folder / "course"))
    return Course(work, folder / "course")


def test_from_a_branch_to_a_choice(course: Course, registry: Registry) -> None:
    work = course.work
    blocked = work.plan("course")[-1]
    assert (blocked["layer"], blocked["action"]) == ("course", "blocked")
    assert blocked["reason"].endswith("is not in hubstack.lock, so it can't be built. Run `hubstack update`.")
    first = git(course.folder, "rev-parse", "HEAD")
    rows = json.loads(work.run("update", "--json", "--only", "repositories").stdout)["changes"]
    assert [(row["name"], row["old"], row["new"]) for row in rows] == [("course", "", f"main {first}")]

    done = work.build("--profiles", str(work.folder / "out"), "small", "course")
    assert done.results["course"] == "built"
    seen = course.see(registry)
    assert seen.pop("package").startswith("/opt/venv/")
    assert seen == {
        "user": 1000,
        "folder": "/srv/repo",
        "made": "1,234",
        "notes": "one",
        "there": [".dockerignore", ".git", "binder", "made", "notes.md"],
        "writable": True,
    }
    log = work.log(course.node())
    assert "binder/stack names elsewhere, but this is built on small/default" in log
    config = json.loads(docker("image", "inspect", str(course.image(registry))))[0]["Config"]
    assert (config["User"], config["Labels"]["repo2docker.ref"]) == ("1000:100", first)

    choices = parse_configmap(work.configmap(), "demo.yaml").choices("all", "image")
    chosen = ImageRef.parse(choices["course"].image)
    assert (chosen.repository, chosen.digest) == (course.image(registry).repository, course.image(registry).digest)
    assert choices["course"].title == "The course"


def test_nothing_changes_until_somebody_updates(course: Course, registry: Registry) -> None:
    """And then nothing else does. What was written into the repository's folder and not committed is no change."""
    work = course.work
    before = course.image(registry)
    repository(course.folder, {"notes.md": "two"})
    second = commit(course.folder, "two")
    repository(course.folder, {"notes.md": "three"})
    assert set(work.build("small", "course").results.values()) == {"reused"}
    assert course.image(registry) == before

    said = work.run("update", "--only", "repository:course").stdout
    assert said.splitlines()[0].split("  ")[0] == "REPOSITORY"
    assert f"main {second[:12]}" in said
    assert work.plan("small", "course")[0]["reason"].startswith("the commit of course ")
    done = work.build("small", "course")
    assert {layer for layer, result in done.results.items() if result != "reused"} == {"course"}
    assert course.see(registry)["notes"] == "two"
    (hit,) = json.loads(work.run("where", "humanize", "--json").stdout)["found"]
    assert (hit["image"], hit["layers"], [one["key"] for one in hit["hubs"]]) == (
        "course/default",
        ["course"],
        ["course"],
    )


def test_what_fails_is_one_node_and_says_why(course: Course, registry: Registry) -> None:
    """A postBuild that fails, a Dockerfile, and a commit that nobody has any more. The channel stays where it was."""
    before = course.image(registry)
    repository(course.folder, {"binder/postBuild": "#!/bin/sh\necho this is why\nexit 7\n"})
    commit(course.folder, "fails")
    said = fails(course)
    assert said["message"].endswith("course: binder/postBuild ended with code 7.")
    assert (said["tail"], said["position"]) == (["this is why"], "stacks/course.yaml:3:1")

    repository(course.folder, {"binder/Dockerfile": "FROM scratch\n"})
    commit(course.folder, "a Dockerfile")
    assert "binder/Dockerfile: the repository has a Dockerfile" in fails(course)["message"]

    git(course.folder, "commit", "--quiet", "--amend", "--message", "another")
    git(course.folder, "reflog", "expire", "--expire=now", "--all")
    git(course.folder, "gc", "--quiet", "--prune=now")
    assert " can't be fetched at " in fails(course, update=False)["message"]
    assert course.image(registry) == before


def fails(course: Course, *, update: bool = True) -> Json:
    if update:
        course.work.run("update", "--only", "repositories")
    done = course.work.build("small", "course", code=1)
    assert {layer: result for layer, result in done.results.items() if result != "reused"} == {"course": "failed"}
    (said,) = [one for one in done.of("finished") if one["result"] == "failed"]
    return said
