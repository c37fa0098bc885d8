"""What a repository asks for: the files that repo2docker reads, as one record.

The same files in the same places with the same meaning as in repo2docker, so that a repository works with both. Where
there is a folder ``binder`` or ``.binder``, only what is in it counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hubstack.repository.condaspec import CondaSpec, parse_condaspec

FOLDERS = ("binder", ".binder")
STACK = "stack"  # the file that names a stack; repo2docker reads no file of this name
ENVIRONMENT = ("environment.yml", "environment.yaml")
_IGNORED = {  # what repo2docker reads as well
    "Project.toml": "no stack has Julia by it",
    "REQUIRE": "no stack has Julia by it",
    "default.nix": "stacks have no Nix",
    "Pipfile": "write its packages into requirements.txt",
    "requirements3.txt": "write its packages into requirements.txt",
    "DESCRIPTION": "call remotes::install_local() in install.R",
}
_APT = re.compile(r"(?P<name>[a-z0-9][a-z0-9.+-]*)(?:=(?P<version>[A-Za-z0-9.+:~-]+))?")
_RUNTIME = re.compile(r"(?P<name>[a-z]+)(?:-(?P<version>\d+(?:\.\d+)*))?(?:-(?P<date>\d{4}-\d\d-\d\d))?")
_LOCAL = re.compile(
    r"\s*(?:-(?:e|r|c|f)\b|--(?:editable|requirement|constraint|find-links)\b|\.|/|file:|[\w.-]+\s*@\s*file:)"
)
_BIGGEST = 1 << 20


class Fault(Exception):
    """What is wrong in a repository's files, one sentence a fault: ``FILE:LINE: what. How to mend.``"""

    def __init__(self, *messages: str) -> None:
        self.messages = messages
        super().__init__("\n".join(messages))


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A requirement as it is written, and where."""

    text: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaLine:
    text: str
    where: str
    spec: CondaSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """``name``: python or r; ``version`` may be empty."""

    name: str
    version: str
    where: str


@dataclass(frozen=True, kw_only=True)
class Specification:
    """``folder`` is ``binder``, ``.binder`` or empty; paths are relative to the repository."""

    folder: str = ""
    dockerfile: bool = False
    stack: str = ""  # what binder/stack names
    runtime: Runtime | None = None
    apt: tuple[Line, ...] = ()
    requirements: tuple[Line, ...] = ()  # of requirements.txt, or of environment.yml's pip part
    requirements_path: str = ""  # where ``requirements`` are a file of the repository
    environment: tuple[str, ...] = ()  # environment.yml line by line, for a stack with conda
    environment_path: str = ""
    conda: tuple[CondaLine, ...] = ()
    package: bool = False  # the repository itself is a Python package: install it
    install_r: str = ""
    post_build: str = ""
    start: str = ""
    warnings: tuple[str, ...] = field(default=())

    def path(self, name: str) -> str:
        return f"{self.folder}/{name}" if self.folder else name

    @property
    def local(self) -> bool:
        """Whether the requirements point into the repository, and so can only be installed once it is there."""
        return any(_LOCAL.match(line.text) for line in self.requirements)

    @property
    def needs_r(self) -> bool:
        return bool(self.install_r) or (self.runtime is not None and self.runtime.name == "r")

    @property
    def python(self) -> str:
        """The Python release that is asked for: by runtime.txt, or by environment.yml as ``3.11``."""
        if self.runtime is not None and self.runtime.name == "python":
            return self.runtime.version
        exact = [one for line in self.conda if line.spec.name == "python" for one in line.spec.alternatives]
        match = re.fullmatch(r"==(\d+\.\d+)(?:\.\d+)*(?:\.\*)?", exact[0]) if len(exact) == 1 else None
        return match[1] if match else ""


def read_specification(root: Path) -> Specification:
    """Read a checked-out repository. Raises Fault with everything that is wrong."""
    there = [name for name in FOLDERS if (root / name).is_dir()]
    if len(there) > 1:
        raise Fault("the repository has both binder/ and .binder/. Keep one of them.")
    reader = _Reader(root, there[0] if there else "")
    found = reader.read()
    if reader.faults:
        raise Fault(*reader.faults)
    return found


class _Reader:
    def __init__(self, root: Path, folder: str) -> None:
        self.root, self.folder = root, folder
        self.faults: list[str] = []
        self.warnings: list[str] = []

    def read(self) -> Specification:
        if self.file("Dockerfile"):
            return Specification(folder=self.folder, dockerfile=True, stack=self.stack())
        environment = next((name for name in ENVIRONMENT if self.file(name)), "")
        requirements = self.requirements("requirements.txt")
        conda: tuple[CondaLine, ...] = ()
        lines: tuple[str, ...] = ()
        path = self.file("requirements.txt")
        if environment:
            if path:
                self.warnings.append(
                    f"{path} is not read, because there is {self.file(environment)}: as in repo2docker"
                )
            lines, path = self.lines(environment), ""
            conda, requirements = self.environment(environment)
        for name, why in _IGNORED.items():
            if ignored := self.file(name):
                self.warnings.append(f"{ignored} is not read: {why}")
        return Specification(
            folder=self.folder,
            stack=self.stack(),
            runtime=self.runtime(),
            apt=self.apt(),
            requirements=requirements,
            requirements_path=path,
            environment=lines,
            environment_path=self.file(environment) if environment else "",
            conda=conda,
            package=self.package(),
            install_r=self.file("install.R"),
            post_build=self.file("postBuild"),
            start=self.file("start"),
            warnings=tuple(self.warnings),
        )

    def file(self, name: str) -> str:
        """The file's path in the repository where it is there, else nothing."""
        return self.inside(f"{self.folder}/{name}" if self.folder else name)

    def inside(self, path: str) -> str:
        """A link may lead elsewhere in the repository; what it would read of this machine is nobody's business."""
        if not (self.root / path).is_file():
            return ""
        if not (self.root / path).resolve().is_relative_to(self.root.resolve()):
            fault = f"{path} leads out of the repository. Put the file itself there."
            self.faults += [fault] if fault not in self.faults else []
            return ""
        return path

    def lines(self, name: str) -> tuple[str, ...]:
        path = self.file(name)
        if not path:
            return ()
        if (self.root / path).stat().st_size > _BIGGEST:
            self.faults.append(f"{path} is larger than 1 MiB")
            return ()
        try:
            return tuple((self.root / path).read_text(encoding="utf-8-sig").splitlines())
        except UnicodeDecodeError:
            self.faults.append(f"{path} is not text in UTF-8. Save it as UTF-8.")
            return ()

    def numbered(self, name: str) -> Iterator[Line]:
        """The lines that say something, without their comments."""
        path = self.file(name)
        for number, line in enumerate(self.lines(name), 1):
            if text := re.sub(r"(^|\s)#.*", "", line).strip():
                yield Line(text=text, where=f"{path}:{number}")

    def stack(self) -> str:
        if not self.folder:
            return ""  # a file of this name at a repository's top may be anything
        said = list(self.numbered(STACK))
        if len(said) > 1:
            self.faults.append(f"{said[1].where}: a stack file holds one name, and this is a second one.")
        return said[0].text if said else ""

    def runtime(self) -> Runtime | None:
        said = list(self.numbered("runtime.txt"))
        if not said:
            return None
        line = said[0]
        match = _RUNTIME.fullmatch(line.text)
        if match is None or match["name"] not in {"python", "r"} or len(said) > 1:
            self.faults.append(f"{line.where}: {line.text!r} names no runtime. Write python-3.13 or r-4.5.")
            return None
        if match["date"]:
            self.warnings.append(
                f"{line.where}: the date is not used: R's packages come from where the stack takes them"
            )
        return Runtime(name=match["name"], version=match["version"] or "", where=line.where)

    def apt(self) -> tuple[Line, ...]:
        found = []
        for line in self.numbered("apt.txt"):
            for word in line.text.split():
                if _APT.fullmatch(word) is None:
                    self.faults.append(f"{line.where}: {word!r} is no Debian package's name.")
                found.append(Line(text=word, where=line.where))
        return tuple(found)

    def requirements(self, name: str) -> tuple[Line, ...]:
        return tuple(self.numbered(name))

    def package(self) -> bool:
        """By repo2docker's rule: without a folder binder, a setup.py or a pyproject.toml that can be built."""
        if self.folder:
            return False
        if self.inside("setup.py"):
            return True
        import tomllib

        try:
            said = tomllib.loads("\n".join(self.lines("pyproject.toml")))
        except tomllib.TOMLDecodeError as error:
            self.faults.append(f"pyproject.toml can't be read: {error}.")
            return False
        return "project" in said and "build-system" in said

    def environment(self, name: str) -> tuple[tuple[CondaLine, ...], tuple[Line, ...]]:
        path = self.file(name)
        said = self.yaml(path)
        if said is None:
            return (), ()
        if not isinstance(said, dict) or not isinstance(said.get("dependencies") or [], list):
            self.faults.append(f"{path}: it is no mapping with a list of `dependencies`.")
            return (), ()
        conda: list[CondaLine] = []
        pip: list[Line] = []
        for number, one in _items(said.get("dependencies") or []):
            where = f"{path}:{number}"
            if isinstance(one, str):
                self.conda(conda, one, where)
            elif isinstance(one, dict) and list(one) == ["pip"] and isinstance(one["pip"] or [], list):
                pip += [Line(text=str(line), where=f"{path}:{at}") for at, line in _items(one["pip"] or [])]
            else:
                self.faults.append(f"{where}: a dependency is a package, or `pip:` with a list of packages.")
        return tuple(conda), tuple(pip)

    def conda(self, found: list[CondaLine], text: str, where: str) -> None:
        try:
            found.append(CondaLine(text=text, where=where, spec=parse_condaspec(text)))
        except ValueError:
            self.faults.append(f"{where}: {text!r} is no package. Write name, name=1.2 or name>=1.2.")

    def yaml(self, path: str) -> Any:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError

        loader: Callable[[str], Any] = YAML().load
        try:
            return loader("\n".join(self.lines(path.rpartition("/")[2])))
        except YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{path}:{mark.line + 1}" if mark is not None else path
            self.faults.append(f"{where}: it is no YAML: {getattr(error, 'problem', error)}.")
            return None


def _items(sequence: Any) -> Iterator[tuple[int, Any]]:
    """Each item of a YAML sequence with its line, counting from 1."""
    for index, one in enumerate(sequence):
        yield sequence.lc.item(index)[0] + 1, one
