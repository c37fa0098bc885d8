"""``hubstack update``: what the tree asks of the outside → a new lock. The only verb that asks an index or a clock.

A whole update moves everything as far as the requirements let it. A limited one touches the sections that it is about:
there it moves what it names, adds what the tree newly asks for, drops what is gone, and leaves the rest as it stands.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from hubstack.errors import CommandFailed, HubstackError, Problem, ProjectError, RegistryError, Severity, UsageError
from hubstack.lock import Demand, Lock, Upstream, pins_for
from hubstack.lock.archive import Run, ask_archive
from hubstack.lock.generation import Generation
from hubstack.lock.ledger import Ledger, enter
from hubstack.lock.repository import Ask, ask_revisions, revision_of, with_repository
from hubstack.lock.resolution import (
    Package,
    PythonInput,
    Request,
    Resolution,
    Scope,
    canonical,
    line_problem,
    requests,
    roots,
)
from hubstack.lock.uvlock import blamed, explanation, parse_lock, render_preferences, render_project
from hubstack.model import Project, Refresh, Revision
from hubstack.reference import Digest, ImageRef
from hubstack.source import Position
from hubstack.spelling import did_you_mean, quote

RESOLVE_DEADLINE_S = 900
SECTIONS = ("python", "images", "epochs", "repositories", "debian", "ids")
_LAYER, _REPOSITORY = "layer:", "repository:"


def _nobody_knows(url: str, _ref: str) -> str:
    raise HubstackError(f"there is no git to ask {url} by")


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What an update may ask. ``resolve_image`` gives None for an image that isn't there, or raises RegistryError."""

    today: date
    run: Run
    resolve_image: Callable[[ImageRef], Digest | None]
    env: Mapping[str, str]  # uv's whole environment: which indexes it asks is the machine's setting
    say: Callable[[str], None]  # what is being asked, for people who wait
    find_commit: Ask = _nobody_knows
    accounts: Callable[[], Mapping[str, frozenset[str]]] = dict  # layer → users and groups that built nodes have made


