"""Merges on their way through a run, and nodes that are moved onto a newer base: a behaving engine, a registry in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hubstack.buildx import Job
from hubstack.errors import Cancelled, EngineError, RegistryError
from hubstack.event import Line, Note, Phase
from hubstack.merge.built import Built
from hubstack.merge.entry import Index, file_entry
from hubstack.merge.foresight import foresee
from hubstack.merge.interest import TRIGGERS
from hubstack.merge.join import Joiner
from hubstack.merge.mergers import STATUS
from hubstack.merge.record import parse_built
from hubstack.merge.shelf import Shelf, Source
from hubstack.model import Method, Node, Preference
from hubstack.pipeline import Inputs
from hubstack.plan import Action
from hubstack.publish import Remote
from hubstack.record import Fact
from hubstack.reference import Digest
from hubstack.schedule import Outcome, Result
from hubstack.store import Store
from hubstack.tier import Judgement, Tier, judge

from tests.fakes.engine import Call
from tests.fakes.registry import FakeRegistry, problem
from tests.family import CHAIN, MERGED, Family
from tests.site import Site

APART = replace(MERGED, stacks={"lab": "lab", "r": "r"})
DUO = replace(MERGED, stacks={"duo": "lab.r"})


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def site(tmp_path: Path, fake: FakeRegistry) -> Site:
    return Site.at(tmp_path / "here", fake)


@pytest.fixture
def elsewhere(tmp_path: Path, fake: FakeRegistry) -> Site:
    return Site.at(tmp_path / "elsewhere", fake)


def phases(site: Site, phase: str) -> list[str]:
    return [event.node for event in site.events if isinstance(event, Phase) and event.phase == phase]


def notes(outcomes: dict[str, Outcome]) -> dict[str, str]:
    return {node: outcome.note for node, outcome in outcomes.items() if outcome.note}


def refreshed(family: Family, day: str = "2026-11-29") -> Family:
    return replace(family, epochs={"debian": day})


def test_a_merge_holds_what_its_parents_hold_each_once(site: Site) -> None:
    outcomes = site.run(MERGED.inputs())
    assert sorted(site.says(outcomes["kernel.scipy"].digest)) == ["debian", "kernel", "lab", "r", "scipy"]
    assert site.engine.verbs("build") == [node for node in site.engine.verbs("build") if "." not in node]
    assert phases(site, "merging") == ["lab.r", "kernel.scipy"]
    assert {"lab works", "scipy works", "kernel works"} <= {
        command for image, command in site.engine.passed if image == outcomes["kernel.scipy"].digest
    }


def test_who_has_merged_does_not_wait_to_see_whose_image_is_there(site: Site) -> None:
    waits: list[float] = []
    site.sleep = waits.append
    site.run(MERGED.inputs())
    assert len(waits) == len(site.engine.verbs("build")) == sum("." not in node for node in MERGED.below)


def test_on_another_machine_it_is_the_same_image_and_no_blob_is_fetched_for_it(
    site: Site, elsewhere: Site, fake: FakeRegistry
) -> None:
    site.run(replace(MERGED, stacks={"minimal": "lab", "s": "scipy", "k": "kernel"}).inputs())
    before = fake.asked("GET", "/blobs/")
    there = elsewhere.run(MERGED.inputs())
    index_or_config = 2 * len(MERGED.below)
    assert len(fake.asked("GET", "/blobs/")) - len(before) <= index_or_config
    assert site.run(MERGED.inputs())["kernel.scipy"].digest == there["kernel.scipy"].digest
    assert elsewhere.engine.verbs("build") == []


def test_without_push_what_is_missing_here_is_fetched(site: Site, elsewhere: Site, fake: FakeRegistry) -> None:
    site.run(replace(MERGED, stacks={"minimal": "lab", "s": "scipy", "k": "kernel"}).inputs())
    before = len(site.writes())
    outcomes = elsewhere.run(MERGED.inputs(), push=False)
    assert outcomes["kernel.scipy"].result == "built"
    assert len(site.writes()) == before


def test_what_another_run_pushes_meanwhile_is_not_mistaken_for_what_was_built_here(
    site: Site, tmp_path: Path, fake: FakeRegistry
) -> None:
    """The other run has other bytes for the same input, and this one pushes nothing: both keep their own."""
    plan = site.plan(MERGED.inputs())
    theirs = Site.at(tmp_path / "other", fake, salt="other").run(MERGED.inputs())
    mine = site.run(MERGED.inputs(), plan=plan, push=False)
    assert {one.result for one in mine.values()} == {"built"}
    assert not {one.digest for one in mine.values()} & {one.digest for one in theirs.values()}


def test_what_was_built_here_on_another_image_than_the_one_that_is_pushed_is_built_again(
    site: Site, tmp_path: Path, fake: FakeRegistry
) -> None:
    """Else a merge would have one run's base and what was built on another's."""
    mine = site.run(APART.inputs(), push=False)
    theirs = Site.at(tmp_path / "other", fake, salt="other").run(replace(MERGED, stacks={"b": "debian"}).inputs())
    pushed = site.run(DUO.inputs())
    assert pushed["debian"].digest == theirs["debian"].digest != mine["debian"].digest
    assert {pushed[one].result for one in ("lab", "r", "lab.r")} == {"built"}
    below = [layers(site, pushed["debian"]), *(layers(site, pushed[one])[:1] for one in ("lab", "r", "lab.r"))]
    assert below == [below[0]] * 4


def layers(site: Site, outcome: Outcome) -> list[Digest]:
    registry = site.connect()
    assert outcome.digest is not None
    manifest = registry.manifest(site.names.build.with_digest(outcome.digest))
    registry.close()
    assert manifest is not None
    return [layer.digest for layer in manifest.layers]


def test_nothing_is_merged_of_what_stands_on_different_images_of_one_node(site: Site) -> None:
    site.run(APART.inputs())
    inputs = DUO.inputs()
    lab, r = (inputs.fingerprint(name) for name in ("lab", "r"))
    shelf = site.invocation(inputs.project).shelf(inputs, site.connect(), push=True)
    built = shelf.take([lab, r], {})
    shelf.put(lab, replace(built[lab], below=(Digest("sha256:" + "0" * 64),)))
    with pytest.raises(RegistryError, match="was built on other images than those"):
        shelf.take([lab, r], {})
    site.close()


def test_which_image_a_node_is_those_know_that_stand_on_it(site: Site, tmp_path: Path, fake: FakeRegistry) -> None:
    """A base was built here, and a layer on it comes from others, who have built the base themselves."""
    mine = site.run(replace(MERGED, stacks={"b": "debian"}).inputs(), push=False)
    theirs = Site.at(tmp_path / "other", fake, salt="other").run(APART.inputs())
    inputs = DUO.inputs()
    shelf = site.invocation(inputs.project).shelf(inputs, site.connect(), push=False)
    known = {inputs.fingerprint(name): one.digest for name, one in (theirs | mine).items() if one.digest}
    taken = shelf.take([inputs.fingerprint("lab")], known)
    assert mine["debian"].digest == known[inputs.fingerprint("debian")] != theirs["debian"].digest
    assert taken[inputs.fingerprint("debian")].digest == theirs["debian"].digest
    site.close()


def test_a_config_that_is_broken_here_is_read_from_the_registry(site: Site) -> None:
    """What a build stands on is known by it."""
    made = site.run(MERGED.inputs())["lab"].digest
    assert made is not None
    inputs = MERGED.inputs()
    shelf, node = site.invocation(inputs.project).shelf(inputs, site.connect(), push=False), inputs.fingerprint("lab")
    layout = shelf.store.part(node)
    assert layout is not None
    assert layout.manifest.config is not None
    whole = shelf.diff_ids(node, made)
    layout.path(layout.manifest.config.digest).write_bytes(b"{")
    assert shelf.diff_ids(node, made) == whole != ()
    site.close()


def test_a_refreshed_base_moves_what_stands_on_it(site: Site) -> None:
    site.run(MERGED.inputs())
    again = refreshed(MERGED).inputs()
    plan = site.plan(again)
    assert {step.node.id for step in plan.steps if step.moved} == {"lab", "r", "scipy", "kernel"}
    assert {step.action for step in plan.steps} == {Action.BUILD}
    site.events.clear()
    outcomes = site.run(again, plan=plan)
    assert phases(site, "building") == ["debian"]
    assert notes(outcomes) == {
        "lab": "rebased",
        "r": "rebased",
        "scipy": "rebased",
        "kernel": "rebased",
        "lab.r": "merged",
        "kernel.scipy": "merged",
    }
    assert sorted(site.says(outcomes["kernel.scipy"].digest)) == ["debian", "kernel", "lab", "r", "scipy"]


def test_from_a_machine_that_has_nothing_a_base_moves_as_well(site: Site, elsewhere: Site) -> None:
    site.run(MERGED.inputs())
    there = elsewhere.run(refreshed(MERGED).inputs())
    assert elsewhere.engine.verbs("build") == ["debian"]
    with FakeRegistry() as second:
        third = Site.at(site.folder.parent / "third", second)
        third.run(MERGED.inputs())
        here = third.run(refreshed(MERGED).inputs())
    assert {node: one.digest for node, one in here.items()} == {node: one.digest for node, one in there.items()}


def test_twice_moved_is_once_moved_and_the_images_do_not_grow(site: Site) -> None:
    site.run(MERGED.inputs())
    site.run(refreshed(MERGED).inputs())
    outcomes = site.run(refreshed(MERGED, "2026-12-24").inputs())
    assert notes(outcomes)["kernel"] == "rebased"
    assert len(site.says(outcomes["kernel.scipy"].digest)) == 5


@pytest.mark.parametrize(
    ("changed", "moved"),
    [
        ({"texts": {"debian": "apt-get install other"}}, set[str]()),  # its files ask for something else
        ({"texts": {"lab": "pip install other"}, "epochs": {"debian": "2026-11-29"}}, {"r"}),
        ({"epochs": {"lab": "2026-11-29"}}, {"scipy", "kernel"}),
    ],
)
def test_only_a_refresh_below_lets_a_node_be_moved(site: Site, changed: dict[str, object], moved: set[str]) -> None:
    site.run(MERGED.inputs())
    plan = site.plan(replace(MERGED, **changed).inputs())  # type: ignore[arg-type]
    assert {step.node.id for step in plan.steps if step.moved} == moved


def test_a_chain_is_moved_when_somebody_asks_for_it(site: Site, elsewhere: Site) -> None:
    """From a machine that has nothing: the indexes are made then, from the blobs of the old build."""
    site.run(CHAIN.inputs())
    again = refreshed(CHAIN).inputs()
    outcomes = elsewhere.run(again, plan=elsewhere.plan(again, rebase=True))
    assert notes(outcomes) == {"lab": "rebased", "scipy": "rebased"}
    assert elsewhere.engine.verbs("build") == ["debian"]
    assert sorted(site.says(outcomes["scipy"].digest)) == ["debian", "lab", "scipy"]
    assert layers(site, outcomes["scipy"])[0] == layers(site, outcomes["debian"])[0]
    third = refreshed(CHAIN, "2026-12-24").inputs()
    assert notes(site.run(third, plan=site.plan(third, rebase=True))) == {"lab": "rebased", "scipy": "rebased"}


def test_a_chain_is_built_when_nobody_asks_and_costs_no_indexes(site: Site) -> None:
    site.run(CHAIN.inputs())
    again = refreshed(CHAIN).inputs()
    assert notes(site.run(again)) == {}
    assert site.engine.verbs("build") == ["debian", "lab", "scipy"] * 2
    assert site.tags("index-") == {}


def test_of_the_old_line_only_what_has_changed_is_another(site: Site, elsewhere: Site) -> None:
    site.run(CHAIN.inputs())
    was, again = CHAIN.inputs(), replace(CHAIN, epochs={"lab": "2026-11-29"}).inputs()
    plan = elsewhere.plan(again, rebase=True)
    assert plan.former.keys() == {was.fingerprint("lab"), was.fingerprint("scipy")}
    assert notes(elsewhere.run(again, plan=plan)) == {"scipy": "rebased"}


def test_what_is_asked_to_move_and_can_not_is_built_though_nothing_is_known_of_what_is_below(
    site: Site, elsewhere: Site, fake: FakeRegistry
) -> None:
    """A registry's retention has taken the base, and what stands on it is there."""
    site.run(CHAIN.inputs())
    again = replace(CHAIN, epochs={"lab": "2026-11-29"})
    site.run(again.inputs("minimal"))
    base = CHAIN.inputs().fingerprint("debian")
    for repository in fake.repositories.values():
        for tag in [tag for tag in repository.tags if base[:32] in tag]:
            repository.manifests.pop(repository.tags.pop(tag), None)
    inputs = again.inputs()
    outcomes = elsewhere.run(inputs, plan=elsewhere.plan(inputs, rebase=True))
    assert outcomes["scipy"].result is Result.BUILT


