"""The step summary: what a person reads after a run, within what GitHub takes, whatever contributors have written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hubstack.buildx import BuildFailed
from hubstack.ci.diagram import MOST_NODES, diagram
from hubstack.ci.markdown import Block, code, fence, fit, table, text
from hubstack.ci.report import as_planned, planned_nodes
from hubstack.ci.summary import LIMIT_BYTES, Report, Row, render_summary
from hubstack.plan import Action, Plan
from hubstack.record import Record
from hubstack.reference import Digest, Fingerprint
from hubstack.schedule import Outcome, Result
from hubstack.source import Position
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.family import DIAMOND, Family

pytestmark = pytest.mark.long

GOLDEN = Path(__file__).parents[1] / "golden" / "summary.md"
HOSTILE = [
    "a | b",
    "`rm -rf`",
    "<script>alert(1)</script>",
    "<!-- ",
    "line\nbreak\n\n# heading",
    "[click](https://evil.example)",
    "![i](https://evil.example/i.png)",
    "https://evil.example www.evil.example me@evil.example",
    "@somebody #1 :tada:",
    "**bold** _it_ ~~x~~ ```",
    "]\"] --> x; click n0 'https://evil.example'",
    "</details></code></td>",
    "&lt;b&gt; &#60;b&#62;",
    "\\| \\` - + 1. ===",
    "\u202egnp.exe\x1b[31m",
]


def a_digest(number: int) -> Digest:
    return Digest(f"sha256:{number:04}{'0' * 60}")


def a_record(node: str, size_bytes: int, packages: Mapping[str, str], **versions: str) -> Record:
    return Record(
        node=node,
        fingerprint=Fingerprint("0" * 64),
        facts=(),
        sources={},
        seconds=1,
        size_bytes=size_bytes,
        versions=versions,
        packages={"python": packages},
    )


class NoPlace:
    """A registry that has nothing."""

    def digests(self, tags: Sequence[str]) -> Mapping[str, Digest]:
        return {}

    def records(self, nodes: Sequence[str]) -> Mapping[str, Record]:
        return {}

    def recorded(self, fingerprints: Iterable[Fingerprint]) -> Mapping[Fingerprint, Record]:
        return {}


def a_plan(family: Family) -> Plan:
    return family.inputs().plan(NoPlace())


def outcomes_of(plan: Plan, results: Mapping[str, Result]) -> dict[str, Outcome]:
    """Of nodes by name; ``reused`` for all others."""
    found = {}
    for number, step in enumerate(plan.steps, 1):
        result = results.get(step.node.id, Result.REUSED)
        digest = a_digest(number) if result in {Result.BUILT, Result.TESTED, Result.REUSED} else None
        found[step.node.id] = Outcome(node=step.node.id, result=result, digest=digest, seconds=number * 10.04)
    return found


@pytest.fixture
def report() -> Report:
    """One image is new, one is as it was, one has failed; a hub offers them."""
    plan = a_plan(DIAMOND)
    outcomes = outcomes_of(plan, {"lab": Result.BUILT, "r": Result.FAILED, "both": Result.SKIPPED})
    error = BuildFailed(
        "RUN Rscript ended with code 1",
        position=Position(path="layers/r/Dockerfile.j2", line=4),
        tail=("Error in install.packages:", "```"),
    )
    outcomes["r"] = replace(outcomes["r"], message=error.message, error=error)
    outcomes["both"] = replace(outcomes["both"], message="r failed")
    before = a_record("lab", 200_000_000, {"numpy": "2.3.0", "old": "1"}, JupyterLab="4.4.1")
    after = a_record("lab", 201_300_000, {"numpy": "2.4.1", "new": "0.1"}, JupyterLab="4.5.0")
    rows = [
        Row(
            image="minimal/default",
            outcome=outcomes["lab"],
            record=after,
            before=a_digest(77),
            before_record=before,
            ref="example.org/hub/minimal:default-0123456789ab@sha256:00",
        ),
        Row(image="science/default", outcome=outcomes["scipy"], record=after, before=outcomes["scipy"].digest),
        Row(image="all/default", outcome=outcomes["both"], before=a_digest(88)),
    ]
    return Report(title="Published", plan=plan, outcomes=outcomes, rows=rows, launchers=[launcher("Minimal")])


def launcher(title: str) -> dict[str, Any]:
    """As ``profiles --diff --json`` says it."""
    refs = [f"example.org/hub/minimal:default-{number}@sha256:{'0' * 64}" for number in ("1" * 12, "2" * 12)]
    changes = [
        {"change": "new image", "profile": "lab", "option": "image", "key": "minimal", "title": title}
        | {"before": refs[0], "after": refs[1], "packages": None},
        {"change": "removed", "profile": "lab", "option": "resources", "key": "small", "title": "2 GB"}
        | {"before": None, "after": None, "packages": None},
    ]
    return {
        "hub": "demo",
        "against": "x",
        "changes": changes,
        "settings": [{"place": "lab", "name": "description", "before": None, "after": title}],
    }


# --- what one reads ------------------------------------------------------------------------------------------------------


def test_a_summary(report: Report, golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN, render_summary(report))


def test_nothing_changed_is_a_short_page(report: Report) -> None:
    quiet = outcomes_of(report.plan, {})
    rows = [
        replace(row, outcome=quiet[node], before=quiet[node].digest)
        for row, node in zip(report.rows, ["lab", "scipy", "both"], strict=True)
    ]
    page = render_summary(
        replace(report, outcomes=quiet, rows=rows, launchers=[launcher("x") | {"changes": [], "settings": []}])
    )
    assert "5 nodes: 5 reused." in page
    assert page.count("|same|reused|") == 3
    assert "Nothing changes." in page
    assert "Packages" not in page


def test_images_of_which_the_same_is_new_stand_together(report: Report) -> None:
    twin = replace(report.rows[0], image="other/default")
    page = render_summary(replace(report, rows=[*report.rows, twin]))
    assert "<code>minimal/default</code>, <code>other/default</code>: 4 packages" in page
    assert page.count("<code>numpy</code>") == 1


def test_the_first_one_of_all_has_nothing_to_be_compared_with(report: Report) -> None:
    row = replace(report.rows[0], before=None, before_record=None)
    page = render_summary(replace(report, rows=[row]))
    assert "|201\u00a0MB|first|built|" in page
    assert "Packages" not in page


# --- harmless, whatever it says --------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    """The elements of a page, and what one reads of it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.read = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [tag, *(f"{tag} {name}" for name, _ in attrs)]

    def handle_data(self, data: str) -> None:
        self.read += data


