"""What a package makes of all files that stand in a folder, whoever has put them there: lists, caches, compiled tables.

Each part of a merge has made it of its own files, so that no part's is right; the package's trigger makes it anew in the merged
image (:mod:`hubstack.merge.settle`). Triggers are folders or names (deb-triggers(5)). `make proof FIRE=1` fires each of these on
Debian 12 and 13, with what it makes spoilt before. Not here is what people write into as well, and would lose: /etc/mailcap,
Java's key store.
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass
from functools import lru_cache

from hubstack.merge.entry import Index
from hubstack.merge.stacked import among


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """``trigger`` is a name, or a pattern for a folder without its leading slash, which in ``files`` is ``{}``; ``below`` are
    folders, each with a pattern for the rest of the path. Where there is a ``source``, a part that has nothing in this folder
    may have made its version by hand.
    """

    packages: tuple[str, ...]  # as each release calls it
    trigger: str
    files: tuple[str, ...] = ()
    below: tuple[tuple[str, str], ...] = ()
    source: str = ""

    def makes(self, trigger: str, path: str) -> bool:
        return path in self._files(trigger) or any(
            path.startswith(f"{folder}/") and re.fullmatch(names, path.removeprefix(f"{folder}/"))
            for folder, names in self.below
        )

    def may_change(self, trigger: str, index: Index) -> bool:
        """Whether it is worth looking through all that a part has."""
        places = (trigger, *(folder for folder, _ in self.below))
        return any(one in index.folders for one in places) or any(one in index.entries for one in self._files(trigger))

    def places(self, trigger: str, index: Index) -> tuple[Set[str], Set[str]]:
        """The paths of which a part says something: of what the package makes it, and what it makes."""
        below = {path for folder, _ in self.below for path in index.inside(folder)}
        made = {path for path in below if self.makes(trigger, path)} | among(index.entries, {*self._files(trigger)})
        return {*index.inside(trigger)} - made, made

    def is_made(self, index: Index) -> bool:
        """Whether what a part has changed is what the package has made, as far as can be told."""
        return not self.source or any(index.inside(self.source))

    def _files(self, trigger: str) -> list[str]:
        return [file.format(trigger) for file in self.files]


_MIME = (
    r"(XMLnamespaces|aliases|generic-icons|globs2?|icons|magic|mime\.cache|subclasses|treemagic|types|version)"
    r"|(?!packages/)[^/]+/[^/]+\.xml"
)
_LIBRARIES = r"usr/lib/([^/]+/)?"
_GLIB = ("libglib2.0-0t64", "libglib2.0-0")
_GTK = ("libgtk-3-0t64", "libgtk-3-0", "libgtk2.0-0t64", "libgtk2.0-0")
_TEX = ("tex-common",)
_TEXMF = "var/lib/texmf"
_LS_R = f"{_TEXMF}/ls-R"
_LANGUAGES = tuple(f"{_TEXMF}/tex/generic/config/language.{end}" for end in ("dat", "dat.lua", "def"))
AGGREGATES = (
    Aggregate(packages=("shared-mime-info",), trigger="usr/share/mime/packages", below=(("usr/share/mime", _MIME),)),
    Aggregate(packages=_GLIB, trigger=r"usr/share/glib-2\.0/schemas", files=("{}/gschemas.compiled",)),
    Aggregate(packages=_GLIB, trigger=f"{_LIBRARIES}gio/modules", files=("{}/giomodule.cache",)),
    Aggregate(
        packages=("libgdk-pixbuf-2.0-0",),
        trigger=rf"{_LIBRARIES}gdk-pixbuf-2\.0/2\.10\.0/loaders",
        files=("{}.cache",),
    ),
    Aggregate(packages=_GTK, trigger=rf"{_LIBRARIES}gtk-[23]\.0/[0-9.]+/immodules", files=("{}.cache",)),
    Aggregate(packages=("libgtk-4-1",), trigger=rf"{_LIBRARIES}gtk-4\.0/[0-9.]+/[^/]+", files=("{}/giomodule.cache",)),
    Aggregate(packages=("octave",), trigger="usr/share/octave/packages", files=("usr/share/octave/octave_packages",)),
    Aggregate(packages=("libvlc-bin",), trigger=f"{_LIBRARIES}vlc/plugins", files=("{}/plugins.dat",)),
    Aggregate(packages=("udev",), trigger=r"(usr/)?lib/udev/hwdb\.d", files=("usr/lib/udev/hwdb.bin",)),
    Aggregate(packages=("systemd",), trigger="usr/lib/systemd/catalog", files=("var/lib/systemd/catalog/database",)),
    Aggregate(packages=("desktop-file-utils",), trigger="usr/share/applications", files=("{}/mimeinfo.cache",)),
    Aggregate(
        packages=("sgml-base",), trigger="etc/sgml|usr/share/(sgml|xml)", files=("var/lib/sgml-base/supercatalog",)
    ),
    Aggregate(
        packages=("ca-certificates",),
        trigger="update-ca-certificates",
        files=("etc/ssl/certs/ca-certificates.crt",),
        source="usr/local/share/ca-certificates",
    ),
    Aggregate(packages=_TEX, trigger="usr/share/texmf", files=(_LS_R, f"{_LS_R}-TEXMFMAIN")),
    Aggregate(packages=_TEX, trigger="usr/share/texlive/texmf-dist", files=(_LS_R, f"{_LS_R}-TEXLIVEDIST")),
    Aggregate(
        packages=_TEX,
        trigger="texmf-map",
        files=(_LS_R, *(f"{_TEXMF}/updmap.cfg-{whose}" for whose in ("DEBIAN", "TEXLIVEDIST"))),
        below=((f"{_TEXMF}/fonts/map", ".*"),),
    ),
    Aggregate(packages=_TEX, trigger="texmf-hyphen", files=(_LS_R, *_LANGUAGES)),
    Aggregate(
        packages=_TEX,
        trigger="texmf-format",
        files=(_LS_R, *(f"{_TEXMF}/fmtutil.cnf-{whose}" for whose in ("DEBIAN", "TEXLIVEDIST"))),
        below=((f"{_TEXMF}/web2c", r".+\.(base|fmt|mem)"),),
    ),
)
NAMES = tuple(one.trigger for one in AGGREGATES if "/" not in one.trigger)


@lru_cache(maxsize=1024)
def aggregates(package: str, trigger: str) -> tuple[Aggregate, ...]:
    """What a package makes when a trigger of it is fired, which is a name, or a folder without its leading slash."""
    name = package.partition(":")[0]  # without its architecture
    known = [one for one in AGGREGATES if name in one.packages]  # so that few patterns are ever read
    return tuple(one for one in known if re.fullmatch(one.trigger, trigger))
