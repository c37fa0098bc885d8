"""``hubstack why``."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubstack.cli.invocation import (
    LOCK,
    SELECT_HELP,
    SETTINGS,
    Invocation,
    echo_json,
    examples,
    json_option,
    select_argument,
)
from hubstack.errors import CommandFailed, ProjectError, Severity, UsageError
from hubstack.spelling import quote

if TYPE_CHECKING:
    from hubstack.pipeline import Inputs

_PARTS = frozenset([SETTINGS, LOCK, "base", "layers", "stacks", "profiles"])


@click.command(
    "why",
    help=f"What a fingerprint is made of, or what changed it since a commit.\n\n{SELECT_HELP}",
    epilog=examples(
        "hubstack why minimal                     every fact behind the fingerprint",
        "hubstack why 'scipy/*' --since HEAD~1    the nodes that a commit changed, each with its reason",
    ),
)
@select_argument(required=True)
@click.option("--since", metavar="REF", help="A commit, branch or tag of the project's git repository.")
@json_option
@click.pass_obj
def command(invocation: Invocation, select: tuple[str, ...], since: str | None, as_json: bool) -> None:
    from hubstack.pipeline import prepare

    inputs = prepare(invocation.project, invocation.lock, select)
    if since is None:
        _show_facts(inputs, as_json=as_json)
        return
    with tempfile.TemporaryDirectory() as folder:
        checkout(invocation.root, since, Path(folder))
        changed = _changes(_before(Path(folder), since, inputs), inputs, since)
    if as_json:
        echo_json([{"node": node, "reason": reason} for node, reason in changed.items()])
        return
    for node, reason in changed.items():
        click.echo(f"{node}  {reason}")
    if not changed:
        click.echo(f"nothing changed since {since}")


def _show_facts(inputs: Inputs, *, as_json: bool) -> None:
    selected = {node: inputs.identities[node] for node in inputs.selection.nodes}
    if as_json:
        echo_json(
            {
                node: {
                    "fingerprint": identity.fingerprint,
                    "facts": [[fact.kind, fact.name, fact.value] for fact in identity.facts],
                }
                for node, identity in selected.items()
            }
        )
        return
    for node, identity in selected.items():
        click.echo(f"{node}  {identity.fingerprint}")
        for fact in identity.facts:
            click.echo(f"  {fact.kind:<12} {fact.name:<40} {fact.value}")


def _before(folder: Path, since: str, now: Inputs) -> Inputs:
    """What ``now`` is about, in the project in ``folder``, which was checked out from ``since``."""
    from hubstack.graph import resolve
    from hubstack.graph.select import Selection
    from hubstack.pipeline import prepare_nodes

    old = Invocation(folder=folder, ca_bundle=None, registry=None)
    try:
        graph = resolve(old.project)
        nodes = tuple(node for node in graph.nodes if node in now.identities)
        return prepare_nodes(old.project, old.lock, graph, Selection(nodes=nodes, images=()))
    except ProjectError as error:
        fault = next(problem for problem in error.problems if problem.severity is Severity.ERROR)
        raise UsageError(f"the project at {since} had faults", hint=str(fault)) from None


def _changes(before: Inputs, now: Inputs, since: str) -> dict[str, str]:
    """The reason for each node, parents before children, whose fingerprint is not what it was."""
    from hubstack.fingerprint import difference
    from hubstack.graph import needed

    found: dict[str, str] = {}
    for node in needed(now.graph, now.selection.nodes):
        was, identity = before.identities.get(node), now.identities[node]
        if was is None:
            found[node] = f"new since {since}"
        elif was.fingerprint != identity.fingerprint:
            sources = before.rendered[node].sources, now.rendered[node].sources
            found[node] = difference(was.facts, sources[0], identity.facts, sources[1])
    return found


def checkout(root: Path, ref: str, folder: Path) -> None:
    """Put the project as it was at ``ref`` into ``folder``, without touching the work tree. Raises UsageError."""
    from hubstack import command as process

    git = ["git", "-C", str(root)]
    try:
        top = Path(process.output([*git, "rev-parse", "--show-toplevel"]).strip())
    except CommandFailed:
        raise UsageError(f"{root} is in no git repository", hint="--since compares with a commit.") from None
    try:
        commit = process.output([*git, "rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}"]).strip()
    except CommandFailed:
        hint = "Give a commit, a branch or a tag, as HEAD~1 or main."
        raise UsageError(f"the git repository of {root} has no commit {quote(ref)}", hint=hint) from None
    below = root.relative_to(top).as_posix()
    # The tree of the project's own folder: its paths are the project's, wherever in the repository that is.
    tree = f"{commit}:{'' if below == '.' else below}"
    git = ["git", "-C", str(top)]
    archive = folder / "archive.tar"
    try:
        there = process.output([*git, "ls-tree", "-z", "--name-only", tree]).split("\0")
        parts = [name for name in there if name in _PARTS]
        process.output([*git, "archive", f"--output={archive}", tree, "--", *parts])
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except (CommandFailed, tarfile.TarError):
        parts = []
    if SETTINGS not in parts:
        raise UsageError(f"there was no project in {root} at {ref}")
    archive.unlink()
