"""(project, graph, lock) → what each node is built from.

Templates are rendered in one child process (``fork``), once for each layer and set of values that it sees; this process
puts the results together with the files that are no templates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hubstack.errors import Problem, ProjectError, Severity
from hubstack.model import Graph, Kind, Layer, Node, Pin, Project, Rendered, Revision, SourceFile, Value
from hubstack.reference import Digest
from hubstack.render.compose import DOCKERFILE, Answer, Composed, Composer, DebianAnswer, Job, is_plain_file
from hubstack.render.fork import Bounds, Step, bounded
from hubstack.render.packages import FILES, SCRIPTS, script
from hubstack.render.repository import render_repository
from hubstack.render.template import MACROS
from hubstack.source import Position

REQUIREMENTS = "requirements.txt"
APT = "apt.txt"
_MOST_OVERRUNS = 5  # each takes seconds to notice
_Result = TypeVar("_Result")
_Answer = TypeVar("_Answer", Answer, DebianAnswer)
_Key = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedPackages:
    """What a node asks of PyPI: its requirements' lines without comments, and the Python release to resolve them for.

    ``python`` is empty where no layer at or below the node says which Python it brings.
    """

    python: str
    lines: tuple[tuple[str, Position], ...]


def render(
    project: Project,
    graph: Graph,
    *,
    pins: Mapping[str, tuple[Pin, ...]],
    images: Mapping[str, Digest],
    nodes: Iterable[str] | None = None,
    bounds: Bounds | None = None,
) -> Mapping[str, Rendered]:
    """By node id, in the graph's order. ``pins`` are the nodes' slices of the lock, ``images`` its upstream digests by
    reference as the project writes it. Raises ProjectError with the faults of all layers.
    """
    rendered, problems = render_leniently(project, graph, pins=pins, images=images, nodes=nodes, bounds=bounds)
    if any(one.severity is Severity.ERROR for one in problems):
        raise ProjectError(problems)
    return rendered


def render_leniently(
    project: Project,
    graph: Graph,
    *,
    pins: Mapping[str, tuple[Pin, ...]],
    images: Mapping[str, Digest],
    revisions: Mapping[str, Revision] | None = None,
    nodes: Iterable[str] | None = None,
    bounds: Bounds | None = None,
) -> tuple[Mapping[str, Rendered], tuple[Problem, ...]]:
    """What could be rendered, and every fault and warning. ``revisions`` are the lock's, by stack."""
    wanted = set(graph.nodes if nodes is None else nodes)
    repositories = {name for name, layer in project.layers.items() if layer.kind is Kind.REPOSITORY}
    layers = [one for one in graph.nodes.values() if one.id in wanted and not one.is_merge]
    chosen = [one for one in layers if one.layer not in repositories]
    jobs = {node.id: _job(project, node, pins=bool(pins.get(node.id))) for node in chosen}
    composer = Composer(project, images)
    composed, problems = _all_bounded(composer.compose, jobs, bounds or Bounds())
    problems += composer.check()
    files = _Files(project)
    rendered = {}
    for node in chosen:
        if (one := composed.get(_key(jobs[node.id]))) is not None:
            problems += one.problems
            if one.dockerfile:
                rendered[node.id] = files.rendered(node, one, pins.get(node.id, ()), images)
    for node in layers:
        if node.layer in repositories:
            rendered[node.id] = render_repository(project.layers[node.layer], (revisions or {}).get(node.layer))
    return {node: rendered[node] for node in graph.nodes if node in rendered}, tuple(dict.fromkeys(problems))


def render_requirements(
    project: Project, graph: Graph, *, bounds: Bounds | None = None
) -> Mapping[str, RenderedPackages]:
    """For each node whose layer has a requirements.txt. Raises ProjectError."""
    layers = [node for node in graph.nodes.values() if not node.is_merge]
    asking = [node for node in layers if REQUIREMENTS in project.layers[node.layer].files]
    bringing = {node.id: _bringing_python(project, graph, node) for node in asking}
    wanted = asking + [node for node in bringing.values() if node is not None]
    answers = _inquire(project, wanted, bounds or Bounds(), Composer(project, {}).inquire)
    return {
        node.id: RenderedPackages(
            python=answers[source.id].python if (source := bringing[node.id]) is not None else "",
            lines=answers[node.id].requirements,
        )
        for node in asking
    }


def render_debian(project: Project, graph: Graph, *, bounds: Bounds | None = None) -> Mapping[str, DebianAnswer]:
    """For each node whose layer has an apt.txt or is a base with ``bootstrap``. Raises ProjectError."""
    layers = [(node, project.layers[node.layer]) for node in graph.nodes.values() if not node.is_merge]
    asking = [node for node, layer in layers if APT in layer.files or layer.bootstrap]
    return _inquire(project, asking, bounds or Bounds(), Composer(project, {}).inquire_debian)


def upstream_images(project: Project, graph: Graph, *, bounds: Bounds | None = None) -> Mapping[str, Position]:
    """Every upstream reference that the lock must hold, and where it stands. Raises ProjectError."""
    layers = [(node, project.layers[node.layer]) for node in graph.nodes.values() if not node.is_merge]
    naming = [node for node, layer in layers if layer.image or layer.upstream]
    answers = _inquire(project, naming, bounds or Bounds(), Composer(project, {}).inquire)
    return {reference: position for one in answers.values() for reference, position in one.images}


