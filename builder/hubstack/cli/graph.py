"""``hubstack graph``."""

from __future__ import annotations

import click

from hubstack.cli.invocation import SELECT_HELP, Invocation, select_argument


@click.command(
    "graph",
    help=f"The graph of layers and stacks.\n\n{SELECT_HELP}",
    epilog="Example: hubstack graph --format svg > graph.svg",
)
@select_argument()
@click.option(
    "--format", "form", type=click.Choice(["text", "mermaid", "svg", "json"]), default="text", show_default=True
)
@click.pass_obj
def command(invocation: Invocation, select: tuple[str, ...], form: str) -> None:
    from hubstack import picture
    from hubstack.graph import resolve
    from hubstack.select import select as choose

    project = invocation.project
    graph = resolve(project)
    draw = {
        "text": picture.graph_text,
        "mermaid": picture.graph_mermaid,
        "svg": picture.graph_svg,
        "json": picture.graph_json,
    }[form]
    click.echo(draw(project, graph, choose(project, graph, select)), nl=False)
