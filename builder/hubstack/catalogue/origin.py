"""Which layer brings a package: as near as what is recorded of an image and of those below it can say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hubstack.catalogue.version import DEBIAN, NPM, PYTHON, R
from hubstack.model import Rendered
from hubstack.record import Record, is_merge

_INSTALLS = {
    DEBIAN: re.compile(r"\bapt-get\s+install\b((?:[^\n]*\\\n)*[^\n]*)"),
    NPM: re.compile(r"\bnpm\s+(?:install|i)\b((?:[^\n]*\\\n)*[^\n]*)"),
}
_NAMES = {
    DEBIAN: re.compile(r"([a-z0-9][a-z0-9+.-]+)(?:[:=/]\S+)?"),
    NPM: re.compile(r"((?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*)@\S+"),
}
_MOST_LAYERS = 2  # that are named one by one
_CONDA = re.compile(
    r"^\s*- *[\"']?([A-Za-z0-9][A-Za-z0-9_.-]*)", re.MULTILINE
)  # what channels are called is no package's name
_INSTALL_R = re.compile(r"\binstall\.packages\(([^)]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """What a layer asks for by name, as its node is rendered: package manager → names."""

    names: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def asks(self, manager: str, name: str) -> bool:
        return name in self.names.get(manager, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """``layers``: the one that brings the package; several, one on the other, where nothing says which of them does."""

    layers: tuple[str, ...]
    asked: bool  # by its name; else something that was asked for needs it

    @property
    def text(self) -> str:
        if len(self.layers) > _MOST_LAYERS:
            return f"one of {self.layers[0]} … {self.layers[-1]}"
        return " or ".join(self.layers)


def lists(rendered: Rendered, requirements: Iterable[str]) -> Lists:
    """``requirements`` are the lines of the layer's requirements.txt."""
    from packaging.requirements import InvalidRequirement, Requirement

    names = {manager: set(_named(manager, rendered.dockerfile)) for manager in _INSTALLS}
    names[DEBIAN] |= set(rendered.bootstrap.include) if rendered.bootstrap else set()
    files = {file.path: file.content.decode(errors="replace") for file in rendered.context}
    conda = set(_CONDA.findall(files.get("environment.yml", "")))
    names[PYTHON] = {canonical(PYTHON, name) for name in conda}
    names[R] = {name.removeprefix("r-") for name in conda if name.startswith("r-")}
    for call in _INSTALL_R.findall(files.get("install.R", "")):
        names[R].update(re.findall(r"""["']([A-Za-z][A-Za-z0-9.]*)["']""", call))
    for line in requirements:
        try:
            names[PYTHON].add(canonical(PYTHON, Requirement(line).name))
        except InvalidRequirement:
            continue  # what is wrong with it, `hubstack check` says
    return Lists(names={manager: frozenset(some) for manager, some in names.items()})


def _named(manager: str, dockerfile: str) -> Iterable[str]:
    calls = (re.split(r"[&;|]", call.replace("\\\n", " "))[0] for call in _INSTALLS[manager].findall(dockerfile))
    words = (word for call in calls for word in call.split())
    return (match[1] for word in words if (match := _NAMES[manager].fullmatch(word)) is not None)


def canonical(manager: str, name: str) -> str:
    """The one spelling of a name by which its manager tells packages apart."""
    return re.sub(r"[-_.]+", "-", name).lower() if manager == PYTHON else name


def layer_of(record: Record) -> str:
    return record.node.rpartition("-")[0] or record.node


@dataclass(frozen=True, kw_only=True)
class Origins:
    """Of the packages of one image. ``lineage`` holds its record last and those below it, lowest first."""

    lineage: Sequence[Record]
    lists: Mapping[str, Lists]  # by node id, of the tree as it stands
    _pins: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    _names: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, lineage: Sequence[Record], lists: Mapping[str, Lists]) -> Origins:
        return cls(lineage=lineage, lists=lists, _pins={one.node: pins(one) for one in lineage})

    def find(self, manager: str, name: str, version: str) -> Origin:
        """By the slices of the lock; else whoever asks for it among those that can have brought it; else all of these."""
        packaged = f"r-cran-{name.lower()}"
        if manager == R and self.lineage and packaged in self._packages(self.lineage[-1], DEBIAN):
            manager, name = DEBIAN, packaged  # R lists what Debian installs, too
        name = canonical(manager, name)
        asking = [one for one in self.lineage if self._asks(one, manager, name)]
        if manager == DEBIAN and (bringing := [one for one in self.lineage if name in debs(one)]):
            return Origin(layers=(layer_of(bringing[0]),), asked=bool(asking))
        pinning = [one for one in self.lineage if manager == PYTHON and name in self._pins[one.node]]
        exact = [one for one in pinning if self._pins[one.node][name] == version]
        between = self._between(manager, name)
        near = [one for one in asking if one in between]
        found = exact[:1] or pinning[:1] or near[:1] or between or asking[:1]
        return Origin(layers=tuple(layer_of(one) for one in found), asked=bool(asking))

    def _asks(self, record: Record, manager: str, name: str) -> bool:
        return record.node in self.lists and self.lists[record.node].asks(manager, name)

    def _packages(self, record: Record, manager: str) -> frozenset[str]:
        key = (record.node, manager)
        if key not in self._names:
            self._names[key] = frozenset(canonical(manager, one) for one in record.packages.get(manager, ()))
        return self._names[key]

    def _between(self, manager: str, name: str) -> list[Record]:
        """Above the last image that hasn't got it, up to the first that has; only images that people choose list any."""
        if any(is_merge(one) for one in self.lineage):
            return []  # layers stand beside each other: none is above another only for being named after it
        start = 0
        for number, record in enumerate(self.lineage):
            if not record.packages:
                continue
            if name in self._packages(record, manager):
                return list(self.lineage[start : number + 1])
            start = number + 1
        return []


def debs(record: Record) -> frozenset[str]:
    """The Debian packages that the lock says the layer is the first to bring."""
    return frozenset(fact.name for fact in record.facts if fact.kind == "deb")


def pins(record: Record) -> Mapping[str, str]:
    """The layer's slice of the lock as it was built: distribution → version."""
    return {canonical(PYTHON, fact.name): fact.value.partition(" ")[0] for fact in record.facts if fact.kind == "pin"}
