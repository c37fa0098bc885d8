"""Where an image comes from, as a SLSA provenance predicate (https://slsa.dev/spec/v1.0/provenance).

It is made when a node is built, by the job that built it, and says what the node is made of. What is published is the
same image: its provenance is the node's own, taken from there once its signature has been checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hubstack.fingerprint import FORMAT
from hubstack.model import Rendered
from hubstack.pipeline import Inputs
from hubstack.reference import Digest, Fingerprint

PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://hubstack.github.io/build/v1"  # what the fields below mean: docs/supply-chain.md
LOCAL = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What no file of the project says. Empty texts are left out."""

    builder: str = LOCAL  # in CI the workflow's own address and ref
    run: str = ""  # the address of this run
    repository: str = ""  # of the project, without credentials
    commit: str = ""
    dirty: bool = False  # files differ from the commit
    lock: str = ""  # sha256 of hubstack.lock
    tools: Mapping[str, str] = field(default_factory=dict)  # name → version


def provenance(
    inputs: Inputs, node: str, digests: Mapping[str, Digest], circumstances: Circumstances
) -> dict[str, Any]:
    """The predicate for ``node``. ``digests`` are those of the nodes that it stands on or copies from, by id."""
    one, now = inputs.graph.nodes[node], circumstances
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in one.values.items()}
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"node": node, "layer": one.label, "values": values, "platform": one.platform},
            "internalParameters": {
                "fingerprint": inputs.fingerprint(node),
                "format": FORMAT,
                "tests": inputs.tests[node],
                "parents": list(one.parents),
                "dirty": now.dirty,
            },
            "resolvedDependencies": [
                *_project(now),
                *(dependency for below in inputs.graph.lineage[node] for dependency in _recipe(inputs, below)),
                *({"name": f"node/{below}", "digest": _sha256(digests[below])} for below in one.inputs if below in digests),
            ],
        },
        "runDetails": {
            "builder": {"id": now.builder, "version": dict(sorted(now.tools.items()))},
            "metadata": {"invocationId": now.run} if now.run else {},
        },
    }  # fmt: skip


def fingerprint_in(predicate: Any) -> Fingerprint | None:
    """Which build a provenance of ours is about; None where it is none of ours."""
    try:
        definition = predicate["buildDefinition"]
        ours = definition["buildType"] == BUILD_TYPE
        return Fingerprint(definition["internalParameters"]["fingerprint"]) if ours else None
    except (KeyError, TypeError, ValueError):
        return None


def _project(now: Circumstances) -> Iterator[dict[str, Any]]:
    if now.commit:
        address = {"uri": f"git+{now.repository}"} if now.repository else {}
        yield {"name": "project", **address, "digest": {"gitCommit": now.commit}}
    if now.lock:
        yield {"name": "hubstack.lock", "digest": {"sha256": now.lock}}


def _recipe(inputs: Inputs, node: str) -> Iterator[dict[str, Any]]:
    """The Dockerfile of one node in the lineage, and what it takes from elsewhere."""
    rendered = inputs.rendered[node]
    dockerfile = hashlib.sha256(rendered.dockerfile.encode()).hexdigest()
    notes = {"fingerprint": inputs.fingerprint(node), **_bootstrap(rendered)}
    yield {"name": f"dockerfile/{node}", "digest": {"sha256": dockerfile}, "annotations": notes}
    if (revision := rendered.repository) is not None:
        yield {"name": "repository", "uri": f"git+{revision.url}", "digest": {"gitCommit": revision.commit}}
    for reference, digest in sorted(rendered.upstream.items()):
        yield {"name": f"image/{reference}", "digest": _sha256(digest)}


def _bootstrap(rendered: Rendered) -> dict[str, str]:
    """What mmdebstrap was asked for: a base of packages has no digest before it is built."""
    if (base := rendered.bootstrap) is None:
        return {}
    return {"suite": base.suite, "variant": base.variant, "include": " ".join(base.include)}


def _sha256(digest: Digest) -> dict[str, str]:
    return {"sha256": digest.hex}
