"""Images that one hub takes over from another: what has run on the one is given, digest by digest, to the other."""

from __future__ import annotations

from collections.abc import Sequence

from hubstack.errors import Problem, ProjectError
from hubstack.hub.choice import built
from hubstack.hub.configmap import EMITTED, Emitted
from hubstack.hub.menu import COMBINATION, IMAGE, Offer
from hubstack.hub.profiles import Images
from hubstack.names import Names
from hubstack.offer import Hub
from hubstack.reference import Fingerprint, ImageRef

_STAND_IN = Fingerprint("0" * 64)


def images_given(emitted: Emitted, names: Names, offers: Sequence[Offer]) -> dict[tuple[str, str], ImageRef]:
    """(stack, variant) → the image that a ConfigMap names for it, for those of ``offers`` that it has.

    Stacks are known by their images' names, for two hubs may have given one stack different keys.
    """
    there: dict[tuple[str, str, str], ImageRef] = {}
    for options in emitted.profiles.values():
        for past in (*options.get(IMAGE, {}).values(), *options.get(COMBINATION, {}).values()):
            if past.image and not past.previous and not past.retired:
                ref = ImageRef.parse(past.image)
                there.setdefault(_name(ref), ref)
    published = {(one.stack, one.variant): names.published(one.stack, one.variant, _STAND_IN) for one in built(offers)}
    return {place: there[_name(name)] for place, name in published.items() if _name(name) in there}


def _name(ref: ImageRef) -> tuple[str, str, str]:
    """Without what tells one fingerprint's image from another's."""
    return ref.host, ref.repository, ref.tag[: -len(_STAND_IN.short)]


def promoted_images(
    hub: Hub, offers: Sequence[Offer], names: Names, given: Emitted | None, source: str, *, anew: bool
) -> Images:
    """The images that ``hub`` has from the hub ``source``, of ``given``: with ``anew`` that one's ConfigMap, else its own.

    Raises ProjectError with every stack that it offers and was not given.
    """
    images = images_given(given or Emitted(), names, offers)
    promote = f"`hubstack profiles --promote {source} {hub.name}`"
    problems = []
    for one in built(offers):
        if (one.stack, one.variant) in images:
            continue
        what, remedy = f"{hub.name} was not given {one.id} yet", f"{promote} gives it what {source} has."
        if anew:
            what = f"{source} does not offer {one.id}: it is not in {EMITTED}/{source}.yaml"
            remedy = f"Offer it there first (`hubstack profiles {source}`), or remove it here."
        problems.append(Problem(position=one.position, what=what, remedy=remedy))
    if problems:
        raise ProjectError(problems)
    return images
