"""What people may have chosen and is not there any more: servers that were saved with it would not start.

KubeSpawner keeps what a user chose, as a profile's slug and choices' keys, and raises KeyError or ValueError where one
of them is gone. So each stays, as an alias of something else, until an author takes its entry out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches

from hubstack.errors import Problem
from hubstack.hub.choice import retired_profiles
from hubstack.hub.configmap import Emitted, Past
from hubstack.hub.menu import COMBINATION, PREVIOUS, Offer
from hubstack.offer import Hub, Retired
from hubstack.spelling import did_you_mean, quote


def retired_problems(hub: Hub, offers: Sequence[Offer]) -> Iterator[Problem]:
    """What is wrong with the entries that a hub has."""
    entries = {(entry.profile, entry.key) for entry in hub.retired}
    for index, entry in enumerate(hub.retired):
        if not entry.key:
            continue
        ours = [one for one in offers if one.profile == entry.profile and one.option != COMBINATION]
        live = [one.key for one in ours if (one.profile, one.key) not in entries or not one.retired]
        if entry.successor in live:
            continue
        if (entry.profile, entry.successor) in entries:
            what = f"successor {quote(entry.successor)} is retired itself"
        else:
            what = f"unknown successor {quote(entry.successor)}{did_you_mean(entry.successor, live)}"
        remedy = f"Keys in {entry.profile}: {', '.join(live)}."
        yield Problem(position=hub.source.at("retired", index, "successor"), what=what, remedy=remedy)


def vanished(hub: Hub, offers: Sequence[Offer], emitted: Emitted) -> tuple[Retired, ...]:
    """The entries that keep everything starting that was given out, with the likeliest successors; none if all is there.

    What was retired already may go: then its author has taken the entry out. An entry that is there and wrong has a
    problem of its own.
    """
    written = {(entry.profile, entry.key) for entry in hub.retired}
    return tuple(entry for entry in _vanished(hub, offers, emitted) if (entry.profile, entry.key) not in written)


def vanished_problems(hub: Hub, entries: Iterable[Retired]) -> Iterator[Problem]:
    places = {profile.slug: index for index, profile in enumerate(hub.profiles)}
    for entry in entries:
        position, what = hub.source.at("profiles"), f"profile {quote(entry.profile)}"
        if entry.key:
            position = (
                hub.source.at("profiles", places[entry.profile], "stacks") if entry.profile in places else position
            )
            what = f"choice {quote(entry.key)} of profile {quote(entry.profile)}"
        yield Problem(
            position=position,
            what=f"{what} is gone, and servers that were saved with it will not start",
            remedy=f"Write under `retired:` the line `- {line_of(entry)}`.",
        )


def line_of(entry: Retired) -> str:
    fields = {"profile": entry.profile, "key": entry.key, "successor": entry.successor, "until": entry.until}
    return f"{{{', '.join(f'{name}: {value}' for name, value in fields.items() if value)}}}"


def lines_to_write(hub: Hub, entries: Sequence[Retired]) -> str:
    """``entries`` as YAML to paste into the hub's file, and where: behind those that it has, or as a new key.

    A list of its own would hide that of ``_defaults.yaml``, and one in brackets takes no lines: such are written whole.
    """
    file, key = hub.source.path, hub.source.keys.get(("retired",))
    first = hub.source.at("retired", 0)
    mine = key is not None and key.path == file
    if mine and key is not None and hub.retired and first.line > key.line:
        indent = " " * max(first.column - len("- ") - 1, 0)
        head = f"Write behind the last line of `retired:` in {file}:"
        return "\n".join((head, "", *(f"{indent}- {line_of(entry)}" for entry in entries), ""))
    head = f"Write in place of `retired:` in {file}:" if mine else f"Write into {file}:"
    return "\n".join((head, "", "retired:", *(f"  - {line_of(entry)}" for entry in (*hub.retired, *entries)), ""))


def _vanished(hub: Hub, offers: Sequence[Offer], emitted: Emitted) -> Iterator[Retired]:
    live, aliases = [profile.slug for profile in hub.profiles], [profile.slug for profile in retired_profiles(hub)]
    for slug, options in emitted.profiles.items():
        if slug in (*live, *aliases):
            yield from _vanished_choices(offers, slug, slug, options)
        elif not all(past.retired for choices in options.values() for past in choices.values()):
            successor = _nearest_profile(offers, options, live)
            yield Retired(profile=slug, successor=successor)
            yield from _vanished_choices(offers, slug, successor, options)


def _vanished_choices(
    offers: Sequence[Offer], slug: str, source: str, options: Mapping[str, Mapping[str, Past]]
) -> Iterator[Retired]:
    """Of the profile ``slug``, which has, or will have, the choices of ``source``.

    An option that is given up needs nothing: KubeSpawner ignores a saved choice of an option that is not there. Nor does a
    combination: nobody saves its key, and who chose it is told at the start which ones there are.
    """
    for option, choices in ((name, one) for name, one in options.items() if name != COMBINATION):
        now = {one.key: one for one in offers if one.profile == source and one.option == option}
        for key, past in choices.items():
            if now and key not in now and not past.retired:
                yield Retired(profile=slug, key=key, successor=_successor(now, key, past))


def _successor(now: Mapping[str, Offer], key: str, past: Past) -> str:
    """The same by another name; else what is called alike; else the default."""
    live = {name: one for name, one in now.items() if not one.retired} or now
    newest = [name for name, one in live.items() if past.previous and name == key.removesuffix(PREVIOUS)]
    same_title = [name for name, one in live.items() if one.title == past.own_title]
    near = get_close_matches(key, [name for name, one in live.items() if not one.previous], n=1, cutoff=0.5)
    default = [name for name, one in live.items() if one.default]
    return next(iter((*newest, *same_title, *near, *default)))


def _nearest_profile(offers: Sequence[Offer], options: Mapping[str, Mapping[str, Past]], slugs: Sequence[str]) -> str:
    """The one that has most of its keys; of several the first, which is the launcher's default."""

    def shared(slug: str) -> int:
        return sum(one.profile == slug and one.key in options.get(one.option, ()) for one in offers)

    return max(slugs, key=shared)
