"""Writes the filesystem layer that makes the stacked parts what the merge says."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping

from hubstack.merge.abridged import whole
from hubstack.merge.entry import Entry, Index, Kind
from hubstack.merge.tar import compress

_DEVICES = {"c": tarfile.CHRTYPE, "b": tarfile.BLKTYPE, "p": tarfile.FIFOTYPE}
_FOLDER = Entry(kind=Kind.DIRECTORY, mode=0o755)


def write_layer(written: Mapping[str, Entry], tree: Index, *, mtime: int) -> tuple[bytes, bytes]:
    """The tar and its compressed form. ``tree`` is everything: folders above what is written are written with it, as not
    every runtime keeps what it knows of them. The same for the same tree.
    """
    wanted = dict(written)
    for path in written:
        while path := path.rpartition("/")[0]:
            wanted.setdefault(path, tree.entries.get(path, _FOLDER))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, entry in sorted(wanted.items()):
            content = whole(path, tree, {}) if entry.kind is Kind.FILE else b""
            assert content is not None  # who calls has looked
            tar.addfile(_header(path, entry, len(content), mtime), io.BytesIO(content))
    content = buffer.getvalue()
    return content, compress(content)


def _header(path: str, entry: Entry, size: int, mtime: int) -> tarfile.TarInfo:
    if entry.kind is Kind.WHITEOUT:
        folder, slash, name = path.rpartition("/")
        return tarfile.TarInfo(f"{folder}{slash}.wh.{name}")
    header = tarfile.TarInfo(path)
    header.mode, header.uid, header.gid, header.mtime = entry.mode, entry.uid, entry.gid, mtime
    header.size = size
    header.pax_headers = {f"SCHILY.xattr.{name}": value for name, value in entry.xattrs}
    if entry.kind is Kind.DIRECTORY:
        header.type = tarfile.DIRTYPE
    elif entry.kind is Kind.LINK:
        header.type, header.linkname, header.mode = tarfile.SYMTYPE, entry.content, 0o777
    elif entry.kind is Kind.DEVICE:
        kind, _, numbers = entry.content.partition(" ")
        major, _, minor = numbers.partition(":")
        header.type, header.devmajor, header.devminor = _DEVICES[kind], int(major), int(minor)
    return header
