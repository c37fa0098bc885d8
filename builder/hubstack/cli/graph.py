"""``hubstack graph``."""

from __future__ import annotations

import click

from hubstack.cli.invocation import SELECT_HELP, Invocation, examples, json_option, select_argument


@click.command(
    "graph",
    help="The graph of layers and stacks.\n\nNodes that differ only in values are drawn as one; --nodes draws each, "
    f"--json always holds each.\n\n{SELECT_HELP}",
    epilog=examples(
        "hubstack graph                                a tree of text",
        "hubstack graph --format svg > graph.svg       a picture",
        "hubstack graph 'scipy/*' --format mermaid     for a page on GitHub or GitLab",
    ),
)
@select_argument()
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid", "svg", "json"]),
    default="text",
    show_default=True,
    help="json: as networkx reads it.",
)
@click.option("--nodes", is_flag=True, help="Draw every node by itself.")
@json_option
@click.pass_obj
def command(invocation: Invocation, select: tuple[str, ...], form: str, nodes: bool, as_json: bool) -> None:
    from hubstack import picture
    from hubstack.graph import resolve
    from hubstack.graph.select import select as choose

    project = invocation.project
    graph = resolve(project)
    selection = choose(project, graph, select)
    if as_json or form == "json":
        click.echo(picture.graph_json(project, graph, selection), nl=False)
        return
    draw = {"text": picture.graph_text, "mermaid": picture.graph_mermaid, "svg": picture.graph_svg}[form]
    click.echo(draw(project, graph, selection, nodes=nodes), nl=False)
