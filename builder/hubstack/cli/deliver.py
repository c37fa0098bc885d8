"""``hubstack deliver``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubstack.cli.invocation import Invocation, complete_hub, echo_json, examples, json_option
from hubstack.errors import UsageError

if TYPE_CHECKING:
    from hubstack.ci.delivery import Delivery

_FOLDER = re.compile(r"(?!-)[\w.@+-]+(?:/[\w.@+-]+)*")


@click.command(
    "deliver",
    epilog=examples(
        "hubstack deliver git@example.org:ops/cluster.git --path apps/jupyterhub",
        "hubstack deliver https://example.org/ops/cluster.git --branch hubstack/profiles --base main",
        "hubstack deliver ../cluster --from dist --hub demo --dry-run",
    ),
)
@click.argument("repository", metavar="REPOSITORY")
@click.option("--branch", default="", metavar="BRANCH", help="Default: the repository's own.")
@click.option(
    "--base",
    default="",
    metavar="BRANCH",
    help="For a pull request: --branch begins anew at this one, and is removed when there is nothing to ask for.",
)
@click.option("--path", "folder", default="", metavar="DIR", help="The folder there. Default: the topmost.")
@click.option(
    "--from",
    "source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the ConfigMaps are, as `profiles --output` writes them. Default: profiles/emitted.",
)
@click.option(
    "--hub", "hubs", multiple=True, metavar="HUB", shell_complete=complete_hub, help="Only this hub's. Repeatable."
)
@click.option("--message", default="", metavar="TEXT", help="The commit's message; its last line is added.")
@click.option("--dry-run", is_flag=True, help="Push nothing; say what would be.")
@json_option
@click.pass_obj
def command(
    invocation: Invocation,
    repository: str,
    branch: str,
    base: str,
    folder: str,
    source: Path | None,
    hubs: tuple[str, ...],
    message: str,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Commit the hubs' ConfigMaps to a GitOps repository, from which Flux takes them, and push.

    Only when bytes have changed, and never an older commit's over a newer one's. Credentials are git's business: its
    helpers, GIT_ASKPASS, SSH.
    """
    from hubstack.ci.delivery import Origin, Target, deliver

    if base and (not branch or branch == base):
        raise click.UsageError("--base needs another --branch: the one that asks to be merged there.")
    files = _files(invocation, source, hubs, folder.strip("/"))
    origin = Origin.at(invocation.root)
    if (local := Path(repository)).is_dir():
        repository = str(local.resolve())
    target = Target(repository=repository, branch=branch, base=base)
    delivery = deliver(
        target,
        files,
        origin,
        message=message or f"hubstack: ConfigMaps of {', '.join(Path(path).stem for path in files)}",
        dry_run=dry_run,
        ca_bundle=invocation.ca_bundle,
    )
    if as_json:
        echo_json(
            {
                "branch": delivery.branch,
                "base": base or None,
                "commit": delivery.commit if delivery.commit and not dry_run else None,
                "source": origin.commit,
                "changed": list(delivery.changed),
                "pull_request": delivery.asks,
            }
        )
    else:
        _show(files, delivery, dry_run=dry_run)
    return 0


def _files(invocation: Invocation, source: Path | None, wanted: tuple[str, ...], folder: str) -> dict[str, bytes]:
    """Path there → content, for each hub that has one. Raises UsageError, and ProjectError where one is no ConfigMap."""
    from hubstack.cli.profiles import chosen
    from hubstack.hub.configmap import EMITTED, parse_configmap

    if folder and (not _FOLDER.fullmatch(folder) or {".", "..", ".git"} & set(folder.split("/"))):
        raise UsageError(f"--path {folder!r} is no folder of a repository", hint="Write it as apps/jupyterhub.")
    place = source or invocation.root / EMITTED
    found: dict[str, bytes] = {}
    for hub in chosen(invocation, wanted):
        file = place / f"{hub.name}.yaml"
        if file.is_file():
            content = file.read_bytes()
            try:
                parse_configmap(content.decode(), str(file))
            except UnicodeDecodeError:
                raise UsageError(f"{file} is no text", hint=f"Write it anew: hubstack profiles {hub.name}") from None
            found["/".join(filter(None, (folder, file.name)))] = content
        elif wanted:
            raise UsageError(f"there is no {file}", hint=f"Write it: hubstack profiles {hub.name}")
    if not found:
        raise UsageError(f"there is no hub's ConfigMap in {place}", hint="Write them: hubstack profiles")
    return found


def _show(files: Mapping[str, bytes], delivery: Delivery, *, dry_run: bool) -> None:
    for path in files:
        word = ("would change" if dry_run else "delivered") if path in delivery.changed else "unchanged"
        click.echo(f"{path}: {word}")
    if delivery.commit and not dry_run:
        click.echo(f"pushed {delivery.commit[:12]} to {delivery.branch}", err=True)
    if delivery.asks:
        click.echo(f"to be merged: {delivery.branch}", err=True)
