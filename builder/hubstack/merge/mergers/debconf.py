"""debconf's databases of answers and of questions (debconf.conf(5), the driver File; debconf-devel(7))."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from hubstack.merge.mergers.side import Sides, three_way
from hubstack.merge.mergers.stanza import Stanza, by_key, merge_fields, render_stanzas

TEMPLATES = "var/cache/debconf/templates.dat"
_JOINED = {"Owners": ",", "Flags": ","}


def merge_debconf(sides: Sides) -> bytes:
    """By name. Owners and flags are what any part says, and so are the answers to a question that takes several; two answers
    to any other are a clash.
    """

    @cache  # most merges need no look at the templates
    def several() -> set[str]:
        return _multiselects(sides.beside)

    def settle(key: tuple[str, ...], was: Stanza | None, changed: Sequence[tuple[int, Stanza | None]]) -> Stanza:
        if not any(stanza and stanza.get("Template", "").strip() in several() for _, stanza in changed):
            return merge_fields(key[0], was, changed, _JOINED)
        return merge_fields(key[0], was, _with_one_list(changed), {**_JOINED, "Value": ","})

    base, *versions = (by_key(one, "Name") for one in (sides.base, *sides.versions))
    merged = three_way(base, versions, settle)
    return render_stanzas([merged[key] for key in sorted(merged)])


def _multiselects(beside: Sequence[Mapping[str, bytes]]) -> set[str]:
    """Templates of questions that take several answers."""
    stanzas = {key: one for contents in beside for key, one in by_key(contents.get(TEMPLATES, b""), "Name").items()}
    return {name for (name,), stanza in stanzas.items() if stanza.get("Type", "").strip() == "multiselect"}


def _with_one_list(changed: Sequence[tuple[int, Stanza | None]]) -> list[tuple[int, Stanza | None]]:
    """The same, with one Variables for all: what was there to choose from when it was last asked. The longest."""
    longest = max((stanza.get("Variables", "") for _, stanza in changed if stanza), key=lambda one: (len(one), one))
    return [(number, {**stanza, "Variables": longest} if stanza and longest else stanza) for number, stanza in changed]
