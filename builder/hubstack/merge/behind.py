"""Which package a path is of, as far as an index tells: dpkg's own lists of files are too large to be kept in it.

Known are Debian's conffiles (they are in status), what stands in folders that have a package's name, and what Python's RECORD,
R's libraries and npm's folders say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from hubstack.merge.entry import Index, folders
from hubstack.merge.mergers import STATUS
from hubstack.merge.mergers.side import text
from hubstack.merge.mergers.stanza import Stanza, parse_stanzas

_NAMED = re.compile(
    r"usr/share/(?:doc|bug|lintian/overrides)/([^/]+)(?:/.*)?|var/lib/dpkg/info/([^/:]+?)(?::[^/.]+)?\.[^/.]+"
)
_R = re.compile(r".*/R/(?:site-)?library/[^/]+")
_NPM = re.compile(r"(?:.*/)?lib/node_modules/(?:@[^/]+/)?[^/@]+")


def behind(path: str, index: Index) -> str:
    """Name and version; "" where nothing tells."""
    return next(_packages(path, index), "")


def _packages(path: str, index: Index) -> Iterator[str]:
    named = _NAMED.fullmatch(path)
    for stanza in _installed(index.contents.get(STATUS, b"")):
        name = stanza.get("Package", "").strip()
        if (named and name in named.groups()) or f" /{path} " in stanza.get("Conffiles", ""):
            yield _said(stanza, "Package")
    yield from _distribution(path, index)
    for folder in folders(path):
        if _R.fullmatch(folder):
            for stanza in parse_stanzas(index.contents.get(f"{folder}/DESCRIPTION", b"")):
                yield _said(stanza, "Package")
        elif _NPM.fullmatch(folder) and (content := index.contents.get(f"{folder}/package.json")):
            version = re.search(rb'"version": "([^"]*)"', content)
            yield f"{folder.rpartition('node_modules/')[2]} {text(version[1]) if version else ''}".strip()


@lru_cache(maxsize=8)
def _installed(status: bytes) -> Sequence[Stanza]:
    return parse_stanzas(status)


def _distribution(path: str, index: Index) -> Iterator[str]:
    folder = next((one for one in folders(path) if one.endswith(".dist-info")), index.recorded.get(path))
    for stanza in parse_stanzas(index.contents.get(f"{folder}/METADATA", b"")):
        yield _said(stanza, "Name")


def _said(stanza: Stanza, name: str) -> str:
    return f"{stanza.get(name, '').strip()} {stanza.get('Version', '').strip()}"
