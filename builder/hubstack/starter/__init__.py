"""A project to start from: its tree, and the machinery (workflows, issue forms, schemas) that hubstack keeps up to date.

``tree/`` and ``forms/`` hold text in which ``@(name)`` stands for what ``hubstack init`` knows; ``workflows/`` and
``actions/`` are copied as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable


def files(folder: str) -> Mapping[str, bytes]:
    """A folder of templates, by path in it, sorted. Empty where there is none."""
    root = resources.files("hubstack.starter").joinpath(folder)
    return dict(sorted(_walk(root, ""))) if root.is_dir() else {}


def fill(text: str, values: Mapping[str, str]) -> str:
    """``@(name)`` replaced by its value; a name without one is a bug of ours."""
    return re.sub(r"@\((\w+)\)", lambda match: values[match[1]], text)


def _walk(folder: Traversable, path: str) -> Iterator[tuple[str, bytes]]:
    for one in folder.iterdir():
        if one.is_dir():
            yield from _walk(one, f"{path}{one.name}/")
        elif not one.name.endswith((".py", ".pyc")):
            yield f"{path}{one.name}", one.read_bytes()
