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
from hubstack.model import ImageRef
from hubstack.oci import Manifest
from hubstack.registry import Registry

from tests.engine.workbench import Run, Work, docker, layer_of, tags, without_hello, wrap_buildx

pytestmark = pytest.mark.engine

SEEN = "the secret is here"


@pytest.fixture
def canary() -> str:
    return f"CANARY{uuid.uuid4().hex}"


@pytest.fixture
def guarded(work: Work, ca_bundle: Path | None, canary: str, tmp_path: Path) -> Work:
    """Every step sees the secret. Without BuildKit's cache: the secret is no part of what that goes by."""
    certificates = ca_bundle.read_text(encoding="utf-8") if ca_bundle else ""
    bundle = tmp_path / f"{canary}.pem"
    bundle.write_text(f"{certificates}\n{canary}\n", encoding="utf-8")
    without_hello(work)
    work.edit("layers/words/Dockerfile.j2", "{% endcall %}", check(canary) + "{% endcall %}")
    return replace(wrap_buildx(work, tmp_path / "docker", "--no-cache"), ca_bundle=bundle)


def check(canary: str) -> str:
    """A script that fails where the secret is not: and which names only half of the word itself."""
    half = canary[: len(canary) // 2]
    lines = (
        f"grep -q {half} /run/secrets/hubstack-ca",
        'test "$SSL_CERT_FILE" = /run/secrets/hubstack-ca',
        f"echo {SEEN}",
    )
    return "".join(f"{line}\n" for line in lines)


def test_the_certificates_are_nowhere(guarded: Work, registry: Registry, canary: str) -> None:
    out = str(guarded.folder / "out")
    run = guarded.run("build", "--push", "--profiles", out, "small", "both")
    for node in (name for name in guarded.nodes("both") if layer_of(name) == "words"):
        assert SEEN in guarded.log(node)
    told = run.stdout + run.stderr + guarded.run("plan", "--json").stdout + guarded.run("why", "both/plain").stdout
    assert canary not in told
    sinks = [*in_registry(registry, guarded.prefix), *in_folder(guarded.folder), *in_engine(guarded.prefix)]
    kinds = {kind for kind, _, _ in sinks}
    assert kinds >= {"manifest", "config", "filesystem layer", "record", "log", "layout", "ConfigMap", "history"}
    assert [(kind, name) for kind, name, content in sinks if canary.encode() in content] == []


def test_a_leak_would_be_found(guarded: Work, registry: Registry, canary: str) -> None:
    """The search above is good for something: a layer that copies the secret is found out."""
    guarded.edit("layers/words/Dockerfile.j2", f"echo {SEEN}", "cp /run/secrets/hubstack-ca /opt/leak")
    guarded.build("both/plain")
    leaks = [kind for kind, _, content in in_registry(registry, guarded.prefix) if canary.encode() in content]
    assert set(leaks) == {"filesystem layer"}


Sink = tuple[str, str, bytes]


def in_registry(registry: Registry, prefix: ImageRef) -> Iterator[Sink]:
    """Whatever the registry holds under the prefix, unpacked."""
    seen: set[str] = set()
    for repository in (prefix.child(name) for name in ("build", "small", "both")):
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
    """The project's folder with its store; blobs are in the registry too."""
    for path in folder.rglob("*"):
        if path.is_file() and "blobs" not in path.parts and "layers" not in path.relative_to(folder).parts[:1]:
            kind = {"logs": "log", "nodes": "layout", "out": "ConfigMap"}.get(
                path.relative_to(folder).parts[-2], "file"
            )
            yield kind if "nodes" not in path.parts else "layout", str(path), path.read_bytes()


def in_engine(prefix: ImageRef) -> Iterator[Sink]:
    """What the engine says of the images that it was given."""
    names = docker("images", "--format={{.Repository}}:{{.Tag}}", f"--filter=reference={prefix}/build").split()
    assert names
    for name in names:
        yield "history", name, docker("history", "--no-trunc", "--format=json", name).encode()
        yield "config", name, json.dumps(json.loads(docker("inspect", name))).encode()


def test_a_built_image_knows_nothing_of_the_proxy(built: tuple[Work, Run]) -> None:
    work, run = built
    image = f"{work.prefix}/small@{run.digests['small/default']}"
    script = "env; ls /run/secrets 2>/dev/null; ls /usr/local/share/ca-certificates"
    said = docker("run", "--rm", "--entrypoint=sh", image, "-c", script)
    assert "PATH=" in said
    assert not re.search("SSL|CERT|PROXY|proxy|hubstack-ca|crt", said)
    docker("image", "rm", "--force", image)
