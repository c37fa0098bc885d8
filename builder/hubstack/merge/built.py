"""A node as merging knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hubstack.merge.entry import Index
from hubstack.oci import Descriptor
from hubstack.reference import Digest, Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A node as it was built: what is its own, without that of its parents, which are named by their fingerprints."""

    name: str  # of its layer; empty: it is a merge itself
    parents: tuple[Fingerprint, ...]
    index: Index
    config: Mapping[str, Any]  # the object of that name in its image's config
    machine: Mapping[str, str]  # ``architecture``, ``os``, ``variant``, as configs have them
    layers: tuple[Descriptor, ...]
    diff_ids: tuple[str, ...]
    digest: Digest  # of its image
    below: tuple[Digest, ...]  # of its parents' images
    moves: int = 0  # how often it was put on another build of its parent since

    @property
    def size_bytes(self) -> int:
        return sum(blob.size for blob in self.layers)
