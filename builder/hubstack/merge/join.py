"""Puts a merge's image together: blobs stay where they are, a manifest, a config and a small filesystem layer are new.

Where packages of the parts have to be told of each other, that is settled in one RUN on top (:mod:`hubstack.merge.settle`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from hubstack.buildx import Job
from hubstack.merge.assembly import Assembled, Workshop
from hubstack.merge.built import Built
from hubstack.merge.conflict import MergeConflict
from hubstack.merge.image import MergedImage, merged_image
from hubstack.merge.rebase import moved_index, rebase
from hubstack.merge.repeat import repeated
from hubstack.merge.settle import render_settling
from hubstack.merge.shelf import Shelf
from hubstack.model import Node, Preference
from hubstack.names import FINGERPRINT_LABEL
from hubstack.oci import Descriptor, Layout, read_layout
from hubstack.reference import Digest, Fingerprint


def work_out(
    shelf: Shelf, fingerprint: Fingerprint, resolve: Iterable[Preference], digests: Mapping[Fingerprint, Digest]
) -> tuple[MergedImage, Assembled]:
    """What a merge comes to before anything is settled. ``digests`` are those of nodes below it that are known.

    Raises MergeConflict with all conflicts.
    """
    assembled, built = assemble(shelf, shelf.sources[fingerprint].parents, resolve, digests)
    if assembled.conflicts:
        raise MergeConflict(assembled.conflicts)
    assembled = shelf.restored(assembled, built)
    return merged_image(assembled, built, fingerprint), assembled


def assemble(
    shelf: Shelf, tops: Sequence[Fingerprint], resolve: Iterable[Preference], digests: Mapping[Fingerprint, Digest]
) -> tuple[Assembled, Mapping[Fingerprint, Built]]:
    """The same without contents that only blobs have, and with what conflicts. Raises RegistryError."""
    built = shelf.take(tops, digests)
    return Workshop(built=built).assemble(tops, {one.path: one.layer for one in resolve}), built


@dataclass(frozen=True, kw_only=True)
class Joiner:
    """``locate`` says where BuildKit finds an image that has no name yet; ``run`` builds; ``note`` is for all who watch, and
    ``say`` for who reads the log.
    """

    shelf: Shelf
    locate: Callable[[Layout], str]
    run: Callable[[Node, Job], None]
    say: Callable[[Node, str], None]
    note: Callable[[Node, str], None]

    def join(self, node: Node, fingerprint: Fingerprint, digests: Mapping[Fingerprint, Digest]) -> Layout:
        """The image of a merge, in the store: of its blobs perhaps only those that are new.

        Raises MergeConflict with all conflicts, and whatever registries and engines raise.
        """
        image, assembled = work_out(self.shelf, fingerprint, node.resolve, digests)
        built = self.shelf.take(assembled.nodes, digests)
        if (twice := repeated(assembled.nodes, built)) is not None:
            self.note(node, str(twice))
        return self._finished(node, fingerprint, image, assembled, built)

    def move(
        self,
        node: Node,
        old: Fingerprint,
        fingerprint: Fingerprint,
        parent: Fingerprint,
        digests: Mapping[Fingerprint, Digest],
    ) -> Layout:
        """The image of a node that stood on another build of ``parent`` as ``old``, moved onto this one; as ``join``."""
        there = self.shelf.registry.head(self.shelf.names.node(old)) if self.shelf.trust else None
        before = self.shelf.take([old], {old: there} if there is not None else {})
        below = self.shelf.take([parent], digests)
        moved = rebase(before, old, below, parent)
        if moved.assembled.conflicts:
            raise MergeConflict(moved.assembled.conflicts)
        assembled = self.shelf.restored(moved.assembled, moved.built)
        image = merged_image(assembled, moved.built, fingerprint)
        layout = self._finished(node, fingerprint, image, assembled, moved.built)
        self.shelf.moves[fingerprint] = before[old].moves + 1
        start = sum(len(one.layers) for one in below.values())
        if not moved.assembled.interests:  # else there is more in its blobs than the merge knows
            self.shelf.put(
                fingerprint,
                replace(
                    before[old],
                    parents=(parent,),
                    index=moved_index(moved, old),
                    config=moved.assembled.config,
                    layers=layout.manifest.layers[start:],
                    diff_ids=layout.config.diff_ids[start:],
                    digest=layout.manifest.digest,
                    below=(below[parent].digest,),
                    moves=self.shelf.moves[fingerprint],
                ),
            )
        return layout

    def _finished(
        self,
        node: Node,
        fingerprint: Fingerprint,
        image: MergedImage,
        assembled: Assembled,
        built: Mapping[Fingerprint, Built],
    ) -> Layout:
        """In the store, and with what has to be settled in it."""
        store, say = self.shelf.store, self.say
        say(node, f"{len(assembled.written)} files merged, {len(image.manifest.layers)} filesystem layers")
        if not assembled.interests:
            return store.write_image(fingerprint, image.manifest, image.blobs)
        for interest in assembled.interests:
            say(node, str(interest))
        with store.scratch_image(image.manifest, image.blobs) as layout:  # it is the node's when it is settled
            job = Job(
                node=node.id,
                platform=node.platform,
                rendered=render_settling(assembled.interests),
                contexts={"parent": self.locate(layout)},
                labels={FINGERPRINT_LABEL: fingerprint},
                layout=layout.folder,
                below=layout.config.diff_ids,
                near=fingerprint,
            )
            above = self._settled(node, job, image)
        settled = merged_image(assembled, built, fingerprint, above)
        return store.write_image(fingerprint, settled.manifest, settled.blobs)

    def _settled(self, node: Node, job: Job, image: MergedImage) -> list[tuple[Descriptor, str]]:
        """The filesystem layers that the RUN adds, each with its diff id."""
        with self.shelf.store.scratch_layout() as folder:
            self.run(node, replace(job, layout=folder))
            layout = read_layout(folder)
            start = len(image.manifest.layers)
            return [*zip(layout.manifest.layers[start:], layout.config.diff_ids[start:], strict=True)]
