"""Where one release's images are made: a copy of the project, its store, and the engine and the registry beside."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hubstack.build import Builder
from hubstack.buildx import Job
from hubstack.engine import Docker
from hubstack.errors import EngineError
from hubstack.event import Event
from hubstack.event import Line as LogLine
from hubstack.graph.assembly import joined
from hubstack.graph.select import Selection
from hubstack.lock import Lock, load_lock
from hubstack.merge.assembly import Assembled
from hubstack.merge.image import MergedImage
from hubstack.merge.join import Joiner, work_out
from hubstack.merge.shelf import Shelf
from hubstack.merge.shelf import Source as Made
from hubstack.model import Kind, Method, Node, Project, Stack
from hubstack.names import Names
from hubstack.oci import Layout
from hubstack.pipeline import Inputs, prepare, prepare_nodes
from hubstack.plan import Known
from hubstack.project import load_project
from hubstack.publish import FirstOf, Publisher, Remote
from hubstack.reference import Digest, Fingerprint, ImageRef
from hubstack.registry import Registry
from hubstack.registry.credentials import anonymous
from hubstack.schedule import GOOD
from hubstack.source import Source
from hubstack.store import FOLDER, Store

if TYPE_CHECKING:
    from docker import DockerClient

PROJECT = Path(__file__).parent / "project"
BASE = "plain"
"""Its own name: archive caches are by base, and builds of other projects on this engine would wait for them."""
_DEFAULT = "default: trixie"  # in the base's layer.yaml; only there


class NotBuilt(Exception):
    """A layer, or a chain, could not be built; the text is what was said last."""


class OnlyBuilds(Docker):
    """The engine, but that it gets no image of what was built: nothing is tested, and forgetting one takes it seconds."""

    def load(self, layout: Layout, name: ImageRef) -> str:
        return ""


@dataclass(frozen=True, kw_only=True)
class Line:
    inputs: Inputs
    top: Fingerprint


@dataclass(kw_only=True)
class Workshop:
    """Of one release, which in this copy of the project is the base's default. One thread works in it."""

    release: str
    project: Project
    lock: Lock
    registry: Registry
    store: Store
    engine: Docker
    client: DockerClient
    _alone: set[Fingerprint] = field(default_factory=set)

    @property
    def names(self) -> Names:
        return Names.of(self.project.settings)

    @property
    def layers(self) -> Sequence[str]:
        return sorted(name for name, layer in self.project.layers.items() if layer.kind is Kind.LAYER)

    def build_alone(self, layers: Sequence[str]) -> None:
        """Each layer by itself, to the registry. What is there is not built again."""
        inputs = prepare(self.project, self.lock, [f"layer:{name}" for name in layers])
        self._build(inputs, self._publisher, self._remote)
        self._alone |= {one.fingerprint for one in inputs.identities.values()}

    def merge(self, layers: Sequence[str]) -> ImageRef:
        """What the layers make together, settled where that is needed; it is pushed without a name. Raises MergeConflict.

        The image is what `hubstack compose` makes of them, but that it is made each time it is asked for.
        """
        inputs, node = self._joined(layers)
        fingerprint, shelf = inputs.fingerprint(node), self._shelf(inputs, write=True)
        joiner = Joiner(shelf=shelf, locate=self._locate, run=self._run, say=_unheard, note=_unheard)
        layout = joiner.join(inputs.graph.nodes[node], fingerprint, self._digests(inputs))
        return self._publisher.push_nameless(layout)

    def work_out(self, layers: Sequence[str]) -> tuple[MergedImage, Assembled]:
        """As ``merge``, but nothing is settled yet, and no image is made."""
        inputs, node = self._joined(layers)
        return work_out(self._shelf(inputs, write=True), inputs.fingerprint(node), (), self._digests(inputs))

    def push(self, image: MergedImage) -> ImageRef:
        """Push an image that is no node's, without a name."""
        fingerprint = Fingerprint(image.manifest.digest.hex)
        return self._publisher.push_nameless(self.store.write_image(fingerprint, image.manifest, image.blobs))

    def base_image(self) -> str:
        """The id of the base by itself, which is built alone with any layer."""
        inputs = prepare(self.project, self.lock, [f"layer:{BASE}"])
        return self._load(inputs.fingerprint(inputs.selection.nodes[0]))

    def line(self, layers: Sequence[str]) -> Line:
        """A chain of the layers in that order, each built on the one before; nothing is built yet."""
        stack = Stack(name="chain", title="Chain", base=BASE, layers=tuple(layers), source=Source(path="chain"))
        settings = replace(self.project.settings, assembly=Method.CHAIN)
        project = replace(self.project, settings=settings, stacks={"chain": stack}, hubs={})
        inputs = replace(prepare(project, self.lock, ["chain"]), offered=frozenset())
        (image,) = inputs.graph.images
        return Line(inputs=inputs, top=inputs.fingerprint(image.node))

    @contextmanager
    def built(self, line: Line) -> Iterator[str]:
        """The id of the chain's image. Afterwards it is gone."""
        image = ""
        try:
            self._build(line.inputs, None, FirstOf(places=(self.store, self._remote)))
            image = self._load(line.top)
            yield image
        finally:
            if image:
                self.forget(image)
            self.store.prune(self._alone, [])

    def forget(self, image: str) -> None:
        """Let the engine drop an image that was made here."""
        import docker

        with suppress(docker.errors.APIError):
            self.client.images.remove(image, force=True)

    @property
    def _publisher(self) -> Publisher:
        return Publisher(registry=self.registry, names=self.names)

    @property
    def _remote(self) -> Remote:
        return Remote(registry=self.registry, names=self.names)

    def _joined(self, layers: Sequence[str]) -> tuple[Inputs, str]:
        """What is known of the merge, and its node."""
        alone = prepare(self.project, self.lock, [f"layer:{name}" for name in layers])
        graph, node = joined(alone.graph, self.project, alone.selection.nodes)
        return prepare_nodes(self.project, self.lock, graph, Selection(nodes=(node,), images=())), node

    def _shelf(self, inputs: Inputs, *, write: bool) -> Shelf:
        nodes = [inputs.graph.nodes[node] for node in inputs.identities]
        sources = {
            inputs.fingerprint(one.id): Made(
                name=one.layer, parents=tuple(sorted(map(inputs.fingerprint, one.parents)))
            )
            for one in nodes
        }
        return Shelf(sources=sources, registry=self.registry, names=self.names, store=self.store, write=write)

    def _digests(self, inputs: Inputs) -> dict[Fingerprint, Digest]:
        steps = inputs.plan(self._remote, rebase=False).steps
        return {step.identity.fingerprint: step.digest for step in steps if step.digest is not None}

    def _locate(self, layout: Layout) -> str:
        return f"docker-image://{self._publisher.push_nameless(layout)}"

    def _run(self, node: Node, job: Job) -> None:
        said: list[str] = []
        try:
            self.engine.build(job, on_line=said.append, cancel=None)
        except EngineError as fault:
            raise NotBuilt("\n".join([f"not settled: {fault}", *said[-20:]])) from fault

    def _build(self, inputs: Inputs, publisher: Publisher | None, known: Known) -> None:
        said: list[str] = []
        builder = Builder(
            inputs=inputs,
            names=self.names,
            engine=OnlyBuilds(scratch=self.engine.scratch, ca_bundle=self.engine.ca_bundle),
            store=self.store,
            publisher=publisher,
            shelf=self._shelf(inputs, write=publisher is not None),
            on_event=lambda event: said.extend(_lines(event)),
            cancel=threading.Event(),
            today="2026-01-01",
        )
        outcomes = builder.run(inputs.plan(known, rebase=False), jobs=2, fail_fast=False)
        if bad := [node for node, outcome in outcomes.items() if outcome.result not in GOOD]:
            raise NotBuilt("\n".join([f"not built: {', '.join(bad)}", *said[-20:]]))

    def _load(self, fingerprint: Fingerprint) -> str:
        layout = self.store.layout(fingerprint)
        if layout is None:  # it is in the registry only
            return self.engine.pull(self.names.node(fingerprint))
        return self.engine.load(layout, self.names.node(fingerprint))


