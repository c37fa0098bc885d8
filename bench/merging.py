"""One process of what bench/merge.py measures: merges, moves onto a new base, an index, a tree of many files.

    python bench/merging.py WHAT ARGUMENT

Says in JSON what it has done. Images are pushed by digest, without a tag, beside the nodes that they are made of; nothing is
tested.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import combinations, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from hubstack.merge.assembly import Assembled
    from hubstack.merge.built import Built
    from hubstack.merge.image import MergedImage
    from hubstack.merge.shelf import Shelf
    from hubstack.model import Node
    from hubstack.oci import Layout
    from hubstack.reference import Digest, Fingerprint

_CHUNK = 1 << 20


def main() -> None:
    what, argument = sys.argv[1:]
    done = _VERBS[what](argument)
    print(json.dumps(done))


def _open(job: Mapping[str, Any]) -> Shelf:
    """``ref`` is a project's prefix; ``sources`` each node's layer and parents; ``store`` a folder; ``write`` indexes, too."""
    from hubstack import reference
    from hubstack.merge.shelf import Shelf, Source
    from hubstack.names import Names
    from hubstack.reference import Fingerprint, ImageRef
    from hubstack.registry import Registry
    from hubstack.store import Store

    prefix, store = ImageRef.parse(job["ref"]), Store(Path(job["store"]))
    with store.lock():
        pass  # which makes its folders
    return Shelf(
        sources={
            Fingerprint(node): Source(name=name, parents=tuple(Fingerprint(one) for one in parents))
            for node, (name, parents) in job["sources"].items()
        },
        registry=Registry(prefix.host, publish=True),
        names=Names(prefix=prefix, layout=reference.Layout.NESTED),
        store=store,
        write=job["write"],
    )


def _push(shelf: Shelf, layout: Layout) -> int:
    """Bytes that have been sent: those of its blobs that the store has, and the manifest."""
    image = layout.manifest
    shelf.registry.push_image(layout, shelf.names.build.with_digest(image.digest))
    here = sum(blob.size for blob in image.blobs if shelf.store.blob(blob.digest).exists())
    return here + len(image.content)


def _pushed(shelf: Shelf, image: MergedImage) -> int:
    from hubstack.reference import Fingerprint

    return _push(shelf, shelf.store.write_image(Fingerprint(image.manifest.digest.hex), image.manifest, image.blobs))


# --- merges ------------------------------------------------------------------------------------------------------------


def index(argument: str) -> dict[str, Any]:
    """Have the indexes of all nodes in the registry."""
    job = _read(argument)
    shelf = _open({**job, "write": True})
    built = shelf.take(list(shelf.sources), {})
    for node in built:
        shelf.push(node)
    return {"nodes": len(built), "files": sum(len(one.index.entries) for one in built.values())}


def merge(argument: str) -> dict[str, Any]:
    """The image of all of ``tops``; with ``every`` one of each set of them."""
    from hubstack.merge.assembly import Workshop
    from hubstack.merge.conflict import MergeConflict
    from hubstack.merge.image import merged_image

    job = _read(argument)
    shelf, tops = _open(job), job["tops"]
    workshop = Workshop(built=shelf.take(tops, {}))
    tops.sort(key=lambda top: -workshop.built[top].size_bytes)  # as it goes on from what it has: the biggest first
    counts = range(0 if job["every"] else len(tops), len(tops) + 1)
    sets = sorted(some for count in counts for some in combinations(range(len(tops)), count))
    sent, digests = 0, []
    for some in sets:
        assembled = workshop.assemble([tops[number] for number in some] or job["base"])
        if assembled.conflicts:
            raise MergeConflict(assembled.conflicts)
        if assembled.interests:
            _refuse()
        image = merged_image(assembled, workshop.built, _label(*assembled.nodes))
        digests.append(image.manifest.digest)
        sent += _pushed(shelf, image)
    files = sum(len(one.index.entries) for one in workshop.built.values())
    return {"images": len(set(digests)), "sent_bytes": sent, "nodes": len(workshop.built), "files": files}


def _label(*parts: str) -> Fingerprint:
    from hubstack.reference import Fingerprint

    return Fingerprint(hashlib.sha256(" ".join(parts).encode()).hexdigest())


# --- moves onto a patched base -----------------------------------------------------------------------------------------


def rebase(argument: str) -> dict[str, Any]:
    """A new base, of which one package has another version, and the nodes of ``moved`` moved onto it, parents first; where
    they are fewer than ``count``, they are moved again under other names.
    """
    from hubstack.merge.join import Joiner

    job = _read(argument)
    shelf = _open(job)
    old = shelf.take(job["moved"], {})
    base = next(node for node in old if not old[node].parents)
    began = time.monotonic()
    now = {base: _patch(shelf, base, old[base])}
    prepared = time.monotonic() - began
    joiner = Joiner(shelf=shelf, locate=_refuse, run=_refuse, say=_ignore, note=_ignore)
    order = [node for node in old if node in job["moved"]]
    sent = 0
    for number, node in islice(_again(order), job["count"]):
        fingerprint = _label(job["nonce"], str(number), node)
        layout = joiner.move(cast("Node", None), node, fingerprint, now[old[node].parents[0]], {})
        now.setdefault(node, fingerprint)
        sent += _push(shelf, layout)
    return {"images": job["count"], "different": len(order), "sent_bytes": sent, "prepared_s": prepared}


def _ignore(*_: object) -> None:
    """What people would be told."""


def _again(nodes: list[Fingerprint]) -> Iterator[tuple[int, Fingerprint]]:
    number = 0
    while True:
        for node in nodes:
            yield number, node
        number += 1


def _refuse(*_: object) -> Any:
    raise SystemExit("something is to be settled, which takes an engine")


def _patch(shelf: Shelf, base: Fingerprint, old: Built) -> Fingerprint:
    """As a security update would have it: tzdata's version in dpkg's database is another, and one file of it."""
    from hubstack.merge.assembly import Assembled
    from hubstack.merge.entry import Index, file_entry, overlay
    from hubstack.merge.image import merged_image
    from hubstack.merge.mergers import STATUS

    status = re.sub(rb"(Package: tzdata\n(?:.+\n)*?Version: .+)", rb"\1+patched", old.index.contents[STATUS])
    assert status != old.index.contents[STATUS]
    contents = {STATUS: status, "usr/share/zoneinfo/tzdata.zi": b"# patched\n"}
    change = Index(entries={path: file_entry(one) for path, one in contents.items()}, contents=contents)
    tree = overlay(old.index, change)
    assembled = Assembled(
        nodes=(base,), index=tree, written=change.entries, config=old.config, lost={}, conflicts=(), interests=()
    )
    fingerprint = _label("patched", base)
    image = merged_image(assembled, {base: old}, fingerprint)
    _pushed(shelf, image)
    assert image.manifest.config is not None
    config = json.loads(image.blobs[image.manifest.config.digest])
    kept = {path: content for path, content in tree.contents.items() if path != "usr/share/zoneinfo/tzdata.zi"}
    shelf.put(
        fingerprint,
        replace(
            old,
            index=Index(entries=tree.entries, contents=kept),
            layers=image.manifest.layers,
            diff_ids=tuple(config["rootfs"]["diff_ids"]),
            digest=image.manifest.digest,
        ),
    )
    return fingerprint


# --- one blob ----------------------------------------------------------------------------------------------------------


def blob(argument: str) -> dict[str, Any]:
    """The index of a filesystem layer beside the least that anybody can do, in turns; seconds of this process."""
    from hubstack.merge.tar import read_blob

    floor, ours, files = [], [], 0
    for _ in range(3):
        with Path(argument).open("rb") as file:
            floor.append(_cpu_s(lambda: _floor(file)))
        with Path(argument).open("rb") as file:
            began = time.process_time()
            files = len(read_blob(file, lambda _path: False).entries)
            ours.append(time.process_time() - began)
    return {"floor_s": floor, "index_s": ours, "files": files, "blob_bytes": Path(argument).stat().st_size}


def _floor(file: Any) -> None:
    inflate, seen = zlib.decompressobj(wbits=31), hashlib.sha256()
    while chunk := file.read(_CHUNK):
        seen.update(inflate.decompress(chunk))


def _cpu_s(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


# --- growth ------------------------------------------------------------------------------------------------------------


def plant(argument: str) -> dict[str, Any]:
    """``FILES,PARTS,FOLDER``: the indexes of so many files in all, in so many parts on a base, each with folders that all have."""
    from hubstack.merge.record import render_built

    files, parts, folder = argument.split(",")
    names = ["base", *(f"part-{number}" for number in range(int(parts)))]
    for name in names:
        one = _part(name, (_label("base"),) if name != "base" else (), int(files) // len(names))
        (Path(folder) / _label(name)).write_bytes(render_built(one))
    return {"indexes": len(names)}


def grow(argument: str) -> dict[str, Any]:
    """Merge what ``plant`` has put into a folder."""
    from hubstack.merge.assembly import Workshop
    from hubstack.merge.record import parse_built
    from hubstack.reference import Fingerprint

    records = sorted(Path(argument).iterdir())
    built: dict[Fingerprint, Built] = {}
    loading = _cpu_s(
        lambda: built.update({Fingerprint(one.name): cast("Built", parse_built(one.read_bytes())) for one in records})
    )
    made: list[Assembled] = []
    tops = [node for node in built if node != _label("base")]
    merging = _cpu_s(lambda: made.append(Workshop(built=built).assemble(tops)))
    assert not made[0].conflicts
    size = sum(one.stat().st_size for one in records)
    return {"parts": len(tops), "load_s": loading, "merge_s": merging, "index_bytes": size}


def _part(name: str, parents: tuple[Fingerprint, ...], count: int) -> Built:
    from hubstack.merge.built import Built
    from hubstack.merge.entry import Entry, Index, Kind
    from hubstack.oci import Descriptor, digest_of

    def content(number: int) -> str:
        return hashlib.sha256(f"{name} {number}".encode()).hexdigest()

    folders = {f"usr/lib/{number:03}": Entry(kind=Kind.DIRECTORY, mode=0o755) for number in range(200)}
    files = {
        f"usr/lib/{number % 200:03}/{name}/file-{number}.py": Entry(
            kind=Kind.FILE, mode=0o644, size=number, content=content(number)
        )
        for number in range(count)
    }
    digest: Digest = digest_of(name.encode())
    layer = Descriptor(media_type="application/vnd.oci.image.layer.v1.tar+gzip", digest=digest, size=count)
    return Built(
        name=name,
        parents=parents,
        index=Index(entries=folders | files),
        config={},
        machine={},
        layers=(layer,),
        diff_ids=(digest,),
        digest=digest,
        below=tuple(digest_of(b"base") for _ in parents),
    )


def _read(argument: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(argument).read_text())
    return found


_VERBS: dict[str, Callable[[str], dict[str, Any]]] = {
    verb.__name__: verb for verb in (index, merge, rebase, blob, plant, grow)
}

if __name__ == "__main__":
    main()
