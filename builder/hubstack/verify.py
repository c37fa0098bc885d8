"""Runs what an image has to prove, in a container of it, as the hub would run it (promise 9).

An image that people can choose passes the tests of each of its layers and the built-in hub test; what only stands
below one passes its own layer's. One container serves all tests that need no network; those that do share a second one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby

from hubstack.command import printable
from hubstack.engine import Container, Engine, Execution
from hubstack.errors import TestFailed
from hubstack.model import Layer, SourceFile, Test
from hubstack.source import Position

HUB_DEADLINE_S = 60
_FOLDER = "/srv/hubstack"
_CONTENTS = ("debian", "python", "r", "npm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What is in an image: the layers' own ``versions``, and the packages of each package manager, by name."""

    versions: Mapping[str, str]
    packages: Mapping[str, Mapping[str, str]]


class ImageTestFailed(TestFailed):
    """A test of ``position``'s layer failed; ``tail`` holds the last lines of what it printed."""

    def __init__(self, message: str, *, position: Position | None, tail: Sequence[str]) -> None:
        super().__init__(message)
        self.position, self.tail = position, tuple(tail)


def inside(name: str) -> bytes:
    """A script of ours that runs in images."""
    return (files("hubstack") / "inside" / name).read_bytes()


def run_tests(
    engine: Engine,
    image: str,
    layers: Sequence[Layer],
    *,
    hub_test: bool,
    node: str,
    on_line: Callable[[str], None] = lambda line: None,
) -> None:
    """Run the tests of ``layers``, lowest first, then the hub test; ``on_line`` gets what they print.

    Raises ImageTestFailed at the first that fails.
    """
    tests = [(layer, test) for layer in layers for test in layer.tests]
    for network, group in groupby(sorted(tests, key=lambda one: one[1].network), key=lambda one: one[1].network):
        with engine.container(image, network=network, files=_files(layers)) as container:
            for layer, test in group:
                _run_test(container, layer, test, node, on_line)
    if hub_test:
        with engine.container(image, network=False, files=_files(())) as container:
            _run_hub_test(container, node, on_line)


def read_contents(engine: Engine, image: str, layers: Sequence[Layer]) -> Contents:
    """Ask the image what is in it. A ``versions`` command that fails is left out: tests are for failing."""
    with engine.container(image, network=False, files=_files(())) as container:
        listing = container.run(f"sh {_FOLDER}/contents.sh", timeout_s=120)
        versions: dict[str, str] = {}
        for layer in layers:
            for label, shell in layer.versions.items():
                answer = container.run(shell, timeout_s=30)
                if answer.code == 0 and (number := re.search(r"\d[\w.+~-]*", answer.output)) is not None:
                    versions[label] = number[0]
    return Contents(versions=versions, packages=dict(_sections(listing.output)))


def _sections(listing: str) -> Iterator[tuple[str, dict[str, str]]]:
    for part in re.split(r"^=", listing, flags=re.MULTILINE)[1:]:
        name, *lines = part.splitlines()
        packages = dict(line.split("\t", 1) for line in lines if "\t" in line)
        if name in _CONTENTS and packages:
            yield name, packages


def _files(layers: Sequence[Layer]) -> dict[str, list[SourceFile]]:
    """What the containers get: our own scripts, and each layer's ``tests/`` folder."""
    mine = [SourceFile(path=name, content=inside(name)) for name in ("hubtest.py", "contents.sh")]
    given = {_FOLDER: mine}
    for layer in layers:
        if layer.tests:
            given[_folder(layer)] = [SourceFile(path=".layer", content=layer.name.encode()), *test_files(layer)]
    return given


def test_files(layer: Layer) -> list[SourceFile]:
    """The files of a layer's ``tests/`` folder, by path in it."""
    return [
        SourceFile(path=path.removeprefix("tests/"), content=one.content, executable=one.executable, link=one.link)
        for path, one in sorted(layer.files.items())
        if path.startswith("tests/")
    ]


test_files.__test__ = False  # type: ignore[attr-defined]  # pytest would collect a function of this name


def _folder(layer: Layer) -> str:
    return f"{_FOLDER}/{layer.name}"


def _run_test(container: Container, layer: Layer, test: Test, node: str, on_line: Callable[[str], None]) -> None:
    result = _run(container, test.run, test.timeout_s, _folder(layer), on_line)
    complaint = ""
    if result.code == 124 and test.exit_code != 124:
        complaint = f"took longer than {test.timeout_s} s"
    elif result.code != test.exit_code:
        complaint = f"ended with code {result.code}, not {test.exit_code}"
    elif test.stdout and re.search(test.stdout, result.output, re.MULTILINE) is None:
        complaint = f"printed nothing that matches {test.stdout!r}"
    if complaint:
        first = test.run.strip().splitlines()[0]
        raise ImageTestFailed(f"{node}: `{first}` {complaint}", position=test.position, tail=_tail(result))


def _run_hub_test(container: Container, node: str, on_line: Callable[[str], None]) -> None:
    shell = f"python3 {_FOLDER}/hubtest.py {HUB_DEADLINE_S}"
    result = _run(container, shell, 3 * HUB_DEADLINE_S, "/", on_line)
    if result.code:
        *tail, last = _tail(result) or ["python3 is not on PATH"]
        raise ImageTestFailed(f"{node}: the hub can't use it: {last}", position=None, tail=tail)


def _run(container: Container, shell: str, timeout_s: int, folder: str, on_line: Callable[[str], None]) -> Execution:
    for line in shell.strip().splitlines():
        on_line(f"$ {line}")
    result = container.run(shell, timeout_s=timeout_s, folder=folder)
    for line in result.output.splitlines():
        on_line(printable(line))
    return result


def _tail(result: Execution) -> list[str]:
    return [printable(line) for line in result.output.splitlines()[-20:]]
