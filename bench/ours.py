"""The common tree as a hubstack project: a layer an image, each with one test. No stacks: `layer:*` takes every layer.

A stack's images must serve a hub, and busybox can't.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench.measure import environment
from bench.place import Place
from bench.tree import ROOT, Item, write_file, write_item

NAME = "hubstack"
EVERYTHING = "layer:*"


class Hubstack:
    name = NAME

    def __init__(self, place: Place, tree: tuple[Item, ...]) -> None:
        self._place, self._tree = place, tree
        self._prefix = f"bench/hubstack-{len(tree)}"
        self.folder = place.folder / f"hubstack-{len(tree)}"

    def write(self, nonce: str) -> None:
        if not self.folder.exists():
            self._write_project()
        for item in self._tree:
            write_item(self._of(item), item, name="Dockerfile.j2", parent="parent", nonce=nonce)
            (self._of(item) / "layer.yaml").write_text(_layer_yaml(item, self._place.base))

    def touch(self, item: Item, nonce: str) -> None:
        write_file(self._of(item), item, nonce)

    def build(self) -> list[str]:
        return [*self._command(), "build", "--push", EVERYTHING]

    def render(self) -> list[str]:
        """With fingerprints, which the others have none of."""
        return [*self._command(), "plan", "--offline", EVERYTHING]

    def plan(self) -> list[str]:
        return [*self._command(), "plan", EVERYTHING]

    def environment(self) -> dict[str, str]:
        return {}

    def digests(self) -> dict[str, str | None]:
        """What the registry has for each image, under the names that this state of the tree gives."""
        plan = subprocess.run(
            [*self._command(), "plan", "--offline", "--json", EVERYTHING],
            env=environment(),
            check=True,
            capture_output=True,
        ).stdout
        return {
            node["layer"]: self._place.digest(f"{self._prefix}/build", f"fp-{node['fingerprint']}")
            for node in json.loads(plan)["nodes"]
        }

    def _command(self) -> list[str]:
        return [str(Path(sys.executable).parent / "hubstack"), "-C", str(self.folder)]

    def _of(self, item: Item) -> Path:
        return self.folder / ("layers" if item.parent else "base") / item.name

    def _write_project(self) -> None:
        from hubstack.lock import Lock, render_lock
        from hubstack.model import Digest

        self.folder.mkdir(parents=True)
        (self.folder / "hubstack.yaml").write_text(f"registry: {self._place.host}/{self._prefix}\n")
        lock = Lock(images={self._place.base: Digest(self._place.base_digest)})
        (self.folder / "hubstack.lock").write_text(render_lock(lock))


def _layer_yaml(item: Item, base: str) -> str:
    lines = [f"summary: {item.name} of the common tree"]
    if not item.parent:
        lines.append(f'image: "{base}"')
    elif item.parent != ROOT:
        lines.append(f"requires: [{item.parent}]")
    lines += ["tests:", f"  - run: test -f /opt/bench/{item.name}.ran"]
    return "".join(f"{line}\n" for line in lines)
