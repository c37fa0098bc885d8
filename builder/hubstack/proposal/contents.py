"""What is installed in an image because somebody asked for it, as the image's own package managers say."""

from __future__ import annotations

import re

from hubstack.engine import Engine
from hubstack.errors import EngineError
from hubstack.model import SourceFile
from hubstack.proposal.finding import Finding
from hubstack.verify import inside

_FOLDER = "/srv/hubstack-import"
_SCRIPT = "asked.sh"


def read_asked(engine: Engine, image: str) -> dict[str, list[str]]:
    """By package manager (apt, pip, npm). Raises EngineError, also where the image has no shell."""
    files = {_FOLDER: [SourceFile(path=_SCRIPT, content=inside(_SCRIPT))]}
    with engine.container(image, network=False, files=files) as container:
        done = container.run(f"sh {_FOLDER}/{_SCRIPT}", timeout_s=120)
    if done.code:
        raise EngineError(f"{image} can't be asked what is in it: {done.output.strip()[-200:]}")
    parts = re.split(r"^=(\w+)\n", done.output, flags=re.MULTILINE)[1:]
    return {name: lines.split() for name, lines in zip(parts[::2], parts[1::2], strict=True)}


def take_asked(finding: Finding, asked: dict[str, list[str]], image: str) -> None:
    """Add what the image's history did not name."""
    for manager, names in asked.items():
        found: dict[str, str] = getattr(finding, manager)
        known = {_plain(line) for line in (*found, *(finding.conda if manager == "pip" else ()))}
        for name in names:
            if _plain(name) not in known:
                found[name] = image


def _plain(line: str) -> str:
    """The name in a line of any package manager."""
    match = re.match(r"@?[\w.+/-]*[\w+]", line)
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match else line
