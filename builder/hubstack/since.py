"""The project as it was at a commit, and what differs from it.

The state at a commit is read from git's objects into a folder of its own: the work tree is not touched. Both states are
rendered by this hubstack, so that a new release of it is no change.
"""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from hubstack import command
from hubstack.errors import CommandFailed, ProjectError, Severity, UsageError
from hubstack.fingerprint import difference
from hubstack.graph import drafts, needed, resolve
from hubstack.graph.select import Selection, select
from hubstack.lock import LOCK_FILE, Lock, read_lock
from hubstack.model import Graph, Project
from hubstack.pipeline import Inputs, prepare_nodes
from hubstack.project import SETTINGS, load_project
from hubstack.reference import Fingerprint
from hubstack.spelling import quote

_PARTS = frozenset([SETTINGS, LOCK_FILE, "base", "layers", "stacks", "profiles"])


@dataclass(frozen=True, kw_only=True)
class Past:
    """``inputs`` is None where there was no project, or one with faults; then ``fault`` says so."""

    ref: str
    inputs: Inputs | None
    fault: UsageError | None = None

    @cached_property
    def states(self) -> frozenset[tuple[Fingerprint, str]]:
        """What was to be built and tested then, whatever the nodes were called."""
        past = self.inputs
        return (
            frozenset((past.fingerprint(node), past.tests[node]) for node in past.identities) if past else frozenset()
        )

    def changed(self, now: Inputs, node: str) -> bool:
        """Whether the node, or what is tested of it, is not what was there then."""
        return (now.fingerprint(node), now.tests[node]) not in self.states


def read_past(root: Path, ref: str, nodes: Collection[str] | None = None) -> Past:
    """The project in ``root`` as it was at ``ref``: all of it, or ``nodes`` with what is below them.

    Raises UsageError where ``ref`` is no commit; that its project can't be used is said in the result.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commit = _commit(root, ref)
        try:
            _checkout(root, commit, folder, ref)
            return Past(ref=ref, inputs=_inputs(folder, nodes))
        except UsageError as error:
            return Past(ref=ref, inputs=None, fault=error)
        except ProjectError as error:
            first = next(problem for problem in error.problems if problem.severity is Severity.ERROR)
            return Past(ref=ref, inputs=None, fault=UsageError(f"the project at {ref} had faults", hint=str(first)))


def _inputs(folder: Path, nodes: Collection[str] | None) -> Inputs:
    project, _ = load_project(folder)
    lock = read_lock(folder / LOCK_FILE)
    graph = resolve(project)
    wanted = tuple(node for node in graph.nodes if nodes is None or node in nodes)
    return prepare_nodes(project, lock, graph, Selection(nodes=wanted, images=graph.images if nodes is None else ()))


def prepare_since(project: Project, lock: Lock, terms: Sequence[str], past: Past) -> Inputs:
    """Of what ``terms`` name, what has changed. Raises ProjectError and UsageError."""
    graph = resolve(project)
    selection = select_proposed(project, graph, terms, past)
    return narrowed(prepare_nodes(project, lock, graph, selection), selection, past)


def select_proposed(project: Project, graph: Graph, terms: Sequence[str], past: Past) -> Selection:
    """What ``terms`` name; without terms also layers of no image that somebody has worked on.

    So a layer that a pull request proposes is built and tested, by itself. Raises UsageError.
    """
    selection = select(project, graph, terms)
    if terms:
        return selection
    wanted = _proposed(project, graph, past).union(selection.nodes)
    return replace(selection, nodes=tuple(node for node in graph.nodes if node in wanted))


def narrowed(inputs: Inputs, selection: Selection, past: Past) -> Inputs:
    """``inputs`` with what has changed of ``selection``."""
    return replace(
        inputs,
        selection=Selection(
            nodes=tuple(node for node in selection.nodes if past.changed(inputs, node)),
            images=tuple(image for image in selection.images if past.changed(inputs, image.node)),
        ),
    )


def _proposed(project: Project, graph: Graph, past: Past) -> set[str]:
    """The nodes, each by itself, of layers that no image needs and whose own files are not what they were."""
    before: Mapping[str, object] = past.inputs.project.layers if past.inputs else {}
    withheld = drafts(project, graph)
    ready = (image.node for image in graph.images if image.variant.id not in withheld)
    used = {graph.nodes[one].layer for one in needed(graph, ready)}  # merges have none
    return {
        node
        for name, nodes in graph.alone.items()
        if name not in used and project.layers[name] != before.get(name)
        for node in nodes
        if node not in withheld
    }


def reasons(past: Past, now: Inputs) -> dict[str, str]:
    """Why each of the selected nodes and those below, parents first, has another fingerprint than at ``past``."""
    found: dict[str, str] = {}
    before = past.inputs
    for node in needed(now.graph, now.selection.nodes):
        if before is None or node not in before.identities:
            found[node] = f"new since {past.ref}"
        elif before.fingerprint(node) != now.fingerprint(node):
            was, identity = before.identities[node], now.identities[node]
            sources = before.sources(node), now.sources(node)
            found[node] = difference(was.facts, sources[0], identity.facts, sources[1])
    return found


def _commit(root: Path, ref: str) -> str:
    git = ["git", "-C", str(root)]
    try:
        shallow = command.output([*git, "rev-parse", "--is-shallow-repository"]).strip() == "true"
    except CommandFailed:
        raise UsageError(f"{root} is in no git repository", hint="--since compares with a commit.") from None
    try:
        return command.output([*git, "rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}"]).strip()
    except CommandFailed:
        hint = "Give a commit, a branch or a tag, as HEAD~1 or main."
        if shallow:
            hint += " This clone is shallow: `git fetch` it with a --depth that reaches there."
        raise UsageError(f"the git repository of {root} has no commit {quote(ref)}", hint=hint) from None


def _checkout(root: Path, commit: str, folder: Path, ref: str) -> None:
    """Put the project as it was at ``commit`` into ``folder``. Raises UsageError where there was none."""
    top = Path(command.output(["git", "-C", str(root), "rev-parse", "--show-toplevel"]).strip())
    below = root.relative_to(top).as_posix()
    # The tree of the project's own folder: its paths are the project's, wherever in the repository that is.
    tree = f"{commit}:{'' if below == '.' else below}"
    git = ["git", "-C", str(top)]
    archive = folder / "archive.tar"
    try:
        there = command.output([*git, "ls-tree", "-z", "--name-only", tree]).split("\0")
        parts = [name for name in there if name in _PARTS]
        command.output([*git, "archive", f"--output={archive}", tree, "--", *parts])
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except (CommandFailed, tarfile.TarError):
        parts = []
    if SETTINGS not in parts:
        raise UsageError(f"there was no project in {root} at {ref}")
    archive.unlink()
