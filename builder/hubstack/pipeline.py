"""files → parse → model → graph → render → fingerprint: what every verb needs before it does anything.

Pure: the project and the lock are given. See :mod:`hubstack.plan` for the arrow that follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from hubstack.errors import Problem, ProjectError, Severity, UsageError
from hubstack.fingerprint import HARNESS, Identity, fingerprints, test_fingerprint
from hubstack.graph import needed, resolve
from hubstack.graph.select import Selection, select
from hubstack.lock import Demand, Lock, Upstream, missing, pins_for
from hubstack.lock.generation import DebianDemand, DebianInput, Reads, debs_for
from hubstack.lock.ledger import ids_for
from hubstack.lock.repository import missing_revision, revision_of
from hubstack.lock.resolution import PythonInput
from hubstack.model import Graph, Image, Layer, Method, Project, Rendered
from hubstack.names import Names
from hubstack.plan import Known, Plan, make_plan, over_platforms
from hubstack.reference import Digest, Fingerprint, ImageRef
from hubstack.refresh import with_rebases
from hubstack.render import APT, render_debian, render_leniently, render_requirements, upstream_images
from hubstack.render.locked import with_slices
from hubstack.render.template import variables_read
from hubstack.source import Position

_UNKNOWN = Digest("sha256:" + "0" * 64)  # stands for an upstream image that the lock doesn't have


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Everything that is known of the selected nodes, and of those below them, before anything is asked or built."""

    project: Project
    graph: Graph
    selection: Selection
    rendered: Mapping[str, Rendered]
    identities: Mapping[str, Identity]
    offered: frozenset[str]  # nodes that people can choose: the hub test is for them
    blocked: Mapping[str, str]  # node id → why it can't be built
    tried: frozenset[str] = frozenset()  # nodes that nobody chooses, and that have to pass all their layers' tests
    warnings: tuple[Problem, ...] = ()

    def layers(self, node: str) -> list[Layer]:
        """The layers in a node's image, lowest first."""
        return [self.project.layers[self.graph.nodes[one].layer] for one in self.graph.lineage[node]]

    def tested_layers(self, node: str) -> list[Layer]:
        """The layers whose tests a node's image has to pass, lowest first: all where people can choose it, or where it is
        tried, else its own.
        """
        layers = self.layers(node)
        own = [] if self.graph.nodes[node].is_merge else layers[-1:]
        return layers if node in self.offered | self.tried else own

    @cached_property
    def tests(self) -> Mapping[str, str]:
        """The test fingerprints, by node id."""
        return {
            node: test_fingerprint(self.tested_layers(node), node in self.offered, HARNESS) for node in self.identities
        }

    def sources(self, node: str) -> Mapping[str, str]:
        """The project's files behind a node; none of its own has a merge."""
        return self.rendered[node].sources if node in self.rendered else {}

    def fingerprint(self, node: str) -> Fingerprint:
        return self.identities[node].fingerprint

    def published(self, names: Names, image: Image) -> ImageRef:
        """The immutable name under which ``image`` is offered, as a plan says it."""
        return names.published(image.variant.stack, image.variant.name, self._joint[image.variant.id])

    @cached_property
    def _joint(self) -> Mapping[str, Fingerprint]:
        return over_platforms((one for one in self.graph.images if one.node in self.identities), self.fingerprint)

    @cached_property
    def merging(self) -> frozenset[str]:
        """The nodes of stacks whose layers are merged, and those of no stack where the project's are."""
        merged = frozenset(self._of(Method.MERGE))
        if self.project.settings.assembly is Method.CHAIN:
            return merged
        return merged.union(self.graph.nodes.keys() - self._of(Method.CHAIN))

    def _of(self, method: Method) -> Sequence[str]:
        of_stack = {name: self.project.method(stack) for name, stack in self.project.stacks.items()}
        images = (image for image in self.graph.images if of_stack[image.variant.stack] is method)
        return needed(self.graph, (image.node for image in images))

    def on(self, platform: str) -> Inputs:
        """Only what is for ``platform``, if that is one of the project's. Raises UsageError where nothing is left."""
        platforms = self.project.settings.platforms
        if platform not in platforms or len(platforms) == 1:
            return self
        nodes = tuple(one for one in self.selection.nodes if self.graph.nodes[one].platform == platform)
        if not nodes and self.selection.nodes:
            raise UsageError(f"{self.selection.nodes[0]} is not for {platform}, which this machine is")
        images = tuple(one for one in self.graph.images if one.platform == platform)
        selected = {image.variant.id for image in self.selection.images}
        chosen = Selection(nodes=nodes, images=tuple(one for one in images if one.variant.id in selected))
        return replace(self, graph=replace(self.graph, images=images), selection=chosen)

    def locked(self, distribution: str) -> Mapping[tuple[str, str], str]:
        """(stack, variant) → the version of a Python distribution that the lock gives the image, where it gives any."""
        return {
            (image.variant.stack, image.variant.name): pin.version
            for image in self.selection.images
            for node in self.graph.lineage[image.node]
            for pin in self.rendered[node].pins
            if pin.name == distribution
        }

    def plan(self, known: Known | None, *, rebase: bool | None = None) -> Plan:
        """``rebase``: whether nodes may be moved instead of built; None: those of stacks whose layers are merged.

        An image of several platforms is planned, and so published, with all of them, whichever one is selected.
        """
        variants = {image.variant.id for image in self.selection.images}
        images = [image for image in self.graph.images if image.variant.id in variants]
        sources = {node: self.sources(node) for node in self.identities}
        plan = make_plan(
            self.graph,
            self.identities,
            self.tests,
            targets=dict.fromkeys((*self.selection.nodes, *(image.node for image in images))),
            images=images,
            known=known,
            sources=sources,
            blocked=self.blocked,
        )
        if rebase is False or known is None:
            return plan
        nodes = self.graph.nodes.keys() if rebase else self.merging
        return with_rebases(plan, self.identities, sources, known.recorded, nodes)


