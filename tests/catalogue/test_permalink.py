"""Permalinks' form; test_permalink_in_the_launcher.py has them read by what they are for."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from hubstack.hub.permalink import Contents, choice, launcher, repository, through_login

HUB = "https://hub.example.org"


def config(link: str) -> object:
    """As URLSearchParams reads it."""
    ((name, (text,)),) = parse_qs(urlsplit(link).fragment, strict_parsing=True).items()
    assert name == "fancy-forms-config"
    return json.loads(text)


def test_only_keys_that_the_form_reads() -> None:
    assert config(launcher(HUB, choice("python", "scipy"))) == {"profile": "python", "image": "scipy"}
    assert config(launcher(HUB, choice("python", "scipy", "small", start=True))) == {
        "profile": "python",
        "image": "scipy",
        "resources": "small",
        "autoStart": "true",
    }
    assert config(launcher(HUB, repository("python", "o/n", "v1"))) == {
        "profile": "python",
        "image": "--extra-selectable-item",
        "image:binderProvider": "gh",
        "image:binderRepo": "o/n",
        "image:ref": "v1",
    }


def test_a_choice_may_hold_any_character() -> None:
    assert config(launcher(HUB, choice("p", "a&b=c+d#e%20;", 'ü"'))) == {
        "profile": "p",
        "image": "a&b=c+d#e%20;",
        "resources": 'ü"',
    }


@pytest.mark.parametrize("hub", [HUB, f"{HUB}/"])
def test_a_hub_with_an_address(hub: str) -> None:
    assert launcher(hub, choice("p", "i")).startswith(f"{HUB}/hub/spawn#")
    assert through_login(hub, choice("p", "i")).startswith(f"{HUB}/hub/login?next=%2Fhub%2Fspawn%23")


def test_a_hub_without_an_address_has_links_for_its_own_host() -> None:
    assert launcher("", choice("p", "i")).startswith("/hub/spawn#")
    assert through_login("", choice("p", "i")).startswith("/hub/login?next=")


def test_the_log_in_carries_the_launchers_whole_address() -> None:
    """JupyterHub decodes ``next`` once, the launcher the rest: so a choice may hold any character."""
    contents = Contents(repository="https://example.org/a/b", branch="a&b", path="x y.ipynb")
    for chosen in (choice("p", "i&=+#%", 'a"b'), repository("p", "o/ü")):
        for opened in (None, contents):
            link = through_login(HUB, chosen, opened)
            assert parse_qs(urlsplit(link).query) == {"next": [launcher("", chosen, opened)]}


@pytest.mark.parametrize(
    ("contents", "opened"),
    [
        (Contents(repository="https://example.org/a/course.git"), "lab/tree/course"),
        (
            Contents(repository="https://example.org/a/course/", path="/week 1/a.ipynb"),
            "lab/tree/course/week 1/a.ipynb",
        ),
    ],
)
def test_contents_are_opened_behind_the_launcher(contents: Contents, opened: str) -> None:
    link = launcher(HUB, choice("p", "i"), contents)
    (then,) = parse_qs(urlsplit(link).query)["next"]
    assert urlsplit(then).path == "/hub/user-redirect/git-pull"
    assert parse_qs(urlsplit(then).query) == {"repo": [contents.repository], "urlpath": [opened]}
    assert config(link) == {"profile": "p", "image": "i"}
