"""``make proof``: random sets of layers merged and built, and compared; what was done already is not done again."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import click
from hubstack.errors import HubstackError
from hubstack.reference import ImageRef

from tests.proof.album import Album
from tests.proof.breakage import broken
from tests.proof.draw import RELEASES, Draw, chosen, draws
from tests.proof.ledger import ROOT, Entry, Ledger, done, generation
from tests.proof.report import Account, render_report
from tests.proof.rupture import Rupture, read_ruptures, wanted, write_rupture
from tests.proof.survey import packages_beside
from tests.proof.trial import Trial
from tests.proof.workshop import Workshop, open_workshop

FOLDER = ROOT / "dist" / "proof"
PAGE = ROOT / "docs" / "proof.md"
_ENDING = threading.Event()


@click.command(help=__doc__)
@click.option("--registry", default="127.0.0.1:5000/hubstack/proof", metavar="HOST/PREFIX")
@click.option("--ca-bundle", type=click.Path(exists=True, path_type=Path))
@click.option("--seed", type=int, default=1, help="Which sets are drawn.")
@click.option("--sets", type=click.IntRange(1), default=200, help="How many.")
@click.option("--jobs", type=click.IntRange(1, len(RELEASES)), default=1, help="Releases at work at once.")
@click.option("--break", "breaking", is_flag=True, help="Break each merger, in sets that were equal and need it.")
@click.option("--each", type=click.IntRange(1), default=2, help="With --break: sets a merger.")
def main(*, registry: str, ca_bundle: Path | None, seed: int, sets: int, jobs: int, breaking: bool, each: int) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # containers and volumes are cleared away
    prefix = ImageRef.parse(registry)
    ledger = Ledger(path=FOLDER / f"seed-{seed}.jsonl", generation=generation())

    def work(release: str) -> None:
        with open_workshop(release, FOLDER / release, prefix, ca_bundle) as workshop:
            these = [*chosen(), *draws(workshop.layers, seed=seed, sets=sets)]
            if breaking:
                _break(workshop, ledger, each)
            else:
                _try(workshop, ledger, [one for one in these if one.release == release])

    try:
        with ThreadPoolExecutor(1 if breaking else jobs) as pool:  # breaking changes what all threads share
            _wait([pool.submit(work, release) for release in RELEASES])
    finally:
        _report(ledger, seed, sets)
    bad = [one for one in ledger.entries() if one.number <= sets and one.result in {"differs", "failed"}]
    sys.exit(1 if bad else 0)


def _wait(work: Sequence[Future[None]]) -> None:
    """Ctrl-C lets the sets at work come to their end: a second one ends everything."""
    try:
        for one in work:
            one.result()
    except BaseException:
        _ENDING.set()
        raise


def _try(workshop: Workshop, ledger: Ledger, these: Iterable[Draw]) -> None:
    known = done(ledger.entries())
    left = [draw for draw in these if (draw.release, draw.layers) not in known]
    if not left:
        return
    workshop.build_alone(workshop.layers)
    with packages_beside(workshop.client, workshop.base_image()) as beside:
        for draw in left:
            if _ENDING.is_set():
                return
            entry = Trial(workshop=workshop, album=Album(FOLDER / "surveys"), beside=beside, draw=draw).run()
            ledger.write(entry)
            _say(entry)


def _break(workshop: Workshop, ledger: Ledger, each: int) -> None:
    path = ledger.path.with_suffix(".broken.jsonl")
    known = {(one.pattern, one.release, one.layers) for one in read_ruptures(path, ledger.generation)}
    entries = [one for one in ledger.entries() if one.release == workshop.release]
    todo = [(p, one) for p, one in wanted(entries, each) if (p, one.release, one.layers) not in known]
    workshop.build_alone(workshop.layers)
    with packages_beside(workshop.client, workshop.base_image()) as beside:
        for pattern, entry in todo:
            draw = Draw(number=entry.number, release=entry.release, layers=entry.layers)
            trial = Trial(workshop=workshop, album=Album(FOLDER / "surveys"), beside=beside, draw=draw)
            try:
                with broken(pattern):
                    composed = workshop.merge(entry.layers)
                found = [str(one) for one in trial.compare(composed).differences]
            except HubstackError as refusal:  # the relations between packages are checked on what was merged
                found = [refusal.message]
            rupture = Rupture(
                pattern=pattern,
                release=entry.release,
                layers=entry.layers,
                differences=len(found),
                first=found[0] if found else "",
            )
            write_rupture(path, rupture, ledger.generation)
            click.echo(f"{pattern} broken in {draw.name}: {len(found)} differences", err=True)


def _say(entry: Entry) -> None:
    seconds = sum(entry.seconds.values())
    click.echo(f"{entry.number} {entry.release} {' '.join(entry.layers)}: {entry.result}, {seconds:.0f} s", err=True)
    if entry.result != "equal":
        for text in entry.why[:10]:
            click.echo(f"    {text[:300]}", err=True)


def _report(ledger: Ledger, seed: int, sets: int) -> None:
    entries = [one for one in ledger.entries() if one.number <= sets]
    ruptures: Sequence[Rupture] = read_ruptures(ledger.path.with_suffix(".broken.jsonl"), ledger.generation)
    if entries:
        PAGE.write_text(
            render_report(Account(seed=seed, wanted=sets, entries=entries, ruptures=ruptures)), encoding="utf-8"
        )


if __name__ == "__main__":
    main()
