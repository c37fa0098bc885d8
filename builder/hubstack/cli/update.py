"""``hubstack update``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING

import click

from hubstack.cli.invocation import LOCK, Invocation, echo_json, examples, json_option, show_warnings

if TYPE_CHECKING:
    from hubstack.model import Graph


@click.command(
    "update",
    epilog=examples(
        "hubstack update                         everything, as far as requirements allow",
        "hubstack update --only layer:dask       what one layer newly asks for; the rest stays",
        "hubstack update --only numpy            one package, in every layer that has it",
        "hubstack update --only epochs           let layers with `refresh:` be built again",
        "hubstack update --only repositories     new commits of the repositories that stacks prebuild",
        "hubstack update --only debian           what apt would install now",
        "hubstack update --only ids              users and groups that built layers were seen to make",
    ),
)
@click.option(
    "--only",
    multiple=True,
    metavar="WHAT",
    help="python, images, epochs, repositories, debian, ids, PACKAGE, layer:NAME or repository:STACK. Repeatable.",
)
@click.option("--today", metavar="DATE", type=click.DateTime(["%Y-%m-%d"]), help="For epochs, instead of the clock.")
@json_option
@click.pass_obj
def command(invocation: Invocation, only: tuple[str, ...], today: datetime | None, as_json: bool) -> None:
    """Refresh hubstack.lock: Python and Debian packages, upstream images, refresh epochs, commits of prebuilt
    repositories, and the ids of users and groups.

    The only verb that reads a clock, an index, an archive or what a branch is now. Review the table that it prints, then commit the lock.
    """
    from hubstack import command as process
    from hubstack.graph import resolve
    from hubstack.hub.configmap import write_if_changed
    from hubstack.lock import pins_for, read_lock, render_lock
    from hubstack.lock.change import changes, changes_json, changes_table, holders
    from hubstack.lock.update import Outside, update
    from hubstack.pipeline import debian_demand, demand
    from hubstack.reference import Digest, ImageRef
    from hubstack.repository.checkout import find_commit

    path = invocation.root / LOCK
    old = read_lock(path, edited=not only)  # a part of it would make the rest look sound
    project = invocation.project
    graph = resolve(project)
    asked = replace(demand(project, graph), debian=debian_demand(project, graph))

    def resolve_image(ref: ImageRef) -> Digest | None:
        return invocation.client(ref.host).head(ref)

    bundle = {"SSL_CERT_FILE": str(invocation.ca_bundle)} if invocation.ca_bundle else {}
    updated = update(
        asked,
        old,
        Outside(
            today=today.date() if today else date.today(),  # noqa: DTZ011, TID251 - the one verb that reads a clock
            run=process.output,
            resolve_image=resolve_image,
            find_commit=partial(find_commit, ca_bundle=invocation.ca_bundle),
            env={**os.environ, **bundle},
            say=lambda text: click.echo(text, err=True),
            accounts=partial(_accounts, invocation, graph, thorough="ids" in only),
        ),
        only,
    )
    show_warnings(updated.warnings)
    slices = pins_for(asked.project, asked.graph, updated.lock, asked.inputs)
    rows = changes(old, updated.lock, holders(asked.graph, slices))
    write_if_changed(path, render_lock(updated.lock))
    if as_json:
        echo_json(changes_json(rows))
    else:
        click.echo(changes_table(rows) or f"{LOCK}: nothing changed")


def _accounts(invocation: Invocation, graph: Graph, *, thorough: bool) -> Mapping[str, frozenset[str]]:
    """What built layers were seen to make: nothing, where the project names no registry."""
    from hubstack.merge.census import Census
    from hubstack.merge.shelf import Shelf

    if invocation.project.settings.registry is None and not thorough:
        return {}
    registry, names, store = invocation.connect(), invocation.names, invocation.store
    trust = invocation.project.settings.signing is None
    shelf = Shelf(sources={}, registry=registry, names=names, store=store, write=False, trust=trust)
    return Census(shelf=shelf, thorough=thorough).made(graph)
