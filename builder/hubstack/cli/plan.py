"""``hubstack plan``."""

from __future__ import annotations

import sys

import click

from hubstack.cli.invocation import (
    SELECT_HELP,
    Invocation,
    echo_json,
    examples,
    json_option,
    on_terminal,
    prepare_selected,
    select_argument,
    since_option,
)
from hubstack.errors import RegistryDenied, RegistryUnreachable
from hubstack.plan import Action, Plan, plan_json


@click.command(
    "plan",
    help=f"What `hubstack build --push` would do, and why.\n\n{SELECT_HELP}",
    epilog=examples(
        "hubstack plan                     what has to be built or tested for all stacks",
        "hubstack plan 'scipy/*' --all     also what is reused",
        "hubstack plan --offline --json    fingerprints and names, without a registry",
    ),
)
@select_argument()
@since_option("Only what has changed since that commit, branch or tag.")
@json_option
@click.option("--offline", is_flag=True, help="Ask no registry: every action is `unknown`.")
@click.option("--all", "everything", is_flag=True, help="Also name the nodes that nothing happens to.")
@click.pass_obj
def command(
    invocation: Invocation, select: tuple[str, ...], since: str | None, as_json: bool, offline: bool, everything: bool
) -> None:
    from hubstack.publish import Remote

    inputs = prepare_selected(invocation, select, since)
    known = None if offline else Remote(registry=invocation.connect(), names=invocation.names)
    try:
        plan = inputs.plan(known)
    except (RegistryDenied, RegistryUnreachable) as fault:
        if since is None:
            raise
        click.echo(f"warning: {invocation.names.build} can't be read: what is there is not known\n  {fault}", err=True)
        plan, offline = inputs.plan(None), True
    if as_json:
        echo_json(plan_json(plan, invocation.names))
        return
    show_plan(plan, everything=everything or offline)


COLOURS = {Action.BUILD: "green", Action.TEST: "cyan", Action.BLOCKED: "red"}


def show_plan(plan: Plan, *, everything: bool) -> None:
    from hubstack.progress import summary

    for step in plan.steps:
        if step.action is Action.REUSE and not everything:
            continue
        action = f"{'rebase' if step.moved else step.action:<8}"
        if on_terminal(sys.stdout):
            action = click.style(action, fg=COLOURS.get(step.action))
        click.echo(f"{action} {step.node.id}  {step.reason}")
    if any(step.action is Action.UNKNOWN for step in plan.steps):
        click.echo(f"nodes: {len(plan.steps)}, images: {len(plan.images)}; the registry was not asked")
    else:
        click.echo(summary(plan))
