"""Prints what the installed KubeSpawner can be configured with: builder/hubstack/files/traits.txt, as it should be.

A process of its own, since importing KubeSpawner settles for all time where its Kubernetes client looks for a cluster.
"""

from __future__ import annotations

from importlib.metadata import version
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


if __name__ == "__main__":
    release = ".".join(version("jupyterhub-kubespawner").split(".")[:2])
    print(f"# What KubeSpawner {release} can be configured with, and the kinds of values it takes. Written by a test.")  # noqa: T201
    for name, trait in sorted(KubeSpawner.class_traits(config=True).items()):
        print(name, "|".join(kinds(trait)))  # noqa: T201
