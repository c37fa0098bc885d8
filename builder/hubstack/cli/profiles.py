"""``hubstack profiles``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import click

from hubstack.cli.invocation import Invocation, complete_hub, echo_json, examples, json_option, show_warnings
from hubstack.errors import ProjectError, Severity, UsageError
from hubstack.model import Hub


@click.command(
    "profiles",
    epilog=examples(
        "hubstack profiles demo --output dist/demo    write one hub's ConfigMap",
        "hubstack profiles --check                    for CI: would any of the committed ones change?",
    ),
)
@click.argument("hubs", metavar="[HUB]...", nargs=-1, shell_complete=complete_hub)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Default: profiles/emitted, which is committed.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a ConfigMap would change.")
@click.option(
    "--pull-config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The hubs' own credentials: the .dockerconfigjson of their pull secret.",
)
@json_option
@click.pass_obj
def command(
    invocation: Invocation,
    hubs: tuple[str, ...],
    output: Path | None,
    check: bool,
    pull_config: Path | None,
    as_json: bool,
) -> int:
    """Write the hubs' ConfigMaps: what people can choose, with the digests that the registry has now.

    A hub without a pull secret is asked for without credentials: what it could not pull, it is not offered.
    """
    rows = emit(invocation, hubs, output, check=check, pull_config=pull_config)
    if as_json:
        echo_json(rows)
    else:
        show(rows, check=check)
    return 1 if check and any(row["changed"] for row in rows) else 0


def show(rows: Sequence[Mapping[str, Any]], *, check: bool = False) -> None:
    for row in rows:
        verdict = ("would change" if check else "written") if row["changed"] else "unchanged"
        click.echo(f"{row['path']}: {verdict}")
        for line in row["changes"]:
            click.echo(f"  {line}")


def emit(
    invocation: Invocation,
    wanted: Sequence[str],
    output: Path | None,
    *,
    check: bool = False,
    pull_config: Path | None = None,
) -> list[dict[str, Any]]:
    """What changes in each hub's ConfigMap. Nothing is written unless every hub's is good, or with ``check``."""
    from hubstack.hub.configmap import EMITTED, changes, parse_configmap, write_if_changed

    folder = output or invocation.root / EMITTED
    texts = [(hub, render(invocation, hub, pull_config)) for hub in chosen(invocation, wanted)]
    rows = []
    for hub, text in texts:
        path = folder / f"{hub.name}.yaml"
        before = parse_configmap(path.read_text(encoding="utf-8"), str(path)) if path.is_file() else None
        lines = changes(before, parse_configmap(text, str(path)))
        changed = not path.is_file() or path.read_text(encoding="utf-8") != text
        if not check:
            write_if_changed(path, text)
        rows.append({"hub": hub.name, "path": os.path.relpath(path), "changed": changed, "changes": lines})
    return rows


def chosen(invocation: Invocation, wanted: Sequence[str]) -> list[Hub]:
    from hubstack.spelling import did_you_mean, enumerate_words, quote

    hubs = invocation.project.hubs
    for name in wanted:
        if name not in hubs:
            hint = f"There {'is' if len(hubs) == 1 else 'are'} {enumerate_words(hubs, 'and')}." if hubs else ""
            raise UsageError(f"there is no hub {quote(name)}{did_you_mean(name, hubs)}", hint=hint)
    return [hub for name, hub in hubs.items() if not wanted or name in wanted]


def render(invocation: Invocation, hub: Hub, pull_config: Path | None) -> str:
    """The hub's ConfigMap with today's digests. Raises ProjectError and RegistryError."""
    from hubstack.hub.check import check_hubs
    from hubstack.hub.choice import offers
    from hubstack.hub.configmap import load_emitted, render_configmap
    from hubstack.hub.profiles import values
    from hubstack.hub.pull import Pull
    from hubstack.pipeline import prepare
    from hubstack.registry.credentials import anonymous, credentials_file

    project = invocation.project
    emitted = load_emitted(invocation.root, hub)
    inputs = prepare(project, invocation.lock, ())
    problems = check_hubs(project, inputs.graph, {hub.name: emitted} if emitted else {})
    mine = [problem for problem in problems if problem.position.path == hub.source.path]
    if any(problem.severity is Severity.ERROR for problem in mine):
        raise ProjectError(mine)
    show_warnings(mine)
    offered = offers(project, inputs.graph, hub, emitted)
    look_up = credentials_file(pull_config) if pull_config else None if hub.pull_secret else anonymous
    client = cache(partial(invocation.client, look_up=look_up))
    expected = {
        (image.variant.stack, image.variant.name): invocation.names.published(
            image.variant.stack, image.variant.name, inputs.fingerprint(image.node)
        )
        for image in inputs.selection.images
    }
    images = Pull(names=invocation.names, client=client).images(hub, offered, expected)
    return render_configmap(hub, values(hub, offered, images))