@dataclass(frozen=True, kw_only=True)
class Updated:
    lock: Lock
    warnings: tuple[
        Problem, ...
    ] = ()  # images and repositories that could not be pinned, packages that could not be resolved


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What may move. A section that is named (or chosen by default) moves as a whole."""

    sections: frozenset[str] = frozenset()
    packages: frozenset[str] = frozenset()
    layers: frozenset[str] = frozenset()
    repositories: frozenset[str] = frozenset()  # of these stacks

    @property
    def resolves(self) -> bool:
        return "python" in self.sections or bool(self.packages or self.layers)


def update(demand: Demand, lock: Lock, outside: Outside, only: Sequence[str] = ()) -> Updated:
    """The new lock. ``only`` names what may move: one of SECTIONS, PACKAGE, layer:NAME or repository:STACK; empty: all.

    Raises ProjectError for requirements that can't be met together or can't be read, UsageError for a word in ``only``
    that nothing has, HubstackError where the index can't be asked, or a registry or repository that ``only`` is about.
    """
    choice = choose(only, demand, lock)
    python = _Packages(demand, lock, outside, choice).resolve() if choice.resolves else lock.python
    images, unpinned = _images(demand, lock, outside, choice)
    repositories, unasked = _repositories(demand.project, lock, outside, choice)
    debian, unresolved = _debian(demand, lock, outside, choice)
    ids, uncounted = _ids(demand.project, lock, outside, choice)
    wanted = (
        *(unpinned if "images" in only else ()),
        *(unasked if only else ()),
        *(unresolved if "debian" in only and debian == lock.debian else ()),
        *(uncounted if "ids" in only else ()),
    )
    if wanted:
        raise HubstackError("\n".join(f"{warning.position}: {warning.what}." for warning in wanted))
    epochs = _epochs(demand.project, lock, outside.today, choice)
    new = Lock(images=images, epochs=epochs, python=python, repositories=repositories, ids=ids, debian=debian)
    return Updated(lock=new, warnings=(*unpinned, *unasked, *unresolved, *uncounted))


def choose(only: Sequence[str], demand: Demand, lock: Lock) -> Choice:
    if not only:
        return Choice(sections=frozenset(SECTIONS))
    layers = {word.removeprefix(_LAYER) for word in only if word.startswith(_LAYER)}
    stacks = {word.removeprefix(_REPOSITORY) for word in only if word.startswith(_REPOSITORY)}
    rest = {word for word in only if not word.startswith((_LAYER, _REPOSITORY))}
    packages = {canonical(word) for word in rest.difference(SECTIONS)}
    repositories = {layer.name for layer in with_repository(demand.project)}
    _refuse_unknown(layers, demand.project.layers.keys() - repositories, "layer")
    _refuse_unknown(stacks, repositories, "stack with a repository that is called")
    _refuse_unknown(packages, _known_packages(demand, lock), "package in the lock")
    return Choice(
        sections=frozenset(rest.intersection(SECTIONS)),
        packages=frozenset(packages),
        layers=frozenset(layers),
        repositories=frozenset(stacks),
    )


def _refuse_unknown(words: Iterable[str], known: Iterable[str], kind: str) -> None:
    known = set(known)
    for word in sorted(words):
        if word not in known:
            hint = f"--only takes {', '.join(SECTIONS)}, a package's name, layer:NAME, or repository:STACK."
            raise UsageError(f"there is no {kind} {quote(word)}{did_you_mean(word, known)}", hint=hint)


def _known_packages(demand: Demand, lock: Lock) -> set[str]:
    _refuse_unreadable(demand.inputs.values())
    known = {name for resolution in lock.python.values() for name in resolution.packages}
    for request in requests(demand.project, demand.graph, demand.inputs):
        lines = (line for some in request.requirements.values() for line in some)
        known.update(root for line in lines for root in roots(line, request.scope)[:1])
    return known


def _refuse_unreadable(inputs: Iterable[PythonInput]) -> None:
    lines = {one for asked in inputs for one in asked.requirements()}
    problems = [problem for line, position in lines if (problem := line_problem(line, position)) is not None]
    if problems:
        raise ProjectError(problems)


# --- epochs, images and repositories -----------------------------------------------------------------------------------


def epoch(refresh: Refresh, today: date) -> str:
    """The first day of ``today``'s week or month."""
    start = today.replace(day=1) if refresh is Refresh.MONTHLY else today - timedelta(days=today.weekday())
    return start.isoformat()


def _epochs(project: Project, lock: Lock, today: date, choice: Choice) -> Mapping[str, str]:
    refreshed = {layer.name: layer.refresh for layer in project.layers.values() if layer.refresh is not Refresh.NEVER}
    moves = {name for name in refreshed if "epochs" in choice.sections or name in choice.layers}
    if not moves:
        return lock.epochs
    kept = {name: lock.epochs[name] for name in refreshed if name in lock.epochs}
    return dict(sorted((kept | {name: epoch(refreshed[name], today) for name in moves}).items()))


def _images(
    demand: Demand, lock: Lock, outside: Outside, choice: Choice
) -> tuple[Mapping[str, Digest], tuple[Problem, ...]]:
    """The digests, and a warning for each reference that could not be asked for; its old digest stays."""
    wanted = {one.reference: one for one in demand.upstream if "@" not in one.reference}
    moves = [one for one in wanted.values() if "images" in choice.sections or one.layer in choice.layers]
    if not moves:
        return lock.images, ()
    outside.say(f"asking for {len(moves)} upstream image{'s' * (len(moves) > 1)}")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda one: _digest(one, outside), moves))
    digests = {name: lock.images[name] for name in wanted if name in lock.images}
    digests |= {one.reference: answer for one, answer in zip(moves, answers, strict=True) if isinstance(answer, Digest)}
    warnings = (
        _unpinned(one, answer, lock.images.get(one.reference))
        for one, answer in zip(moves, answers, strict=True)
        if not isinstance(answer, Digest)
    )
    return dict(sorted(digests.items())), tuple(warnings)


