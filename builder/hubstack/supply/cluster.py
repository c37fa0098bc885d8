"""The same trust for a cluster: a ClusterImagePolicy of Sigstore's policy-controller, which refuses unsigned images.

Its fields are those of ``policy.sigstore.dev/v1beta1``. Only the signature is asked for: what is attested of an image of
several platforms stands beside each of them, and an admission controller sees the index.
"""

from __future__ import annotations

import re
from typing import Any

from hubstack.names import Names
from hubstack.reference import DEFAULT_HOST, Layout

FULCIO, REKOR = "https://fulcio.sigstore.dev", "https://rekor.sigstore.dev"


def cluster_policy(names: Names, *, key: str, identity: str, issuer: str, transparency_log: bool) -> dict[str, Any]:
    """``key`` is the public key itself, as PEM; empty: keyless."""
    host = "index.docker.io" if names.prefix.host == DEFAULT_HOST else names.prefix.host
    where = f"{host}/{names.prefix.repository}"
    authority: dict[str, Any] = {"name": "hubstack"}
    if key:
        authority["key"] = {"data": key}
    else:
        authority["keyless"] = {"url": FULCIO, "identities": [{"issuer": issuer, "subjectRegExp": identity}]}
    if transparency_log:
        authority["ctlog"] = {"url": REKOR}
    return {
        "apiVersion": "policy.sigstore.dev/v1beta1",
        "kind": "ClusterImagePolicy",
        "metadata": {"name": re.sub(r"[^a-z0-9]+", "-", f"{where}-signed")},
        "spec": {
            "images": [{"glob": f"{where}*" if names.layout is Layout.SINGLE else f"{where}/**"}],
            "authorities": [authority],
            "mode": "enforce",
        },
    }
