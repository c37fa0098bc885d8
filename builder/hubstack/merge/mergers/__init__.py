"""Files that several parts may change, each with what knows its format.

A merger is a function from :class:`Sides` to the merged content, which raises :class:`Clash`. It is found by the file's path;
what has none is merged by nobody.
"""

from __future__ import annotations

import re

from hubstack.merge.mergers.account import merge_accounts
from hubstack.merge.mergers.alternative import merge_alternatives
from hubstack.merge.mergers.debconf import merge_debconf
from hubstack.merge.mergers.dpkg import EXTENDED_STATES, STATUS, merge_extended_states, merge_status
from hubstack.merge.mergers.info_dir import merge_info_dir
from hubstack.merge.mergers.ld_so_cache import merge_ld_so_cache
from hubstack.merge.mergers.line import merge_lines, merge_paths, merge_triples
from hubstack.merge.mergers.manifest import DESCRIPTION, METADATA, PACKAGE_JSON
from hubstack.merge.mergers.nsswitch import merge_nsswitch
from hubstack.merge.mergers.record import RECORD, merge_record
from hubstack.merge.mergers.side import Clash, Merger, Sides

__all__ = ["EXTENDED_STATES", "KEPT", "MERGERS", "STATUS", "Clash", "Merger", "Sides", "find_merger", "is_database"]

MERGERS: dict[str, Merger] = {
    STATUS: merge_status,
    EXTENDED_STATES: merge_extended_states,
    r"var/lib/dpkg/triggers/(?!Lock$|Unincorp$|.*-old$)[^/]+": merge_lines,
    r"var/lib/systemd/deb-systemd-(user-)?helper-(enabled|masked)/.*\.dsh-also": merge_lines,
    r"var/lib/dpkg/alternatives/[^/]+": merge_alternatives,
    r"var/lib/dpkg/statoverride": merge_paths(3),
    r"var/lib/dpkg/diversions": merge_triples,
    r"var/lib/ucf/(hashfile|registry)": merge_paths(1),
    r"var/lib/shells\.state": merge_lines,
    r"var/cache/debconf/(config|templates|passwords)\.dat": merge_debconf,
    r"etc/shells": merge_lines,
    r"var/lib/pam/seen": merge_lines,
    r"etc/nsswitch\.conf": merge_nsswitch,
    r"usr/share/info/dir": merge_info_dir,
    r"etc/ld\.so\.cache": merge_ld_so_cache,
    RECORD: merge_record,
    **{
        rf"etc/{table}": merge_accounts(table) for table in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")
    },
}
_MERGERS = [(re.compile(pattern), merger) for pattern, merger in MERGERS.items()]
_READ = (r"etc/ld\.so\.conf(\.d/.*\.conf)?", r"(etc|usr/lib)/os-release", METADATA, DESCRIPTION, PACKAGE_JSON)
KEPT = re.compile("|".join(f"(?:{pattern})" for pattern in (*MERGERS, *_READ)))
"""Of these files an index keeps the content."""


_DATABASE = re.compile(
    r"var/lib/(dpkg|apt|ucf)/.*|etc/(passwd|group|shadow|gshadow|subuid|subgid|ld\.so\.cache)|.*\.dist-info/RECORD"
    r"|etc/xml/[^/]+|var/lib/xml-core/catalog|etc/mailcap|etc/ssl/certs/java/cacerts|var/cache/dictionaries-common/.*"
    r"|var/lib/systemd/catalog/database|.*/conda-meta/history"
)


def is_database(path: str) -> bool:
    """Whether what the file says is only true when it is said of all parts: no one part's version can stand for all."""
    return _DATABASE.fullmatch(path) is not None


def find_merger(path: str) -> Merger | None:
    return next((merger for pattern, merger in _MERGERS if pattern.fullmatch(path)), None)
