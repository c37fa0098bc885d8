"""Files beside a Dockerfile, and package lists of their own: environment.yml, requirements.txt, apt.txt, a repository."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubstack.errors import UsageError
from hubstack.folder import Reader
from hubstack.model import SourceFile
from hubstack.proposal.finding import Finding
from hubstack.proposal.script import requirement_lines
from hubstack.proposal.sketch import distribution

_DEEPEST = 20
UNREADABLE = "it is a link, or no text in UTF-8"
PACKAGE_FILES = ("apt.txt", "requirements.txt", "environment.yml", "environment.yaml", "install.R", "postBuild")


@dataclass(frozen=True)
class Tree:
    """A folder that is read, and nothing outside of it. ``label`` stands in front of its paths in messages."""

    root: Path
    label: str
    files: Mapping[str, SourceFile]

    def text(self, path: str) -> str | None:
        file = self.files.get(posixpath.normpath(path))
        try:
            return file.content.decode("utf-8-sig") if file is not None and file.link is None else None
        except UnicodeDecodeError:
            return None

    def where(self, path: str) -> str:
        return posixpath.join(self.label, posixpath.normpath(path))

    def is_folder(self, path: str) -> bool:
        return posixpath.normpath(path) not in self.files

    def below(self, path: str) -> Iterator[tuple[str, SourceFile]]:
        """A file as ``""``, or a folder's files by their path in it; ``*`` at the end of a path takes what fits."""
        wanted = posixpath.normpath(path).lstrip("/")
        if wanted in self.files:
            yield "", self.files[wanted]
            return
        if "*" in wanted or "?" in wanted:
            from fnmatch import fnmatch

            for name, file in self.files.items():
                if name.count("/") == wanted.count("/") and fnmatch(name, wanted):
                    yield posixpath.basename(name), file
            return
        start = "" if wanted in (".", "") else f"{wanted}/"
        yield from ((name.removeprefix(start), file) for name, file in self.files.items() if name.startswith(start))


def read_tree(folder: Path, label: str) -> Tree:
    """Raises UsageError where it can't be read whole."""
    reader = Reader(root=folder)
    files = reader.folder(".", without={".git"})
    if reader.problems:
        raise UsageError(f"{label or folder}: {reader.problems[0].what}", hint=reader.problems[0].remedy)
    return Tree(folder, label, files)


def read_package_file(tree: Tree, path: str, finding: Finding) -> None:
    """One of PACKAGE_FILES, or what is called like one."""
    where = tree.where(path)
    if tree.text(path) is None:
        finding.leave(where, path, UNREADABLE)
        return
    match posixpath.basename(path):
        case name if name.endswith((".yml", ".yaml")):
            take_environment(finding, tree, path, where)
        case name if name.startswith("apt") and name.endswith(".txt"):
            take_apt(finding, tree, path)
        case "install.R":
            finding.install_r.append((tree.text(path) or "").rstrip("\n"))
        case "postBuild":
            finding.post_build = tree.text(path) or ""
        case _:
            take_requirements(finding, tree, path, where)


def take_apt(finding: Finding, tree: Tree, path: str) -> None:
    for number, line in requirement_lines(tree.text(path) or ""):
        for word in line.split():
            if re.fullmatch(r"[a-z0-9][a-z0-9+.-]+(?:=\S+)?", word):
                finding.apt.setdefault(word, f"{tree.where(path)}:{number}")
            else:
                finding.leave(f"{tree.where(path)}:{number}", word, "no Debian package")


def take_requirements(finding: Finding, tree: Tree, path: str, where: str, seen: set[str] | None = None) -> bool:
    """Whether the file is there. ``seen`` are files that were read for it: each is read once."""
    text = tree.text(path)
    seen = {posixpath.normpath(path)} if seen is None else seen
    if text is None:
        finding.leave(where, path, "this file of requirements is not there")
        return True
    for number, line in requirement_lines(text):
        here = f"{tree.where(path)}:{number}"
        if (other := re.fullmatch(r"(?:-r|--requirement)[ =]?\s*(\S+)", line)) is not None:
            below = posixpath.join(posixpath.dirname(path), other[1])
            if (name := posixpath.normpath(below)) not in seen:
                seen.add(name)
                take_requirements(finding, tree, below, here, seen)
        elif line.startswith("-"):
            finding.leave(here, line, "an option: where packages come from is the builder's business")
        elif (bare := re.split(r"\s--hash=", line)[0].strip()) and distribution(bare) and "@" not in bare:
            finding.pip.setdefault(bare, here)
        else:
            finding.leave(here, line, "no package of an index: install it in postBuild, or publish it")
    return True


