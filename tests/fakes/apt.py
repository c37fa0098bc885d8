"""An archive in memory, asked as the real one is: mmdebstrap fetches lists into a private root, apt-get says which files it
would fetch. It stands where ``hubstack.command.output`` stands.

Simple on purpose: no alternatives, no conflicts; each package has one version a suite.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hubstack.errors import CommandFailed, EngineError

HOST = "archive.test"


@dataclass(frozen=True, kw_only=True)
class Debian:
    """A package. What is essential is in every base."""

    version: str
    needs: tuple[str, ...] = ()
    essential: bool = False


@dataclass
class FakeArchive:
    suites: dict[str, dict[str, Debian]]
    installed: bool = True  # mmdebstrap is there
    reachable: bool = True
    calls: list[Sequence[str]] = field(default_factory=list)

    def __call__(self, argv: Sequence[str], *, env: Mapping[str, str], deadline_s: float) -> str:
        assert deadline_s > 0
        self.calls.append(argv)
        if argv[0] == "mmdebstrap":
            return self._fetch(argv)
        config = Path(env["APT_CONFIG"]).read_text()
        folder = Path(re.findall(r'Dir "([^"]*)"', config)[0])
        suite = (folder / "etc/apt/sources.list").read_text().split()[2]
        return "".join(self._files(self.suites[suite], argv[argv.index("--") + 1 :]))

    def _fetch(self, argv: Sequence[str]) -> str:
        if not self.installed:
            raise EngineError("mmdebstrap is not installed")
        suite = argv[-2]
        if not self.reachable or suite not in self.suites:
            raise CommandFailed(
                "mmdebstrap ended with code 25", code=25, tail=("I: running", "E: apt-get update failed")
            )
        for hook in (one.partition("=")[2].split() for one in argv if one.startswith("--customize-hook=copy-out")):
            *sources, target = hook[1:]
            for source in sources:
                (Path(target) / Path(source).name).mkdir(parents=True)
                if source == "/etc/apt":
                    (Path(target) / "apt/sources.list").write_text(f"deb http://{HOST}/debian {suite} main\n")
        return ""

    def _files(self, packages: Mapping[str, Debian], words: Iterable[str]) -> Iterator[str]:
        waiting = [name for word in words for name in _named(packages, word)]
        found: dict[str, Debian] = {}
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = packages[name]
                waiting += packages[name].needs
        for name, one in found.items():
            file = f"{name}_{one.version.replace(':', '%3a')}_amd64.deb"
            yield f"'http://{HOST}/debian/pool/{name}/{file}' {file} 1234 SHA256:00\n"


def _named(packages: Mapping[str, Debian], word: str) -> list[str]:
    if word == "?essential":
        return [name for name, one in packages.items() if one.essential]
    if word.startswith("?"):
        return []
    name, _, version = word.partition("=")
    if name not in packages or version not in ("", packages[name].version):
        tail = (f"E: Unable to locate package {name}",)
        raise CommandFailed("apt-get ended with code 100", code=100, tail=tail)
    return [name]
