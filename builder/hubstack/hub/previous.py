"""Which image a stack had before its last change, as far as people were given it.

The memory is the hub's emitted ConfigMap: what a choice names there and does not name now is its previous image, and as
long as nothing changes the previous one stays. So the same registry and the same memory give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from hubstack.hub.configmap import Emitted, Past, retired_title
from hubstack.hub.menu import PREVIOUS, Offer
from hubstack.hub.profiles import Images, image_of
from hubstack.reference import ImageRef

Ask: TypeAlias = Callable[[Iterable[ImageRef]], frozenset[ImageRef]]
"""Those of some images that may be offered: still there for the hub, and not withdrawn."""


def settle_previous(offers: Sequence[Offer], images: Images, emitted: Emitted | None, usable: Ask) -> tuple[Offer, ...]:
    """``offers``, each previous one with its image.

    Where the image before the last change can't be offered, it is the one before that, if people had it. Where there is
    none, the offer is left out, unless its key was given out already: then it starts the stack's present image, for a
    key never vanishes.
    """
    past, opened = emitted or Emitted(), [one for one in offers if one.previous and not one.retired]
    wanted = {_place(one): tuple(_candidates(one, images, past)) for one in opened}
    asked = dict.fromkeys(ref for refs in wanted.values() for ref in refs)
    good = usable(asked) if asked else frozenset()
    settled: dict[tuple[str, str], Offer] = {}
    for one in opened:
        ref = next((ref for ref in wanted[_place(one)] if ref in good), None)
        if ref is not None:
            settled[_place(one)] = replace(one, external=ref)
        elif one.key in past.choices(one.profile, one.option):
            settled[_place(one)] = replace(one, title=_without_image(one, offers))
    return tuple(_all_settled(offers, opened, settled))


def _place(offer: Offer) -> tuple[str, str]:
    return offer.profile, offer.key


def _candidates(offer: Offer, images: Images, past: Emitted) -> Iterator[ImageRef]:
    """The newest first. None from another repository: then the registry has moved, or the name means something else."""
    now, known = image_of(offer, images), past.choices(offer.profile, offer.option)
    for key in (offer.key.removesuffix(PREVIOUS), offer.key):
        choice = known.get(key, Past(title=""))
        if choice.image and not choice.retired:
            ref = ImageRef.parse(choice.image)
            if (ref.host, ref.repository) == (now.host, now.repository) and ref.digest != now.digest:
                yield ref


def _without_image(offer: Offer, offers: Sequence[Offer]) -> str:
    key = offer.key.removesuffix(PREVIOUS)
    return retired_title(offer.title, next(one.title for one in offers if _place(one) == (offer.profile, key)))


def _all_settled(
    offers: Sequence[Offer], opened: Sequence[Offer], settled: Mapping[tuple[str, str], Offer]
) -> Iterator[Offer]:
    """Aliases follow what they are aliases of: a retired choice, and a retired profile's copies of its successor's."""
    for one in offers:
        if not one.previous:
            yield one
        elif not one.retired:
            yield from [settled[_place(one)]] if _place(one) in settled else []
        else:
            same = [source for source in opened if (source.stack, source.variant) == (one.stack, one.variant)]
            same.sort(key=lambda source: source.profile != one.profile)
            found = next((settled[_place(source)] for source in same if _place(source) in settled), None)
            if found is not None or all(source.key != one.key for source in same):
                yield replace(one, external=found.external if found else None)
