"""traits.txt against the installed KubeSpawner; ``pytest --golden`` writes it anew."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from hubstack.files import trait

SCRIPT = Path(__file__).parents[1] / "kubespawner_traits.py"


def test_the_list_is_that_of_the_installed_kubespawner(golden: Callable[[Path, str], None]) -> None:
    said = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=True, timeout=60).stdout
    golden(Path(trait.__file__).with_name("traits.txt"), said)
