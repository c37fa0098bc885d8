"""What we tell uv and what it tells us, as text: a project to lock, its lock, and its reasons why there is none.

`uv lock` and not `uv pip compile`, because its lock names the edges between packages with their extras, so that each
layer's part can be cut out exactly; and because with a dependency group a layer its error messages name the layers.
Its environment is narrowed to the one that the images have, so one run answers for one Python and platform whatever
Python runs hubstack.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

from hubstack.errors import HubstackError
from hubstack.lock.resolution import MACHINES, Package, Request, Scope, canonical, holds, marker_environment

PROJECT = "hubstack-resolution"
_OLDEST_GLIBC = 28  # 2.28 of 2018: a wheel for it runs on every base that is still maintained
_NEWEST_GLIBC = 60

_Entry: TypeAlias = dict[str, Any]  # a table of uv.lock


def render_project(request: Request) -> str:
    """pyproject.toml: each layer a dependency group, for the scope's environment alone."""
    markers = marker_environment(request.scope.python, request.scope.platform)
    decisive = (
        name for name, value in markers.items() if value and name not in ("implementation_version", "python_version")
    )
    environment = " and ".join(f"{name} == '{markers[name]}'" for name in decisive)
    groups = (f"{layer} = {json.dumps(lines, ensure_ascii=False)}" for layer, lines in request.requirements.items())
    return "\n".join(
        (
            "[project]",
            f'name = "{PROJECT}"',
            'version = "0"',
            'requires-python = ">=3.8"',  # what runs uv has to fit; the environment below is what counts
            "[dependency-groups]",
            *groups,
            "[tool.uv]",
            "package = false",
            "default-groups = []",
            f"environments = [{json.dumps(environment)}]",
            "[tool.uv.workspace]",  # uv looks no further up for one
            "members = []",
            "",
        )
    )


def render_preferences(versions: Mapping[str, str]) -> str:
    """uv.lock, as far as uv reads it for the versions to prefer: an existing lock's are kept where they fit."""
    packages = (
        f'[[package]]\nname = "{name}"\nversion = "{version}"\nsource = {{ registry = "." }}\n'
        for name, version in sorted(versions.items())
    )
    return "\n".join(('version = 1\nrequires-python = ">=3.8"\n', *packages))


# --- its lock ----------------------------------------------------------------------------------------------------------


def parse_lock(text: str, scope: Scope) -> Mapping[str, Package]:
    """The packages that the groups need in ``scope``, with the files that can be installed there."""
    entries: dict[str, list[_Entry]] = {}
    for entry in tomllib.loads(text).get("package", ()):
        entries.setdefault(entry["name"], []).append(entry)
    walk = _Walk(entries=entries, scope=scope)
    for group in entries[PROJECT][0].get("dev-dependencies", {}).values():
        walk.follow(group)
    return {name: walk.package(name) for name in sorted(walk.found)}


@dataclass(kw_only=True)
class _Walk:
    """Markers are settled on the way, so that what is written down holds without them."""

    entries: Mapping[str, list[_Entry]]
    scope: Scope
    found: dict[str, _Entry] = field(default_factory=dict)
    extras: dict[str, set[str]] = field(default_factory=dict)  # those that somebody asked for

    def follow(self, dependencies: Iterable[_Entry]) -> None:
        waiting = [*self._live(dependencies)]
        while waiting:
            dependency = waiting.pop()
            name, extras = dependency["name"], self.extras.setdefault(dependency["name"], set())
            if name not in self.found:
                self.found[name] = self._entry(dependency)
                waiting.extend(self._live(self.found[name].get("dependencies", ())))
            for extra in {canonical(one) for one in dependency.get("extra", ())} - extras:
                extras.add(extra)
                waiting.extend(self._live(self._extra(name, extra)))

    def package(self, name: str) -> Package:
        entry = self.found[name]
        added = {extra: self._names(self._extra(name, extra)) for extra in sorted(self.extras[name])}
        return Package(
            name=name,
            version=entry["version"],
            needs=self._names(entry.get("dependencies", ())),
            extras={extra: names for extra, names in added.items() if names},
            hashes=_hashes(entry, self.scope),
        )

    def _extra(self, name: str, extra: str) -> list[_Entry]:
        by_extra = self.found[name].get("optional-dependencies", {})
        return [one for key, some in by_extra.items() if canonical(key) == extra for one in some]

    def _names(self, dependencies: Iterable[_Entry]) -> tuple[str, ...]:
        names: set[str] = set()
        for one in self._live(dependencies):
            extras = [canonical(extra) for extra in one.get("extra", ())]
            names.update([f"{one['name']}[{extra}]" for extra in extras] or [one["name"]])
        return tuple(sorted(names))

    def _live(self, dependencies: Iterable[_Entry]) -> Iterator[_Entry]:
        return (one for one in dependencies if "marker" not in one or self._holds(one["marker"]))

    def _entry(self, dependency: _Entry) -> _Entry:
        """Where uv forks over a marker, a package stands there in several versions, and who needs it says which."""
        entries = self.entries[dependency["name"]]
        return next(one for one in entries if dependency.get("version", one["version"]) == one["version"])

    def _holds(self, marker: str) -> bool:
        return holds(marker, self.scope.python, self.scope.platform)


