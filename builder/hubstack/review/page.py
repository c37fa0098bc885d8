"""A review for people and for machines: lines, Markdown for a job's step summary, JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hubstack.ci.markdown import Block, code, fit, table, text
from hubstack.ci.summary import LIMIT_BYTES, launcher, megabytes
from hubstack.errors import Problem, Severity
from hubstack.review import ImageChange, Kind, Review

_SHOWN_NODES = 200
_TOO_LONG = "\n**More than a step summary can hold.** `hubstack {} --json` prints all of it.\n"


def render_text(review: Review) -> str:
    lines = [f"since {review.ref}: {_cost(review)}"]
    lines += [f"note: {note}" for note in _notes(review)]
    if review.images:
        lines.append(_pulls(review))
    lines += [f"  {one.kind:<11} {_named(review, one)}  {_sizes(one)}".rstrip() for one in review.images]
    for hub in review.launchers:
        changes, settings = hub["changes"], hub["settings"]
        lines.append(
            f"hub {hub['hub']}: {counted(len(changes), 'choice')} and {counted(len(settings), 'setting')} change"
        )
        lines += [f"  {one['change']:<11} {_choice(one)}" for one in changes]
    lines += [str(problem) for problem in review.problems]
    return "".join(f"{line}\n" for line in lines).replace("\u00a0", " ")


def render_markdown(review: Review, *, limit_bytes: int = LIMIT_BYTES) -> str:
    notes = "".join(f"\n> {text(note)}\n" for note in _notes(review))
    blocks = [
        Block(rank=0, before=f"## What this changes\n\n{text(_cost(review))}.\n{notes}\n"),
        _findings(review.problems),
        _images(review),
        *(launcher(one) for one in review.launchers),
        _nodes(review),
    ]
    return fit(blocks, limit_bytes, _TOO_LONG.format("review"))


def render_faults(problems: Sequence[Problem], *, limit_bytes: int = LIMIT_BYTES) -> str:
    """Of a project that can't be reviewed."""
    head = Block(rank=0, before="## What this changes\n\nNothing can be said, for the project has faults.\n\n")
    return fit([head, _findings(problems)], limit_bytes, _TOO_LONG.format("check"))


def review_json(review: Review) -> dict[str, Any]:
    return {
        "format": 1,
        "since": review.ref,
        "notes": list(_notes(review)),
        "nodes": [{"node": node, "reason": reason} for node, reason in review.reasons.items()],
        "tests": list(review.tests),
        "seconds": round(review.work.seconds, 1),
        "seconds_at_best": round(review.work.path_s, 1),
        "durations_recorded": review.work.recorded,
        "pull_bytes": review.pulls,
        "images_not_measured": review.unmeasured,
        "images": [asdict(one) for one in review.images],
        "hubs": list(review.launchers),
        "layers": [{**asdict(one), "more": one.more} for one in review.growths],
    }


def counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


# --- what both say -----------------------------------------------------------------------------------------------------


def _cost(review: Review) -> str:
    work, nodes = review.work, len(review.reasons)
    if not nodes and not review.tests:
        return "nothing is to be built or tested"
    parts = [f"{counted(nodes, 'node')} to build"] if nodes else []
    parts += [f"{len(review.tests)} to test again"] if review.tests else []
    if not nodes:
        return ", ".join(parts)
    best = f"; {_minutes(work.path_s)} at best" if work.path_s < work.seconds else ""
    known = "" if work.recorded == nodes else f"; {work.recorded} of {nodes} durations are known"
    return f"{', '.join(parts)}: about {_minutes(work.seconds)}{best}{known}"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def _notes(review: Review) -> Iterator[str]:
    if review.fault:
        yield f"{review.fault}, so everything counts as new"
    if review.other_policy:
        yield "the policy in hubstack.yaml is another one too, and what is said here is by the new one"
    if review.unread:
        yield f"the registry can't be read, so sizes and durations from it are missing: {review.unread}"


def _pulls(review: Review) -> str:
    if review.pulls is None:
        return "what a machine pulls is not known: images are not built yet, or those before can't be read"
    least = f", without {counted(review.unmeasured, 'image')} that can't be compared" if review.unmeasured else ""
    return f"a machine that has the images from before pulls {megabytes(review.pulls)}{least}"


def _named(review: Review, one: ImageChange) -> str:
    several = len({image.platform for image in review.images}) > 1
    return f"{one.image} {one.platform}" if several else one.image


def _sizes(one: ImageChange) -> str:
    if one.kind in (Kind.GONE, Kind.TESTED) or one.size is None:
        return ""
    change = "" if one.size_before is None else f", {megabytes(one.size - one.size_before, signed=True)}"
    pulls = "" if one.pulls is None else f", pulls {megabytes(one.pulls)}"
    return f"{megabytes(one.size)}{change}{pulls}"


def _choice(one: Mapping[str, Any]) -> str:
    option = [] if one["option"] == "image" else [one["option"]]
    return f"{'/'.join([one['profile'], *option, one['key']])}  {one['title']}"


# --- Markdown ----------------------------------------------------------------------------------------------------------


def _findings(problems: Sequence[Problem]) -> Block:
    if not problems:
        return Block(rank=1)
    head, lines = table(
        ("", "Where", "What", "What to do"),
        (
            (
                "**error**" if one.severity is Severity.ERROR else "warning",
                code(f"{one.position.path}:{one.position.line}"),
                text(one.what),
                text(one.remedy),
            )
            for one in sorted(problems, key=lambda one: one.severity is not Severity.ERROR)
        ),
    )
    return Block(rank=1, before=f"### Findings\n\n{head}", lines=lines, after="\n")


def _images(review: Review) -> Block:
    if not review.images:
        return Block(rank=2, before="No stack is touched.\n\n")
    head, lines = table(
        ("Image", "", " Size", " Change", " Pulled"),
        ((code(_named(review, one)), str(one.kind), *_cells(one)) for one in review.images),
    )
    said = _pulls(review)
    title = f"### Stacks\n\n{text(said[0].upper() + said[1:])}.\n\n"
    return Block(rank=2, before=title + head, lines=lines, after="\n")


def _cells(one: ImageChange) -> tuple[str, str, str]:
    change = one.size - one.size_before if one.size is not None and one.size_before is not None else None
    return (
        "" if one.size is None else megabytes(one.size),
        "" if change is None else megabytes(change, signed=True),
        "" if one.pulls is None else megabytes(one.pulls),
    )


def _nodes(review: Review) -> Block:
    if not review.reasons:
        return Block(rank=5)
    grown = {one.node: one for one in review.growths}
    rows = []
    for node, reason in list(review.reasons.items())[:_SHOWN_NODES]:
        one = grown.get(node)
        own = megabytes(one.own) if one else ""
        more = megabytes(one.more, signed=True) if one and one.more is not None else ""
        rows.append((code(node), text(reason), own, more))
    head, lines = table(("Node", "Why", " It adds", " Change"), rows)
    rest = len(review.reasons) - _SHOWN_NODES
    after = f"\nand {rest} more\n" if rest > 0 else ""
    summary = f"<details><summary>{counted(len(review.reasons), 'node')} to build</summary>\n\n"
    return Block(rank=5, before=summary + head, lines=lines, after=f"{after}\n</details>\n\n")
