"""``hubstack site``, and what it has in common with ``hubstack where``: reading what is published."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubstack.cli.invocation import Invocation, echo_json, examples, json_option, show_warnings
from hubstack.errors import HubstackError, Problem, Severity, UsageError
from hubstack.model import Graph, Project
from hubstack.reference import ImageRef

if TYPE_CHECKING:
    from hubstack.catalogue.change import Since
    from hubstack.catalogue.entry import Entry
    from hubstack.catalogue.origin import Lists
    from hubstack.catalogue.reading import Published, Reading, Wanted
    from hubstack.hub.configmap import Emitted
    from hubstack.hub.permalink import Contents


@click.command(
    "site",
    epilog=examples(
        "hubstack site --output dist/site    open dist/site/index.html, or let any web server serve the folder",
        "hubstack site --output dist/course --contents https://example.org/course.git#main:intro.ipynb",
    ),
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    required=True,
    help="Where the pages go. What an earlier run wrote there and is no longer needed is removed; nothing else is.",
)
@click.option(
    "--contents",
    metavar="URL[#BRANCH][:PATH]",
    help="A git repository that links open in JupyterLab, where an image has nbgitpuller.",
)
@json_option
@click.pass_obj
def command(invocation: Invocation, output: Path, contents: str | None, as_json: bool) -> None:
    """Write the catalogue of the published images: static pages, to be searched for packages.

    Each image with its packages and versions, where they come from, its full name, what has changed, and for each hub
    that offers it a link that opens the launcher with that choice made.
    """
    from hubstack.catalogue.folder import write_site
    from hubstack.catalogue.page import Site, render_site

    found = read_entries(invocation, contents=parse_contents(contents) if contents else None, compare=True)
    project, graph = invocation.project, _graph(invocation)
    site = Site(project=project, graph=graph, entries=found, registry=str(invocation.names.prefix))
    files = render_site(site)
    result = write_site(output, files)
    for hub in sorted({start.hub for entry in found for start in entry.starts} - site.addresses):
        position = project.hubs[hub].source.at("hub")
        what = f"{hub} has no address, so its links work on its own host alone"
        show_warnings(
            [
                Problem(
                    position=position, what=what, remedy="Write `hub: {url: https://HOST}`.", severity=Severity.WARNING
                )
            ]
        )
    if as_json:
        echo_json({"format": 1, "images": len(found), "written": result.written, "removed": result.removed})
        return
    changed = f"{len(result.written)} written, {len(result.removed)} removed"
    click.echo(f"{output / 'index.html'}: {len(found)} images, {len(files)} files ({changed})")
    for path in result.kept:
        click.echo(f"{output / path}: no longer needed, but changed since it was written: left alone", err=True)


def parse_contents(text: str) -> Contents:
    """``URL[#BRANCH][:PATH]``. Raises UsageError."""
    from hubstack.hub.permalink import Contents
    from hubstack.spelling import quote

    match = re.fullmatch(r"(?P<url>https?://[^\s#]+?)(?:#(?P<branch>[^\s:]*))?(?::(?P<path>[^\s/:0-9][^\s:]*))?", text)
    if match is None:
        raise UsageError(
            f"--contents {quote(text)} is no address of a git repository",
            hint="For example https://github.com/OWNER/NAME#main:notebooks/intro.ipynb.",
        )
    return Contents(repository=match["url"], branch=match["branch"] or "", path=match["path"] or "")


# --- what is published -----------------------------------------------------------------------------------------------------


def read_entries(
    invocation: Invocation, *, contents: Contents | None = None, compare: bool = False
) -> tuple[Entry, ...]:
    """What is published of the project; with ``compare`` also what has changed. Raises HubstackError if there is nothing."""
    from hubstack.catalogue.entry import Shop, entries
    from hubstack.catalogue.reading import Reading
    from hubstack.hub.configmap import load_emitted

    project, graph = invocation.project, _graph(invocation)
    emitted = {hub.name: past for hub in project.hubs.values() if (past := load_emitted(invocation.root, hub))}
    reading = Reading(registry=invocation.connect(), names=invocation.names)
    published = reading.published(wanted(project, graph, emitted))
    changes = _changes(reading, published, emitted) if compare else {}
    addresses = {hub.name: hub.installation.url for hub in project.hubs.values()}
    shop = Shop(project=project, graph=graph, emitted=emitted, addresses=addresses, contents=contents)
    found = entries(shop, published, _lists(invocation, graph, published), changes)
    if not published and not (compare and found):
        raise HubstackError(
            f"nothing is published in {invocation.names.prefix} that this project's channels name",
            hint="`hubstack build --push` publishes; `hubstack --registry HOST/PREFIX` asks another registry.",
        )
    return found


def _graph(invocation: Invocation) -> Graph:
    from hubstack.graph import resolve

    return resolve(invocation.project)


def wanted(project: Project, graph: Graph, emitted: Mapping[str, Emitted]) -> Iterator[Wanted]:
    """Every variant, in the project's order; behind the project's channels, and those that its hubs follow."""
    from hubstack.catalogue.reading import Wanted

    followed = [hub.follow for hub in project.hubs.values() if not hub.promoted_from]
    channels = tuple(dict.fromkeys((*project.settings.channels, *followed)))
    given = _given(project, graph, emitted)
    for stack, variant in dict.fromkeys((image.variant.stack, image.variant.name) for image in graph.images):
        yield Wanted(stack=stack, variant=variant, channels=channels, given=given.get((stack, variant), {}))


def _given(
    project: Project, graph: Graph, emitted: Mapping[str, Emitted]
) -> Mapping[tuple[str, str], Mapping[str, ImageRef]]:
    """What hubs have that follow no channel: for each (stack, variant) and hub the image that it was last given."""
    from hubstack.hub.choice import resolve_offers
    from hubstack.hub.menu import IMAGE

    found: dict[tuple[str, str], dict[str, ImageRef]] = {}
    for hub in project.hubs.values():
        if not hub.promoted_from or hub.name not in emitted:
            continue
        for offer in resolve_offers(project, graph, hub, emitted[hub.name])[0]:
            past = emitted[hub.name].choices(offer.profile, IMAGE).get(offer.key)
            if offer.stack and past is not None and past.image and not (offer.retired or offer.previous):
                found.setdefault((offer.stack, offer.variant), {})[hub.name] = ImageRef.parse(past.image)
    return found


def _changes(
    reading: Reading, published: Sequence[Published], emitted: Mapping[str, Emitted]
) -> Mapping[ImageRef, Since]:
    from hubstack.catalogue.change import previous, since

    offered = {
        ImageRef.parse(past.image).tag
        for one in emitted.values()
        for options in one.profiles.values()
        for choices in options.values()
        for past in choices.values()
        if past.image
    }
    found: dict[ImageRef, Since] = {}
    for image in published:
        if (record := image.record) is not None and record.packages:
            tags = reading.others(image)
            others = reading.records(offered.intersection(tags)) or reading.records(tags)
            if tag := previous(record, others):
                found[image.ref] = since(others[tag], record, tag)
    return found


def _lists(invocation: Invocation, graph: Graph, published: Sequence[Published]) -> Mapping[str, Lists]:
    """What the layers of the tree ask for by name, of the nodes that stand in what is published."""
    from hubstack.catalogue.origin import lists
    from hubstack.graph.select import Selection
    from hubstack.pipeline import demand, prepare_nodes

    nodes = {record.node for image in published for record in image.lineage}.intersection(graph.nodes)
    selection = Selection(nodes=tuple(node for node in graph.nodes if node in nodes), images=())
    inputs = prepare_nodes(invocation.project, invocation.lock, graph, selection)
    asked = demand(invocation.project, graph).inputs
    return {
        node: lists(rendered, asked[node].lines if node in asked else ())
        for node, rendered in inputs.rendered.items()
        if node in nodes
    }
