"""Debian's packages in the lock: what an update asks, what a node's slice of the answer is, and what a change does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import pytest
from hubstack.errors import HubstackError
from hubstack.fingerprint import difference, fingerprints
from hubstack.lock import Demand, Lock, load_lock, render_lock
from hubstack.lock.change import changes, changes_json, changes_table
from hubstack.lock.generation import DebianDemand, DebianInput, debs_for, generation
from hubstack.lock.update import Outside, Updated, update
from hubstack.model import DEBS, Bootstrap, Graph, Rendered, SourceFile
from hubstack.render.locked import with_slices
from hubstack.source import Position

from tests.fakes.apt import HOST, Debian, FakeArchive
from tests.handmade import Chain, handmade_graph, handmade_layer, handmade_project

PROJECT = handmade_project(
    handmade_layer("base", default={"release": "trixie"}),
    handmade_layer("git", default={"extra": "small"}),
    handmade_layer("web", requires=("git",)),
    handmade_layer("plain"),
)
LINES = {"git": ("git",), "web": ("nginx", "git")}
READS = {"git": frozenset({"extra", "release"}), "web": frozenset[str]()}
TRIXIE = "base release=trixie"


def archive() -> dict[str, dict[str, Debian]]:
    trixie = {
        "libc6": Debian(version="2.41-12", essential=True),
        "apt": Debian(version="3.0"),
        "libssl3": Debian(version="3.0.11", needs=("libc6",)),
        "curl": Debian(version="8.14", needs=("libssl3",)),
        "git": Debian(version="1:2.47", needs=("libcurl", "libc6")),
        "libcurl": Debian(version="8.14~rc", needs=("libssl3",)),
        "nginx": Debian(version="1.26", needs=("libssl3", "pcre")),
        "pcre": Debian(version="10"),
        "git-doc": Debian(version="1:2.47"),
    }
    return {"trixie": trixie, "bookworm": {**trixie, "git": replace(trixie["git"], version="1:2.39")}}


@dataclass
class World:
    archive: FakeArchive = field(default_factory=lambda: FakeArchive(suites=archive()))
    chains: Sequence[tuple[Chain, Mapping[str, str]]] = ((("base", "git", "web"), {}),)
    lines: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(LINES))
    include: tuple[str, ...] = ("curl",)
    said: list[str] = field(default_factory=list)

    @property
    def graph(self) -> Graph:
        return handmade_graph(PROJECT, self.chains)

    @property
    def demand(self) -> Demand:
        inputs: dict[str, DebianInput] = {}
        for node in self.graph.nodes.values():
            if node.layer == "base":
                bootstrap = Bootstrap(suite=str(node.values["release"]), include=self.include)
                inputs[node.id] = DebianInput(
                    bootstrap=bootstrap,
                    lines=self.lines.get("base", ()),
                    position=Position(path="base/base/layer.yaml", line=2),
                )
            elif node.layer in self.lines:
                lines = tuple(line.format(**node.values) for line in self.lines[node.layer])
                inputs[node.id] = DebianInput(lines=lines, position=Position(path=f"layers/{node.layer}/apt.txt"))
        return Demand(project=PROJECT, graph=self.graph, debian=DebianDemand(inputs=inputs, reads=READS))

    def update(self, lock: Lock | None = None, *only: str) -> Updated:
        outside = Outside(
            today=date(2026, 11, 1), run=self.archive, resolve_image=lambda _: None, env={}, say=self.said.append
        )
        return update(self.demand, lock or Lock(), outside, only)

    def slices(self, lock: Lock) -> dict[str, str]:
        found = debs_for(PROJECT, self.graph, load_lock(render_lock(lock)).debian, READS)
        return {node: " ".join(f"{name}={one}" for name, one in debs.items()) for node, debs in found.items()}


def warnings(updated: Updated) -> list[str]:
    return [str(one) for one in updated.warnings]


# --- what an update writes -----------------------------------------------------------------------------------------------


def test_each_layer_has_what_it_brings_beyond_what_it_requires() -> None:
    world = World()
    assert world.slices(world.update().lock) == {
        "base": "apt=3.0 curl=8.14 libc6=2.41-12 libssl3=3.0.11",
        "base>git": "git=1:2.47 libcurl=8.14~rc",
        "base>git>web": "nginx=1.26 pcre=10",
    }
    assert world.said == [f"asking Debian's archive for {TRIXIE}"]


def test_a_base_brings_what_its_own_list_names_too() -> None:
    world = World(lines={**LINES, "base": ("git",)})
    found = world.slices(world.update().lock)
    assert "git=1:2.47 libc6=2.41-12 libcurl=8.14~rc" in found["base"]
    assert "base>git" not in found


def test_a_base_whose_own_list_can_not_be_resolved_holds_up_no_layer() -> None:
    world = World(lines={**LINES, "base": ("pcre",)})
    lock = world.update().lock
    world.lines["base"] = ("pcre", "of-a-source-of-its-own")
    trixie = world.archive.suites["trixie"]
    for name, version in (("pcre", "11"), ("nginx", "1.27")):
        trixie[name] = replace(trixie[name], version=version)
    updated = world.update(lock)
    assert [one.partition(": ")[0] for one in warnings(updated)] == ["base/base/apt.txt:1:1"]
    assert world.slices(updated.lock)["base"].endswith("pcre=10")
    assert world.slices(updated.lock)["base>git>web"] == "nginx=1.27"


def test_what_stands_on_a_layer_that_can_not_be_resolved_is_asked_for_all_the_same() -> None:
    """The archive no longer has the versions that stay in the lock."""
    world = World()
    lock = world.update().lock
    world.lines["git"] = ("git", "of-a-source-of-its-own")
    trixie = world.archive.suites["trixie"]
    for name, version in (("git", "1:2.48"), ("libcurl", "8.15"), ("nginx", "1.27")):
        trixie[name] = replace(trixie[name], version=version)
    updated = world.update(lock, "debian")
    assert [one.partition(": ")[0] for one in warnings(updated)] == ["layers/git/apt.txt:1:1"]
    assert world.slices(updated.lock)["base>git"] == "git=1:2.47 libcurl=8.14~rc"
    assert world.slices(updated.lock)["base>git>web"] == "nginx=1.27 pcre=10"


def test_a_package_is_a_line_and_no_host_is_in_the_lock() -> None:
    text = render_lock(World().update().lock)
    assert "\n    git 1:2.47: git[extra=small]\n    libc6 2.41-12: base\n" in text
    assert HOST not in text
    assert render_lock(load_lock(text)) == text


def test_what_stands_below_by_chance_is_taken_off_a_slice_but_not_off_the_lock() -> None:
    """`plain` requires nothing; on `git` a layer that wants git has nothing of its own left."""
    world = World(
        chains=((("base", "git", "plain"), {}), (("base", "plain"), {})), lines={**LINES, "plain": ("git", "pcre")}
    )
    lock = world.update().lock
    assert world.slices(lock)["base>git>plain"] == "pcre=10"
    assert world.slices(lock)["base>plain"] == "git=1:2.47 libcurl=8.14~rc pcre=10"
    (deb,) = (one for one in lock.debian[TRIXIE] if one.name == "git")
    assert deb.bringers == ("git[extra=small]", "plain")


def test_a_node_with_several_parents_is_cut_against_all_of_them() -> None:
    graph = handmade_graph(PROJECT, [(("base", "git"), {}), (("base", "plain"), {})])
    top = replace(graph.nodes["base>git"], id="top", layer="web", parents=("base>git", "base>plain"))
    merged = Graph(nodes={**graph.nodes, "top": top}, images=(), alone={})
    git, pcre, nginx = ("git", "1:2.47"), ("pcre", "10"), ("nginx", "1.26")
    brought = {"git[extra=small]": [git], "plain": [pcre], "web": [git, nginx, pcre]}
    found = debs_for(PROJECT, merged, {TRIXIE: generation(brought)}, READS)
    assert found["top"] == {"nginx": "1.26"}


def test_releases_have_generations_of_their_own_and_values_slices() -> None:
    chains = [(("base", "git"), {"release": release, "extra": extra}) for release, extra in RELEASES]
    world = World(chains=chains, lines={"git": ("git", "git-{extra}")})
    world.archive.suites["bookworm"]["git-small"] = world.archive.suites["trixie"]["git-small"] = Debian(version="1")
    lock = world.update().lock
    assert sorted(lock.debian) == ["base release=bookworm", TRIXIE]
    assert {node: slice_.split()[-1] for node, slice_ in world.slices(lock).items() if "git" in node} == {
        "base=bookworm>git=small": "libcurl=8.14~rc",
        "base=trixie>git=small": "libcurl=8.14~rc",
        "base=trixie>git=doc": "libcurl=8.14~rc",
    }
    assert "git-doc=1:2.47" in world.slices(lock)["base=trixie>git=doc"]
    assert "git=1:2.39" in world.slices(lock)["base=bookworm>git=small"]


RELEASES = [("bookworm", "small"), ("trixie", "small"), ("trixie", "doc")]


def test_one_question_a_layer_however_many_nodes_it_has() -> None:
    world = World(
        chains=((("base", "plain", "git"), {}), (("base", "git", "web"), {}), (("base", "plain", "git", "web"), {}))
    )
    world.update()
    assert [argv[0] for argv in world.archive.calls] == ["mmdebstrap", "apt-get", "apt-get", "apt-get"]


def test_a_layer_on_one_of_several_that_it_may_require_is_asked_for_on_each() -> None:
    """What the one brings, and the other does not, is in the lock for those who stand on the other."""
    project = handmade_project(
        handmade_layer("base", default={"release": "trixie"}),
        handmade_layer("git", provides=("tool",)),
        handmade_layer("plain", provides=("tool",)),
        handmade_layer("web", requires=("tool",)),
    )
    graph = handmade_graph(project, [(("base", "git", "web"), {}), (("base", "plain", "web"), {})])
    world, lines = World(), {"git": ("git",), "plain": ("pcre",), "web": ("nginx", "git")}
    base = world.demand.debian.inputs["base"]
    inputs = {
        node.id: DebianInput(lines=lines[node.layer], position=Position(path=f"layers/{node.layer}/apt.txt"))
        for node in graph.nodes.values()
        if node.layer != "base"
    }
    debian = DebianDemand(inputs={**inputs, "base": base}, reads={})
    outside = Outside(today=date(2026, 11, 1), run=world.archive, resolve_image=lambda _: None, env={}, say=print)
    lock = update(Demand(project=project, graph=graph, debian=debian), Lock(), outside, ()).lock
    cut = debs_for(project, graph, lock.debian, {})
    assert {node: " ".join(debs) for node, debs in cut.items() if node.endswith("web")} == {
        "base>git>web": "nginx pcre",
        "base>plain>web": "git libcurl nginx",
    }


def test_only_a_whole_update_or_debian_asks() -> None:
    world = World()
    lock = world.update(Lock(), "epochs").lock
    assert (lock.debian, world.archive.calls) == ({}, [])
    lock = world.update(lock, "debian").lock
    assert world.update(lock, "epochs").lock.debian == lock.debian != {}


# --- what can't be asked -------------------------------------------------------------------------------------------------


def test_without_mmdebstrap_or_network_the_old_generation_stays_and_the_rest_is_updated() -> None:
    world = World()
    old = world.update().lock
    world.archive.suites["trixie"]["git"] = Debian(version="1:2.48")
    for trouble, why in (("installed", "mmdebstrap is not installed"), ("reachable", "apt-get update failed")):
        setattr(world.archive, trouble, False)
        updated = world.update(old)
        assert updated.lock.debian == old.debian
        assert warnings(updated) == [
            f"base/base/layer.yaml:2:1: warning: its Debian packages stay as they are in hubstack.lock: {why}."
        ]
        with pytest.raises(HubstackError, match=why):
            world.update(old, "debian")
        setattr(world.archive, trouble, True)


def test_a_layer_that_apt_refuses_keeps_what_it_had_and_the_others_move() -> None:
    world = World()
    old = world.update().lock
    world.lines["web"] = ("nginx", "nowhere")
    world.archive.suites["trixie"]["git"] = Debian(version="1:2.48")
    updated = world.update(old)
    assert world.slices(updated.lock)["base>git"] == "git=1:2.48"
    assert world.slices(updated.lock)["base>git>web"] == "nginx=1.26 pcre=10"
    (told,) = warnings(updated)
    assert told.startswith("layers/web/apt.txt:1:1: warning: its Debian packages stay as they are in hubstack.lock: ")
    assert told.endswith(": Unable to locate package nowhere.")


def test_bases_from_elsewhere_are_not_asked_for() -> None:
    world = World()
    asked = replace(world.demand.debian, inputs={"base>git": world.demand.debian.inputs["base>git"]})
    outside = Outside(today=date(2026, 11, 1), run=world.archive, resolve_image=lambda _: None, env={}, say=print)
    updated = update(replace(world.demand, debian=asked), Lock(), outside, ())
    assert (updated.lock.debian, updated.warnings, world.archive.calls) == ({}, (), [])


# --- what a new version does -----------------------------------------------------------------------------------------------


def test_a_security_update_is_a_change_of_those_who_bring_the_package_and_no_others() -> None:
    world = World()
    old = world.update().lock
    world.archive.suites["trixie"]["pcre"] = Debian(version="10+deb13u1")
    new = world.update(old).lock
    before, after = world.slices(old), world.slices(new)
    assert [node for node in after if after[node] != before[node]] == ["base>git>web"]


def test_the_table_says_which_versions_moved_for_whom() -> None:
    world = World()
    old = world.update().lock
    assert changes_table(changes(Lock(), old)).splitlines()[1].split() == [
        "all",
        "of",
        *TRIXIE.split(),
        "-",
        "8",
        "-",
        "-",
    ]
    world.archive.suites["trixie"]["libssl3"] = Debian(version="3.0.13")
    del world.archive.suites["trixie"]["nginx"]
    world.lines["web"] = ("pcre",)
    rows = changes(old, world.update(old).lock)
    assert changes_table(rows).splitlines() == [
        "DEBIAN PACKAGE  OLD     NEW     LAYERS  BASE",
        "libssl3         3.0.11  3.0.13  base    base release=trixie",
        "nginx           1.26    -       web     base release=trixie",
    ]
    assert changes_json(rows)["format"] == 1


# --- what a node is built from ---------------------------------------------------------------------------------------------

STEP = SourceFile(path=".hubstack/run.sh", content=b"run", executable=True)
RENDERED = Rendered(dockerfile="FROM parent\n", origins=(), context=(STEP,))


def test_a_slice_is_in_the_context_and_each_package_a_fact() -> None:
    graph = handmade_graph(PROJECT, [(("base",), {})])
    old, new = (with_slices(RENDERED, {"openssl": version, "apt": "3"}, {}) for version in ("3.0.11", "3.0.13"))
    assert {file.path: file.content for file in old.context}[DEBS] == b"apt 3\nopenssl 3.0.11\n"
    before, after, none = (fingerprints(graph, {"base": one}, {})["base"] for one in (old, new, RENDERED))
    assert len({before.fingerprint, after.fingerprint, none.fingerprint}) == 3
    assert difference(before.facts, {}, after.facts, {}) == "openssl 3.0.11 → 3.0.13 in hubstack.lock"
    moved = {(fact.kind, fact.name) for fact in set(before.facts) ^ set(after.facts)}
    assert moved == {("deb", "openssl")}


def test_a_context_without_steps_of_ours_stays_as_it_is() -> None:
    bare = replace(RENDERED, context=())
    assert with_slices(bare, {"apt": "3"}, {"x": 700}).context == ()
    assert with_slices(RENDERED, {}, {}) is RENDERED
