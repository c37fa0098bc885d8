"""Python distributions that stand beside each other though no path of theirs is the same.

Each folder ``NAME-VERSION.dist-info`` is one (PyPA's "Recording installed projects"; names normalised as PEP 503 says). What
they require is in their METADATA ("Core metadata specifications"; PEP 508 for markers and extras).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from hubstack.merge.conflict import Cause, Conflict
from hubstack.merge.entry import GONE, Index, Kind
from hubstack.merge.library import Package, breaches, two_versions
from hubstack.merge.mergers.dpkg import STATUS
from hubstack.merge.mergers.side import text
from hubstack.merge.stacked import among

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_BYTECODE = re.compile(r"(?P<folder>(?:.*/)?)__pycache__/(?P<name>[^/]+?)\.[^./]+(?:\.opt-\d)?\.pyc")
_METADATA = re.compile(
    r"(?P<site>.*)/(?P<name>[^/]+?)-(?P<version>[^/-]+)(?:-py[^/]*)?\.(?:dist-info/METADATA|egg-info/PKG-INFO)"
)
_EXTRA = re.compile(r";.*\bextra\s*==")
_VERSION = re.compile(r".*/python(?P<version>3\.\d+)/.*")
_DEBIANS = re.compile(rb"^Package: python3\n(?:.+\n)*?Version: (?:\d+:)?(3\.\d+)", re.MULTILINE)
_ARCHITECTURE = re.compile(rb"^Package: dpkg\n(?:.+\n)*?Architecture: ([a-z0-9-]+)$", re.MULTILINE)
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "armhf": "armv7l", "i386": "i686", "ppc64el": "ppc64le"}


def clashes(base: Index, parts: Mapping[str, Index], merged: Index) -> Iterator[Conflict]:
    """Two versions of one distribution in one folder, and what one requires of another that is there in no fit version."""
    yield from two_versions(parts, base, _distribution)
    unmet = partial(_unmet, merged.contents.get(STATUS) or base.contents.get(STATUS, b""))
    yield from breaches(base, parts, merged, _distribution, unmet)


@lru_cache(10_000)  # most are asked for in each merge of those that have them
def _distribution(path: str, content: bytes) -> Package | None:
    match = _METADATA.fullmatch(path) if path.endswith(("METADATA", "PKG-INFO")) else None
    if match is None:
        return None
    lines = (line.partition(":") for line in text(content).splitlines())
    requires = tuple(value.strip() for field, _, value in lines if field == "Requires-Dist")
    return Package(
        folder=match["site"],
        name=_normal(match["name"]),
        version=match["version"],
        requires=requires,
        extended=tuple(_normal(one.partition("[")[0].strip()) for one in requires if "[" in one.partition(";")[0]),
    )


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _unmet(status: bytes, site: str, distributions: Mapping[str, Package]) -> Iterator[tuple[str, str]]:
    """As `pip check` finds them, and with the extras that distributions ask of each other."""
    environment = _environment(site, status)
    todo = [(name, "") for name in sorted(distributions)]
    seen = set(todo)
    while todo:
        name, extra = todo.pop()
        for said in distributions[name].requires:
            if _is_optional(said) if not extra else "extra" not in said:
                continue
            required = _requirement(said)
            if required is None:
                continue
            if required.marker is not None and not required.marker.evaluate({**environment, "extra": extra}):
                continue
            other = distributions.get(_normal(required.name))
            if other is None or not required.specifier.contains(other.version, prereleases=True):
                yield name, said
                continue
            more = {(other.name, one) for one in required.extras} - seen
            todo += sorted(more)
            seen |= more


def _is_optional(said: str) -> bool:
    """Whether it is for an extra only. Most are, and needn't be parsed."""
    return _EXTRA.search(said) is not None and " or " not in said


@lru_cache(maxsize=10_000)
def _requirement(said: str) -> Requirement | None:
    """None for what can't be read: no reason to refuse."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(said)
    except InvalidRequirement:
        return None


@lru_cache(64)
def _environment(site: str, status: bytes) -> dict[str, str]:
    """What markers ask for, of an image for Linux. Which Python has a folder, that says, or of Debian's own dpkg's ``status``."""
    match = _VERSION.fullmatch(f"{site}/")
    version = match["version"] if match is not None else _said(_DEBIANS, status) or "3.13"
    machine = _said(_ARCHITECTURE, status)
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{version}.0",
        "os_name": "posix",
        "platform_machine": _MACHINES.get(machine, machine or "x86_64"),
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{version}.0",
        "python_version": version,
        "sys_platform": "linux",
    }


def _said(pattern: re.Pattern[bytes], status: bytes) -> str:
    match = pattern.search(status)
    return match[1].decode("ascii") if match is not None else ""


def stale(base: Index, parts: Mapping[str, Index]) -> Iterator[Conflict]:
    """Bytecode of one part beside a module of another: with all files of one date, Python would believe it (PEP 552)."""
    seen, joint = set[str](), {""}
    for index in parts.values():
        joint |= seen & index.folders
        seen |= index.folders
    for part, index in parts.items():
        cached = {f"{folder}/__pycache__".lstrip("/") for folder in joint} & index.folders
        there = (path for path in index.bytecode if path.rpartition("/")[0] in cached) if cached else ()
        compiled = {path: module for path in there if (module := _module(path))}
        modules = set(compiled.values())
        others = (among(one.entries, modules) for other, one in parts.items() if other != part)
        foreign = set[str]().union(*others) if modules else set()
        for path in sorted(path for path, module in compiled.items() if module in foreign):
            if (entry := index.entries.get(path, GONE)).kind is Kind.FILE and base.entries.get(path) != entry:
                yield from _foreign(compiled[path], part, base, parts)


def _module(path: str) -> str:
    """What was compiled there, if anything."""
    match = _BYTECODE.fullmatch(path)
    return f"{match['folder']}{match['name']}.py" if match is not None else ""


def _foreign(module: str, part: str, base: Index, parts: Mapping[str, Index]) -> Iterator[Conflict]:
    """A conflict for each that has another ``module`` than the base and than ``part``, whose bytecode it is."""
    was = base.entries.get(module)
    compiled = parts[part].entries.get(module, was)
    for other, index in parts.items():
        if index.entries.get(module, was) not in (was, compiled):
            what = f"is of {other}, and its bytecode of {part}, which has another"
            yield Conflict(parts=(other, part), path=module, what=what, cause=Cause.VERSION)
