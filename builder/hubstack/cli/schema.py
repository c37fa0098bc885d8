"""``hubstack schema``."""

from __future__ import annotations

from pathlib import Path

import click

from hubstack.cli.invocation import echo_json, examples


@click.command("schema", epilog=examples("hubstack schema --output .schemas    a file for each kind, and its name"))
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write them here. Default: print all as one JSON object, by file name.",
)
def command(output: Path | None) -> None:
    """JSON Schemas of the project's files, for editors.

    With the YAML language server a first line `# yaml-language-server: $schema=../.schemas/stack.schema.json` takes one.
    """
    from hubstack.schema import render_schemas, schemas

    if output is None:
        echo_json({f"{name}.schema.json": schema for name, schema in schemas().items()})
        return
    output.mkdir(parents=True, exist_ok=True)
    for name, text in render_schemas().items():
        (output / name).write_text(text, encoding="utf-8")
        click.echo(output / name)
