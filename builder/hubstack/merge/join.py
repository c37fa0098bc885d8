"""Puts a merge's image together: blobs stay where they are, a manifest, a config and a small filesystem layer are new.

Where packages of the parts have to be told of each other, that is settled in one RUN on top (:mod:`hubstack.merge.settle`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from hubstack.buildx import Job
from hubstack.merge.assembly import Assembled, Workshop
from hubstack.merge.conflict import MergeConflict
from hubstack.merge.image import MergedImage, merged_image
from hubstack.merge.settle import render_settling
from hubstack.merge.shelf import Shelf
from hubstack.model import Node
from hubstack.names import FINGERPRINT_LABEL
from hubstack.oci import Descriptor, Layout, read_layout
from hubstack.reference import Digest


def work_out(shelf: Shelf, node: Node, digests: Mapping[str, Digest]) -> tuple[MergedImage, Assembled]:
    """What a merge comes to before anything is settled. ``digests`` are those of its parents that are known.

    Raises MergeConflict with all conflicts.
    """
    tops = node.parents if node.is_merge else (node.id,)
    built = shelf.take(tops, digests)
    assembled = Workshop(built=built).assemble(tops, {one.path: one.layer for one in node.resolve})
    if assembled.conflicts:
        raise MergeConflict(assembled.conflicts)
    return merged_image(assembled, built, shelf.fingerprint(node.id)), assembled


@dataclass(frozen=True, kw_only=True)
class Joiner:
    """``locate`` says where BuildKit finds an image that has no name yet; ``run`` builds."""

    shelf: Shelf
    locate: Callable[[Layout], str]
    run: Callable[[Node, Job], None]
    say: Callable[[Node, str], None]

    def join(self, node: Node, digests: Mapping[str, Digest]) -> Layout:
        """The node's image, in the store: of its blobs perhaps only those that are new.

        Raises MergeConflict with all conflicts, and whatever registries and engines raise.
        """
        shelf, fingerprint = self.shelf, self.shelf.fingerprint(node.id)
        image, assembled = work_out(shelf, node, digests)
        layout = shelf.store.write_image(fingerprint, image.manifest, image.blobs)
        self.say(node, f"{len(assembled.written)} files merged, {len(image.manifest.layers)} filesystem layers")
        if not assembled.interests:
            return layout
        for interest in assembled.interests:
            self.say(node, str(interest))
        job = Job(
            node=node.id,
            platform=node.platform,
            rendered=render_settling(assembled.interests),
            contexts={"parent": self.locate(layout)},
            labels={FINGERPRINT_LABEL: fingerprint},
            layout=layout.folder,
            near=fingerprint,
        )
        above = self._settled(node, job, image)
        settled = merged_image(assembled, shelf.take(node.parents, digests), fingerprint, above)
        return shelf.store.write_image(fingerprint, settled.manifest, settled.blobs)

    def _settled(self, node: Node, job: Job, image: MergedImage) -> list[tuple[Descriptor, str]]:
        """The filesystem layers that the RUN adds, each with its diff id."""
        with self.shelf.store.scratch_layout() as folder:
            self.run(node, replace(job, layout=folder))
            layout = read_layout(folder)
            start = len(image.manifest.layers)
            return [*zip(layout.manifest.layers[start:], layout.config.diff_ids[start:], strict=True)]
