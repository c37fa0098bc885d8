"""A uv that resolves against an index in memory: same files in and out, same exit codes and sentences as `uv lock`.

It stands where ``hubstack.command.output`` stands. Simple on purpose: it takes the newest version that all who ask for
a package allow, prefers those of a uv.lock that is there already, and knows no backtracking.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hubstack.errors import CommandFailed
from packaging.requirements import Requirement
from packaging.version import Version

HOST = "files.index.test"
ANY = ("py3-none-any",)
_ROUNDS = 50


@dataclass(frozen=True, kw_only=True)
class Release:
    needs: tuple[str, ...] = ()
    extras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    wheels: tuple[str, ...] = ANY  # their tags
    sdist: bool = True


def file_hash(file: str) -> str:
    """The sha256 that this index says a file has."""
    return hashlib.sha256(file.encode()).hexdigest()


@dataclass
class FakeUv:
    index: dict[str, dict[str, Release]]  # package → version → release
    reachable: bool = True
    calls: list[Mapping[str, str]] = field(default_factory=list)  # the environment of each

    def __call__(self, argv: Sequence[str], *, env: Mapping[str, str], deadline_s: float) -> str:
        assert argv[1] == "lock"
        assert deadline_s > 0
        self.calls.append(env)
        if not self.reachable:
            raise _failed(
                "error: Failed to fetch: `https://files.index.test/simple/numpy/`", "  cause: invalid peer certificate"
            )
        folder = Path(argv[argv.index("--project") + 1])
        project = tomllib.loads((folder / "pyproject.toml").read_text())
        lock = folder / "uv.lock"
        preferred = tomllib.loads(lock.read_text())["package"] if lock.exists() else []
        run = _Run(
            index=self.index,
            groups=project["dependency-groups"],
            markers=_markers(project["tool"]["uv"]["environments"][0]),
            preferred={one["name"]: one["version"] for one in preferred},
        )
        lock.write_text(run.lock())
        return ""


@dataclass
class _Run:
    index: Mapping[str, Mapping[str, Release]]
    groups: Mapping[str, Sequence[str]]
    markers: dict[str, str]
    preferred: Mapping[str, str]
    found: dict[str, str] = field(default_factory=dict)

    def lock(self) -> str:
        for _ in range(_ROUNDS):
            before = dict(self.found)
            self._round()
            if self.found == before:
                break
        groups = "".join(f"{group} = {self._entries(lines)}\n" for group, lines in self.groups.items())
        root = f'[[package]]\nname = "hubstack-resolution"\nversion = "0"\n[package.dev-dependencies]\n{groups}'
        return "\n".join(("version = 1", *(self._package(name) for name in sorted(self.found)), root))

    def _round(self) -> None:
        asking: dict[str, list[tuple[str, Requirement]]] = {}
        for who, requirement in self._asked():
            asking.setdefault(requirement.name, []).append((who, requirement))
        self.found = {name: self._choose(name, some) for name, some in asking.items()}

    def _asked(self) -> Iterator[tuple[str, Requirement]]:
        waiting = [
            (f"hubstack-resolution:{group}", Requirement(line))
            for group, lines in self.groups.items()
            for line in lines
        ]
        seen = set()
        while waiting:
            who, requirement = waiting.pop()
            if (who, str(requirement)) in seen or not self._holds(requirement):
                continue
            seen.add((who, str(requirement)))
            yield who, requirement
            if (version := self.found.get(requirement.name)) is not None:
                release = self.index[requirement.name][version]
                extra = [line for one in requirement.extras for line in release.extras.get(one, ())]
                name = f"{requirement.name}=={version}"
                waiting.extend((name, Requirement(line)) for line in (*release.needs, *extra))

    def _choose(self, name: str, asking: list[tuple[str, Requirement]]) -> str:
        if name not in self.index:
            self._give_up(f"{name} was not found in the package registry and {asking[0][0]} depends on {name}")
        fitting = [v for v in self.index[name] if all(one.specifier.contains(v) for _, one in asking)]
        if not fitting:
            self._give_up(" and ".join(f"{who} depends on {one}" for who, one in asking))
        preferred = self.preferred.get(name, "")
        return preferred if preferred in fitting else max(fitting, key=Version)

    def _give_up(self, why: str) -> None:
        raise _failed(
            "error: No solution found when resolving dependencies for split (markers: sys_platform == 'linux')",
            f"  cause: Because {why}, we can conclude that they are incompatible.",
            "         And because your project requires them, we can conclude that your project's requirements are unsatisfiable.",
            "",
            "hint: While the active Python version is 3.11, the resolution failed for other Python versions.",
        )

    def _holds(self, requirement: Requirement) -> bool:
        return requirement.marker is None or requirement.marker.evaluate(self.markers)

    def _entries(self, lines: Sequence[str]) -> str:
        entries = []
        for requirement in map(Requirement, lines):
            extra = f", extra = {json.dumps(sorted(requirement.extras))}" if requirement.extras else ""
            marker = f", marker = {json.dumps(str(requirement.marker))}" if requirement.marker else ""
            if requirement.name in self.found:
                entries.append(f'{{ name = "{requirement.name}"{extra}{marker} }}')
        return f"[{', '.join(entries)}]"

    def _package(self, name: str) -> str:
        version = self.found[name]
        release = self.index[name][version]
        wheels = ", ".join(_file(f"{name.replace('-', '_')}-{version}-{tags}.whl") for tags in release.wheels)
        sdist = f"sdist = {_file(f'{name}-{version}.tar.gz')}\n" if release.sdist else ""
        extras = "".join(f"{extra} = {self._entries(lines)}\n" for extra, lines in release.extras.items())
        return (
            f'[[package]]\nname = "{name}"\nversion = "{version}"\n'
            f'source = {{ registry = "https://{HOST}/simple" }}\n'
            f"dependencies = {self._entries(release.needs)}\n{sdist}wheels = [{wheels}]\n"
            + (f"[package.optional-dependencies]\n{extras}" if extras else "")
        )


def _file(name: str) -> str:
    return f'{{ url = "https://{HOST}/packages/{name}", hash = "sha256:{file_hash(name)}" }}'


def _failed(*lines: str) -> CommandFailed:
    return CommandFailed("uv ended with code 1", code=1, tail=lines)


def _markers(environment: str) -> dict[str, str]:
    """What a narrowed environment says of each variable; with a KeyError where it leaves one open."""
    pairs = dict(re.findall(r"(\w+) == '([^']*)'", environment))
    release = pairs["python_full_version"]
    return {
        **pairs,
        "python_version": ".".join(release.split(".")[:2]),
        "platform_release": "",
        "platform_version": "",
        "extra": "",
    }
