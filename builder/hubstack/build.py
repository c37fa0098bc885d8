"""One node's way from step to outcome: build, load, test, push, remember.

Nothing gets a name in the registry before its tests have passed: not ``fp-`` either, though it says no more than that
this input was built. So whoever trusts a run's registry trusts tested images only, and nothing is uploaded in vain; the
price is that an image whose *test* was wrong is built again on a machine without this store, which keeps it here.

Then, each only after the one before: blobs and manifest with ``fp-``, the record, ``ok-`` last. Whatever is killed in
between leaves no tag that says more than what is true, and the next run goes on from there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from hubstack import schedule
from hubstack.buildx import Job
from hubstack.engine import Engine
from hubstack.errors import Cancelled, EngineError, HubstackError, TestFailed
from hubstack.event import Event, Finished, Line, Note, Phase, Planned
from hubstack.graph import needed
from hubstack.graph.repository import ground
from hubstack.merge.conflict import first_line
from hubstack.merge.image import MADE_BY
from hubstack.merge.join import Joiner
from hubstack.merge.shelf import Shelf, Source
from hubstack.model import Method, Node
from hubstack.names import FINGERPRINT_LABEL, SETTLED_LABEL, Names, tested_tag
from hubstack.oci import Layout, Manifest
from hubstack.pipeline import Inputs
from hubstack.plan import Action, Plan, Step
from hubstack.publish import Publisher
from hubstack.record import Record
from hubstack.reference import Digest, Fingerprint, ImageRef
from hubstack.repository.prebuilt import Prebuilt
from hubstack.schedule import Outcome, Result
from hubstack.store import Store
from hubstack.verify import Contents, read_contents, run_tests


@dataclass(kw_only=True)
class Builder:
    """Works on the steps of one run, several at once. Without a publisher, images stay on this machine's engine."""

    inputs: Inputs
    names: Names
    engine: Engine
    store: Store
    publisher: Publisher | None
    on_event: Callable[[Event], None]
    cancel: threading.Event
    today: str  # the day in UTC, for records
    shelf: Shelf  # of what merging needs to know
    ca_bundle: Path | None = None  # for git; the engine has its own
    _digests: dict[str, Digest] = field(default_factory=dict)  # of nodes that this run has made or found
    _turns: dict[Fingerprint, threading.Lock] = field(default_factory=dict)

    def run(self, plan: Plan, *, jobs: int, fail_fast: bool) -> dict[str, Outcome]:
        """Work on every step of ``plan``; the outcome of each, parents before children."""
        self.on_event(Planned(plan=plan))
        self.shelf = self.shelf.knowing(
            {old: Source(name=one.node.layer, parents=one.parents) for old, one in plan.former.items()}
        )
        self._digests |= {step.node.id: step.digest for step in plan.steps if step.digest is not None}
        if plan.dirty():
            self.engine.check()
            self.engine.stop()  # what a killed run has left
        seconds = {step.node.id: step.seconds for step in plan.steps if step.seconds is not None}
        return schedule.run(
            plan.steps,
            self.work,
            priority=schedule.priorities(self.inputs.graph, seconds),
            jobs=jobs,
            fail_fast=fail_fast,
            cancel=self.cancel,
            on_outcome=lambda outcome: self.on_event(Finished(outcome=outcome)),
            on_cancel=self.engine.stop,
        )

    def work(self, step: Step) -> Outcome:
        """Bring the node to where it is built, tested and, with a publisher, pushed. Raises HubstackError."""
        started = time.monotonic()
        self._check_platform(step.node)
        fingerprint = self.inputs.fingerprint(step.node.id)
        turn = self._turns.setdefault(fingerprint, threading.Lock())
        with turn:  # nodes that differ in a value which nothing reads have one image
            layout, note = self._stored(fingerprint), ""
            if step.action is Action.TEST and (layout is None or layout.manifest.digest != step.digest):
                result, (digest, size) = Result.TESTED, self._test_there(step, started)
            else:
                result = Result.TESTED if step.action is Action.TEST else Result.REUSED
                if layout is None:
                    result, (layout, note) = Result.BUILT, self._make(step)
                digest, size, again = self._test_made(step, layout, started)
                result, note = (Result.BUILT, again) if again else (result, note)
        self._digests[step.node.id] = digest
        seconds = time.monotonic() - started
        return Outcome(node=step.node.id, result=result, digest=digest, seconds=seconds, size_bytes=size, note=note)

    def _stored(self, fingerprint: Fingerprint) -> Layout | None:
        """What this machine has of a node, if it stands on what its parents are in this run: others may have pushed these."""
        layout = self.store.layout(fingerprint)
        if layout is None or self.shelf.stands_on(fingerprint, layout.manifest.digest, self._known()):
            return layout
        self.store.discard(fingerprint)
        return None

    def _check_platform(self, node: Node) -> None:
        """A project of several platforms has each built and tested where it is at home; of one, emulation may do."""
        if len(self.inputs.project.settings.platforms) == 1 or native(self.engine.platform, node.platform):
            return
        raise EngineError(
            f"it is for {node.platform}, and this engine is {self.engine.platform}",
            hint=f"On a machine for it: hubstack build --push node:{node.id}",
        )

    def _make(self, step: Step) -> tuple[Layout, str]:
        """The node's image, and how it was made, for people."""
        node = step.node
        if node.is_merge:
            return self._merge(node), "merged"
        if step.moved is None:
            return self._build(node), ""
        try:
            return self._move(node, step.moved), "rebased"
        except Cancelled:
            raise
        except HubstackError as fault:  # whatever it is: a build needs nothing of it
            self._log(node, str(fault))
            return self._build(node), f"not rebased: {first_line(fault)}"

    def _test_made(self, step: Step, layout: Layout, started: float) -> tuple[Digest, int, str]:
        """As ``_test_here``. What was moved and doesn't pass its tests is built; then with a note of why."""
        try:
            return *self._test_here(step, layout, started), ""
        except TestFailed as failed:
            fingerprint = self.inputs.fingerprint(step.node.id)
            if not self._was_moved(step.node, layout):
                raise
            self.store.discard(fingerprint)
            if step.action is not Action.BUILD:  # nothing is known of what it stands on: the next run builds it
                raise
            self._log(step.node, str(failed))
        self.shelf.moves.pop(fingerprint, None)
        built = self._build(step.node)
        return *self._test_here(step, built, started), "not rebased: its tests fail then"

    def _was_moved(self, node: Node, layout: Layout) -> bool:
        """By this run or by one that was killed before its tests had passed."""
        return not node.is_merge and layout.config.made_by == MADE_BY

    def _build(self, node: Node) -> Layout:
        self._phase(node, "building")
        fingerprint = self.inputs.fingerprint(node.id)
        contexts = {layer: self._locate(source) for layer, source in node.copies.items()}
        below: tuple[Digest, ...] = ()
        if node.parents:
            (parent,) = node.parents
            contexts = {"parent": self._locate(parent), **contexts}
            below = self.shelf.diff_ids(self.inputs.fingerprint(parent), self._digests[parent])
        with self.store.new_layout(fingerprint) as folder:
            job = Job(
                node=node.id,
                platform=node.platform,
                rendered=self.inputs.rendered[node.id],
                contexts=contexts,
                labels={FINGERPRINT_LABEL: fingerprint},
                layout=folder,
                below=below,
                near=self.inputs.fingerprint(node.parents[0]) if node.parents else fingerprint,
            )
            self._run(node, job)
        layout = self.store.layout(fingerprint)
        if layout is None:
            raise EngineError(f"{node.id}: the engine has left no image behind")
        return layout

    def _merge(self, node: Node) -> Layout:
        self._phase(node, "merging")
        return self._joiner.join(node, self.inputs.fingerprint(node.id), self._known())

    def _move(self, node: Node, old: Fingerprint) -> Layout:
        """The build ``old`` of a node onto what it stands on now."""
        self._phase(node, "rebasing")
        parent, fingerprint = (self.inputs.fingerprint(one) for one in (node.parents[0], node.id))
        return self._joiner.move(node, old, fingerprint, parent, self._known())

    @property
    def _joiner(self) -> Joiner:
        return Joiner(shelf=self.shelf, locate=self._bring, run=self._run, say=self._log, note=self._note)

    def _known(self) -> dict[Fingerprint, Digest]:
        return {self.inputs.fingerprint(node): digest for node, digest in self._digests.items()}

    def _keep(self, step: Step, digest: Digest) -> None:
        """Have the index of a node that may be merged, or put on another base, before it has a tag.

        Of others it is made when somebody asks for it, but where a move has left it: a chain need not have its blobs read once
        more, and what could not be moved may stand on what has no index.
        """
        node, settings = step.node, self.inputs.project.settings
        fingerprint, of_merges = self.inputs.fingerprint(node.id), self._merged | self.inputs.merging
        was_moved = step.moved is not None and self.shelf.has(fingerprint)
        if settings.assembly is Method.MERGE or node.id in of_merges or was_moved:
            self.shelf.keep(fingerprint, self._known() | {fingerprint: digest})
            self.shelf.push(fingerprint)

    @cached_property
    def _merged(self) -> frozenset[str]:
        """All nodes that some merge stands on."""
        graph = self.inputs.graph
        return frozenset(needed(graph, (one for node in graph.nodes.values() if node.is_merge for one in node.parents)))

    def _bring(self, layout: Layout) -> str:
        """Where BuildKit finds an image that has no name yet, and of which this machine may have a part only."""
        if any(not layout.path(blob.digest).exists() for blob in layout.manifest.blobs):
            if self.publisher is not None:
                return f"docker-image://{self.publisher.push_nameless(layout)}"
            self.shelf.complete(layout)
        return f"oci-layout://{layout.folder}@{layout.manifest.digest}"

    def _load(self, layout: Layout, name: ImageRef) -> str:
        """Give the engine an image; what of it is in the registry alone, the engine fetches itself."""
        where = self._bring(layout)
        if where.startswith("docker-image://"):
            return self.engine.pull(name.with_digest(layout.manifest.digest))
        return self.engine.load(layout, name)

    def _run(self, node: Node, job: Job) -> None:
        on_line = self._say(node)
        if job.rendered.repository is None:
            self.engine.build(job, on_line=on_line, cancel=self.cancel)
            return
        scratch = self.store.folder / "tmp"
        prebuilt = Prebuilt(engine=self.engine, scratch=scratch, ca_bundle=self.ca_bundle, cancel=self.cancel)
        variant = next(image.variant for image in self.inputs.graph.images if image.node == node.id)
        stack = ground(self.inputs.project, variant)
        prebuilt.build(job, stack=stack, cache=self.inputs.fingerprint(node.parents[0]), on_line=on_line)

    def _locate(self, node: str) -> str:
        """Where BuildKit finds a parent: in the local store, else in the registry; by digest in both."""
        fingerprint, digest = self.inputs.fingerprint(node), self._digests[node]
        layout = self.store.layout(fingerprint)
        if layout is not None and layout.manifest.digest == digest:
            return f"oci-layout://{layout.folder}@{digest}"
        return f"docker-image://{self.names.node(fingerprint).with_digest(digest)}"

    def _test_here(self, step: Step, layout: Layout, started: float) -> tuple[Digest, int]:
        """Test the local image and push it; the digest in force, which is another run's if that one was first."""
        record = self._prove(step, layout, started)
        self._keep(step, layout.manifest.digest)
        if self.publisher is None:
            return layout.manifest.digest, record.size_bytes
        self._phase(step.node, "pushing")
        exact = step.node.is_merge and not record.settled
        digest = self.publisher.push_node(layout, record.fingerprint, on_bytes=self._check_cancelled, exact=exact)
        if digest == layout.manifest.digest:
            self.publisher.remember(record)
        else:
            self.store.discard(record.fingerprint)
            self._keep(step, digest)
            self._test(step.node, self.engine.pull(self._ref(step.node, digest)))
        self.publisher.mark_tested(record.fingerprint, step.tests, digest)
        return digest, record.size_bytes

    def _prove(self, step: Step, layout: Layout, started: float) -> Record:
        """Test the local image, unless these tests have passed on it here; what is to be remembered of it."""
        node, fingerprint = step.node, self.inputs.fingerprint(step.node.id)
        tested = bool(self.store.digests([tested_tag(fingerprint, step.tests)]))
        record = self.store.records([node.id]).get(node.id)
        if record is not None and record.fingerprint == fingerprint and tested:
            return record
        image = self._load(layout, self.names.node(fingerprint))
        if not tested:
            self._test(node, image)
        if record is None or record.fingerprint != fingerprint:
            record = self._record(node, image, layout.manifest, started)
            self.store.write_record(record)
        self.store.mark_tested(fingerprint, step.tests)
        return record

    def _test_there(self, step: Step, started: float) -> tuple[Digest, int]:
        """Test an image that only the registry has."""
        node, digest, fingerprint = step.node, step.digest, self.inputs.fingerprint(step.node.id)
        assert digest is not None  # the plan has found it
        image = self.engine.pull(self._ref(node, digest))
        self._test(node, image)
        if self.publisher is None:
            return digest, 0
        manifest = self.publisher.built(digest)
        if not self.publisher.remembers(fingerprint):  # who has put it there was killed
            self.publisher.remember(self._record(node, image, manifest, started))
        self.publisher.mark_tested(fingerprint, step.tests, digest)
        return digest, size_bytes(manifest)

    def _test(self, node: Node, image: str) -> None:
        self._phase(node, "testing")
        layers = self.inputs.tested_layers(node.id)
        hub_test = node.id in self.inputs.offered
        run_tests(self.engine, image, layers, hub_test=hub_test, node=node.id, on_line=self._say(node))

    def _record(self, node: Node, image: str, manifest: Manifest, started: float) -> Record:
        contents = Contents(versions={}, packages={})
        if node.id in self.inputs.offered:  # nobody asks what is in the others
            self._check_cancelled()
            contents = read_contents(self.engine, image, self.inputs.layers(node.id))
        return Record(
            node=node.id,
            fingerprint=self.inputs.fingerprint(node.id),
            facts=self.inputs.identities[node.id].facts,
            sources=self.inputs.sources(node.id),
            seconds=time.monotonic() - started,
            size_bytes=size_bytes(manifest),
            versions=contents.versions,
            packages=contents.packages,
            built=self.today,
            settled=self._settled(node),
        )

    def _settled(self, node: Node) -> tuple[str, ...]:
        layout = self.store.part(self.inputs.fingerprint(node.id)) if node.is_merge else None
        return tuple(layout.config.labels.get(SETTLED_LABEL, "").splitlines()) if layout is not None else ()

    def _ref(self, node: Node, digest: Digest) -> ImageRef:
        return self.names.node(self.inputs.fingerprint(node.id)).with_digest(digest)

    def _log(self, node: Node, text: str) -> None:
        self.on_event(Line(node=node.id, text=text))

    def _note(self, node: Node, text: str) -> None:
        self.on_event(Note(text=f"{node.id}: {text}"))

    def _say(self, node: Node) -> Callable[[str], None]:
        return lambda text: self.on_event(Line(node=node.id, text=text))

    def _phase(self, node: Node, phase: str) -> None:
        self._check_cancelled()
        self.on_event(Phase(node=node.id, phase=phase))

    def _check_cancelled(self, *_: int) -> None:
        if self.cancel.is_set():
            raise Cancelled


def native(machine: str, platform: str) -> bool:
    """Whether a machine (``linux/arm64``) runs a platform, whose variant (``linux/arm64/v8``) it doesn't name."""
    return platform.split("/")[:2] == machine.split("/")[:2]


def size_bytes(manifest: Manifest) -> int:
    """What a machine downloads that has nothing of it."""
    return sum(blob.size for blob in manifest.layers)
