"""What a run has done, as Markdown for a job's step summary: for the person who looks at it first."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from hubstack.ci.diagram import diagram
from hubstack.ci.markdown import Block, code, fence, fit, table, text
from hubstack.hub.diff import PackageChange, package_changes
from hubstack.plan import Plan
from hubstack.progress import describe
from hubstack.record import Record
from hubstack.reference import Digest
from hubstack.schedule import GOOD, Outcome, Result

LIMIT_BYTES = 1024 * 1024
"""What GitHub takes of one step ("Workflow commands", its documentation); what is longer it shows nothing of."""

_ORDER = (Result.FAILED, Result.CANCELLED, Result.SKIPPED, Result.BUILT, Result.TESTED, Result.REUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An image on one platform. ``before`` is what people could choose until now: its digest, and its record if known."""

    image: str  # STACK/VARIANT
    platform: str = ""  # empty where there is one only
    outcome: Outcome
    record: Record | None = None
    before: Digest | None = None
    before_record: Record | None = None
    ref: str = ""  # under which it was published

    @property
    def is_new(self) -> bool:
        return self.outcome.digest is not None and self.outcome.digest != self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """``launchers`` are as ``hubstack profiles --diff --json`` prints them. ``link`` is where the rest can be read."""

    title: str
    plan: Plan
    outcomes: Mapping[str, Outcome]
    rows: Sequence[Row]
    launchers: Sequence[Mapping[str, Any]] = ()
    link: str = ""


def render_summary(report: Report, *, limit_bytes: int = LIMIT_BYTES) -> str:
    """Markdown of at most ``limit_bytes``; what is left out then is said at its end."""
    blocks = [
        Block(rank=0, before=f"## {text(report.title)}\n\n{_counts(report)}\n\n"),
        _images(report.rows),
        Block(rank=2, lines=tuple(_failures(report.outcomes))),
        Block(rank=1, before=diagram(report.plan, report.outcomes)),
        *(launcher(one) for one in report.launchers),
        *_packages(report.rows),
    ]
    return fit(blocks, limit_bytes, _rest(report.link))


def _rest(link: str) -> str:
    where = f"[this run]({link})" if link else "the run's log"
    return f"\n**This is more than a step summary can hold.** All images are in {where}, as `hubstack publish` prints them.\n"


def _counts(report: Report) -> str:
    found = Counter(outcome.result for outcome in report.outcomes.values())
    said = ", ".join(f"{found[result]} {result}" for result in _ORDER if found[result])
    return f"{_counted(len(report.plan.steps), 'node')}: {said or 'none'}."


# --- images ------------------------------------------------------------------------------------------------------------


def _images(rows: Sequence[Row]) -> Block:
    if not rows:
        return Block(rank=3)
    head, lines = table(
        ("Image", " Size", " Change", "Result", " Seconds", "Digest"),
        (_cells(row) for row in sorted(rows, key=lambda row: _ORDER.index(row.outcome.result))),
    )
    return Block(rank=3, before=head, lines=lines, after="\n")


def _cells(row: Row) -> tuple[str, ...]:
    outcome = row.outcome
    name = code(row.image) + (f" {text(row.platform)}" if row.platform else "")
    if outcome.result not in GOOD:
        kept = " The last good image stays." if row.before else ""
        why = text(outcome.message.rstrip("."))
        return name, "", "", f"**{outcome.result}**: {why}.{kept}", "", code(_short(row.before))
    size = megabytes(row.record.size_bytes) if row.record else ""
    seconds = "" if outcome.result is Result.REUSED else f"{outcome.seconds:.1f}"
    return name, size, _growth(row), str(outcome.result), seconds, code(_short(outcome.digest))


def _growth(row: Row) -> str:
    if row.before is None:
        return "first"
    if not row.is_new:
        return "same"
    if row.record is None or row.before_record is None:
        return "new"
    return megabytes(row.record.size_bytes - row.before_record.size_bytes, signed=True)