def take_environment(finding: Finding, tree: Tree, path: str, where: str) -> bool:
    """The file's packages, and a note where it is not there or no environment."""
    import yaml

    text = tree.text(path)
    try:
        if _depth(text or "") > _DEEPEST:
            finding.leave(where, path, f"its values nest more than {_DEEPEST} deep")
            return True
        node = yaml.compose(text or "", Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        finding.leave(where, path, f"it is no YAML: {getattr(error, 'problem', error)}")
        return True
    if text is None or not isinstance(node, yaml.MappingNode):
        finding.leave(where, path, "this environment is not there, or has no `dependencies`")
        return True
    for key, value in node.value:
        if key.value in ("dependencies", "channels") and isinstance(value, yaml.SequenceNode):
            for item in value.value:
                _take_item(finding, tree, path, key.value, item)
    if not any(key.value == "dependencies" and isinstance(value, yaml.SequenceNode) for key, value in node.value):
        finding.leave(where, path, "this environment has no list of `dependencies`")
    return True


def _depth(text: str) -> int:
    """Of lists and mappings in each other: what composes them would fall off the stack. Raises YAMLError."""
    import yaml

    now = most = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        now += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        most = max(most, now)
    return most


def _take_item(finding: Finding, tree: Tree, path: str, key: str, item: Any) -> None:
    import yaml

    where = f"{tree.where(path)}:{item.start_mark.line + 1}"
    if isinstance(item, yaml.MappingNode):
        for name, listed in item.value:
            lines = listed.value if isinstance(listed, yaml.SequenceNode) else ()
            if not lines or not all(isinstance(line, yaml.ScalarNode) for line in lines):
                finding.leave(
                    where, str(name.value) if isinstance(name, yaml.ScalarNode) else "", "no list of packages"
                )
                continue
            for line in lines:
                _take_pip(finding, line.value, f"{tree.where(path)}:{line.start_mark.line + 1}")
    elif not isinstance(item, yaml.ScalarNode) or not item.value.strip():
        finding.leave(where, "", "no name of a package or channel")
    elif key == "channels":
        if item.value not in ("conda-forge", "defaults", "nodefaults"):
            finding.leave(where, item.value, "another channel than conda-forge")
    elif re.fullmatch(r"(?:[\w.-]+::)?[\w.-]+\s*[^\s]*.*", str(item.value)):
        finding.conda.setdefault(str(item.value).strip(), where)


def _take_pip(finding: Finding, line: str, where: str) -> None:
    if distribution(line) and "@" not in line:
        finding.pip.setdefault(line, where)
    else:
        finding.leave(where, line, "no package of an index: install it in postBuild, or publish it")


def read_repository(tree: Tree, finding: Finding) -> str:
    """A repository as repo2docker reads it: what is in binder/ or .binder/, else at the top. The path of its Dockerfile."""
    folder = next((name for name in ("binder", ".binder") if tree.text(name) is None and any(tree.below(name))), "")
    there = [path for path in (posixpath.join(folder, name) for name in PACKAGE_FILES) if path in tree.files]
    dockerfile = posixpath.join(folder, "Dockerfile")
    if dockerfile in tree.files:
        return dockerfile
    if any(path.endswith((".yml", ".yaml")) for path in there):
        there = [path for path in there if not path.endswith("requirements.txt")]  # as repo2docker
    for path in there:
        read_package_file(tree, path, finding)
    for name, why in _OTHERS.items():
        if (path := posixpath.join(folder, name)) in tree.files:
            finding.leave(tree.where(path), name, why)
    return ""


_OTHERS = {
    "runtime.txt": "the release of Python or R is what a base or a layer brings",
    "start": "it belongs to the repository: hubs start images by themselves",
    "setup.py": "the repository is a package: publish it, or install it in postBuild",
    "Pipfile": "write its packages into requirements.txt",
    "Project.toml": "Julia's packages need a layer with a Dockerfile.j2",
    "default.nix": "stacks have no Nix",
}