def _inquire(
    project: Project, nodes: Iterable[Node], bounds: Bounds, ask: Callable[[Job, Step], _Answer]
) -> Mapping[str, _Answer]:
    jobs = {node.id: _job(project, node) for node in nodes}
    answers, problems = _all_bounded(ask, jobs, bounds)
    problems += [fault for one in answers.values() for fault in one.problems]
    if problems:
        raise ProjectError(problems)
    return {node: answers[_key(job)] for node, job in jobs.items()}


def _bringing_python(project: Project, graph: Graph, node: Node) -> Node | None:
    """The nearest node at or below ``node`` whose layer says which Python it brings."""
    below = (graph.nodes[one] for one in reversed(graph.lineage[node.id]))
    return next((one for one in below if project.layers[one.layer].python), None)


def _job(project: Project, node: Node, *, pins: bool = False) -> Job:
    context: dict[str, Value] = {
        **node.values,
        "arch": node.platform.split("/")[1],
        "base": node.base,
        "layer": node.layer,
    }
    return Job(layer=project.layers[node.layer], context=context, pins=pins)


def _key(job: Job) -> _Key:
    """Nodes with one key have one text. True and 1 are one key to Python, so the kind is part of it."""
    return job.layer.name, job.pins, *((name, type(value), value) for name, value in sorted(job.context.items()))


def _all_bounded(
    work: Callable[[Job, Step], _Result], jobs: Mapping[str, Job], bounds: Bounds
) -> tuple[dict[_Key, _Result], list[Problem]]:
    """Each distinct job once. A layer whose templates had to be stopped is left out, and the others go on."""
    waiting = list({_key(job): job for job in jobs.values()}.values())
    results: dict[_Key, _Result] = {}
    problems: list[Problem] = []
    while waiting and len(problems) < _MOST_OVERRUNS:
        done, overrun = bounded(work, waiting, bounds)
        results |= {_key(job): result for job, result in zip(waiting, done, strict=False)}
        if overrun is None:
            break
        stopped = waiting[len(done)].layer
        what = f"this template {overrun.what}, so it was stopped"
        position = Position(path=overrun.at or stopped.source.path)
        problems.append(Problem(position=position, what=what, remedy="Render less."))
        waiting = [job for job in waiting[len(done) :] if job.layer is not stopped]
    return results, problems


class _Files:
    """Build contexts, and the sums of the project's files: each is read and summed once."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._positions: dict[tuple[str, int], Position] = {}
        self._sources: dict[tuple[str, frozenset[str]], Mapping[str, str]] = {}
        self._untouched: dict[str, tuple[SourceFile, ...]] = {}
        self._scripts = [script(path) for path in SCRIPTS]

    def rendered(self, node: Node, composed: Composed, pins: tuple[Pin, ...], images: Mapping[str, Digest]) -> Rendered:
        layer = self._project.layers[node.layer]
        return Rendered(
            dockerfile=composed.dockerfile,
            origins=tuple(self._position(one) for one in composed.origins),
            context=self._context(layer, composed, pins),
            sources=self._sums(layer, composed.macros),
            bootstrap=composed.bootstrap,
            pins=pins,
            upstream={reference: images[reference] for reference in composed.upstream},
            written=composed.written,
        )

    def _position(self, origin: tuple[str, int]) -> Position:
        if origin not in self._positions:
            self._positions[origin] = Position(path=origin[0], line=origin[1])
        return self._positions[origin]

    def _context(self, layer: Layer, composed: Composed, pins: tuple[Pin, ...]) -> tuple[SourceFile, ...]:
        if layer.name not in self._untouched:
            self._untouched[layer.name] = tuple(file for name, file in layer.files.items() if is_plain_file(name, file))
        made = [
            SourceFile(path=name, content=text.encode(), executable=name == "postBuild" or _is_executable(layer, name))
            for name, text in composed.files.items()
        ]
        made += (one for one in self._scripts if one.path in composed.dockerfile)
        if pins:
            made.append(SourceFile(path=REQUIREMENTS, content=slice_text(pins).encode()))
        return tuple(sorted((*self._untouched[layer.name], *made), key=lambda file: file.path))

    def _sums(self, layer: Layer, macros: frozenset[str]) -> Mapping[str, str]:
        key = (layer.name, macros)
        if key not in self._sources:
            read = {f"{layer.folder}/{name}": file for name, file in layer.files.items() if _is_read(name)}
            read |= {f"{MACROS}/{name}": self._project.macros[name] for name in macros}
            self._sources[key] = {path: file_sum(read[path]) for path in sorted(read)}
        return self._sources[key]


def file_sum(file: SourceFile) -> str:
    """What ``Rendered.sources`` says of a file: the sum of its content, or of the target of a link."""
    return hashlib.sha256(file.content if file.link is None else f"link {file.link}".encode()).hexdigest()


def slice_text(pins: Sequence[Pin]) -> str:
    """A slice of the lock as pip and uv read it."""
    blocks = (
        " \\\n    ".join((f"{pin.name}=={pin.version}", *(f"--hash={one}" for one in pin.hashes))) for pin in pins
    )
    return "".join(f"{block}\n" for block in blocks)


def _is_read(name: str) -> bool:
    return name in FILES or name == DOCKERFILE or name.startswith("files/")


def _is_executable(layer: Layer, name: str) -> bool:
    return any(one in layer.files and layer.files[one].executable for one in (name, f"{name}.j2"))
