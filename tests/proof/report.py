"""docs/proof.md: what `make proof` has found so far, written from the ledgers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from hubstack.merge.aggregate import AGGREGATES
from hubstack.merge.mergers import MERGERS

from tests.proof.comparison import ALWAYS
from tests.proof.draw import RELEASES, chosen
from tests.proof.firing import Firing
from tests.proof.ledger import Entry
from tests.proof.noise import NOISE
from tests.proof.rupture import Rupture
from tests.proof.workshop import PROJECT, package_lines

_HEAD = """\
<!-- Written by `make proof`; the words are in tests/proof/report.py, the figures in what it has run. -->
# Is a merged image what a build would have made?

`make proof` draws sets of two to four layers, has each merged, builds the same layers as a chain in two orders, and looks at
all three images from inside. The two chains differ from each other, too: logs, dates, numbers of users, the order of lines. So
the question is whether a merged image is in every point like one of its chains, or differs only in what is listed below, each
with its reason.

```sh
make proof                                # goes on where it was; hours
make proof SETS=20 SEED=7 JOBS=1          # other sets, one after another
make proof BREAK=1                        # each merger broken on purpose, on sets that need it
make proof FIRE=1                         # what packages make of all files in a folder, spoilt and made anew
```
"""
_LOOKED_AT = """\
## What is looked at

Every image is asked the same, as root in a container without a network: the whole file tree (type, mode, owner and group by
name, size, sha256, link target, extended attributes; of the package databases the sorted entries); `dpkg-query`, `dpkg -V`,
`dpkg --audit`; `apt-mark`; `apt-get check`, and whether two more packages install on top, with an audit afterwards;
`update-alternatives --query` of every name; `dpkg-divert`, `dpkg-statoverride`, `debconf-show` of every owner; users, groups and
members; `ldconfig -p` in order; libraries that `ldd` doesn't find; bytecode that isn't of the module beside it; Python's
distributions, `pip list` and `pip check`; R's packages, each loaded; the image's config.
What one Python distribution says of itself, in its `.dist-info`, has to be as in one and the same chain.

A merged image has all that its parts have. A chain may have less, as apt takes the first of several alternatives unless
another is there already. So a merged image has to have every package that either chain has, and is compared in full with those
chains that have just its packages. Where neither has, these are compared ("partly equal"): {always}.
"""


@dataclass(frozen=True, kw_only=True)
class Account:
    """``entries`` of one seed's ledger; ``wanted`` is how many sets are asked for."""

    seed: int
    wanted: int
    entries: Sequence[Entry]
    ruptures: Sequence[Rupture] = field(default_factory=tuple)
    firings: Sequence[Firing] = field(default_factory=tuple)


def render_report(account: Account) -> str:
    blocks = (
        [_HEAD.rstrip()],
        _sets(account),
        _by_size(account.entries),
        _found(account.entries),
        _settled(account.entries),
        _refused(account.entries),
        [_LOOKED_AT.format(always=", ".join(ALWAYS)).rstrip()],
        _noise(account.entries),
        _mergers(account),
        _aggregates(account.firings),
        _layers(),
    )
    texts = ("\n".join(block) for block in blocks)
    return "\n\n".join(text for text in texts if text) + "\n"


def _sets(account: Account) -> Iterator[str]:
    results = Counter(one.result for one in account.entries)
    compared = [one for one in account.entries if one.result in {"equal", "partly equal", "differs"}]
    drawn = sum(1 for one in account.entries if one.number)
    yield "## What came out"
    yield ""
    yield f"Seed {account.seed}: {drawn} of {account.wanted} sets that were drawn, and {len(account.entries) - drawn} of {len([*chosen()])} that are chosen,"
    yield "so that each merger is needed by one whatever the seed."
    if drawn < account.wanted:
        yield f"The other {account.wanted - drawn} are for the next runs, at night: `make proof` goes on where this one has ended."
    yield ""
    yield "| | sets |"
    yield "|---|--:|"
    tiers = Counter(bool(one.settled) for one in account.entries if one.result == "equal")
    yield f"| merged in the registry alone (T0), and equal | {tiers[False]} |"
    yield f"| merged and settled in one RUN (T1), and equal | {tiers[True]} |"
    yield f"| merged, and equal as far as chains have the same packages | {results['partly equal']} |"
    yield f"| **merged, and different** | **{results['differs']}** |"
    yield f"| refused, with a message that names both layers: to be built (T2) | {results['refused']} |"
    yield f"| not tried to the end, as a build failed | {results['failed']} |"
    if compared:
        baseline = [one.baseline for one in compared]
        yield ""
        yield f"Of the merged images {sum(one.facts for one in compared):,} facts were compared. Between the two chains of a set"
        yield f"{median(baseline):.0f} facts differ (the median; at most {max(baseline)})."
        yield from _seconds([one for one in compared if one.seconds.get("chains")])


def _seconds(made: Sequence[Entry]) -> Iterator[str]:
    """Of sets for which chains were built and not remembered."""
    if made:
        steps = {step: median(one.seconds.get(step, 0) for one in made) for step in ("chains", "surveys")}
        merging = [_merging(made, settled=settled) for settled in (False, True)]
        yield f"Medians of {len(made)} sets on a machine that others were using: {' and '.join(filter(None, merging))},"
        yield f"building two chains {steps['chains']:.0f} s, looking at three images {steps['surveys']:.0f} s."


def _merging(made: Sequence[Entry], *, settled: bool) -> str:
    seconds = [one.seconds["merge"] for one in made if bool(one.settled) is settled]
    return f"merging {'and settling ' if settled else ''}{median(seconds):.1f} s" if seconds else ""