def _digest(one: Upstream, outside: Outside) -> Digest | str:
    """The digest, or why there is none."""
    try:
        return outside.resolve_image(ImageRef.parse(one.reference)) or "its registry has no such image"
    except RegistryError as error:
        return error.message
    except ValueError as error:
        return str(error)


def _unpinned(one: Upstream, why: str, old: Digest | None) -> Problem:
    outcome = f"its digest stays {old[:19]}" if old else "it has no digest"
    what = f"{one.reference} could not be asked for, so {outcome}: {why.rstrip('.')}"
    return Problem(position=one.position, what=what, severity=Severity.WARNING)


def _repositories(
    project: Project, lock: Lock, outside: Outside, choice: Choice
) -> tuple[Mapping[str, Revision], tuple[Problem, ...]]:
    """The commits, and a warning for each repository that could not be asked; its old commit stays."""
    everything = "repositories" in choice.sections
    wanted = {layer.name: layer for layer in with_repository(project)}
    moves = [layer for name, layer in wanted.items() if everything or name in choice.repositories]
    if not (moves or everything):
        return lock.repositories, ()
    if moves:
        outside.say(f"asking for {len(moves)} repositor{'ies' if len(moves) > 1 else 'y'}")
    kept = {name: old for name, layer in wanted.items() if (old := revision_of(layer, lock)) is not None}
    asked, warnings = ask_revisions(moves, lock, outside.find_commit)
    return dict(sorted((kept | asked).items())), warnings


# --- Debian's packages, and ids ----------------------------------------------------------------------------------------


def _debian(
    demand: Demand, lock: Lock, outside: Outside, choice: Choice
) -> tuple[Mapping[str, Generation], tuple[Problem, ...]]:
    if "debian" not in choice.sections:
        return lock.debian, ()
    return ask_archive(demand, lock.debian, outside.run, outside.env, outside.say)


def _ids(project: Project, lock: Lock, outside: Outside, choice: Choice) -> tuple[Ledger, tuple[Problem, ...]]:
    """What built layers have made is in a registry, which a project may not have yet."""
    if "ids" not in choice.sections:
        return lock.ids, ()
    try:
        return enter(lock.ids, outside.accounts(), project.layers), ()
    except RegistryError as error:
        what = (
            f"what built layers have made could not be asked for, so ids stay as they are: {error.message.rstrip('.')}"
        )
        return lock.ids, (
            Problem(position=project.settings.source.at("registry"), what=what, severity=Severity.WARNING),
        )


# --- Python packages ---------------------------------------------------------------------------------------------------


