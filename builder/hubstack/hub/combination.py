"""Stacks with options in a launcher: one choice of the image for all that their options choose from, and a menu an option.

KubeSpawner applies menu after menu and knows nothing of combinations. So a menu's choice sets only a variable of the
environment, and ``hub.lookup`` has the hub look up the image for what they say together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from hubstack.hub.menu import COMBINATION, Offer
from hubstack.model import NOTHING, Stack

VARIABLE = "HUBSTACK_OPTION_"
"""What the names of the variables begin with that say what was chosen."""

_Chosen: TypeAlias = Mapping[str, tuple[str, ...]]


def variable(option: str) -> str:
    return f"{VARIABLE}{option.replace('-', '_').upper()}"


def environment(chosen: _Chosen) -> dict[str, str]:
    return {variable(option): " ".join(sorted(layers)) or NOTHING for option, layers in chosen.items()}


def menu_key(option: str, layers: Sequence[str]) -> str:
    """It begins with the option's name, since ``retired`` entries name no option."""
    return "-".join((option, *(sorted(layers) or [NOTHING])))


def with_menus(
    offers: Sequence[Offer], default: str, stack_of: Callable[[str], Stack]
) -> tuple[list[Offer], list[Offer]]:
    """The choices of the image; and the menus' choices with the combinations that can be made of them.

    A variant that is offered without another one of its group is a choice like any other. The image of a group is the
    one that its menus' defaults choose: it is all that the chart's image puller sees. ``default`` is the profile's.
    """
    groups: dict[str, list[Offer]] = {}
    for one in offers:
        groups.setdefault(one.group, []).append(one)
    several = {group: members for group, members in groups.items() if group and len(members) > 1}
    preset = _preset(several, next((one for one in offers if one.id == default and one.group in several), None))
    images = []
    for one in offers:
        members = several.get(one.group, [])
        if not members:
            images.append(replace(one, group=""))
        elif one is members[0]:
            images.append(replace(_fitting(members, preset), key=one.group, title=one.group_title))
    combinations = [replace(one, option=COMBINATION) for members in several.values() for one in members]
    return images, [*_menus(combinations, preset, stack_of), *combinations]


def _preset(groups: Mapping[str, Sequence[Offer]], default: Offer | None) -> _Chosen:
    """What each menu has chosen beforehand: what the profile's default says, else what each group's first variant does."""
    preset = dict(default.chosen) if default else {}
    for members in groups.values():
        preset = {**_fitting(members, preset).chosen, **preset}
    return preset


def _fitting(members: Sequence[Offer], preset: _Chosen) -> Offer:
    """The first of a group that is chosen by ``preset``, as far as that goes; else its first."""
    return next((one for one in members if fits(one, preset)), members[0])


def fits(one: Offer, preset: _Chosen) -> bool:
    """Whether ``preset`` chooses it, as far as that goes. Layers of one option have no order."""
    return all(_same(preset.get(name, layers), layers) for name, layers in one.chosen.items())


def _same(some: Sequence[str], others: Sequence[str]) -> bool:
    return sorted(some) == sorted(others)


def _menus(combinations: Sequence[Offer], preset: _Chosen, stack_of: Callable[[str], Stack]) -> Iterator[Offer]:
    """What people can choose, and no more: ways to choose that are in no combination are left out."""
    menus: dict[str, dict[tuple[str, ...], Offer]] = {}
    for stack, first in {one.stack: one for one in reversed(combinations)}.items():
        there = [one.chosen for one in combinations if one.stack == stack]
        source = stack_of(stack).source
        for number, option in enumerate(stack_of(stack).options):
            menu = menus.setdefault(option.name, {})
            for layers in option.ways():
                if not any(_same(chosen[option.name], layers) for chosen in there):
                    continue
                choice = Offer(
                    profile=first.profile,
                    option=option.name,
                    key=menu_key(option.name, layers),
                    title=option.title_of(layers),
                    default=_same(layers, preset[option.name]),
                    override={"environment": environment({option.name: layers})},
                    position=first.position,
                    texts=((option.title_of(layers), source.at("options", number)),),
                    chosen={option.name: layers},
                    menu=option.title,
                )
                menu.setdefault(tuple(sorted(layers)), choice)  # of others with the same key, checks tell
    return (choice for menu in menus.values() for choice in menu.values())
