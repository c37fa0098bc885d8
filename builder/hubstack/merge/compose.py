"""An image of layers that no stack lists, put together in the registry: blobs stay where they are.

The order is that of every published thing: blobs, manifest by digest, tests, and only then names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hubstack.buildx import SOURCE_DATE_EPOCH
from hubstack.errors import UsageError
from hubstack.merge.assembly import Assembled, Built, assemble
from hubstack.merge.conflict import Conflict, MergeConflict
from hubstack.merge.filesystem import write_layer
from hubstack.merge.interest import declared
from hubstack.merge.shelf import Shelf
from hubstack.names import FINGERPRINT_LABEL
from hubstack.oci import OCI_CONFIG, OCI_MANIFEST, Descriptor, Manifest, canonical_json, digest_of
from hubstack.pipeline import Inputs
from hubstack.plan import Plan
from hubstack.reference import Digest, Fingerprint

FORMAT = 2  # raised when the same nodes give another image
MOST_LAYERS = 100  # runtimes stop at 127 (overlayfs's mount options are one page long)
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_CREATED = "2026-01-01T00:00:00Z"  # SOURCE_DATE_EPOCH


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """``blobs`` are the config and what the merge has written: all else is in the registry already."""

    assembled: Assembled
    fingerprint: Fingerprint
    manifest: Manifest
    blobs: Mapping[Digest, bytes]
    written_bytes: int  # the compressed filesystem layer that the merge adds
    size_bytes: int


def identity(inputs: Inputs, nodes: Sequence[str]) -> Fingerprint:
    """Of a merged image: the nodes that it is made of, in whichever order they were named."""
    made_of = sorted({node for top in nodes for node in inputs.graph.lineage[top]})
    facts = canonical_json(["merge", FORMAT, *sorted(inputs.fingerprint(node) for node in made_of)])
    return Fingerprint(hashlib.sha256(facts).hexdigest())


def compose(inputs: Inputs, plan: Plan, shelf: Shelf) -> Composed:
    """Put the selected nodes together; nothing is pushed but indexes. Raises MergeConflict with all conflicts."""
    tops = inputs.selection.nodes
    lines = [inputs.graph.lineage[top] for top in tops]
    manifests = _manifests(inputs, plan, shelf, lines)
    built = _shelved(inputs, shelf, lines, manifests)
    assembled = assemble(lines, built)
    if conflicts := (*_declared(inputs, lines), *assembled.conflicts):
        raise MergeConflict(conflicts)
    fingerprint = identity(inputs, tops)
    return _image(assembled, fingerprint, manifests, _below(lines), shelf)


def _declared(inputs: Inputs, lines: Sequence[Sequence[str]]) -> Iterator[Conflict]:
    return declared(inputs.project.layers, [[inputs.graph.nodes[node].layer for node in line] for line in lines])


def _manifests(inputs: Inputs, plan: Plan, shelf: Shelf, lines: Sequence[Sequence[str]]) -> Mapping[str, Manifest]:
    """Of every node: those that are only stood on were not asked for by the plan."""
    nodes = [*dict.fromkeys(node for line in lines for node in line)]
    known = {step.node.id: step.digest for step in plan.steps}
    heads = shelf.registry.heads(shelf.names.node(inputs.fingerprint(node)) for node in nodes if known[node] is None)
    found: dict[str, Manifest] = {}
    for node in nodes:
        digest = known[node] or heads[shelf.names.node(inputs.fingerprint(node))]
        if digest is None:
            raise UsageError(f"{node} is not in the registry", hint="Build it: hubstack compose … --push.")
        found[node] = shelf.manifest(digest)
    return found


def _shelved(
    inputs: Inputs, shelf: Shelf, lines: Sequence[Sequence[str]], manifests: Mapping[str, Manifest]
) -> dict[str, Built]:
    below = _below(lines)

    def fetch(node: str) -> Built:
        parent = below.get(node)
        return shelf.built(
            inputs.graph.nodes[node].layer,
            inputs.fingerprint(node),
            manifests[node],
            manifests[parent] if parent is not None else None,
        )

    with ThreadPoolExecutor(4) as pool:
        return dict(zip(manifests, pool.map(fetch, manifests), strict=True))


def _below(lines: Sequence[Sequence[str]]) -> Mapping[str, str]:
    """Node → what it was built on."""
    return {child: parent for line in lines for parent, child in pairwise(line)}


def _image(
    assembled: Assembled,
    fingerprint: Fingerprint,
    manifests: Mapping[str, Manifest],
    below: Mapping[str, str],
    shelf: Shelf,
) -> Composed:
    layers: list[Descriptor] = []
    diff_ids: list[str] = []
    configs: list[Mapping[str, Any]] = []
    for node in assembled.nodes:
        config = shelf.config(manifests[node])
        start = len(manifests[below[node]].layers) if node in below else 0
        layers += manifests[node].layers[start:]
        diff_ids += config["rootfs"]["diff_ids"][start:]
        configs.append(config)
    tar, content = write_layer(assembled.written, assembled.index, mtime=SOURCE_DATE_EPOCH)
    if assembled.written:
        layers.append(Descriptor(media_type=_LAYER, digest=digest_of(content), size=len(content)))
        diff_ids.append(digest_of(tar))
    if len(layers) > MOST_LAYERS:
        raise UsageError(
            f"that is an image of {len(layers)} filesystem layers, more than the {MOST_LAYERS} that runtimes bear",
            hint="Fuse layers that always stand together into one.",
        )
    config_blob = canonical_json(_config(assembled, fingerprint, configs[0], diff_ids))
    manifest = Manifest.parse(
        canonical_json(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": Descriptor(
                    media_type=OCI_CONFIG, digest=digest_of(config_blob), size=len(config_blob)
                ).as_json(),
                "layers": [layer.as_json() for layer in layers],
            }
        )
    )
    blobs = {digest_of(config_blob): config_blob} | ({digest_of(content): content} if assembled.written else {})
    return Composed(
        assembled=assembled,
        fingerprint=fingerprint,
        manifest=manifest,
        blobs=blobs,
        written_bytes=len(content) if assembled.written else 0,
        size_bytes=sum(layer.size for layer in layers),
    )


def _config(
    assembled: Assembled, fingerprint: Fingerprint, base: Mapping[str, Any], diff_ids: Sequence[str]
) -> dict[str, Any]:
    labels = {**assembled.config.get("Labels", {}), FINGERPRINT_LABEL: fingerprint}
    return {
        **{key: base[key] for key in ("architecture", "os", "variant") if key in base},
        "created": _CREATED,
        "config": {**assembled.config, "Labels": dict(sorted(labels.items()))},
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        "history": [{"created": _CREATED, "created_by": "hubstack compose"} for _ in diff_ids],
    }


def push(composed: Composed, shelf: Shelf, test: Callable[[Digest], None], tests: str) -> Digest:
    """Bring the image to the build repository, test it there, and mark it; the digest that its tag then names."""
    registry, names = shelf.registry, shelf.names
    for digest, content in composed.blobs.items():
        registry.upload_blob(names.build, digest, content)
    digest = composed.manifest.digest
    registry.push_image(composed.manifest, names.build.with_digest(digest))
    test(digest)
    found = registry.put_tag_once(names.node(composed.fingerprint), composed.manifest, adopt=True)
    if found != digest:
        test(found)
    whole = composed.manifest if found == digest else shelf.manifest(found)
    registry.put_tag_once(names.tested(composed.fingerprint, tests), whole)
    return found
