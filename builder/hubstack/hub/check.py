"""What can be wrong with hubs and shows only when stacks and hubs are seen together.

Each rule keeps off something that breaks on a JupyterHub. What a hub's file shows by itself, ``files.hub`` finds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from hubstack.errors import Problem, Severity
from hubstack.hub.choice import all_known, resolve_offers, retired_profiles
from hubstack.hub.combination import fits
from hubstack.hub.configmap import Emitted, render_configmap, size_problems
from hubstack.hub.expression import expression_faults, is_image_prefix
from hubstack.hub.key import LABEL_LENGTH, key_fault, puller_name
from hubstack.hub.menu import COMBINATION, IMAGE, Offer
from hubstack.hub.profiles import values
from hubstack.hub.retired import retired_problems, vanished, vanished_problems
from hubstack.model import Graph, Project
from hubstack.names import Names
from hubstack.offer import Hub
from hubstack.reference import Digest, Fingerprint, ImageRef
from hubstack.source import Position
from hubstack.spelling import CONTROL, did_you_mean, enumerate_words, quote

MANY_CHOICES = 12
LONG_DESCRIPTION = 55
"""Characters that fancy-profiles shows of a choice's description, on one line."""

_MARKUP = re.compile("[<>{}]")
_STAND_IN = "0" * 64


def check_hubs(project: Project, graph: Graph, emitted: Mapping[str, Emitted] | None = None) -> list[Problem]:
    """Errors and warnings. ``emitted``: what each hub (by name) was last given; no key may vanish from it unsaid."""
    problems = list(_same_configmap(project.hubs.values()))
    for hub in project.hubs.values():
        problems += _hub_problems(project, graph, hub, (emitted or {}).get(hub.name))
    return list(dict.fromkeys(problems))


def check_hub(project: Project, graph: Graph, hub: Hub, emitted: Emitted | None) -> list[Problem]:
    """The same of one hub: its faults also where they stand in other files, and its own file's warnings."""
    here = hub.source.path
    shared = [one for one in _same_configmap(project.hubs.values()) if one.position.path == here]
    problems = _hub_problems(project, graph, hub, emitted)
    return list(dict.fromkeys([*shared, *(one for one in problems if _is_error(one) or one.position.path == here)]))


def _hub_problems(project: Project, graph: Graph, hub: Hub, emitted: Emitted | None) -> list[Problem]:
    offers, unresolved = resolve_offers(project, graph, hub, emitted)
    problems = [
        *_channel_problems(hub, project.settings.channels),
        *_promotion_problems(hub, project.hubs),
        *_withdrawn_problems(hub),
        *unresolved,
        *_choice_problems(hub, offers),
        *_expression_problems(hub),
    ]
    if all_known(project, graph, hub, emitted):  # what is only spelt wrong there would be missed here
        problems += retired_problems(hub, offers)
        problems += vanished_problems(hub, vanished(hub, offers, emitted or Emitted()))
    if not any(map(_is_error, problems)):
        problems += _size_problems(project, hub, offers)
    return problems


def release_problems(hub: Hub, offers: Iterable[Offer], releases: Mapping[tuple[str, str], str]) -> Iterator[Problem]:
    """Choices with another major release of JupyterHub than the hub's own, with which a server may not get on.

    ``releases``: (stack, variant) → the locked version of ``jupyterhub`` in its image; of the others nothing is known.
    """
    for one in {offer.id: offer for offer in offers}.values():
        release = releases.get((one.stack, one.variant), "")
        if hub.jupyterhub and release and _major(release) != _major(hub.jupyterhub):
            yield Problem(
                position=hub.source.at("hub", "jupyterhub"),
                what=f"{one.id} brings JupyterHub {release}, and this hub runs {hub.jupyterhub}",
                remedy="Lock the hub's release in that stack, or correct this line.",
                severity=Severity.WARNING,
            )


def _major(release: str) -> str:
    return release.partition(".")[0]


def _is_error(problem: Problem) -> bool:
    return problem.severity is Severity.ERROR


