"""What people see: a real JupyterHub, fancy-profiles and KubeSpawner, in a real browser."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Page, expect

from tests.browser.conftest import Preview, preview
from tests.browser.launcher import Launcher
from tests.engine.workbench import Json, Work

pytestmark = [pytest.mark.engine, pytest.mark.slow]

MARKUP = "<b>Bold</b> & <script>document.title = 'broken'</script>{{ 7 * 7 }}"
BROWSER_MS = 30_000


@pytest.fixture(scope="module")
def values(demo: Path) -> Json:
    found: Json = yaml.safe_load(yaml.safe_load(demo.read_text(encoding="utf-8"))["data"]["values.yaml"])
    return found


@pytest.fixture(scope="module")
def hub(tree: Work, values: Json, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Preview]:
    """The demo's hub, in which a title and a description hold markup."""
    folder = tmp_path_factory.mktemp("values")
    changed = yaml.safe_load(yaml.safe_dump(values))
    second = changed["singleuser"]["profileList"][1]
    second["display_name"] = second["description"] = MARKUP
    second["profile_options"]["image"]["choices"]["minimal"]["display_name"] = MARKUP
    (folder / "demo.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
    with preview(tree, "--profiles", str(folder)) as running:
        yield running
        assert running.end(signal.SIGTERM) == 143


@pytest.fixture
def launcher(page: Page, hub: Preview) -> Iterator[Launcher]:
    launcher = Launcher(page)
    hub.log_in(page, "ada")
    yield launcher
    assert launcher.faults == []


def test_choices_stand_in_the_author_s_order_with_their_descriptions(
    launcher: Launcher, values: Json, hub: Preview
) -> None:
    entries = launcher.open()
    order = values["custom"]["imageStacks"]["order"]["python"]["image"]
    choices = values["singleuser"]["profileList"][0]["profile_options"]["image"]["choices"]
    expected = [f"{choices[key]['display_name']}\n{choices[key]['description']}" for key in order]
    shown = entries.all_inner_texts()
    assert shown[: len(expected)] == expected
    assert order != sorted(order)  # else this would show nothing about the order
    assert [text.splitlines()[0] for text in shown[len(expected) :]] == [
        "Specify an existing image",
        "Build your own image",
    ]
    on_terminal = [line[4:].split(maxsplit=1) for line in hub.shown.splitlines()[2 : 2 + len(order)]]
    assert on_terminal == [[key, choices[key]["display_name"]] for key in order]


def test_an_image_s_name_is_judged_as_it_is_typed(launcher: Launcher, screens: Path) -> None:
    launcher.choose("Specify an existing image")
    launcher.field("").fill("no-tag")
    launcher.submit.click()
    message = launcher.box.get_by_text("The name of an image with a tag or a digest")
    expect(message).to_be_visible()
    launcher.page.screenshot(path=screens / "launcher-existing.png", full_page=True)
    launcher.field("").fill("host.example/name:tag")
    launcher.field("").blur()
    expect(message).to_be_hidden()


def test_an_image_can_be_built(launcher: Launcher, screens: Path) -> None:
    launcher.choose("Build your own image")
    expect(launcher.submit).to_have_text("Build Image and Start")
    expect(launcher.field("--repo")).to_be_visible()
    expect(launcher.field("--ref")).to_have_value("HEAD")
    launcher.page.screenshot(path=screens / "launcher-build.png", full_page=True)


def test_markup_is_shown_as_text(launcher: Launcher, screens: Path) -> None:
    launcher.page.screenshot(path=screens / "launcher-markup.png")
    box = launcher.page.locator("#profile-class")
    expect(box.locator("h2")).to_have_text(MARKUP)
    expect(box.locator(".profile-select-label p")).to_have_text(MARKUP)
    expect(box.locator(".react-select-item-title").first).to_have_text(MARKUP)
    assert launcher.page.locator("#form b, #form script").count() == 0
    assert "broken" not in launcher.page.title()


def test_an_image_that_is_nowhere_is_one_message_on_the_page_and_on_the_terminal(
    page: Page, hub: Preview, tree: Work, screens: Path
) -> None:
    launcher, name = Launcher(page), f"{tree.prefix}/nowhere:1"
    hub.log_in(page, "bob")
    launcher.choose("Specify an existing image")
    launcher.field("").fill(name)
    launcher.submit.click()
    failed = page.get_by_text(f"there is no image {name}")
    expect(failed.first).to_be_visible(timeout=BROWSER_MS)
    page.screenshot(path=screens / "progress-no-image.png")
    assert [line for line in hub.reports() if line.startswith(f"bob: there is no image {name}")]
    assert hub.containers() == []


def test_an_engine_that_is_gone_is_one_message_on_the_page_and_on_the_terminal(
    page: Page, tree: Work, demo: Path, tmp_path: Path
) -> None:
    socket = tmp_path / "docker.sock"
    socket.symlink_to(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://"))
    with preview(tree, "--profiles", str(demo), env={"DOCKER_HOST": f"unix://{socket}"}) as running:
        launcher = Launcher(page)
        running.log_in(page, "ada")
        socket.unlink()
        launcher.submit.click()
        expect(page.get_by_text("no Docker engine answers").first).to_be_visible(timeout=BROWSER_MS)
        assert [line for line in running.reports() if line.startswith("ada: no Docker engine answers")]


def test_the_service_says_that_it_stands_in_for_binderhub_and_asks_for_a_token(page: Page, hub: Preview) -> None:
    page.goto(f"{hub.url}/services/binder/")
    expect(page.get_by_role("heading")).to_have_text("This stands in for BinderHub")
    reply = page.request.get(f"{hub.url}/services/binder/build/gh/ada/notes/HEAD?build_only=true")
    assert reply.status == 403