def _hashes(entry: _Entry, scope: Scope) -> tuple[str, ...]:
    """Of the wheels that fit, and of the source where none is sure to fit: an installer takes the wheel then."""
    fitting = [wheel for wheel in entry.get("wheels", ()) if _tags(wheel) & _supported(scope, _NEWEST_GLIBC)]
    files = list(fitting)
    if "sdist" in entry and not any(_tags(wheel) & _supported(scope, _OLDEST_GLIBC) for wheel in fitting):
        files.append(entry["sdist"])
    hashes = {one.get("hash", "") for one in files}
    if not hashes or not all(one.startswith("sha256:") for one in hashes):
        what = "no file that fits" if not hashes else "no sha256"
        raise HubstackError(f"the package index has {what} for {entry['name']} {entry['version']} (Python {scope})")
    return tuple(sorted(one.removeprefix("sha256:") for one in hashes))


def _tags(wheel: _Entry) -> frozenset[tuple[str, str, str]]:
    """Of a wheel's file name (PEP 425, "Compressed Tag Sets")."""
    address: str = wheel.get("url") or wheel.get("path") or wheel["filename"]
    stem = address.rpartition("/")[2].removesuffix(".whl")
    pythons, abis, platforms = (part.split(".") for part in stem.split("-")[-3:])
    return frozenset((python, abi, platform) for python in pythons for abi in abis for platform in platforms)


@cache
def _supported(scope: Scope, glibc: int) -> frozenset[tuple[str, str, str]]:
    """The tags of wheels that run under ``scope`` where glibc is at least 2.``glibc``."""
    from packaging.tags import compatible_tags, cpython_tags

    major, minor = map(int, scope.python.split(".")[:2])
    machine = MACHINES[scope.platform]
    legacy = ("manylinux2014", "manylinux2010", "manylinux1", "linux")
    platforms = [
        *(f"manylinux_2_{one}_{machine}" for one in range(5, glibc + 1)),
        *(f"{one}_{machine}" for one in legacy),
    ]
    interpreter = f"cp{major}{minor}"
    tags = (
        *cpython_tags((major, minor), [interpreter], platforms),
        *compatible_tags((major, minor), interpreter, platforms),
    )
    return frozenset((tag.interpreter, tag.abi, tag.platform) for tag in tags)


# --- its reasons -------------------------------------------------------------------------------------------------------


def explanation(lines: Iterable[str]) -> str:
    """Why there is no resolution, in our words; empty where uv failed over something else.

    uv derives it step by step, often over dozens of releases. Told here is what the layers ask for, and the step before.
    """
    text = " ".join(line.strip() for line in lines)
    if "requirements are unsatisfiable" not in text:
        return ""
    steps = [_step(sentence) for sentence in re.split(r"\b(?:And because|Because) ", text)[1:]]
    first = next((index for index, (premise, _) in enumerate(steps) if PROJECT in premise), len(steps))
    whole = "Because " in text  # else its beginning is cut off: only the tail of what uv says is kept
    before = [premise if whole and first == 1 else conclusion for premise, conclusion in steps[:first][-1:]]
    told = [*before, *(premise for premise, _ in steps[first:])]
    return re.sub(rf"{PROJECT}:([A-Za-z0-9._-]+)", r'layer "\1"', "; ".join(one for one in told if one))


def _step(sentence: str) -> tuple[str, str]:
    """A sentence's premise and conclusion, without what is true of every project and of the one environment."""
    sentence = re.sub(r"has no `[^`]*`-compatible wheels", "has no wheels that fit", sentence)
    premise, _, conclusion = re.split(r"(,?) we can conclude that ", f"{sentence.strip()} we can conclude that ")[:3]
    premise = re.sub(r"(?:^| and )(?:your project requires|only the following versions of) .*", "", premise)
    return premise.strip(" ,."), conclusion.strip(" ,.")


def blamed(lines: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The (layer, package) pairs that uv's reasons name as asking for something."""
    text = " ".join(line.strip() for line in lines)
    pairs = re.findall(rf"{PROJECT}:([A-Za-z0-9._-]+) depends on (?:one of: )?([A-Za-z0-9][A-Za-z0-9._-]*)", text)
    return tuple(dict.fromkeys((layer, canonical(name)) for layer, name in pairs))
