"""Keys of choices: addresses that saved servers and REST clients hold, and names inside Kubernetes objects.

The image puller of the JupyterHub chart makes each key a part of a container's name, and Kubernetes refuses the whole
upgrade where that is no DNS label; forms put keys into HTML attributes; ``--`` separates the fields of a posted form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import count

LABEL_LENGTH = 63
"""Of a DNS label (RFC 1123), and so of a container's name."""

_KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PREFIXED = re.compile(r"([0-9]{3,})-(.+)")
_GAP = 10
_RESERVED = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "unlisted-choice"})


def key_of(stack: str, variant: str | None) -> str:
    """The key of a stack's only variant (None), or of one of several."""
    return re.sub("[^a-z0-9]+", "-", (stack if variant is None else f"{stack}-{variant}").lower()).strip("-")


def key_fault(key: str) -> str:
    """What is wrong with ``key``, to follow it in a sentence; or nothing."""
    if _KEY.fullmatch(key) is None:
        return "is not made of a-z, 0-9 and single hyphens between them"
    if key.isdigit():
        return "has only digits, which browsers sort to the front"
    if key in _RESERVED:
        return "is a word that Helm or the launcher takes for something else"
    return ""


def puller_name(profile: int, option: str, key: str) -> str:
    """The container's name that z2jh's image puller makes of a choice; ``profile`` counts from 0."""
    return f"image-pull-profile-{profile}-option-{option}-{key}"


def numbers_given(keys: Sequence[str]) -> dict[str, int]:
    """The numbers in keys like ``010-scipy``, by what follows them; a later key wins over an earlier one."""
    return {match[2]: int(match[1]) for key in keys if (match := _PREFIXED.fullmatch(key))}


def number_keys(keys: Sequence[str], given: Mapping[str, int]) -> dict[str, str]:
    """``keys`` with numbers before them that sort as ``keys`` stand: 010-, 020- and so on.

    A number once ``given`` is kept, for the key with it is an address. New keys go half-way into the gap where they
    stand, or to the next free number where there is none; then, and where the author changed the order of keys that
    have numbers, the result sorts otherwise than ``keys``.
    """
    numbers: dict[str, int] = {}
    used = set(given.values())
    last = 0
    for index, key in enumerate(keys):
        if key not in given:
            following = [given[one] for one in keys[index:] if given.get(one, 0) > last]
            start = (last + min(following)) // 2 if following else last + _GAP
            used.add(number := next(one for one in count(max(start, last + 1)) if one not in used))
        else:
            number = given[key]
        numbers[key] = last = number
    return {key: f"{number:03}-{key}" for key, number in numbers.items()}
