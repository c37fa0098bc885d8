"""hubstack beside `docker buildx bake` and kolla-build on one tree, in one run.

    python bench/compare.py [--quick | --full] [--rounds N] [--only WHAT]

Runs are interleaved (A B C, then C B A …), so that a machine that slows down slows all of them down. Everything is the
whole process, measured from outside. The table and the targets go to stdout, everything to dist/bench/compare.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # as a script it would find only its own folder

from bench import report  # noqa: E402
from bench.bake import Bake  # noqa: E402
from bench.engine import DEAD, clean  # noqa: E402
from bench.kolla import RELEASE, Kolla, make_venv  # noqa: E402
from bench.leaf import Leaf  # noqa: E402
from bench.measure import CommandFailed, Sample, measure  # noqa: E402
from bench.ours import Hubstack  # noqa: E402
from bench.place import Place  # noqa: E402
from bench.report import OURS, Results, Target  # noqa: E402
from bench.tree import Item, first, make_tree  # noqa: E402

SMALL, MIDDLING, LARGE, HUGE = 30, 300, 1000, 5000
PARTS = ("builds", "render", "plan", "start")


class Tool(Protocol):
    name: str

    def write(self, nonce: str) -> None:
        """The whole tree; a new nonce makes every image another one."""
        ...

    def touch(self, item: Item, nonce: str) -> None: ...

    def build(self) -> list[str]: ...

    def render(self) -> list[str]: ...

    def environment(self) -> dict[str, str]: ...

    def digests(self) -> dict[str, str | None]: ...


class Bench:
    def __init__(self, place: Place, rounds: int, kolla: Path | None) -> None:
        self.place, self.rounds, self.kolla = place, rounds, kolla
        self.results = Results()

    def tools(self, tree: tuple[Item, ...]) -> list[Tool]:
        found: list[Tool] = [Hubstack(self.place, tree), Bake(self.place, tree)]
        if self.kolla is not None:
            found.append(Kolla(self.place, tree, self.kolla, buildkit=False))
        return found

    def run(self, scenario: str, tool: Tool, argv: Sequence[str], extra: dict[str, str] | None = None) -> Sample:
        name = f"{scenario}-{tool.name}".replace(" ", "-")
        sample = measure(argv, log=self.place.log(name), extra={**tool.environment(), **(extra or {})})
        self.results.add(scenario, tool.name, sample)
        say(f"  {scenario:<26}{tool.name:<10}{sample.wall_s:8.2f} s   load {sample.load:.1f}")
        return sample

    # --- builds --------------------------------------------------------------------------------------------------------

    def builds(self, count: int, *, rounds: int) -> None:
        """Cold; nothing changed; one leaf changed; one middle changed."""
        tree = make_tree(count)
        everyone = self.tools(tree)
        bare = Leaf(self.place, Hubstack(self.place, tree), first(tree, "leaf"))
        for number in range(rounds):
            # kolla-build waits in steps of three seconds: two rounds say all that there is to say
            tools = [tool for tool in everyone if tool.name != "kolla" or number < 2]
            tools = tools if number % 2 == 0 else tools[::-1]
            self._changed(f"cold {count}", tools, lambda tool, nonce: tool.write(nonce))
            self._changed(f"unchanged {count}", tools, lambda _tool, _nonce: None)
            self._changed(f"leaf {count}", tools, lambda tool, nonce: tool.touch(first(tree, "leaf"), nonce))
            bare.write(secrets.token_hex(8))
            self.run(f"leaf {count}", bare, bare.build())
            self._changed(f"middle {count}", tools, lambda tool, nonce: tool.touch(first(tree, "middle"), nonce))
            self._without_tests(Hubstack(self.place, tree, tests=False), count)
            clean(self.place)

    def _changed(self, scenario: str, tools: Sequence[Tool], change: Callable[[Tool, str], None]) -> None:
        for tool in tools:
            before = tool.digests() if not scenario.startswith("cold") else {}
            change(tool, secrets.token_hex(8))
            self.run(scenario, tool, tool.build())
            after = tool.digests()
            if missing := [name for name, digest in after.items() if digest is None]:
                raise CommandFailed(f"{tool.name}: {scenario}: not in the registry: {', '.join(missing)}")
            changed = sum(before.get(name) != digest for name, digest in after.items())
            self.results.digests.setdefault(scenario, {}).setdefault(tool.name, []).append(changed)

    def _without_tests(self, tool: Hubstack, count: int) -> None:
        """What the others do: for the note, for no target."""
        tool.write(secrets.token_hex(8))
        self.run(f"cold {count}, no tests", tool, tool.build())

    def no_engine(self, count: int) -> bool:
        """Whether a run that changes nothing succeeds where no engine answers."""
        tool = Hubstack(self.place, make_tree(count))
        measure(tool.build(), log=self.place.log("no-engine-before"))
        try:
            self.run(f"unchanged {count}, no engine", tool, tool.build(), DEAD)
        except CommandFailed as error:
            self.results.notes.append(str(error))
            return False
        return True

    # --- render and plan -------------------------------------------------------------------------------------------------

    def render(self, count: int, *, rounds: int) -> None:
        tools = self.tools(make_tree(count))
        for tool in tools:
            tool.write(secrets.token_hex(8))
        for number in range(rounds):
            for tool in tools if number % 2 == 0 else tools[::-1]:
                self.run(f"render {count}", tool, tool.render())

    def plan(self, count: int, *, rounds: int) -> None:
        """Against the registry: with nothing there, and with everything there."""
        tool = Hubstack(self.place, make_tree(count))
        tool.write(secrets.token_hex(8))
        for _ in range(rounds):
            self.run(f"plan {count}, nothing there", tool, tool.plan())
        tool.seed()
        for _ in range(rounds):
            self.run(f"plan {count}, all there", tool, tool.plan())

    def growth(self, *, rounds: int) -> None:
        for count in (LARGE, HUGE):
            tool = Hubstack(self.place, make_tree(count))
            tool.write(secrets.token_hex(8))
            for _ in range(rounds):
                self.run(f"growth {count}", tool, tool.render())

    def start(self, *, rounds: int) -> None:
        python = str(Path(sys.executable))
        commands = {
            OURS: [str(Path(python).parent / "hubstack"), "--help"],
            "import click": [python, "-c", "import click"],
        }
        for number in range(rounds + 1):
            for name, argv in commands.items():
                sample = measure(argv, log=self.place.log("start"))
                if number:  # the first one compiles
                    self.results.add("--help", name, sample)


def targets(results: Results, *, no_engine: bool | None) -> list[Target]:
    """Those of the issue, in its order."""
    small = f"unchanged {SMALL}"
    unchanged = report.least(
        *(results.ratio(small, tool, OURS) for tool in results.samples.get(small, {}) if tool != OURS)
    )
    changed = results.digests.get(small, {}).get(OURS)
    leaf = results.digests.get(f"leaf {SMALL}", {}).get(OURS)
    planned = [f"plan {LARGE}, {what}" for what in ("nothing there", "all there")]
    return [
        Target(what=f"nothing changed, {SMALL}: times faster than the quickest peer", value=unchanged, limit=10, unit="", least=True),
        Target(what=f"nothing changed, {SMALL}", value=results.wall(small, OURS), limit=0.6, unit="s"),
        Target(what="nothing changed: runs that needed an engine", value=None if no_engine is None else float(not no_engine), limit=0, unit=""),
        Target(what="nothing changed: digests changed", value=None if changed is None else float(max(changed)), limit=0, unit=""),
        Target(what=f"cold, {SMALL}, built, tested and pushed: beside bake, which tests nothing", value=results.ratio(f"cold {SMALL}", OURS, "bake"), limit=1, unit="× bake"),
        Target(what="one leaf changed: above a bare build and push of it", value=report.difference(results.wall(f"leaf {SMALL}", OURS), results.wall(f"leaf {SMALL}", "bare leaf")), limit=1, unit="s"),
        Target(what="one leaf changed: digests changed", value=None if leaf is None else float(max(leaf)), limit=1, unit=""),
        Target(what=f"render and fingerprint, {LARGE}: times faster than kolla's template-only", value=results.ratio(f"render {LARGE}", "kolla", OURS), limit=2, unit="", least=True),
        *(Target(what=name, value=results.wall(name, OURS), limit=3, unit="s") for name in planned),
        *(Target(what=name, value=report.times(results.peak(name, OURS), 1e-6), limit=200, unit="MB") for name in planned),
        Target(what=f"growth of an offline plan from {LARGE} to {HUGE} (linear: 5)", value=report.quotient(results.wall(f"growth {HUGE}", OURS), results.wall(f"growth {LARGE}", OURS)), limit=5.5, unit="×"),
        Target(what="--help beside a bare import of click", value=results.ratio("--help", OURS, "import click"), limit=3, unit="×"),
    ]  # fmt: skip


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    def version(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    return {
        "cpus": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "engine": version("docker", "version", "--format", "{{.Server.Version}}"),
        "buildx": version("docker", "buildx", "version"),
        "kolla": RELEASE,
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="hubstack beside docker buildx bake and kolla-build")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="two rounds, and no more than what the targets need")
    size.add_argument("--full", action="store_true", help="also build the tree of 300, and render that of 5000 often")
    parser.add_argument("--rounds", type=int, help="how often each build is done (5, with --quick 2)")
    parser.add_argument("--only", choices=PARTS, action="append", help="leave the other parts out; may be repeated")
    parser.add_argument("--no-kolla", action="store_true", help="leave kolla-build out")
    registry = os.environ.get("HUBSTACK_REGISTRY", "127.0.0.1:5000").partition("/")[0]
    parser.add_argument("--registry", default=registry, metavar="HOST:PORT", help="without TLS")
    parser.add_argument("--output", type=Path, default=ROOT / "dist" / "bench" / "compare.json")
    return parser.parse_args()


def find_kolla(*, wanted: bool) -> tuple[Path | None, str]:
    """kolla-build's virtual environment, or why there is none."""
    if not wanted:
        return None, "kolla-build was left out, as --no-kolla asks"
    folder = ROOT / ".run" / "kolla-venv"
    say(f"kolla-build {RELEASE}: {folder}")
    if why := make_venv(folder):
        return None, f"kolla-build can't be had and is left out: {why}"
    return folder, ""


