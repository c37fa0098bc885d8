"""``hubstack plan``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from hubstack.certificate.standing import Standing
    from hubstack.names import Names
    from hubstack.pipeline import Inputs
    from hubstack.record import Record
    from hubstack.reference import Fingerprint
    from hubstack.tier import Judgement


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
    from functools import partial

    from hubstack.certificate.examination import read_certificates
    from hubstack.certificate.standing import standings
    from hubstack.publish import Remote
    from hubstack.tier import CHAIN, judge

    inputs = prepare_selected(invocation, select, since)
    known = None if offline else Remote(registry=invocation.connect(), names=invocation.names)
    try:
        plan = inputs.plan(known)
    except (RegistryDenied, RegistryUnreachable) as fault:
        if since is None:
            raise
        click.echo(f"warning: {invocation.names.build} can't be read: what is there is not known\n  {fault}", err=True)
        plan, offline = inputs.plan(None), True
    asked = known if not offline else None
    plan = foreseen(invocation, inputs, plan)
    shelf = invocation.shelf(inputs, asked.registry, push=False) if asked is not None else None
    judged = judge(inputs, plan, asked.recorded if asked is not None else _nothing, shelf)
    standing = standings(inputs, plan, asked, partial(read_certificates, asked)) if asked is not None else {}
    if as_json:
        value = plan_json(plan, invocation.names)
        for image in value["images"]:
            variant = f"{image['stack']}/{image['variant']}"
            image |= {"tier": judged[variant].tier, "why": judged[variant].why}
            if variant in standing:
                image["certificates"] = standing[variant].as_json()
        echo_json(value)
        return
    show_plan(plan, everything=everything or offline)
    if any(one != CHAIN for one in judged.values()):
        show_tiers(judged, standing)


def foreseen(invocation: Invocation, inputs: Inputs, plan: Plan) -> Plan:
    """The plan without moves of which is known already that a build will have to be made instead."""
    if not any(step.moved for step in plan.steps):
        return plan
    from hubstack.merge.foresight import foresee

    shelf = invocation.shelf(inputs, invocation.connect(), push=False)
    try:
        return foresee(plan, inputs.graph, shelf.look)
    except (RegistryDenied, RegistryUnreachable):
        return plan  # the run will find out


def show_planned(plan: Plan, names: Names, *, as_json: bool) -> None:
    """What a run would do."""
    if as_json:
        echo_json(plan_json(plan, names))
    else:
        show_plan(plan, everything=False)


def _nothing(_: object) -> Mapping[Fingerprint, Record]:
    return {}


def show_tiers(judged: Mapping[str, Judgement], standing: Mapping[str, Standing]) -> None:
    """How the layers of each image are put together, and whether that was compared with a chain."""
    click.echo("")
    for variant, one in judged.items():
        click.echo(f"{one.tier:<8} {variant}  {'; '.join((one.why, *map(str, filter(None, [standing.get(variant)]))))}")


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