def demand(project: Project, graph: Graph) -> Demand:
    """What the whole tree asks of the lock. Raises ProjectError."""
    read = {
        layer.name: variables_read(file.content.decode(), _declared(project))
        for layer in project.layers.values()
        if (file := layer.files.get("requirements.txt")) is not None
    }
    inputs = {}
    for node, asked in render_requirements(project, graph).items():
        one = graph.nodes[node]
        inputs[node] = PythonInput(
            node=node,
            layer=one.layer,
            python=asked.python,
            platform=one.platform,
            lines=tuple(line for line, _ in asked.lines),
            values={name: value for name, value in one.values.items() if name in read[one.layer]},
            positions=tuple(position for _, position in asked.lines),
        )
    folders = {layer.folder: layer.name for layer in project.layers.values()}
    upstream = tuple(
        Upstream(reference=reference, layer=folders[position.path.rpartition("/")[0]], position=position)
        for reference, position in upstream_images(project, graph).items()
    )
    return Demand(project=project, graph=graph, inputs=inputs, upstream=upstream)


def apt_reads(project: Project) -> Reads:
    """The variables that each layer's apt.txt reads."""
    files = {layer.name: layer.files[APT] for layer in project.layers.values() if APT in layer.files}
    return {
        name: variables_read(file.content.decode(errors="replace"), _declared(project)) for name, file in files.items()
    }


def _declared(project: Project) -> frozenset[str]:
    return frozenset[str]().union(*(layer.variables for layer in project.layers.values()))


def debian_demand(project: Project, graph: Graph) -> DebianDemand:
    """What the whole tree asks of Debian's archive. Raises ProjectError."""
    inputs = {}
    for node, asked in render_debian(project, graph).items():
        layer = project.layers[graph.nodes[node].layer]
        file = Position(path=f"{layer.folder}/{APT}")
        inputs[node] = DebianInput(
            bootstrap=asked.bootstrap,
            lines=asked.lines,
            position=file if asked.bootstrap is None else layer.source.key("bootstrap"),
        )
    return DebianDemand(inputs=inputs, reads=apt_reads(project))


def prepare(project: Project, lock: Lock, terms: Sequence[str], *, drafts: bool = False) -> Inputs:
    """What the selected nodes are made of. Raises ProjectError with all faults, UsageError for ``terms``."""
    graph = resolve(project)
    selection = select(project, graph, terms, drafts=drafts)
    return prepare_nodes(project, lock, graph, selection)


def prepare_nodes(project: Project, lock: Lock, graph: Graph, selection: Selection) -> Inputs:
    nodes = needed(graph, selection.nodes)
    asked = demand(project, graph)
    used = {graph.nodes[node].layer for node in nodes if not graph.nodes[node].is_merge}
    slices = pins_for(project, graph, lock, {node: asked.inputs[node] for node in nodes if node in asked.inputs})
    unlocked = {
        one.reference for one in asked.upstream if "@" not in one.reference and one.reference not in lock.images
    }
    problems = [*slices.problems, *(one for one in missing(project, lock, asked.upstream) if _layer_of(one) in used)]
    repositories = [project.layers[name] for name in sorted(used) if project.layers[name].repository is not None]
    revisions = {one.name: found for one in repositories if (found := revision_of(one, lock)) is not None}
    uncommitted = {one.name: missing_revision(one) for one in repositories if one.name not in revisions}
    problems += uncommitted.values()
    rendered, faults = render_leniently(
        project,
        graph,
        pins=slices.pins,
        images={**lock.images, **dict.fromkeys(unlocked, _UNKNOWN)},
        revisions=revisions,
        nodes=nodes,
    )
    debs = debs_for(project, graph, lock.debian, apt_reads(project))
    rendered = {
        node: with_slices(one, debs.get(node, {}), ids_for(graph.nodes[node].layer, lock.ids))
        for node, one in rendered.items()
    }
    problems += faults
    if any(one.severity is Severity.ERROR for one in problems):
        raise ProjectError(problems)
    return Inputs(
        project=project,
        graph=graph,
        selection=selection,
        rendered=rendered,
        identities=fingerprints(graph, rendered, lock.epochs),
        offered=frozenset(image.node for image in graph.images),
        blocked=_blocked(nodes, rendered, unlocked)
        | {node: f"{one.what}. {one.remedy}" for node in nodes if (one := uncommitted.get(graph.nodes[node].layer))},
        warnings=tuple(problems),
    )


def _layer_of(problem: Problem) -> str:
    return problem.position.path.split("/")[1]  # layers/NAME/… or base/NAME/…


def _blocked(nodes: Iterable[str], rendered: Mapping[str, Rendered], unlocked: set[str]) -> dict[str, str]:
    return {
        node: f"{reference} is not in hubstack.lock"
        for node in nodes
        if node in rendered
        for reference in sorted(unlocked.intersection(rendered[node].upstream))[:1]
    }
