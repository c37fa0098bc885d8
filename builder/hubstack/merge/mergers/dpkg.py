"""dpkg's and apt's own databases (dpkg's doc/ and dpkg(1), FILES; apt's extended_states is only in its source)."""

from __future__ import annotations

from hubstack.merge.mergers.side import Sides
from hubstack.merge.mergers.stanza import by_key, merge_stanzas, render_stanzas

STATUS = "var/lib/dpkg/status"
EXTENDED_STATES = "var/lib/apt/extended_states"


def merge_status(sides: Sides) -> bytes:
    """Packages by name and architecture. Two versions of one package are a clash."""
    return merge_stanzas(sides, "Package", "Architecture", joined={})


def merge_extended_states(sides: Sides) -> bytes:
    """A package is automatic where it is so in every part that has it: who has asked for it by name keeps it.

    Absence means manual, so it takes the packages of each part to know.
    """
    tables = [by_key(version, "Package", "Architecture") for version in (sides.base, *sides.versions)]
    installed = [{key[0] for key in by_key(one.get(STATUS, b""), "Package")} for one in sides.beside]
    everything = {key: stanza for table in tables for key, stanza in table.items()}
    merged = []
    for key in sorted(everything):
        holders = [table for table, packages in zip(tables[1:], installed, strict=True) if key[0] in packages]
        automatic = all(table.get(key, {}).get("Auto-Installed", "").strip() == "1" for table in holders)
        if holders and automatic:
            merged.append(everything[key])
    return render_stanzas(merged)
