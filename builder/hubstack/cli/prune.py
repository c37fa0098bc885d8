"""``hubstack prune``."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hubstack.cli.invocation import Invocation, echo_json, examples, json_option

if TYPE_CHECKING:
    from hubstack.prune import Pruned, Pruner, Row
    from hubstack.prune.need import Needs

STANDARD_INPUT = Path("-")


@click.command(
    "prune",
    epilog=examples(
        "hubstack prune                                  what nothing needs any more",
        "hubstack prune --configmap live.yaml            what hubs have now counts, beside what was emitted",
        "hubstack prune --delete --in-use in-use.txt     marks it; 30 days later, deletes it",
    ),
)
@click.option("--delete", is_flag=True, help="Mark what nothing needs, and delete what was marked long enough ago.")
@click.option(
    "--keep-days", type=click.IntRange(1), default=30, show_default=True, help="How long it must have been marked."
)
@click.option(
    "--in-use",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="The images of all running pods, as names or digests; - reads them from standard input. --delete needs it.",
)
@click.option(
    "--configmap",
    "configmaps",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Hubs' ConfigMaps as they are live, or as you keep them; beside profiles/emitted/. Repeatable.",
)
@click.option("--stack", "stacks", multiple=True, metavar="NAME", help="A stack that the tree has no more. Repeatable.")
@json_option
@click.pass_obj
def command(
    invocation: Invocation,
    delete: bool,
    keep_days: int,
    in_use: Path | None,
    configmaps: tuple[Path, ...],
    stacks: tuple[str, ...],
    as_json: bool,
) -> None:
    """What no hub, server or run needs any more: list it, or remove it from the registry.

    Needed is what this tree would build on or publish, what any ConfigMap names, what servers run, what channels name,
    and every name that hubstack doesn't know. Removing takes two runs, --keep-days apart: the first marks, a later one
    deletes what is still not needed. Where anything can't be read, nothing is deleted.
    """
    if delete and in_use is None:
        raise click.UsageError("--delete needs --in-use FILE: a server's image may be named by nothing else.")
    now = datetime.now(UTC)  # noqa: TID251 - ages are what this verb is about; like `update`, it may ask for the time
    pruner, keep = make_pruner(invocation, in_use, configmaps, stacks, publish=delete), timedelta(days=keep_days)
    found = pruner.delete(now, keep) if delete else pruner.look(now, keep)
    if as_json:
        echo_json(as_value(found))
    else:
        show(found, keep_days, delete=delete)


def make_pruner(
    invocation: Invocation, in_use: Path | None, configmaps: tuple[Path, ...], stacks: tuple[str, ...], *, publish: bool
) -> Pruner:
    from hubstack.graph import resolve
    from hubstack.graph.select import Selection
    from hubstack.pipeline import prepare_nodes
    from hubstack.prune import Pruner
    from hubstack.prune.need import needs_of_tree, parse_in_use
    from hubstack.prune.survey import repositories

    project, names = invocation.project, invocation.names
    graph = resolve(project)
    inputs = prepare_nodes(project, invocation.lock, graph, Selection(nodes=tuple(graph.nodes), images=graph.images))
    needs = needs_of_tree(inputs, names) | _needs_of_hubs(invocation, configmaps)
    if in_use is not None:
        needs |= parse_in_use(_read(in_use), str(in_use))
    channels = {*project.settings.channels, *(hub.follow for hub in project.hubs.values())}
    return Pruner(
        registry=invocation.connect(publish=publish),
        names=names,
        repositories=repositories(names, sorted({*project.stacks, *stacks})),
        needs=needs,
        nodes=tuple(graph.nodes),
        channels=[
            names.channel(image.variant.stack, image.variant.name, channel)
            for image in graph.images
            for channel in sorted(channels)
        ],
    )


def _needs_of_hubs(invocation: Invocation, given: tuple[Path, ...]) -> Needs:
    """What every ConfigMap names, emitted or given. Raises UsageError where one hub's is not known."""
    from hubstack.errors import UsageError
    from hubstack.hub.configmap import EMITTED
    from hubstack.prune.need import Needs, needs_of_image, parse_configmaps, unknown_hubs

    emitted = {path.stem: path for path in sorted((invocation.root / EMITTED).glob("*.yaml"))}
    needs, there = Needs(), set[tuple[str, str]]()
    for path in (*emitted.values(), *given):
        shown = str(path.relative_to(invocation.root)) if path in emitted.values() else str(path)
        found = parse_configmaps(_read(path), shown, invocation.names)
        needs, there = needs | found.needs, there | found.there
    hubs = invocation.project.hubs.values()
    if unknown := list(unknown_hubs(hubs, there, emitted)):
        hint = f"Give its ConfigMap with --configmap, or write it to {EMITTED}/ with `hubstack profiles`."
        raise UsageError(f"nobody knows what {unknown[0]} offers now: it has no ConfigMap in {EMITTED}/", hint=hint)
    for hub in hubs:
        for one in hub.external:
            needs |= needs_of_image(one.image)
    return needs


def _read(path: Path) -> str:
    from hubstack.errors import UsageError

    content = sys.stdin.buffer.read() if path == STANDARD_INPUT else path.read_bytes()
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no text in UTF-8") from None


def as_value(found: Pruned) -> dict[str, Any]:
    return {
        "format": 1,
        "kept": dict(sorted(Counter(found.kept.values()).items())),
        "unneeded": [
            {
                "repository": str(row.held.repository),
                "digest": row.held.digest,
                "tags": [tag.name for tag in row.held.tags],
                "state": row.state,
                "since": row.since.isoformat() if row.since else None,
            }
            for row in found.rows
        ],
    }


def show(found: Pruned, keep_days: int, *, delete: bool) -> None:
    from hubstack.prune import State

    for row in found.rows:
        click.echo(_line(row))
    why = ", ".join(f"{count} ({reason})" for reason, count in Counter(found.kept.values()).most_common())
    click.echo(f"kept: {why or 'nothing is there'}", err=True)
    states = Counter(row.state for row in found.rows)
    summary = ", ".join(f"{states[state]} {state}" for state in State if states[state])
    click.echo(f"unneeded: {summary or 'nothing'}", err=True)
    if states[State.UNMARKED] and not delete:
        hint = f"`hubstack prune --delete --in-use FILE` marks it, and deletes it {keep_days} days later."
        click.echo(hint, err=True)


def _line(row: Row) -> str:
    from hubstack.prune import describe

    since = f" since {row.since:%Y-%m-%d}" if row.since else ""
    tags = ", ".join(tag.name for tag in row.held.tags)
    return f"{row.state}{since}  {describe(row.held)}  {row.held.repository}:{tags}"
