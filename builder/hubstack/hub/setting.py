"""What a ConfigMap says beside its choices' titles and images: who sees a profile, what it sets, sizes, descriptions.

A group that goes, or a limit that comes, changes more for people than a new image.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hubstack.hub.configmap import chart_values

_TOLD_ELSEWHERE = frozenset({"slug", "display_name", "profile_options", "choices"})
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingChange:
    place: str  # profile, profile/option or profile/option/key
    name: str
    before: object = None  # None: it was not set
    after: object = None

    def __str__(self) -> str:
        return f"{self.place}: {self.name} {_text(self.before)} → {_text(self.after)}"


def setting_changes(before: str, after: str) -> tuple[SettingChange, ...]:
    """Of two ConfigMaps' texts, for what is in both: what comes and goes as a whole, its choices tell.

    Last, where nothing else differs, is the order, which every launcher shows.
    """
    old, new = (_places(chart_values(text)) for text in (before, after))
    found = [
        SettingChange(place=place, name=name, before=old[place].get(name), after=new[place].get(name))
        for place in new
        if place in old
        for name in dict.fromkeys((*new[place], *old[place]))
        if old[place].get(name) != new[place].get(name)
    ]
    was, now = [place for place in old if place in new], [place for place in new if place in old]
    if was != now:
        found.append(SettingChange(place="all", name="order", before=was, after=now))
    return tuple(found)


def _text(value: object) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


def _places(values: Mapping[str, Any]) -> dict[str, dict[str, object]]:
    """What is set at each place, in the launcher's order; maps by their paths, as ``kubespawner_override.mem_limit``."""
    found: dict[str, dict[str, object]] = {}
    for profile in values["singleuser"]["profileList"]:
        found[profile["slug"]] = {"title": profile.get("display_name"), **dict(_leaves(profile))}
        for name, option in profile["profile_options"].items():
            place = f"{profile['slug']}/{name}"
            found[place] = {"title": option.get("display_name"), **dict(_leaves(option))}
            for key, choice in option["choices"].items():
                found[f"{place}/{key}"] = dict(_leaves(choice))
    return found


def _leaves(tree: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for name, value in tree.items():
        if name in _TOLD_ELSEWHERE:
            continue
        if isinstance(value, dict) and value:
            yield from ((f"{name}.{inner}", leaf) for inner, leaf in _leaves(value) if inner != "image")
        else:
            yield name, value
