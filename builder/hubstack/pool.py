"""Several buildx builders for one run: what each is, and which node goes to which.

Nodes go by their parent's fingerprint: siblings meet on one builder, where the parent then is already. The first of them
brings it along, from the local store or from the registry, whichever builder has made it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from hubstack import command
from hubstack.errors import CommandFailed, EngineError, UsageError
from hubstack.spelling import did_you_mean, enumerate_words, quote


def choose(builders: Sequence[str], key: str) -> str:
    """Rendezvous hashing (Thaler and Ravishankar, 1998): one builder more or less moves only its own share of the keys."""
    return max(builders, key=lambda name: hashlib.sha256(f"{name}\n{key}".encode()).digest())


def find_driver(plugin: str, name: str) -> str:
    """The driver of a builder (``docker``, ``docker-container``, ``kubernetes``, ``remote``). Starts none.

    Raises UsageError where there is no such builder, EngineError where it can't be one.
    """
    try:
        text = command.output([plugin, "inspect", name])
    except CommandFailed as error:
        if not any("no builder" in line for line in error.tail):
            raise EngineError(f"buildx can't tell about the builder {name}: {' '.join(error.tail)}") from None
        known = find_builders(plugin)
        what = f"no buildx builder is called {quote(name)}{did_you_mean(name, known)}"
        raise UsageError(
            what, hint=f"There is {enumerate_words(known, 'and')}; `docker buildx create` makes more."
        ) from None
    fields = dict(re.findall(r"^(Name|Driver|Error):[ \t]*(.*?)[ \t]*$", text, re.MULTILINE))
    driver: str = fields.get("Driver", "")
    if not driver:
        raise EngineError(f"the builder {name} does not answer: {fields.get('Error') or 'it has no driver'}")
    return driver


def find_builders(plugin: str) -> tuple[str, ...]:
    """The names that ``docker buildx ls`` shows; nodes of a builder stand below it, indented."""
    lines = command.output([plugin, "ls"]).splitlines()[1:]
    return tuple(line.split()[0].rstrip("*") for line in lines if line[:1].strip())
