"""Which parts' packages act on each other: triggers of one that watch paths that another has (deb-triggers(5)), hosts of
plug-ins, what each has made of its own files alone (:mod:`hubstack.merge.aggregate`), and diversions and overrides of the
other's paths (dpkg-divert(1), dpkg-statoverride(1)).

A chain would have run the triggers as it installed the second of the two. Where they only make something that is made anew
when it is missing, or nothing that stays in an image, nothing is lost; the rest is settled in the merged image
(:mod:`hubstack.merge.settle`). What is diverted or overridden can only be built.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain, pairwise, permutations, product
from typing import TYPE_CHECKING, TypeAlias

from hubstack.merge.aggregate import NAMES, aggregates
from hubstack.merge.conflict import Cause, Conflict, shown
from hubstack.merge.entry import GONE, Entry, Index, Kind
from hubstack.merge.mergers.line import by_path, diversions
from hubstack.merge.mergers.side import text

if TYPE_CHECKING:
    from hubstack.model import Layer

DIVERSIONS = "var/lib/dpkg/diversions"
STATOVERRIDE = "var/lib/dpkg/statoverride"
TRIGGERS = "var/lib/dpkg/triggers/File"
HARMLESS = {  # but for what makes an aggregate
    "man-db": "an index that hygiene removes",
    "hicolor-icon-theme": "a cache that GTK does without",
    "gnome-icon-theme": "a cache that GTK does without",
    "fontconfig": "a cache that fontconfig does without",
    "libc-bin": "ld.so.cache, which has a merger",
    "dbus": "tells a running daemon",
    "systemd": "tells a running system",
    "udev": "tells a running daemon",
    "initramfs-tools": "an image has no kernel",
    "procps": "sets the machine's kernel",
}

_Watch: TypeAlias = tuple[str, str, str]
"""What triggers a package: a folder without its leading slash, or a name; the same as it is written; and the package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interest:
    """``host`` has something that has to be told of what ``guest`` has. ``trigger`` is what to trigger, a whole path or a
    name; where there is none, ``command`` has to be run.
    """

    host: str  # empty: what they stand on, or several of them
    guest: str
    who: str  # the package, or what people call it
    path: str  # the first of the guest's files that it is about, without a leading slash
    trigger: str = ""
    command: str = ""

    def __str__(self) -> str:
        whose = f" of {self.host}" if self.host else ""
        return shown(f"{self.who}{whose} has to be told of what {self.guest} has (/{self.path})")


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
    """One for each part and package of others whose trigger's path it has; for each part that has made an aggregate of its own
    files alone; for each plug-in and its hosts; and for what several put into one list.
    """
    links = base.links
    old = _watched(base.contents.get(TRIGGERS, b""), links)
    said = {part: index.contents.get(TRIGGERS, b"") for part, index in parts.items() if TRIGGERS in index.entries}
    tables = {part: _watched(content, links) for part, content in said.items()}
    watchers: dict[_Watch, list[str]] = {}
    for host, table in tables.items():
        for one in table:
            if one not in old and (one[2] not in HARMLESS or aggregates(one[2], one[0])):
                watchers.setdefault(one, []).append(host)
    for guest, index in parts.items():
        for (path, trigger, package), hosts in watchers.items():
            if hosts != [guest]:
                yield from _told(hosts, guest, package, _first(index, path), trigger=trigger)
    for watch in (*_kept(old, tables.values()), *_brought(watchers, parts.values()), *_named(base, parts)):
        yield from _aggregated(base, parts, watch)
    for at, plugins, thing, command in PLUGINS:
        yield from _plugged(parts, at, plugins, thing, command)
    for at, thing, command in JOINT:
        yield from _joined(parts, at, thing, command)


def diverted(base: Index, parts: Mapping[str, Index]) -> Iterator[Conflict]:
    """The other's files that dpkg would have renamed or written elsewhere; where that has the same diversion, it has."""
    there = frozenset(diversions(base.contents.get(DIVERSIONS, b"")).values())
    table = {
        name: frozenset(diversions(index.contents[DIVERSIONS]).values()) if DIVERSIONS in index.contents else there
        for name, index in parts.items()
    }
    for name, other in permutations(parts, 2):
        new, news = (table[one] - there for one in (name, other))
        yield from _diverted_to_one(base, (name, new - news), (other, news - new))
        for lines in sorted(table[name] - there - table[other]):
            path, place, package = lines.split("\n")
            for one in (_resolve(path, base.links), _resolve(place, base.links)):
                entry = parts[other].entries.get(one)
                if entry is not None and entry != base.entries.get(one):
                    whose = f"{package} of {name}" if package != ":" else name
                    what = f"is in {other}, and diverted by {whose} ({path} to {place})"
                    yield Conflict(parts=(name, other), path=one, what=what, cause=Cause.INTEREST)


def _diverted_to_one(base: Index, *sides: tuple[str, Set[str]]) -> Iterator[Conflict]:
    """Two paths that two parts divert to one place, each pair once: dpkg-divert would refuse the second."""
    (name, own), (other, others) = sides
    for one, two in product(sorted(own), sorted(others)) if name < other else ():
        (path, place, _), (path2, place2, _) = one.split("\n"), two.split("\n")
        if place == place2 and path != path2:
            what = f"is where {path} of {name} is diverted to, and {path2} of {other}"
            yield Conflict(parts=(name, other), path=_resolve(place, base.links), what=what, cause=Cause.INTEREST)


