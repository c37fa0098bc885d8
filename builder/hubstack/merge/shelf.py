"""Nodes as merging sees them: what each changes on top of its parents, and its image's config.

Beside each node the registry has its *index*, under ``index-<fingerprint>``: made once from its blobs, and all that a merge
reads. A store on this machine keeps its own nodes' indexes too, for builds that push nothing.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

from hubstack.errors import RegistryError
from hubstack.merge.assembly import Built
from hubstack.merge.entry import Index, overlay
from hubstack.merge.mergers import KEPT
from hubstack.merge.record import MEDIA_TYPE, built_json, parse_built
from hubstack.merge.tar import read_blob
from hubstack.model import Graph, Node
from hubstack.names import Names
from hubstack.oci import CONFIG_LIMIT_BYTES, Descriptor, Layout, Manifest
from hubstack.reference import Digest, Fingerprint
from hubstack.registry import Registry
from hubstack.store import Store

_MACHINE = ("architecture", "os", "variant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """``write`` is False where nothing may be pushed."""

    graph: Graph
    fingerprint: Callable[[str], Fingerprint]
    registry: Registry
    names: Names
    store: Store
    write: bool
    _kept: dict[str, Built] = field(default_factory=dict)

    def take(self, tops: Iterable[str], digests: Mapping[str, Digest]) -> Mapping[str, Built]:
        """``tops`` and all that they stand on, parents first. ``digests`` are those of images that are known.

        Raises RegistryError where a node isn't there.
        """
        nodes = self._below(tops)
        missing = [node for node in nodes if node.id not in self._kept]
        with ThreadPoolExecutor(4) as pool:
            read = dict(zip([node.id for node in missing], pool.map(self._read, missing), strict=True))
        for node in reversed(missing):  # a child's index says which image its parent was
            if (found := read[node.id]) is not None:
                digests = {**dict(zip(node.parents, found.below, strict=False)), **digests}
        for node in missing:
            found = read[node.id]
            if found is None or found.digest != digests.get(node.id, found.digest):
                found = self._make(node, digests.get(node.id))
            self._kept[node.id] = found
        return {node.id: self._kept[node.id] for node in nodes}

    def keep(self, node: Node, digest: Digest) -> None:
        """Have the index of a node that was just built, before anybody asks."""
        if (found := self._read(node)) is not None and found.digest == digest:
            self._kept[node.id] = found
        else:
            self.take(node.parents, {})
            self._kept[node.id] = self._make(node, digest)

    def complete(self, layout: Layout) -> None:
        """Have all of an image's blobs on this machine."""
        for blob in layout.manifest.blobs:
            if not layout.path(blob.digest).exists():
                with tempfile.NamedTemporaryFile(dir=self.store.folder / "tmp", delete=False) as there:
                    self.registry.fetch_blob(self.names.build, blob.digest, there)
                Path(there.name).replace(layout.path(blob.digest))

    def _below(self, tops: Iterable[str]) -> Sequence[Node]:
        waiting, wanted = [*tops], set[str]()
        while waiting:
            if (node := waiting.pop()) not in wanted:
                wanted.add(node)
                waiting += self.graph.nodes[node].parents
        return [node for node in self.graph.nodes.values() if node.id in wanted]

    def _read(self, node: Node) -> Built | None:
        fingerprint = self.fingerprint(node.id)
        data = self.store.read_index(fingerprint)
        if data is None:
            data = self.registry.read_record(self.names.index(fingerprint), artifact_type=MEDIA_TYPE)
        return parse_built(data, node)

    def _make(self, node: Node, digest: Digest | None) -> Built:
        manifest = self._manifest(self.fingerprint(node.id), digest)
        config = self._config(manifest)
        parents = [self._kept[parent] for parent in node.parents]
        start = self._count(node)
        own = manifest.layers[start:]
        made = Built(
            name=node.layer,
            parents=node.parents,
            index=reduce(overlay, (self._index(blob) for blob in own), Index(entries={})),
            config=config.get("config") or {},
            machine={key: config[key] for key in _MACHINE if key in config},
            layers=own,
            diff_ids=tuple(config["rootfs"]["diff_ids"][start:]),
            digest=manifest.digest,
            below=tuple(parent.digest for parent in parents),
        )
        self._write(node, built_json(made))
        return made

    def _count(self, node: Node) -> int:
        """How many of its image's filesystem layers are those of nodes below it."""
        return sum(len(self._kept[one.id].layers) for one in self._below(node.parents))

    def _write(self, node: Node, data: Mapping[str, Any]) -> None:
        fingerprint = self.fingerprint(node.id)
        self.store.write_index(fingerprint, data)
        if self.write:
            self.registry.write_record(self.names.index(fingerprint), data, artifact_type=MEDIA_TYPE)

    def _manifest(self, fingerprint: Fingerprint, digest: Digest | None) -> Manifest:
        layout = self.store.layout(fingerprint)
        if layout is not None and layout.manifest.digest == (digest or layout.manifest.digest):
            return layout.manifest
        ref = self.names.build.with_digest(digest) if digest else self.names.node(fingerprint)
        if (found := self.registry.manifest(ref)) is None:
            raise RegistryError(f"{ref} is not in the registry", hint="Build it: hubstack build.")
        return found

    def _config(self, manifest: Manifest) -> Mapping[str, Any]:
        """The whole config blob."""
        assert manifest.config is not None  # nodes are images, not indexes
        digest = manifest.config.digest
        if (here := self.store.blob(digest)).exists():
            content = here.read_bytes()
        else:
            content = self.registry.blob(self.names.build, digest, limit_bytes=CONFIG_LIMIT_BYTES)
        found: Mapping[str, Any] = json.loads(content)
        return found

    def _index(self, blob: Descriptor) -> Index:
        here = self.store.blob(blob.digest)
        if here.exists():
            with here.open("rb") as file:
                return read_blob(file, _is_kept)
        with tempfile.TemporaryFile() as there:
            self.registry.fetch_blob(self.names.build, blob.digest, there)
            there.seek(0)
            return read_blob(there, _is_kept)


def _is_kept(path: str) -> bool:
    return KEPT.fullmatch(path) is not None
