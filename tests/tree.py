"""A project from the text of its files, without a disk: ``tree({"stacks/a.yaml": "…"})``, with real positions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from hubstack.errors import ProjectError
from hubstack.files.layer import parse_base, parse_layer
from hubstack.files.settings import parse_settings
from hubstack.files.stack import parse_stack, repository_layers
from hubstack.graph import resolve
from hubstack.model import Layer, Project, Stack
from hubstack.yamlfile import Document, parse_yaml


def tree(files: Mapping[str, str]) -> Project:
    """``base/NAME`` and ``layers/NAME`` stand for their layer.yaml, whose obvious lines may be left out."""
    layers: dict[str, Layer] = {}
    stacks: dict[str, Stack] = {}
    for path, text in files.items():
        folder, name = PurePosixPath(path).parent.name, PurePosixPath(path).stem
        if folder == "base":
            layers[name] = parse_base(
                _document(f"{path}/layer.yaml", text, "image: example.org/one:1"), name=name, files={}
            )
        elif folder == "layers":
            layers[name] = parse_layer(_document(f"{path}/layer.yaml", text), name=name, files={})
        elif folder == "stacks":
            stacks[name] = parse_stack(_document(path, text, f"title: {name}", summary=False), name=name)
    settings = parse_settings(_document("hubstack.yaml", files.get("hubstack.yaml", ""), summary=False))
    return Project(settings=settings, layers={**layers, **repository_layers(stacks.values())}, stacks=stacks, hubs={})


def faults(files: Mapping[str, str]) -> list[str]:
    """What ``resolve`` says is wrong."""
    try:
        resolve(tree(files))
    except ProjectError as error:
        return [str(problem) for problem in error.problems]
    return []


def _document(path: str, text: str, *lines: str, summary: bool = True) -> Document:
    """Obvious lines go to the end, so that those of ``text`` keep their numbers."""
    lines = (*lines, "summary: one") if summary else lines
    missing = [line for line in lines if f"\n{line.partition(':')[0]}:" not in f"\n{text}"]
    return parse_yaml("\n".join((text.rstrip(), *missing, "")).encode(), path)
