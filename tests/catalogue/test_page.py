"""Whatever an image holds, its page shows as text (promise 6)."""

from __future__ import annotations

from dataclasses import replace

from hubstack.catalogue.change import since
from hubstack.catalogue.entry import Brought, Start
from hubstack.catalogue.page import render_site, size

from tests.catalogue.html import read
from tests.catalogue.shelf import entry, record, site

EVIL = """<img src=x onerror="alert('1')">&amp;{{ 7*7 }}</script><script>alert(2)</script>"""


def test_text_of_others_is_text() -> None:
    """Of contributors, of images that they built, and of a registry: in every field that a page shows."""
    packages = {"python": {EVIL: EVIL}, EVIL: {"a": EVIL}}
    start = Start(
        hub=EVIL,
        profile="p",
        title=EVIL,
        key="k",
        default=True,
        groups=(EVIL,),
        launcher="/l",
        login="/l",
        contents="/c",
    )
    one = entry(
        EVIL,
        packages,
        description=EVIL,
        draft=EVIL,
        withdrawn=EVIL,
        channels=(EVIL,),
        platforms=(EVIL,),
        starts=(start,),
        record=record(packages, versions={EVIL: EVIL}),
        layers=(Brought(layer=EVIL, summary=EVIL, epoch=EVIL, pins=1),),
        since=since(record({"python": {"b": EVIL}}), record(packages), EVIL),
    )
    files = render_site(site(one, replace(one, stack="scipy", variant="trixie")))
    pages = {path: read(text) for path, text in files.items() if path.endswith(".html")}
    assert len(pages) == 3
    for path, page in pages.items():
        assert page.faults == [], path
        assert {one.attributes.get("src") for one in page.all("script")} <= {"search.js", None}
        assert not [name for element in page.elements for name in element.attributes if name.startswith("on")]
        assert {one.attributes["src"].rpartition(".")[2] for one in page.all("img")} <= {"svg"}
        assert EVIL in page.all("main")[0].text
    assert len(pages["index.html"].all("script")) == 2


def test_pages_of_one_name_are_not_one_page() -> None:
    one = entry("a", {}, stack="scipy", variant="trixie")
    other = replace(one, first=False, channels=("next", "2026-11"))
    third = replace(one, first=False, channels=())
    paths = [path for path in render_site(site(one, other, third)) if path.endswith(".html")]
    assert len(set(paths)) == 4
    assert "images/scipy/trixie/next+2026-11.html" in paths


def test_size() -> None:
    assert [size(number) for number in (0, 441_613_269, 1_234_000_000)] == ["0 MB", "442 MB", "1.23 GB"]
