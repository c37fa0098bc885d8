from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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