def test_an_old_build_whose_signature_nobody_checks_counts_only_where_it_was_made(site: Site, elsewhere: Site) -> None:
    site.run(CHAIN.inputs())
    was, again = CHAIN.inputs(), refreshed(CHAIN).inputs()
    plan = site.plan(again, rebase=True)
    former = {old: Source(name=one.node.layer, parents=one.parents) for old, one in plan.former.items()}

    def taken(there: Site) -> int:
        shelf = there.invocation(again.project).shelf(again, there.connect(), push=False)
        try:
            return len(replace(shelf, trust=False).knowing(former).take([was.fingerprint("scipy")], {}))
        finally:
            there.close()

    assert taken(site) == 3
    with pytest.raises(RegistryError, match="is not in the registry"):
        taken(elsewhere)


MIXED = replace(
    MERGED, below={**MERGED.below, "lone": ["debian"]}, stacks={**MERGED.stacks, "line": "lone"}, assembly=Method.CHAIN
)
OF_ALL = {"lab", "r", "scipy", "kernel"}


@pytest.mark.parametrize(
    ("family", "moved"),
    [
        (MIXED, set[str]()),
        (replace(MIXED, methods={"all": Method.MERGE}), OF_ALL),
        (replace(MIXED, methods={"line": Method.MERGE}), {"lone"}),
        (replace(MIXED, assembly=Method.MERGE), {*OF_ALL, "lone"}),
        (replace(MIXED, assembly=Method.MERGE, methods={"line": Method.CHAIN}), OF_ALL),
        (replace(MIXED, assembly=Method.MERGE, methods={"minimal": Method.CHAIN, "all": Method.CHAIN}), {"lone"}),
    ],
)
def test_unasked_those_nodes_are_moved_of_which_some_stack_is_merged(
    site: Site, family: Family, moved: set[str]
) -> None:
    site.run(family.inputs())
    again = refreshed(family).inputs()
    assert {step.node.id for step in site.plan(again).steps if step.moved} == moved
    assert {step.node.id for step in site.plan(again, rebase=False).steps if step.moved} == set()
    assert {node for node, note in notes(site.run(again)).items() if note == "rebased"} == moved