def overridden(base: Index, parts: Mapping[str, Index]) -> Iterator[Conflict]:
    """The other's files to which dpkg would have given the owner and the mode that a part's table says."""
    there = base.contents.get(STATOVERRIDE, b"")
    before, *said = (by_path(3, one.contents.get(STATOVERRIDE, there)) for one in (base, *parts.values()))
    tables = dict(zip(parts, said, strict=True))
    for name, other in permutations(parts, 2):
        for path, line in tables[name].items():
            place = _resolve(path, base.links)
            entry = parts[other].entries.get(place)
            if line in {before.get(path), tables[other].get(path)} or place in parts[name].entries:
                continue  # the other was built with it, or the part has a version of its own that is as it says
            if entry not in {None, GONE, base.entries.get(place)}:
                what = f"is in {other}, and dpkg-statoverride of {name} gives it another owner or mode ({line})"
                yield Conflict(parts=(name, other), path=place, what=what, cause=Cause.INTEREST)


def makes(interest: Interest, path: str, links: Mapping[str, str]) -> bool:
    """Whether a path is made anew, of what all parts have, where the interest is settled."""
    trigger = _resolve(interest.trigger, links)
    return any(one.makes(trigger, path) for one in aggregates(interest.who, trigger))


def _kept(old: Sequence[_Watch], tables: Collection[Sequence[_Watch]]) -> Iterator[_Watch]:
    """What makes an aggregate in the base, and still does in all parts."""
    return (one for one in old if aggregates(one[2], one[0]) and all(one in table for table in tables))


def _brought(watchers: Mapping[_Watch, Sequence[str]], parts: Collection[Index]) -> Iterator[_Watch]:
    """What several parts bring and nobody has to be told of: they may have made it differently of nothing."""
    several = (watch for watch, hosts in watchers.items() if len(hosts) > 1 and aggregates(watch[2], watch[0]))
    return (watch for watch in several if all(_first(index, watch[0]) is None for index in parts))


def _named(base: Index, parts: Mapping[str, Index]) -> Iterator[_Watch]:
    """What makes an aggregate when a name is triggered, and is in what is merged: also where only parts have it."""
    for trigger in NAMES:
        place = f"{posixpath.dirname(TRIGGERS)}/{trigger}"
        before = _packages(base.contents.get(place, b""))
        said = [_packages(index.contents.get(place, b"")) for index in parts.values() if place in index.entries]
        new = frozenset[str]().union(*said) - before
        yield from ((trigger, trigger, package) for package in sorted(before.intersection(*said) | new))


def _aggregated(base: Index, parts: Mapping[str, Index], watch: _Watch) -> Iterator[Interest]:
    """Where several parts have something of it, and not all the same."""
    path, trigger, who = watch
    for aggregate in aggregates(who, path):
        some = {part: index for part, index in parts.items() if aggregate.may_change(path, index)}
        places = {part: aggregate.places(path, index) for part, index in some.items()} if len(some) > 1 else {}
        news = {part: new for part, some in places.items() if (new := _new(parts[part], base, *some)) is not None}
        paths = {part: frozenset[str]().union(*places[part]) for part in news}
        if not _unlike(base, [(parts[part], paths[part]) for part in news]):
            continue
        if all(aggregate.is_made(parts[part]) for part in news):
            for part, first in news.items():
                yield Interest(host="", guest=part, who=who, path=first, trigger=trigger)


def _new(index: Index, base: Index, *places: Set[str]) -> str | None:
    """The first path that a part has changed, by name, of the first of ``places`` that have any."""
    return next((path for some in places for path in sorted(some) if _said(index, base, path) is not None), None)


def _unlike(base: Index, sides: Sequence[tuple[Index, Set[str]]]) -> bool:
    """Whether two parts have changed something of these paths, and not alike."""
    return any(
        _said(one, base, path) != _said(other, base, path)
        for (one, paths), (other, others) in pairwise(sides)
        for path in chain(paths ^ others, paths & others)  # of which the former nearly always end it
    )


def _said(index: Index, base: Index, path: str) -> Entry | None:
    entry = index.entries.get(path)
    return None if entry is None or entry.kind is Kind.DIRECTORY or entry == base.entries.get(path) else entry


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


def _watched(content: bytes, links: Mapping[str, str]) -> list[_Watch]:
    """Each folder once, also where it is watched as /lib, too."""
    lines = (line.split() for line in text(content).splitlines())
    found: dict[tuple[str, str], str] = {}
    for words in lines:
        if len(words) > 1:
            found.setdefault((_resolve(words[0], links), words[1].partition("/")[0]), words[0])
    return [(path, written, package) for (path, package), written in found.items()]


def _packages(content: bytes) -> frozenset[str]:
    """Whose a trigger with a name is."""
    return frozenset(line.partition("/")[0] for line in text(content).split())


def _first(index: Index, path: str) -> str | None:
    """The first file that is ``path`` or below it; None where there is none."""
    if path in index.entries and index.entries[path].kind is not Kind.DIRECTORY:
        return path
    return min((one for one in index.inside(path) if index.entries[one].kind is not Kind.DIRECTORY), default=None)
