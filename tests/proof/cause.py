"""Why sets are refused, in a few words: what the messages of conflicts have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hubstack.merge.conflict import Conflict

CAUSES = (
    (r"gives the (user|group) id|has the (user|group) id|^etc/(passwd|group|g?shadow) ", "ids and accounts"),
    (r"diverted by", "a diversion"),
    (r"^(etc|var/lib/dpkg)/alternatives/", "alternatives"),
    (r"^var/cache/dictionaries-common/", "lists of dictionaries"),
    (r"doesn't hold in both together", "packages that exclude or lack each other"),
    (r": Version is", "two versions of one package"),
    (r"its bytecode", "bytecode of another module"),
    (r"different modes, owners", "modes and owners"),
)


def causes(conflicts: Iterable[Conflict]) -> list[str]:
    """Each once, sorted."""
    return sorted({_cause(one) for one in conflicts})


def _cause(conflict: Conflict) -> str:
    text = f"{conflict.path} {conflict.what}"
    return next((name for pattern, name in CAUSES if re.search(pattern, text)), f"/{conflict.path}"[:80])
