"""Promise 7: a build secret is in no blob, history, label, log or plan.

The certificates' file of --ca-bundle holds a word that stands nowhere else; it is then searched for everywhere.
"""

from __future__ import annotations

import gzip
import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hubstack.oci import Manifest
from hubstack.reference import ImageRef
from hubstack.registry import Registry

from tests.engine.workbench import Cold, Run, Work, docker, tags, with_canary

pytestmark = pytest.mark.engine


def test_the_certificates_are_nowhere(cold: Cold, registry: Registry) -> None:
    """Every step was run with them."""
    work, canary = cold.work, cold.canary.encode()
    done = work.run("build", "--push", "--profiles", str(work.folder / "out"))
    told = [
        done,
        work.run("plan"),
        work.run("plan", "--json"),
        work.run("why", "both/plain"),
        work.run("why", "layer:hello"),
    ]
    assert [one.args for one in told if cold.canary in one.stdout + one.stderr] == []
    assert cold.canary not in json.dumps(cold.run.events) + cold.run.stderr
    sinks = [*in_registry(registry, work.prefix), *in_folder(work.folder), *in_engine(work.prefix)]
    kinds = {kind for kind, _, _ in sinks}
    assert kinds == {"manifest", "config", "filesystem layer", "record", "store", "ConfigMap", "history"}
    assert [(kind, name) for kind, name, content in sinks if canary in content] == []


def test_a_leak_would_be_found(settled: Work, registry: Registry, ca_bundle: Path | None, tmp_path: Path) -> None:
    """The secret is there while a step runs, and the search above finds it in a layer that keeps it."""
    canary = f"CANARY{uuid.uuid4().hex}"
    settled.edit(
        "layers/words/Dockerfile.j2", "{% endcall %}", f"cp $SSL_CERT_FILE /opt/leak-{canary[:16]}\n{{% endcall %}}"
    )
    replace(settled, ca_bundle=with_canary(tmp_path / "ca.pem", ca_bundle, canary)).build("both/plain")
    leaks = [kind for kind, _, content in in_registry(registry, settled.prefix) if canary.encode() in content]
    assert leaks == ["filesystem layer"]


def test_a_built_image_knows_nothing_of_the_proxy(built: tuple[Work, Run]) -> None:
    work, run = built
    image = f"{work.prefix}/small@{run.digests['small/default']}"
    script = "env; ls /run/secrets 2>/dev/null; ls /usr/local/share/ca-certificates"
    said = docker("run", "--rm", "--entrypoint=sh", image, "-c", script)
    assert "PATH=" in said
    assert not re.search("SSL|CERT|PROXY|proxy|hubstack-ca|crt", said)
    docker("image", "rm", "--force", image)


Sink = tuple[str, str, bytes]


def in_registry(registry: Registry, prefix: ImageRef) -> Iterator[Sink]:
    """Whatever the registry holds under the prefix, unpacked."""
    seen: set[str] = set()
    for repository in (prefix.child(name) for name in ("build", "small", "both", "hello")):
        for tag in registry.tags(repository):
            manifest = registry.manifest(repository.with_tag(tag))
            assert manifest is not None
            if manifest.digest not in seen:
                yield "manifest", f"{repository}:{tag}", manifest.content
                yield from of_manifest(registry, repository, manifest, seen)
            seen.add(manifest.digest)
    assert len(tags(registry, prefix.child("build"))) > 10


def of_manifest(registry: Registry, repository: ImageRef, manifest: Manifest, seen: set[str]) -> Iterator[Sink]:
    assert manifest.config is not None
    for blob in manifest.blobs:
        if blob.digest not in seen:
            seen.add(blob.digest)
            content = registry.blob(repository, blob.digest, limit_bytes=1 << 30)
            if blob.media_type.endswith("+gzip"):
                yield "filesystem layer", blob.digest, gzip.decompress(content)
            elif manifest.artifact_type:
                yield "record", blob.digest, content
            else:
                yield "config", blob.digest, content


def in_folder(folder: Path) -> Iterator[Sink]:
    """What hubstack has written: logs, records, layouts and the ConfigMap. The blobs are in the registry too."""
    for path in [*(folder / ".hubstack").rglob("*"), *(folder / "out").iterdir()]:
        if path.is_file() and "blobs" not in path.parts:
            yield "ConfigMap" if path.parent.name == "out" else "store", str(path), path.read_bytes()


def in_engine(prefix: ImageRef) -> Iterator[Sink]:
    """What the engine says of the images that it was given."""
    names = docker("images", "--format={{.Repository}}:{{.Tag}}", f"--filter=reference={prefix}/build").split()
    assert names
    for name in names:
        yield "history", name, docker("history", "--no-trunc", "--format=json", name).encode()
        yield "config", name, json.dumps(json.loads(docker("inspect", name))).encode()
