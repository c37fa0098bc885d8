"""Reads a project's tree: every file by itself, every fault of all of them at once.

Read are ``hubstack.yaml``, ``base/*/``, ``layers/*/``, ``layers/_macros/``, ``stacks/*.yaml`` and ``profiles/*.yaml``.
Nothing is followed out of a layer; what editors and Python leave behind is passed over (folder.IGNORED).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from hubstack.errors import Problem, ProjectError, Severity
from hubstack.files.scalar import Fault, check_name
from hubstack.folder import Reader
from hubstack.model import Layer, Project, Settings, SourceFile, Stack
from hubstack.offer import Hub
from hubstack.source import Position, Source
from hubstack.spelling import did_you_mean, enumerate_words, quote
from hubstack.yamlfile import Document, parse_yaml

SETTINGS = "hubstack.yaml"
LAYER = "layer.yaml"
MACROS = "_macros"
DEFAULTS = "_defaults.yaml"
EMITTED = "emitted"
LAYER_FILES = ("apt.txt", "requirements.txt", "npm.txt", "install.R", "environment.yml", "postBuild", "Dockerfile.j2")
LAYER_FOLDERS = ("files", "tests")
_ROOT = ("base", "layers", "stacks", "profiles", SETTINGS, "hubstack.lock")

T = TypeVar("T")


def load_project(root: Path) -> tuple[Project, tuple[Problem, ...]]:
    """The project and what is to be warned of. Raises ProjectError with every fault, and the warnings among them."""
    from hubstack.files.stack import repository_layers

    loader = _Loader(reader=Reader(root=root))
    settings = loader.settings()
    bases, layers = loader.layers("base"), loader.layers("layers")
    stacks, hubs, macros = loader.stacks(), loader.hubs(), loader.macros()
    repositories = repository_layers(stacks.values())
    for name in repositories.keys() & {**bases, **layers}.keys():
        what = f"{quote(name)} is a stack with a repository, and {'a base' if name in bases else 'a layer'}"
        loader.fault(f"stacks/{name}.yaml", what, "Rename one of them.")
    for name in bases.keys() & layers.keys():
        loader.fault(f"layers/{name}/{LAYER}", f"{quote(name)} is a base and a layer", "Rename one of the two folders.")
    problems = [*loader.reader.problems, *loader.problems]
    if settings is None or any(problem.severity is Severity.ERROR for problem in problems):
        raise ProjectError(problems)
    everything = {**bases, **layers, **repositories}
    project = Project(settings=settings, layers=everything, stacks=stacks, hubs=hubs, macros=macros)
    return project, tuple(sorted(problems, key=lambda problem: problem.position.sort_key))


@dataclass(kw_only=True)
class _Loader:
    reader: Reader
    problems: list[Problem] = field(default_factory=list)

    def settings(self) -> Settings | None:
        from hubstack.files.settings import parse_settings

        there = self.reader.names("")
        for name in there.keys() - _ROOT:
            if near := did_you_mean(name, (known for known in _ROOT if known not in there)):
                self.warn(name, f"nothing reads {quote(name)}{near}", "Rename it if it belongs to hubstack.")
        if SETTINGS in there:
            return self.parsed(SETTINGS, parse_settings)
        remedy = "A project has this file at its root; it may be empty."
        self.fault(SETTINGS, "the file is missing", remedy)
        return None

    def layers(self, group: str) -> dict[str, Layer]:
        """Of ``base/`` or ``layers/``, by name."""
        from hubstack.files.layer import parse_base, parse_layer

        parse = parse_base if group == "base" else parse_layer
        layers = {}
        for name in self.layer_names(group):
            files = self.reader.folder(f"{group}/{name}")
            path, file = f"{group}/{name}/{LAYER}", files.pop(LAYER, None)
            if file is None or file.link is not None:
                self.check_no_layer(path, file, files)
                continue
            self.check_layer_files(f"{group}/{name}", files)
            if layer := self.attempt(file.content, path, partial(parse, name=name, files=files)):
                layers[name] = layer
        return layers

    def layer_names(self, group: str) -> list[str]:
        there = self.reader.names(group)
        folders = [name for name, kind in there.items() if kind == "folder" and (group, name) != ("layers", MACROS)]
        for name, kind in there.items():
            if kind != "folder" and not _is_note(name):
                what = f"{quote(name)} is no folder, and {group}/ holds nothing else"
                self.fault(f"{group}/{name}", what, f"Remove it, or make it a folder with a {LAYER}.")
        self.check_names(group, folders)
        return folders

    def check_layer_files(self, folder: str, files: Mapping[str, SourceFile]) -> None:
        """Warns of what nothing reads: a build's context holds the package files and ``files/``, and no more.

        A file whose name is nearly right is an error, which ``compose`` finds.
        """
        known = (*LAYER_FILES, *(f"{name}/" for name in LAYER_FOLDERS))
        for name in dict.fromkeys("".join(path.partition("/")[:2]) for path in files):
            bare = name.rstrip("/")
            if name not in known and bare in (*LAYER_FILES, *LAYER_FOLDERS):
                wanted = "file" if bare in LAYER_FILES else "folder"
                self.fault(f"{folder}/{bare}", f"{quote(bare)} must be a {wanted}", "Make it one, or rename it.")
            elif name not in known and not _is_note(name) and not did_you_mean(name, LAYER_FILES):
                what = f"nothing reads {quote(name)}{did_you_mean(name, known)}"
                self.warn(f"{folder}/{bare}", what, f"What a layer may hold: {enumerate_words(known, 'and')}.")

    def check_no_layer(self, path: str, file: SourceFile | None, files: Mapping[str, SourceFile]) -> None:
        if file is not None:
            self.fault(path, "a symbolic link stands where a file belongs", "Put a regular file there.")
        elif files:  # git keeps no empty folders, but leaves those behind in which something ignored lies
            self.fault(path, f"the file is missing{did_you_mean(LAYER, files)}", "Every layer and base has one.")

    def macros(self) -> dict[str, SourceFile]:
        folder = f"layers/{MACROS}"
        return self.reader.folder(folder) if self.reader.names("layers").get(MACROS) == "folder" else {}

    def stacks(self) -> dict[str, Stack]:
        from hubstack.files.stack import RESERVED, parse_stack

        stacks = {}
        for name in self.yaml_names("stacks"):
            path = f"stacks/{name}.yaml"
            if name in RESERVED:
                what = f"a stack can't be called {quote(name)}: hubstack needs it in the registry"
                self.fault(path, what, "Rename the file.")
            if stack := self.parsed(path, partial(parse_stack, name=name)):
                stacks[name] = stack
        return stacks

    def hubs(self) -> dict[str, Hub]:
        names = self.yaml_names("profiles")
        from hubstack.files.hub import parse_defaults, parse_hub

        path = f"profiles/{DEFAULTS}"
        defaults: Document | None = Document(source=Source(path=path), data=None)
        if DEFAULTS in self.reader.names("profiles"):
            defaults = self.parsed(path, parse_defaults)
        hubs = {}
        for name in names:
            parse = partial(parse_hub, name=name, defaults=defaults)
            if hub := self.parsed(f"profiles/{name}.yaml", parse):
                hubs[name] = hub
        return hubs

    def yaml_names(self, group: str) -> list[str]:
        """The names that the YAML files of ``stacks/`` or ``profiles/`` stand for."""
        names = []
        for name, kind in self.reader.names(group).items():
            stem, _, suffix = name.rpartition(".")
            if (group, name) in (("profiles", DEFAULTS), ("profiles", EMITTED)) or (kind == "file" and _is_note(name)):
                continue
            if suffix == "yaml" and stem:
                names.append(stem)
            else:
                remedy = f"Rename it to {stem}.yaml." if suffix == "yml" else f"{group}/ holds one .yaml file for each."
                self.warn(f"{group}/{name}", f"nothing reads {quote(name)}", remedy)
        self.check_names(group, names, ".yaml")
        return names

    def check_names(self, group: str, names: Iterable[str], suffix: str = "") -> None:
        seen: dict[str, str] = {}
        for name in names:
            where = f"{group}/{name}{suffix}"
            try:
                check_name(name)
            except Fault as fault:
                self.fault(where, f"the name {fault.what}", fault.remedy)
            if (first := seen.setdefault(name.lower(), name)) != name:
                self.fault(where, f"{quote(name)} and {quote(first)} differ only in case", "Rename one of them.")

    def parsed(self, path: str, parse: Callable[[Document], T]) -> T | None:
        content = self.reader.file(path)
        return None if content is None else self.attempt(content, path, parse)

    def attempt(self, content: bytes, path: str, parse: Callable[[Document], T]) -> T | None:
        try:
            return parse(parse_yaml(content, path))
        except ProjectError as error:
            self.problems.extend(error.problems)
            return None

    def fault(self, path: str, what: str, remedy: str, severity: Severity = Severity.ERROR) -> None:
        self.problems.append(Problem(position=Position(path=path), what=what, remedy=remedy, severity=severity))

    def warn(self, path: str, what: str, remedy: str) -> None:
        self.fault(path, what, remedy, Severity.WARNING)


def _is_note(name: str) -> bool:
    """Files for people, which may lie anywhere."""
    return name.startswith((".", "LICENSE")) or name.endswith((".md", ".rst"))
