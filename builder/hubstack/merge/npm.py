"""npm's global packages (npm-folders): one folder each, what they require in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from hubstack.merge.conflict import Conflict
from hubstack.merge.entry import Index
from hubstack.merge.library import Package, two_versions
from hubstack.merge.mergers.manifest import PACKAGE_JSON

_PACKAGE = re.compile(PACKAGE_JSON)
_FOLDER = "node_modules/"


def clashes(base: Index, parts: Mapping[str, Index]) -> Iterator[Conflict]:
    """Two versions of one package in one folder."""
    return two_versions(parts, base, _package)


def _package(path: str, content: bytes) -> Package | None:
    if _PACKAGE.fullmatch(path) is None:
        return None
    said = json.loads(content or "{}")
    if not isinstance(said, dict):  # npm doesn't see a package there either
        return None
    folder, _, rest = path.rpartition(_FOLDER)
    return Package(
        folder=f"{folder}node_modules", name=rest.removesuffix("/package.json"), version=said.get("version", "")
    )