def megabytes(size_bytes: int, *, signed: bool = False) -> str:
    """As ``hubstack build`` shows sizes; small ones with a decimal."""
    digits = 1 if abs(size_bytes) < 10e6 else 0
    return f"{size_bytes / 1e6:{'+' if signed else ''}.{digits}f}\u00a0MB"


def _short(digest: Digest | None) -> str:
    return digest.hex[:12] if digest else ""


# --- failures ------------------------------------------------------------------------------------------------------------


def _failures(outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    failed = [one for one in outcomes.values() if one.result is Result.FAILED]
    if failed:
        yield "### What failed\n\n"
    for outcome in failed:
        position, tail, hint = describe(outcome.error)
        where = f"{code(str(position))}: " if position else ""
        advice = f" {text(hint)}" if hint else ""
        yield f"{code(outcome.node)}: {where}{text(outcome.message.rstrip('.'))}.{advice}\n\n"
        yield f"{fence(tail)}\n" if tail else ""


# --- launchers -----------------------------------------------------------------------------------------------------------

_LONGEST = 200  # of a setting's value
_SAYS = {"added": "new", "removed": "gone", "new image": "new image", "retired": "retired", "new title": "new title"}


def launcher(found: Mapping[str, Any]) -> Block:
    """What changes for a hub's people."""
    changes, settings = found["changes"], found["settings"]
    title = f"### The launcher of {code(found['hub'])}\n\n"
    if not changes and not settings:
        return Block(rank=4, before=f"{title}Nothing changes.\n\n")
    tables = [table(("Choice", "", "Image"), map(_choice, changes))] if changes else []
    tables += [table(("Setting", "", "Before", "Now"), map(_setting, settings))] if settings else []
    return Block(rank=4, before=title, lines=[line for head, rows in tables for line in (head, *rows, "\n")])


def _choice(one: Mapping[str, Any]) -> tuple[str, str, str]:
    key = "/".join(part for part in (one["profile"], one["option"], one["key"]) if part not in {"", "image"})
    was, now = (_tag(one[side]) for side in ("before", "after"))
    arrow = " → " if was and now and was != now else ""
    return f"{text(one['title'])} {code(key)}", _SAYS[one["change"]], f"{code(was) if arrow else ''}{arrow}{code(now)}"


def _setting(one: Mapping[str, Any]) -> tuple[str, ...]:
    return code(one["place"]), code(one["name"]), *(code(_value(one[side])) for side in ("before", "after"))


def _value(value: object) -> str:
    if value is None:
        return ""
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


def _tag(image: str | None) -> str:
    return (image or "").rpartition("/")[2].partition("@")[0]


# --- packages ------------------------------------------------------------------------------------------------------------


def _packages(rows: Sequence[Row]) -> Iterator[Block]:
    """Images in which the same is new stand together."""
    together: dict[tuple[PackageChange, ...], list[str]] = {}
    for row in rows:
        if row.is_new and row.record and row.before_record:
            changes = package_changes(row.before_record, row.record)
            together.setdefault(changes, []).append(_named(row))
    if together:
        yield Block(rank=5, before="### Packages\n\n")
    for changes, names in together.items():
        images = ", ".join(map(code, names))
        if not changes:
            yield Block(rank=5, before=f"{images}: the same packages.\n\n")
            continue
        head, lines = table(("", "Package", "Before", "Now"), _package_cells(changes))
        title = f"<details><summary>{images}: {_counted(len(changes), 'package')}</summary>\n\n"
        yield Block(rank=5, before=title + head, lines=lines, after="\n</details>\n\n")


def _package_cells(changes: Iterable[PackageChange]) -> Iterator[tuple[str, ...]]:
    for manager, group in groupby(changes, key=lambda one: one.manager):
        for number, one in enumerate(group):
            yield manager if number == 0 else "", code(one.name), code(one.before), code(one.after)


def _named(row: Row) -> str:
    return f"{row.image} {row.platform}".strip()


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
