"""Reads a filesystem layer's blob, as it streams by, into an index.

A parser of our own, as Python's tarfile takes twice as long as inflating and hashing do. Formats: POSIX.1-2017 pax and
ustar ("pax Interchange Format"), and of GNU's what BuildKit and buildah write (long names, binary numbers).
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from typing import IO, Self

from hubstack.errors import EngineError
from hubstack.merge.abridged import abridge
from hubstack.merge.entry import GONE, OPAQUE, Entry, Index, Kind

BLOCK = 512
_CHUNK = 1 << 20
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_KINDS = {b"0": Kind.FILE, b"\0": Kind.FILE, b"7": Kind.FILE, b"5": Kind.DIRECTORY, b"2": Kind.LINK}
_DEVICES = {b"3": "c", b"4": "b", b"6": "p"}
_XATTR = "SCHILY.xattr."


def read_blob(blob: IO[bytes], keep: Callable[[str], bool], *, abridged: bool = True) -> Index:
    """The index of a gzipped or plain tar. ``keep`` says of which paths the content is wanted; of some it is ``abridged``.

    The content of a hard link stands where another path is described, perhaps before it: then the tar is read twice.
    Raises EngineError for what is no such tar.
    """

    def read(keep: Callable[[str], bool]) -> _Layer:
        return _Layer(_Stream(_inflate(blob)), keep, abridged).read()

    try:
        start = blob.tell()
        layer = read(keep)
        if passed := layer.passed():
            blob.seek(start)
            layer = read(lambda path: keep(path) or path in passed)
        contents = {path: content for path, content in layer.contents.items() if keep(path)}
        return Index(entries=layer.entries, contents=contents)
    except (ValueError, zlib.error, UnicodeDecodeError) as fault:
        raise EngineError(f"a filesystem layer that can't be read: {fault}") from fault


def _inflate(blob: IO[bytes]) -> Iterator[bytes]:
    first = blob.read(_CHUNK)
    if first[:4] == b"\x28\xb5\x2f\xfd":  # RFC 8878, section 3.1.1
        raise EngineError(
            "a filesystem layer is compressed by zstd, and merging reads gzip",
            hint="Build on an image whose layers are compressed by gzip, or write `assembly: chain`.",
        )
    if first[:2] != b"\x1f\x8b":
        while first:
            yield first
            first = blob.read(_CHUNK)
        return
    decoder = zlib.decompressobj(wbits=31)
    while first:
        yield decoder.decompress(first, 4 * _CHUNK)  # zeros are a thousandth of their size
        first = decoder.unconsumed_tail or decoder.unused_data or blob.read(_CHUNK)
        if decoder.eof and first:  # gzip's members may follow each other (RFC 1952, section 2.2)
            decoder = zlib.decompressobj(wbits=31)
    if not decoder.eof:
        raise ValueError("it ends too early")


class _Stream:
    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._chunk, self._at = b"", 0

    def pieces(self, size: int) -> Iterator[memoryview]:
        """The next ``size`` bytes, as they come."""
        while size:
            if self._at == len(self._chunk):
                self._chunk, self._at = next(self._chunks, b""), 0
                if not self._chunk:
                    self._refill()
            piece = memoryview(self._chunk)[self._at : self._at + size]
            self._at += len(piece)
            size -= len(piece)
            yield piece

    def _refill(self) -> None:
        for chunk in self._chunks:
            if chunk:
                self._chunk = chunk
                return
        raise ValueError("it ends too early")

    def take(self, size: int) -> bytes:
        if self._at + size <= len(self._chunk):
            found = self._chunk[self._at : self._at + size]
            self._at += size
            return found
        return b"".join(self.pieces(size))


@dataclass
class _Layer:
    """A filesystem layer, as far as it is read."""

    stream: _Stream
    keep: Callable[[str], bool]
    abridged: bool
    entries: dict[str, Entry] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)  # hard ones: their target may come later
    gone: set[str] = field(default_factory=set)
    opaque: set[str] = field(default_factory=set)

    def read(self) -> Self:
        pax: dict[str, str] = {}
        while (header := self.stream.take(BLOCK)).strip(b"\0"):
            size, flag = _number(header[124:136]), header[156:157]
            if flag in {b"x", b"L", b"K"}:
                pax |= _extended(flag, self._padded(size))
            elif flag == b"g":
                self._padded(size)
            else:
                self._entry(header, flag, pax, int(pax.get("size", size)))
                pax = {}
        for path in self.links:
            self._link(path)
        self._hide()
        return self

    def passed(self) -> Set[str]:
        """The paths of which the content is wanted under another name."""
        wanted = {path for path in self.links if self.keep(path)} - self.contents.keys()
        return {self._end(path) for path in wanted if self.entries[path].kind is Kind.FILE}

    def _end(self, path: str) -> str:
        """Of a hard link the path that is described."""
        target, seen = self.links[path], {path}
        while target in self.links and target not in seen:
            seen.add(target)
            target = self.links[target]
        return target

    def _link(self, path: str) -> None:
        target = self._end(path)
        if target not in self.entries:
            raise ValueError(f"{path} is a hard link to {target}, which is not in it")
        self.entries[path] = self.entries[target]
        if target in self.contents:
            content = self.contents[target]
            self.contents[path] = abridge(path, content) if self.abridged else content

    def _hide(self) -> None:
        """A whiteout is about the layers below, wherever it stands in the tar (image-spec 1.1, layer.md, "Whiteouts")."""
        for path in self.gone | self.opaque:
            entry = self.entries.get(path)
            if entry is not None and entry.kind is Kind.DIRECTORY:
                self.entries[path] = entry._replace(content=OPAQUE)
            elif entry is None:
                self.entries[path] = (
                    GONE if path in self.gone else Entry(kind=Kind.DIRECTORY, mode=0o755, content=OPAQUE)
                )

    def _padded(self, size: int) -> bytes:
        return self.stream.take(size + -size % BLOCK)[:size]

    def _entry(self, header: bytes, flag: bytes, pax: dict[str, str], size: int) -> None:
        path = _clean(pax.get("path") or _name(header))
        folder, _, name = path.rpartition("/")
        link = pax.get("linkpath") or _text(header[157:257])
        if name == _OPAQUE:
            if not folder:
                raise ValueError("its root is opaque")
            self.opaque.add(folder)
        elif name.startswith(_WHITEOUT):
            self.gone.add(f"{folder}/{name[4:]}" if folder else name[4:])
        elif flag == b"1":
            self.links[path] = _clean(link)
        elif path:
            self.entries[path] = self._described(path, header, flag, pax, size, link)

    def _described(self, path: str, header: bytes, flag: bytes, pax: dict[str, str], size: int, link: str) -> Entry:
        kind = Kind.DEVICE if flag in _DEVICES else _KINDS.get(flag)
        if kind is None:
            raise ValueError(f"{path} is a member of type {flag!r}")
        content = ""
        if kind is Kind.FILE:
            content = self._read(path, size)
        elif kind is Kind.LINK:
            content = link
        elif kind is Kind.DEVICE:
            content = f"{_DEVICES[flag]} {_number(header[329:337])}:{_number(header[337:345])}"
        return Entry(
            kind=kind,
            mode=_number(header[100:108]) & 0o7777 if kind is not Kind.LINK else 0,
            uid=int(pax.get("uid") or _number(header[108:116])),
            gid=int(pax.get("gid") or _number(header[116:124])),
            size=size if kind is Kind.FILE else 0,
            content=content,
            xattrs=tuple(sorted((k.removeprefix(_XATTR), v) for k, v in pax.items() if k.startswith(_XATTR))),
        )

    def _read(self, path: str, size: int) -> str:
        """Take in a file's content; its sha256."""
        if self.keep(path):
            content = self._padded(size)
            self.contents[path] = abridge(path, content) if self.abridged else content
            return hashlib.sha256(content).hexdigest()
        seen = hashlib.sha256()
        for piece in self.stream.pieces(size):
            seen.update(piece)
        self.stream.take(-size % BLOCK)
        return seen.hexdigest()


def _extended(flag: bytes, data: bytes) -> dict[str, str]:
    if flag != b"x":
        return {"path" if flag == b"L" else "linkpath": data.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    found: dict[str, str] = {}
    while data.strip(b"\0"):
        length = int(data[: data.index(b" ")])
        key, _, value = data[data.index(b" ") + 1 : length - 1].partition(b"=")
        found[key.decode()] = value.decode("utf-8", "surrogateescape")
        data = data[length:]
    return found


def _number(digits: bytes) -> int:
    if digits[:1] in {b"\x80", b"\xff"}:  # GNU's base 256, for what octal has no room for
        return int.from_bytes(digits[1:], "big", signed=digits[0] == 0xFF)
    text = digits.strip(b" \0")
    return int(text, 8) if text else 0


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _name(header: bytes) -> str:
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{_text(header[:100])}" if prefix else _text(header[:100])


def _clean(path: str) -> str:
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise ValueError(f"{path} leads out of a folder")
    return "/".join(parts)


def compress(tar: bytes) -> bytes:
    """The same bytes for the same tar on every machine with one zlib."""
    return gzip.compress(tar, compresslevel=1, mtime=0)