def _by_size(entries: Sequence[Entry]) -> Iterator[str]:
    yield "| | tried | equal | of these settled | partly equal | different | refused |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for release in sorted({one.release for one in entries}):
        for size in sorted({len(one.layers) for one in entries}):
            those = [one for one in entries if (one.release, len(one.layers)) == (release, size)]
            these = Counter(one.result for one in those)
            these["settled"] = sum(1 for one in those if one.result == "equal" and one.settled)
            numbers = (these[name] for name in ("equal", "settled", "partly equal", "differs", "refused"))
            yield f"| {release}, {size} layers | {len(those)} | {' | '.join(map(str, numbers))} |"


def _found(entries: Sequence[Entry]) -> Iterator[str]:
    bad = [one for one in entries if one.result == "differs"]
    if bad:
        yield "## Differences"
        yield ""
        for one in bad:
            yield f"* {one.release}: {', '.join(one.layers)}"
            yield from (f"  * `{text.replace('`', chr(39))[:240]}`" for text in one.why[:5])


def _settled(entries: Sequence[Entry]) -> Iterator[str]:
    found = Counter(who for one in entries for who in one.settled)
    if found:
        yield "## What is settled"
        yield ""
        yield "| who is told of what other layers have | sets |"
        yield "|---|--:|"
        yield from (f"| {who} | {number} |" for who, number in found.most_common())


def _refused(entries: Sequence[Entry]) -> Iterator[str]:
    found = Counter(cause for one in entries if one.result == "refused" for cause in one.why)
    if found:
        yield "## Why sets are refused"
        yield ""
        yield "| cause | sets |"
        yield "|---|--:|"
        yield from (f"| {cause} | {number} |" for cause, number in found.most_common())


def _noise(entries: Sequence[Entry]) -> Iterator[str]:
    used = Counter[str]()
    for one in entries:
        used.update(one.noise)
    yield "## In what a merged image may differ from both chains"
    yield ""
    yield "| what | why nobody minds | seen |"
    yield "|---|---|--:|"
    for known in NOISE:
        pattern = known.pattern.replace("|", "\\|")
        yield f"| {known.section}: `{pattern}` | {known.reason} | {used[known.reason]} |"


def _mergers(account: Account) -> Iterator[str]:
    touched = Counter(
        pattern
        for one in account.entries
        for pattern in MERGERS
        if any(re.fullmatch(pattern, path) for path in one.merged)
    )
    broken = {pattern: [one for one in account.ruptures if one.pattern == pattern] for pattern in MERGERS}
    yield "## Mergers, and what happens without them"
    yield ""
    yield 'Broken on purpose, a merger lets the topmost part\'s file stand. "Noticed" is in how many of the tries the comparison'
    yield "found that; what it names first is in the last column. Where the topmost part has all anyway there is nothing to notice,"
    yield "nor where settling writes the file again (PAM, info's menu, in some sets)."
    yield ""
    yield "| files | needed by sets | broken | noticed | for instance |"
    yield "|---|--:|--:|--:|---|"
    for pattern in MERGERS:
        tries = broken[pattern]
        noticed = [one for one in tries if one.differences]
        name = pattern.replace("\\", "").replace("|", "\\|")
        what = f"`{noticed[0].first[:90].replace('|', '/').replace('`', chr(39))}`" if noticed else ""
        yield f"| `{name}` | {touched[pattern]} | {len(tries)} | {len(noticed)} | {what} |"


def _aggregates(firings: Sequence[Firing]) -> Iterator[str]:
    if firings:
        yield "## What packages make of all files in a folder"
        yield ""
        yield "Where each part of a merge has made it of its own files, the package's trigger makes it anew. Each was fired on a real"
        yield "system with what it makes spoilt before; so many files were made anew. Of other contents is what differs from run to run."
        yield ""
        yield f"| package | trigger | {' | '.join(RELEASES)} |"
        yield f"|---|---|{'---|' * len(RELEASES)}"
    for row, one in enumerate(AGGREGATES if firings else ()):
        cells = (_made([fired for fired in firings if (fired.row, fired.release) == (row, name)]) for name in RELEASES)
        trigger = one.trigger.replace("\\", "").replace("|", "\\|")
        yield f"| {one.packages[0]} | `{trigger}` | {' | '.join(cells)} |"


def _made(firings: Sequence[Firing]) -> str:
    """Of one row of the table on one release, whatever triggers it has there."""
    lost, other = ({path for one in firings for path in getattr(one, name)} for name in ("lost", "other"))
    made = max((one.made for one in firings), default=0)
    words = [f"{made - len(lost)} of {made}" if made else "not seen"]
    words += [f"**not made: `{min(lost)}`**"] if lost else []
    words += [f"{len(other)} of other contents"] if other else []
    return ", ".join(words)


def _layers() -> Iterator[str]:
    apt, pypi = package_lines("apt.txt"), package_lines("requirements.txt")
    named = [package for lines in apt.values() for package in lines]
    r = [package for package in named if package.startswith("r-cran-")]
    layers = sum(1 for _ in PROJECT.glob("layers/*/layer.yaml"))
    yield "## The layers"
    yield ""
    yield f"{layers} layers, on Debian's bookworm and trixie: {len(named) - len(r)} packages of Debian named,"
    yield f"{sum(map(len, pypi.values()))} distributions of PyPI, {len(r)} packages of R. They are in `tests/proof/project/`."
