"""Who we are for a registry. Looked up late: only when a registry has answered 401."""

from __future__ import annotations

import json
import os
import shutil
import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from hubstack.errors import RegistryDenied

HELPER_DEADLINE_S = 30.0  # a helper may ask a keychain, which may ask a person who isn't there
HELPER_PREFIX = "docker-credential-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A name and password, or an identity token, or neither. ``origin`` says where it came from, never what it is."""

    origin: str
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The header's value for Basic authentication; empty where there is no name."""
        if not self.username:
            return ""
        return "Basic " + b64encode(f"{self.username}:{self.password}".encode()).decode()


Lookup: TypeAlias = Callable[[str], Credential]
"""A registry's host → who we are there."""


def anonymous(_host: str) -> Credential:
    """For hubs with ``pull_secret: none``: what is asked this way, anybody can pull."""
    return Credential(origin="no credential (none is used on purpose)")


def docker_credentials(environ: Mapping[str, str] = os.environ) -> Lookup:
    """What ``docker login`` has stored: ``$DOCKER_CONFIG/config.json`` or ``~/.docker/config.json``, and its helpers."""
    folder = environ.get("DOCKER_CONFIG")
    return credentials_file((Path(folder) if folder else Path.home() / ".docker") / "config.json")


def credentials_file(path: Path) -> Lookup:
    """A docker config, or the ``.dockerconfigjson`` of a pull secret. Read once, when it is first asked for."""
    lock = threading.Lock()
    found: dict[str, Credential] = {}

    def look_up(host: str) -> Credential:
        with lock:
            if host not in found:
                found[host] = _resolve(host, _read_config(path), path)
            return found[host]

    return look_up


def _read_config(path: Path) -> dict[str, object]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "not JSON"  # the parser's text may quote the file
        raise RegistryDenied(f"{path}: the credentials there can't be read: {reason}") from None
    if not isinstance(config, dict):
        raise RegistryDenied(f"{path}: no JSON object, expected a docker config")
    if isinstance(config.get("auths"), dict):
        config["auths"] = {host: _with_auth(entry) for host, entry in config["auths"].items()}
    return config


def _with_auth(entry: object) -> object:
    """Kubernetes takes a name and a password side by side; the SDK only the two joined."""
    if isinstance(entry, dict) and not entry.get("auth") and entry.get("username"):
        joined = f"{entry['username']}:{entry.get('password', '')}"
        return {**entry, "auth": b64encode(joined.encode()).decode()}
    return entry


def _resolve(host: str, config: dict[str, object], path: Path) -> Credential:
    nothing = Credential(origin=f"no credential ({path} has none for {host})")
    if not config:
        return nothing
    from docker import auth
    from docker.errors import DockerException

    try:
        auths = auth.load_config(config_dict=config)
        helper = auths.get_credential_store(host) if auths.creds_store or auths.cred_helpers else None
        if helper and shutil.which(HELPER_PREFIX + helper) is None:
            raise RegistryDenied(
                f"{path} names {HELPER_PREFIX}{helper} for {host}, which is not on PATH",
                hint=f"Install it, or take the entry out and run: docker login {host}",
            )
        entry = _within(HELPER_DEADLINE_S, lambda: auths.resolve_authconfig(host), what=f"{HELPER_PREFIX}{helper}")
    except (DockerException, ValueError, AttributeError, TypeError, KeyError):
        # What the helper printed, and what the file holds, may be the secret itself.
        raise RegistryDenied(
            f"{path}: its credentials for {host} can't be used", hint=f"Run: docker login {host}"
        ) from None
    return _credential(entry, path, str(helper)) or nothing


def _credential(entry: Mapping[str, str] | None, path: Path, helper: str) -> Credential | None:
    """The SDK writes a helper's entries with capitals, and a file's without."""
    if not entry:
        return None
    asked = "ServerAddress" in entry
    return Credential(
        origin=f"the credential from {HELPER_PREFIX}{helper} (named in {path})"
        if asked
        else f"the credential in {path}",
        username=entry.get("Username") or entry.get("username") or "",
        password=entry.get("Password") or entry.get("password") or "",
        identity_token=entry.get("IdentityToken") or "",
    )


def _within(seconds: float, work: Callable[[], Mapping[str, str] | None], *, what: str) -> Mapping[str, str] | None:
    """The SDK starts helpers without a deadline, so they get a thread that can be left behind."""
    results: list[Mapping[str, str] | None] = []
    faults: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as fault:  # noqa: BLE001 - raised again in the thread that waits
            faults.append(fault)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if faults:
        raise faults[0]
    if not results:
        raise RegistryDenied(f"{what} has not answered within {seconds:g} s")
    return results[0]