class _Packages:
    def __init__(self, demand: Demand, lock: Lock, outside: Outside, choice: Choice) -> None:
        self._demand, self._lock, self._outside, self._choice = demand, lock, outside, choice
        _refuse_unreadable(demand.inputs.values())
        self._requests = requests(demand.project, demand.graph, demand.inputs)
        self._moving = choice.packages | self._of_layers(choice.layers)

    def resolve(self) -> Mapping[str, Resolution]:
        """Scopes one after the other, each preferring what the first one for its Python found."""
        found: dict[Scope, Resolution] = {}
        problems: list[Problem] = []
        for request in self._requests:
            try:
                found[request.scope] = self._resolve(request, found)
            except ProjectError as error:
                problems += error.problems
        if problems:
            raise ProjectError(problems)
        return {str(scope): resolution for scope, resolution in found.items()}

    def _of_layers(self, layers: frozenset[str]) -> frozenset[str]:
        """What these layers themselves bring: to move what they share with layers below would rebuild those."""
        if not layers:
            return frozenset()
        graph = self._demand.graph
        slices = pins_for(self._demand.project, graph, self._lock, self._demand.inputs)
        return frozenset(
            pin.name for node, pins in slices.pins.items() if graph.nodes[node].layer in layers for pin in pins
        )

    def _resolve(self, request: Request, found: Mapping[Scope, Resolution]) -> Resolution:
        old = self._lock.python.get(str(request.scope))
        if old is not None and not self._moves(old, request):
            return old
        self._outside.say(f"resolving Python {request.scope}")
        preferences = self._preferences(old, _first(request.scope, found))
        try:
            return Resolution(requirements=request.requirements, packages=self._ask_uv(request, preferences))
        except CommandFailed as failed:
            raise self._blame(request, failed) from None

    def _moves(self, old: Resolution, request: Request) -> bool:
        return (
            "python" in self._choice.sections
            or old.requirements != request.requirements
            or not self._moving.isdisjoint(old.packages)
        )

    def _preferences(self, old: Resolution | None, first: Resolution | None) -> Mapping[str, str]:
        """The versions to keep where they fit: of the old lock as far as they may not move, and of the first scope."""
        versions = {name: package.version for name, package in first.packages.items()} if first else {}
        if old is not None and "python" not in self._choice.sections:
            versions |= {name: one.version for name, one in old.packages.items() if name not in self._moving}
        return versions

    def _ask_uv(self, request: Request, preferences: Mapping[str, str]) -> Mapping[str, Package]:
        from uv import find_uv_bin

        with tempfile.TemporaryDirectory(prefix="hubstack-") as folder:
            Path(folder, "pyproject.toml").write_text(render_project(request), encoding="utf-8")
            lock = Path(folder, "uv.lock")
            if preferences:
                lock.write_text(render_preferences(preferences), encoding="utf-8")
            argv = [
                find_uv_bin(),
                "lock",
                *("--project", folder),
                *("--python", sys.executable),
                *("--color", "never"),
                "--no-progress",
            ]
            env = {**self._outside.env, "UV_NO_WRAP": "1"}  # its sentences are read again in uvlock.explanation
            self._outside.run(argv, env=env, deadline_s=RESOLVE_DEADLINE_S)
            return parse_lock(lock.read_text(encoding="utf-8"), request.scope)

    def _blame(self, request: Request, failed: CommandFailed) -> HubstackError:
        """What uv says, at the lines that it names."""
        reason = explanation(failed.tail)
        if not reason:
            hint = "Behind an intercepting proxy give --ca-bundle; which index is asked is uv's setting (UV_DEFAULT_INDEX)."
            return HubstackError("\n".join((f"uv could not resolve Python {request.scope}:", *failed.tail)), hint=hint)
        what = f"cannot be met for Python {request.scope}: {reason}"
        remedy = "Loosen or change one of them, then run `hubstack update`."
        lines = self._lines(request, set(blamed(failed.tail))) or self._lines(request, None)[:1]
        return ProjectError(Problem(position=at, what=f"{quote(line)} {what}", remedy=remedy) for line, at in lines)

    def _lines(self, request: Request, pairs: set[tuple[str, str]] | None) -> list[tuple[str, Position]]:
        """Where the request's lines stand; with ``pairs`` only those of these layers and packages."""
        lines = {
            (line, at): None
            for asked in self._demand.inputs.values()
            for line, at in asked.requirements()
            if line in request.requirements.get(asked.layer, ())
            and (pairs is None or (asked.layer, next(iter(roots(line, request.scope)), "")) in pairs)
        }
        return list(lines)


def _first(scope: Scope, found: Mapping[Scope, Resolution]) -> Resolution | None:
    """For the same Python and platform: what the others are to differ from as little as they can."""
    same = (other for other in found if (other.python, other.platform) == (scope.python, scope.platform))
    return next((found[other] for other in same), None)
