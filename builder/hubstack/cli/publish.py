"""``hubstack publish``, and what ``hubstack build --push`` does after its last node."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias

import click

from hubstack.cli.invocation import (
    SELECT_HELP,
    Invocation,
    complete_hub,
    echo_json,
    examples,
    json_option,
    select_argument,
)
from hubstack.errors import RegistryError

if TYPE_CHECKING:
    from hubstack.ci.report import Before
    from hubstack.ci.summary import Row
    from hubstack.plan import Plan
    from hubstack.publish import Published, Remote
    from hubstack.record import Record
    from hubstack.schedule import Outcome

Decorator: TypeAlias = Callable[[Any], Any]


def all_or_nothing_option(begins: str = "Name") -> Decorator:
    """``begins`` is how the help text begins, as with the others: `build` has them only with --push."""
    return click.option("--all-or-nothing", is_flag=True, help=f"{begins} and move nothing unless everything is good.")


def channel_option(begins: str = "Move") -> Decorator:
    text = f"{begins} this channel, not the project's. Repeatable."
    return click.option("--channel", "channels", multiple=True, metavar="NAME", help=text)


def profiles_option(begins: str = "Then write") -> Decorator:
    folder = click.Path(file_okay=False, path_type=Path)
    text = f"{begins} the hubs' ConfigMaps here."
    return click.option("--profiles", "profiles_folder", type=folder, metavar="DIR", help=text)


hub_option = click.option(
    "--hub",
    "hubs",
    multiple=True,
    metavar="HUB",
    shell_complete=complete_hub,
    help="With --profiles: only this hub's. Repeatable.",
)


summary_option = click.option(
    "--summary",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Append what has happened to FILE, as Markdown for people: $GITHUB_STEP_SUMMARY.",
)


@click.command(
    "publish",
    help="Give names to what is built and tested in the registry, move the channels, write ConfigMaps.\n\nBuilds "
    "nothing and needs no engine: the end of a run whose nodes several machines have built with `hubstack build --push "
    f"node:...`. What isn't there is a failed stack, and keeps its last good image.\n\n{SELECT_HELP}",
    epilog=examples(
        "hubstack publish                                all stacks",
        "hubstack publish --profiles profiles/emitted    and the hubs' ConfigMaps",
        "hubstack publish --dry-run scipy                what of it is there",
    ),
)
@select_argument()
@all_or_nothing_option()
@channel_option()
@profiles_option()
@hub_option
@summary_option
@click.option(
    "--planned",
    type=click.File(encoding="utf-8", errors="replace"),
    metavar="FILE|-",
    help="What `hubstack matrix` printed before this run, so that what was built is told from what was there.",
)
@click.option("--dry-run", is_flag=True, help="Show what is there and under which name it goes, and stop.")
@json_option
@click.pass_obj
def command(
    invocation: Invocation,
    select: tuple[str, ...],
    all_or_nothing: bool,
    channels: tuple[str, ...],
    profiles_folder: Path | None,
    hubs: tuple[str, ...],
    summary: Path | None,
    planned: TextIO | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    from hubstack.ci.report import as_planned, planned_nodes
    from hubstack.cli.attest import sealing
    from hubstack.pipeline import prepare
    from hubstack.publish import Publisher, Remote, whereabouts
    from hubstack.schedule import GOOD

    check_hubs(hubs, profiles_folder)
    inputs = prepare(invocation.project, invocation.lock, select)
    if not inputs.selection.images:
        raise click.UsageError("SELECT names no image: publish is about what people can choose.")
    registry = invocation.connect(publish=not dry_run)
    remote = Remote(registry=registry, names=invocation.names)
    plan = inputs.plan(remote)
    seal = sealing(invocation, inputs)
    if seal is not None:
        seal.check_plan(plan)
    outcomes = whereabouts(plan)
    channels = channels or invocation.project.settings.channels
    named = planned_nodes(planned.read()) if planned else frozenset()
    records = read_records(remote, plan, {*named, *(image.node for image in plan.images)})
    account = Account(file=summary)
    account.begin(remote, plan, channels)
    published: tuple[Published, ...] = ()
    if not dry_run:
        publisher = Publisher(registry=registry, names=invocation.names, seal=seal)
        published = publisher.publish(plan, outcomes, channels=channels, all_or_nothing=all_or_nothing)
    outcomes = as_planned(outcomes, named, records)
    account.end(remote, plan, outcomes, published, records)
    show_missing(plan, outcomes)
    hub_rows: list[dict[str, Any]] = []
    try:
        if profiles_folder and not dry_run:
            hub_rows = emit_hubs(invocation, hubs, profiles_folder, summary)
    finally:
        account.write("To be published" if dry_run else "Published", hub_rows)
    show(image_rows(plan, outcomes, published, records), hub_rows, as_json=as_json)
    return 0 if all(outcome.result in GOOD for outcome in outcomes.values()) else 1


def read_records(remote: Remote, plan: Plan, nodes: Collection[str]) -> dict[str, Record]:
    fingerprints = {one: plan.by_node[one].identity.fingerprint for one in nodes if one in plan.by_node}
    found = remote.recorded(fingerprints.values())
    return {node: found[one] for node, one in fingerprints.items() if one in found}


def show(rows: Sequence[Mapping[str, Any]], hub_rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    from hubstack.cli.profiles import plain
    from hubstack.cli.profiles import show as show_hubs

    if as_json:
        echo_json({"images": rows, "hubs": plain(hub_rows)})
    else:
        show_table(rows)
        show_hubs(hub_rows)


def check_hubs(hubs: Sequence[str], profiles_folder: Path | None) -> None:
    if hubs and profiles_folder is None:
        raise click.UsageError("--hub needs --profiles DIR: it says whose ConfigMap is written there.")


def emit_hubs(invocation: Invocation, hubs: Sequence[str], folder: Path, summary: Path | None) -> list[dict[str, Any]]:
    """The hubs' ConfigMaps, written; compared with what was there where somebody wants to read about it."""
    from hubstack.cli.profiles import emit

    return emit(invocation, hubs, folder, compare=summary is not None)


