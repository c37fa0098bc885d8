"""Merging made wrong on purpose: what the comparison has to notice."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

from hubstack.merge import three_way
from hubstack.merge.image import MergedImage
from hubstack.merge.mergers import EXTENDED_STATES, Merger, Sides, find_merger
from hubstack.oci import OCI_CONFIG, Descriptor, Manifest, canonical_json, digest_of


@contextmanager
def broken(pattern: str) -> Iterator[None]:
    """Meanwhile, of the files of one merger the topmost part's stands."""

    def find(path: str) -> Merger | None:
        return _topmost if re.fullmatch(pattern, path) else find_merger(path)

    with mock.patch.object(three_way, "find_merger", find):
        if re.fullmatch(pattern, EXTENDED_STATES):
            with mock.patch.object(three_way, "merge_extended_states", _topmost):
                yield
        else:
            yield


def _topmost(sides: Sides) -> bytes:
    return sides.versions[-1]


def stacked(image: MergedImage) -> MergedImage:
    """The parts on each other, without the filesystem layer that the merge writes."""
    assert image.manifest.config is not None
    config = json.loads(image.blobs[image.manifest.config.digest])
    config["rootfs"]["diff_ids"] = config["rootfs"]["diff_ids"][: image.below]
    config["history"] = config["history"][: image.below]
    blob = canonical_json(config)
    descriptor = Descriptor(media_type=OCI_CONFIG, digest=digest_of(blob), size=len(blob))
    layers = [layer.as_json() for layer in image.manifest.layers[: image.below]]
    whole = json.loads(image.manifest.content) | {"config": descriptor.as_json(), "layers": layers}
    return replace(image, manifest=Manifest.parse(canonical_json(whole)), blobs={descriptor.digest: blob})
