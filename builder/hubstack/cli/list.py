"""``hubstack list``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from hubstack.cli.invocation import Invocation, echo_json, examples, json_option
from hubstack.model import Graph, Project, Variable


@click.command(
    "list",
    epilog=examples(
        "hubstack list           names, and what each is",
        "hubstack list --json    also labels, defaults, requirements and drafts' reasons",
    ),
)
@json_option
@click.pass_obj
def command(invocation: Invocation, as_json: bool) -> None:
    """Stacks with their variants, bases and layers with their variables, and hubs."""
    from hubstack.graph import resolve

    project = invocation.project
    listing = list_json(project, resolve(project))
    if as_json:
        echo_json(listing)
        return
    for kind in ("stacks", "bases", "layers", "hubs"):
        click.echo(f"{kind}:")
        for entry in listing[kind]:
            click.echo(_line(entry))


def list_json(project: Project, graph: Graph) -> dict[str, Any]:
    variants: dict[str, dict[str, None]] = {name: {} for name in project.stacks}
    for image in graph.images:
        variants[image.variant.stack][image.variant.name] = None
    layers = {
        kind: [
            {
                "name": layer.name,
                "about": layer.summary,
                "draft": layer.draft,
                "requires": list(layer.requires),
                "provides": list(layer.provides),
                "owners": list(layer.owners),
                "variables": [_variable(one) for one in layer.variables.values()],
            }
            for layer in project.layers.values()
            if layer.kind == kind
        ]
        for kind in ("base", "layer")
    }
    return {
        "stacks": [
            {
                "name": stack.name,
                "about": stack.title,
                "description": stack.description,
                "draft": stack.draft,
                "layers": list(stack.layers),
                "options": [asdict(option) for option in stack.options],
                "repository": asdict(stack.repository) if stack.repository else None,
                "variants": list(variants[stack.name]),
            }
            for stack in project.stacks.values()
        ],
        "bases": layers["base"],
        "layers": layers["layer"],
        "hubs": [
            {"name": hub.name, "about": f"{hub.namespace}/{hub.configmap}", "profiles": [p.slug for p in hub.profiles]}
            for hub in project.hubs.values()
        ],
    }


def _variable(variable: Variable) -> dict[str, Any]:
    return {
        "name": variable.name,
        "type": variable.type,
        "default": variable.default,
        "choices": dict(variable.choices),
        "help": variable.help,
    }


def _option(option: dict[str, Any]) -> str:
    several = f" (at most {option['at_most']})" if option["any_of"] else ""
    return f"{option['name']}={'|'.join(option['one_of']) or '+'.join(option['any_of'])}{several}"


def _line(entry: dict[str, Any]) -> str:
    variants = [f"{len(entry['variants'])} variants"] if entry.get("options") else entry.get("variants", ())
    details = [*variants, *map(_option, entry.get("options", ())), *entry.get("profiles", ())]
    details += [f"{repository['url']} on {repository['stack']}"] if (repository := entry.get("repository")) else []
    details += [f"{one['name']}={'|'.join(one['choices']) or one['type']}" for one in entry.get("variables", ())]
    draft = " (draft)" if entry.get("draft") else ""
    tail = f"  [{', '.join(details)}]" if details else ""
    return f"  {entry['name']:<16} {entry['about']}{draft}{tail}"
