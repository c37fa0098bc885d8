"""An image as people look at it: what it is called, what is in it, where it came from, and which hubs start it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hubstack.catalogue.change import Since
from hubstack.catalogue.origin import Lists, Origin, Origins, layer_of, pins
from hubstack.catalogue.reading import Published
from hubstack.graph import drafts
from hubstack.hub import permalink
from hubstack.hub.choice import resolve_offers
from hubstack.hub.combination import menu_key
from hubstack.hub.configmap import Emitted
from hubstack.hub.menu import COMBINATION, IMAGE, RESOURCES, Offer
from hubstack.model import Graph, Project
from hubstack.offer import Hub, Profile
from hubstack.record import Record, is_merge
from hubstack.reference import ImageRef
from hubstack.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    manager: str
    name: str
    version: str
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A hub's choice of this image."""

    hub: str
    profile: str  # its slug
    title: str  # of the profile
    key: str
    default: bool
    groups: tuple[str, ...]
    launcher: str  # addresses; see permalink
    login: str
    contents: str  # the same with a repository to open; empty where that was not asked for or can't be done


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A layer of an image, and what it stands for there."""

    layer: str
    summary: str
    epoch: str  # of its last refresh; empty: none of its own
    pins: int  # Python packages in its slice of the lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """``stack`` is empty for an image that hubs offer and nobody builds here: of that nothing more is known."""

    stack: str
    variant: str
    title: str
    description: str
    draft: str
    withdrawn: str  # why no hub offers it any more; empty: nobody has said so
    channels: tuple[str, ...]
    first: bool  # of its (stack, variant); other channels may name other images
    ref: ImageRef
    platforms: tuple[str, ...] = ()
    record: Record | None = None
    layers: tuple[Brought, ...] = ()
    packages: tuple[Package, ...] = ()
    starts: tuple[Start, ...] = ()
    since: Since | None = None

    @property
    def id(self) -> str:
        return f"{self.stack}/{self.variant}" if self.stack else str(self.ref)

    @property
    def as_of(self) -> str:
        """The newest epoch of its layers: packages that nobody pins are as they were that day."""
        return max((one.epoch for one in self.layers), default="")


@dataclass(frozen=True, kw_only=True)
class Shop:
    """What the hubs of a project offer, and where they are."""

    project: Project
    graph: Graph
    emitted: Mapping[str, Emitted]  # by hub
    addresses: Mapping[str, str]  # by hub; without one its links are for pages on its own host
    contents: permalink.Contents | None = None

    def offers(self) -> list[tuple[Hub, Offer]]:
        """Every choice of every hub, but for what is retired or the previous one: for those nobody needs a link."""
        return [
            (hub, offer)
            for hub in self.project.hubs.values()
            for offer in resolve_offers(self.project, self.graph, hub, self.emitted.get(hub.name))[0]
            if not (offer.retired or offer.previous)
        ]

    def start(self, hub: Hub, offer: Offer, resources: str, *, opens: bool) -> Start:
        profile = next(one for one in hub.profiles if one.slug == offer.profile)
        image = offer.group if offer.option == COMBINATION else offer.key
        chosen = {name: menu_key(name, layers) for name, layers in offer.chosen.items() if offer.group}
        config = permalink.choice(offer.profile, image, resources, chosen)
        address = self.addresses.get(hub.name, "")
        return Start(
            hub=hub.name,
            profile=profile.slug,
            title=profile.title,
            key=offer.key,
            default=offer.default,
            groups=profile.groups,
            launcher=permalink.launcher(address, config),
            login=permalink.through_login(address, config),
            contents=permalink.through_login(address, config, self.contents) if self.contents and opens else "",
        )


def entries(
    shop: Shop, published: Sequence[Published], lists: Mapping[str, Lists], changes: Mapping[ImageRef, Since]
) -> tuple[Entry, ...]:
    """In the order in which the hubs offer them; then the others, in the order of ``published``."""
    titles, reasons, offers = _titles(shop), drafts(shop.project, shop.graph), shop.offers()
    found: list[Entry] = []
    seen: set[tuple[str, str]] = set()
    for image in published:
        name = (image.stack, image.variant)
        stack = shop.project.stacks[image.stack]
        origins = Origins.of(image.lineage, lists)
        found.append(
            Entry(
                stack=image.stack,
                variant=image.variant,
                title=titles.get(name, f"{stack.title}, {image.variant}"),
                description=stack.description,
                draft=reasons.get(f"{image.stack}/{image.variant}", ""),
                withdrawn=_withdrawn(shop.project, image.ref),
                channels=image.channels,
                first=name not in seen,
                ref=image.ref,
                platforms=image.platforms,
                record=image.record,
                layers=tuple(_brought(shop.project, one) for one in image.lineage if not is_merge(one)),
                packages=tuple(_packages(image.record, origins)),
                starts=tuple(_starts(shop, offers, image)),
                since=changes.get(image.ref),
            )
        )
        seen.add(name)
    places = {(hub.name, offer.profile, offer.key): number for number, (hub, offer) in enumerate(offers)}

    def place(entry: Entry) -> int:
        return min((places[one.hub, one.profile, one.key] for one in entry.starts), default=len(places))

    return tuple(sorted((*found, *_external(shop, offers)), key=place))


def _titles(shop: Shop) -> Mapping[tuple[str, str], str]:
    """As a launcher would show them, also of what no hub offers."""
    everything = Profile(slug="all", title="all", stacks=("*",))
    hub = Hub(name="", configmap="", namespace="", profiles=(everything,), source=Source(path=""))
    return {(one.stack, one.variant): one.title for one in resolve_offers(shop.project, shop.graph, hub)[0]}


def _packages(record: Record | None, origins: Origins) -> Iterator[Package]:
    for manager, packages in record.packages.items() if record else ():
        for name in sorted(packages, key=lambda name: (name.lower(), name)):
            origin = origins.find(manager, name, packages[name])
            yield Package(manager=manager, name=name, version=packages[name], origin=origin)


def _brought(project: Project, record: Record) -> Brought:
    layer = layer_of(record)
    return Brought(
        layer=layer,
        summary=project.layers[layer].summary if layer in project.layers else "",
        epoch=next((fact.value for fact in record.facts if fact.kind == "epoch"), ""),
        pins=len(pins(record)),
    )


def _starts(shop: Shop, offers: Sequence[tuple[Hub, Offer]], image: Published) -> Iterator[Start]:
    opens = bool(image.record and "nbgitpuller" in image.record.packages.get("python", {}))
    sizes = _default_sizes(offers)
    for hub, offer in offers:
        choosable = offer.option == (COMBINATION if offer.group else IMAGE)
        if choosable and (offer.stack, offer.variant) == (image.stack, image.variant) and _has(hub, image):
            yield shop.start(hub, offer, sizes.get((hub.name, offer.profile), ""), opens=opens)


def _has(hub: Hub, image: Published) -> bool:
    """Whether this is the image that the hub's choice names, or will when its ConfigMap is written."""
    if any(one.digest == image.ref.digest for one in hub.withdrawn):
        return False
    return hub.name in image.given if hub.promoted_from else hub.follow in image.channels


