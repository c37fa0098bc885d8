"""``make proof``: random sets of layers merged and built, and compared; what was done already is not done again."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
from hubstack.errors import HubstackError
from hubstack.reference import ImageRef

from tests.proof.album import Album
from tests.proof.breakage import broken
from tests.proof.draw import RELEASES, Draw, chosen, draws
from tests.proof.firing import Firing, fire, read_firings, write_firings
from tests.proof.ledger import ROOT, Entry, Ledger, done, generation
from tests.proof.report import Account, render_report
from tests.proof.rupture import Rupture, read_ruptures, wanted, write_rupture
from tests.proof.survey import SurveyFailed, packages_beside
from tests.proof.trial import Trial
from tests.proof.workshop import BASE, NotBuilt, Workshop, open_workshop

FOLDER = ROOT / "dist" / "proof"
FIRED = FOLDER / "fired.jsonl"
PAGE = ROOT / "docs" / "proof.md"
_ENDING = threading.Event()


@click.command(help=__doc__)
@click.option("--registry", default="127.0.0.1:5000/hubstack/proof", metavar="HOST/PREFIX")
@click.option("--ca-bundle", type=click.Path(exists=True, path_type=Path))
@click.option("--seed", type=int, default=1, help="Which sets are drawn.")
@click.option("--sets", type=click.IntRange(1), default=200, help="How many.")
@click.option("--jobs", type=click.IntRange(1, len(RELEASES)), default=1, help="Releases at work at once.")
@click.option("--break", "breaking", is_flag=True, help="Break each merger, in sets that were equal and need it.")
@click.option(
    "--fire", "firing", is_flag=True, help="Fire the triggers that make merged folders' lists and caches anew."
)
@click.option("--each", type=click.IntRange(1), default=2, help="With --break: sets a merger.")
def main(
    *, registry: str, ca_bundle: Path | None, seed: int, sets: int, jobs: int, breaking: bool, firing: bool, each: int
) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # containers and volumes are cleared away
    prefix = ImageRef.parse(registry)
    run = Run(seed=seed, sets=sets, ledger=Ledger(path=FOLDER / f"seed-{seed}.jsonl", generation=generation()))

    def work(release: str) -> None:
        with open_workshop(release, FOLDER / release, prefix, ca_bundle) as workshop:
            if firing:
                _fire(workshop, run)
            elif breaking:
                _break(workshop, run, each)
            else:
                _try(workshop, run)

    with ThreadPoolExecutor(1 if breaking else jobs) as pool:  # breaking changes what all threads share
        _wait([pool.submit(work, release) for release in RELEASES])
    run.write_page()
    bad = any(one.result in {"differs", "failed"} for one in run.entries()) or any(
        one.lost or not one.trigger for one in run.firings()
    )
    sys.exit(1 if bad else 0)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What was asked for, and where it is kept."""

    seed: int
    sets: int
    ledger: Ledger

    @property
    def broken(self) -> Path:
        return self.ledger.path.with_suffix(".broken.jsonl")

    def firings(self) -> list[Firing]:
        return read_firings(FIRED, self.ledger.generation)

    def draws(self, layers: Sequence[str], release: str) -> list[Draw]:
        these = [*chosen(), *draws(layers, seed=self.seed, sets=self.sets)]
        return [one for one in these if one.release == release]

    def entries(self) -> list[Entry]:
        return [one for one in self.ledger.entries() if one.number <= self.sets]

    def ruptures(self) -> list[Rupture]:
        return read_ruptures(self.broken, self.ledger.generation)

    def write_page(self) -> None:
        """After each set: what is killed has its figures written."""
        account = Account(
            seed=self.seed,
            wanted=self.sets,
            entries=self.entries(),
            ruptures=self.ruptures(),
            firings=self.firings(),
        )
        PAGE.write_text(render_report(account), encoding="utf-8")


def _wait(work: Sequence[Future[None]]) -> None:
    """Ctrl-C lets the sets at work come to their end: a second one ends everything."""
    try:
        for one in work:
            one.result()
    except BaseException:
        _ENDING.set()
        raise


def _try(workshop: Workshop, run: Run) -> None:
    known = done(run.ledger.entries())
    these = run.draws(workshop.layers, workshop.release)
    left = [draw for draw in these if (draw.release, draw.layers) not in known]
    if not left:
        return
    workshop.build_alone([BASE])
    with packages_beside(workshop.client, workshop.base_image()) as beside:
        for draw in left:
            if _ENDING.is_set():
                return
            entry = Trial(workshop=workshop, album=Album(FOLDER / "surveys"), beside=beside, draw=draw).run()
            run.ledger.write(entry)
            run.write_page()
            _say(entry)


def _break(workshop: Workshop, run: Run, each: int) -> None:
    known = {(one.pattern, one.release, one.layers) for one in run.ruptures()}
    entries = [one for one in run.ledger.entries() if one.release == workshop.release]
    todo = [(p, one) for p, one in wanted(entries, each) if (p, one.release, one.layers) not in known]
    workshop.build_alone(sorted({layer for _, one in todo for layer in one.layers} | {BASE}))
    with packages_beside(workshop.client, workshop.base_image()) as beside:
        for pattern, entry in todo:
            if _ENDING.is_set():
                return
            draw = Draw(number=entry.number, release=entry.release, layers=entry.layers)
            trial = Trial(workshop=workshop, album=Album(FOLDER / "surveys"), beside=beside, draw=draw)
            try:
                with broken(pattern):
                    merged = workshop.merge(entry.layers)
                found = [str(one) for one in trial.compare(merged).differences]
            except (HubstackError, NotBuilt, SurveyFailed) as fault:  # relations are checked on what was merged
                found = [str(fault)[-200:]]
            rupture = Rupture(
                pattern=pattern,
                release=entry.release,
                layers=entry.layers,
                differences=len(found),
                first=found[0] if found else "",
            )
            write_rupture(run.broken, rupture, run.ledger.generation)
            run.write_page()
            click.echo(f"{pattern} broken in {draw.name}: {len(found)} differences", err=True)


def _fire(workshop: Workshop, run: Run) -> None:
    workshop.build_alone([BASE])
    found = []
    for one in fire(workshop.client, workshop.release, workshop.base_image()):
        found.append(one)
        lost = f", not made: {', '.join(one.lost[:3])}" if one.lost else ""
        click.echo(f"{one.package} {one.trigger or 'not seen'}: {one.made} files{lost}", err=True)
    write_firings(FIRED, found, run.ledger.generation)
    run.write_page()


def _say(entry: Entry) -> None:
    seconds = sum(entry.seconds.values())
    click.echo(f"{entry.number} {entry.release} {' '.join(entry.layers)}: {entry.result}, {seconds:.0f} s", err=True)
    if entry.result != "equal":
        for text in entry.why[:10]:
            click.echo(f"    {text[:300]}", err=True)


if __name__ == "__main__":
    main()