def measure_all(bench: Bench, chosen: argparse.Namespace) -> bool | None:
    parts = chosen.only or PARTS
    few = 1 if chosen.quick else 3
    no_engine = None
    if "start" in parts:
        bench.start(rounds=11)
    if "render" in parts:
        for count in (SMALL, LARGE) if chosen.quick else (SMALL, MIDDLING, LARGE):
            bench.render(count, rounds=few)
        bench.growth(rounds=few)
    if "plan" in parts:
        bench.plan(LARGE, rounds=few)
    if "builds" in parts:
        bench.builds(SMALL, rounds=bench.rounds)
        no_engine = bench.no_engine(SMALL)
        if chosen.full:
            bench.builds(MIDDLING, rounds=1)
    return no_engine


def main() -> int:
    chosen = options()
    place = Place(root=ROOT, folder=ROOT / ".run" / "bench", host=chosen.registry)
    before = machine()
    kolla, why = find_kolla(wanted=not chosen.no_kolla)
    bench = Bench(place, chosen.rounds or (2 if chosen.quick else 5), kolla)
    if why:
        bench.results.notes.append(why)
        say(why)
    say(f"base image: {place.base}@{place.base_digest}")
    try:
        no_engine = measure_all(bench, chosen)
    except CommandFailed as error:
        say(str(error))
        return 1
    finally:
        if clean(place) is None:
            bench.results.notes.append(
                "images of the benchmark are left on the engine: containerd's ctr can't be asked"
            )
    reached = targets(bench.results, no_engine=no_engine)
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    whole = report.as_json(bench.results, reached, {**before, "load_after": os.getloadavg()})
    chosen.output.write_text(json.dumps(whole, indent=1) + "\n")
    print("\n".join(report.table(bench.results)), "\n", sep="")
    print("\n".join(target.line() for target in reached))
    for note in bench.results.notes:
        print(f"note: {note}")
    print(f"load {before['load'][0]:.1f} at the beginning, {os.getloadavg()[0]:.1f} at the end; {chosen.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
