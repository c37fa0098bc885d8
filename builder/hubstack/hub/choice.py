"""What a hub's profiles offer: patterns over stacks become choices with keys, titles and one default."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from hubstack.errors import Problem, ProjectError, Severity
from hubstack.graph import drafts
from hubstack.graph.option import label
from hubstack.hub.combination import with_menus
from hubstack.hub.configmap import Emitted, retired_title
from hubstack.hub.key import key_of, number_keys, numbers_given
from hubstack.hub.menu import COMBINATION, IMAGE, PREVIOUS, RESOURCES, Offer
from hubstack.model import Graph, Image, Project, Stack, Value, Variable
from hubstack.offer import Hub, Profile, Retired
from hubstack.source import Position
from hubstack.spelling import did_you_mean, enumerate_words, quote
from hubstack.value import value_text

_MANY = 8  # names that an error lists before it says that there are more


def offers(project: Project, graph: Graph, hub: Hub, emitted: Emitted | None = None) -> tuple[Offer, ...]:
    """Every choice of every profile, images before resources, in the author's order; what is retired comes last.

    ``emitted`` is what the hub was last given: it keeps the numbers of prefixed keys and the titles of retired ones.
    Raises ProjectError.
    """
    found, problems = resolve_offers(project, graph, hub, emitted)
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise ProjectError(problems)
    return found


def resolve_offers(
    project: Project, graph: Graph, hub: Hub, emitted: Emitted | None = None
) -> tuple[tuple[Offer, ...], tuple[Problem, ...]]:
    """As far as they can be resolved, and what is wrong with the rest."""
    found: list[Offer] = []
    problems: list[Problem] = []
    past = emitted or Emitted()
    shelf = _Shelf.of(project, graph)
    for index, profile in enumerate(hub.profiles):
        images, menus = [*_built(shelf, hub, index, problems), *_external(hub, profile)], list[Offer]()
        if hub.lists_options:
            images = [replace(one, group="") for one in images]
        else:
            images, menus = with_menus(images, profile.default, shelf.optioned)
        if hub.prefixed_keys:
            images = _numbered(images, past, profile, hub.source.at("profiles", index, "stacks"), problems)
        images = _with_default(images, profile, hub.source.at("profiles", index, "default"), problems)
        images = _with_previous(images) if profile.previous else images
        live = [*images, *menus, *_resources(hub, index)]
        found += [*live, *_aliases(hub, profile, live, past)]
    for profile, entry, position in _retired_profiles(hub):
        live = [one for one in found if one.profile == entry.successor and not one.retired]
        live = [replace(one, profile=profile.slug, retired=True, position=position) for one in live]
        found += [*live, *_aliases(hub, profile, live, past)]
    return tuple(found), tuple(problems)


def all_known(project: Project, graph: Graph, hub: Hub, emitted: Emitted | None) -> bool:
    """Whether each pattern of ``hub`` matches something, or did when it was last given something.

    Then no choice is missing only because a name is spelt wrong.
    """
    shelf, past = _Shelf.of(project, graph), emitted or Emitted()

    def was_there(profile: Profile, pattern: str) -> bool:
        stack, _, variant = pattern.partition("/")
        keys = [re.sub("^[0-9]{3,}-", "", key) for key in past.choices(profile.slug, IMAGE)]
        if variant in ("", "*"):
            return any(f"{key}-".startswith(f"{key_of(stack, None)}-") for key in keys)
        return key_of(stack, None if variant == "default" else variant) in keys

    return all(
        shelf.matching(pattern) or was_there(profile, pattern) for profile in hub.profiles for pattern in profile.stacks
    )


def built(offers: Sequence[Offer]) -> list[Offer]:
    """The stacks' variants among ``offers``, each where it stands first."""
    found: dict[str, Offer] = {}
    for one in offers:
        if one.stack:
            found.setdefault(one.id, one)
    return [*found.values()]


