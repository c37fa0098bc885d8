"""A stack's options as people meet them: chosen in the launcher, looked up by the hub, refused in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hubstack.graph import resolve
from hubstack.hub import permalink
from hubstack.hub.choice import offers
from hubstack.hub.configmap import render_configmap
from hubstack.hub.profiles import values
from hubstack.project import load_project
from hubstack.reference import Digest, ImageRef
from playwright.sync_api import Page, expect

from tests.browser.conftest import Preview, preview
from tests.browser.launcher import Launcher
from tests.commandline import PROJECTS
from tests.engine.workbench import Work

pytestmark = [pytest.mark.engine, pytest.mark.slow]

BROWSER_MS = 60_000
LANGUAGE, TOOLS = 1, 2  # the menus behind the image's


@pytest.fixture(scope="module")
def images(tree: Work) -> Mapping[tuple[str, str], ImageRef]:
    """Of all combinations, in a registry that has none of them: so a start tells which image it would have been."""
    project, _ = load_project(PROJECTS / "good-options")
    names = [(image.variant.stack, image.variant.name) for image in resolve(project).images]
    prefix = ImageRef.parse(f"{tree.prefix}/nowhere:1")
    return {
        (stack, variant): ImageRef(
            host=prefix.host,
            repository=f"{prefix.repository}/{stack}",
            tag=variant,
            digest=Digest(f"sha256:{number:064x}"),
        )
        for number, (stack, variant) in enumerate(names)
    }


@pytest.fixture(scope="module")
def hub(
    tree: Work, chromium: str, images: Mapping[tuple[str, str], ImageRef], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Preview]:
    project, _ = load_project(PROJECTS / "good-options")
    menus, folder = project.hubs["menus"], tmp_path_factory.mktemp("values")
    text = render_configmap(menus, values(menus, offers(project, resolve(project), menus), images))
    (folder / "demo.yaml").write_text(text, encoding="utf-8")
    with preview(tree, "--profiles", str(folder)) as running:
        yield running


def test_a_person_chooses_language_and_tools_and_gets_the_image_of_both(
    page: Page, hub: Preview, images: Mapping[tuple[str, str], ImageRef], screens: Path
) -> None:
    launcher = Launcher(page, profile="science")
    hub.log_in(page, "ada")
    launcher.choose("Octave", LANGUAGE)
    launcher.choose("geo, dask", TOOLS)
    page.screenshot(path=screens / "launcher-options.png", full_page=True)
    launcher.submit.click()
    wanted = images["science", "trixie-octave-dask-geo"]
    expect(page.get_by_text(f"there is no image {wanted}").first).to_be_visible(timeout=BROWSER_MS)
    assert [line for line in hub.reports() if line.startswith(f"ada: there is no image {wanted}")]
    assert launcher.faults == []


def test_what_is_not_offered_is_refused_on_the_page(page: Page, hub: Preview, screens: Path) -> None:
    launcher = Launcher(page, profile="science")
    hub.log_in(page, "bob")
    launcher.choose("Octave", LANGUAGE)
    launcher.choose("dask, sql", TOOLS)
    launcher.submit.click()
    said = "Science, Debian 13 is not offered with Language: Octave, Tools: dask, sql. Choose another combination, as "
    expect(page.get_by_text(said).first).to_be_visible(timeout=BROWSER_MS)
    page.screenshot(path=screens / "progress-not-offered.png")
    assert not [line for line in hub.reports() if line.startswith("bob: ")]  # no start was tried, and none has failed
    assert hub.containers() == []


def test_a_stack_without_options_and_a_named_image_ignore_them(
    page: Page, hub: Preview, images: Mapping[tuple[str, str], ImageRef], tree: Work
) -> None:
    for name, image in (("cleo", str(images["minimal", "default"])), ("dora", f"{tree.prefix}/elsewhere:1")):
        page.context.clear_cookies()
        launcher = Launcher(page, profile="science")
        hub.log_in(page, name)
        launcher.choose("Octave", LANGUAGE)
        launcher.choose("Minimal" if name == "cleo" else "Specify an existing image")
        if name == "dora":
            launcher.field("").fill(image)
        launcher.submit.click()
        expect(page.get_by_text(f"there is no image {image}").first).to_be_visible(timeout=BROWSER_MS)


def test_a_link_opens_the_launcher_with_a_combination_chosen(page: Page, hub: Preview) -> None:
    hub.log_in(page, "emil")
    chosen = {"language": "language-none", "tools": "tools-geo-sql"}
    page.goto("about:blank")
    page.goto(permalink.launcher(hub.url, permalink.choice("science", "science-bookworm", "large", chosen)))
    shown = Launcher(page, profile="science").box.locator(".react-select-item-title")
    expect(shown).to_have_text(["Science, Debian 12", "Python alone", "geo, sql", "8 GB"])
