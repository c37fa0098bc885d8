"""Python distributions that stand beside each other though no path of theirs is the same.

Each folder ``NAME-VERSION.dist-info`` is one (PyPA's "Recording installed projects"; names normalised as PEP 503 says).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from hubstack.merge.conflict import Conflict
from hubstack.merge.entry import Index, Kind

_METADATA = re.compile(r"(?P<site>.*)/(?P<name>[^/]+)-(?P<version>[^/-]+)\.dist-info/METADATA")


def clashes(base: Index, parts: Mapping[str, Index]) -> Iterator[Conflict]:
    """Two versions of one distribution in one folder."""
    found: dict[tuple[str, str], tuple[str, str]] = {}  # (folder, name) → (version, part)
    for part, index in parts.items():
        for path, entry in index.entries.items():
            if not path.endswith("METADATA") or (match := _METADATA.fullmatch(path)) is None:
                continue
            if entry.kind is Kind.WHITEOUT or base.entries.get(path) == entry:
                continue
            name = re.sub(r"[-_.]+", "-", match["name"]).lower()
            version, other = found.setdefault((match["site"], name), (match["version"], part))
            if version != match["version"]:
                what = f"has {name} {version} of {other} and {match['version']} of {part}"
                yield Conflict(parts=(other, part), path=match["site"], what=what)
