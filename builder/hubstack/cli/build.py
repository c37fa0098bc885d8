"""``hubstack build``."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hubstack.cli.invocation import (
    SELECT_HELP,
    Invocation,
    complete_hub,
    echo_json,
    examples,
    json_option,
    on_terminal,
    select_argument,
)

if TYPE_CHECKING:
    from hubstack.event import Stream
    from hubstack.pipeline import Inputs
    from hubstack.plan import Known, Plan
    from hubstack.publish import Published
    from hubstack.registry import Registry
    from hubstack.schedule import Outcome


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
@click.option("--push", is_flag=True, help="Push what is built and tested, then move the channels.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=min(8, 2 * (os.cpu_count() or 1)),
    help="Nodes at work at once. Default: two a processor, at most 8.",
)
@click.option("--dry-run", is_flag=True, help="Show the plan and stop; with --json as `hubstack plan` does.")
@click.option("--fail-fast", is_flag=True, help="Stop everything at the first failure.")
@click.option("--all-or-nothing", is_flag=True, help="With --push: name and move nothing unless everything is good.")
@click.option(
    "--channel",
    "channels",
    multiple=True,
    metavar="NAME",
    help="With --push: move this channel, not the project's. Repeatable.",
)
@click.option(
    "--profiles",
    "profiles_folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="With --push: then write the hubs' ConfigMaps here.",
)
@click.option(
    "--hub",
    "hubs",
    multiple=True,
    metavar="HUB",
    shell_complete=complete_hub,
    help="With --profiles: only this hub's. Repeatable.",
)
@click.option("--builder", default="", metavar="NAME", help="A buildx builder instead of the engine's own.")
@json_option
@click.pass_obj
def command(
    invocation: Invocation,
    select: tuple[str, ...],
    push: bool,
    jobs: int,
    dry_run: bool,
    fail_fast: bool,
    all_or_nothing: bool,
    channels: tuple[str, ...],
    profiles_folder: Path | None,
    hubs: tuple[str, ...],
    builder: str,
    as_json: bool,
) -> int:
    from hubstack.pipeline import prepare
    from hubstack.plan import plan_json

    published = {"--profiles": profiles_folder, "--channel": channels, "--all-or-nothing": all_or_nothing}
    if not push and (given := next((name for name, value in published.items() if value), "")):
        raise click.UsageError(f"{given} needs --push: it is about what is in the registry.")
    if hubs and profiles_folder is None:
        raise click.UsageError("--hub needs --profiles DIR: it says whose ConfigMap is written there.")
    inputs = prepare(invocation.project, invocation.lock, select)
    if dry_run:
        from hubstack.cli.plan import show_plan

        plan = inputs.plan(known(invocation, push=push))
        if as_json:
            echo_json(plan_json(plan, invocation.names))
        else:
            show_plan(plan, everything=False)
        return 0
    good = build(
        invocation,
        inputs,
        push=push,
        jobs=jobs,
        fail_fast=fail_fast,
        all_or_nothing=all_or_nothing,
        channels=channels or invocation.project.settings.channels,
        builder=builder,
        as_json=as_json,
    )
    if profiles_folder is not None:
        from hubstack.cli.profiles import emit, show

        rows = emit(invocation, hubs, profiles_folder)
        if as_json:
            click.echo(json.dumps({"event": "profiles", "hubs": rows}, ensure_ascii=False))
        else:
            show(rows)
    return 0 if good else 1


def known(invocation: Invocation, *, push: bool, registry: Registry | None = None) -> Known:
    """Where nodes may be found: with --push only the registry counts, for it must have them all in the end."""
    from hubstack.publish import FirstOf, Remote

    remote = Remote(registry=registry or invocation.connect(publish=push), names=invocation.names)
    return remote if push else FirstOf(places=(invocation.store, remote))


def build(
    invocation: Invocation,
    inputs: Inputs,
    *,
    push: bool,
    jobs: int,
    fail_fast: bool = False,
    all_or_nothing: bool = False,
    channels: Sequence[str] = (),
    builder: str = "",
    as_json: bool = False,
) -> bool:
    """Bring the selection to where it is built, tested and, with ``push``, published. Whether everything is good."""
    from hubstack.build import Builder
    from hubstack.event import Note
    from hubstack.publish import Publisher
    from hubstack.schedule import GOOD

    registry = invocation.connect(publish=push)
    publisher = Publisher(registry=registry, names=invocation.names) if push else None
    there = known(invocation, push=push, registry=registry)
    with ExitStack() as stack:
        plan = inputs.plan(there)
        if dirty := bool(plan.dirty()):
            stack.enter_context(invocation.store.lock(on_wait=_say_waiting))
            plan = inputs.plan(there)  # another build may have been at work here until now
        stream = stack.enter_context(progress(invocation, jobs, as_json))
        worker = Builder(
            inputs=inputs,
            names=invocation.names,
            engine=invocation.engine(builder),
            store=invocation.store,
            publisher=publisher,
            on_event=stream,
            cancel=threading.Event(),
        )
        outcomes = worker.run(plan, jobs=jobs, fail_fast=fail_fast)
        published: tuple[Published, ...] = ()
        if publisher is not None:
            published = publisher.publish(plan, outcomes, channels=channels, all_or_nothing=all_or_nothing)
            moved = sum(len(one.moved) for one in published)
            if moved:
                stream(Note(text=f"moved {moved} channel tags"))
        rows = summary_rows(invocation, plan, outcomes, published)
        if dirty:
            invocation.store.prune((one.fingerprint for one in inputs.identities.values()), inputs.graph.nodes)
    if as_json:
        click.echo(json.dumps({"event": "done", "images": rows}, ensure_ascii=False))
    else:
        show_table(rows)
    return all(outcome.result in GOOD for outcome in outcomes.values())


def _say_waiting() -> None:
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


def summary_rows(
    invocation: Invocation, plan: Plan, outcomes: Mapping[str, Outcome], published: Sequence[Published]
) -> list[dict[str, Any]]:
    """One row an image, for the table and for --json."""
    records = invocation.store.records([image.node for image in plan.images])
    refs = {(one.stack, one.variant): str(one.ref) for one in published}
    rows = []
    for image in plan.images:
        outcome = outcomes[image.node]
        record = records.get(image.node)
        rows.append(
            {
                "stack": image.variant.stack,
                "variant": image.variant.name,
                "platform": image.platform,
                "result": str(outcome.result),
                "size_bytes": record.size_bytes if record else None,
                "digest": outcome.digest,
                "seconds": round(outcome.seconds, 1),
                "ref": refs.get((image.variant.stack, image.variant.name), ""),
            }
        )
    return rows


def show_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """stack, variant, size, digest, seconds, built or reused; and what one may do next."""
    head = ("STACK", "VARIANT", "SIZE", "DIGEST", "SECONDS", "RESULT")
    cells = [
        (
            row["stack"],
            row["variant"],
            f"{row['size_bytes'] / 1e6:.0f} MB" if row["size_bytes"] else "-",
            (row["digest"] or "-")[:19],
            f"{row['seconds']:.1f}",
            row["result"],
        )
        for row in rows
    ]
    if not cells:
        return
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]
    for line in [head, *cells]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if ref := next((row["ref"] for row in rows if row["ref"]), ""):
        click.echo(
            f"\nStart one:         docker run --rm -p 127.0.0.1:8888:8888 {ref} jupyter lab --ip=0.0.0.0\n"
            "What would change: hubstack plan",
            err=True,  # for people; stdout is the table
        )