def _unheard(node: Node, text: str) -> None:
    """What people would be told."""


def _lines(event: Event) -> Iterator[str]:
    if isinstance(event, LogLine):
        yield event.text


@contextmanager
def open_workshop(release: str, folder: Path, prefix: ImageRef, ca_bundle: Path | None) -> Iterator[Workshop]:
    """``folder`` is made or gone on with; nobody else works there meanwhile."""
    import docker

    _copy(release, folder)
    project, _ = load_project(folder)
    registry = Registry(prefix.host, look_up=anonymous, ca_bundle=ca_bundle, publish=True)
    store = Store(folder / FOLDER)
    with store.lock():
        yield Workshop(
            release=release,
            project=replace(project, settings=replace(project.settings, registry=prefix)),
            lock=load_lock((folder / "hubstack.lock").read_text(encoding="utf-8")),
            registry=registry,
            store=store,
            engine=Docker(scratch=store.folder / "tmp", ca_bundle=ca_bundle),
            client=docker.from_env(timeout=600),
        )
    registry.close()


def _copy(release: str, folder: Path) -> None:
    """Without what an older copy had: a layer that is gone would be drawn."""
    shutil.rmtree(folder / "layers", ignore_errors=True)
    for path in sorted(PROJECT.rglob("*")):
        if path.is_file() and FOLDER not in path.parts:
            target = folder / path.relative_to(PROJECT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    base = folder / "base" / BASE / "layer.yaml"
    base.write_text(base.read_text(encoding="utf-8").replace(_DEFAULT, f"default: {release}"), encoding="utf-8")


def package_lines(file: str) -> Mapping[str, Sequence[str]]:
    """Layer → the lines of one of its package files, ``apt.txt`` say."""
    return {path.parent.name: path.read_text(encoding="utf-8").split() for path in PROJECT.glob(f"layers/*/{file}")}