def test_what_no_stack_has_is_moved_as_the_project_says(site: Site) -> None:
    stacks = {"line": "lone", "x": "lab"}
    for method, moved in ((Method.MERGE, {"lab"}), (Method.CHAIN, set[str]())):
        family = replace(MIXED, stacks=stacks, assembly=method, methods={"line": Method.CHAIN})
        site.run(family.inputs())
        again = refreshed(family).inputs()
        without = replace(again, graph=replace(again.graph, images=again.graph.images[:1]))
        assert {step.node.id for step in site.plan(without).steps if step.moved} == moved


def test_where_the_old_image_is_gone_the_node_is_built(site: Site, fake: FakeRegistry) -> None:
    inputs = MERGED.inputs()
    site.run(inputs)
    for repository in fake.repositories.values():
        for tag in [tag for tag in repository.tags if tag.startswith(("index-", "fp-"))]:
            del repository.tags[tag]
    other = Site.at(site.folder.parent / "new", fake)
    outcomes = other.run(refreshed(MERGED).inputs())
    assert outcomes["lab"].note.startswith("not rebased: ")
    assert "lab" in other.engine.verbs("build")
    gone = f"fp-{inputs.fingerprint('debian')} is not in the registry"
    assert any(isinstance(event, Line) and gone in event.text for event in other.events)


