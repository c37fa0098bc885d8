"""Python distributions that stand beside each other though no path of theirs is the same.

Each folder ``NAME-VERSION.dist-info`` is one (PyPA's "Recording installed projects"; names normalised as PEP 503 says).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from hubstack.merge.conflict import Conflict
from hubstack.merge.entry import Index, Kind

_BYTECODE = re.compile(r"(?P<folder>(?:.*/)?)__pycache__/(?P<name>[^/]+?)\.[^./]+(?:\.opt-\d)?\.pyc")
_METADATA = re.compile(r"(?P<site>.*)/(?P<name>[^/]+)-(?P<version>[^/-]+)\.dist-info/METADATA")


def clashes(base: Index, parts: Mapping[str, Index]) -> Iterator[Conflict]:
    """Two versions of one distribution in one folder."""
    found: dict[tuple[str, str], tuple[str, str]] = {}  # (folder, name) → (version, part)
    for part, index in parts.items():
        for path in sorted(index.notable[".dist-info/METADATA"]):
            entry = index.entries[path]
            if (match := _METADATA.fullmatch(path)) is None:
                continue
            if entry.kind is Kind.WHITEOUT or base.entries.get(path) == entry:
                continue
            name = re.sub(r"[-_.]+", "-", match["name"]).lower()
            version, other = found.setdefault((match["site"], name), (match["version"], part))
            if version != match["version"]:
                what = f"has {name} {version} of {other} and {match['version']} of {part}"
                yield Conflict(parts=(other, part), path=match["site"], what=what)


def stale(base: Index, parts: Mapping[str, Index]) -> Iterator[Conflict]:
    """Bytecode of one part beside a module of another: with all files of one date, Python would believe it (PEP 552)."""
    for part, index in parts.items():
        others = [one for other, one in parts.items() if other != part]
        cached = {one.rpartition("/")[0] for one in index.folders if one.endswith("__pycache__")}
        shared = {folder for folder in cached if not folder or any(folder in one.folders for one in others)}
        for path in sorted(one for one in index.notable[".pyc"] if one.rpartition("/")[0].rpartition("/")[0] in shared):
            if index.entries[path].kind is not Kind.FILE or base.entries.get(path) == index.entries[path]:
                continue
            if (match := _BYTECODE.fullmatch(path)) is not None:
                yield from _foreign(f"{match['folder']}{match['name']}.py", part, base, parts)


def _foreign(module: str, part: str, base: Index, parts: Mapping[str, Index]) -> Iterator[Conflict]:
    """A conflict for each that has another ``module`` than the base and than ``part``, whose bytecode it is."""
    was = base.entries.get(module)
    compiled = parts[part].entries.get(module, was)
    for other, index in parts.items():
        if index.entries.get(module, was) not in (was, compiled):
            what = f"is of {other}, and its bytecode of {part}, which has another"
            yield Conflict(parts=(other, part), path=module, what=what)
