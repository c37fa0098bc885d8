"""In what a merged image may differ from both chains: each kind with its reason, nothing else.

What differs between the two chains themselves is not here: of that a merged image has what one of them has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    section: str
    pattern: str  # of the whole key
    reason: str


NOISE = (
    Noise(section="tree", pattern=r"/var/log(/.*)?", reason="logs say what happened while a part was built"),
    Noise(
        section="tree",
        pattern=r"/usr/share/emacs/site-lisp/elpa/[^/]+/Install\.log\.gz",
        reason="an empty log, compressed with the time in its header",
    ),
)


def find_noise(section: str, key: str) -> Noise | None:
    return next((one for one in NOISE if one.section == section and re.fullmatch(one.pattern, key)), None)
