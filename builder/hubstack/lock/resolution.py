"""Which Python packages are asked for together, and what some requirement lines need of the answer.

Packages are resolved once for the whole project and each *scope*: a Python release, a platform, and those values that
requirement files read where they differ from the defaults. A node's scope is decided by its own requirements.txt and
by those below it in the image, so the scope of a lower node never says more than that of one above it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from hubstack.errors import Problem
from hubstack.model import Graph, Kind, Layer, Project, Value
from hubstack.source import Position
from hubstack.value import value_text

DEFAULT_PLATFORM = "linux/amd64"
MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}

_COMMENT = re.compile(r"(?:^|\s+)#.*")  # as pip reads requirement files: a # inside a word belongs to it
_NAME = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[([^\]]*)\])?")
_PLAIN = re.compile(r"[A-Za-z0-9._+,-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonInput:
    """A node's requirements.txt, rendered."""

    node: str
    layer: str
    python: str  # the release in force there, "3.13"; empty: neither the layer nor one below it says which
    platform: str
    lines: tuple[str, ...]  # of the rendered file; comments and empty lines may be among them
    values: Mapping[str, Value] = field(default_factory=dict)  # of the variables that this requirements.txt reads
    positions: tuple[Position, ...] = ()  # of each line; empty: line for line as in layers/LAYER/requirements.txt

    def requirements(self) -> Iterator[tuple[str, Position]]:
        """The lines that ask for something, without comments, and where each stands."""
        for index, line in enumerate(self.lines):
            if asked := _COMMENT.sub("", line).strip():
                yield asked, self._at(index)

    def _at(self, index: int) -> Position:
        if self.positions:
            return self.positions[index]
        return Position(path=f"layers/{self.layer}/requirements.txt", line=index + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A distribution at one version. What it needs are names as a requirement file has them: ``dask``, ``dask[array]``."""

    name: str  # normalised, as are all names here (PEP 503)
    version: str
    needs: tuple[str, ...] = ()
    extras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # those that somebody asked for → what they add
    hashes: tuple[str, ...] = ()  # sha256 of each file that may be installed, in hex, sorted


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """What was asked for, by layer and line for line, and the packages that serve it."""

    requirements: Mapping[str, tuple[str, ...]]
    packages: Mapping[str, Package]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a resolution is for. ``values`` holds (name, value as text), sorted."""

    python: str
    platform: str
    values: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        platform = () if self.platform == DEFAULT_PLATFORM else (self.platform,)
        return " ".join((self.python, *platform, *(f"{name}={value}" for name, value in self.values)))


@dataclass(frozen=True, kw_only=True)
class Request:
    scope: Scope
    requirements: Mapping[str, tuple[str, ...]]  # layer → lines, in the file's order


# --- what is asked for together ----------------------------------------------------------------------------------------


def scopes(project: Project, graph: Graph, inputs: Mapping[str, PythonInput]) -> Mapping[str, Scope]:
    """The scope of every node in ``inputs``."""
    found: dict[str, Scope] = {}
    differing: dict[str, dict[str, str]] = {}  # of all nodes: what differs is handed up to those above
    for node in graph.nodes.values():
        values = {name: text for parent in node.parents for name, text in differing[parent].items()}
        if (asked := inputs.get(node.id)) is not None:
            below = [project.layers[graph.nodes[one].layer] for one in graph.lineage[node.id]]
            values |= {
                name: plain_text(value) for name, value in asked.values.items() if value != _default(name, below)
            }
            found[node.id] = Scope(python=asked.python, platform=asked.platform, values=tuple(sorted(values.items())))
        differing[node.id] = values
    return found


def requests(project: Project, graph: Graph, inputs: Mapping[str, PythonInput]) -> tuple[Request, ...]:
    """Everything to resolve, by Python and platform, a scope without values first.

    A scope's request has the lines of its nodes and of all nodes below them: what is installed on top must fit what is
    there.
    """
    lines: dict[Scope, dict[str, dict[str, None]]] = {}
    asked = {node: dict.fromkeys(line for line, _ in one.requirements()) for node, one in inputs.items()}
    for node, scope in scopes(project, graph, inputs).items():
        if not scope.python:
            continue
        wanted = lines.setdefault(scope, {})
        for below in same_python(graph, inputs, node):
            wanted.setdefault(inputs[below].layer, {}).update(asked[below])
    return tuple(
        Request(scope=scope, requirements={layer: tuple(some) for layer, some in sorted(wanted.items()) if some})
        for scope, wanted in sorted(lines.items(), key=lambda item: _order(item[0]))
        if any(wanted.values())
    )


def same_python(graph: Graph, inputs: Mapping[str, PythonInput], node: str) -> Iterator[str]:
    """The nodes of ``node``'s image up to itself, lowest first, that install into the same Python as it does."""
    python = inputs[node].python
    return (one for one in graph.lineage[node] if one in inputs and inputs[one].python == python)


def required(project: Project, graph: Graph, nodes: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """For each of ``nodes``, those below it that it requires, directly or not, lowest first.

    Bases are required by all that stands on them.
    """
    known: dict[tuple[str, ...], tuple[int, ...]] = {}
    found: dict[str, tuple[str, ...]] = {}
    for node in nodes:
        lineage = graph.lineage[node]
        names = tuple(graph.nodes[one].layer for one in lineage)
        if names not in known:  # many nodes differ in their values alone
            known[names] = _required([project.layers[name] for name in names])
        found[node] = tuple(lineage[index] for index in known[names])
    return found


def _required(layers: list[Layer]) -> tuple[int, ...]:
    """Which of ``layers``, lowest first, the last one requires, by index."""
    wanted = set(layers[-1].requires)
    found: list[int] = []
    for index in range(len(layers) - 2, -1, -1):  # requirements stand below: one pass downwards meets them all
        layer = layers[index]
        if layer.kind is Kind.BASE or not wanted.isdisjoint((layer.name, *layer.provides)):
            wanted.update(layer.requires)
            found.append(index)
    return tuple(reversed(found))


def _default(name: str, layers: list[Layer]) -> Value | None:
    return next((layer.variables[name].default for layer in layers if name in layer.variables), None)


def plain_text(value: Value) -> str:
    """A value in a line of words."""
    text = ",".join(value) if isinstance(value, tuple) else value_text(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)  # a space would start the next one


def _order(scope: Scope) -> tuple[tuple[int, ...], str, tuple[tuple[str, str], ...]]:
    return (tuple(map(int, re.findall(r"\d+", scope.python))), scope.platform, scope.values)


# --- what some lines need ----------------------------------------------------------------------------------------------


def canonical(name: str) -> str:
    """PEP 503, "Normalized Names"."""
    return re.sub(r"[-_.]+", "-", name).lower()


def roots(line: str, scope: Scope) -> tuple[str, ...]:
    """What a requirement that uv has accepted asks for: ``dask[array]`` → ``dask``, ``dask[array]``.

    Nothing, where its marker doesn't hold.
    """
    spec, _, marker = line.partition(";")
    match = _NAME.match(spec)
    if match is None or (marker and not holds(marker, scope.python, scope.platform)):
        return ()
    name = canonical(match[1])
    extras = (canonical(extra.strip()) for extra in (match[2] or "").split(",") if extra.strip())
    return (name, *(f"{name}[{extra}]" for extra in extras))


def closure(resolution: Resolution, wanted: Iterable[str]) -> frozenset[str]:
    """The names of all packages that ``wanted`` needs. Raises KeyError for one that the resolution doesn't have."""
    seen: set[str] = set()
    names: set[str] = set()
    open_ends = list(wanted)
    while open_ends:
        one = open_ends.pop()
        if one in seen:
            continue
        seen.add(one)
        name, _, extra = one.partition("[")
        package = resolution.packages[name]
        if extra:  # an extra that the package hasn't adds nothing, as in every installer
            open_ends.append(name)
            open_ends.extend(package.extras.get(extra[:-1], ()))
        else:
            names.add(name)
            open_ends.extend(package.needs)
    return frozenset(names)


def marker_environment(python: str, platform: str) -> dict[str, str]:
    """All variables of PEP 508, so that nothing of the running machine decides.

    A release without a patch level means its first, as for uv: what is resolved then suits all of them.
    """
    release = [*python.split("."), "0"][:3]
    return {
        "implementation_name": "cpython",
        "implementation_version": ".".join(release),
        "os_name": "posix",
        "platform_machine": MACHINES[platform],
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": ".".join(release),
        "python_version": ".".join(release[:2]),
        "sys_platform": "linux",
        "extra": "",
    }


@cache
def holds(marker: str, python: str, platform: str) -> bool:
    from packaging.markers import Marker

    return Marker(marker).evaluate(marker_environment(python, platform))


def line_problem(line: str, position: Position) -> Problem | None:
    """What keeps a line out of any lock."""
    from packaging.requirements import InvalidRequirement, Requirement

    if line.startswith("-"):
        remedy = "Write packages only; which index is asked is each machine's setting."
        return Problem(position=position, what=f'"{line}" is an option of pip', remedy=remedy)
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        remedy = "Write NAME, NAME[EXTRA], NAME>=VERSION or NAME==4.*; PEP 508 has the rest."
        return Problem(position=position, what=f'"{line}" is not a requirement', remedy=remedy)
    if requirement.url is not None:
        what = f'"{line}" names an address, and the lock holds versions and hashes only'
        return Problem(position=position, what=what, remedy="Name a version that an index has.")
    return None
