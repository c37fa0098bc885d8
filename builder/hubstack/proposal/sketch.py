"""A layer that somebody is about to write, and its files: what ``hubstack new layer`` and ``hubstack import`` share."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from packaging.requirements import InvalidRequirement, Requirement

from hubstack.model import SourceFile

_PLAIN = re.compile(r"[A-Za-z/][^:#\n\t]*[^:#\s]")
_YAML_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null"})
_SCHEMA = "# yaml-language-server: $schema=../../.schemas/layer.schema.json\n"
_NOTHING = "# one Debian package a line\n"
_MODULES = {  # distributions whose module has another name
    "attrs": "attr",
    "beautifulsoup4": "bs4",
    "biopython": "Bio",
    "gdal": "osgeo",
    "gitpython": "git",
    "jupyterlab-git": "jupyterlab_git",
    "opencv-python": "cv2",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "protobuf": "google.protobuf",
    "pyserial": "serial",
    "python-dateutil": "dateutil",
    "python-dotenv": "dotenv",
    "pytorch-lightning": "pytorch_lightning",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """``conda`` are match specifications; the paths of ``files`` are in the layer's folder, as ``files/etc/x``."""

    name: str
    summary: str = ""
    requires: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    npm: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()
    install_r: str = ""
    post_build: str = ""
    dockerfile: str = ""
    files: tuple[SourceFile, ...] = ()
    tests: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return self.summary or self.name.replace("-", " ").capitalize()

    @property
    def asks(self) -> bool:
        """Whether it brings anything."""
        brought = (
            self.apt,
            self.pip,
            self.npm,
            self.conda,
            self.install_r,
            self.post_build,
            self.dockerfile,
            self.files,
        )
        return any(brought)

    def written(self, *, schemas: bool) -> tuple[SourceFile, ...]:
        """The files, their paths in the project. ``schemas``: an editor finds them in .schemas/."""
        texts = (
            SourceFile(path=name, content=text.encode(), executable=name == "postBuild")
            for name, text in self._texts(schemas=schemas)
            if text
        )
        return tuple(replace(one, path=f"layers/{self.name}/{one.path}") for one in (*texts, *self.files))

    def _texts(self, *, schemas: bool) -> Iterator[tuple[str, str]]:
        yield "layer.yaml", self._layer(schemas=schemas)
        yield "apt.txt", _lines(self.apt) or ("" if self.asks else _NOTHING)
        yield "environment.yml", _environment(self.conda)
        yield "requirements.txt", _lines(self.pip)
        yield "npm.txt", _lines(self.npm)
        yield "install.R", raw(self.install_r)
        yield "postBuild", raw(self.post_build)
        yield "Dockerfile.j2", self.dockerfile

    def _layer(self, *, schemas: bool) -> str:
        tests = self.tests or tuple(self._derived())
        advice = "" if self.tests else "   # replace them by commands that show that it works; scripts go to tests/"
        owners = ", ".join(json.dumps(owner, ensure_ascii=False) for owner in self.owners)
        lines = [
            f"summary: {scalar(self.title)}",
            f"requires: [{', '.join(self.requires)}]",
            f"tests:{advice}",
            *(f"  - run: {scalar(test)}" for test in tests or ("true",)),
            *([f"owners: [{owners}]"] if owners else []),
            "# What else may stand here: hubstack schema, or docs/formats.md of hubstack.",
        ]
        return (_SCHEMA if schemas else "") + _lines(tuple(lines))

    def _derived(self) -> Iterator[str]:
        """A test for each package: Python's are imported, of others the package manager is asked."""
        for package in self.apt:
            yield f"dpkg --status {re.split('[=/:]', package)[0]}"
        if self.pip:
            modules = dict.fromkeys(module(line) for line in self.pip)
            yield f'python -c "import {", ".join(modules)}"'
        for package in self.npm:
            yield f"npm ls --global --prefix /usr/local --depth 0 {package.rpartition('@')[0]}"


def distribution(line: str) -> str | None:
    """The name in a line of a requirements.txt; None where it is none."""
    try:
        return Requirement(line).name
    except InvalidRequirement:
        return None


def module(line: str) -> str:
    """What is imported of a requirement: known for a few, for others the name as most packages have it."""
    name = (distribution(line) or line).lower().replace("_", "-")
    return _MODULES.get(name, re.sub(r"[-.]", "_", name))


def raw(text: str) -> str:
    """Text for a template, where Jinja would read some of it as its own."""
    return f"{{% raw %}}{text}{{% endraw %}}" if re.search(r"\{[{%#]", text) else text


def scalar(text: str) -> str:
    """One line as a YAML scalar, in quotes where it needs them."""
    plain = _PLAIN.fullmatch(text) is not None and text.lower() not in _YAML_WORDS
    return text if plain or text == "true" else json.dumps(text, ensure_ascii=False)


def _lines(lines: tuple[str, ...]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _environment(specs: tuple[str, ...]) -> str:
    return _lines(("dependencies:", *(f"  - {json.dumps(spec)}" for spec in specs))) if specs else ""
