"""``hubstack why``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hubstack.cli.invocation import (
    SELECT_HELP,
    Invocation,
    echo_json,
    examples,
    json_option,
    select_argument,
    since_option,
)

if TYPE_CHECKING:
    from hubstack.pipeline import Inputs


@click.command(
    "why",
    help=f"What a fingerprint is made of, or what changed it since a commit.\n\n{SELECT_HELP}",
    epilog=examples(
        "hubstack why minimal                     every fact behind the fingerprint",
        "hubstack why 'scipy/*' --since HEAD~1    the nodes that a commit changed, each with its reason",
    ),
)
@select_argument(required=True)
@since_option("What is other than at that commit, branch or tag of the project's git repository, and why.")
@json_option
@click.pass_obj
def command(invocation: Invocation, select: tuple[str, ...], since: str | None, as_json: bool) -> None:
    from hubstack.pipeline import prepare

    inputs = prepare(invocation.project, invocation.lock, select)
    if since is None:
        _show_facts(inputs, as_json=as_json)
        return
    from hubstack.since import read_past, reasons

    past = read_past(invocation.root, since, inputs.identities)
    if past.fault is not None:
        raise past.fault
    changed = reasons(past, inputs)
    if as_json:
        echo_json([{"node": node, "reason": reason} for node, reason in changed.items()])
        return
    for node, reason in changed.items():
        click.echo(f"{node}  {reason}")
    if not changed:
        click.echo(f"nothing changed since {since}")


def _show_facts(inputs: Inputs, *, as_json: bool) -> None:
    selected = {node: inputs.identities[node] for node in inputs.selection.nodes}
    if as_json:
        echo_json(
            {
                node: {
                    "fingerprint": identity.fingerprint,
                    "facts": [[fact.kind, fact.name, fact.value] for fact in identity.facts],
                }
                for node, identity in selected.items()
            }
        )
        return
    for node, identity in selected.items():
        click.echo(f"{node}  {identity.fingerprint}")
        for fact in identity.facts:
            click.echo(f"  {fact.kind:<12} {fact.name:<40} {fact.value}")
