"""Which parts' packages act on each other: triggers of one that watch paths that another has (deb-triggers(5)), its diversions
of such paths (dpkg-divert(1)), and hosts of plug-ins.

A chain would have run them. Where they only make something that is made anew when it is missing, or nothing that stays in an
image, nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations

from hubstack.merge.conflict import Conflict
from hubstack.merge.entry import Index, Kind, folders
from hubstack.merge.mergers.line import diversions
from hubstack.model import Layer

DIVERSIONS = "var/lib/dpkg/diversions"
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


PLUGINS = (
    (
        "var/lib/emacsen-common/state/flavor/installed",
        "usr/lib/emacsen-common/packages/install",
        "an Emacs",
        "plug-ins",
    ),
    ("etc/ssl/certs/java", "usr/local/share/ca-certificates", "Java's certificates", "certificates"),
    ("var/lib/dictionaries-common", "usr/share/dictionaries-common", "the list of dictionaries", "dictionaries"),
    ("var/lib/ghostscript", "usr/share/fonts/type1/gsfonts", "Ghostscript", "its fonts"),
)
"""Folders of a host and of its plug-ins, and what they are: maintainer scripts join them, and no trigger tells of it."""


def interests(base: Index, parts: Mapping[str, Index]) -> Iterator[Conflict]:
    """A conflict for each pair of parts and package whose trigger one has, and the other the path."""
    links = {path: entry.content for path, entry in base.entries.items() if entry.kind is Kind.LINK}
    old = _watched(base.contents.get(TRIGGERS, b""), links)
    places = {name: _places(index) for name, index in parts.items()}
    for name, index in parts.items():
        new = [one for one in _watched(index.contents.get(TRIGGERS, b""), links) if one not in old]
        for other in parts:
            if other != name:
                yield from _pairs(name, new, other, places[other])
                yield from _plugged(name, places[name], other, places[other])
    yield from _diverted(base, parts, links)


def _diverted(base: Index, parts: Mapping[str, Index], links: Mapping[str, str]) -> Iterator[Conflict]:
    """The other's files that dpkg would have renamed or written elsewhere; where that has the same diversion, it has."""
    there = diversions(base.contents.get(DIVERSIONS, b"")).values()
    table = {
        name: diversions(index.contents[DIVERSIONS]).values() if DIVERSIONS in index.contents else there
        for name, index in parts.items()
    }
    for name, other in permutations(parts, 2):
        for lines in table[name]:
            if lines in there or lines in table[other]:
                continue
            path, place, package = lines.split("\n")
            for one in (_resolve(path, links), _resolve(place, links)):
                entry = parts[other].entries.get(one)
                if entry is not None and entry != base.entries.get(one):
                    whose = f"{package} of {name}" if package != ":" else name
                    what = f"is in {other}, and diverted by {whose} ({path} to {place})"
                    yield Conflict(parts=(name, other), path=one, what=what)


def _plugged(host: str, hosts: Mapping[str, str], other: str, plugged: Mapping[str, str]) -> Iterator[Conflict]:
    for at, plugins, thing, kind in PLUGINS:
        if at in hosts and plugins in plugged and not (at in plugged and plugins in hosts):
            what = f"is of {other}, and {host} has {thing}, which has to be told of its {kind.removeprefix('its ')}"
            yield Conflict(parts=(host, other), path=plugged[plugins], what=what)


def _resolve(path: str, links: Mapping[str, str]) -> str:
    """Without its leading slash, and behind the base's links between folders at the top: /bin is usr/bin."""
    top, slash, rest = path.lstrip("/").partition("/")
    return f"{links[top].strip('/')}/{rest}" if slash and top in links else path.lstrip("/")


def declared(layers: Mapping[str, Layer], lines: Sequence[Sequence[str]]) -> Iterator[Conflict]:
    """What layers say of each other in their files: which exclude one another, and which wants to stand above which.

    ``lines`` are the layers' names, lowest first.
    """
    names = sorted({name for line in lines for name in line})
    for name in names:
        below = {one for line in lines if name in line for one in line[: line.index(name)]}
        for other in names:
            called = {other, *layers[other].provides}
            if other != name and not called.isdisjoint(layers[name].conflicts):
                yield Conflict(parts=(name, other), path="", what=f"{name} says that it conflicts with {other}")
            if other not in {name, *below} and not called.isdisjoint(layers[name].after):
                yield Conflict(parts=(name, other), path="", what=f"{name} says that it stands after {other}")


def _watched(content: bytes, links: Mapping[str, str]) -> list[tuple[str, str]]:
    """(path without its leading slash, package) of each line."""
    lines = (line.split() for line in content.decode("utf-8", "surrogateescape").splitlines())
    return [(_resolve(words[0], links), words[1].partition("/")[0]) for words in lines if len(words) > 1]


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
