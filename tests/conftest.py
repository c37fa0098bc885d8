"""Golden files: ``pytest --golden`` (or HUBSTACK_GOLDEN=1) writes them anew; then git shows what changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = [
    "tests.chromium",
    "tests.engine.workbench",
]  # here, because pytest takes plugins from the topmost conftest.py only


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="write golden files anew instead of comparing with them")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """``golden(path, text)`` fails where the file at ``path`` says something else than ``text``."""
    rewrite = request.config.getoption("--golden") or os.environ.get("HUBSTACK_GOLDEN")

    def compare(path: Path, text: str) -> None:
        if rewrite:
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"no golden file {path}; `pytest --golden` writes it"
        assert text == path.read_text(encoding="utf-8")

    return compare