def _same_configmap(hubs: Iterable[Hub]) -> Iterator[Problem]:
    first: dict[tuple[str, str], Hub] = {}
    for hub in hubs:
        other = first.setdefault((hub.namespace, hub.configmap), hub)
        if other is not hub:
            yield Problem(
                position=hub.source.at("configmap"),
                what=f"hub {quote(other.name)} has the ConfigMap {hub.configmap} in namespace {hub.namespace}, too",
                remedy="Give one of them another name.",
            )


def _channel_problems(hub: Hub, channels: Sequence[str]) -> Iterator[Problem]:
    """A hub may stay on an old channel, which has a date in its name; without a digit it is a word spelt wrong."""
    if hub.follow not in channels and not re.search("[0-9]", hub.follow):
        yield Problem(
            position=hub.source.at("follow"),
            what=f"unknown channel {quote(hub.follow)}{did_you_mean(hub.follow, channels)}",
            remedy=f"hubstack.yaml has {enumerate_words(channels, 'and')}.",
        )


def _promotion_problems(hub: Hub, hubs: Mapping[str, Hub]) -> Iterator[Problem]:
    position = hub.source.at("promoted_from")
    seen, source = {hub.name}, hub.promoted_from
    if source and source not in hubs:
        what = f"unknown hub {quote(source)}{did_you_mean(source, hubs)}"
        yield Problem(position=position, what=what, remedy=f"There are {enumerate_words(hubs, 'and')}.")
    while source in hubs:
        if source in seen:
            what = "this hub's images come from itself" if source == hub.name else f"{quote(source)} is in a circle"
            yield Problem(position=position, what=what, remedy="Let one hub follow a channel.")
            return
        seen.add(source)
        source = hubs[source].promoted_from


def _withdrawn_problems(hub: Hub) -> Iterator[Problem]:
    """Of what the files name. What the registry names, ``hub.pull`` compares."""
    withdrawn = {one.digest: one for one in hub.withdrawn}
    for index, one in enumerate(hub.external):
        if one.image.digest in withdrawn:
            entry = withdrawn[one.image.digest]
            yield Problem(
                position=hub.source.at("external", index, "image"),
                what=f"{one.image} is withdrawn ({entry.position}: {entry.reason})",
                remedy="Name another image, or retire the choice.",
            )


# --- choices -----------------------------------------------------------------------------------------------------------


def _choice_problems(hub: Hub, offers: tuple[Offer, ...]) -> Iterator[Problem]:
    numbers = {
        profile.slug: index for index, profile in reversed(list(enumerate((*hub.profiles, *retired_profiles(hub)))))
    }
    live = [one for one in offers if not one.retired]
    for one in offers:
        yield from _key_problems(one, numbers[one.profile])
        for text, position in one.texts:
            yield from _text_problems(text, position)
    for one in live:
        if len(one.description) > LONG_DESCRIPTION:
            yield Problem(
                position=one.texts[-1][1],
                what=f"the description has {len(one.description)} characters; launchers show about {LONG_DESCRIPTION}",
                remedy="Shorten it.",
                severity=Severity.WARNING,
            )
    for first, second in _pairs(offers, lambda one: one.key):
        yield _collision(first, second)
    for first, second in _pairs(live, lambda one: one.title):
        yield Problem(
            position=second.position,
            what=f"{first.id} and {second.id} are both shown as {quote(second.title)}",
            remedy="Give the values labels that differ (`choices` of the variable), or the stacks other titles.",
            severity=Severity.WARNING,
        )
    yield from _preset_problems(hub, offers)
    shown = [one for one in live if one.option != COMBINATION]
    for (profile, option), count in Counter((one.profile, one.option) for one in shown).items():
        if count > MANY_CHOICES:
            yield Problem(
                position=next(one.position for one in live if (one.profile, one.option) == (profile, option)),
                what=f"profile {quote(profile)} has {count} choices of {option}, and menus show about four at once",
                remedy="Offer fewer, or make another profile of some.",
                severity=Severity.WARNING,
            )


