"""``hubstack build``."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hubstack.cli.invocation import (
    SELECT_HELP,
    Invocation,
    examples,
    json_option,
    on_terminal,
    prepare_selected,
    select_argument,
    show_warnings,
    since_option,
)
from hubstack.cli.publish import (
    Account,
    all_or_nothing_option,
    channel_option,
    check_hubs,
    emit_hubs,
    hub_option,
    image_rows,
    profiles_option,
    show_table,
    summary_option,
)

if TYPE_CHECKING:
    from hubstack.errors import RegistryError
    from hubstack.event import Stream
    from hubstack.pipeline import Inputs
    from hubstack.plan import Known, Plan
    from hubstack.publish import Published
    from hubstack.record import Record
    from hubstack.registry import Registry
    from hubstack.schedule import Outcome
    from hubstack.supply.seal import Seal


@click.command(
    "build",
    help="Plan, build, test and push.\n\nWithout --push, images stay on this machine. What is built and tested already "
    f"is not built or tested again.\n\n{SELECT_HELP}",
    epilog=examples(
        "hubstack build minimal               build and test one stack here",
        "hubstack build --push                everything that changed, to the registry",
        "hubstack build --push --dry-run      what that would do",
    ),
)
@select_argument()
@since_option("Only what has changed since that commit, branch or tag.")
@click.option("--push", is_flag=True, help="Push what is built and tested, then move the channels.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=min(8, 2 * (os.cpu_count() or 1)),
    help="Nodes at work at once. Default: two a processor, at most 8.",
)
@click.option("--dry-run", is_flag=True, help="Show the plan and stop; with --json as `hubstack plan` does.")
@click.option(
    "--rebase/--no-rebase",
    default=None,
    help="Move what stands on a newer base instead of building it, or don't. Default: where layers are merged.",
)
@click.option("--fail-fast", is_flag=True, help="Stop everything at the first failure.")
@all_or_nothing_option("With --push: name")
@channel_option("With --push: move")
@profiles_option("With --push: then write")
@hub_option
@click.option(
    "--builder",
    "builders",
    multiple=True,
    metavar="NAME",
    help="A buildx builder instead of the engine's own. Repeatable: nodes with one parent go to one builder.",
)
@summary_option
@json_option
@click.pass_obj
def command(
    invocation: Invocation,
    select: tuple[str, ...],
    since: str | None,
    push: bool,
    jobs: int,
    dry_run: bool,
    rebase: bool | None,
    fail_fast: bool,
    all_or_nothing: bool,
    channels: tuple[str, ...],
    profiles_folder: Path | None,
    hubs: tuple[str, ...],
    builders: tuple[str, ...],
    summary: Path | None,
    as_json: bool,
) -> int:
    published = {"--profiles": profiles_folder, "--channel": channels, "--all-or-nothing": all_or_nothing}
    if not push and (given := next((name for name, value in published.items() if value), "")):
        raise click.UsageError(f"{given} needs --push: it is about what is in the registry.")
    check_hubs(hubs, profiles_folder)
    inputs = prepare_selected(invocation, select, since)
    if not push:
        inputs = inputs.on(invocation.platform)
    if dry_run:
        from hubstack.cli.plan import foreseen, show_planned

        plan = foreseen(invocation, inputs, inputs.plan(known(invocation, push=push), rebase=rebase))
        show_planned(plan, invocation.names, as_json=as_json)
        return 0
    account = Account(file=summary)
    good = build(
        invocation,
        inputs,
        push=push,
        jobs=jobs,
        rebase=rebase,
        fail_fast=fail_fast,
        all_or_nothing=all_or_nothing,
        channels=channels or invocation.project.settings.channels,
        builders=builders,
        as_json=as_json,
        account=account,
    )
    hub_rows: list[dict[str, Any]] = []
    try:
        if profiles_folder is not None:
            hub_rows = emit_hubs(invocation, hubs, profiles_folder, summary)
            _show_hubs(hub_rows, as_json=as_json)
    finally:
        account.write("Built", hub_rows)
    return 0 if good else 1


def _show_hubs(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    from hubstack.cli.profiles import plain, show

    if as_json:
        click.echo(json.dumps({"event": "profiles", "hubs": plain(rows)}, ensure_ascii=False))
    else:
        show(rows)


def known(invocation: Invocation, *, push: bool, registry: Registry | None = None) -> Known:
    """Where nodes may be found: with --push only the registry counts, for it must have them all in the end."""
    from hubstack.publish import FirstOf, IfReadable, Remote

    remote = Remote(registry=registry or invocation.connect(publish=push), names=invocation.names)

    def say(fault: RegistryError) -> None:
        click.echo(f"warning: {invocation.names.build} can't be read: what is not here is built\n  {fault}", err=True)

    return remote if push else FirstOf(places=(invocation.store, IfReadable(place=remote, on_fault=say)))


def build(
    invocation: Invocation,
    inputs: Inputs,
    *,
    push: bool,
    jobs: int,
    rebase: bool | None = None,
    fail_fast: bool = False,
    all_or_nothing: bool = False,
    channels: Sequence[str] = (),
    builders: Sequence[str] = (),
    as_json: bool = False,
    account: Account | None = None,
) -> bool:
    """Bring the selection to where it is built, tested and, with ``push``, published. Whether everything is good.

    ``account`` takes note of what has happened.
    """
    from hubstack.build import Builder
    from hubstack.cli.attest import sealing
    from hubstack.growth import last_records
    from hubstack.publish import Publisher, Remote
    from hubstack.schedule import GOOD

    account = account or Account()
    registry = invocation.connect(publish=push)
    seal = sealing(invocation, inputs, builders=builders)
    publisher = Publisher(registry=registry, names=invocation.names, seal=seal) if push else None
    remote = Remote(registry=registry, names=invocation.names)
    there = known(invocation, push=push, registry=registry)
    with ExitStack() as stack:
        plan = inputs.plan(there, rebase=rebase)
        if dirty := bool(plan.dirty()):
            stack.enter_context(invocation.store.lock(on_wait=say_waiting))
            plan = inputs.plan(there, rebase=rebase)  # another build may have been at work here until now
        if seal is not None:
            _check(invocation, seal, plan, push=push)
        stream = stack.enter_context(progress(invocation, jobs, as_json))
        worker = Builder(
            inputs=inputs,
            names=invocation.names,
            engine=invocation.engine(builders),
            store=invocation.store,
            publisher=publisher,
            shelf=invocation.shelf(inputs, registry, push=push),
            on_event=stream,
            cancel=threading.Event(),
            ca_bundle=invocation.ca_bundle,
            today=datetime.now(UTC).date().isoformat(),  # noqa: TID251 - for people who read records; nothing is decided by it
        )
        before = last_records(inputs, plan, there)
        outcomes = worker.run(plan, jobs=jobs, fail_fast=fail_fast)
        account.begin(remote, plan, channels or invocation.project.settings.channels)
        published: tuple[Published, ...] = ()
        if publisher is not None:
            published = publisher.publish(plan, outcomes, channels=channels, all_or_nothing=all_or_nothing)
            _say_moved(stream, published)
        records = invocation.store.records([image.node for image in plan.images])
        account.end(remote, plan, outcomes, published, records)
        rows = image_rows(plan, outcomes, published, records)
        if dirty:
            invocation.store.prune((one.fingerprint for one in inputs.identities.values()), inputs.graph.nodes)
    _say_growth(invocation, inputs, plan, outcomes, before)
    if as_json:
        click.echo(json.dumps({"event": "done", "images": rows}, ensure_ascii=False))
    else:
        show_table(rows)
        _say_packages(plan, records)
    return all(outcome.result in GOOD for outcome in outcomes.values())


def _check(invocation: Invocation, seal: Seal, plan: Plan, *, push: bool) -> None:
    """Whether what is reused is signed, and what is built can be. Raises SigningError, UsageError."""
    if push:
        if plan.dirty():
            seal.cosign.check_key()  # not after an hour of building
        return seal.check_plan(plan)
    from shutil import which

    if which("cosign") is None:  # what stays here is believed by nobody else: to try a layer, one needs no cosign
        return click.echo("note: cosign is not installed, so nobody's signature is checked", err=True)
    layouts = (invocation.store.layout(step.identity.fingerprint) for step in plan.steps if step.digest is not None)
    return seal.check_plan(plan, {layout.manifest.digest for layout in layouts if layout is not None})


def _say_moved(stream: Stream, published: Sequence[Published]) -> None:
    from hubstack.event import Note

    if moved := sum(len(one.moved) for one in published):
        stream(Note(text=f"moved {moved} channel tags"))


_MOST_SAID = 4  # packages of an image; `hubstack profiles --diff` and a run's --summary have them all


def _say_packages(plan: Plan, records: Mapping[str, Record]) -> None:
    """What is in the new images in other versions than in those before them."""
    from hubstack.catalogue.change import since

    for image in plan.images:
        before, after = plan.by_node[image.node].record, records.get(image.node)
        if before is None or after is None or not before.packages or before.fingerprint == after.fingerprint:
            continue
        changes = since(before, after, "").changes
        said = [f"{one.package} {one.was or 'none'} → {one.now or 'gone'}" for one in changes[:_MOST_SAID]]
        more = f", and {len(changes) - _MOST_SAID} more" if len(changes) > _MOST_SAID else ""
        click.echo(f"{image.variant.id}: {', '.join(said) or 'the same packages'}{more}", err=True)


def _say_growth(
    invocation: Invocation,
    inputs: Inputs,
    plan: Plan,
    outcomes: Mapping[str, Outcome],
    before: Mapping[str, Record],
) -> None:
    from hubstack.cli.today import find_today
    from hubstack.growth import budget_warnings

    if plan.dirty():
        show_warnings(budget_warnings(inputs, plan, outcomes, before, find_today(invocation.root, None)))


def say_waiting() -> None:
    click.echo("another hubstack build is at work in this project: waiting for it", err=True)


@contextmanager
def progress(invocation: Invocation, jobs: int, as_json: bool) -> Iterator[Stream]:
    """Who listens to a run: log files, and a live board, plain lines, GitHub's log or JSON lines."""
    from hubstack.event import Stream
    from hubstack.progress import JsonLines, Logs, Plain

    logs = Logs(invocation.store.folder / "logs")

    def shown(node: str) -> str:
        return os.path.relpath(logs.path(node))

    if as_json:
        yield Stream([logs, JsonLines(out=click.echo)])
    elif on_terminal():
        from rich.console import Console

        from hubstack.board import Board

        board = Board(Console(stderr=True), shown, jobs)
        with board.shown():
            yield Stream([logs, board])
    else:
        github = os.environ.get("GITHUB_ACTIONS") == "true"
        yield Stream([logs, Plain(out=lambda line: click.echo(line, err=True), log=shown, github=github)])
