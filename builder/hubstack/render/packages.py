"""What ``packages()``, ``copy()`` and ``run()`` write into a Dockerfile: one RUN, so one filesystem layer, for each kind.

The text itself is in ``templates/``; here is what decides which of it and with which arguments.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from textwrap import dedent
from typing import Any

from hubstack.errors import Problem
from hubstack.model import SourceFile
from hubstack.render.origin import Text, mark, separate
from hubstack.render.template import STEP, Functions, Refusal, Templates
from hubstack.source import Position
from hubstack.spelling import did_you_mean, quote

FILES = ("apt.txt", "environment.yml", "requirements.txt", "npm.txt", "install.R", "postBuild")
"""Package files, in the order in which they are installed."""
IN_CONTEXT = frozenset({"environment.yml", "install.R", "postBuild"})
"""Those that builds read as they are; requirements.txt becomes the layer's slice of the lock."""
RUN_SCRIPT = ".hubstack/run.sh"
SCRIPTS = {RUN_SCRIPT: "render/templates/run.sh", ".hubstack/bytecode.py": "inside/bytecode.py"}
"""What steps run: path in the build context → path in this package."""
"""What every RUN of ours calls, as it lies in the build context."""
COPY = "copy()"
BEGIN = f"#{STEP}"
"""Stands in front of a RUN that needs to be root and to know SOURCE_DATE_EPOCH; ``privilege`` replaces it."""

