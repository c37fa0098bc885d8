"""``hubstack rebase``."""

from __future__ import annotations

import os

import click

from hubstack.cli.invocation import SELECT_HELP, Invocation, examples, json_option, select_argument


@click.command(
    "rebase",
    help="Bring newer builds of bases and low layers to what stands on them, by a build only where it must be.\n\nAfter "
    "`hubstack update` a base has newer packages, and nothing else about it is new. What stands on it and is as it was is "
    "moved onto it in the registry, by a three-way merge with the old base as the ancestor: seconds instead of a build. What "
    "can't be moved is built, and says why. Tests run before tags move. `hubstack build --push` does the same where layers "
    f"are merged (`assembly: merge`).\n\n{SELECT_HELP}",
    epilog=examples(
        "hubstack rebase --dry-run            what would be moved, and what built",
        "hubstack rebase                      everything that stands on what has changed",
    ),
)
@select_argument()
@click.option("--dry-run", is_flag=True, help="Show the plan and stop; with --json as `hubstack plan` does.")
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=min(8, 2 * (os.cpu_count() or 1)), help="Nodes at work at once."
)
@json_option
@click.pass_obj
def command(invocation: Invocation, select: tuple[str, ...], dry_run: bool, jobs: int, as_json: bool) -> int:
    from hubstack.cli.build import build, known
    from hubstack.pipeline import prepare

    inputs = prepare(invocation.project, invocation.lock, select)
    if dry_run:
        from hubstack.cli.plan import foreseen, show_planned

        plan = foreseen(invocation, inputs, inputs.plan(known(invocation, push=True), rebase=True))
        show_planned(plan, invocation.names, as_json=as_json)
        return 0
    channels = invocation.project.settings.channels
    good = build(invocation, inputs, push=True, jobs=jobs, channels=channels, rebase=True, as_json=as_json)
    return 0 if good else 1
