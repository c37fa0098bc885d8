"""The dynamic linker's cache, in the format of glibc 2.2 and later (glibc's sysdeps/generic/dl-cache.h and elf/cache.c).

A header of 48 bytes, 24 bytes for each library, the texts, and an extension with the generator and the names of hardware
capabilities. ldconfig sorts by name, numbers as numbers, the newest first; libraries of one name stand in the order of the
folders in which they are looked for.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cmp_to_key, lru_cache, partial
from pathlib import PurePosixPath

from hubstack.merge.mergers.side import Clash, Sides, text, three_way

_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct("<20sIIB3xI12x")
_ENTRY = struct.Struct("<iIIIQ")
_EXTENSION = 0xEAA42174
_GENERATOR = 0
_HWCAPS = 1
_HWCAP_FLAG = 1 << 62  # of ``hwcap``: its low 32 bits are the number of a name (dl-hwcap.h, DL_CACHE_HWCAP_EXTENSION)
_CONF, _DEBIANS = "etc/ld.so.conf", "/etc/ld.so.conf.d/*.conf"  # which it includes there
_DEFAULT = ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib", "/lib64", "/usr/lib64")


@dataclass(frozen=True, slots=True, order=True)
class Library:
    """A line of ``ldconfig -p``."""

    name: str
    path: str
    flags: int
    version: int
    hwcap: str  # its name, or the number's text


def merge_ld_so_cache(sides: Sides) -> bytes:
    """Libraries as a set."""
    generator = b""
    tables: list[dict[Library, Library]] = []
    for content in (sides.base, *sides.versions):
        libraries, said = parse_cache(content) if content else ([], b"")
        generator = generator or said
        tables.append({library: library for library in libraries})
    merged = three_way(tables[0], tables[1:], lambda key, was, changed: key)
    folders = _folders(dict(_conf(sides.below, sides.beside)))
    return render_cache(sorted(merged, key=cmp_to_key(partial(_compare, folders))), generator)


@lru_cache(64)
def parse_cache(content: bytes) -> tuple[Sequence[Library], bytes]:
    """The libraries, in order, and the generator's name. Raises Clash for another format."""
    try:
        magic, count, _, _, extension = _HEADER.unpack_from(content)
        if magic != _MAGIC:
            raise Clash("is not in the format of glibc 2.32 or later on a 64-bit machine")
        generator, names = _extensions(content, extension) if extension else (b"", [])
        found = []
        for number in range(count):
            flags, key, value, version, hwcap = _ENTRY.unpack_from(content, _HEADER.size + number * _ENTRY.size)
            known = names[hwcap & 0xFFFFFFFF] if hwcap & _HWCAP_FLAG else str(hwcap)
            found.append(Library(_string(content, key), _string(content, value), flags, version, known))
    except (struct.error, IndexError, ValueError) as fault:
        raise Clash(f"can't be read: {fault}") from None
    return found, generator


def _extensions(content: bytes, offset: int) -> tuple[bytes, list[str]]:
    magic, count = struct.unpack_from("<II", content, offset)
    if magic != _EXTENSION:
        raise ValueError("its extension has another magic number")
    generator, names = b"", []
    for number in range(count):
        tag, _, start, size = struct.unpack_from("<IIII", content, offset + 8 + 16 * number)
        if tag == _GENERATOR:
            generator = content[start : start + size]
        elif tag == _HWCAPS:
            names = [_string(content, at) for at in struct.unpack_from(f"<{size // 4}I", content, start)]
    return generator, names


def _string(content: bytes, offset: int) -> str:
    return text(content[offset : content.index(b"\0", offset)])


def render_cache(libraries: Sequence[Library], generator: bytes) -> bytes:
    """``libraries`` in the linker's order."""
    hwcaps = sorted({library.hwcap for library in libraries if not library.hwcap.isdigit()})
    strings = bytearray()
    places: dict[str, int] = {}
    start = _HEADER.size + len(libraries) * _ENTRY.size

    def place(value: str) -> int:
        if value not in places:
            places[value] = start + len(strings)
            strings.extend(value.encode("utf-8", "surrogateescape") + b"\0")
        return places[value]

    body = bytearray()
    for one in libraries:
        hwcap = int(one.hwcap) if one.hwcap.isdigit() else _HWCAP_FLAG | hwcaps.index(one.hwcap)
        body += _ENTRY.pack(one.flags, place(one.name), place(one.path), one.version, hwcap)
    named = [place(name) for name in hwcaps]
    extension = start + len(strings) + -(start + len(strings)) % 4
    head = _HEADER.pack(_MAGIC, len(libraries), len(strings), 2, extension)  # 2: little-endian
    padding = bytes(extension - start - len(strings))
    return head + bytes(body) + bytes(strings) + padding + _render_extensions(extension, generator, named)