def show_missing(plan: Plan, outcomes: Mapping[str, Outcome]) -> None:
    """What stops each image, and how one brings it there."""
    from hubstack.schedule import GOOD

    for image in plan.images:
        outcome = outcomes[image.node]
        if outcome.result not in GOOD:
            click.echo(
                f"error: {image.variant.id} ({image.platform}) is not published: {image.node}: {outcome.message}\n"
                f"  hubstack build --push node:{image.node}",
                err=True,
            )


# --- a summary in Markdown ---------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Account:
    """What --summary takes note of as a run goes on. Without a FILE nothing is asked and nothing is written."""

    file: Path | None = None
    before: Before = field(default_factory=dict)
    plan: Plan = field(init=False)
    outcomes: Mapping[str, Outcome] = field(init=False)
    rows: Sequence[Row] = field(init=False)

    def begin(self, remote: Remote, plan: Plan, channels: Sequence[str]) -> None:
        """To be called before channels move."""
        if self.file is None or not channels:
            return
        from hubstack.ci.report import ask_before

        with suppress(RegistryError):  # what it tells is for reading
            self.before = ask_before(remote.registry, remote.names, plan.images, channels[0])

    def end(
        self,
        remote: Remote,
        plan: Plan,
        outcomes: Mapping[str, Outcome],
        published: Sequence[Published],
        records: Mapping[str, Record],
    ) -> None:
        if self.file is not None:
            from hubstack.ci.report import rows_of

            missing = {image.node for image in plan.images} - records.keys()
            with suppress(RegistryError):
                records = {**read_records(remote, plan, missing), **records}
            self.plan, self.outcomes = plan, outcomes
            self.rows = rows_of(plan, outcomes, published, self.before, records, remote)

    def write(self, title: str, hub_rows: Sequence[Mapping[str, Any]]) -> None:
        if self.file is None:
            return
        from hubstack.ci.summary import LIMIT_BYTES, Report, render_summary

        report = Report(
            title=title,
            plan=self.plan,
            outcomes=self.outcomes,
            rows=self.rows,
            launchers=[row["diff"] for row in hub_rows],
            link=_run_link(),
        )
        self.file.parent.mkdir(parents=True, exist_ok=True)  # what it tells of has been done: too late for an error
        there = self.file.stat().st_size if self.file.exists() else 0
        with self.file.open("a", encoding="utf-8") as file:
            file.write(render_summary(report, limit_bytes=max(0, LIMIT_BYTES - there)))


def _run_link() -> str:
    """Where GitHub shows the run that this is ("Variables reference", GitHub's documentation)."""
    given = [os.environ.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")]
    return "{}/{}/actions/runs/{}".format(*given) if all(given) else ""


# --- a table of images ------------------------------------------------------------------------------------------------


def image_rows(
    plan: Plan, outcomes: Mapping[str, Outcome], published: Sequence[Published], records: Mapping[str, Record]
) -> list[dict[str, Any]]:
    """One row an image, for the table and for --json. ``records`` are by node."""
    refs = {(one.stack, one.variant): str(one.ref) for one in published}
    rows = []
    for image in plan.images:
        outcome, record = outcomes[image.node], records.get(image.node)
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
