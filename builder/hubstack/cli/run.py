"""``hubstack run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubstack.cli.invocation import Invocation, complete_select, examples
from hubstack.errors import UsageError

if TYPE_CHECKING:
    from hubstack.pipeline import Inputs

WORK = "/home/jovyan/work"
QUIET_TINI = "--env=TINI_SUBREAPER=1"  # many images have a tini of their own, which complains below docker's
NOT_FOUND = 127  # docker run's exit code where the image has no such command
JOBS = 2  # at once: more can't be, but where a layer copies from others


class _Run(click.Command):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            place = "A command with options stands behind --: hubstack run SELECT -- CMD..."
            raise click.NoSuchOption(error.option_name, f"{error.message} {place}", error.possibilities, ctx) from None


@click.command(
    "run",
    cls=_Run,
    epilog=examples(
        "hubstack run minimal                                 JupyterLab on http://127.0.0.1:8888",
        "hubstack run layer:octave -- octave --eval ver       a command, in a layer by itself",
        "hubstack run scipy/trixie-4.5 --port 9000            a stack with a matrix needs its variant",
    ),
)
@click.argument("select", metavar="SELECT", shell_complete=complete_select)
@click.argument("arguments", metavar="[-- CMD...]", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--port", default=8888, show_default=True, type=click.IntRange(1, 65535), help="JupyterLab's, on 127.0.0.1."
)
@click.pass_obj
def command(invocation: Invocation, select: str, arguments: tuple[str, ...], port: int) -> int:
    """JupyterLab, or CMD, in one image, this folder mounted at ~/work.

    SELECT is STACK/VARIANT, a STACK that has one variant, or layer:NAME. What is not built yet is built first, on this
    machine and without pushing. An image without JupyterLab needs a CMD.
    """
    from hubstack.cli.build import build, known
    from hubstack.pipeline import prepare
    from hubstack.plan import Action

    inputs = prepare(invocation.project, invocation.lock, [select]).on(invocation.platform)
    node = _only(inputs, select)
    plan = inputs.plan(known(invocation, push=False))
    if plan.by_node[node].action is not Action.REUSE and not build(invocation, inputs, push=False, jobs=JOBS):
        return 1
    engine = invocation.engine()
    engine.check()
    fingerprint = inputs.fingerprint(node)
    layout = invocation.store.layout(fingerprint)
    name = invocation.names.node(fingerprint)
    image = engine.load(layout, name) if layout is not None else engine.pull(name)
    options = [f"--volume={Path.cwd()}:{WORK}", QUIET_TINI]
    if arguments:
        return engine.run(image, arguments, options=options)
    lab = ["jupyter", "lab", "--ip=0.0.0.0", f"--port={port}", "--no-browser"]
    code = engine.run(image, lab, options=[f"--publish=127.0.0.1:{port}:{port}", *options])
    if code == NOT_FOUND:
        click.echo(f"{select} has no JupyterLab. Give a command: hubstack run {select} -- bash", err=True)
    return code


def _only(inputs: Inputs, select: str) -> str:
    from hubstack.spelling import enumerate_words

    nodes = inputs.selection.nodes
    if len(nodes) == 1:
        return nodes[0]
    names = [image.variant.id for image in inputs.selection.images]
    hint = f"Choose {enumerate_words(names)}." if names else "Leave out the +."
    raise UsageError(f"{select} is {len(nodes)} images", hint=hint)
