"""``hubstack render``."""

from __future__ import annotations

from pathlib import Path

import click

from hubstack.cli.invocation import (
    SELECT_HELP,
    Invocation,
    complete_layer,
    echo_json,
    examples,
    json_option,
    select_argument,
)
from hubstack.errors import UsageError
from hubstack.model import SourceFile


@click.command(
    "render",
    help=f"The Dockerfiles exactly as they will be built, parents first.\n\n{SELECT_HELP}",
    epilog=examples(
        "hubstack render minimal --layer jupyterlab    one Dockerfile",
        "hubstack render minimal --output out          all of them, with what each is built from",
    ),
)
@select_argument(required=True)
@click.option("--layer", metavar="NAME", shell_complete=complete_layer, help="Only this layer's.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write each node's Dockerfile and build context to DIR/NODE/.",
)
@json_option
@click.pass_obj
def command(
    invocation: Invocation, select: tuple[str, ...], layer: str | None, output: Path | None, as_json: bool
) -> None:
    from hubstack.pipeline import prepare
    from hubstack.spelling import did_you_mean, enumerate_words, quote

    inputs = prepare(invocation.project, invocation.lock, select)
    nodes = [step.node for step in inputs.plan(None).steps if not step.node.is_merge]
    if layer is not None:
        names = {node.layer for node in nodes}
        if layer not in names:
            hint = f"It has {enumerate_words(sorted(names), 'and')}."
            raise UsageError(f"{' '.join(select)} has no layer {quote(layer)}{did_you_mean(layer, names)}", hint=hint)
        nodes = [node for node in nodes if node.layer == layer]
    if as_json:
        echo_json({node.id: inputs.rendered[node.id].dockerfile for node in nodes})
    elif output is not None:
        for node in nodes:
            _write(output / node.id, inputs.rendered[node.id].dockerfile, inputs.rendered[node.id].context)
            click.echo(output / node.id)
    else:
        for node in nodes:
            click.echo(f"# === {node.id}")
            click.echo(inputs.rendered[node.id].dockerfile)


def _write(folder: Path, dockerfile: str, context: tuple[SourceFile, ...]) -> None:
    for file in (SourceFile(path="Dockerfile", content=dockerfile.encode()), *context):
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if file.link is not None:
            path.symlink_to(file.link)
            continue
        path.write_bytes(file.content)
        path.chmod(0o755 if file.executable else 0o644)
