"""The tree of a new project: one base, two layers, one stack, one hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hubstack.files.scalar import MAX_NAME
from hubstack.reference import ImageRef
from hubstack.starter import files, fill

IMAGE = "quay.io/jupyter/base-notebook:python-3.13"
"""What a project stands on where nobody names an image."""
_RELEASE = re.compile(r"(?:^|[-_.])(?:python|py)-?(3\.\d+)(?![0-9])")
_TAKEN = frozenset({"arrays", "tools", "science", "build"})
_DOTTED = {"gitignore": ".gitignore"}  # under its own name it would count for hubstack's repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    title: str
    image: str  # as written
    registry: str  # HOST/PREFIX
    python: str = ""  # the release in the image; empty: nobody knows
    maintainer: str = ""  # as CODEOWNERS writes it


def project_files(start: Start) -> Mapping[str, bytes]:
    """By path, sorted. Where the image's Python is unknown, its layers ask for no Python packages."""
    base = base_name(start.image)
    values = {
        "base": base,
        "image": start.image,
        "registry": start.registry,
        "title": start.title,
        "provides": "[python, jupyterlab]" if start.python else "[jupyterlab]",
        "policy": _policy(start.maintainer),
        "python": f'python: "{start.python}"\n' if start.python else "",
    }
    found = {_DOTTED.get(path, path): fill(text.decode(), values) for path, text in files("tree").items()}
    found[f"base/{base}/layer.yaml"] = found.pop("base/layer.yaml")
    if not start.python:
        del found["layers/arrays/requirements.txt"]
        found["layers/arrays/apt.txt"] = "bc\n"
        found["layers/arrays/layer.yaml"] = found.pop("without-python.yaml")
    found.pop("without-python.yaml", None)
    return {path: text.encode() for path, text in sorted(found.items())}


def _policy(maintainer: str) -> str:
    return (
        f'policy:\n  maintainers: ["{maintainer}"]   # who owns what no layer\'s `owners:` do\n' if maintainer else ""
    )


def base_name(image: str) -> str:
    """The last word of the repository, as a name of a base."""
    last = ImageRef.parse(image).repository.rpartition("/")[2]
    name = re.sub(r"[^a-z0-9]+", "-", last).strip("-")[: MAX_NAME - 6].strip("-")
    return f"{name}-image" if name in _TAKEN else name


def python_release(image: str, env: Mapping[str, str]) -> str:
    """``3.13`` where the image's tag or its environment says so, as docker-stacks' tags and Docker's own images do."""
    if (match := _RELEASE.search(ImageRef.parse(image).tag)) is not None:
        return match[1]
    match = re.match(r"3\.\d+", env.get("PYTHON_VERSION", ""))
    return match[0] if match else ""