def _preset_problems(hub: Hub, offers: Sequence[Offer]) -> Iterator[Problem]:
    """A choice of the image that doesn't start as the launcher shows it first, before anybody has used a menu."""
    for profile in hub.profiles:
        live = [one for one in offers if one.profile == profile.slug and not one.retired]
        menus = [one for one in live if one.menu and one.default]
        preset = {name: layers for menu in menus for name, layers in menu.chosen.items()}
        for image in (one for one in live if one.option == IMAGE and one.group):
            members = (one for one in live if one.option == COMBINATION and one.group == image.group)
            if not any(fits(one, preset) for one in members):
                chosen = ", ".join(f"{menu.menu}: {menu.title}" for menu in menus if menu.option in image.chosen)
                yield Problem(
                    position=image.position,
                    what=f"{image.title} does not start as the menus of profile {quote(profile.slug)} have chosen "
                    f"beforehand ({chosen})",
                    remedy="Choose another `default:`, offer that combination, or make another profile of it.",
                    severity=Severity.WARNING,
                )


def _pairs(offers: Iterable[Offer], same: Callable[[Offer], str]) -> Iterator[tuple[Offer, Offer]]:
    """Each offer that equals an earlier one of its menu, behind the first of those."""
    first: dict[tuple[str, str, str], Offer] = {}
    for one in offers:
        if (other := first.setdefault((one.profile, one.option, same(one)), one)) is not one:
            yield other, one


def _key_problems(offer: Offer, profile: int) -> Iterator[Problem]:
    source = f"the key of {offer.id}, {quote(offer.key)}," if offer.stack else f"the key {quote(offer.key)}"
    if fault := key_fault(offer.key):
        yield Problem(position=offer.position, what=f"{source} {fault}", remedy="Rename it.")
    name = puller_name(profile, offer.option, offer.key)
    if offer.option == IMAGE and len(name) > LABEL_LENGTH:
        over = len(name) - LABEL_LENGTH
        yield Problem(
            position=offer.position,
            what=f"{source} is {over} characters too long: the image puller's container {name} "
            f"would have {len(name)}, and Kubernetes takes {LABEL_LENGTH}",
            remedy="Shorten the names of the stack and of the matrix's values."
            if not any(offer.chosen.values())
            else "Shorten the layers' names, offer fewer combinations, or let menus choose them: `options: menus`.",
        )


def _collision(first: Offer, second: Offer) -> Problem:
    names = (first.id, second.id) if first.id != second.id else (quote(first.title), quote(second.title))
    what = f"{' and '.join(names)} have the same key {quote(second.key)} in profile {quote(second.profile)}"
    remedy = "Rename one."
    if second.retired:
        what, remedy = f"the retired key {quote(second.key)} is still offered", "Remove this entry."
    return Problem(position=second.position, what=what, remedy=remedy)


def _text_problems(text: str, position: Position) -> Iterator[Problem]:
    """The plain form writes texts into the page as they are, and KubeSpawner runs ``str.format`` over others."""
    if match := CONTROL.search(text) or _MARKUP.search(text):
        yield Problem(
            position=position,
            what=f"{quote(text)} holds {quote(match[0])}, which launchers take for markup or a template",
            remedy="Use words.",
        )


def _expression_problems(hub: Hub) -> Iterator[Problem]:
    built = any(profile.build for profile in hub.profiles)
    prefix_is_good = not hub.image_prefix or is_image_prefix(hub.image_prefix)
    if not prefix_is_good:
        yield Problem(
            position=hub.source.at("hub", "image_prefix"),
            what=f"no image's name begins with {quote(hub.image_prefix)}",
            remedy="Write BinderHub's image_prefix, as registry.example/team/hub-.",
        )
    if hub.unlisted_regex:
        position = hub.source.at("unlisted_regex")
        for fault, remedy in expression_faults(
            hub.unlisted_regex, image_prefix=hub.image_prefix, built=built and prefix_is_good
        ):
            yield Problem(position=position, what=f"the regular expression {fault}", remedy=remedy)


def _size_problems(project: Project, hub: Hub, offers: tuple[Offer, ...]) -> tuple[Problem, ...]:
    """With made-up digests, which are as long as real ones."""
    registry = project.settings.registry or ImageRef(host="registry.example", repository="hubstack")
    names = Names.of(replace(project.settings, registry=registry))
    digest = Digest(f"sha256:{_STAND_IN}")
    images = {
        (one.stack, one.variant): names.published(one.stack, one.variant, Fingerprint(_STAND_IN)).with_digest(digest)
        for one in offers
        if one.stack
    }
    return size_problems(hub, render_configmap(hub, values(hub, offers, images)))
