"""``hubstack why``."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path

import click

from hubstack.cli.invocation import LOCK, SELECT_HELP, Invocation, echo_json, json_option, select_argument
from hubstack.errors import CommandFailed, UsageError


@click.command(
    "why",
    help=f"What a fingerprint is made of, or what changed it since a commit.\n\n{SELECT_HELP}",
    epilog="Example: hubstack why scipy/trixie --since HEAD~1",
)
@select_argument(required=True)
@click.option("--since", metavar="REF", help="A commit, branch or tag of the project's git repository.")
@json_option
@click.pass_obj
def command(invocation: Invocation, select: tuple[str, ...], since: str | None, as_json: bool) -> None:
    from hubstack.fingerprint import difference
    from hubstack.pipeline import prepare

    inputs = prepare(invocation.project, invocation.lock, select)
    if since is None:
        facts = {
            node: {
                "fingerprint": inputs.fingerprint(node),
                "facts": [[f.kind, f.name, f.value] for f in identity.facts],
            }
            for node, identity in inputs.identities.items()
            if node in inputs.selection.nodes
        }
        if as_json:
            echo_json(facts)
            return
        for node, identity in facts.items():
            click.echo(f"{node}  {identity['fingerprint']}")
            for kind, name, value in identity["facts"]:
                click.echo(f"  {kind:<12} {name:<40} {value}")
        return
    with tempfile.TemporaryDirectory() as folder:
        checkout(invocation.root, since, Path(folder))
        old = Invocation(folder=Path(folder), ca_bundle=None, registry=invocation.registry)
        before = prepare(old.project, old.lock, ("*", "layer:*"), missing_ok=True)
    rows = []
    for step in inputs.plan(None).steps:
        node, now = step.node.id, inputs.identities[step.node.id]
        was = before.identities.get(node)
        if was is None:
            rows.append((node, f"new since {since}"))
        elif was.fingerprint != now.fingerprint:
            sources = before.rendered[node].sources
            rows.append((node, difference(was.facts, sources, now.facts, inputs.rendered[node].sources)))
    if as_json:
        echo_json([{"node": node, "reason": reason} for node, reason in rows])
        return
    for node, reason in rows:
        click.echo(f"{node}  {reason}")
    if not rows:
        click.echo(f"nothing changed since {since}")


def checkout(root: Path, ref: str, folder: Path) -> None:
    """Put the project as it was at ``ref`` into ``folder``, without touching the work tree."""
    from hubstack import command as process

    try:
        top = Path(process.output(["git", "-C", str(root), "rev-parse", "--show-toplevel"]).strip())
        commit = process.output(
            ["git", "-C", str(root), "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"]
        ).strip()
    except CommandFailed:
        raise UsageError(f"{ref!r} is no commit of a git repository at {root}") from None
    inside = root.relative_to(top).as_posix()
    paths = [f"{inside}/{name}" for name in ("hubstack.yaml", LOCK, "base", "layers", "stacks", "profiles")]
    listed = process.output(["git", "-C", str(top), "ls-tree", "--name-only", commit, "--", *paths]).splitlines()
    archive = folder / "archive.tar"
    process.output(["git", "-C", str(top), "archive", f"--output={archive}", commit, "--", *listed])
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    archive.unlink()
