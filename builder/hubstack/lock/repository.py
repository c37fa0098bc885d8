"""The commits of repositories that stacks prebuild: in the lock, missing there, or asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from hubstack.errors import HubstackError, Problem, Severity
from hubstack.lock import LOCK_FILE, UPDATE, Lock
from hubstack.model import Layer, Project, Revision

Ask: TypeAlias = Callable[[str, str], str]
"""(address, ref) → the 40 digits of what that means now; an empty ref is the default branch. Raises HubstackError."""


def with_repository(project: Project) -> Iterator[Layer]:
    return (layer for layer in project.layers.values() if layer.repository is not None)


def revision_of(layer: Layer, lock: Lock) -> Revision | None:
    """The commit of a stack's repository; None where the lock has none of this address and ref."""
    found, wanted = lock.repositories.get(layer.name), layer.repository
    return found if found and wanted and (found.url, found.ref) == (wanted.url, wanted.ref) else None


def missing_revision(layer: Layer) -> Problem:
    """A warning: it is what can't be built, and everything else can."""
    what = f'the commit of "{layer.name}" is not in {LOCK_FILE}, so it can\'t be built'
    return Problem(position=layer.source.key("repository"), what=what, remedy=UPDATE, severity=Severity.WARNING)


def ask_revisions(layers: Sequence[Layer], lock: Lock, ask: Ask) -> tuple[dict[str, Revision], tuple[Problem, ...]]:
    """What the repositories' refs mean now, by stack; and a warning for each that could not be asked."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda layer: _ask(layer, ask), layers))
    both = list(zip(layers, answers, strict=True))
    found = {layer.name: answer for layer, answer in both if isinstance(answer, Revision)}
    return found, tuple(_unasked(layer, lock, answer) for layer, answer in both if isinstance(answer, str))


def _ask(layer: Layer, ask: Ask) -> Revision | str:
    """The answer, or why there is none."""
    repository = layer.repository
    assert repository is not None
    try:
        commit = ask(repository.url, repository.ref)
    except HubstackError as error:
        return f"{error.message}{error.hint and '. '}{error.hint}"
    return Revision(url=repository.url, ref=repository.ref, commit=commit)


def _unasked(layer: Layer, lock: Lock, why: str) -> Problem:
    old = revision_of(layer, lock)
    outcome = f"the commit of {layer.name} stays {old.commit[:12]}" if old else f"{layer.name} has no commit"
    position, what = layer.source.key("repository"), f"{outcome}: {why.rstrip('.')}"
    return Problem(position=position, what=what, severity=Severity.WARNING)
