"""One node's way from step to outcome: build, load, test, push, remember.

Tags are put in this order, each only after the one before: the manifest by digest, ``fp-`` once the image is tested,
``ok-`` last. Whatever is killed in between leaves no tag that says more than what is true.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from hubstack import schedule
from hubstack.buildx import Job
from hubstack.command import Cancelled
from hubstack.engine import Engine
from hubstack.model import Digest, Node
from hubstack.names import FINGERPRINT_LABEL, Names
from hubstack.oci import Manifest
from hubstack.pipeline import Inputs
from hubstack.plan import Action, Plan, Step
from hubstack.event import Event, Finished, Line, Phase, Planned
from hubstack.publish import Publisher
from hubstack.record import Record
from hubstack.schedule import Outcome, Result
from hubstack.store import Store
from hubstack.verify import Contents, read_contents, run_tests


@dataclass(kw_only=True)
class Builder:
    """Works on steps, several at once. Without a publisher, images stay on this machine's engine."""

    inputs: Inputs
    names: Names
    engine: Engine
    store: Store
    publisher: Publisher | None
    on_event: Callable[[Event], None]
    cancel: threading.Event
    _digests: dict[str, Digest] = field(default_factory=dict)  # of nodes that this run has made or found
    _contents: dict[str, Contents] = field(default_factory=dict)

    def work(self, step: Step) -> Outcome:
        """Bring the node to where it is built, tested and, with a publisher, pushed. Raises HubstackError."""
        node, started = step.node, time.monotonic()
        result = Result.BUILT
        here = self.store.layout(self.inputs.fingerprint(node.id)) is not None
        if step.action is Action.TEST and not here:
            result, digest, size = Result.TESTED, self._test_there(step), 0
        else:
            if not here:
                self._build(node)
            elif step.action is Action.BUILD:
                result = Result.REUSED  # an earlier run has built it here and was not to push, or could not
            digest, size = self._finish(step, started)
        self._digests[node.id] = digest
        return Outcome(node=node.id, result=result, digest=digest, seconds=time.monotonic() - started, size_bytes=size)

    def run(self, plan: Plan, *, jobs: int, fail_fast: bool) -> dict[str, Outcome]:
        """Work on every step of ``plan``; the outcome of each, parents before children."""
        self.on_event(Planned(plan=plan))
        self._digests |= {step.node.id: step.digest for step in plan.steps if step.digest is not None}
        if plan.dirty():
            self.engine.check()
        seconds = {step.node.id: step.seconds for step in plan.steps if step.seconds is not None}
        try:
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
        finally:
            self._digests.clear()

    def _build(self, node: Node) -> None:
        self._phase(node, "building")
        fingerprint = self.inputs.fingerprint(node.id)
        contexts = dict(zip(["parent"], map(self._locate, node.parents), strict=True)) if node.parents else {}
        contexts |= {layer: self._locate(source) for layer, source in node.copies.items()}
        with self.store.new_layout(fingerprint) as layout:
            job = Job(
                node=node.id,
                platform=node.platform,
                rendered=self.inputs.rendered[node.id],
                contexts=contexts,
                labels={FINGERPRINT_LABEL: fingerprint},
                layout=layout,
            )
            self.engine.build(
                job, on_line=lambda text: self.on_event(Line(node=node.id, text=text)), cancel=self.cancel
            )

    def _locate(self, node: str) -> str:
        """Where BuildKit finds a parent: in the local store, else in the registry; by digest in both."""
        fingerprint, digest = self.inputs.fingerprint(node), self._digests[node]
        layout = self.store.layout(fingerprint)
        if layout is not None and layout.manifest.digest == digest:
            return f"oci-layout://{layout.folder}@{digest}"
        return f"docker-image://{self.names.node(fingerprint).with_digest(digest)}"

    def _finish(self, step: Step, started: float) -> tuple[Digest, int]:
        """Test the local image and push it; the digest in force, which is another run's if that one was first."""
        node = step.node
        fingerprint = self.inputs.fingerprint(node.id)
        layout = self.store.layout(fingerprint)
        assert layout is not None
        manifest = layout.manifest
        if not self.store.digests([self.names.tested(fingerprint, step.tests).tag]):
            image = self.engine.load(layout, self.names.node(fingerprint))
            self._test(node, image)
            self._contents[node.id] = read_contents(self.engine, image, self.inputs.layers(node.id))
            self.store.mark_tested(fingerprint, step.tests)
        record = self._record(node, manifest, time.monotonic() - started)
        self.store.write_record(record)
        digest = manifest.digest
        if self.publisher is not None:
            self._phase(node, "pushing")
            digest = self.publisher.push_node(layout, fingerprint, on_bytes=self._check_cancelled)
            if digest != manifest.digest:
                self.store.discard(fingerprint)
                self._test(node, self.engine.pull(self.names.node(fingerprint).with_digest(digest)))
            self.publisher.mark_tested(fingerprint, step.tests, digest)
            self.publisher.remember(record)
        return digest, record.size_bytes

    def _test_there(self, step: Step) -> Digest:
        """Test an image that only the registry has."""
        digest, fingerprint = step.digest, self.inputs.fingerprint(step.node.id)
        assert digest is not None
        self._phase(step.node, "testing")
        self._test(step.node, self.engine.pull(self.names.node(fingerprint).with_digest(digest)))
        if self.publisher is not None:
            self.publisher.mark_tested(fingerprint, step.tests, digest)
        return digest

    def _test(self, node: Node, image: str) -> None:
        self._phase(node, "testing")
        run_tests(
            self.engine, image, self.inputs.layers(node.id), hub_test=node.id in self.inputs.offered, node=node.id
        )

    def _record(self, node: Node, manifest: Manifest, seconds: float) -> Record:
        contents = self._contents.get(node.id, Contents(versions={}, packages={}))
        return Record(
            node=node.id,
            fingerprint=self.inputs.fingerprint(node.id),
            facts=self.inputs.identities[node.id].facts,
            sources=self.inputs.rendered[node.id].sources,
            seconds=seconds,
            size_bytes=sum(blob.size for blob in manifest.layers),
            versions=contents.versions,
            packages=contents.packages,
        )

    def _phase(self, node: Node, phase: str) -> None:
        self._check_cancelled()
        self.on_event(Phase(node=node.id, phase=phase))

    def _check_cancelled(self, *_: int) -> None:
        if self.cancel.is_set():
            raise Cancelled
