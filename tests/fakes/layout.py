"""Writes OCI layout folders as buildx writes them, without an engine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from hubstack.oci import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Layout, canonical_json, digest_of, read_layout

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def write_layout(
    folder: Path, filesystem_layers: Sequence[bytes] = (b"one", b"two"), labels: Mapping[str, str] | None = None
) -> Layout:
    """``folder/blobs`` may be there already, as a link to a shared folder."""
    config = {
        "os": "linux",
        "architecture": "amd64",
        "created": "2026-11-01T00:00:00Z",
        "config": {"User": "1000:100", "Env": ["PATH=/usr/bin", "OPTS=a=b"], "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(b"tar of " + one) for one in filesystem_layers]},
    }
    (folder / "blobs").mkdir(parents=True, exist_ok=True)
    manifest = canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": write_blob(folder, canonical_json(config), OCI_CONFIG),
            "layers": [write_blob(folder, one, LAYER) for one in filesystem_layers],
        }
    )
    write_index(folder, [write_blob(folder, manifest, OCI_MANIFEST)])
    return read_layout(folder)


def write_index(folder: Path, entries: Sequence[Mapping[str, object]]) -> None:
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')


def write_blob(folder: Path, content: bytes, media_type: str) -> dict[str, object]:
    digest = digest_of(content)
    path = folder / "blobs" / "sha256" / digest.hex
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return {"mediaType": media_type, "digest": str(digest), "size": len(content)}
