"""Images of a stack with options in the catalogue: each has a page, and links that open the launcher with it chosen."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.commandline import PROJECTS, run
from tests.fakes.registry import FakeRegistry
from tests.shell import Shell, TerminalEngine


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = Path(shutil.copytree(PROJECTS / "good-options", tmp_path_factory.mktemp("options") / "tree"))
    with FakeRegistry() as registry:
        Shell(folder, registry, TerminalEngine(registry))("build", "--push", "*")
        done = run("--registry", f"{registry.host}/x", "site", "--output", str(folder / "site"), folder=folder)
        assert done.code == 0, done.err
        yield folder / "site"


def links(page: Path) -> list[dict[str, str]]:
    """What the page's links to launchers choose."""
    text = unescape(page.read_text(encoding="utf-8"))
    found = re.findall(r"/hub/spawn#fancy-forms-config=([^\s<]+)", text)
    return [json.loads(unquote(one)) for one in found]


def test_every_combination_has_a_page(site: Path) -> None:
    assert len([*(site / "images" / "science").glob("*.html")]) == 36


def test_its_link_chooses_the_image_and_what_its_options_say(site: Path) -> None:
    chosen = {"language": "language-octave", "tools": "tools-dask-geo"}
    wanted = {"profile": "science", "image": "science-trixie", **chosen, "resources": "small"}
    assert wanted in links(site / "images" / "science" / "trixie-octave-dask-geo.html")


def test_a_hub_that_lists_it_has_a_link_to_its_own_choice(site: Path) -> None:
    assert {"profile": "science", "image": "040-science-trixie-octave"} in links(
        site / "images" / "science" / "trixie-octave.html"
    )


def test_the_menus_default_is_one_link_and_not_two(site: Path) -> None:
    (link,) = links(site / "images" / "science" / "bookworm-r-kernel.html")
    assert link["language"] == "language-r-kernel"