def _render_extensions(offset: int, generator: bytes, named: list[int]) -> bytes:
    parts = [(_GENERATOR, generator)] if generator else []
    if named:
        parts.append((_HWCAPS, struct.pack(f"<{len(named)}I", *named)))
    head = struct.pack("<II", _EXTENSION, len(parts))
    at = offset + 8 + 16 * len(parts)
    table, data = b"", b""
    for tag, content in sorted(parts, reverse=True):  # the names first: they are aligned to 4 bytes
        table += struct.pack("<IIII", tag, 0, at + len(data), len(content))
        data += content
    return head + table + data


def _conf(below: Mapping[str, bytes], beside: Iterable[Mapping[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """What tells the linker where to look, as whoever has changed it has it."""
    changed = ((path, one) for contents in beside for path, one in contents.items() if one != below.get(path))
    return ((path, content) for path, content in (*below.items(), *changed) if path.startswith(_CONF))


def _folders(contents: Mapping[str, bytes]) -> Mapping[str, int]:
    """Where each folder stands in ld.so.conf and what it includes, then the linker's own."""
    listed = _listed(contents, _CONF) if _CONF in contents else _included(contents, _DEBIANS, ())
    return {folder: number for number, folder in reversed([*enumerate([*listed, *_DEFAULT])])}


def _listed(contents: Mapping[str, bytes], path: str, above: tuple[str, ...] = ()) -> Iterator[str]:
    """elf/ldconfig.c, parse_conf(): a folder in each line, with a type behind ``=`` once; what is included, in its place."""
    for line in text(contents[path]).splitlines():
        words = line.split("#")[0].split()
        if words[:1] == ["include"]:
            for pattern in words[1:]:
                yield from _included(contents, str(PurePosixPath("/", path).parent / pattern), (*above, path))
        elif words and words[0] != "hwcap":
            yield words[0].partition("=")[0].rstrip("/")


def _included(contents: Mapping[str, bytes], pattern: str, above: tuple[str, ...]) -> Iterator[str]:
    for path in sorted(contents):
        if path not in above and PurePosixPath("/", path).match(pattern):
            yield from _listed(contents, path, above)


def _compare(folders: Mapping[str, int], a: Library, b: Library) -> int:
    """elf/cache.c, compare(): names and flags descending, names of capabilities first; then the folder."""
    if order := -compare_names(a.name, b.name):
        return order
    if a.flags != b.flags:
        return b.flags - a.flags
    if (first := a.hwcap.isdigit()) != b.hwcap.isdigit():
        return 1 if first else -1
    if a.hwcap != b.hwcap:
        return -1 if a.hwcap < b.hwcap else 1
    if a.version != b.version:
        return b.version - a.version
    places = [(folders.get(one.path.rpartition("/")[0], len(folders)), one.path) for one in (a, b)]
    return -1 if places[0] < places[1] else int(places[0] > places[1])


_PIECES = re.compile(r"\d+|\D")


@cache
def compare_names(a: str, b: str) -> int:
    """elf/dl-cache.c, _dl_cache_libcmp(): runs of digits as numbers; a digit comes after what is none."""
    pieces = zip(_PIECES.findall(a), _PIECES.findall(b), strict=False)
    for one, other in pieces:
        if one == other:
            continue
        if one.isdigit() and other.isdigit():
            if int(one) != int(other):
                return int(one) - int(other)
        elif one.isdigit() != other.isdigit():
            return 1 if one.isdigit() else -1
        else:
            return ord(one) - ord(other)
    return (len(_PIECES.findall(a)) > len(_PIECES.findall(b))) - (len(_PIECES.findall(a)) < len(_PIECES.findall(b)))
