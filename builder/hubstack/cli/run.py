"""``hubstack run``."""

from __future__ import annotations

from pathlib import Path

import click

from hubstack.cli.invocation import Invocation, complete_select
from hubstack.errors import UsageError


@click.command(
    "run",
    epilog="Examples: hubstack run scipy/trixie; hubstack run layer:octave -- octave --eval 'ver'",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("select", metavar="SELECT", shell_complete=complete_select)
@click.argument("arguments", metavar="[-- CMD...]", nargs=-1, type=click.UNPROCESSED)
@click.option("--port", default=8888, show_default=True, type=click.IntRange(1, 65535), help="On 127.0.0.1.")
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1, 64), help="Nodes built at once.")
@click.pass_obj
def command(invocation: Invocation, select: str, arguments: tuple[str, ...], port: int, jobs: int) -> int:
    """JupyterLab, or CMD, in one image, this folder mounted at ~/work.

    What is not built yet is built first, on this machine and without pushing.
    """
    from hubstack.cli.build import build, known
    from hubstack.pipeline import prepare
    from hubstack.plan import Action

    inputs = prepare(invocation.project, invocation.lock, [select])
    if len(inputs.selection.nodes) != 1:
        raise UsageError(f"{select!r} is {len(inputs.selection.nodes)} images", hint="Name one, as STACK/VARIANT.")
    (node,) = inputs.selection.nodes
    plan = inputs.plan(known(invocation, push=False))
    if plan.by_node[node].action is not Action.REUSE and not build(invocation, inputs, push=False, jobs=jobs):
        return 1
    engine = invocation.engine()
    engine.check()
    fingerprint = inputs.fingerprint(node)
    layout = invocation.store.layout(fingerprint)
    if layout is not None:
        image = engine.load(layout, invocation.names.node(fingerprint))
    else:
        image = engine.pull(invocation.names.node(fingerprint))
    words = list(arguments) or ["jupyter", "lab", "--ip=0.0.0.0", "--no-browser"]
    publish = [] if arguments else [f"--publish=127.0.0.1:{port}:8888"]
    return engine.run(image, words, options=[*publish, f"--volume={Path.cwd()}:/home/jovyan/work"])
