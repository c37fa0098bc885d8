"""The ledger of user and group ids: a name's number is allocated once, so that no two layers give one id to two daemons.

A name has one number, as user and as group. The range is one that nothing reaches by itself: adduser takes system ids
from 100 upwards, systemd-sysusers and useradd from 999 downwards (adduser.conf(5), sysusers.d(5), login.defs(5)).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from hubstack.errors import HubstackError

FIRST, LAST = 700, 899


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """``layers`` are those that make it, sorted; none where a layer once did: its number is not given away again."""

    id: int
    layers: tuple[str, ...] = ()


Ledger: TypeAlias = Mapping[str, Account]


def is_dynamic(number: str) -> bool:
    """Whether an id is one that tools choose: below are Debian's own, above are people's (Debian Policy, 9.2.2)."""
    return number.isdigit() and 100 <= int(number) < 1000


def ids_for(layer: str, ledger: Ledger) -> Mapping[str, int]:
    """The layer's slice: what its build is told, and what its fingerprint covers."""
    return {name: account.id for name, account in sorted(ledger.items()) if layer in account.layers}


def enter(ledger: Ledger, made: Mapping[str, Iterable[str]], layers: Iterable[str]) -> Ledger:
    """The ledger with what built layers (``made``: layer → names) were seen to make. ``layers`` are all there are.

    A layer keeps what it was once seen to make: on top of another one that makes the same, it doesn't. Raises
    HubstackError when the range is used up.
    """
    known = set(layers)
    makers = {name: known.intersection(account.layers) for name, account in ledger.items()}
    for layer, names in made.items():
        for name in names:
            makers.setdefault(name, set()).add(layer)
    ids: dict[str, int] = {}
    for name in sorted(ledger):  # of a number that two branches gave away, the first name keeps it
        if ledger[name].id not in ids.values():
            ids[name] = ledger[name].id
    for name in sorted(makers.keys() - ids.keys()):
        ids[name] = _free(ids.values())
    return {name: Account(id=ids[name], layers=tuple(sorted(makers[name]))) for name in sorted(makers)}


def _free(taken: Iterable[int]) -> int:
    used = set(taken)
    for number in range(FIRST, LAST + 1):
        if number not in used:
            return number
    hint = "Give some of them an id of their own in the layer, outside 100 to 999: useradd --uid, groupadd --gid."
    raise HubstackError(f"hubstack.lock has used up the ids from {FIRST} to {LAST}", hint=hint)
