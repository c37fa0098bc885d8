"""The judge of ``make proof``: it draws the same sets each time, and sees what is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hubstack.merge.conflict import Conflict
from hubstack.merge.entry import Index, file_entry
from hubstack.merge.mergers import EXTENDED_STATES, STATUS
from hubstack.merge.three_way import Part, merge

from tests.proof.album import Album
from tests.proof.breakage import broken
from tests.proof.cause import causes
from tests.proof.comparison import compare
from tests.proof.draw import CHOSEN, RELEASES, chosen, draws
from tests.proof.firing import Firing, read_firings, write_firings
from tests.proof.ledger import Entry, Ledger, done
from tests.proof.report import Account, render_report
from tests.proof.rupture import Rupture, read_ruptures, wanted, write_rupture
from tests.proof.survey import Survey, config_facts
from tests.proof.workshop import PROJECT, package_lines

LAYERS = [f"layer-{number}" for number in range(30)]


def survey(packages: str = "a b", **sections: dict[str, str]) -> Survey:
    empty: dict[str, dict[str, str]] = {"python": {}, "pip": {}, "r": {}, "tree": {}, "users": {}}
    return {**empty, "packages": dict.fromkeys(packages.split(), "installed 1"), **sections}


def entry(number: int, result: str, *layers: str, merged: tuple[str, ...] = ()) -> Entry:
    seconds = {"merge": 1.0, "chains": 20.0}
    return Entry(number=number, release="trixie", layers=layers, result=result, merged=merged, seconds=seconds, facts=9)


# --- sets ----------------------------------------------------------------------------------------------------------------


def test_one_seed_draws_the_same_sets_and_more_of_them_begin_with_these() -> None:
    first, more = list(draws(LAYERS, seed=7, sets=20)), list(draws(LAYERS[::-1], seed=7, sets=40))
    assert more[:20] == first
    assert list(draws(LAYERS, seed=8, sets=20)) != first


def test_sets_are_different_of_two_to_four_layers_and_on_both_releases() -> None:
    found = list(draws(LAYERS[:4], seed=1, sets=22))  # all that there are: 6 + 4 + 1 on each release
    assert len({(one.release, frozenset(one.layers)) for one in found}) == 22
    assert {len(one.layers) for one in found} == {2, 3, 4}
    assert [one.number for one in found] == [*range(1, 23)]


def test_chosen_sets_are_tried_on_both_releases_whatever_the_seed() -> None:
    names = {path.parent.name for path in PROJECT.glob("layers/*/layer.yaml")}
    assert {name for layers in CHOSEN for name in layers} <= names
    assert {(one.release, one.layers) for one in chosen()} == {(r, layers) for r in RELEASES for layers in CHOSEN}


def test_the_project_is_as_large_as_the_proof_promises() -> None:
    apt, pypi = package_lines("apt.txt"), package_lines("requirements.txt")
    named = {package for lines in apt.values() for package in lines}
    r = {package for package in named if package.startswith("r-cran-")}
    assert len(apt) + len(pypi) >= 30
    assert (len(named - r) >= 80, len(r) >= 10) == (True, True)
    assert len({name for lines in pypi.values() for name in lines}) >= 40


# --- comparing -----------------------------------------------------------------------------------------------------------


def test_what_differs_between_the_chains_may_be_as_either_has_it() -> None:
    one, other = survey(tree={"/a": "1", "/log": "x"}), survey(tree={"/a": "1", "/log": "y", "/backup": "z"})
    found = compare(survey(tree={"/a": "1", "/log": "y"}), [one, other])
    assert (found.differences, found.baseline, found.whole) == ((), 2, True)


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"/a": "2"}, "'2' in the merged image, '1' in"),
        ({}, "nothing in"),
        ({"/a": "1", "/b": "1"}, "nothing in the chains"),
    ],
)
def test_what_no_chain_has_is_a_difference(tree: dict[str, str], words: str) -> None:
    chain = survey(tree={"/a": "1"})
    (found,) = compare(survey(tree=tree), [chain, chain]).differences
    assert words in str(found)


def test_one_distribution_is_wholly_as_one_chain_has_it() -> None:
    """Its RECORD is of one chain, and what it should name of the other: path by path, nobody sees that."""
    record, asked = "/s/x-1.dist-info/RECORD", "/s/x-1.dist-info/REQUESTED"
    chains = [survey(tree={record: "long", asked: "", "/s/log": "1"}), survey(tree={record: "short", "/s/log": "2"})]
    (found,) = compare(survey(tree={record: "short", asked: "", "/s/log": "1"}), chains).differences
    assert (found.section, found.key) == ("tree", "/s/x-1.dist-info/")
    assert compare(survey(tree={record: "long", asked: "", "/s/log": "2"}), chains).differences == ()


def test_a_package_of_either_chain_must_be_there() -> None:
    found = compare(survey("a b"), [survey("a b"), survey("a b c")])
    assert [(one.section, one.key) for one in found.differences] == [("packages", "c")]


def test_what_has_lost_packages_is_compared_in_full() -> None:
    chain = survey("a b", tree={"/a": "1"})
    found = compare(survey("a", tree={"/a": "2"}), [chain, chain])
    assert [(one.section, one.key) for one in found.differences] == [("packages", "b"), ("tree", "/a")]


def test_with_more_packages_than_either_chain_the_rest_is_compared_in_part() -> None:
    merged = survey("a b c", tree={"/made-of-all": "3"}, users={"x": "1"})
    chains = [survey("a b", tree={"/made-of-all": "2"}), survey("a c", tree={"/made-of-all": "2"})]
    found = compare(merged, chains)
    assert [(one.section, one.key) for one in found.differences] == [("users", "x")]
    assert not found.whole


def test_noise_is_counted_and_no_difference() -> None:
    found = compare(survey(tree={"/var/log/a": "1"}), [survey(tree={"/var/log/a": "2"})] * 2)
    assert found.differences == ()
    assert list(found.noise.values()) == [1]


def test_of_a_config_everything_counts_but_the_nodes_own_name() -> None:
    labels = {"io.github.hubstack.fingerprint": "1", "io.github.hubstack.settled": "a\nb", "title": "x"}
    assert config_facts({"Env": ["A=1"], "User": "", "Labels": labels}) == {"Env": '["A=1"]', "label title": "x"}


# --- breaking ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [STATUS, EXTENDED_STATES])
def test_a_broken_merger_lets_the_topmost_part_stand(path: str) -> None:
    texts = [b"Package: a\nAuto-Installed: 1\n\n", b"Package: b\nAuto-Installed: 1\n\n"]
    parts = [
        Part(
            name=str(number),
            index=Index(
                entries={STATUS: file_entry(text), EXTENDED_STATES: file_entry(text)},
                contents={STATUS: text, EXTENDED_STATES: text},
            ),
        )
        for number, text in enumerate(texts)
    ]
    whole = merge(Index(entries={}), parts).index.contents
    with broken(path):
        found = merge(Index(entries={}), parts).index.contents
    assert found[path] == texts[1] != whole[path]
    assert {other for other in found if found[other] != whole[other]} == {path}


def test_small_equal_sets_that_need_a_merger_are_broken_first(tmp_path: Path) -> None:
    needed = (STATUS,)
    entries = [
        entry(1, "equal", "a", "b", "c", merged=needed),
        entry(2, "differs", "a", "d", merged=needed),
        entry(3, "equal", "b", "c", merged=needed),
        entry(4, "equal", "c", "d"),
    ]
    assert [(pattern, one.number) for pattern, one in wanted(entries, 1)] == [(STATUS, 3)]
    rupture = Rupture(pattern=STATUS, release="trixie", layers=("b", "c"), differences=4, first="packages x: lost")
    write_rupture(tmp_path / "broken", rupture, "now")
    write_rupture(tmp_path / "broken", rupture, "before")
    assert read_ruptures(tmp_path / "broken", "now") == [rupture]


# --- what is kept --------------------------------------------------------------------------------------------------------


def test_a_ledger_goes_on_after_a_line_was_cut_short_and_forgets_what_other_code_found(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ledger"
    Ledger(path=path, generation="before").write(entry(1, "differs", "a", "b"))
    ledger = Ledger(path=path, generation="now")
    ledger.write(entry(2, "failed", "a", "c"))
    ledger.write(entry(3, "equal", "b", "c"))
    with path.open("a") as file:
        file.write('{"generation": "now", "num')
    assert ledger.entries() == [entry(2, "failed", "a", "c"), entry(3, "equal", "b", "c")]
    assert done(ledger.entries()) == {("trixie", ("b", "c"))}


def test_one_image_is_asked_once(tmp_path: Path) -> None:
    album, asked = Album(tmp_path / "album"), []

    def take() -> Survey:
        asked.append(1)
        return survey(tree={"/a": "ä"})

    assert album.survey("one", take) == album.survey("one", take) == survey(tree={"/a": "ä"})
    album.survey("other", take)
    assert len(asked) == 2


def test_causes_are_few_whatever_the_names() -> None:
    conflicts = [
        Conflict(parts=("a", "b"), path="etc/passwd", what="gives the user id 100 to x and to y"),
        Conflict(parts=("a", "b"), path="", what="has the group id 101, which b gives to y"),
        Conflict(parts=("a", "b"), path="etc/alternatives/vi", what="points to different places"),
        Conflict(parts=("a", "b"), path="opt/side", what="has different contents"),
    ]
    assert causes(conflicts) == ["/opt/side", "alternatives", "ids and accounts"]


def test_the_page_says_what_was_found() -> None:
    told = Entry(number=4, release="bookworm", layers=("a", "d"), result="refused", why=("alternatives",))
    entries = [entry(1, "equal", "a", "b", merged=(STATUS,)), entry(2, "differs", "a", "c"), told]
    rupture = Rupture(pattern=STATUS, release="trixie", layers=("a", "b"), differences=4, first="packages x: lost")
    entries.append(
        replace(entry(5, "equal", "a", "e"), settled=("install-info",), seconds={"merge": 4.0, "chains": 20.0})
    )
    page = render_report(Account(seed=3, wanted=200, entries=entries, ruptures=[rupture]))
    assert "Seed 3: 4 of 200 sets that were drawn, and 0 of 36 that are chosen" in page
    assert "The other 196 are for the next runs" in page
    assert "| merged in the registry alone (T0), and equal | 1 |" in page
    assert "| merged and settled in one RUN (T1), and equal | 1 |" in page
    assert "merging 1.0 s and merging and settling 4.0 s" in page
    assert "| install-info | 1 |" in page
    assert "| **merged, and different** | **1** |" in page
    assert "| trixie, 2 layers | 3 | 2 | 1 | 0 | 1 | 0 |" in page
    assert "| alternatives | 1 |" in page
    assert f"| `{STATUS}` | 1 | 1 | 1 | `packages x: lost` |" in page
    assert "* trixie: a, c" in page


# --- what packages make of all files in a folder -----------------------------------------------------------------------------


def test_a_row_of_the_table_says_what_came_of_it_on_each_release(tmp_path: Path) -> None:
    path, row = tmp_path / "fired.jsonl", 0
    one = Firing(release="trixie", package="shared-mime-info", trigger="/usr/share/mime/packages", row=row, made=3)
    write_firings(path, [one], "now")
    write_firings(path, [replace(one, release="bookworm", other=("x",), lost=("usr/share/mime/aliases",))], "now")
    assert [found.release for found in read_firings(path, "now")] == ["trixie", "bookworm"]
    assert read_firings(path, "later") == []
    page = render_report(Account(seed=1, wanted=1, entries=[], firings=read_firings(path, "now")))
    line = next(line for line in page.splitlines() if line.startswith("| shared-mime-info |"))
    assert line.split(" | ")[2:] == [
        "3 of 3",
        "2 of 3, **not made: `usr/share/mime/aliases`**, 1 of other contents |",
    ]
    assert "| octave | `usr/share/octave/packages` | not seen | not seen |" in page