def shown(markdown: str) -> Tags:
    return Tags(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown))


@pytest.mark.parametrize("words", HOSTILE)
def test_a_contributor_s_words_stay_words(report: Report, words: str) -> None:
    """In every place where some can stand, the page is built as with any other words."""

    def page(said: str) -> str:
        row = replace(report.rows[0], image=said, record=a_record("lab", 1, {said: said}, **{said: said}))
        failed = replace(report.outcomes["r"], message=said)
        found = replace(
            report,
            title=said,
            rows=[
                row,
                *report.rows[1:],
                replace(report.rows[2], outcome=replace(report.rows[2].outcome, message=said)),
            ],
            outcomes={**report.outcomes, "r": failed},
            launchers=[launcher(said)],
        )
        return render_summary(found)

    hostile, plain = shown(page(words)), shown(page("words"))
    assert hostile.found == plain.found
    assert "a" not in hostile.found
    assert "script" not in hostile.found


@pytest.mark.parametrize("words", HOSTILE[:13])
@pytest.mark.parametrize("write", [text, code])
def test_words_are_read_as_they_were_written(words: str, write: Callable[[str], str]) -> None:
    head, lines = table(("One", "Two"), [(write(words), "next")])
    seen = shown(head + "".join(lines))
    assert [tag for tag in seen.found if tag != "code"] == [
        "table",
        "thead",
        "tr",
        "th",
        "th",
        "tbody",
        "tr",
        "td",
        "td",
    ]
    assert words.replace("\n", "\\n").strip() in seen.read.replace("\u2060", "")
    assert not re.search(r"@\w|https?://|www\.", write(words))


@given(st.lists(st.text(max_size=40), max_size=6))
def test_a_fence_holds_whatever_is_in_it(lines: list[str]) -> None:
    seen = shown(fence([*lines, "```", "````"]))
    assert seen.found == ["pre", "code"]


@pytest.mark.parametrize("words", HOSTILE)
def test_a_diagram_s_labels_stay_labels(words: str) -> None:
    """Mermaid reads nothing but what we wrote: a label ends at the first quotation mark."""
    family = Family(below={words: []}, stacks={words: words})
    plan = a_plan(family)
    lines = diagram(plan, outcomes_of(plan, {words: Result.BUILT})).splitlines()
    assert lines[:2] == ["```mermaid", "flowchart LR"]
    assert re.fullmatch(r'  n0\["[^"`<>\[\]]*<br>[^"`<>\[\]]*"\]', lines[2])
    assert lines[5:] == ["```", ""]


# --- how much it may be -------------------------------------------------------------------------------------------------------


def big(report: Report, images: int, packages: int, nodes: int = 0) -> Report:
    now = {f"package-{number}": "2" for number in range(packages)}
    rows = [
        replace(
            report.rows[0],
            image=f"stack-{number}/bücher",
            record=a_record("lab", number, now | {"own": str(number)}),
        )
        for number in range(images)
    ]
    found = replace(report, rows=rows, launchers=[launcher("Minimal")] * 3)
    if nodes:
        plan = a_plan(chain(nodes))
        found = replace(
            found, plan=plan, outcomes=outcomes_of(plan, {f"n{number}": Result.BUILT for number in range(nodes)})
        )
    return found


