"""The command line in this process: what a shell would see, without the seconds that a start takes."""

from __future__ import annotations

import io
import json
import signal
import sys
from collections.abc import Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hubstack.cli import main

HUBSTACK = Path(sys.executable).with_name("hubstack")
PROJECTS = Path(__file__).parent / "projects"
OWN_VARIABLES = ("HUBSTACK_REGISTRY", "HUBSTACK_CA_BUNDLE", "NO_COLOR", "GITHUB_ACTIONS")


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run(*words: str, folder: Path, env: Mapping[str, str] | None = None) -> Done:
    """``hubstack WORDS`` as typed in ``folder``, with none of this machine's settings of hubstack but ``env``."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch, chdir(folder), redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", [str(HUBSTACK), *words])
        for name in OWN_VARIABLES:
            patch.delenv(name, raising=False)
        for name, value in (env or {}).items():
            patch.setenv(name, value)
        try:
            main()
        except SystemExit as end:
            code = end.code
        finally:
            signal.signal(signal.SIGTERM, before)
    assert isinstance(code, int)
    return Done(code, *(stream.buffer.getvalue().decode() for stream in (out, err)))
