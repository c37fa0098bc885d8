"""``hubstack.lock``: everything that moves outside the tree, pinned; and each node's slice of it.

The file is YAML that hubstack writes and that people read as diffs: one package a line; the hashes, which nobody reads,
one package a line below them; Debian's packages, which are many, at the end. A checksum over all below it finds edits and
unlucky merges. No host of a package index or archive is in it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from hubstack.errors import Problem, ProjectError, Severity
from hubstack.lock.generation import DebianDemand, Generation, parse_deb, render_debs
from hubstack.lock.ledger import FIRST, LAST, Account, Ledger
from hubstack.lock.resolution import (
    Package,
    PythonInput,
    Resolution,
    Scope,
    closure,
    line_problem,
    required,
    roots,
    same_python,
    scopes,
)
from hubstack.model import Graph, Pin, Project, Refresh, Revision
from hubstack.reference import Digest
from hubstack.source import Position

LOCK_FILE = "hubstack.lock"
FORMAT = 2
UPDATE = "Run `hubstack update`."

_COMMENT = f"# Written by `hubstack update`, which is also how to change it: {LOCK_FILE} is not for editing.\n"
_HEADER = re.compile(r"(?:#.*\n)*format: (?P<format>[0-9]+)\nchecksum: (?P<checksum>[0-9a-f]{64})\n")
_FORMAT = re.compile(r"^format: ([0-9]+)$", re.MULTILINE)
_HASHES = "\nsha256:\n"
_DEBIAN = "\ndebian:\n"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_Part = TypeVar("_Part", Resolution, Generation)
_CONFLICT = re.compile(r"^(?:<{7} |={7}$|>{7} )", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Lock:
    images: Mapping[str, Digest] = field(default_factory=dict)  # upstream reference, as written
    epochs: Mapping[str, str] = field(default_factory=dict)  # layer → "2026-11-01"
    repositories: Mapping[str, Revision] = field(default_factory=dict)  # by stack
    python: Mapping[str, Resolution] = field(default_factory=dict)  # by the scope's text, "3.13 jupyterlab=4.5"
    ids: Ledger = field(default_factory=dict)  # by the user's or group's name
    debian: Mapping[str, Generation] = field(default_factory=dict)  # by the scope's text, "debian release=trixie"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """An upstream image that a layer names, after its template is rendered."""

    reference: str
    layer: str
    position: Position


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What a tree asks of its lock."""

    project: Project
    graph: Graph
    inputs: Mapping[str, PythonInput] = field(default_factory=dict)  # by node id, for layers with a requirements.txt
    upstream: tuple[Upstream, ...] = ()
    debian: DebianDemand = field(default_factory=DebianDemand)  # what only an update asks for


# --- the file ----------------------------------------------------------------------------------------------------------


def render_lock(lock: Lock) -> str:
    body = "".join(f"{line}\n" for line in _lines(lock))
    return f"{_COMMENT}format: {FORMAT}\nchecksum: {_checksum(body)}\n{body}"


def read_lock(file: Path, *, edited: bool = False) -> Lock:
    """The lock in ``file``, and one that holds nothing where there is none. Raises as ``load_lock`` does."""
    if not file.exists():
        return Lock()
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise _broken(file.name, error.object.count(b"\n", 0, error.start) + 1) from None
    return load_lock(text, file.name, edited=edited)


def load_lock(text: str, path: str = LOCK_FILE, *, edited: bool = False) -> Lock:
    """The lock that ``text`` holds. With ``edited`` a wrong checksum is no fault: `hubstack update` mends it.

    Raises ProjectError for an edited file, for a format that is newer than this hubstack, and for what is no lock.
    """
    text = text.replace("\r\n", "\n")  # git's autocrlf is no edit
    body = _body(text, path, edited=edited)
    try:
        lock = _parse(body)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line if error.problem_mark else 0
        raise _broken(path, text[: len(text) - len(body)].count("\n") + line + 1) from None
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError):
        raise _broken(path, 1) from None
    if not edited and len({account.id for account in lock.ids.values()}) < len(lock.ids):  # an update settles that
        raise _broken(path, 1)
    return lock