# --- what is believed ------------------------------------------------------------------------------------------------------


def forged(site: Site, *, trust: bool) -> str:
    """What a shelf on another machine takes for the content of a file, of which somebody has forged the index."""
    inputs = MERGED.inputs()
    site.run(inputs)
    registry, node = site.connect(publish=True), inputs.fingerprint("scipy")
    shelf = site.invocation(inputs.project).shelf(inputs, registry, push=True)
    built = shelf.take([node], {})[node]
    index = Index(entries={path: file_entry(b"forged") for path in built.index.entries})
    shelf.put(node, replace(built, index=index))
    shelf.push(node)
    other = replace(shelf, store=Store(site.folder / "nothing"), write=False, trust=trust, _kept={})
    entries = other.take([node], {})[node].index.entries
    site.close()
    return "forged" if file_entry(b"forged") in entries.values() else "true"


def test_where_images_are_signed_no_index_is_believed(site: Site) -> None:
    assert forged(site, trust=False) == "true"


def test_where_nothing_is_signed_the_registry_is_believed(site: Site) -> None:
    assert forged(site, trust=True) == "forged"


def test_a_signed_image_on_other_parents_than_the_tags_name_is_refused(site: Site, fake: FakeRegistry) -> None:
    inputs = MERGED.inputs()
    site.run(inputs)
    tags = fake.repositories["hub/build"].tags
    tags[f"fp-{inputs.fingerprint('lab')}"] = tags[f"fp-{inputs.fingerprint('r')}"]
    shelf = site.invocation(inputs.project).shelf(inputs, site.connect(), push=False)
    other = replace(shelf, store=Store(site.folder / "nothing"), trust=False, _kept={})
    with pytest.raises(RegistryError, match="built on other images"):
        other.take([inputs.fingerprint("scipy")], {})
    site.close()


