"""traits.txt against the installed KubeSpawner; ``pytest --golden`` writes it anew."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from jupyterhub.traitlets import ByteSpecification
from kubespawner import KubeSpawner
from traitlets import Bool, Dict, Enum, Float, Integer, List, Unicode, Union

KINDS: tuple[tuple[type[Any], str], ...] = (  # the first that fits: a ByteSpecification is an Integer, too
    (ByteSpecification, "bytes"),
    (Bool, "bool"),
    (Integer, "int"),
    (Float, "float"),
    (Unicode, "text"),
    (Enum, "text"),
    (List, "list"),
    (Dict, "dict"),
)


def kinds(trait: Any) -> list[str]:
    if isinstance(trait, Union):
        return [kind for inner in trait.trait_types for kind in kinds(inner)]
    if isinstance(trait, List) and isinstance(trait._trait, Unicode):  # noqa: SLF001 — traitlets says it nowhere else
        return ["texts"]
    return [next((kind for cls, kind in KINDS if isinstance(trait, cls)), "function")]


def test_the_list_is_that_of_the_installed_kubespawner(golden: Callable[[Path, str], None]) -> None:
    release = ".".join(version("jupyterhub-kubespawner").split(".")[:2])
    traits = KubeSpawner.class_traits(config=True)
    lines = [
        f"# What KubeSpawner {release} can be configured with, and the kinds of values that it takes. Written by a test."
    ]
    lines += [f"{name} {'|'.join(kinds(trait))}" for name, trait in sorted(traits.items())]
    golden(Path(str(files("hubstack.files") / "traits.txt")), "\n".join(lines) + "\n")
