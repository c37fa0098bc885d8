"""What a registry says of an image: how it was built, and with which environment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hubstack.errors import RegistryError
from hubstack.oci import CONFIG_LIMIT_BYTES
from hubstack.reference import Digest, ImageRef
from hubstack.registry import Registry
from hubstack.registry.retry import Retry
from hubstack.registry.transport import Deadlines


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteImage:
    digest: Digest  # of what the reference names, an index where it is one
    env: Mapping[str, str]
    history: tuple[str, ...]  # the commands, first to last


def look_up_image(ref: ImageRef, ca_bundle: Path | None) -> RemoteImage | None:
    """``read_image`` for somebody who waits: a registry that doesn't answer soon is given up. Raises RegistryError."""
    deadlines, retry = Deadlines(connect_s=5, silence_s=20), Retry(budget_s=3)
    registry = Registry(ref.host, ca_bundle=ca_bundle, deadlines=deadlines, retry=retry)
    try:
        return read_image(registry, ref)
    finally:
        registry.close()


def read_image(registry: Registry, ref: ImageRef) -> RemoteImage | None:
    """None where there is no such image. Of an index the first platform's is read. Raises RegistryError."""
    whole = registry.manifest(ref)
    if whole is None:
        return None
    one = registry.manifest(ref.with_digest(whole.manifests[0].digest)) if whole.is_index else whole
    if one is None or one.config is None:
        raise RegistryError(f"{ref} is no container image")
    content = registry.blob(ref, one.config.digest, limit_bytes=CONFIG_LIMIT_BYTES)
    try:
        return _parsed(content, whole.digest)
    except (AttributeError, TypeError, ValueError) as fault:
        raise RegistryError(f"{ref}: its config is broken: {fault}") from fault


def _parsed(content: bytes, digest: Digest) -> RemoteImage:
    said = json.loads(content)
    env = (said.get("config") or {}).get("Env") or ()
    return RemoteImage(
        digest=digest,
        env=dict(str(entry).partition("=")[::2] for entry in env),
        history=tuple(str(one.get("created_by") or "") for one in said.get("history") or ()),
    )
