"""Each package manager's own order of versions."""

from __future__ import annotations

import shutil
import subprocess
from itertools import pairwise

import pytest
from hubstack.catalogue.version import order, specifier
from hubstack.errors import UsageError

ORDERS = {  # oldest first
    "debian": [
        "0~rc1", "0", "1.0~beta1-1", "1.0~rc1", "1.0", "1.0-1", "1.0-1+b1", "1.0-1.1", "1.0-2", "1.0a", "1.0+dfsg-1", "1.2", "1.10",
        "2.41.5-0+deb13u1", "13.8+deb13u7", "20250419+deb13u1", "1:0.1", "2:0",
    ],
    "npm": ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-rc.2", "1.0.0-rc.10", "1.0.0", "1.2.0", "1.10.0"],
    "r": ["0.9", "1.0", "1.0.0", "1.0-2", "1.0-10", "1.3.2.9000", "1.10"],
    "python": ["nightly", "1.0.dev1", "1.0a1", "1.0rc1", "1.0", "1.0.post1", "1.1", "2025.1", "1!0.5"],
}  # fmt: skip


@pytest.mark.parametrize("manager", ORDERS)
def test_order(manager: str) -> None:
    for older, newer in pairwise(ORDERS[manager]):
        assert order(manager, older) < order(manager, newer), (older, newer)


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="not a Debian machine")
def test_debians_order_is_dpkgs() -> None:
    for older, newer in pairwise(ORDERS["debian"]):
        argv = ["dpkg", "--compare-versions", older, "lt", newer]
        assert subprocess.run(argv, check=False).returncode == 0, (older, newer)


@pytest.mark.parametrize(
    ("text", "manager", "version", "fits"),
    [
        ("", "python", "1", True),
        (">=2,<3", "python", "2.5", True),
        (">=2,<3", "python", "3.0", False),
        (">=2", "python", "3.0rc1", True),  # what is installed counts
        ("~=2.1", "python", "2.9", True),
        ("==2.*", "python", "2.9", True),
        ("==2.0", "python", "2", True),
        (">=1", "python", "not-a-version", False),
        (">=2", "debian", "1:0", True),
        (">=1:2", "debian", "2.9-1", False),
        ("==2.*", "debian", "2.9", False),  # Python's alone
        ("~=2.1", "r", "2.9", False),
        (">=1:2", "python", "3", False),  # Debian's alone
        ("!=1", "npm", "1.0.1", True),
    ],
)
def test_specifier(text: str, manager: str, version: str, *, fits: bool) -> None:
    assert specifier(text)(manager, version) is fits


@pytest.mark.parametrize("text", [">>1", ">=", "1.2"])
def test_no_specifier(text: str) -> None:
    with pytest.raises(UsageError, match="is no version that one can look for"):
        specifier(text)
