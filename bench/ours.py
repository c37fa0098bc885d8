"""The common tree as a hubstack project: a layer an image, each with one test. No stacks: `layer:*` takes every layer.

A stack's images must serve a hub, and busybox can't.
"""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.measure import environment
from bench.place import Place
from bench.tree import ROOT, Item, write_file, write_item

EVERYTHING = "layer:*"


class Hubstack:
    def __init__(self, place: Place, tree: tuple[Item, ...], *, tests: bool = True) -> None:
        self.name = "hubstack"
        self._place, self._tree, self._tests = place, tree, tests
        kind = f"hubstack-{len(tree)}{'' if tests else '-untested'}"
        self._repository = f"bench/{kind}/build"
        self.folder = place.folder / kind

    def write(self, nonce: str) -> None:
        self._write_project()
        for item in self._tree:
            write_item(self._of(item), item, name="Dockerfile.j2", parent="parent", nonce=nonce)
            (self._of(item) / "layer.yaml").write_text(_layer_yaml(item, self._place.base, tests=self._tests))

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
        """What the registry has for each image, under the name that this state of the tree gives."""
        return {node["layer"]: self._digest(node) for node in self._nodes()}

    def pinned(self, layer: str) -> str:
        """``host/repository:tag@digest`` of a layer that is built."""
        node = next(node for node in self._nodes() if node["layer"] == layer)
        return f"{self._place.host}/{self._repository}:fp-{node['fingerprint']}@{self._digest(node)}"

    def seed(self) -> None:
        """Put the tags that say that everything is built and tested; behind them stands the base image."""
        from hubstack.cli.invocation import Invocation
        from hubstack.names import tested_tag
        from hubstack.pipeline import prepare

        project = Invocation(folder=self.folder, ca_bundle=None, registry=None)
        inputs = prepare(project.project, project.lock, [EVERYTHING])
        repository = self._repository
        content = self._place.manifest("bench/base", "1")
        self._place.mount("bench/base", repository, content)
        tags = [tested_tag(identity.fingerprint, inputs.tests[node]) for node, identity in inputs.identities.items()]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda tag: self._place.put(repository, tag, content), tags))

    def _nodes(self) -> list[dict[str, Any]]:
        command = [*self._command(), "plan", "--offline", "--json", EVERYTHING]
        said = subprocess.run(command, env=environment(), check=True, capture_output=True).stdout
        nodes: list[dict[str, Any]] = json.loads(said)["nodes"]
        return nodes

    def _digest(self, node: dict[str, Any]) -> str | None:
        return self._place.digest(self._repository, f"fp-{node['fingerprint']}")

    def _command(self) -> list[str]:
        return [str(Path(sys.executable).parent / "hubstack"), "-C", str(self.folder)]

    def _of(self, item: Item) -> Path:
        return self.folder / ("layers" if item.parent else "base") / item.name

    def _write_project(self) -> None:
        from hubstack.lock import Lock, render_lock
        from hubstack.reference import Digest

        self.folder.mkdir(parents=True, exist_ok=True)
        prefix = self._repository.removesuffix("/build")
        (self.folder / "hubstack.yaml").write_text(f"registry: {self._place.host}/{prefix}\n")
        lock = Lock(images={self._place.base: Digest(self._place.base_digest)})
        (self.folder / "hubstack.lock").write_text(render_lock(lock))


def _layer_yaml(item: Item, base: str, *, tests: bool) -> str:
    lines = [f"summary: {item.name} of the common tree"]
    if not item.parent:
        lines.append(f'image: "{base}"')
    elif item.parent != ROOT:
        lines.append(f"requires: [{item.parent}]")
    if tests:
        lines += ["tests:", f"  - run: test -f /opt/bench/{item.name}.ran"]
    return "".join(f"{line}\n" for line in lines)
