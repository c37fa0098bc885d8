from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.catalogue.market import Market
from tests.fakes.registry import FakeRegistry


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """Three stacks, published once for a module: tests read it and change nothing."""
    with FakeRegistry() as fake:
        market = Market.at(tmp_path_factory.mktemp("market") / "project", fake)
        market.publish_all()
        yield market


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    """The same project, with nothing published."""
    with FakeRegistry() as fake:
        yield Market.at(tmp_path / "project", fake)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium is not None, "these tests need Chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()
