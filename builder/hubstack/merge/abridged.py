"""Contents of which an index keeps less than the file holds: what a merger or a check reads of it.

RECORD of a Python distribution ("Recording installed projects") repeats the sha256 and the size of each file, which the
index has, too: without these it is a quarter as long, and with the index it is whole again.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping

from hubstack.merge.entry import Entry, Index
from hubstack.merge.mergers.manifest import DESCRIPTION, METADATA, PACKAGE_JSON
from hubstack.merge.mergers.record import RECORD
from hubstack.merge.mergers.side import raw, text

_FIELDS = {
    METADATA: ("Name", "Version", "Requires-Dist"),
    DESCRIPTION: ("Package", "Version", "Depends", "Imports", "LinkingTo"),
}
_HEADS = [(re.compile(pattern), fields) for pattern, fields in _FIELDS.items()]
_RECORD = re.compile(RECORD)
_PACKAGE_JSON = re.compile(PACKAGE_JSON)
_HASHED = re.compile(r'([^",\n]+),sha256=[A-Za-z0-9_-]{43},\d+(?=\r?$)', re.MULTILINE)
_BARE = re.compile(r'([^",\n]+),=(?=\r?$)', re.MULTILINE)


def abridge(path: str, content: bytes) -> bytes:
    if _RECORD.fullmatch(path):
        return raw(_HASHED.sub(r"\1,=", text(content)))
    if _PACKAGE_JSON.fullmatch(path):
        return _named(content)
    fields = next((fields for pattern, fields in _HEADS if pattern.fullmatch(path)), None)
    return content if fields is None else _head(content, fields)


def _head(content: bytes, fields: tuple[str, ...]) -> bytes:
    """Fields of the first stanza with the lines that continue them."""
    kept: list[str] = []
    wanted = False
    for line in text(content).splitlines():
        if not line:
            break
        if not line[0].isspace():
            wanted = line.partition(":")[0] in fields
        if wanted:
            kept.append(f"{line}\n")
    return raw("".join(kept))


def _named(content: bytes) -> bytes:
    try:
        found = json.loads(content)
        return json.dumps({key: found[key] for key in ("name", "version")}).encode()
    except (ValueError, KeyError, TypeError):
        return b"{}"


def whole(path: str, index: Index, below: Mapping[str, Entry]) -> bytes | None:
    """The file at ``path`` as it is, where the index can tell. ``below`` is what the base has."""
    content, entry = index.contents.get(path), index.entries.get(path)
    if content is None or entry is None:
        return None
    if _RECORD.fullmatch(path):
        content = _rebuilt(path, content, index.entries, below)
    return content if hashlib.sha256(content).hexdigest() == entry.content else None


def _rebuilt(path: str, content: bytes, above: Mapping[str, Entry], below: Mapping[str, Entry]) -> bytes:
    site = posixpath.dirname(posixpath.dirname(path))

    def hashed(match: re.Match[str]) -> str:
        at = f"{site}/{match[1]}"
        at = posixpath.normpath(at) if ".." in at else at
        entry = above.get(at, below.get(at))
        if entry is None or not re.fullmatch("[0-9a-f]{64}", entry.content):
            return match[0]
        digest = urlsafe_b64encode(bytes.fromhex(entry.content)).rstrip(b"=").decode()
        return f"{match[1]},sha256={digest},{entry.size}"

    return raw(_BARE.sub(hashed, text(content)))
