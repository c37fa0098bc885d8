"""An engine without a daemon: it builds real OCI layouts, and runs commands that the test answers for.

An image is made of the context's bytes and of what it stands on, so equal inputs give equal digests (``salt`` makes an
engine that is not reproducible). Everything else is as with the real one: a parent must be where the build is told to
look, an image must be whole to be loaded and in the registry to be pulled, containers end when the run is cancelled.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from hubstack.buildx import Job, add_file, failure, write_context
from hubstack.engine import Execution
from hubstack.errors import Cancelled, EngineError
from hubstack.model import SourceFile
from hubstack.oci import OCI_CONFIG, OCI_MANIFEST, Layout, Manifest, canonical_json, digest_of, read_layout
from hubstack.reference import Digest, ImageRef

from tests.fakes.layout import LAYER, write_blob, write_index
from tests.fakes.registry import FakeRegistry

Answer = Callable[["Image", str], Execution]


@dataclass(frozen=True)
class Call:
    """What was asked of the engine. ``about`` is a node (build), an image (load, pull, container) or a command (run)."""

    verb: str
    about: str = ""
    folder: str = ""  # of a command, as the others
    network: bool = False
    timeout_s: int = 0


@dataclass(frozen=True)
class Image:
    """What the daemon holds; ``layers`` are the uncompressed filesystem layers, lowest first."""

    id: str
    labels: Mapping[str, str]
    layers: tuple[bytes, ...]

    def files(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for layer in self.layers:
            with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
                found |= {one.name: file.read() for one in tar if (file := tar.extractfile(one)) is not None}
        return found


@dataclass
class FakeEngine:
    registry: FakeRegistry
    salt: str = ""
    platform: str = "linux/amd64"
    calls: list[Call] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)  # layer → what buildx prints before it fails
    hanging: set[str] = field(default_factory=set)  # layers whose build ends only when it is cancelled
    codes: dict[str, int] = field(default_factory=dict)  # command → exit code; 0 for all others
    outputs: dict[str, str] = field(default_factory=dict)
    hanging_commands: set[str] = field(default_factory=set)
    before: Callable[[Call], None] = lambda call: None
    images: dict[str, Image] = field(default_factory=dict)
    alive: list[Container] = field(default_factory=list)
    passed: set[tuple[str, str]] = field(default_factory=set)  # (image, command) that ended with code 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def verbs(self, verb: str) -> list[str]:
        return [call.about for call in self.calls if call.verb == verb]

    def note(self, call: Call) -> None:
        with self._lock:
            self.calls.append(call)
        self.before(call)

    def check(self) -> None:
        self.note(Call("check"))

    def stop(self) -> None:
        self.note(Call("stop"))
        for container in list(self.alive):
            container.gone.set()

    # --- builds ------------------------------------------------------------------------------------------------------

    def build(self, job: Job, *, on_line: Callable[[str], None], cancel: threading.Event | None) -> None:
        self.note(Call("build", job.node))
        layer = job.node.rpartition("-")[0] or job.node
        on_line(f"#1 [internal] load build definition of {job.node}")
        if layer in self.hanging:
            assert cancel is not None
            cancel.wait()
            raise Cancelled
        if layer in self.failures:
            lines = self.failures[layer].splitlines()
            for line in lines:
                on_line(line)
            raise failure(job, lines)
        below = {name: self._find(where) for name, where in job.contexts.items()}
        self._write(job, below)

    def _find(self, where: str) -> Image:
        """The image of a named context. BuildKit compares what it finds with the digest."""
        scheme, _, rest = where.partition("://")
        place, _, digest = rest.rpartition("@")
        if scheme == "oci-layout":
            layout = read_layout(Path(place))
            if layout.manifest.digest != digest:
                raise EngineError(f"{where}: the layout holds {layout.manifest.digest}")
            return _image(layout.manifest, lambda one: layout.path(one).read_bytes())
        return self._fetch(ImageRef.parse(rest))

    def _write(self, job: Job, below: Mapping[str, Image]) -> None:
        parent = below.get("parent")
        inherited = parent.layers if parent else ()
        assert job.below == tuple(map(digest_of, inherited)), "buildx could not see on what the image stands"
        tar = self._filesystem_layer(job, below)
        layers = (*inherited, tar)
        config = {
            "os": job.platform.split("/")[0],
            "architecture": job.platform.split("/")[1],
            "config": {"User": "1000:100", "Labels": {**(parent.labels if parent else {}), **job.labels}},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(one) for one in layers]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": _export(job.layout, canonical_json(config), OCI_CONFIG),
            "layers": [_export(job.layout, gzip.compress(one, mtime=0), LAYER) for one in layers],
        }
        write_index(job.layout, [_export(job.layout, canonical_json(manifest), OCI_MANIFEST)])

    def _filesystem_layer(self, job: Job, below: Mapping[str, Image]) -> bytes:
        context, tar = io.BytesIO(), io.BytesIO()
        write_context(context, replace(job, below=()), None)  # steps don't look at it
        copied = "".join(image.id for name, image in sorted(below.items()) if name != "parent")
        built = digest_of(context.getvalue() + copied.encode() + self.salt.encode())
        with tarfile.open(fileobj=tar, mode="w") as file:
            add_file(file, SourceFile(path=f"built/{built.hex[:12]}", content=job.rendered.dockerfile.encode()))
        return tar.getvalue()

    # --- the daemon --------------------------------------------------------------------------------------------------

    def load(self, layout: Layout, name: ImageRef) -> str:
        self.note(Call("load", str(name)))
        image = _image(layout.manifest, lambda one: layout.path(one).read_bytes())
        self.images[image.id] = image
        return image.id

    def pull(self, ref: ImageRef) -> str:
        self.note(Call("pull", str(ref)))
        image = self._fetch(ref)
        self.images[image.id] = image
        return image.id

    def _fetch(self, ref: ImageRef) -> Image:
        repository = self.registry.repository(ref.repository)
        found = repository.manifests.get(ref.digest or repository.tags.get(ref.tag, ""))
        if ref.host != self.registry.host or found is None:
            raise EngineError(f"the engine can't pull {ref}: not found")
        media_type, content = found
        return _image(Manifest.parse(content, media_type), lambda one: self.registry.content[one])

    @contextmanager
    def container(self, image: str, *, network: bool, files: Mapping[str, Sequence[SourceFile]]) -> Iterator[Container]:
        self.note(Call("container", image))
        if image not in self.images:
            raise EngineError(f"the engine can't make a container of {image}: no such image")
        put = {f"{folder}/{one.path}": one for folder, content in files.items() for one in content}
        container = Container(self, self.images[image], network, put)
        self.alive.append(container)
        try:
            yield container
        finally:
            self.alive.remove(container)


@dataclass(frozen=True, eq=False)
class Container:
    engine: FakeEngine
    image: Image
    network: bool
    files: Mapping[str, SourceFile]
    gone: threading.Event = field(default_factory=threading.Event)

    def run(self, shell: str, *, timeout_s: int, folder: str = "/") -> Execution:
        self.engine.note(Call("run", shell, folder, self.network, timeout_s))
        if folder != "/" and not any(path.startswith(f"{folder}/") for path in self.files):
            return Execution(code=126, output=f"OCI runtime exec failed: chdir to {folder}: no such file or directory")
        if shell in self.engine.hanging_commands:
            assert self.gone.wait(30)
        if self.gone.is_set():
            raise EngineError("the engine can't run a command in a container: it is gone")
        code = self.engine.codes.get(shell, 0)
        if code == 0:
            self.engine.passed.add((self.image.id, shell))
        return Execution(code=code, output=self.engine.outputs.get(shell, ""))


def _export(layout: Path, content: bytes, media_type: str) -> dict[str, object]:
    """A blob into the folder that all builds share. As with BuildKit, what is there stays, and nothing is half there."""
    with tempfile.TemporaryDirectory(dir=layout) as name:
        entry = write_blob(Path(name), content, media_type)
        path = layout / "blobs" / "sha256" / digest_of(content).hex
        if not path.exists():
            (Path(name) / "blobs" / "sha256" / path.name).rename(path)
    return entry


def _image(manifest: Manifest, read: Callable[[Digest], bytes]) -> Image:
    """The image as a daemon keeps it, every blob compared with its digest."""
    assert manifest.config is not None
    content = {blob.digest: read(blob.digest) for blob in manifest.blobs}
    broken = [digest for digest, data in content.items() if digest_of(data) != digest]
    if broken:
        raise EngineError(f"blobs with other content: {broken}")
    config = json.loads(content[manifest.config.digest])
    layers = tuple(gzip.decompress(content[one.digest]) for one in manifest.layers)
    assert [digest_of(one) for one in layers] == config["rootfs"]["diff_ids"]
    return Image(id=manifest.digest, labels=config["config"]["Labels"] or {}, layers=layers)
