"""Paths about which parts may differ without anybody minding: the topmost part's stands.

Each with its reason. What differs from build to build, or is made anew when it is missing, carries nothing that a user of
the image could miss.
"""

from __future__ import annotations

import re

_ICONS = r"usr/share/icons/[^/]+/(icon-theme\.cache|\.icon-theme\.cache)"
NOISE = {
    r"var/log/.*": "what happened while a part was built",
    r"usr/share/emacs/site-lisp/elpa/[^/]+/Install\.log\.gz": "an empty log, compressed with the time in its header",
    r"var/cache/ldconfig/aux-cache": "ldconfig's own, made anew by it",
    r"var/cache/man/.*": "an index that man-db makes anew",
    r"var/cache/fontconfig/.*": "fontconfig reads fonts where it has no cache",
    r"var/cache/debconf/.*-old": "debconf's copy of the file before",
    r"var/cache/apt/.*\.bin": "apt makes them anew",
    r"var/lib/(dpkg|apt|aspell)/[^/]*(-old|\.old)": "copies of the file before",
    r"var/lib/dpkg/triggers/File-old": "a copy of the file before",
    r"var/lib/ucf/(hashfile|registry)\.[0-9]": "copies of the file before",
    r"var/lib/dpkg/(lock|lock-frontend|triggers/Lock|triggers/Unincorp)": "nothing is waiting in an image",
    r"etc/(passwd|group|shadow|gshadow|subuid|subgid)-": "copies of the file before",
    r"usr/share/info/dir\.old": "a copy of the file before",
    r"var/lib/sgml-base/supercatalog\.old": "a copy of the file before",
    r"var/lib/texmf/web2c/.*\.log": "what happened while TeX's formats and maps were made",
    r"etc/\.pwd\.lock": "empty",
    r".*\.dist-info/INSTALLER": "who has installed a distribution: pip only shows it",
    r"(.*/)?node_modules/\.package-lock\.json": "npm looks into the folders where its copy of the tree lacks one",
    _ICONS: "GTK looks into the folders where it has no cache",
}
_NOISE = re.compile("|".join(f"(?:{pattern})" for pattern in NOISE))


def is_noise(path: str) -> bool:
    return _NOISE.fullmatch(path) is not None


def is_icon_cache(path: str) -> bool:
    return re.fullmatch(_ICONS, path) is not None
