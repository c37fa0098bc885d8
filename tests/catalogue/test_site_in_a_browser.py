"""The catalogue where people look at it: a real browser on files, wide and narrow, light and dark, with and without scripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hubstack.catalogue.folder import write_site
from hubstack.catalogue.page import render_site
from hubstack.catalogue.query import NotFoundError, parse_query, search
from playwright.sync_api import Browser, Page

from tests.catalogue.market import Market
from tests.catalogue.shelf import entry, site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

VERSIONS: Mapping[str, list[str]] = {
    "python": [
        "0.9", "1.0.dev2", "1.0a1", "1.0b2", "1.0rc1", "1.0", "1.0.0", "1.0.post1", "1.0+cu12", "1.1", "1.9", "1.10", "2.0.1",
        "2.3.5", "2025.1", "2025.10.1", "1!0.1", "2.9.0.post0", "not.a.version",
    ],
    "debian": ["1.0~rc1-1", "1.0-1", "1.0-1+b1", "1.0-2", "1.10-1", "1:0.5-1", "2.41.5-0+deb13u1", "20250419+deb13u1", "6.5"],
    "r": ["1.0", "1.0-2", "1.0-10", "1.3.2.9000", "4.5.0", "7.3-60"],
    "npm": ["1.0.0-alpha.1", "1.0.0-rc.2", "1.0.0-rc.10", "1.0.0", "4.5.1", "10.2.0"],
}  # fmt: skip
SPECIFIERS = [
    "", ">=1", ">=1.0", ">1.0", "<1.0", "<=1.0", "==1.0", "!=1.0", "==1.*", "!=1.*", "~=1.0", "~=2.3.1", ">=1.0,<2", ">=2025",
    ">=1.0rc1", "<1.0rc1", ">=1.0-1", "<1:0", ">=1.0.0", "===1.0", ">1.0.post1", ">=1.0-2,<1.10", "==1.0+cu12",
]  # fmt: skip


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def shown(page: Page) -> list[str]:
    titles: list[str] = page.eval_on_selector_all(
        ".card h2 a", "all => all.filter(one => one.getClientRects().length).map(one => one.textContent)"
    )
    return titles


@pytest.fixture(scope="module")
def real(published: Market) -> Path:
    """The pages of what is published, from the command."""
    assert published.type("site", "--output", "pages").code == 0
    return published.folder / "pages"


def test_the_search_and_the_terminal_agree(page: Page, tmp_path: Path) -> None:
    """On every version and specifier, of every package manager: the page's script has rules of its own."""
    entries = [
        entry(f"{manager} {number} x", {manager: {"Some.Pkg": version}})
        for manager, versions in VERSIONS.items()
        for number, version in enumerate(versions)
    ]
    write_site(tmp_path, render_site(site(*entries)))
    page.goto((tmp_path / "index.html").as_uri())
    for prefix in ("", "python:", "deb:", "r:", "npm:"):
        for specifier in SPECIFIERS:
            asked = f"{prefix}Some.Pkg{specifier}"
            try:
                expected = [hit.entry.title for hit in search(parse_query(asked), entries)]
            except NotFoundError:
                expected = []
            page.fill("#q", asked)
            assert shown(page) == expected, asked


def test_people_search(page: Page, real: Path) -> None:
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((real / "index.html").as_uri())
    assert shown(page) == ["Minimal", "Scientific Python", "The course & more", "Tools"]
    for asked, expected in (
        ("numpy ≥ 2.3", ["Scientific Python", "Tools"]),
        ("numpy nbgitpuller", ["Tools"]),
        ("scientific", ["Scientific Python"]),
        ("r-ggplot2", ["Tools"]),
        ("course", ["The course & more"]),
        ("pand", ["Scientific Python", "Tools"]),  # a part of a name, as people type it
        ("pand>=2", []),  # and here the name
        ("", ["Minimal", "Scientific Python", "The course & more", "Tools"]),
    ):
        page.fill("#q", asked)
        assert shown(page) == expected, asked
    page.fill("#q", "numpy>=2")
    assert page.inner_text("#found") == "2 of 4 images"
    assert [one.inner_text() for one in page.query_selector_all(".card:not([hidden]) .hits li")] == ["numpy 2.3.5"] * 2
    page.fill("#q", "numpy>>2")
    assert page.inner_text("#found").startswith("numpy>>2 is no question")
    assert errors == []


def test_a_search_can_be_linked(page: Page, real: Path) -> None:
    page.goto(f"{(real / 'index.html').as_uri()}#q=numpy%3E%3D2")
    assert shown(page) == ["Scientific Python", "Tools"]


def test_without_scripts_there_is_everything_but_the_search(browser: Browser, real: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((real / "index.html").as_uri())
    assert not page.is_visible("#search")
    page.click("text=Scientific Python")
    page.click("text=All 8, with the layer that brings each")
    assert page.is_visible("text=python-dateutil")
    assert page.locator("img").first.evaluate("one => one.naturalWidth") > 100
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_pages_fit(browser: Browser, real: Path, width: int, scheme: str) -> None:
    """Nothing is wider than the screen, nothing that one taps is small, and text stands out from what is behind it."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    for path in ("index.html", "images/tools/default.html", "images/minimal/default.html"):
        page.goto((real / path).as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        for button in page.query_selector_all("a.start"):
            box = button.bounding_box()
            assert box is not None
            assert box["height"] >= 32
        assert page.evaluate(_CONTRAST) >= 4.5, path
    context.close()


_CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const shine = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((one) => one / 255).map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const rgb = parse(getComputedStyle(one).backgroundColor);
      if (rgb.length < 4 || rgb[3] > 0) return rgb;
    }
  };
  const texts = [...document.querySelectorAll("body *")].filter((one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()) && one.getClientRects().length);
  return Math.min(...texts.map((one) => {
    const [a, b] = [shine(parse(getComputedStyle(one).color)), shine(behind(one))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }));
}"""
