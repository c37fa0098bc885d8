"""Which parts' packages act on each other: triggers of one that watch paths that another has (deb-triggers(5)), hosts of
plug-ins, and diversions of the other's paths (dpkg-divert(1)).

A chain would have run the former as it installed the second of the two. Where they only make something that is made anew when
it is missing, or nothing that stays in an image, nothing is lost; the rest is settled in the merged image
(:mod:`hubstack.merge.settle`). What is diverted can only be built.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

from hubstack.merge.conflict import Cause, Conflict
from hubstack.merge.entry import Index, Kind
from hubstack.merge.mergers.line import diversions

if TYPE_CHECKING:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Interest:
    """``host`` has something that has to be told of what ``guest`` has. ``trigger`` is the path to trigger, whole; where
    there is none, ``command`` has to be run.
    """

    host: str
    guest: str
    who: str  # the package, or what people call it
    path: str  # the first of the guest's files that it is about, without a leading slash
    trigger: str = ""
    command: str = ""

    def __str__(self) -> str:
        return f"{self.who} of {self.host} has to be told of what {self.guest} has (/{self.path})"


_POSTINST = """\
for package in $(dpkg-query --search '/{folder}/*' | sed 's/: .*//; s/,//g' | tr ' ' '\\n' | sort -u); do
    export DPKG_MAINTSCRIPT_PACKAGE="$package" DPKG_MAINTSCRIPT_NAME=postinst DPKG_MAINTSCRIPT_ARCH="$(dpkg --print-architecture)"
    "/var/lib/dpkg/info/$package.postinst" configure "$(dpkg-query --show --showformat '${{Version}}' "$package")"
done"""
PLUGINS = (
    (
        "var/lib/emacsen-common/state/flavor/installed",
        "usr/lib/emacsen-common/packages/install",
        "Emacs",
        _POSTINST.format(folder="usr/lib/emacsen-common/packages/install"),
    ),
    ("etc/ssl/certs/java", "usr/local/share/ca-certificates", "Java's key store", "update-ca-certificates --fresh"),
    (
        "var/lib/dictionaries-common",
        "usr/share/dictionaries-common",
        "the list of dictionaries",
        "update-dictcommon-aspell; update-dictcommon-hunspell",
    ),
    ("var/lib/ghostscript", "usr/share/fonts/type1/gsfonts", "Ghostscript", "update-gsfontmap"),
)
"""Folders of a host and of its plug-ins, what the host is, and what tells it: maintainer scripts join them, and no trigger
does."""
JOINT = (("usr/share/pam-configs", "PAM", "pam-auth-update --package"),)
"""Folders from which one list is made, in an order of its own: of whom, and what makes it."""


def interests(base: Index, parts: Mapping[str, Index]) -> Iterator[Interest]:
    """One for each part and package of others whose trigger's path it has; for each plug-in and its hosts; and for what several
    put into one list.
    """
    links = base.links
    old = _watched(base.contents.get(TRIGGERS, b""), links)
    watchers: dict[tuple[str, str, str], list[str]] = {}
    for host, index in parts.items():
        for one in _watched(index.contents.get(TRIGGERS, b""), links):
            if one not in old and one[2] not in HARMLESS:
                watchers.setdefault(one, []).append(host)
    for guest, index in parts.items():
        for (path, trigger, package), hosts in watchers.items():
            if hosts != [guest]:
                yield from _told(hosts, guest, package, _first(index, path), trigger=trigger)
    for at, plugins, thing, command in PLUGINS:
        yield from _plugged(parts, at, plugins, thing, command)
    for at, thing, command in JOINT:
        yield from _joined(parts, at, thing, command)


def diverted(base: Index, parts: Mapping[str, Index]) -> Iterator[Conflict]:
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
            for one in (_resolve(path, base.links), _resolve(place, base.links)):
                entry = parts[other].entries.get(one)
                if entry is not None and entry != base.entries.get(one):
                    whose = f"{package} of {name}" if package != ":" else name
                    what = f"is in {other}, and diverted by {whose} ({path} to {place})"
                    yield Conflict(parts=(name, other), path=one, what=what, cause=Cause.INTEREST)


def _told(hosts: Sequence[str], guest: str, who: str, path: str | None, **how: str) -> Iterator[Interest]:
    """What the host itself has in a folder, its own installation has seen; what the guest has there, nobody."""
    others = [host for host in hosts if host != guest]
    if path is not None and others:
        yield Interest(host="+".join(others), guest=guest, who=who, path=path, **how)


def _plugged(parts: Mapping[str, Index], at: str, plugins: str, thing: str, command: str) -> Iterator[Interest]:
    """Not between two that have host and plug-ins each: what the host has made of them is in both, and merged."""
    first = {part: (_first(index, at), _first(index, plugins)) for part, index in parts.items()}
    whole = {part for part, (host, plugin) in first.items() if host is not None and plugin is not None}
    hosts = [part for part, (host, _) in first.items() if host is not None]
    for guest, (_, path) in first.items():
        yield from _told([one for one in hosts if {one, guest} - whole], guest, thing, path, command=command)


def _joined(parts: Mapping[str, Index], at: str, thing: str, command: str) -> Iterator[Interest]:
    having = [(part, path) for part, index in parts.items() if (path := _first(index, at)) is not None]
    for guest, path in having[1:]:
        yield from _told([having[0][0]], guest, thing, path, command=command)


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
                yield _says(name, f"conflicts with {other}", other, Cause.EXCLUSION)
            if other not in {name, *below} and not called.isdisjoint(layers[name].after):
                yield _says(name, f"stands after {other}", other, Cause.ORDER)


def _says(name: str, what: str, other: str, cause: Cause) -> Conflict:
    return Conflict(parts=(name, other), path="", what=f"{name} says that it {what}", cause=cause)


def _watched(content: bytes, links: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(path without its leading slash, as it is written, package) of each line."""
    lines = (line.split() for line in content.decode("utf-8", "surrogateescape").splitlines())
    return [(_resolve(words[0], links), words[0], words[1].partition("/")[0]) for words in lines if len(words) > 1]


def _first(index: Index, path: str) -> str | None:
    """The first file that is ``path`` or below it; None where there is none."""
    if path in index.entries and index.entries[path].kind is not Kind.DIRECTORY:
        return path
    return min((one for one in index.inside(path) if index.entries[one].kind is not Kind.DIRECTORY), default=None)
