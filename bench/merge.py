"""Images that are merged or moved beside the same images built, on a registry without TLS, in one run.

    python bench/merge.py [--rounds N] [--registry HOST/PREFIX] [--output FILE]

The material are layers of the example project, which are built and indexed first where they aren't. Then whole processes, from
outside, as bench/compare.py measures them. What takes hours is built in part: a sample of stacks, drawn by a fixed seed, without
BuildKit's cache, and the seconds of one node in it times the number of nodes. So does bake, which tests nothing; neither do we
here, but in the rows that say so.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # as a script it would find only its own folder

from bench import report  # noqa: E402
from bench.compare import machine, say  # noqa: E402
from bench.measure import CommandFailed, Sample, environment, measure  # noqa: E402
from bench.place import Place, buildx  # noqa: E402
from bench.report import OURS, Results, Target  # noqa: E402

SIX = (
    "java",
    "build-tools",
    "nodejs",
    "devtools",
    "scipy",
    "latex",
)  # none stands on another, or has to be told of one
TWO = ("java", "scipy")
BASE = "debian"
MOVED = 24
SEED = 5
PYTHON = sys.executable


class Bench:
    def __init__(self, place: Place, ref: str, rounds: int, ca_bundle: str | None) -> None:
        self.place, self.ref, self.rounds = place, ref, rounds
        self._ca = ["--ca-bundle", ca_bundle] if ca_bundle else []
        self.results, self.facts = Results(), dict[str, Any]()

    def hubstack(self, *arguments: str, folder: Path = ROOT) -> list[str]:
        command = str(Path(PYTHON).parent / "hubstack")
        return [command, "-C", str(folder), "--registry", self.ref, *self._ca, *arguments]

    def run(self, scenario: str, tool: str, argv: Sequence[str]) -> tuple[Sample, str]:
        """The sample, and what was said."""
        log = self.place.log(f"merge-{scenario}-{tool}".replace(" ", "-").replace(",", ""))
        sample = measure(argv, log=log)
        self.results.add(scenario, tool, sample)
        say(f"  {scenario:<30}{tool:<14}{sample.wall_s:8.2f} s, {sample.cpu_s:.2f} of cpu   load {sample.load:.1f}")
        return sample, log.read_text()

    def process(self, scenario: str, what: str, job: Mapping[str, Any] | str) -> dict[str, Any]:
        """bench/merging.py; what it has done."""
        argument = str(job)
        if not isinstance(job, str):
            path = self.place.reset("merging") / "job.json"
            path.write_text(json.dumps({**job, "store": str(path.parent / "store")}))
            argument = str(path)
        done = self.run(scenario, OURS, [PYTHON, str(ROOT / "bench" / "merging.py"), what, argument])[1]
        found: dict[str, Any] = json.loads(done.splitlines()[-1])
        self.facts[scenario] = found
        return found

    def plan(self, *select: str, folder: Path = ROOT) -> list[dict[str, Any]]:
        nodes: list[dict[str, Any]] = self._planned(*select, folder=folder)["nodes"]
        return nodes

    def variants(self) -> set[str]:
        return {f"{image['stack']}/{image['variant']}" for image in self._planned()["images"]}

    def _planned(self, *select: str, folder: Path = ROOT) -> dict[str, Any]:
        argv = self.hubstack("plan", "--json", *select, folder=folder)
        found: dict[str, Any] = json.loads(
            subprocess.run(argv, env=environment(), check=True, capture_output=True).stdout
        )
        return found

    # --- ours ----------------------------------------------------------------------------------------------------------

    def prepare(self) -> dict[str, Any]:
        """The layers are built and have their indexes; what a process needs to know of them."""
        for names in (TWO, SIX):
            argv = self.hubstack("compose", "--push", *names)
            subprocess.run(argv, env=environment(), check=True, stdout=subprocess.DEVNULL)
        nodes = [node for node in self.plan("layer:*") if node["action"] == "reuse"]
        fingerprints = {node["id"]: node["fingerprint"] for node in nodes}
        merges = {node["id"] for node in nodes if len(node["parents"]) > 1}
        job = {
            "ref": self.ref,
            "write": False,
            "sources": {
                node["fingerprint"]: (
                    "" if node["id"] in merges else node["layer"],
                    sorted(fingerprints[parent] for parent in node["parents"]),
                )
                for node in nodes
            },
        }
        self.process("index of all nodes", "index", job)
        return job

    def merges(self, job: Mapping[str, Any]) -> None:
        node = {name: fingerprint for fingerprint, (name, _) in reversed(job["sources"].items())}
        for _ in range(self.rounds):
            for names in (TWO, SIX):
                one = {**job, "tops": [node[name] for name in names], "every": False}
                self.process(f"merge of {len(names)}, pushed", "merge", one)
                self.run(f"merge of {len(names)}, compose", OURS, self.hubstack("compose", *names))
            every = {**job, "tops": [node[name] for name in SIX], "base": [node[BASE]], "every": True}
            self.process("64 combinations", "merge", every)
            moved = [one for one, (name, parents) in job["sources"].items() if self._movable(one, job["sources"])]
            self.process(
                f"rebase of {MOVED}",
                "rebase",
                {**job, "moved": moved, "count": MOVED, "nonce": secrets.token_hex(4)},
            )

    def _movable(self, node: str, sources: Mapping[str, Any]) -> bool:
        """It stands on one node, and so do those below, which are moved first."""
        parents = sources[node][1]
        return len(parents) == 1 and (not sources[parents[0]][1] or self._movable(parents[0], sources))

    # --- the same, built -----------------------------------------------------------------------------------------------

    def chains(self, sample: int) -> None:
        """Some of the 63 stacks as lines, by bake and by ourselves."""
        folder = self._project("lines")
        _write_lines(folder / "stacks")
        nodes = self.plan(folder=folder)
        lines = [node for node in nodes if node["parents"]]
        self.facts["nodes of all lines"] = len(lines)
        stacks = sorted({stack.partition("/")[0] for node in lines for stack in node["stacks"]})
        drawn = random.Random(SEED).sample([stack for stack in stacks if len(stack) < len("line-0123")], sample)
        bake = self.place.reset("bake-lines")
        for stack in drawn:
            subprocess.run(
                self.hubstack("export", "bake", stack, "--output", str(bake), folder=folder),
                env=environment(),
                check=True,
            )
            targets = json.loads((bake / "docker-bake.json").read_text())["target"]
            argv = [*buildx(), "bake", "--file", str(bake / "docker-bake.json"), "--no-cache", "--progress=plain"]
            os.chdir(bake)  # contexts are relative to it
            self.run(f"line {stack}", "bake", argv)
            self.facts[f"line {stack}"] = len(targets)

    def node_s(self) -> float | None:
        """Seconds that bake takes for one node of a line."""
        rows = [(name, tools["bake"]) for name, tools in self.results.samples.items() if "bake" in tools]
        count = sum(self.facts[name] for name, _ in rows)
        return sum(samples[0].wall_s for _, samples in rows) / count if count else None

    def _project(self, name: str) -> Path:
        """The example project, but that it builds lines; without a stack."""
        folder = self.place.reset(name)
        for part in ("base", "layers"):
            shutil.copytree(ROOT / part, folder / part)
        for part in ("hubstack.lock", "requirements.lock"):
            shutil.copy(ROOT / part, folder / part)
        settings = (ROOT / "hubstack.yaml").read_text().replace("assembly: merge", "assembly: chain")
        (folder / "hubstack.yaml").write_text(settings)
        (folder / "stacks").mkdir()
        return folder

    # --- indexes and growth ----------------------------------------------------------------------------------------------

    def blob(self, job: Mapping[str, Any]) -> None:
        """The largest filesystem layer that the nodes have."""
        repository = f"{self.ref.partition('/')[2]}/build"
        layers = [
            layer
            for node in job["sources"]
            for layer in json.loads(self.place.manifest(repository, f"fp-{node}"))["layers"]
        ]
        largest = max(layers, key=lambda layer: int(layer["size"]))
        path = self.place.reset("blob") / "blob"
        self.place.fetch(repository, largest["digest"], path)
        done = self.process("index of one blob", "blob", str(path))
        pairs = zip(done["index_s"], done["floor_s"], strict=True)
        self.facts["index"] = median(ours / floor for ours, floor in pairs)

    def growth(self) -> None:
        for files, parts in ((10_000, 2), (100_000, 2), (1_000_000, 2), (100_000, 4), (100_000, 8), (100_000, 16)):
            folder = self.place.reset("growth")
            argv = [PYTHON, str(ROOT / "bench" / "merging.py"), "plant", f"{files},{parts},{folder}"]
            subprocess.run(argv, env=environment(), check=True, stdout=subprocess.DEVNULL)
            self.process(f"{files} files in {parts} parts", "grow", str(folder))

    # --- what a machine pulls --------------------------------------------------------------------------------------------

    def pulls(self) -> None:
        """Bytes that a machine holds with all of the example stacks that are built, from manifests alone. A layer is taken to
        weigh the same in a line as alone.
        """
        everything = self.plan()
        nodes = {node["id"]: node for node in everything if node["action"] != "build"}
        missing = {stack for node in everything if node["id"] not in nodes for stack in node["stacks"]}
        known = {stack for node in everything for stack in node["stacks"]} - missing
        stacks = known & self.variants()  # not those that only stand on a node of the plan, as drafts do
        blobs = {node: self._blobs(one["fingerprint"]) for node, one in nodes.items()}
        tops = {
            stack: max((node for node in nodes if stack in nodes[node]["stacks"]), key=lambda node: len(blobs[node]))
            for stack in stacks
        }
        own = {
            (one["layer"], one["values"].get("release")): sum(blobs[node].values())
            - sum(sum(blobs[parent].values()) for parent in one["parents"])
            for node, one in nodes.items()
            if len(one["parents"]) < 2
        }
        folder = self._project("example-lines")
        shutil.copytree(ROOT / "stacks", folder / "stacks", dirs_exist_ok=True)
        lines = [node for node in self.plan(folder=folder) if stacks.intersection(node["stacks"])]
        together: dict[str, int] = {}
        for top in tops.values():
            together |= blobs[top]
        self.facts["pulls"] = {
            "images": len(tops),
            "merge": sum(together.values()),
            "chain": sum(own[node["layer"], node["values"].get("release")] for node in lines),
            "separate": sum(sum(blobs[top].values()) for top in tops.values()),
        }

    def _blobs(self, fingerprint: str) -> dict[str, int]:
        manifest = self.place.manifest(f"{self.ref.partition('/')[2]}/build", f"fp-{fingerprint}")
        return {layer["digest"]: layer["size"] for layer in json.loads(manifest)["layers"]}


def _write_lines(stacks: Path) -> None:
    """One for each combination, named by the numbers of its layers."""
    for count in range(1, len(SIX) + 1):
        for names in combinations(SIX, count):
            name = f"line-{''.join(str(SIX.index(one)) for one in names)}"
            text = f"title: {name}\ndescription: A line\nbase: {BASE}\nlayers: [{', '.join(names)}]\n"
            (stacks / f"{name}.yaml").write_text(text)


def targets(bench: Bench) -> list[Target]:
    results, facts = bench.results, bench.facts
    combinations_s, rebase_s = (results.wall(name, OURS) for name in ("64 combinations", f"rebase of {MOVED}"))
    node_s = bench.node_s()
    lines = report.times(node_s, facts.get("nodes of all lines", 0))
    rebuilt = report.times(node_s, MOVED)
    two, six = (facts.get(f"merge of {count}, pushed", {}) for count in (2, 6))
    pushed = max(two.get("sent_bytes", 0), six.get("sent_bytes", 0)) / 1e6 if two and six else None
    peaks = [
        results.peak(name, OURS)
        for name in ("merge of 6, pushed", "64 combinations", f"rebase of {MOVED}", "index of one blob")
    ]
    return [
        Target(what="merge of 2, pushed", value=results.wall("merge of 2, pushed", OURS), limit=0.3, unit="s"),
        Target(what="merge of 6, pushed", value=results.wall("merge of 6, pushed", OURS), limit=0.5, unit="s"),
        Target(what="merge of 2 or 6: sent", value=pushed, limit=1, unit="MB"),
        Target(what="64 combinations", value=combinations_s, limit=4, unit="s"),
        Target(what="64 combinations: times faster than lines by bake, extrapolated", value=report.quotient(lines, combinations_s), limit=50, unit="", least=True),
        Target(what=f"rebase of {MOVED}", value=rebase_s, limit=5, unit="s"),
        Target(what=f"rebase of {MOVED}: times faster than builds by bake, extrapolated", value=report.quotient(rebuilt, rebase_s), limit=50, unit="", least=True),
        Target(what="index of a filesystem layer", value=facts.get("index"), limit=1.3, unit="× inflate and sha256"),
        Target(what="memory", value=max((one for one in peaks if one is not None), default=0) / 1e6, limit=300, unit="MB"),
    ]  # fmt: skip


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="merging and moving images beside building them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sample", type=int, default=2, help="how many stacks are built as lines")
    registry = os.environ.get("HUBSTACK_REGISTRY", "127.0.0.1:5000/hubstack")
    parser.add_argument("--registry", default=registry, metavar="HOST/PREFIX", help="without TLS")
    parser.add_argument("--ca-bundle", metavar="FILE")
    parser.add_argument("--output", type=Path, default=ROOT / "dist" / "bench" / "merge.json")
    return parser.parse_args()


def main() -> int:
    chosen = options()
    place = Place(root=ROOT, folder=ROOT / ".run" / "bench", host=chosen.registry.partition("/")[0])
    bench, before = Bench(place, chosen.registry, chosen.rounds, chosen.ca_bundle), machine()
    try:
        job = bench.prepare()
        bench.merges(job)
        bench.blob(job)
        bench.growth()
        bench.pulls()
        bench.chains(chosen.sample)
    except CommandFailed as error:
        say(str(error))
        return 1
    reached = targets(bench)
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    whole = report.as_json(bench.results, reached, {**before, "load_after": os.getloadavg()})
    chosen.output.write_text(json.dumps({**whole, "facts": bench.facts}, indent=1) + "\n")
    print("\n".join(report.table(bench.results)), "\n", sep="")
    print("\n".join(target.line() for target in reached))
    print(f"facts: {json.dumps(bench.facts)}")
    print(f"load {before['load'][0]:.1f} at the beginning, {os.getloadavg()[0]:.1f} at the end; {chosen.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
