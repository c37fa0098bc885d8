"""Which parts' packages act on each other: triggers of one that watch paths that another has (deb-triggers(5)).

A chain would have run them. Where they only make something that is made anew when it is missing, or nothing that stays in an
image, nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hubstack.merge.conflict import Conflict
from hubstack.merge.entry import Index, Kind, folders

TRIGGERS = "var/lib/dpkg/triggers/File"
HARMLESS = {
    "man-db": "an index that hygiene removes",
    "hicolor-icon-theme": "a cache that GTK does without",
    "gnome-icon-theme": "a cache that GTK does without",
    "fontconfig": "a cache that fontconfig does without",
    "libc-bin": "ld.so.cache, which has a merger",
    "dbus": "tells a running daemon",
    "systemd": "tells a running daemon",
    "udev": "tells a running daemon",
    "initramfs-tools": "an image has no kernel",
    "procps": "sets the machine's kernel",
}


def interests(base: Index, parts: Mapping[str, Index]) -> Iterator[Conflict]:
    """A conflict for each pair of parts and package whose trigger one has, and the other the path."""
    old = _watched(base.contents.get(TRIGGERS, b""))
    places = {name: _places(index) for name, index in parts.items()}
    for name, index in parts.items():
        new = [one for one in _watched(index.contents.get(TRIGGERS, b"")) if one not in old]
        for other in parts:
            if other != name:
                yield from _pairs(name, new, other, places[other])


def _watched(content: bytes) -> list[tuple[str, str]]:
    """(path without its leading slash, package) of each line."""
    lines = (line.split() for line in content.decode("utf-8", "surrogateescape").splitlines())
    return [(words[0].lstrip("/"), words[1].partition("/")[0]) for words in lines if len(words) > 1]


def _pairs(name: str, new: Sequence[tuple[str, str]], other: str, first: Mapping[str, str]) -> Iterator[Conflict]:
    said: set[str] = set()
    for path, package in new:
        if package not in HARMLESS and package not in said and path in first:
            said.add(package)
            what = f"is watched by {package} of {name}, which has to be told of what {other} has there (/{first[path]})"
            yield Conflict(parts=(name, other), path=path, what=what)


def _places(index: Index) -> Mapping[str, str]:
    """Each path and folder → the first file that is it or below it."""
    found: dict[str, str] = {}
    for path, entry in index.entries.items():
        if entry.kind is not Kind.DIRECTORY:
            found.setdefault(path, path)
            for folder in folders(path):
                if folder in found:
                    break
                found[folder] = path
    return found