# --- what has to be settled ------------------------------------------------------------------------------------------------


SETTLING = """
import hashlib
from hubstack.merge.assembly import Workshop
from hubstack.merge.built import Built
from hubstack.merge.entry import Index, file_entry
from hubstack.merge.image import merged_image
from hubstack.merge.interest import TRIGGERS
from hubstack.oci import Descriptor, digest_of
from hubstack.reference import Fingerprint

def node(name, files, *parents):
    index = Index(entries={p: file_entry(c) for p, c in files.items()}, contents=files)
    blob = Descriptor(media_type="x", digest=digest_of(name.encode()), size=1)
    return Built(name=name, parents=parents, index=index, config={}, machine={}, layers=(blob,), diff_ids=(name,),
                 digest=blob.digest, below=())

base, a, b = (Fingerprint(hashlib.sha256(name.encode()).hexdigest()) for name in ("base", "a", "b"))
files = {f"usr/share/mime/packages/{number}.xml": b"" for number in range(20)}
built = {
    base: node("base", {TRIGGERS: b""}),
    a: node("a", {TRIGGERS: b"/usr/share/mime/packages shared-mime-info\\n"}, base),
    b: node("b", files, base),
}
found = Workshop(built=built).assemble([a, b])
print(merged_image(found, built, base).manifest.digest)
"""


