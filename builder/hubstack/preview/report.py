"""How the hub's process and its service speak to the terminal: lines of their output that begin with a mark."""

from __future__ import annotations

import sys

from hubstack.spelling import escape

MARK = "hubstack: "


def tell(line: str) -> None:
    sys.stdout.write(f"{MARK}{escape(line)}\n")
    sys.stdout.flush()
