"""Permalinks in the form that reads them: a real JupyterHub, the real fancy-profiles, a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from hubstack.hub.choice import offers
from hubstack.hub.permalink import Contents, choice, launcher, repository, through_login
from hubstack.hub.profiles import profile_list
from playwright.sync_api import Browser, Page

from tests.catalogue.launcher import Launcher, running
from tests.fakes.hubs import EXAMPLE, EXAMPLE_HUB

COURSE = Contents(repository="https://example.org/a/course.git", branch="main", path="week 1/intro & more.ipynb")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    project = EXAMPLE.project(EXAMPLE_HUB)
    profiles = profile_list(EXAMPLE_HUB, offers(project, EXAMPLE.graph, EXAMPLE_HUB), EXAMPLE.images)
    with running(tmp_path_factory.mktemp("hub"), profiles) as launcher:
        yield launcher


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Of somebody whom no hub knows yet."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


def log_in(page: Page, name: str) -> None:
    page.fill("#username_input", name)
    page.fill("#password_input", "x")
    page.click("#login_submit")


def selected(page: Page) -> dict[str, str]:
    """What the form would post."""
    page.wait_for_selector("input[name='profile']", state="attached")
    fields = page.eval_on_selector_all(
        "#spawn_form input[name]",
        "all => all.filter(one => one.type != 'radio' || one.checked).map(one => [one.name, one.value])",
    )
    return {name: value for name, value in fields if name == "profile" or name.startswith("profile-option-")}


def test_a_link_through_the_log_in_chooses_and_starts_what_it_says(hub: Launcher, page: Page) -> None:
    page.goto(through_login(hub.url, choice("python", "scipy-bookworm", "small")))
    log_in(page, "ada")
    fields = selected(page)
    assert fields["profile"] == "python"
    assert fields["profile-option-python--image"] == "scipy-bookworm"
    assert fields["profile-option-python--resources"] == "small"
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/user/ada/**")
    started = hub.chosen()[-1]
    assert started["options"] == {"profile": "python", "image": "scipy-bookworm", "resources": "small"}
    assert started["image"] == str(EXAMPLE.images["scipy", "bookworm"])
    assert started["mem_limit"] == 2 * 2**30


def test_a_link_to_the_launcher_is_for_who_is_logged_in(hub: Launcher, page: Page) -> None:
    page.goto(f"{hub.url}/hub/login?next=/hub/home")
    log_in(page, "bob")
    page.wait_for_url("**/hub/home")
    page.goto(launcher(hub.url, choice("gpu", "scipy-trixie")))
    fields = selected(page)
    assert fields["profile"] == "gpu"
    assert fields["profile-option-gpu--image"] == "scipy-trixie"


def test_a_link_that_starts_at_once_ends_in_the_contents_that_it_names(hub: Launcher, page: Page) -> None:
    page.goto(through_login(hub.url, choice("python", "minimal", "large", start=True), COURSE))
    log_in(page, "cleo")
    page.wait_for_url("**/user/cleo/git-pull**", timeout=30_000)
    asked = urlsplit(page.inner_text("body"))
    assert asked.path == "/user/cleo/git-pull"
    assert parse_qs(asked.query) == {
        "repo": ["https://example.org/a/course.git"],
        "branch": ["main"],
        "urlpath": ["lab/tree/course/week 1/intro & more.ipynb"],
    }
    assert hub.chosen()[-1]["options"] == {"profile": "python", "image": "minimal", "resources": "large"}


def test_a_link_can_name_a_repository_to_build(hub: Launcher, page: Page) -> None:
    page.goto(through_login(hub.url, repository("python", "example/r-&-d", "v1.0", "small")))
    log_in(page, "dora")
    assert selected(page)["profile-option-python--image"] == "--extra-selectable-item"
    typed = page.get_by_role("combobox").evaluate_all("all => all.map(one => one.value)")
    assert "example/r-&-d" in typed
    assert "v1.0" in typed


def test_an_old_link_opens_the_launcher_without_a_choice(hub: Launcher, page: Page) -> None:
    """The form survives a choice that is gone: people see it and choose again."""
    page.goto(through_login(hub.url, choice("python", "long-gone", "small")))
    log_in(page, "emil")
    assert selected(page)["profile"] == "python"