def _body(text: str, path: str, *, edited: bool) -> str:
    """What stands below the checksum."""
    if (version := _FORMAT.search(text)) is not None and int(version[1]) > FORMAT:
        what = f"a newer hubstack wrote this lock (format {version[1]}; this one reads {FORMAT})"
        raise _error(path, _line(text, version.start()), what, "Upgrade hubstack.")
    header = _HEADER.match(text)
    body = text[header.end() :] if header else ""
    if header and _checksum(body) == header["checksum"]:
        return body
    if (conflict := _CONFLICT.search(text)) is not None:
        what = "git left the marks of a merge conflict"
        remedy = f"Take either side whole (`git checkout --ours {path}`), then run `hubstack update`."
        raise _error(path, _line(text, conflict.start()), what, remedy)
    if header is None:
        raise _broken(path, 1)
    if not edited:
        what = "its checksum is not that of its text: it was edited, or merged line by line"
        raise _error(path, _line(text, header.start("checksum")), what, UPDATE)
    return body


def _lines(lock: Lock) -> Iterator[str]:
    python, debian = sorted(lock.python.items()), sorted(lock.debian.items())
    yield from _section("images", (f"{json.dumps(name)}: {digest}" for name, digest in sorted(lock.images.items())))
    yield from _section("epochs", (f"{layer}: {epoch}" for layer, epoch in sorted(lock.epochs.items())))
    revisions = (line for item in sorted(lock.repositories.items()) for line in _revision_lines(*item))
    yield from _section("repositories", revisions)
    yield from _section("ids", (_id_line(name, account) for name, account in sorted(lock.ids.items())))
    yield from _section("python", _scoped(python, _resolution_lines))
    yield from _section("sha256", _scoped(python, _hash_lines))
    yield from _section("debian", _scoped(debian, render_debs))


def _section(name: str, lines: Iterable[str]) -> Iterator[str]:
    """Nothing, where it would be empty."""
    body = [f"  {line}" for line in lines]
    return iter([f"\n{name}:", *body] if body else [])


def _scoped(parts: Iterable[tuple[str, _Part]], lines: Callable[[_Part], Iterable[str]]) -> Iterator[str]:
    for scope, part in parts:
        yield f"{json.dumps(scope, ensure_ascii=False)}:"
        yield from (f"  {line}" for line in lines(part))


def _revision_lines(stack: str, revision: Revision) -> Iterator[str]:
    yield f"{stack}:"
    yield f"  url: {json.dumps(revision.url)}"
    yield f"  ref: {json.dumps(revision.ref)}"
    yield f"  commit: {json.dumps(revision.commit)}"


def _hash_lines(resolution: Resolution) -> Iterator[str]:
    return (f"{name}: {' '.join(one.hashes)}" for name, one in sorted(resolution.packages.items()))


def _id_line(name: str, account: Account) -> str:
    return f"{name} {account.id}: {' '.join(account.layers)}".rstrip()


def _resolution_lines(resolution: Resolution) -> Iterator[str]:
    yield "requirements:"
    for layer, lines in sorted(resolution.requirements.items()):
        yield f"  {layer}:"
        yield from (f"  - {json.dumps(line, ensure_ascii=False)}" for line in lines)
    yield "packages:"
    for _, package in sorted(resolution.packages.items()):
        yield f"  {package.name} {package.version}: {' '.join(package.needs)}".rstrip()
        for extra, added in sorted(package.extras.items()):
            yield f"  {package.name}[{extra}]: {' '.join(added)}".rstrip()


def _parse(body: str) -> Lock:
    """Hashes and Debian's packages, nine tenths of a lock, are split line by line: the YAML parser looks at every letter,
    in ten times the time.
    """
    text, _, debian = body.partition(_DEBIAN)
    text, _, rest = text.partition(_HASHES)
    tree = yaml.load(text, Loader=yaml.CBaseLoader) or {}  # noqa: S506 - it makes text, lists and dicts only
    hashes = _hashes(rest)
    return Lock(
        images={name: Digest(digest) for name, digest in tree.get("images", {}).items()},
        epochs=dict(tree.get("epochs", {})),
        repositories={stack: _revision(**part) for stack, part in tree.get("repositories", {}).items()},
        python={scope: _resolution(part, hashes[scope]) for scope, part in tree.get("python", {}).items()},
        ids=_ledger(tree.get("ids", {})),
        debian={scope: tuple(map(parse_deb, lines)) for scope, lines in _scopes(debian).items()},
    )