def test_the_image_of_a_settled_merge_depends_on_no_hash_seed() -> None:
    said = [
        subprocess.run(
            [sys.executable, "-c", SETTLING],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    ]
    assert len(set(said)) == 1


def test_what_is_not_settled_yet_is_nobodys_image(site: Site) -> None:
    """A run that ends while a merge is being settled leaves no layout that the next one would take for it."""
    inputs = MERGED.inputs()
    site.run(inputs)
    registry = site.connect(publish=True)
    shelf = site.invocation(inputs.project).shelf(inputs, registry, push=False)
    node, fingerprint = inputs.graph.nodes["lab.r"], inputs.fingerprint("lab.r")
    _watch(shelf, inputs)
    site.store.discard(fingerprint)

    def fail(_node: Node, _job: Job) -> None:
        assert site.store.part(fingerprint) is None
        raise EngineError("the RUN has failed")

    joiner = Joiner(
        shelf=shelf,
        locate=lambda layout: f"oci-layout://{layout.folder}",
        run=fail,
        say=lambda *_: None,
        note=lambda *_: None,
    )
    with pytest.raises(EngineError):
        joiner.join(node, fingerprint, {})
    assert site.store.part(fingerprint) is None
    site.close()


def _watch(shelf: Shelf, inputs: Inputs) -> None:
    """Have `r` bring a trigger that watches what `lab` has."""
    lab, r = (inputs.fingerprint(name) for name in ("lab", "r"))
    built = shelf.take([lab, r], {})
    files = {TRIGGERS: b"/opt/watched tool\n"}
    watching = Index(entries={path: file_entry(one) for path, one in files.items()}, contents=files)
    shelf.put(r, replace(built[r], index=watching))
    shelf.put(lab, replace(built[lab], index=Index(entries={"opt/watched/file": file_entry(b"")})))


def test_a_run_says_what_two_layers_hold_alike(site: Site) -> None:
    site.run(APART.inputs())
    alike = {"opt/model": b"x" * 10**7}
    lay(site, r=alike, lab=alike)
    site.run(DUO.inputs())
    (note,) = (event.text for event in site.events if isinstance(event, Note))
    assert note.startswith("lab.r: 1 file is there more than once, 10 MB too much: /opt/model of lab and r. A layer")


# --- what a plan says of it --------------------------------------------------------------------------------------------------


def foretold(site: Site, family: Family = DUO) -> dict[str, Judgement]:
    inputs = family.inputs()
    registry = site.connect()
    known = Remote(registry=registry, names=site.names)
    shelf = site.invocation(inputs.project).shelf(inputs, registry, push=False)
    try:
        return judge(inputs, inputs.plan(known), known.recorded, shelf)
    finally:
        site.close()


def lay(site: Site, **files: Mapping[str, bytes]) -> None:
    """Have nodes hold these files, as far as this machine's store knows."""
    inputs = DUO.inputs()
    shelf = site.invocation(inputs.project).shelf(inputs, site.connect(), push=False)
    for name, own in files.items():
        node = inputs.fingerprint(name)
        index = Index(entries={path: file_entry(one) for path, one in own.items()}, contents=own)
        shelf.put(node, replace(shelf.take([node], {})[node], index=index))
    site.close()


def test_a_plan_works_out_what_nobody_has_merged(site: Site, elsewhere: Site) -> None:
    site.run(APART.inputs())
    before = len(site.writes())
    merge = Judgement(tier=Tier.MERGE, why="nothing in one layer is about another")
    assert foretold(elsewhere) == foretold(site) == {"duo/default": merge}
    lay(site, r={TRIGGERS: b"/opt/watched tool\n"}, lab={"opt/watched/file": b""})
    told = Judgement(tier=Tier.SETTLE, why="tool of r has to be told of what lab has (/opt/watched/file)")
    assert foretold(site) == {"duo/default": told}
    assert len(site.writes()) == before
    assert site.store.part(DUO.inputs().fingerprint("lab.r")) is None


def test_a_plan_says_of_a_conflict_what_the_run_will_say(site: Site) -> None:
    site.run(APART.inputs())
    lay(site, r={"opt/a": b"r", "opt/b": b"r"}, lab={"opt/a": b"lab", "opt/b": b"lab"})
    found = foretold(site)["duo/default"]
    assert found.tier is Tier.BUILD
    assert found.why.startswith("can't be merged: lab and r: /opt/a has different contents (and 1 more). Move it into")
    assert site.run(DUO.inputs())["lab.r"].message.startswith("lab, r can't be merged:\n  lab and r: /opt/a has")


def test_a_plan_says_that_an_image_has_too_many_filesystem_layers(site: Site) -> None:
    site.run(APART.inputs())
    inputs = DUO.inputs()
    shelf = site.invocation(inputs.project).shelf(inputs, site.connect(), push=False)
    node = inputs.fingerprint("r")
    built = shelf.take([node], {})[node]
    shelf.put(node, replace(built, layers=built.layers * 100, diff_ids=built.diff_ids * 100))
    site.close()
    found = foretold(site)["duo/default"]
    assert found.tier is Tier.BUILD
    assert found.why.startswith(
        "can't be merged: that is an image of 102 filesystem layers, more than the 100 that runtimes"
    )
    assert found.why.endswith("into one: r (100), debian (1), lab (1) have the most")
    assert "102 filesystem layers" in site.run(inputs)["lab.r"].message


def test_a_plan_does_as_a_person_has_said(site: Site) -> None:
    site.run(APART.inputs())
    lay(site, r={"opt/a": b"r"}, lab={"opt/a": b"lab"})
    inputs = DUO.inputs()
    chosen = replace(inputs.graph.nodes["lab.r"], resolve=(Preference(path="opt/a", layer="r", reason="newer"),))
    registry = site.connect()
    shelf = site.invocation(inputs.project).shelf(inputs, registry, push=False)
    known = Remote(registry=registry, names=site.names)
    resolved = replace(inputs, graph=replace(inputs.graph, nodes={**inputs.graph.nodes, "lab.r": chosen}))
    assert judge(resolved, inputs.plan(known), known.recorded, shelf)["duo/default"].tier is Tier.MERGE
    site.close()


def test_a_plan_says_what_it_can_not_know(site: Site, elsewhere: Site, fake: FakeRegistry) -> None:
    """A merge below what isn't built can be worked out, and not the one above; and no blob is fetched to know more."""
    assert foretold(site, MERGED)["all/default"].why == "it shows once lab is built"
    site.run(APART.inputs())
    unknown = Judgement(tier=Tier.UNKNOWN, why="it shows once kernel is built")
    assert foretold(site, MERGED)["all/default"] == unknown
    lay(site, r={"opt/a": b"r"}, lab={"opt/a": b"lab"})
    assert foretold(site, MERGED)["all/default"].tier is Tier.BUILD
    tags = fake.repositories["hub/build"].tags
    del tags[f"index-{DUO.inputs().fingerprint('r')}"]
    layers = len(fake.asked("GET", "/blobs/"))
    assert foretold(elsewhere)["duo/default"].tier is Tier.UNKNOWN
    assert len(fake.asked("GET", "/blobs/")) - layers <= 2  # the indexes that there are


def test_a_plan_says_why_the_registry_does_not_say(site: Site, elsewhere: Site, fake: FakeRegistry) -> None:
    site.run(APART.inputs())
    fake.fault("GET", "/manifests/index-", problem(403, "DENIED", "nobody may"), times=9)
    found = foretold(elsewhere)["duo/default"]
    assert (found.tier, "the registry doesn't say" in found.why, "nobody may" in found.why) == (
        Tier.UNKNOWN,
        True,
        True,
    )


def test_a_plan_judges_the_platform_that_is_most_work(site: Site) -> None:
    site.run(APART.inputs())
    lay(site, r={"opt/a": b"r"}, lab={"opt/a": b"lab"})
    inputs, registry = DUO.inputs(), site.connect()
    known = Remote(registry=registry, names=site.names)
    plan = inputs.plan(known)
    (image,) = plan.images
    other = replace(image, platform="linux/arm64", node="lab")
    shelf = site.invocation(inputs.project).shelf(inputs, registry, push=False)
    for images in ((image, other), (other, image)):
        found = judge(inputs, replace(plan, images=images), known.recorded, shelf)
        assert found["duo/default"].tier is Tier.BUILD
    site.close()


def test_a_plan_reads_no_index_for_what_is_merged(site: Site, elsewhere: Site, fake: FakeRegistry) -> None:
    site.run(MERGED.inputs())
    before = len(fake.asked("GET", "/manifests/index-"))
    assert foretold(elsewhere, MERGED)["all/default"].tier is Tier.MERGE
    assert len(fake.asked("GET", "/manifests/index-")) == before


def test_moves_are_counted(site: Site) -> None:
    site.run(MERGED.inputs())
    for number, day in enumerate(("2026-11-29", "2026-11-30"), 1):
        inputs = refreshed(MERGED, day).inputs()
        assert site.run(inputs)["lab"].note == "rebased"
        kept = Store(site.folder / ".hubstack").read_index(inputs.fingerprint("lab"))
        built = parse_built(kept) if kept is not None else None
        assert built is not None
        assert built.moves == number


def test_an_index_that_is_made_of_a_settled_move_s_blobs_counts_it_too(site: Site, elsewhere: Site) -> None:
    digest = site.run(MERGED.inputs())["lab"].digest
    assert digest is not None
    inputs = MERGED.inputs()
    node = inputs.fingerprint("lab")
    shelf = elsewhere.invocation(inputs.project).shelf(inputs, elsewhere.connect(), push=False)
    blobs = replace(shelf, trust=False, moves={node: 3})
    assert blobs.take([node], {node: digest})[node].moves == 3
    for one in (site, elsewhere):
        one.close()


def test_a_moved_image_that_fails_its_tests_is_built(site: Site) -> None:
    site.run(MERGED.inputs())
    again = refreshed(MERGED).inputs()
    site.engine.codes["scipy works"] = 1

    def build_mends_it(call: Call) -> None:
        if (call.verb, call.about) == ("build", "scipy"):
            site.engine.codes["scipy works"] = 0

    site.engine.before = build_mends_it
    outcomes = site.run(again)
    assert outcomes["scipy"].note == "not rebased: its tests fail then"
    assert outcomes["scipy"].result == "built"
    assert outcomes["lab"].note == "rebased"


def test_a_moved_image_is_built_also_where_another_run_was_killed_as_it_was_tested(site: Site) -> None:
    site.run(MERGED.inputs())
    again = refreshed(MERGED).inputs()
    site.engine.codes["scipy works"] = 1

    def kill(call: Call) -> None:
        if call.about == "scipy works":
            raise Cancelled

    def build_mends_it(call: Call) -> None:
        if (call.verb, call.about) == ("build", "scipy"):
            site.engine.codes["scipy works"] = 0

    site.engine.before = kill
    assert site.run(again)["scipy"].result == "cancelled"
    site.engine.before = build_mends_it
    outcomes = site.run(again)
    assert (outcomes["scipy"].result, outcomes["scipy"].note) == ("built", "not rebased: its tests fail then")


@pytest.mark.parametrize("push", [True, False])
def test_a_later_test_that_a_moved_image_fails_is_its_own_fault(site: Site, *, push: bool) -> None:
    """Nothing is planned of what such an image stands on; where it is here alone, the next run builds it."""
    again = refreshed(MERGED)
    for family in (MERGED, again):
        site.run(family.inputs(), push=push)
    inputs = replace(
        again, tests={**again.tests, "lab": ["lab works", "a new one"]}, stacks={"minimal": "lab"}
    ).inputs()
    site.engine.codes["a new one"] = 1
    assert site.run(inputs, push=push)["lab"].message == "lab: `a new one` ended with code 1, not 0"
    outcomes = site.run(inputs, push=push)
    assert outcomes["lab"].result == "failed"
    assert site.engine.verbs("build").count("lab") == (1 if push else 2)


def status(*stanzas: tuple[str, str, str]) -> bytes:
    """Of packages with a version and what they depend on."""
    text = "Package: {}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {}\nDepends: {}\n"
    return "\n".join(text.format(*one) for one in stanzas).encode()


@pytest.mark.parametrize(
    ("locked", "said"),
    [
        ({"perl-base": "5.40-2"}, "not to be moved: perl's Depends: perl-base (= 5.40-1)"),
        ({"perl-base": "5.40-2", "perl": "5.40-2"}, ""),  # both halves are newer below
        ({"perl-base": "5.40-1", "tzdata": "2026b"}, ""),  # nothing is in lock-step with what is newer
        ({}, ""),
    ],
)
def test_a_plan_says_which_moves_a_version_in_the_lock_forbids(site: Site, locked: dict[str, str], said: str) -> None:
    site.run(MERGED.inputs())
    plan = site.plan(refreshed(MERGED).inputs())
    facts = tuple(Fact(kind="deb", name=name, value=version) for name, version in locked.items())
    steps = [
        replace(one, identity=replace(one.identity, facts=one.identity.facts + facts))
        if one.node.id == "debian"
        else one
        for one in plan.steps
    ]
    content = status(("perl-base", "5.40-1", ""), ("tzdata", "2026a", ""), ("perl", "5.40-1", "perl-base (= 5.40-1)"))
    entries = {STATUS: file_entry(content)}
    with_perl = Built(
        name="lab",
        parents=(),
        index=Index(entries=entries, contents={STATUS: content}),
        config={},
        machine={},
        layers=(),
        diff_ids=(),
        digest=Digest("sha256:" + "a" * 64),
        below=(),
    )
    old = plan.by_node["lab"].moved
    found = foresee(replace(plan, steps=tuple(steps)), MERGED.graph, {old: with_perl}.get)
    assert (found.by_node["lab"].moved is None) == bool(said)
    assert found.by_node["lab"].reason.endswith(said)
    assert found.by_node["scipy"].moved  # it has no packages of its own
