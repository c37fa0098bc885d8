"""What is known of built images: their blobs and how long they took, from this machine and from the registry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hubstack.errors import RegistryDenied, RegistryUnreachable
from hubstack.oci import Manifest
from hubstack.publish import Remote
from hubstack.reference import Digest, Fingerprint
from hubstack.store import Store

Blobs = Mapping[Digest, int]
"""Compressed filesystem layers and their bytes."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    blobs: Mapping[Fingerprint, Blobs] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)  # node → what its last build took
    fault: str = ""  # why the registry could not be read


def gather(store: Store, remote: Remote | None, fingerprints: Iterable[Fingerprint], nodes: Iterable[str]) -> Evidence:
    """``remote`` is None where no registry is to be asked. One that can't be read is no error: less is known then."""
    wanted, names = list(dict.fromkeys(fingerprints)), list(nodes)
    here = {one: _blobs(layout.manifest) for one in wanted if (layout := store.layout(one)) is not None}
    seconds = {node: record.seconds for node, record in store.records(names).items()}
    if remote is None:
        return Evidence(blobs=here, seconds=seconds)
    try:
        there = _ask(remote, [one for one in wanted if one not in here])
        records = remote.records([node for node in names if node not in seconds])
    except (RegistryDenied, RegistryUnreachable) as fault:
        return Evidence(blobs=here, seconds=seconds, fault=fault.message)
    return Evidence(
        blobs={**there, **here},
        seconds={**{node: record.seconds for node, record in records.items()}, **seconds},
    )


def _ask(remote: Remote, fingerprints: list[Fingerprint]) -> dict[Fingerprint, Blobs]:
    from concurrent.futures import ThreadPoolExecutor

    refs = {one: remote.names.node(one) for one in fingerprints}
    for ref in refs.values():
        remote.registry.head(ref)  # a registry that can't be read is to say so once, and not for each
        break
    with ThreadPoolExecutor(8) as pool:
        found = dict(zip(refs, pool.map(remote.registry.manifest, refs.values()), strict=True))
    return {one: _blobs(manifest) for one, manifest in found.items() if manifest is not None}


def _blobs(manifest: Manifest) -> Blobs:
    return {blob.digest: blob.size for blob in manifest.layers}
