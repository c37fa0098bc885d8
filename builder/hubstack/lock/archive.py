"""What apt would install now: each base, and each layer on what it requires, worked out in a private root.

The sources are those with which mmdebstrap makes bases here, so a base and its generation see one archive. Nothing is
downloaded but the archive's lists. Not seen: packages that a Dockerfile installs without an apt.txt, sources that a layer
adds, and bases from an upstream image.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from hubstack.errors import CommandFailed, HubstackError, Problem, Severity
from hubstack.lock import Demand
from hubstack.lock.generation import DebianInput, Generation, Item, bringer, by_bringer, generation, scope
from hubstack.lock.resolution import required
from hubstack.model import Node
from hubstack.source import Position

DEADLINE_S = 900
AT_ONCE = 2  # apt works for each on a core of its own
_FILE = re.compile(r"^'[^']*' ([^_ ]+)_([^_ ]+)_[^_ ]+\.deb ", re.MULTILINE)
_REQUIRED = ("?essential", "?priority(required)", "apt")
_VARIANTS = {  # what mmdebstrap(1) says of each, in apt's patterns
    "essential": ("?essential",),
    "apt": ("?essential", "apt"),
    "minbase": _REQUIRED,
    "buildd": (*_REQUIRED, "build-essential"),
    "important": (*_REQUIRED, "?priority(important)"),
    "standard": (*_REQUIRED, "?priority(important)", "?priority(standard)"),
}


class Run(Protocol):
    """``hubstack.command.output``: what a program prints on stdout. Raises CommandFailed with the tail of its stderr."""

    def __call__(self, argv: Sequence[str], *, env: Mapping[str, str], deadline_s: float) -> str: ...


def ask_archive(
    demand: Demand, old: Mapping[str, Generation], run: Run, env: Mapping[str, str], say: Callable[[str], None]
) -> tuple[Mapping[str, Generation], tuple[Problem, ...]]:
    """The generations; and a warning for each base or layer that could not be resolved, whose packages stay."""
    scopes = _by_scope(demand)
    for name in scopes:
        say(f"asking Debian's archive for {name}")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda item: _ask(demand, item[1], old.get(item[0], ()), run, env), scopes.items()))
    found = {name: debs for name, (debs, _) in zip(scopes, answers, strict=True) if debs}
    return found, tuple(warning for _, warnings in answers for warning in warnings)


def _by_scope(demand: Demand) -> Mapping[str, list[Node]]:
    """The nodes on bases that are made from packages, parents first."""
    found: dict[str, list[Node]] = {}
    for node in demand.graph.nodes.values():
        lowest = demand.debian.inputs.get(demand.graph.lineage[node.id][0])
        if lowest is not None and lowest.bootstrap is not None:
            found.setdefault(scope(demand.project, node), []).append(node)
    return dict(sorted(found.items()))


def _ask(
    demand: Demand, nodes: Sequence[Node], old: Generation, run: Run, env: Mapping[str, str]
) -> tuple[Generation, tuple[Problem, ...]]:
    """One scope's answer, which is the old one where the archive can't be asked."""
    base = demand.debian.inputs[demand.graph.lineage[nodes[0].id][0]]
    assert base.bootstrap is not None
    with tempfile.TemporaryDirectory(prefix="hubstack-") as folder:
        root = _Root(folder=Path(folder), run=run, env=env, arch=nodes[0].platform.split("/")[1])
        try:
            root.fetch_lists(base.bootstrap.suite)
            bottom = root.install((), (*_VARIANTS[base.bootstrap.variant], *base.bootstrap.include))
        except HubstackError as error:
            return old, (_unresolved(base, error),)
        layers = _Layers(demand=demand, old=by_bringer(old), root=root, base=bottom)
        layers.add_to_base(demand.graph.nodes[demand.graph.lineage[nodes[0].id][0]], base)
        return layers.resolve(nodes)


@dataclass(kw_only=True)
class _Layers:
    demand: Demand
    old: Mapping[str, frozenset[Item]]
    root: _Root
    base: frozenset[Item]
    warnings: list[Problem] = field(default_factory=list)
    stale: set[str] = field(default_factory=set)  # packages that the archive may no longer have so, or at all

    def add_to_base(self, node: Node, asked: DebianInput) -> None:
        """What its own apt.txt installs."""
        if not asked.lines:
            return
        try:
            self.base |= self.root.install(self.base, asked.lines)
        except CommandFailed as error:
            folder = self.demand.project.layers[node.layer].folder
            self.warnings.append(_unresolved(replace(asked, position=Position(path=f"{folder}/apt.txt")), error))
            names = {one for one, _ in self.base}
            kept = {one for one in self.old.get(self._bringer(node), ()) if one[0] not in names}
            self.base |= kept
            self.stale |= {one for one, _ in kept}

    def resolve(self, nodes: Sequence[Node]) -> tuple[Generation, tuple[Problem, ...]]:
        """Each layer once on what it requires, which may be of several layers one; whatever else its nodes stand on."""
        brought: dict[str, frozenset[Item]] = {}
        done: set[tuple[str, tuple[str, ...], frozenset[Item]]] = set()
        needed = required(self.demand.project, self.demand.graph, (node.id for node in nodes))
        for node in nodes:
            asked, name = self.demand.debian.inputs.get(node.id), self._bringer(node)
            if asked is None:
                continue
            parts = (brought.get(self._bringer(self.demand.graph.nodes[one]), frozenset()) for one in needed[node.id])
            below = frozenset[Item]().union(*parts)
            if (key := (name, asked.lines, below)) in done:
                continue
            done.add(key)
            try:
                items = self._items(
                    asked, frozenset((one, "" if one in self.stale else version) for one, version in below)
                )
            except CommandFailed as error:
                self.warnings.append(_unresolved(asked, error))
                items = self.old.get(name, frozenset())
                self.stale |= {one for one, _ in items}
            brought[name] = brought.get(name, frozenset()) | items
        return generation(brought), tuple(self.warnings)

    def _items(self, asked: DebianInput, below: frozenset[Item]) -> frozenset[Item]:
        if asked.bootstrap is not None:
            return self.base
        return self.root.install(below, asked.lines) if asked.lines else frozenset()

    def _bringer(self, node: Node) -> str:
        return bringer(self.demand.project, node, self.demand.debian.reads)


@dataclass(frozen=True, kw_only=True)
class _Root:
    """A root in which apt knows one suite's lists and finds nothing installed."""

    folder: Path
    run: Run
    env: Mapping[str, str]
    arch: str

    def fetch_lists(self, suite: str) -> None:
        for one in ("etc", "var/lib/dpkg", "var/cache/apt/archives/partial"):
            (self.folder / one).mkdir(parents=True)
        (self.folder / "var/lib/dpkg/status").touch()
        config = f'Dir "{self.folder}";\nAPT::Architecture "{self.arch}";\n'
        (self.folder / "apt.conf").write_text(config, encoding="utf-8")
        argv = [
            "mmdebstrap",
            "--variant=custom",
            f"--architectures={self.arch}",
            "--format=null",
            f"--customize-hook=copy-out /etc/apt {self.folder}/etc",
            f"--customize-hook=copy-out /var/lib/apt {self.folder}/var/lib",
            "--",
            suite,
            "/dev/null",
        ]
        self.run(argv, env=self.env, deadline_s=DEADLINE_S)

    def install(self, below: Iterable[Item], words: Iterable[str]) -> frozenset[Item]:
        """What ``words`` need beside what stands below, which is asked for as well: to say that it is installed would make
        apt build its cache anew, and a simulation takes three times as long as a list of files. Below may be packages
        without a version: those are not asked for.
        """
        here = frozenset(below)
        argv = [
            "apt-get",
            "-qq",
            "--yes",
            "--print-uris",
            "--no-install-recommends",
            "install",
            "--",
            *(f"{name}={version}" for name, version in sorted(here) if version),
            *words,
        ]
        env = {**self.env, "APT_CONFIG": str(self.folder / "apt.conf"), "LC_ALL": "C.UTF-8"}
        output = self.run(argv, env=env, deadline_s=DEADLINE_S)
        found = {(match[1], _version(match[2])) for match in _FILE.finditer(output)}
        return frozenset(one for one in found - here if (one[0], "") not in here)


def _version(text: str) -> str:
    """As a file's name has it, in which a colon is quoted."""
    return text.replace("%3a", ":")


def _unresolved(asked: DebianInput, error: HubstackError) -> Problem:
    said = [line for line in getattr(error, "tail", ()) if line.startswith(("E: ", "E:"))]
    why = (said[0] if said else error.message).removeprefix("E: ").rstrip(".")
    what = f"its Debian packages stay as they are in hubstack.lock: {why}"
    return Problem(position=asked.position, what=what, severity=Severity.WARNING)
