"""A project on a disk whose images get published in a registry in this process, with the packages that a test says."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.commandline import PROJECTS, Done, run
from tests.fakes.registry import FakeRegistry
from tests.shell import Shell, TerminalEngine

CONTENTS = "sh /srv/hubstack/contents.sh"  # what an image is asked for its packages
Packages = Mapping[str, Mapping[str, str]]

FILES = {
    "stacks/minimal.yaml": "title: Minimal\ndescription: JupyterLab & Python\nbase: debian\nlayers: [python]\n",
    "stacks/tools.yaml": "title: Tools\nbase: debian\nlayers: [scipy, tools]\n",
    "layers/tools/layer.yaml": "summary: What one needs\nrequires: [python]\n",
    "layers/tools/apt.txt": "git\nr-cran-ggplot2\n",
    "layers/tools/npm.txt": "@jupyterlab/builder@4.5.1\n",
    "profiles/demo.yaml": """\
configmap: {name: jhub-profiles, namespace: jhub}
hub: {url: "https://hub.example.org", pull_secret: none}
profiles:
  - slug: python
    title: Python & more
    stacks: [minimal, scipy]
    resources: [{key: small, title: 2 GB, mem_limit: 2G}, {key: large, title: 8 GB, mem_limit: 8G, default: true}]
  - slug: class
    title: Class
    stacks: [minimal]
    groups: [students]
external:
  - profile: python
    key: course
    title: The course & more
    description: "R & \\"more\\""
    image: "quay.example/a/course:1@sha256:5555555555555555555555555555555555555555555555555555555555555555"
""",
}
DEBIAN = {"bash": "5.2.37-2+b10", "libc6": "2.41-12"}
MINIMAL: Packages = {"debian": {**DEBIAN, "python3": "3.13.5-1"}, "python": {"pip": "25.1", "JupyterLab": "4.5.1"}}
SCIPY: Packages = {
    "debian": MINIMAL["debian"],
    "python": {
        **MINIMAL["python"],
        "numpy": "2.3.5",
        "pandas": "2.3.3",
        "python-dateutil": "2.9.0.post0",
        "pytz": "2025.2",
        "six": "1.17.0",
        "tzdata": "2025.2",
    },
}
TOOLS: Packages = {
    "debian": {
        **SCIPY["debian"],
        "git": "1:2.47.3-0+deb13u1",
        "libcurl4": "8.14.1-2",
        "r-cran-ggplot2": "3.5.1+dfsg-1",
    },
    "python": {**SCIPY["python"], "nbgitpuller": "1.2.2"},
    "r": {"ggplot2": "3.5.1", "base": "4.5.0"},
    "npm": {"@jupyterlab/builder": "4.5.1"},
}


@dataclass
class Market:
    folder: Path
    registry: FakeRegistry

    @classmethod
    def at(cls, folder: Path, registry: FakeRegistry) -> Market:
        """The project, nothing published."""
        shutil.copytree(PROJECTS / "good-locked", folder)
        market = cls(folder, registry)
        for path, text in FILES.items():
            market.write(path, text)
        return market

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)

    def publish(self, stack: str, packages: Packages, *, channel: str = "") -> None:
        engine = TerminalEngine(self.registry)
        engine.outputs[CONTENTS] = "".join(
            f"={manager}\n" + "".join(f"{name}\t{version}\n" for name, version in some.items())
            for manager, some in packages.items()
        )
        words = ["--channel", channel] if channel else []
        assert Shell(self.folder, self.registry, engine)("build", "--push", stack, *words).return_value == 0

    def publish_all(self) -> None:
        """Lowest first: each image is asked for itself."""
        for stack, packages in (("minimal", MINIMAL), ("scipy", SCIPY), ("tools", TOOLS)):
            self.publish(stack, packages)

    def type(self, *words: str) -> Done:
        return run(*words, folder=self.folder, env={"HUBSTACK_REGISTRY": f"{self.registry.host}/x"})
