"""Built nodes on this machine: a folder ``.hubstack/`` in the project.

::

    .hubstack/blobs/sha256/…        what all nodes share, written by BuildKit as it exports
    .hubstack/records/NODE.json     what is remembered of a node's last build
    .hubstack/nodes/FINGERPRINT/    an OCI image layout (index.json, oci-layout, blobs → ../../blobs); for each passed
                                    test fingerprint an empty file ``ok-…``, named as the registry's tag; and merge.index,
                                    what merging needs to know of it

It saves work and is trusted only by the machine that wrote it: the registry stays the one state that a run needs, and
the folder may be removed at any time.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hubstack.errors import EngineError
from hubstack.names import node_tag, tested_tag
from hubstack.oci import Layout, Manifest, canonical_json, read_layout
from hubstack.record import Record, parse_record, record_json
from hubstack.reference import Digest, Fingerprint

FOLDER = ".hubstack"
_INDEX = "merge.index"


class Store:
    """The local store of one project. ``folder`` is made when it is first written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._nodes = folder / "nodes"
        self._blobs = folder / "blobs"
        self._held = False

    @contextmanager
    def lock(self, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        """One build at a time writes here; ``on_wait`` is called once when another is at work.

        Makes the folder, and removes what a killed build has left half done. Who has it may take it again.
        """
        if self._held:
            yield
            return
        self._make()
        with (self.folder / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(file, fcntl.LOCK_EX)
            for rest in (*(self.folder / "tmp").iterdir(), *self._nodes.glob(".new-*")):
                shutil.rmtree(rest) if rest.is_dir() else rest.unlink()
            self._held = True
            try:
                yield
            finally:
                self._held = False

    @contextmanager
    def new_layout(self, fingerprint: Fingerprint) -> Iterator[Path]:
        """An empty layout folder, which becomes the node's when the block ends well."""
        with self.scratch_layout() as new:
            yield new
            (new / "blobs").unlink()
            (new / "blobs").symlink_to("../../blobs")
            final = self._nodes / fingerprint
            shutil.rmtree(final, ignore_errors=True)
            new.rename(final)

    @contextmanager
    def scratch_layout(self) -> Iterator[Path]:
        """An empty layout folder that is gone when the block ends; its blobs stay."""
        with tempfile.TemporaryDirectory(dir=self._nodes, prefix=".new-", ignore_cleanup_errors=True) as name:
            new = Path(name) / "layout"
            new.mkdir()
            (new / "blobs").symlink_to(self._blobs.resolve())
            yield new

    def write_image(self, fingerprint: Fingerprint, manifest: Manifest, blobs: Mapping[Digest, bytes]) -> Layout:
        """The layout of an image that nobody has built. ``blobs`` are those of its blobs that may not be anywhere yet."""
        with self.new_layout(fingerprint) as folder:
            self._fill(folder, manifest, blobs)
        return read_layout(self._nodes / fingerprint)

    @contextmanager
    def scratch_image(self, manifest: Manifest, blobs: Mapping[Digest, bytes]) -> Iterator[Layout]:
        """As ``write_image``, of an image that is no node's yet."""
        with self.scratch_layout() as folder:
            self._fill(folder, manifest, blobs)
            yield read_layout(folder)

    def _fill(self, folder: Path, manifest: Manifest, blobs: Mapping[Digest, bytes]) -> None:
        for digest, content in (*blobs.items(), (manifest.digest, manifest.content)):
            with tempfile.NamedTemporaryFile(dir=self.folder / "tmp", delete=False) as new:
                new.write(content)
            Path(new.name).replace(self.blob(digest))
        (folder / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')
        index = {"schemaVersion": 2, "manifests": [manifest.descriptor().as_json()]}
        (folder / "index.json").write_bytes(canonical_json(index))

    def blob(self, digest: Digest) -> Path:
        """Where it is, if it is here."""
        return self._blobs / "sha256" / digest.hex

    def read_index(self, fingerprint: Fingerprint) -> bytes | None:
        """What ``write_index`` has kept of a node that is here; None where it isn't."""
        with contextlib.suppress(FileNotFoundError):
            return (self._nodes / fingerprint / _INDEX).read_bytes()
        return None

    def write_index(self, fingerprint: Fingerprint, index: bytes) -> None:
        if (folder := self._nodes / fingerprint).exists():
            with tempfile.NamedTemporaryFile(dir=self.folder / "tmp", delete=False) as new:
                new.write(index)
            Path(new.name).replace(folder / _INDEX)

    def layout(self, fingerprint: Fingerprint) -> Layout | None:
        """The node's layout, if all of it is here."""
        layout = self.part(fingerprint)
        if layout is None:
            return None
        return layout if all(layout.path(blob.digest).exists() for blob in layout.manifest.blobs) else None

    def part(self, fingerprint: Fingerprint) -> Layout | None:
        """The node's layout, whether or not all of its blobs are here."""
        try:
            return read_layout(self._nodes / fingerprint)
        except EngineError:
            return None  # not there, or somebody has cleaned up: then it is made again

    def mark_tested(self, fingerprint: Fingerprint, tests: str) -> None:
        (self._nodes / fingerprint / tested_tag(fingerprint, tests)).touch()

    def digests(self, tags: Sequence[str]) -> Mapping[str, Digest]:
        """As the registry would answer for its build repository: ``fp-…`` and ``ok-…`` tags that are here."""
        found: dict[str, Digest] = {}
        for tag in tags:
            fingerprint = Fingerprint(tag.split("-")[1])
            if tag != node_tag(fingerprint) and not (self._nodes / fingerprint / tag).exists():
                continue
            if (layout := self.layout(fingerprint)) is not None:
                found[tag] = layout.manifest.digest
        return found

    def write_record(self, record: Record) -> None:
        new = self.folder / "tmp" / f"{record.node}.json"
        new.write_text(json.dumps(record_json(record)), encoding="utf-8")
        new.replace(self._record(record.node))

    def records(self, nodes: Iterable[str]) -> Mapping[str, Record]:
        """The last record of each node id that has one."""
        found: dict[str, Record] = {}
        for node in nodes:
            with contextlib.suppress(FileNotFoundError):
                record = parse_record(json.loads(self._record(node).read_bytes()))
                found |= {node: record} if record is not None else {}
        return found

    def recorded(self, fingerprints: Iterable[Fingerprint]) -> Mapping[Fingerprint, Record]:
        """None but the last of each node are kept here."""
        wanted = set(fingerprints)
        there = self.records(path.stem for path in (self.folder / "records").glob("*.json"))
        return {one.fingerprint: one for one in there.values() if one.fingerprint in wanted}

    def discard(self, fingerprint: Fingerprint) -> None:
        shutil.rmtree(self._nodes / fingerprint, ignore_errors=True)

    def prune(self, keep: Iterable[Fingerprint], nodes: Iterable[str]) -> None:
        """Remove what is neither in ``keep`` nor the last build of one of ``nodes``, the whole graph's ids.

        So an edit replaces what was built before it, and a build of one stack takes nothing from the others.
        """
        there = {folder.name for folder in self._nodes.iterdir()}
        if there <= (kept := set[str](keep)):
            return
        kept |= {record.fingerprint for record in self.records(nodes).values()}
        for name in there - kept:
            shutil.rmtree(self._nodes / name)
        self._prune_blobs()

    def _prune_blobs(self) -> None:
        used: set[str] = set()
        for folder in self._nodes.iterdir():
            if (layout := self.layout(Fingerprint(folder.name))) is not None:
                used |= {layout.manifest.digest.hex, *(blob.digest.hex for blob in layout.manifest.blobs)}
        for blob in (self._blobs / "sha256").iterdir():
            if blob.name not in used:
                blob.unlink()

    def _record(self, node: str) -> Path:
        return self.folder / "records" / f"{node}.json"

    def _make(self) -> None:
        self._nodes.mkdir(parents=True, exist_ok=True)
        (self._blobs / "sha256").mkdir(parents=True, exist_ok=True)
        for name in ("records", "logs", "tmp"):
            (self.folder / name).mkdir(exist_ok=True)
        ignore = self.folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")  # as pytest and venv do: nobody needs to know of this folder