APT_WORD = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.](?::[a-z0-9-]+)?(?:=[A-Za-z0-9.+:~-]+|/[A-Za-z0-9.-]+)?")
"""What apt and mmdebstrap are told to install: never an option, a pattern or a removal."""
_NPM = re.compile(r"(?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*@\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]+)?")
_OWNER = re.compile(r"([a-z0-9_][a-z0-9_-]*)(?::([a-z0-9_][a-z0-9_-]*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the functions know of the layer that they serve. Paths are relative to its folder, which is ``folder``."""

    folder: str
    cache: str  # the base and its values: packages of one release are cached together
    packages: Mapping[str, Text]  # rendered package files
    pins: bool  # whether the layer's slice of the lock holds anything
    files: Mapping[str, bool]  # path below files/ → whether it is executable


@dataclass(slots=True)
class Writer:
    """The functions for one render of one Dockerfile, and what became of its package files."""

    templates: Templates
    site: Site
    asked: set[str] = field(default_factory=set)
    written: dict[str, str] = field(default_factory=dict)  # whole RUNs → the package file, or COPY

    def functions(self) -> Functions:
        return {"packages": self.packages, "copy": self.copy, "run": self.run}

    def packages(self, *names: str) -> str:
        """Install the package files of these names, or all that the layer has; in the order of FILES."""
        for name in names:
            if name not in FILES:
                raise Refusal(f"{quote(name)} is no package file{did_you_mean(name, FILES)}")
        wanted = [name for name in FILES if name in (names or FILES) and name in self.site.packages]
        self.asked.update(wanted)
        return "\n\n".join(filter(None, (self._install(name) for name in wanted)))

    def _wrote(self, run: str, why: str) -> str:
        self.written[separate(run, "").text] = why
        return run

    def run(
        self, caller: Callable[[], str], *, apt_cache: bool = False, mounts: Sequence[str] = (), network: bool = True
    ) -> str:
        """A RUN of the author's own, as reproducible as the others; it begins with ``apt-get update`` where it has the
        cache.
        """
        own = [mounts] if isinstance(mounts, str) else list(mounts)
        body = dedent(caller()).strip("\n")
        written = self._apt_run(body, own) if apt_cache else self._run(body, own, network=network)
        return f"{BEGIN}\n{written}\n"

    def copy(self, source: str, target: str, *, chown: str = "", mode: str = "") -> str:
        """Copy a file or a folder's content out of ``files/``; folders that are there stay as they are."""
        path = posixpath.normpath(source)
        folder = any(known.startswith(f"{path}/") for known in self.site.files)
        if not folder and path not in self.site.files:
            raise Refusal(f"there is no {quote(source)} in this layer{did_you_mean(source, self.site.files)}")
        if not target.startswith("/") or ".." in target.split("/"):
            raise Refusal(f"{quote(target)} is no absolute path")
        if mode and not re.fullmatch(r"[0-7]{3,4}", mode):
            raise Refusal(f"{quote(mode)} is no mode", 'Write it as in mode="0755".')
        owner = " ".join(_owner(chown))
        if folder:
            body = self._own.copy_tree(path, target, owner, mode)
        else:
            target = f"{target}{posixpath.basename(path)}" if target.endswith("/") else target
            body = self._own.copy_file(path, target, owner, mode or ("0755" if self.site.files[path] else "0644"))
        run = self._wrote(self._run(body, ["type=bind,source=files,target=/tmp/files"]), COPY)
        return f"{BEGIN}\n{run}"

    @property
    def _own(self) -> Any:
        return self.templates.own("packages.j2")

    def _install(self, name: str) -> str:
        text = self.site.packages[name]
        wanted = self.site.pins if name == "requirements.txt" else any(_significant(line) for line, _ in text.lines())
        if not wanted:
            return ""
        run = self._wrote(self._installing(name, text), name)
        return f"{mark(f'{self.site.folder}/{name}', 1)}{BEGIN}\n# {name}\n{run}"

    def _installing(self, name: str, text: Text) -> str:
        own, bind = self._own, f"type=bind,source={name},target=/tmp/{name}"
        match name:
            case "apt.txt":
                run = self._apt_run(own.apt(_listed(text)), [])
            case "environment.yml":
                run = self._run(own.conda(), [f"{_cache('conda')},sharing=locked", bind])
            case "requirements.txt":
                run = self._run(own.pip(), [_cache("uv"), _cache("pip"), bind])
            case "npm.txt":
                run = self._run(own.npm(_listed(text)), [_cache("npm")])
            case "install.R":
                run = self._run(own.r(), [bind])
            case _:
                run = self._run("cd /tmp\n./postBuild", [bind])
        return run

    def _apt_run(self, body: str, mounts: Sequence[str]) -> str:
        caches = self._own.apt_mounts(self.site.cache).splitlines()
        return self._run(body, [*caches, *mounts], "apt")

    def _run(self, body: str, mounts: Sequence[str], mode: str = "", *, network: bool = True) -> str:
        end = "EOF"
        while end in body.split("\n"):  # the author's own here-document
            end += "_"
        return str(self._own.run(body, mounts, mode, end, network))


def check_packages(name: str, text: Text) -> Iterator[Problem]:
    """Every line of an apt.txt or npm.txt that names no package, or one that stands there already."""
    pattern, wanted = {
        "apt.txt": (APT_WORD, "a Debian package"),
        "npm.txt": (_NPM, "an npm package at an exact version"),
    }[name]
    seen: dict[str, Position] = {}
    for line, position in text.lines():
        if not (entry := _significant(line)):
            continue
        column = line.index(entry) + 1
        here = Position(path=position.path, line=position.line, column=column)
        if pattern.fullmatch(entry) is None:
            remedy = "Write one on a line, as in name@1.2.3." if name == "npm.txt" else "Write one on a line."
            yield Problem(position=here, what=f"{quote(entry)} is not {wanted}", remedy=remedy)
        elif (before := seen.setdefault(entry, here)) is not here:
            yield Problem(
                position=here, what=f"{quote(entry)} stands in line {before.line} already", remedy="Remove one."
            )


def package_lines(text: Text) -> Iterator[tuple[str, Position]]:
    """A package file without comments and blank lines."""
    for line, position in text.lines():
        if entry := _significant(line):
            yield entry, Position(path=position.path, line=position.line, column=line.index(entry) + 1)


def check_requirements(lines: Iterable[tuple[str, Position]]) -> Iterator[Problem]:
    """Options, and lines that go on: a layer asks for names, and where they come from is the builder's business."""
    for entry, position in lines:
        if entry.startswith("-") or entry.endswith("\\"):
            remedy = "Write a requirement on each line, as in numpy>=2."
            yield Problem(position=position, what=f"{quote(entry)} is no requirement", remedy=remedy)


def _significant(line: str) -> str:
    """A package file's line without its comment."""
    return re.sub(r"(?:^|\s)#.*", "", line).strip()


def _listed(text: Text) -> list[str]:
    return [f"{mark(at.path, at.line)}    {entry}" for line, at in text.lines() if (entry := _significant(line))]


def _cache(name: str) -> str:
    """A cache that all builds of this engine share."""
    return f"type=cache,id=hubstack-{name},target=/tmp/{name}"


def _owner(chown: str) -> tuple[str, str]:
    """For tar and install(1) alike."""
    match = _OWNER.fullmatch(chown or "0:0")
    if match is None:
        raise Refusal(f"{quote(chown)} is no owner", 'Write it as in chown="1000:100".')
    return f"--owner={match[1]}", f"--group={match[2] or match[1]}"


def script(path: str) -> SourceFile:
    """One of SCRIPTS."""
    content = resources.files("hubstack").joinpath(*SCRIPTS[path].split("/")).read_bytes()
    return SourceFile(path=path, content=content, executable=True)
