"""debconf's databases of answers and of questions (debconf.conf(5), the driver File; debconf-devel(7))."""

from __future__ import annotations

from hubstack.merge.mergers.side import Sides
from hubstack.merge.mergers.stanza import merge_stanzas


def merge_debconf(sides: Sides) -> bytes:
    """By name. Owners and flags are what any part says; two answers to one question are a clash."""
    return merge_stanzas(sides, "Name", joined={"Owners": ",", "Flags": ","})