# --- what patterns mean ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Shelf:
    """What there is to offer: (stack, variant) → its image, in the graph's order; and which are drafts."""

    project: Project
    graph: Graph
    images: Mapping[tuple[str, str], Image]
    drafts: Mapping[str, str]

    @classmethod
    def of(cls, project: Project, graph: Graph) -> _Shelf:
        images: dict[tuple[str, str], Image] = {}
        for one in graph.images:  # of several platforms, the first
            images.setdefault((one.variant.stack, one.variant.name), one)
        return cls(project=project, graph=graph, images=images, drafts=drafts(project, graph))

    def matching(self, pattern: str) -> list[Image]:
        stack, _, variant = pattern.partition("/")
        names = [name for name in self.images if fnmatchcase(name[0], stack) and fnmatchcase(name[1], variant or "*")]
        return [self.images[name] for name in names]

    def optioned(self, name: str) -> Stack:
        """Whose options the variants of a stack differ in: its own, or those of the stack that it is a repository on."""
        stack = self.project.stacks[name]
        return stack if stack.repository is None else self.project.stacks[stack.repository.below]

    def title_parts(self, image: Image) -> tuple[tuple[str, Position], ...]:
        """The stack's title and a label for each axis of its matrix, each with the place that is to blame for it."""
        stack = self.project.stacks[image.variant.stack]
        layers = [self.graph.nodes[node].layer for node in self.graph.lineage[image.node]]
        variables = {name: one for layer in layers for name, one in self.project.layers[layer].variables.items()}
        axes = image.variant.axes.items()
        labels = ((_label(name, value, variables.get(name)), stack.source.at("matrix", name)) for name, value in axes)
        return ((stack.title, stack.source.at("title")), *labels)


def _built(shelf: _Shelf, hub: Hub, profile: int, problems: list[Problem]) -> Iterator[Offer]:
    """A variant that several patterns match stands where the first of them stands."""
    seen: dict[str, tuple[Image, Position]] = {}
    for index, pattern in enumerate(hub.profiles[profile].stacks):
        position = hub.source.at("profiles", profile, "stacks", index)
        matched = shelf.matching(pattern)
        ready = [image for image in matched if image.variant.id not in shelf.drafts]
        if not matched:
            problems.append(_unknown(pattern, list(shelf.images), position))
        elif not ready:
            problems.append(_draft(matched[0], shelf.drafts, position))
        for image in ready:
            seen.setdefault(image.variant.id, (image, position))
    for image, position in seen.values():
        yield _offer(shelf, image, hub.profiles[profile].slug, position)


def _offer(shelf: _Shelf, image: Image, profile: str, position: Position) -> Offer:
    variant = image.variant
    stack = shelf.project.stacks[variant.stack]
    several = bool(stack.matrix.axes or stack.matrix.include or variant.axes)  # a repository has those of its stack
    own = shelf.title_parts(image)
    parts = (*own, *label(shelf.optioned(stack.name), variant.chosen))
    return Offer(
        profile=profile,
        key=key_of(stack.name, variant.name if several or any(variant.chosen.values()) else None),
        title=", ".join(text for text, _ in parts),
        description=stack.description,
        stack=stack.name,
        variant=variant.name,
        position=position,
        texts=(*parts, (stack.description, stack.source.at("description"))),
        chosen=variant.chosen,
        group=key_of(stack.name, variant.point if several else None) if variant.chosen else "",
        group_title=", ".join(text for text, _ in own),
    )


def _label(name: str, value: Value, variable: Variable | None) -> str:
    """The labels of a list are those of its items."""
    choices = variable.choices if variable else {}
    items = value if isinstance(value, tuple) else (value_text(value),)
    shown = ", ".join(choices.get(item, item) for item in items)
    return shown if all(item in choices for item in items) else f"{name.replace('_', ' ')} {shown}"


def _external(hub: Hub, profile: Profile) -> Iterator[Offer]:
    for index, one in enumerate(hub.external):
        if one.profile == profile.slug:
            position = hub.source.at("external", index)
            yield Offer(
                profile=profile.slug,
                key=one.key,
                title=one.title,
                description=one.description,
                external=one.image,
                position=position,
                texts=((one.title, position), (one.description, position)),
            )


def _resources(hub: Hub, profile: int) -> Iterator[Offer]:
    """The first is the default where none is marked."""
    resources = hub.profiles[profile].resources
    default = next((one for one in resources if one.default), next(iter(resources), None))
    for index, one in enumerate(resources):
        position = hub.source.at("profiles", profile, "resources", index)
        yield Offer(
            profile=hub.profiles[profile].slug,
            option=RESOURCES,
            key=one.key,
            title=one.title,
            description=one.description,
            default=one is default,
            override=one.override,
            position=position,
            texts=((one.title, position), (one.description, position)),
        )


def _draft(image: Image, drafts: Mapping[str, str], position: Position) -> Problem:
    return Problem(
        position=position,
        what=f"{image.variant.id} is a draft ({drafts[image.variant.id]}), and no hub offers drafts",
        remedy="Remove it here, or remove `draft`.",
    )


