"""What changes in each hub's launcher, as if everything were built and published."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from hubstack.errors import ProjectError
from hubstack.hub.choice import offers
from hubstack.hub.configmap import Emitted, parse_configmap, render_configmap
from hubstack.hub.diff import compare, diff_json
from hubstack.hub.profiles import Images, values
from hubstack.hub.setting import setting_changes
from hubstack.names import Names
from hubstack.offer import Hub
from hubstack.pipeline import Inputs
from hubstack.reference import Digest, Fingerprint, ImageRef

_SOMEWHERE = ImageRef(host="registry.example", repository="hubstack")


def launcher_changes(before: Inputs | None, now: Inputs, against: str) -> list[dict[str, Any]]:
    """One entry for each hub in which something changes, as ``hubstack profiles --diff --json`` prints them.

    A hub that is new has all its choices added; of one that is gone all are removed.
    """
    old = before.project.hubs if before else {}
    found = []
    for name in dict.fromkeys((*now.project.hubs, *old)):
        was = _configmap(before, old[name]) if before and name in old else ""
        new = _configmap(now, now.project.hubs[name]) if name in now.project.hubs else ""
        if was is None or new is None or was == new:
            continue
        changes = compare(parse_configmap(was, name) if was else None, parse_configmap(new, name) if new else Emitted())
        settings = setting_changes(was, new) if was and new else ()
        found.append(diff_json(name, changes, settings, against))
    return found


def _configmap(inputs: Inputs, hub: Hub) -> str | None:
    """Its text, with names made of fingerprints; None where the hub's file has faults, of which check tells."""
    try:
        live = [one for one in offers(inputs.project, inputs.graph, hub) if not one.previous]
    except ProjectError:
        return None
    return render_configmap(hub, values(hub, live, _images(inputs)))


def _images(inputs: Inputs) -> Images:
    names = Names.of(replace(inputs.project.settings, registry=_SOMEWHERE))
    together: dict[tuple[str, str], list[Fingerprint]] = {}
    for image in inputs.graph.images:
        if image.node in inputs.identities:
            key = image.variant.stack, image.variant.name
            together.setdefault(key, []).append(inputs.fingerprint(image.node))
    return {
        (stack, variant): names.published(stack, variant, platforms[0]).with_digest(_digest(platforms))
        for (stack, variant), platforms in together.items()
    }


def _digest(fingerprints: list[Fingerprint]) -> Digest:
    """Stands for what will be published: another one as soon as one platform is to be built anew."""
    return Digest(f"sha256:{hashlib.sha256(' '.join(fingerprints).encode()).hexdigest()}")