def _withdrawn(project: Project, ref: ImageRef) -> str:
    reasons = [one.reason for hub in project.hubs.values() for one in hub.withdrawn if one.digest == ref.digest]
    return next(iter(reasons), "")


def _default_sizes(offers: Sequence[tuple[Hub, Offer]]) -> Mapping[tuple[str, str], str]:
    """The key of each profile's default resources."""
    return {
        (hub.name, offer.profile): offer.key for hub, offer in offers if offer.option == RESOURCES and offer.default
    }


def _external(shop: Shop, offers: Sequence[tuple[Hub, Offer]]) -> Iterator[Entry]:
    sizes = _default_sizes(offers)
    groups: dict[ImageRef, list[tuple[Hub, Offer]]] = {}
    for hub, offer in offers:
        if offer.external is not None:
            groups.setdefault(offer.external, []).append((hub, offer))
    for ref, some in groups.items():
        first = some[0][1]
        yield Entry(
            stack="",
            variant="",
            title=first.title,
            description=first.description,
            draft="",
            withdrawn=_withdrawn(shop.project, ref),
            channels=(),
            first=True,
            ref=ref,
            starts=tuple(
                shop.start(hub, offer, sizes.get((hub.name, offer.profile), ""), opens=False) for hub, offer in some
            ),
        )
