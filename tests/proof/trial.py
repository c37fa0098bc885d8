"""One set from its layers to a verdict: merged, built in two orders, all three looked at from inside."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hubstack.errors import HubstackError
from hubstack.merge.conflict import MergeConflict
from hubstack.reference import ImageRef

from tests.proof.album import Album
from tests.proof.cause import causes
from tests.proof.comparison import Comparison, compare
from tests.proof.draw import Draw
from tests.proof.ledger import Entry
from tests.proof.survey import Survey, SurveyFailed, take_survey
from tests.proof.workshop import Line, NotBuilt, Workshop

MOST_SHOWN = 60  # differences in an entry


@dataclass(kw_only=True)
class Trial:
    workshop: Workshop
    album: Album
    beside: str  # the volume with the packages that are installed on top
    draw: Draw
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self) -> Entry:
        try:
            with self._timed("layers"):
                self.workshop.build_alone(self.draw.layers)
            with self._timed("merge"):
                merged = self.workshop.merge(self.draw.layers)
            _, assembled = self.workshop.work_out(self.draw.layers)
            found = self.compare(merged)
        except MergeConflict as refusal:
            why, told = causes(refusal.conflicts), [str(one) for one in refusal.conflicts][:MOST_SHOWN]
            return self._entry("refused", tuple(why), told=tuple(told))
        except (HubstackError, NotBuilt, SurveyFailed) as fault:
            return self._entry("failed", (str(fault)[-2000:],))
        result = "differs" if found.differences else "equal" if found.whole else "partly equal"
        return self._entry(
            result,
            tuple(map(str, found.differences[:MOST_SHOWN])),
            merged=tuple(sorted(assembled.written)),
            settled=tuple(sorted({one.who for one in assembled.interests})),
            noise={one.reason: number for one, number in found.noise.items()},
            baseline=found.baseline,
            facts=found.facts,
        )

    def compare(self, merged: ImageRef) -> Comparison:
        """Raises HubstackError, NotBuilt, SurveyFailed."""
        chains = [self.chain(layers) for layers in (self.draw.layers, self.draw.layers[::-1])]
        return compare(self.merged(merged), chains)

    def merged(self, ref: ImageRef) -> Survey:
        def take() -> Survey:
            image = self.workshop.engine.pull(ref)
            try:
                return self._survey(image)
            finally:
                self.workshop.forget(image)

        return self.album.survey(ref.digest or "", take)

    def chain(self, layers: tuple[str, ...]) -> Survey:
        line = self.workshop.line(layers)
        return self.album.survey(line.top, lambda: self._build(line))

    def _build(self, line: Line) -> Survey:
        with self._timed("chains"):
            made = self.workshop.built(line)
            image = made.__enter__()
        try:
            return self._survey(image)
        finally:
            made.__exit__(None, None, None)

    def _survey(self, image: str) -> Survey:
        with self._timed("surveys"):
            return take_survey(self.workshop.client, image, self.beside)

    def _entry(self, result: str, why: tuple[str, ...], **more: object) -> Entry:
        return Entry(
            number=self.draw.number,
            release=self.draw.release,
            layers=self.draw.layers,
            result=result,
            why=why,
            seconds={step: round(seconds, 1) for step, seconds in self.seconds.items()},
            **more,  # type: ignore[arg-type]
        )

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0) + time.monotonic() - began
