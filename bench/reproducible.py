"""Builds nodes of the example tree once more, and counts those that get the digest that they have.

    python bench/reproducible.py [SELECT …]

What is in `.hubstack/` was built before (`make demo`, `make everything`). The same nodes are built from a copy of the tree
with an empty store, under a registry prefix that nobody has used, each step without BuildKit's cache: nothing can be taken
from the first build but what package managers keep in cache mounts. Exit code 0, also where some differ: it counts.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hubstack.buildx import find_plugin
from hubstack.reference import Fingerprint
from hubstack.store import FOLDER, Store

ROOT = Path(__file__).resolve().parent.parent
TREE = ("base", "layers", "stacks", "profiles", "hubstack.yaml", "hubstack.lock")


def main() -> int:
    chosen = options()
    with tempfile.TemporaryDirectory(prefix="hubstack-") as name:
        folder = Path(name)
        copy = folder / "tree"
        copy_tree(copy)
        registry = f"{chosen.registry}/reproducible/{secrets.token_hex(4)}"
        hubstack = [str(Path(sys.executable).parent / "hubstack"), "-C", str(copy), "--registry", registry]
        hubstack += ["--ca-bundle", chosen.ca_bundle] if chosen.ca_bundle else []
        said = subprocess.run(
            [*hubstack, "plan", "--offline", "--json", *chosen.select], check=True, capture_output=True
        )
        nodes = {node["id"]: Fingerprint(node["fingerprint"]) for node in json.loads(said.stdout)["nodes"]}
        config = without_cache(folder / "docker")
        subprocess.run([*hubstack, "build", *chosen.select], check=False, env={**os.environ, "DOCKER_CONFIG": config})
        return report(nodes, Store(ROOT / FOLDER), Store(copy / FOLDER))


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Which nodes get the same digest when they are built again.")
    parser.add_argument("select", metavar="SELECT", nargs="*", help="stacks or layers, as `hubstack plan` takes them")
    parser.add_argument("--registry", metavar="HOST:PORT", default="127.0.0.1:5000")
    parser.add_argument("--ca-bundle", default=os.environ.get("SSL_CERT_FILE"))
    return parser.parse_args()


def copy_tree(folder: Path) -> None:
    folder.mkdir()
    for name in TREE:
        source = ROOT / name
        shutil.copytree(source, folder / name) if source.is_dir() else shutil.copy2(source, folder / name)


def without_cache(folder: Path) -> str:
    """A docker config folder whose buildx passes --no-cache with each build."""
    plugin = folder / "cli-plugins" / "docker-buildx"
    plugin.parent.mkdir(parents=True)
    plugin.write_text(f'#!/bin/sh\nshift\nexec {find_plugin()} build --no-cache "$@"\n')
    plugin.chmod(0o755)
    return str(folder)


def report(nodes: dict[str, Fingerprint], before: Store, after: Store) -> int:
    same, other, unknown = [], [], []
    for node, fingerprint in nodes.items():
        was, now = before.layout(fingerprint), after.layout(fingerprint)
        if was is None or now is None:
            unknown.append(node)
        elif was.manifest.digest == now.manifest.digest:
            same.append(node)
        else:
            other.append(node)
    print(f"{len(same)} of {len(same) + len(other)} nodes have the same digest")
    for node in other:
        print(f"  differs: {node}")
    for node in unknown:
        print(f"  not built twice: {node}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
