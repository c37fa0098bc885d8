"""The merged image's manifest and config, and the one blob that is new: all others are in the registry already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hubstack.errors import UsageError
from hubstack.merge.assembly import Assembled
from hubstack.merge.built import Built
from hubstack.merge.filesystem import write_layer
from hubstack.names import FINGERPRINT_LABEL, SETTLED_LABEL
from hubstack.oci import OCI_CONFIG, OCI_MANIFEST, SOURCE_DATE_EPOCH, Descriptor, Manifest, canonical_json, digest_of
from hubstack.reference import Digest, Fingerprint

MADE_BY = "hubstack merge"  # in the history of what no build has made
MOST_LAYERS = 100  # runtimes stop at 127 (overlayfs's mount options are one page long)
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_CREATED = "2026-01-01T00:00:00Z"  # SOURCE_DATE_EPOCH


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedImage:
    """``blobs`` are the config and the filesystem layer that the merge adds. ``below`` counts those of its nodes."""

    manifest: Manifest
    blobs: Mapping[Digest, bytes]
    below: int


def merged_image(
    assembled: Assembled,
    built: Mapping[Fingerprint, Built],
    fingerprint: Fingerprint,
    further: Sequence[tuple[Descriptor, str]] = (),
) -> MergedImage:
    """``further`` are filesystem layers above the merge's own, each with its diff id. The same for the same nodes.

    Raises UsageError as ``bear`` does.
    """
    bear(assembled, built)
    layers = [layer for node in assembled.nodes for layer in built[node].layers]
    diff_ids = [one for node in assembled.nodes for one in built[node].diff_ids]
    below, blobs = len(layers), dict[Digest, bytes]()
    if assembled.written:
        tar, content = write_layer(assembled.written, assembled.index, mtime=SOURCE_DATE_EPOCH)
        further = ((_descriptor(_LAYER, content), digest_of(tar)), *further)
        blobs[digest_of(content)] = content
    layers += [layer for layer, _ in further]
    diff_ids += [diff_id for _, diff_id in further]
    config = canonical_json(_config(assembled, built, fingerprint, diff_ids))
    blobs[digest_of(config)] = config
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _descriptor(OCI_CONFIG, config).as_json(),
        "layers": [layer.as_json() for layer in layers],
    }
    return MergedImage(manifest=Manifest.parse(canonical_json(value)), blobs=blobs, below=below)


def bear(assembled: Assembled, built: Mapping[Fingerprint, Built]) -> None:
    """Raises UsageError where the image has more filesystem layers than runtimes bear, the merge's own and what settles it
    among them.
    """
    below = sum(len(built[node].layers) for node in assembled.nodes)
    count = below + bool(assembled.written) + bool(assembled.interests)
    if count > MOST_LAYERS:
        raise UsageError(
            f"that is an image of {count} filesystem layers, more than the {MOST_LAYERS} that runtimes bear",
            hint=f"Fuse layers that always stand together into one: {_most(assembled, built)} have the most.",
        )


def _descriptor(media_type: str, content: bytes) -> Descriptor:
    return Descriptor(media_type=media_type, digest=digest_of(content), size=len(content))


def _most(assembled: Assembled, built: Mapping[Fingerprint, Built]) -> str:
    """Of those that people have written: a merge has no name, and is no more than they make it."""
    count: dict[str, int] = {}
    for one in (built[node] for node in assembled.nodes if built[node].name):
        count[one.name] = count.get(one.name, 0) + len(one.layers)
    most = sorted(count, key=lambda name: (-count[name], name))[:3]
    return ", ".join(f"{name} ({count[name]})" for name in most)


def _config(
    assembled: Assembled, built: Mapping[Fingerprint, Built], fingerprint: Fingerprint, diff_ids: Sequence[str]
) -> dict[str, Any]:
    labels = {**assembled.config.get("Labels", {}), FINGERPRINT_LABEL: fingerprint}
    if assembled.interests:
        labels[SETTLED_LABEL] = "\n".join(sorted(map(str, assembled.interests)))
    return {
        **built[assembled.nodes[0]].machine,
        "created": _CREATED,
        "config": {**assembled.config, "Labels": dict(sorted(labels.items()))},
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        "history": [{"created": _CREATED, "created_by": MADE_BY} for _ in diff_ids],
    }