def _ledger(tree: Mapping[str, str]) -> Ledger:
    found = [_account(*item) for item in tree.items()]
    if len(ledger := dict(found)) < len(found):
        raise ValueError("a name stands twice")
    return ledger


def _account(key: str, layers: str) -> tuple[str, Account]:
    name, number = key.split(" ")
    if not FIRST <= int(number) <= LAST:
        raise ValueError(f"not an id of the ledger's: {number}")
    return name, Account(id=int(number), layers=tuple(layers.split()))


def _revision(*, url: str, ref: str, commit: str) -> Revision:
    if _COMMIT.fullmatch(commit) is None:
        raise ValueError(f"not a commit: {commit!r}")
    return Revision(url=url, ref=ref, commit=commit)


def _hashes(text: str) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """For each scope and package."""
    return {scope: dict(map(_package_hashes, lines)) for scope, lines in _scopes(text).items()}


def _package_hashes(line: str) -> tuple[str, tuple[str, ...]]:
    name, _, some = line.partition(": ")
    return name, tuple(some.split())


def _scopes(text: str) -> Mapping[str, list[str]]:
    """The lines below each scope."""
    found: dict[str, list[str]] = {}
    here: list[str] = []
    for line in text.splitlines():
        if line.startswith("    "):
            here.append(line.strip())
        else:
            here = found.setdefault(json.loads(line.strip().removesuffix(":")), [])
    return found


def _resolution(tree: dict[str, Any], hashes: Mapping[str, tuple[str, ...]]) -> Resolution:
    packages: dict[str, Package] = {}
    extras: dict[str, dict[str, tuple[str, ...]]] = {}
    for key, text in tree["packages"].items():
        name, _, version = key.partition(" ")
        needs = tuple(text.split())
        if version:
            some = extras.setdefault(name, {})
            packages[name] = Package(name=name, version=version, needs=needs, extras=some, hashes=hashes[name])
        else:
            name, _, extra = key.partition("[")
            extras.setdefault(name, {})[extra.removesuffix("]")] = needs
    requirements = {layer: tuple(lines) for layer, lines in tree["requirements"].items()}
    return Resolution(requirements=requirements, packages=packages)


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def _broken(path: str, line: int) -> ProjectError:
    return _error(path, line, "this is no lock that hubstack wrote", f"Restore it from git, or delete it. {UPDATE}")


def _error(path: str, line: int, what: str, remedy: str) -> ProjectError:
    return ProjectError([Problem(position=Position(path=path, line=line), what=what, remedy=remedy)])


# --- slices ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Slices:
    """Each node's own part of the lock, for nodes with a requirements.txt; and what the lock doesn't have."""

    pins: Mapping[str, tuple[Pin, ...]]  # by name; empty where something is missing
    scopes: Mapping[str, Scope]
    problems: tuple[Problem, ...]


def pins_for(project: Project, graph: Graph, lock: Lock, inputs: Mapping[str, PythonInput]) -> Slices:
    """What each node installs: all that its lines need and the nodes it requires don't bring already.

    Where the scope changes on the way up, a node also brings what the packages below it are in its own scope, so that
    an image never holds two halves of different resolutions.
    """
    slicer = _Slicer(lock, inputs, scopes(project, graph, inputs))
    needed = required(project, graph, inputs)
    for node in graph.nodes:  # parents first: a slice is what is left over by those below
        if node in inputs:
            slicer.cut(node, needed[node], tuple(same_python(graph, inputs, node)))
    return Slices(pins=slicer.pins, scopes=slicer.scopes, problems=tuple(dict.fromkeys(slicer.problems)))


_Item = tuple[str, str]  # a package's name and version


