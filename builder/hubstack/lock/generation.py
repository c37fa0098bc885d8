"""Generations of Debian's archive: what apt would have installed when somebody last asked, and each node's part of that.

A generation is of one base and its values. It has one line a package: version, and the layers that bring it. A node's
slice is what its layer brings and the nodes below it don't. Builds install what the archive has on their day; a slice is
there so that a new version builds the layers that install it, and no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from hubstack.lock.resolution import DEFAULT_PLATFORM, plain_text
from hubstack.model import Bootstrap, Graph, Node, Project
from hubstack.source import Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Deb:
    """A binary package at one version. ``bringers`` are sorted: see :func:`bringer`."""

    name: str
    version: str
    bringers: tuple[str, ...]


Generation: TypeAlias = tuple[Deb, ...]
"""By name and version. A name has two versions where a layer asks for one by number."""

Reads: TypeAlias = Mapping[str, frozenset[str]]
"""Layer with an apt.txt → the variables that it reads."""

Item: TypeAlias = tuple[str, str]  # a package's name and version


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianInput:
    """What a node asks of Debian: a whole base, or the lines of its apt.txt without comments."""

    bootstrap: Bootstrap | None = None
    lines: tuple[str, ...] = ()
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianDemand:
    """By node id. ``reads`` says of which values a layer's lines may depend."""

    inputs: Mapping[str, DebianInput] = field(default_factory=dict)
    reads: Reads = field(default_factory=dict)


def scope(project: Project, node: Node) -> str:
    """What has a generation of its own: ``debian release=trixie``."""
    declared = project.layers[node.base].variables
    platform = () if node.platform == DEFAULT_PLATFORM else (node.platform,)
    return " ".join((node.base, *platform, *_values(node, declared)))


def bringer(project: Project, node: Node, reads: Reads) -> str:
    """Who brings a package, within one scope: ``git``, or ``latex[latex_extra=german]`` where its apt.txt reads that."""
    own = reads.get(node.layer, frozenset()) - project.layers[node.base].variables.keys()
    values = ";".join(_values(node, own)).replace(" ", "\\u0020")  # as JSON, which a value with a space is in
    return f"{node.layer}[{values}]" if values else node.layer


def _values(node: Node, names: Iterable[str]) -> Iterator[str]:
    return (f"{name}={plain_text(node.values[name])}" for name in sorted(names) if name in node.values)


def debs_for(
    project: Project, graph: Graph, generations: Mapping[str, Generation], reads: Reads
) -> Mapping[str, Mapping[str, str]]:
    """Each node's slice: package → version. Only nodes that have one."""
    if not generations:
        return {}
    brought = {name: by_bringer(generation) for name, generation in generations.items()}
    items = {
        node.id: brought.get(scope(project, node), {}).get(bringer(project, node, reads), frozenset())
        for node in graph.nodes.values()
    }
    slices = {
        node: dict(sorted(own.difference(*(items[one] for one in graph.lineage[node][:-1]))))
        for node, own in items.items()
    }
    return {node: slice_ for node, slice_ in slices.items() if slice_}


def by_bringer(generation: Generation) -> Mapping[str, frozenset[Item]]:
    """From packages to who brings them."""
    found: dict[str, set[Item]] = {}
    for deb in generation:
        for one in deb.bringers:
            found.setdefault(one, set()).add((deb.name, deb.version))
    return {one: frozenset(items) for one, items in found.items()}


def generation(brought: Mapping[str, Iterable[Item]]) -> Generation:
    """From who brings what to packages: the inverse of :func:`by_bringer`."""
    found: dict[Item, list[str]] = {}
    for one in sorted(brought):
        for item in brought[one]:
            found.setdefault(item, []).append(one)
    return tuple(
        Deb(name=name, version=version, bringers=tuple(bringers)) for (name, version), bringers in sorted(found.items())
    )


# --- in the lock -------------------------------------------------------------------------------------------------------


def render_debs(debs: Generation) -> Iterator[str]:
    return (f"{deb.name} {deb.version}: {' '.join(deb.bringers)}" for deb in debs)


def parse_deb(line: str) -> Deb:
    """Raises ValueError. A version may hold a colon, but none before a space."""
    package, _, bringers = line.partition(": ")
    name, version = package.split(" ")
    return Deb(name=name, version=version, bringers=tuple(bringers.split()))
