"""The same small repository, ten packages from PyPI, on a stack and through stock repo2docker.

    python bench/repository.py [--registry HOST/PREFIX] [--ca-bundle FILE] [--stack NAME] [--rounds N]

Seconds are those of the whole process. The bytes are what a node downloads that holds the stack already: the compressed
filesystem layers of the image that are not in the stack's. The registry is one without TLS, as `make demo` fills it.
Every round asks for something new, so that nothing is taken from a cache that should not be. The table goes to stdout,
everything to dist/bench/repository.json.
"""

from __future__ import annotations

import argparse
import json
import secrets
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # as a script it would find only its own folder

from bench.measure import CommandFailed, measure  # noqa: E402
from bench.place import Place  # noqa: E402

PACKAGES = (
    "boltons",
    "colorama",
    "cowsay",
    "emoji",
    "humanize",
    "inflection",
    "more-itertools",
    "pyfiglet",
    "tabulate",
    "toolz",
)
FIRST, NOTEBOOK, AGAIN, STOCK = "first build", "a notebook changed", "the same again", "stock repo2docker"


class Bench:
    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        host, _, self.prefix = options.registry.partition("/")
        self.place = Place(root=ROOT, folder=ROOT / "dist" / "bench", host=host)
        self.seconds: dict[str, list[float]] = {}
        self.added: dict[str, int] = {}
        self.images: set[str] = set()

    def write(self, nonce: str) -> None:
        """The nonce is a package for a machine of that name: asked for, and never installed."""
        lines = [*PACKAGES, f'nothing; sys_platform == "{nonce}"']
        (self.folder / "requirements.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        self.edit(nonce)

    def edit(self, nonce: str) -> None:
        (self.folder / "hello.ipynb").write_text(json.dumps({"cells": [], "nonce": nonce}), encoding="utf-8")

    def on_the_stack(self, scenario: str) -> None:
        bundle = [f"--ca-bundle={self.options.ca_bundle}"] if self.options.ca_bundle else []
        hubstack = [str(Path(sys.executable).with_name("hubstack")), f"--registry={self.options.registry}", *bundle]
        argv = [*hubstack, "-C", str(ROOT), "repo", "--json", f"--stack={self.options.stack}", str(self.folder)]
        self.run(scenario, argv)
        said = subprocess.run([*argv, "--push"], check=True, capture_output=True, text=True).stdout
        image = json.loads(said)["image"].partition("@")[0]
        self.images.add(image)
        stack = json.loads(said)["stack"].replace("/", ":") + "-latest"
        below = self.layers(f"{self.options.registry}/{stack}")
        self.added[scenario] = sum(size for digest, size in self.layers(image).items() if digest not in below)

    def layers(self, image: str) -> dict[str, int]:
        repository, _, tag = image.partition("/")[2].rpartition(":")
        return {one["digest"]: one["size"] for one in json.loads(self.place.manifest(repository, tag))["layers"]}

    def stock(self) -> str:
        """Why it could not be measured; empty: it was."""
        image = f"{self.options.registry}/bench/stock:1"
        argv = [sys.executable, "-P", "-m", "repo2docker", "--no-run", f"--image-name={image}", "--user-id=1000"]
        try:
            self.run(STOCK, [*argv, "--user-name=jovyan", str(self.folder)])
        except CommandFailed:
            said = self.place.log("repository-stock-repo2docker").read_text(errors="replace").splitlines()
            return next((line for line in said if line.startswith("ERROR:")), said[-1])
        self.images.add(image)
        subprocess.run(["docker", "push", "--quiet", image], check=True, stdout=subprocess.DEVNULL)
        self.added[STOCK] = sum(self.layers(image).values())
        return ""

    def run(self, scenario: str, argv: list[str]) -> None:
        sample = measure(argv, log=self.place.log(f"repository-{scenario.replace(' ', '-')}"))
        self.seconds.setdefault(scenario, []).append(sample.wall_s)
        print(f"  {scenario:<20}{sample.wall_s:8.2f} s   load {sample.load:.1f}", file=sys.stderr)

    def table(self, why: str) -> str:
        lines = [
            f"| {len(PACKAGES)} packages on `{self.options.stack}` | seconds (median) | bytes added |",
            "|---|---:|---:|",
        ]
        for scenario in (FIRST, NOTEBOOK, AGAIN, STOCK):
            if scenario in self.seconds:
                took = statistics.median(self.seconds[scenario])
                lines.append(f"| {scenario} | {took:.1f} | {self.added[scenario]:,} |")
        if why:
            lines += [
                f"| {STOCK} | not measured | not measured |",
                "",
                f"Stock repo2docker could not be built here: {why}",
            ]
        return "\n".join(lines)

    def clean(self) -> None:
        subprocess.run(["docker", "image", "rm", "--force", *self.images], check=False, capture_output=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--registry", default="127.0.0.1:5000/hubstack")
    parser.add_argument("--ca-bundle", type=Path)
    parser.add_argument("--stack", default="minimal")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory(prefix="repository-") as name:
        bench = Bench(options, Path(name))
        (bench.place.folder / "logs").mkdir(parents=True, exist_ok=True)
        try:
            for _ in range(options.rounds):
                bench.write(secrets.token_hex(8))
                bench.on_the_stack(FIRST)
                bench.edit(secrets.token_hex(8))
                bench.on_the_stack(NOTEBOOK)
                bench.on_the_stack(AGAIN)
            why = bench.stock()
        finally:
            bench.clean()
    everything: dict[str, Any] = {"seconds": bench.seconds, "bytes_added": bench.added, "stock": why or "measured"}
    (bench.place.folder / "repository.json").write_text(json.dumps(everything, indent=2) + "\n", encoding="utf-8")
    print(bench.table(why))


if __name__ == "__main__":
    main()