class _Slicer:
    def __init__(self, lock: Lock, inputs: Mapping[str, PythonInput], scopes: Mapping[str, Scope]) -> None:
        self.scopes = scopes
        self.pins: dict[str, tuple[Pin, ...]] = {}
        self.problems: list[Problem] = []
        self._lock = lock
        self._inputs = inputs
        self._items: dict[str, frozenset[_Item]] = {}  # the slices again, as sets
        self._closures: dict[tuple[Scope, str, tuple[str, ...]], frozenset[_Item]] = {}
        self._pins: dict[tuple[Scope, _Item], Pin] = {}

    def cut(self, node: str, needed: tuple[str, ...], lineage: tuple[str, ...]) -> None:
        """``needed`` are the nodes below that it requires, ``lineage`` all with its Python, itself last."""
        scope = self.scopes[node]
        here = [one for one in lineage if one != node]
        try:
            own = set(self._closure(scope, node))
            own.difference_update(*(self._items[one] for one in needed if one in here))
            if any(self.scopes[one] != scope for one in here):
                own |= self._moved(scope, here)
        except _MissingError as error:
            self.problems += error.problems
            own = set()
        self._items[node] = frozenset(own)
        self.pins[node] = tuple(self._pin(scope, item) for item in sorted(own))

    def _moved(self, scope: Scope, below: Iterable[str]) -> set[_Item]:
        """What the lines below need in this scope, and what is installed there is other or not there."""
        installed = dict(item for one in below for item in self._items[one])
        wanted = frozenset[_Item]().union(*(self._closure(scope, one) for one in below))
        return {(name, version) for name, version in wanted if installed.get(name) != version}

    def _closure(self, scope: Scope, node: str) -> frozenset[_Item]:
        asked = self._inputs[node]
        key = (scope, asked.layer, asked.lines)
        if key not in self._closures:
            lines = tuple(asked.requirements())
            problems = _missing(self._lock, scope, asked.layer, lines)
            if problems:
                raise _MissingError(problems)
            self._closures[key] = self._resolved(scope, [line for line, _ in lines])
        return self._closures[key]

    def _resolved(self, scope: Scope, lines: list[str]) -> frozenset[_Item]:
        if not lines:
            return frozenset()
        resolution = self._lock.python[str(scope)]
        names = closure(resolution, (root for line in lines for root in roots(line, scope)))
        return frozenset((name, resolution.packages[name].version) for name in names)

    def _pin(self, scope: Scope, item: _Item) -> Pin:
        if (scope, item) not in self._pins:
            package = self._lock.python[str(scope)].packages[item[0]]
            hashes = tuple(f"sha256:{one}" for one in package.hashes)
            self._pins[scope, item] = Pin(name=package.name, version=package.version, hashes=hashes)
        return self._pins[scope, item]


class _MissingError(Exception):
    def __init__(self, problems: Iterable[Problem]) -> None:
        super().__init__()
        self.problems = tuple(problems)


def _missing(lock: Lock, scope: Scope, layer: str, lines: tuple[tuple[str, Position], ...]) -> tuple[Problem, ...]:
    """Why some lines can't be cut from the lock; nothing when they can."""
    if not lines:
        return ()
    first = lines[0][1]
    if not scope.python:
        what = f'neither "{layer}" nor a layer below it says for which Python it is'
        return (Problem(position=first, what=what, remedy="Write `python:` in the layer.yaml that brings Python."),)
    resolution = lock.python.get(str(scope))
    known = {line for some in resolution.requirements.values() for line in some} if resolution else set()
    faults = [(line, at, line_problem(line, at)) for line, at in lines if line not in known]
    if resolution is None and not any(fault for *_, fault in faults):
        return (Problem(position=first, what=f"{LOCK_FILE} has no packages for Python {scope}", remedy=UPDATE),)
    return tuple(
        fault or Problem(position=at, what=f'"{line}" is not in {LOCK_FILE}', remedy=UPDATE)
        for line, at, fault in faults
    )


def missing(project: Project, lock: Lock, upstream: Iterable[Upstream]) -> tuple[Problem, ...]:
    """Upstream images without a digest and layers without an epoch. What only drafts ask for is a warning."""
    images = (
        (one.layer, one.position, f"{one.reference} has no digest in {LOCK_FILE}")
        for one in upstream
        if "@" not in one.reference and one.reference not in lock.images
    )
    epochs = (
        (layer.name, layer.source.at("refresh"), f'"{layer.name}" has no epoch in {LOCK_FILE}')
        for layer in project.layers.values()
        if layer.refresh is not Refresh.NEVER and layer.name not in lock.epochs
    )
    return tuple(
        Problem(
            position=position,
            what=what,
            remedy=UPDATE,
            severity=Severity.WARNING if project.layers[layer].draft else Severity.ERROR,
        )
        for layer, position, what in (*images, *epochs)
    )
