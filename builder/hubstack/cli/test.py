"""``hubstack test``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hubstack.cli.invocation import SELECT_HELP, Invocation, echo_json, examples, json_option, select_argument

if TYPE_CHECKING:
    from hubstack.engine import Engine
    from hubstack.pipeline import Inputs


@click.command(
    "test",
    help=f"Run the layers' tests in images that are built, passed or not.\n\n{SELECT_HELP}",
    epilog=examples(
        "hubstack test minimal         after `hubstack build minimal`",
        "hubstack test layer:octave    of a layer by itself",
    ),
)
@select_argument()
@json_option
@click.pass_obj
def command(invocation: Invocation, select: tuple[str, ...], as_json: bool) -> int:
    from hubstack.cli.build import known
    from hubstack.errors import UsageError
    from hubstack.pipeline import prepare
    from hubstack.plan import Action

    inputs = prepare(invocation.project, invocation.lock, select).on(invocation.platform)
    plan = inputs.plan(known(invocation, push=False))
    missing = [node for node in inputs.selection.nodes if plan.by_node[node].action not in (Action.TEST, Action.REUSE)]
    if missing:
        hint = f"Build first: hubstack build {' '.join(select)}".rstrip()
        raise UsageError(f"not built yet: {', '.join(missing)}", hint=hint)
    engine = invocation.engine()
    rows = []
    with invocation.store.lock():
        engine.check()
        for node in inputs.selection.nodes:
            rows.append(_run(invocation, inputs, engine, node))
            if not as_json:
                _show(rows[-1])
    if as_json:
        echo_json(rows)
    return 0 if all(row["passed"] for row in rows) else 1


def _run(invocation: Invocation, inputs: Inputs, engine: Engine, node: str) -> dict[str, Any]:
    """Run the tests of one image; the first that fails is the last."""
    from hubstack.errors import TestFailed
    from hubstack.progress import describe
    from hubstack.verify import run_tests

    layout = invocation.store.layout(inputs.fingerprint(node))
    name = invocation.names.node(inputs.fingerprint(node))
    image = engine.load(layout, name) if layout is not None else engine.pull(name)
    try:
        run_tests(engine, image, inputs.tested_layers(node), hub_test=node in inputs.offered, node=node)
    except TestFailed as error:
        position, tail, _ = describe(error)
        where = str(position) if position else None
        return {"node": node, "passed": False, "position": where, "message": error.message, "tail": list(tail)}
    return {"node": node, "passed": True, "position": None, "message": "", "tail": []}


def _show(row: dict[str, Any]) -> None:
    if row["passed"]:
        click.echo(f"{row['node']}: passed")
        return
    click.echo(f"{row['position']}: {row['message']}" if row["position"] else row["message"])
    for line in row["tail"]:
        click.echo(f"    {line}")
