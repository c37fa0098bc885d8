"""Packages of R ("Writing R Extensions", section 1.1.3): what one needs may stand in another library of the same R."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import zip_longest

from hubstack.merge.conflict import Conflict
from hubstack.merge.entry import Index
from hubstack.merge.library import Package, breaches, two_versions
from hubstack.merge.mergers.stanza import parse_stanzas

_DESCRIPTION = re.compile(r"(?P<library>(?P<home>.*/R)/(?:site-)?library)/(?P<name>[^/]+)/DESCRIPTION")
_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z][\w.]*)\s*(?:\(\s*(?P<operator>>=|<=|>|<|==|!=)\s*(?P<version>[\d.-]+)\s*\))?"
)


def clashes(base: Index, parts: Mapping[str, Index], merged: Index) -> Iterator[Conflict]:
    """Two versions of one package in one library, and what one requires of another that is there in no fit version."""
    yield from two_versions(parts, base, _in_library)
    yield from breaches(base, parts, merged, _in_home, _unmet)


@lru_cache(10_000)  # most are asked for in each merge of those that have them
def _in_library(path: str, content: bytes) -> Package | None:
    match = _DESCRIPTION.fullmatch(path) if path.endswith("/DESCRIPTION") else None
    if match is None:
        return None
    fields = next(iter(parse_stanzas(content)), {})
    lists = (fields.get(field, "") for field in ("Depends", "Imports", "LinkingTo"))
    requires = tuple(one.strip() for said in lists for one in " ".join(said.split()).split(",") if one.strip())
    version = fields.get("Version", "").strip()
    return Package(folder=match["library"], name=match["name"], version=version, requires=requires)


def _in_home(path: str, content: bytes) -> Package | None:
    """Debian's R has libraries below /usr/local, too, and looks there first, and last where its own packages are."""
    package, match = _in_library(path, content), _DESCRIPTION.fullmatch(path)
    if package is None or match is None:
        return None
    home = match["home"].replace("usr/local/", "usr/", 1)
    rank = (home == match["home"]) + match["library"].endswith("/R/library")
    return replace(package, folder=home, rank=rank)


def _unmet(_: str, packages: Mapping[str, Package]) -> Iterator[tuple[str, str]]:
    for name, package in sorted(packages.items()):
        for said in package.requires:
            match = _REQUIREMENT.fullmatch(said)
            if match is None:  # what can't be read is no reason to refuse
                continue
            other = packages.get("base" if match["name"] == "R" else match["name"])
            if other is None or not _holds(other.version, match["operator"], match["version"]):
                yield name, said


def _holds(version: str, operator: str | None, wanted: str) -> bool:
    """R's package_version: numbers between dots and hyphens."""
    if operator is None:
        return True
    numbers = ([int(one) for one in re.split(r"[.-]", text) if one.isdigit()] for text in (version, wanted))
    pairs = [*zip_longest(*numbers, fillvalue=-1)]
    order = next((a - b for a, b in pairs if a != b), 0)
    return {">=": order >= 0, "<=": order <= 0, ">": order > 0, "<": order < 0, "==": order == 0, "!=": order != 0}[
        operator
    ]
