"""The house: no circle among the modules, nothing above imported from below, and what is pure touches nothing outside."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

BUILDER = Path(__file__).parents[2] / "builder"
PACKAGE = BUILDER / "hubstack"
MODULES = {
    ".".join(path.relative_to(BUILDER).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
    if "inside" not in path.parts  # scripts that run in images, where there is no hubstack
}
LONGEST = 500

PURE = {  # everything up to the plan, and what is made of it: no clock, environment, network or process
    "model",
    "source",
    "reference",
    "offer",
    "policy",
    "rulebook",
    "errors",
    "spelling",
    "value",
    "yamlfile",
    "files",
    "graph",
    "lock",
    "fingerprint",
    "names",
    "record",
    "plan",
    "refresh",
    "picture",
    "render",
    "pipeline",
    "schedule",
    "event",
    "installation",
}
PURE_INSIDE = {"hubstack.ci.estimate", "hubstack.ci.wave", "hubstack.ci.matrix"}  # of rooms that are not
EDGES_INSIDE = {
    "hubstack.lock.update",
    "hubstack.lock.archive",
    "hubstack.render.fork",
}  # the verb that asks; the child
OUTSIDE = {"subprocess", "socket", "urllib", "http", "httpx", "requests", "docker", "datetime", "random", "tempfile"}


def imports(path: Path) -> set[str]:
    """Everything that a module names in an import, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def inner(module: str) -> set[str]:
    return {one for one in imports(MODULES[module]) if one in MODULES and one not in (module, "hubstack")}


def room(module: str) -> str:
    """``hubstack.graph.chain`` → ``graph``."""
    return module.split(".")[1] if "." in module else ""


def is_pure(module: str) -> bool:
    return module in PURE_INSIDE or (room(module) in PURE and module not in EDGES_INSIDE)


def test_no_circle_among_the_modules() -> None:
    try:
        TopologicalSorter({module: inner(module) for module in MODULES}).prepare()
    except CycleError as error:
        pytest.fail(" needs ".join(error.args[1]))


def test_no_circle_among_the_rooms() -> None:
    rooms: dict[str, set[str]] = {}
    for module in MODULES:
        rooms.setdefault(room(module), set()).update(room(one) for one in inner(module))
    try:
        TopologicalSorter({name: needs - {name, ""} for name, needs in rooms.items()}).prepare()
    except CycleError as error:
        pytest.fail(" needs ".join(error.args[1]))


@pytest.mark.parametrize("module", sorted(MODULES))
def test_nobody_imports_the_command_line(module: str) -> None:
    if room(module) != "cli" and module != "hubstack.__main__":
        assert not [one for one in imports(MODULES[module]) if one.startswith("hubstack.cli")]


@pytest.mark.parametrize("module", sorted(filter(is_pure, MODULES)))
def test_the_core_is_pure(module: str) -> None:
    reached = {one.split(".")[0] for one in imports(MODULES[module])}
    assert not reached & OUTSIDE
    assert not [one for one in inner(module) if not is_pure(one) and one not in EDGES_INSIDE]
    source = MODULES[module].read_text(encoding="utf-8")
    assert "os.environ" not in source
    assert "Path.cwd" not in source


@pytest.mark.parametrize("module", sorted(MODULES))
def test_modules_stay_short(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= LONGEST
