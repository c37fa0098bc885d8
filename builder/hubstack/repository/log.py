"""What repo2docker says while it builds, for people: lines without the plumbing, and a failure as one error."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hubstack.repository.checkout import RepositoryError

_MARK = re.compile(r"(?:#\d+ \d+\.\d+ )?hubstack: error: (?P<what>.*)")
_STEP = re.compile(r"#\d+ (?:\d+\.\d+ )?(?P<text>.*)")
_TAIL = 12
_PLUMBING = re.compile(
    r"(?P<step>#\d+ \[[^]]*\] )RUN .*/tmp/\.hubstack/(?P<what>provide\.py \w+|run\.sh apt|run\.sh) <<.*"
)
_STEPS = {
    "provide.py check": "compare what is asked for with the stack",
    "provide.py install": "install Python packages",
    "provide.py postBuild": "postBuild",
    "run.sh apt": "install Debian packages",
    "run.sh": "install.R",
}
_END = re.compile(r"#\d+ ERROR|Traceback \(most recent call last\):")  # what follows repeats, or explains nothing
_NEEDS_NO_TAIL = re.compile(
    r": .* is asked for\.|has neither it nor conda|, and .* has .*\d\. |there is no stack|no stack has"
)


def readable(line: str) -> str:
    """A line of the log; our own steps by what they do."""
    match = _PLUMBING.fullmatch(line)
    return f"{match['step']}{_STEPS[match['what']]}" if match else line


def ends(line: str) -> bool:
    """Whether the build has failed here, and ``explain`` says better what comes now."""
    return _END.match(line) is not None


def explain(lines: Sequence[str], shown: str) -> RepositoryError:
    """The error of a build of ``shown`` that ended badly, from everything that it printed."""
    said, tail = account(lines)
    return RepositoryError("\n".join([f"{shown}: {said[0]}", *said[1:], *(f"    {line}" for line in tail)]))


def account(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """What a build that ended badly says of it, one sentence a fault; and its last lines, where they say more."""
    said = list(dict.fromkeys(match["what"] for line in lines if (match := _MARK.fullmatch(line))))
    tail = failed_step(lines)
    if said:
        return said, [] if all(_NEEDS_NO_TAIL.search(one) for one in said) else _last(tail)
    if missing := _missing_packages(tail):
        return [f"apt.txt: Debian has no package {', '.join(missing)} in the stack's release"], []
    if not tail:
        tail = [line for line in lines if line and not line.startswith((" ", "Traceback"))]
    return ["the build has failed. It said last:"], _last(tail)


def failed_step(lines: Sequence[str]) -> list[str]:
    """What the step printed that failed: plain progress names it in ``#7 ERROR: …``."""
    failed = next((line.split()[0] for line in reversed(lines) if re.match(r"#\d+ ERROR", line)), None)
    if failed is None:
        return []
    texts = (match["text"] for line in lines if line.startswith(f"{failed} ") and (match := _STEP.fullmatch(line)))
    return [text for text in texts if not re.match(r"\[|ERROR: process|sha256:|CACHED|DONE", text)]


def _last(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if not line.startswith("hubstack: ")][-_TAIL:]


def _missing_packages(lines: Sequence[str]) -> list[str]:
    found = (re.search(r"E: Unable to locate package (\S+)", line) for line in lines)
    return list(dict.fromkeys(match[1] for match in found if match))
