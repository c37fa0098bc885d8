"""The ledger of user and group ids: how names get in, what a layer's build is told, and what the lock says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import pytest
from hubstack.errors import HubstackError, ProjectError, RegistryUnreachable
from hubstack.fingerprint import difference, fingerprints
from hubstack.lock import Demand, Lock, load_lock, render_lock
from hubstack.lock.change import changes, changes_table
from hubstack.lock.ledger import FIRST, LAST, Account, enter, ids_for
from hubstack.lock.update import Outside, Updated, update
from hubstack.model import IDS, Rendered, SourceFile
from hubstack.render.locked import with_slices

from tests.handmade import handmade_graph, handmade_layer, handmade_project

PROJECT = handmade_project(handmade_layer("base"), handmade_layer("desktop"), handmade_layer("ssh"))
GRAPH = handmade_graph(PROJECT, [(("base", "ssh"), {})])
LEDGER = {"messagebus": Account(id=701, layers=("desktop",)), "_ssh": Account(id=700, layers=("desktop", "ssh"))}


def entered(made: Mapping[str, set[str]], ledger: Mapping[str, Account] = LEDGER) -> dict[str, tuple[int, str]]:
    found = enter(ledger, made, ["desktop", "ssh"])
    return {name: (account.id, " ".join(account.layers)) for name, account in found.items()}


def test_a_name_gets_the_lowest_free_number_once() -> None:
    assert entered({"ssh": {"sshd", "_ssh", "abc"}}) == {
        "_ssh": (700, "desktop ssh"),
        "abc": (702, "ssh"),
        "messagebus": (701, "desktop"),
        "sshd": (703, "ssh"),
    }


def test_a_number_of_a_layer_that_is_gone_is_not_given_away() -> None:
    ledger = {"old": Account(id=FIRST, layers=("gone",))}
    assert entered({"ssh": {"new"}}, ledger) == {"new": (FIRST + 1, "ssh"), "old": (FIRST, "")}


def test_what_a_layer_was_seen_to_make_stays_its_own() -> None:
    """On top of another that makes the same it makes nothing, and its fingerprint must not say so."""
    assert entered({"ssh": {"_ssh"}, "desktop": set()})["messagebus"] == (701, "desktop")


def test_one_number_that_two_branches_gave_to_two_names_is_settled() -> None:
    ledger = {"b": Account(id=FIRST, layers=("ssh",)), "a": Account(id=FIRST, layers=("desktop",))}
    assert entered({}, ledger) == {"a": (FIRST, "desktop"), "b": (FIRST + 1, "ssh")}


def test_the_range_ends_where_other_tools_begin() -> None:
    names = {f"user{number}" for number in range(LAST - FIRST + 1)}
    full = enter({}, {"ssh": names}, ["ssh"])
    assert {account.id for account in full.values()} == set(range(FIRST, LAST + 1))
    with pytest.raises(HubstackError, match="has used up the ids from 700 to 899"):
        enter(full, {"ssh": {"one-more"}}, ["ssh"])


def test_a_layer_is_told_its_own_names_only() -> None:
    assert ids_for("ssh", LEDGER) == {"_ssh": 700}
    assert ids_for("base", LEDGER) == {}


# --- in the lock -----------------------------------------------------------------------------------------------------------


def test_a_name_is_a_line_of_the_lock() -> None:
    lock = Lock(ids={**LEDGER, "old": Account(id=702)})
    text = render_lock(lock)
    assert text.endswith("\nids:\n  _ssh 700: desktop ssh\n  messagebus 701: desktop\n  old 702:\n")
    assert load_lock(text) == lock


@pytest.mark.parametrize(
    "lines",
    ["foo 0: ssh", "foo -5: ssh", "foo 699: ssh", "foo 900: ssh", "foo 9999999999: ssh", "foo 700: a\n  foo 701: b"],
)
def test_an_id_that_is_none_and_a_name_that_stands_twice_are_refused(lines: str) -> None:
    text = render_lock(Lock(ids=LEDGER)).replace("_ssh 700: desktop ssh", lines).replace("messagebus 701", "x 702")
    with pytest.raises(ProjectError, match="this is no lock that hubstack wrote"):
        load_lock(text, edited=True)


def test_one_id_for_two_names_is_refused_but_by_an_update_which_settles_it() -> None:
    text = render_lock(Lock(ids={**LEDGER, "two": Account(id=700)}))
    with pytest.raises(ProjectError, match="this is no lock that hubstack wrote"):
        load_lock(text)
    assert load_lock(text, edited=True).ids["two"].id == 700


def asked(lock: Lock, made: Mapping[str, frozenset[str]] | None, *only: str) -> Updated:
    def accounts() -> Mapping[str, frozenset[str]]:
        if made is None:
            raise RegistryUnreachable("registry.test does not answer")
        return made

    outside = Outside(
        today=date(2026, 11, 1),
        run=lambda argv, *, env, deadline_s: "",
        resolve_image=lambda _: None,
        env={},
        say=lambda _: None,
        accounts=accounts,
    )
    return update(Demand(project=PROJECT, graph=GRAPH), lock, outside, only)


def test_an_update_enters_what_built_layers_have_made_and_only_when_it_is_about_ids() -> None:
    made = {"ssh": frozenset({"sshd"})}
    assert asked(Lock(), made, "epochs").lock.ids == {}
    for only in ((), ("ids",)):
        assert asked(Lock(), made, *only).lock.ids == {"sshd": Account(id=FIRST, layers=("ssh",))}
    rows = changes(Lock(), asked(Lock(), made).lock)
    assert changes_table(rows).splitlines()[1].split() == ["sshd", "-", "700", "ssh"]


def test_a_registry_that_does_not_answer_stops_only_who_asked_for_ids() -> None:
    updated = asked(Lock(ids=LEDGER), None)
    assert updated.lock.ids == LEDGER
    assert "ids stay as they are: registry.test does not answer" in str(updated.warnings[0])
    with pytest.raises(HubstackError, match="does not answer"):
        asked(Lock(), None, "ids")


# --- in a build ------------------------------------------------------------------------------------------------------------

RENDERED = Rendered(dockerfile="FROM parent\n", origins=(), context=(SourceFile(path=".hubstack/run.sh"),))


def test_a_build_gets_its_names_and_what_applies_them_and_each_number_is_a_fact() -> None:
    assert with_slices(replace(RENDERED, context=()), {}, {"sshd": 701}).ids == {}  # no step of ours would give it
    told = with_slices(RENDERED, {}, {"sshd": 701, "_ssh": 700})
    files = {file.path: file for file in told.context}
    assert files[IDS].content == b"_ssh:700\nsshd:701\n"
    assert files[".hubstack/account.sh"].executable
    before, after, moved = (
        fingerprints(GRAPH, {"base": one}, {})["base"]
        for one in (RENDERED, told, replace(told, ids={"sshd": 702, "_ssh": 700}))
    )
    assert len({before.fingerprint, after.fingerprint, moved.fingerprint}) == 3
    assert difference(after.facts, {}, moved.facts, {}) == "the id of sshd 701 → 702 in hubstack.lock"
