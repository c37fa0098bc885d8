"""What an image is: a container of it answers (``inside.py``), and its config."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from hubstack.names import FINGERPRINT_LABEL, SETTLED_LABEL

from tests.proof import inside

if TYPE_CHECKING:
    from docker import DockerClient

Survey: TypeAlias = Mapping[str, Mapping[str, str]]
"""Section → key → text; what isn't there has no key."""

SCRIPT = Path(inside.__file__).read_text(encoding="utf-8")
LABEL = "io.github.hubstack.proof"  # on containers and volumes: to find what a killed run has left
_FETCH = f"""set -e
mkdir -p /proof/lists/partial /proof/archives/partial
apt-get {" ".join(inside.APT)} -q update
apt-get {" ".join(inside.APT)} -qy --no-install-recommends --download-only install {" ".join(inside.ON_TOP)}
"""


class SurveyFailed(Exception):
    pass


def take_survey(client: DockerClient, image: str, beside: str = "", *, whole: bool = True) -> Survey:
    """``beside`` is the volume of :func:`packages_beside`; without it, and unless ``whole``, nothing is installed on top."""
    words = ["-I", "-B", "-c", SCRIPT, *([] if whole else ["--quick"])]
    volumes = {beside: {"bind": "/proof", "mode": "rw"}} if beside else {}
    answer = _run(client, image, "/usr/bin/python3", words, volumes, network="none")
    found: dict[str, dict[str, str]] = json.loads(zlib.decompress(base64.b64decode(answer)))
    return {**found, "config": config_facts(client.images.get(image).attrs["Config"])}


def config_facts(config: Mapping[str, Any]) -> dict[str, str]:
    """An image's config, field by field; without the node's name, and what hubstack notes of how it was made."""
    facts = {name: json.dumps(value, sort_keys=True) for name, value in config.items() if value and name != "Labels"}
    labels = (config.get("Labels") or {}).items()
    return facts | {f"label {name}": value for name, value in labels if name not in {FINGERPRINT_LABEL, SETTLED_LABEL}}


@contextmanager
def packages_beside(client: DockerClient, base: str) -> Iterator[str]:
    """A volume with the archive's lists and what is installed on top, fetched by a container of the base."""
    volume = client.volumes.create(labels={LABEL: ""})
    try:
        _run(client, base, "sh", ["-c", _FETCH], {volume.name: {"bind": "/proof", "mode": "rw"}}, network="bridge")
        yield volume.name
    finally:
        volume.remove(force=True)


def _run(
    client: DockerClient,
    image: str,
    program: str,
    words: list[str],
    volumes: dict[str, dict[str, str]],
    *,
    network: str,
) -> bytes:
    container = client.containers.create(
        image,
        entrypoint=[program],
        command=words,
        user="0:0",
        working_dir="/",
        network_mode=network,
        volumes=volumes,
        labels={LABEL: ""},
    )
    try:
        container.start()
        code = container.wait(timeout=600)["StatusCode"]
        if code != 0:
            raise SurveyFailed(container.logs(tail=30).decode(errors="replace"))
        return bytes(container.logs(stdout=True, stderr=False))
    finally:
        container.remove(force=True)