def chain(nodes: int, wide: int = 1) -> Family:
    below = {
        "base": [],
        **{f"n{number}": [f"n{number - wide}" if number >= wide else "base"] for number in range(nodes)},
    }
    return Family(below=below, stacks={f"s{number}": f"n{number}" for number in range(nodes)})


@settings(max_examples=60, deadline=None)
@given(
    images=st.integers(0, 40),
    packages=st.integers(0, 60),
    limit_bytes=st.integers(0, 60_000),
)
def test_it_is_never_longer_than_it_may_be(images: int, packages: int, limit_bytes: int) -> None:
    report = big(REPORT, images, packages)
    page, whole = render_summary(report, limit_bytes=limit_bytes), render_summary(report)
    assert len(page.encode()) <= limit_bytes
    assert (page == whole) == (len(whole.encode()) <= limit_bytes)
    assert page in {"", whole} or page.endswith("as `hubstack publish` prints them.\n")
    assert page.count("<details>") == page.count("</details>")
    assert len(re.findall("^```", page, re.MULTILINE)) % 2 == 0


def test_a_tree_of_thousands_fits(report: Report) -> None:
    """GitHub shows nothing of a summary that is too long."""
    page = render_summary(big(report, images=3000, packages=100, nodes=900))
    assert LIMIT_BYTES * 0.9 < len(page.encode()) <= LIMIT_BYTES
    assert page.startswith("## Published\n")
    assert "```mermaid" in page
    assert "stack-2999" in page  # the whole table comes before packages
    assert "more than a step summary can hold" in page


def test_what_is_cut_off_says_where_the_rest_is(report: Report) -> None:
    link = "https://example.org/me/it/actions/runs/7"
    page = render_summary(replace(big(report, 50, 50), link=link), limit_bytes=5000)
    assert f"All images are in [this run]({link})" in page
    assert "Published" in page


def test_what_matters_is_kept_first() -> None:
    blocks = [
        Block(rank=1, before="b" * 10),
        Block(rank=2, before="[", lines=["1", "2", "3"], after="]"),
        Block(rank=0, before="a" * 10),
    ]
    assert fit(blocks, 100, "…") == "b" * 10 + "[123]" + "a" * 10
    assert fit(blocks, 24, "!") == "b" * 10 + "[1]" + "a" * 10 + "!"
    assert fit(blocks, 22, "!") == "b" * 10 + "a" * 10 + "!"
    assert fit(blocks, 12, "!") == "a" * 10 + "!"
    assert fit(blocks, 0, "!") == ""


@pytest.mark.parametrize("wide", [1, 30])
def test_a_big_diagram_shows_what_happened(wide: int) -> None:
    plan = a_plan(chain(1000, wide))
    outcomes = outcomes_of(plan, {"n500": Result.FAILED, **{f"n{number}": Result.BUILT for number in range(600, 900)}})
    drawn = diagram(plan, outcomes)
    assert '["n500<br>s500/default"]' in drawn
    assert drawn.count('["') <= MOST_NODES
    assert len(drawn) < 50_000
    assert drawn.count("-->") < 500
    assert re.search(r"Not drawn: \d+ built, \d+ reused\.\n", drawn)
    left_out = drawn.rpartition("Not drawn: ")[2]
    assert sum(map(int, re.findall(r"(\d+)", left_out))) + drawn.count('["') == len(plan.steps)


# --- what jobs have built ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        'here=node:lab\nwave1={"include": [{"name": "x", "runner": "ubuntu-24.04", "nodes": "node:r node:scipy-0123"}]}\n',
        '{"here": ["node:lab"], "waves": [[{"nodes": ["node:r", "node:scipy-0123"]}]]}',
    ],
)
def test_what_was_planned_in_whichever_format(said: str) -> None:
    assert planned_nodes(said) == {"lab", "r", "scipy-0123"}


def test_what_was_planned_and_is_there_was_built() -> None:
    outcomes = outcomes_of(a_plan(DIAMOND), {"r": Result.FAILED})
    found = as_planned(outcomes, {"lab", "r"}, {"lab": replace(a_record("lab", 1, {}), seconds=83.0)})
    assert (found["lab"].result, found["lab"].seconds) == (Result.BUILT, 83.0)
    assert found["r"].result is Result.FAILED
    assert found["scipy"].result is Result.REUSED


REPORT = Report(
    title="Published",
    plan=a_plan(DIAMOND),
    outcomes=outcomes_of(a_plan(DIAMOND), {}),
    rows=[
        Row(
            image="x",
            outcome=Outcome(node="lab", result=Result.BUILT, digest=a_digest(1)),
            before=a_digest(2),
            before_record=a_record("lab", 5, {}),
        )
    ],
)
assert all(step.action is Action.BUILD for step in REPORT.plan.steps)
