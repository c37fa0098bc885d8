"""Stacks that are a repository on another stack, up to the plan: what they are called, stand on, and are built for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hubstack.errors import HubstackError, ProjectError, UsageError
from hubstack.fingerprint import RECIPE, difference
from hubstack.graph import drafts, resolve
from hubstack.graph.select import complete, select
from hubstack.hub.choice import offers
from hubstack.lock import Lock, load_lock, render_lock
from hubstack.lock.change import changes, changes_table
from hubstack.lock.update import Updated, update
from hubstack.model import Graph, Project, Revision
from hubstack.offer import Hub, Profile
from hubstack.picture import graph_text
from hubstack.pipeline import Inputs, demand, prepare
from hubstack.plan import Action
from hubstack.project import load_project
from hubstack.publish import FirstOf
from hubstack.reference import Digest
from hubstack.render.repository import SCRIPTS
from hubstack.repository.project import find_offers
from hubstack.repository.recipe import render_dockerfile
from hubstack.repository.specification import read_specification
from hubstack.schema import schemas
from hubstack.source import Source
from jsonschema import Draft202012Validator

from tests.tree import tree
from tests.unit.test_repository_specification import repository
from tests.unit.test_update import World

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
URL = "https://git.example.org/course.git"
OLD, NEW = "1a" * 20, "4d" * 20
FILES = {
    "base/debian": "variables: {tone: {type: text, default: plain, choices: {plain: Plain, loud: Loud}}}",
    "layers/lab": "tests: [{run: lab works}]",
    "stacks/small.yaml": "base: debian\nlayers: [lab]\nmatrix: {tone: [plain, loud]}",
}


def course(stack: str = "small", *, url: str = URL, ref: str = "main", more: str = "") -> str:
    at = f"ref: '{ref}', " if ref else ""
    return f"title: The course\nrepository: {{url: '{url}', {at}stack: {stack}}}\n{more}"


def files(text: str = "", name: str = "course") -> dict[str, str]:
    return {**FILES, f"stacks/{name}.yaml": text or course()}


def lock(commit: str = OLD, *, ref: str = "main", stack: str = "course") -> Lock:
    images = {"example.org/one:1": Digest("sha256:" + "1" * 64)}
    return Lock(images=images, repositories={stack: Revision(url=URL, ref=ref, commit=commit)})


def inputs(there: Mapping[str, str] | None = None, locked: Lock | None = None, *terms: str) -> Inputs:
    return prepare(tree(there or files()), locked or lock(), terms)


def tops(graph: Graph) -> dict[str, list[str]]:
    """For each variant the layers of its image, lowest first."""
    return {one.variant.id: [graph.nodes[node].layer for node in graph.lineage[one.node]] for one in graph.images}


def fingerprints(found: Inputs, stack: str = "course") -> list[str]:
    return [found.fingerprint(image.node) for image in found.graph.images if image.variant.stack == stack]


# --- what it stands on -------------------------------------------------------------------------------------------------


def test_it_has_the_variants_of_its_stack_with_one_node_more() -> None:
    graph = resolve(tree(files()))
    assert tops(graph) == {
        "course/plain": ["debian", "lab", "course"],
        "course/loud": ["debian", "lab", "course"],
        "small/plain": ["debian", "lab"],
        "small/loud": ["debian", "lab"],
    }
    below = {graph.nodes[one.node].parents[0] for one in graph.images if one.variant.stack == "course"}
    assert below == {one.node for one in graph.images if one.variant.stack == "small"}
    assert {one.variant.axes["tone"] for one in graph.images if one.variant.stack == "course"} == {"plain", "loud"}


def test_on_one_variant_it_has_one_whose_name_stays() -> None:
    plain, loud = (resolve(tree(files(course(f"small/{tone}")))) for tone in ("plain", "loud"))
    assert tops(plain)["course/default"] == tops(loud)["course/default"] == ["debian", "lab", "course"]
    assert next(one for one in plain.images if one.variant.stack == "course").variant.axes == {}
    assert set(plain.nodes) - set(loud.nodes)


def test_a_node_for_each_platform() -> None:
    graph = resolve(tree({**files(), "hubstack.yaml": "platforms: [linux/amd64, linux/arm64]"}))
    assert [one.platform for one in graph.nodes.values() if one.layer == "course"] == ["linux/amd64", "linux/arm64"] * 2


def test_it_is_selected_and_completed_as_a_stack_and_not_as_a_layer() -> None:
    project = tree(files())
    graph = resolve(project)
    assert [one.variant.id for one in select(project, graph, ["course/l*"]).images] == ["course/loud"]
    assert complete(project, "course/") == ("course/plain", "course/loud")
    assert complete(project, "cou") == ("course",)
    assert "layer:course" not in complete(project, "layer:")
    with pytest.raises(UsageError, match="course can't be built by itself: it is a repository on a stack"):
        select(project, graph, ["layer:course"])
    above = select(project, graph, ["layer:lab+"])
    assert {one.variant.stack for one in above.images} == {"course", "small"}


def test_on_a_draft_it_is_one() -> None:
    for changed in (
        {"stacks/small.yaml": FILES["stacks/small.yaml"] + "\ndraft: later"},
        {"layers/lab": "draft: later"},
    ):
        project = tree({**files(), **changed})
        found = drafts(project, resolve(project))
        assert {"course/plain", "course/loud"} <= found.keys()
    own = tree(files(course(more="draft: not yet")))
    assert drafts(own, resolve(own))["course/plain"] == "course: not yet"


def test_other_repositories_are_not_built_on_it() -> None:
    project = tree(files())
    assert {one.stack for one in find_offers(project, resolve(project), "linux/amd64")} == {"small"}


def test_it_is_drawn_above_its_stack() -> None:
    project = tree(files(course("small/loud")))
    graph = resolve(project)
    last = graph_text(project, graph, select(project, graph, ["course"])).splitlines()[-1]
    assert last.strip() == "└─ course (repository) ⇒ course/default"


def test_it_is_a_choice_like_any_stack() -> None:
    project = tree({**files(), "stacks/seminar.yaml": course("small/loud").replace("course\n", "seminar\n")})
    profile = Profile(slug="all", title="All", stacks=("course", "seminar"))
    hub = Hub(name="h", configmap="c", namespace="n", profiles=(profile,), source=Source(path="profiles/h.yaml"))
    assert {one.key: one.title for one in offers(project, resolve(project), hub)} == {
        "course-plain": "The course, Plain",
        "course-loud": "The course, Loud",
        "seminar": "The seminar",
    }


# --- what identifies it ------------------------------------------------------------------------------------------------


def test_address_commit_stack_and_scripts_are_its_fingerprint_and_nothing_else_is() -> None:
    here = fingerprints(inputs())
    assert len(set(here)) == 1  # nothing reads the tone
    moved = inputs(files(course(url=f"{URL}/x")), Lock(images=lock().images, repositories={"course": Revision(url=f"{URL}/x", ref="main", commit=OLD)}))  # fmt: skip
    others = [
        fingerprints(inputs(locked=lock(NEW))),
        fingerprints(moved),
        fingerprints(inputs({**files(), "layers/lab": "requires: [low]", "layers/low": ""})),
    ]
    assert len({tuple(one) for one in [here, *others]}) == 4
    same = [
        fingerprints(inputs(files(course(ref="v1")), lock(ref="v1"))),
        fingerprints(inputs(files(course(more="description: other words"))))[:2],
        fingerprints(inputs(files(name="renamed"), lock(stack="renamed")), "renamed"),
    ]
    assert same == [here, here, here]


def test_its_facts_are_those_that_are_documented() -> None:
    found = inputs(None, None, "course/loud", "small")
    assert list(found.rendered) == [node for node in found.graph.nodes if node in found.rendered]
    node = next(node for node in found.selection.nodes if node.startswith("course-"))
    facts = found.identities[node].facts
    assert [(one.kind, one.name, one.value) for one in facts[:4]] == [
        ("format", "", "1"),
        ("recipe", "", str(RECIPE)),
        ("address", "repository", URL),
        ("commit", "course", OLD),
    ]
    assert [one.name for one in facts if one.kind == "file"] == list(SCRIPTS)
    assert facts[-1].kind == "parent"


def test_why_it_is_built_again() -> None:
    before, after = inputs(), inputs(locked=lock(NEW))
    node = next(node for node in before.identities if node.startswith("course-"))
    why = difference(before.identities[node].facts, {}, after.identities[node].facts, {})
    assert why == f"the commit of course {OLD[:12]} → {NEW[:12]} in hubstack.lock"


def test_its_image_passes_the_tests_of_all_layers_below_and_can_be_written_to() -> None:
    found = inputs()
    for image in found.graph.images:
        runs = [test.run for layer in found.tested_layers(image.node) for test in layer.tests]
        assert runs == ["lab works", *(['cd "$REPO_DIR" && test -w .'] if image.variant.stack == "course" else [])]
        assert image.node in found.offered


def test_a_changed_recipe_is_a_changed_fingerprint(tmp_path: Path, golden: Callable[[Path, str], None]) -> None:
    """Where this fails and images come out different, raise RECIPE in fingerprint.py; then `pytest --golden`."""
    everything = {
        "binder/apt.txt": "hello\n",
        "binder/requirements.txt": "humanize\n",
        "binder/runtime.txt": "python-3.13\n",
        "binder/install.R": 'install.packages("digest")\n',
        "binder/postBuild": "#!/bin/sh\n",
        "binder/start": '#!/bin/sh\nexec "$@"\n',
    }
    folder = repository(tmp_path, everything)
    dockerfile = render_dockerfile(
        read_specification(folder),
        image="parent",
        stack="small/plain",
        scripts={path.rpartition("/")[2]: path for path in SCRIPTS},
        labels={},
        install_r=everything["binder/install.R"],
        cache="0" * 64,
    )
    golden(ROOT / "tests" / "golden" / "repository" / f"recipe-{RECIPE}.Dockerfile", dockerfile)


# --- the lock ----------------------------------------------------------------------------------------------------------


def test_without_its_commit_it_is_blocked_and_the_others_are_not() -> None:
    for locked in (Lock(images=lock().images), lock(ref="another")):
        found = inputs(locked=locked)
        (warning,) = found.warnings
        assert str(warning) == (
            'stacks/course.yaml:2:1: warning: the commit of "course" is not in hubstack.lock, so it can\'t be built. '
            "Run `hubstack update`."
        )
        steps = found.plan(FirstOf(places=())).steps
        assert {step.node.layer for step in steps if step.action is Action.BLOCKED} == {"course"}
        assert {step.node.layer for step in steps if step.action is Action.BUILD} == {"debian", "lab"}
    assert inputs(None, Lock(images=lock().images), "small").warnings == ()


def test_a_lock_is_read_as_it_was_written() -> None:
    text = render_lock(lock())
    assert load_lock(text) == lock()
    assert f'    commit: "{OLD}"\n' in text
    changed = set(render_lock(lock(NEW)).splitlines()) ^ set(text.splitlines())
    assert sorted(line.split()[0] for line in changed) == ["checksum:", "checksum:", "commit:", "commit:"]


def test_a_lock_with_something_else_for_a_commit_is_none() -> None:
    for commit in ("--upload-pack=id", "4d4d4d", ""):
        with pytest.raises(ProjectError, match="this is no lock that hubstack wrote"):
            load_lock(render_lock(lock(commit)))


def updated(project: Project, old: Lock, *only: str, ask: Callable[[str, str], str]) -> Updated:
    world = World()
    asked = demand(project, resolve(project))
    return update(asked, old, replace(world.outside, find_commit=ask), only)


def test_an_update_asks_what_the_ref_means() -> None:
    asked: list[tuple[str, str]] = []

    def ask(url: str, ref: str) -> str:
        asked.append((url, ref))
        return NEW

    project = tree(files(course(ref="")))
    for only in (("repositories",), ("repository:course",)):
        done = updated(project, lock(ref=""), *only, ask=ask)
        assert done.lock.repositories == lock(NEW, ref="").repositories
    assert asked == [(URL, "")] * 2
    (row,) = changes(lock(ref=""), done.lock)
    assert (row.kind, row.name, row.layers) == ("repository", "course", ("course",))
    assert changes_table([row]).splitlines() == [
        "REPOSITORY  OLD COMMIT         NEW COMMIT",
        f"course      HEAD {OLD[:12]}  HEAD {NEW[:12]}",
    ]


def test_a_limited_update_leaves_the_others_and_a_whole_one_drops_what_is_gone() -> None:
    two = {**files(), "stacks/other.yaml": course()}
    both = replace(lock(), repositories={name: lock().repositories["course"] for name in ("course", "other", "gone")})
    done = updated(tree(two), both, "repository:other", ask=lambda _url, _ref: NEW).lock.repositories
    assert {name: one.commit for name, one in done.items()} == {"course": OLD, "other": NEW}
    assert updated(tree(two), both, "epochs", ask=_refuse).lock.repositories == both.repositories
    assert updated(tree(FILES), both, "repositories", ask=_refuse).lock.repositories == {}


def _refuse(url: str, _ref: str) -> str:
    raise HubstackError(f"there is no repository at {url}", hint="git says: not found")


def test_a_repository_that_cannot_be_asked_keeps_its_commit() -> None:
    with pytest.raises(HubstackError) as caught:
        updated(tree(files()), lock(), "repository:course", ask=_refuse)
    why = f"there is no repository at {URL}. git says: not found"
    assert caught.value.message == f"stacks/course.yaml:2:1: the commit of course stays {OLD[:12]}: {why}."
    done = updated(tree(files()), Lock(), ask=_refuse)
    assert [one.what for one in done.warnings if "course" in one.what] == [f"course has no commit: {why}"]
    assert done.lock.repositories == {}


def test_only_stacks_with_a_repository_can_be_named() -> None:
    with pytest.raises(UsageError, match=r'no stack with a repository that is called "small"'):
        updated(tree(files()), lock(), "repository:small", ask=_refuse)
    with pytest.raises(UsageError, match=r'no layer "course"'):
        updated(tree(files()), lock(), "layer:course", ask=_refuse)


# --- files -------------------------------------------------------------------------------------------------------------


def test_a_tree_with_one_is_read_and_listed() -> None:
    folder = ROOT / "tests" / "projects" / "good-repository"
    project, _ = load_project(folder)
    found = prepare(project, load_lock((folder / "hubstack.lock").read_text()), ["seminar"])
    (node,) = found.selection.nodes
    assert found.rendered[node].dockerfile.splitlines()[0] == f"# ssh://git@git.example.org/seminar.git at {'5e' * 20}"
    assert found.blocked == {}


def known_to_editors(text: str) -> bool:
    schema = json.loads(json.dumps(schemas()["stack"]))
    return Draft202012Validator(schema).is_valid(yaml.safe_load(text))


def test_editors_know_the_form() -> None:
    assert known_to_editors(course())
    assert known_to_editors(course(ref="2026"))
    assert not known_to_editors("title: x\nrepository: {url: 'http://h/r', stack: small}")
    assert not known_to_editors("title: x\nrepository: {url: 'https://h/r'}")
    assert not known_to_editors("title: x\ndescription: neither layers nor a repository")
