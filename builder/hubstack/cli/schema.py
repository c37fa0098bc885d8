"""``hubstack schema``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("schema", epilog="Example: hubstack schema --output .schemas")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Default: print them.")
def command(output: Path | None) -> None:
    """JSON Schemas of the project's files, for editors."""
    from hubstack.schema import render_schemas

    for name, text in render_schemas().items():
        if output is None:
            click.echo(text)
            continue
        output.mkdir(parents=True, exist_ok=True)
        (output / name).write_text(text, encoding="utf-8")
        click.echo(output / name)