def _unknown(pattern: str, names: Sequence[tuple[str, str]], position: Position) -> Problem:
    stack, _, variant = pattern.partition("/")
    variants = [name for owner, name in names if owner == stack]
    if variants:
        what = f"stack {quote(stack)} has no variant {quote(variant)}{did_you_mean(variant, variants)}"
        return Problem(position=position, what=what, remedy=f"Known: {_listed(variants)}.")
    stacks = list(dict.fromkeys(owner for owner, _ in names))
    if set("*?[") & set(pattern):
        what = f"{quote(pattern)} matches no stack and variant"
    else:
        what = f"unknown stack {quote(stack)}{did_you_mean(stack, stacks)}"
    return Problem(
        position=position, what=what, remedy=f"Known: {_listed(stacks)}." if stacks else "There are no stacks."
    )


def _listed(words: Sequence[str]) -> str:
    if len(words) <= _MANY:
        return enumerate_words(words, "and")
    return f"{', '.join(words[:_MANY])} and {len(words) - _MANY} more"


# --- keys, the default, and keys that were given up --------------------------------------------------------------------


def _numbered(
    live: Sequence[Offer], past: Emitted, profile: Profile, position: Position, problems: list[Problem]
) -> list[Offer]:
    known = past.choices(profile.slug, "image")
    given = numbers_given(sorted(known, key=lambda key: not known[key].retired))  # live ones last: they win
    keys = number_keys(list(dict.fromkeys(one.key for one in live)), given)
    if list(keys.values()) != sorted(keys.values(), key=lambda key: int(key.partition("-")[0])):
        problems.append(
            Problem(
                position=position,
                what=f"the launcher keeps the order {_listed(sorted(keys.values()))}, as keys are never renumbered",
                remedy="Put them into that order here, or choose other keys for this hub's chart: `keys: plain`.",
                severity=Severity.WARNING,
            )
        )
    return [replace(one, key=keys[one.key]) for one in live]


def _with_default(live: Sequence[Offer], profile: Profile, position: Position, problems: list[Problem]) -> list[Offer]:
    """With exactly one default where there is any offer: without it, Helm's order of keys would choose."""
    chosen = next((one for one in live if one.id == profile.default), None)
    if chosen is None and profile.default:
        problems.append(_no_default(live, profile, position))
    chosen = chosen or next(iter(live), None)
    return [replace(one, default=one is chosen) for one in live]


def _with_previous(live: Sequence[Offer]) -> list[Offer]:
    """Each stack's choice, and behind it the same as it was before: also where Helm sorts, for the key begins alike.

    Not one that options go with: what they choose there was other images before.
    """
    result: list[Offer] = []
    for one in live:
        title = f"{one.title}, previous"
        before = replace(one, key=f"{one.key}{PREVIOUS}", title=title, default=False, previous=True)
        result += [one, before] if one.stack and not one.group else [one]
    return result


def _no_default(live: Sequence[Offer], profile: Profile, position: Position) -> Problem:
    ids = [one.id for one in live]
    near = did_you_mean(profile.default, ids)
    return Problem(
        position=position,
        what=f"default {quote(profile.default)} is none of the choices of profile {quote(profile.slug)}{near}",
        remedy=f"Offered are {_listed(ids)}." if ids else "It has none.",
    )


def _aliases(hub: Hub, profile: Profile, live: Sequence[Offer], past: Emitted) -> Iterator[Offer]:
    """They can't be hidden, so forms show them last: without its key no server starts that was saved with it."""
    for index, retired in enumerate(hub.retired):
        successor = next((one for one in live if one.key == retired.successor and one.option != COMBINATION), None)
        if retired.profile != profile.slug or successor is None:
            continue
        known = past.choices(profile.slug, successor.option).get(retired.key)
        title = retired_title(known.own_title if known else retired.key, successor.title)
        until = f"Until {retired.until}" if retired.until else ""
        position = hub.source.at("retired", index)
        yield replace(
            successor,
            key=retired.key,
            title=title,
            description=until,
            default=False,
            retired=True,
            position=position,
            texts=((title, position), (until, position)),
        )


def retired_profiles(hub: Hub) -> tuple[Profile, ...]:
    """Profiles that are gone and that saved servers still name: each is its successor under the old slug, so that it
    gives no more than the successor does. They stand behind all others, since launchers can't hide any.
    """
    return tuple(profile for profile, _, _ in _retired_profiles(hub))


def _retired_profiles(hub: Hub) -> Iterator[tuple[Profile, Retired, Position]]:
    profiles = {profile.slug: profile for profile in hub.profiles}
    for index, entry in enumerate(hub.retired):
        if not entry.key:
            successor = profiles[entry.successor]
            title = retired_title(entry.profile, successor.title)
            until = f"Until {entry.until}" if entry.until else ""
            profile = replace(successor, slug=entry.profile, title=title, description=until)
            yield profile, entry, hub.source.at("retired", index)
