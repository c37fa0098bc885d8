"""``hubstack test``."""

from __future__ import annotations

import click

from hubstack.cli.invocation import SELECT_HELP, Invocation, select_argument


@click.command(
    "test",
    help=f"Run the layers' tests in images that are built, passed or not.\n\n{SELECT_HELP}",
    epilog="Example: hubstack test layer:octave",
)
@select_argument()
@click.pass_obj
def command(invocation: Invocation, select: tuple[str, ...]) -> int:
    from hubstack.cli.build import known
    from hubstack.errors import TestFailed, UsageError
    from hubstack.pipeline import prepare
    from hubstack.plan import Action
    from hubstack.progress import describe
    from hubstack.verify import run_tests

    inputs = prepare(invocation.project, invocation.lock, select)
    plan = inputs.plan(known(invocation, push=False))
    missing = [node for node in inputs.selection.nodes if plan.by_node[node].action not in (Action.TEST, Action.REUSE)]
    if missing:
        raise UsageError(f"not built yet: {', '.join(missing)}", hint="Build them first: hubstack build SELECT.")
    engine = invocation.engine()
    with invocation.store.lock():
        engine.check()
        failed = 0
        for node in inputs.selection.nodes:
            layout = invocation.store.layout(inputs.fingerprint(node))
            name = invocation.names.node(inputs.fingerprint(node))
            image = engine.load(layout, name) if layout is not None else engine.pull(name)
            try:
                run_tests(engine, image, inputs.layers(node), hub_test=node in inputs.offered, node=node)
                click.echo(f"{node}: passed")
            except TestFailed as error:
                failed += 1
                position, tail, _ = describe(error)
                click.echo(f"{f'{position}: ' if position else ''}{error.message}")
                for line in tail:
                    click.echo(f"    {line}")
    return 1 if failed else 0
