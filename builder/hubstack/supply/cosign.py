"""cosign, as a child process: signing, attesting, and asking what is there that somebody trusted has signed.

Passwords go to it by its own variables in the environment (``COSIGN_PASSWORD``), never by its command line; who we are for
the registry it reads from the docker config, as we do.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hubstack import command
from hubstack.errors import CommandFailed, EngineError, HubstackError, UsageError
from hubstack.reference import ImageRef

GITHUB_ISSUER = "https://token.actions.githubusercontent.com"
TOKENS = ("ACTIONS_ID_TOKEN_REQUEST_URL", "SIGSTORE_ID_TOKEN")
"""Where cosign finds an OIDC token without asking a person; any of them lets it sign without a key."""
_DEADLINE_S = 180
_INSTALL = "See https://docs.sigstore.dev/cosign/system_config/installation; Debian has it from trixie on."
_UNSIGNED = {10, 12}  # cosign's exit codes: no signature, none that fits
_UNATTESTED = ("no matching attestations", "none of the attestations matched", "no attestations found")


class SigningError(HubstackError):
    """cosign is missing or has failed, or somebody has not signed what should be signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whose signatures count: ``key`` is a public key's file or cosign's address of one; else whom ``issuer`` knows."""

    key: str = ""
    identity: str = ""
    issuer: str = ""
    transparency_log: bool = True

    @property
    def name(self) -> str:
        return f"the key {self.key}" if self.key else f"{self.identity} ({self.issuer})"

    @property
    def options(self) -> list[str]:
        """As the verifying verbs of cosign take them."""
        log = [] if self.transparency_log else ["--insecure-ignore-tlog=true"]
        if self.key:
            return [f"--key={self.key}", *log]
        return [f"--certificate-identity-regexp={self.identity}", f"--certificate-oidc-issuer={self.issuer}", *log]


def github_trust(environ: Mapping[str, str]) -> Trust | None:
    """In a job of GitHub Actions that may ask for a token: this repository's own workflows, at the ref that this runs on."""
    if TOKENS[0] not in environ or not all(environ.get(f"GITHUB_{name}") for name in ("REPOSITORY", "REF")):
        return None
    server = environ.get("GITHUB_SERVER_URL", "https://github.com")
    begin = re.escape(f"{server}/{environ['GITHUB_REPOSITORY']}/.github/workflows/")
    return Trust(identity=f"^{begin}[^@/]+@{re.escape(environ['GITHUB_REF'])}$", issuer=GITHUB_ISSUER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosign:
    """``key`` is the private key's file, or cosign's address of one (``env://NAME``, a KMS); empty: keyless."""

    trust: Trust
    key: str = ""
    ca_bundle: Path | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    # --- asking ------------------------------------------------------------------------------------------------------

    def signed(self, ref: ImageRef) -> bool:
        """Whether somebody trusted has signed the image with this digest. Raises SigningError where nobody can tell."""
        try:
            self._run("verify", *self.trust.options, str(ref))
        except CommandFailed as failure:
            if failure.code in _UNSIGNED:
                return False
            raise _explained(failure, f"{ref}: cosign can't verify it") from None
        return True

    def predicates(self, ref: ImageRef, kind: str) -> tuple[Any, ...]:
        """What somebody trusted has stated of the image, of one predicate type."""
        try:
            out = self._run("verify-attestation", f"--type={kind}", *self.trust.options, str(ref))
        except CommandFailed as failure:
            if any(text in line for text in _UNATTESTED for line in failure.tail):
                return ()
            raise _explained(failure, f"{ref}: cosign can't verify what is attested of it") from None
        return tuple(_predicate(line, kind, ref) for line in out.splitlines() if line.startswith("{"))

    # --- telling -----------------------------------------------------------------------------------------------------

    def sign(self, ref: ImageRef) -> None:
        """Sign the image's digest. The signature stands in its repository, under a tag made of the digest."""
        self._tell("sign", str(ref))

    def attest(self, ref: ImageRef, kind: str, predicate: object) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            json.dump(predicate, file, sort_keys=True)
            file.flush()
            self._tell("attest", f"--type={kind}", f"--predicate={file.name}", str(ref))

    def check_key(self) -> None:
        """Raises UsageError where nothing is there to sign with: cosign would open a browser. SigningError without it."""
        if shutil.which("cosign") is None:
            raise SigningError("cosign is not installed", hint=_INSTALL)
        if not self.key and self.trust.key:
            raise UsageError(
                f"images are signed with {self.trust.name}, and its private half is not given",
                hint="Name its file in HUBSTACK_SIGNING_KEY, and put its password in COSIGN_PASSWORD.",
            )
        if not self.key and not any(name in self.environ for name in TOKENS):
            raise UsageError(
                "images are signed without a key, by an identity token, and there is none here",
                hint="In GitHub Actions give the job `permissions: id-token: write`.",
            )

    def _tell(self, verb: str, *words: str) -> None:
        self.check_key()
        key = [f"--key={self.key}"] if self.key else []
        log = [] if self.trust.transparency_log else ["--tlog-upload=false"]
        try:
            self._run(verb, "--yes", *key, *log, *words)
        except CommandFailed as failure:
            raise _explained(failure, f"{words[-1]}: cosign {verb} failed") from None

    def _run(self, *words: str) -> str:
        # A password that isn't given is empty: cosign would ask for it where nobody answers.
        env = {"COSIGN_PASSWORD": "", **self.environ}
        if self.ca_bundle:
            env["SSL_CERT_FILE"] = str(self.ca_bundle)
        try:
            return command.output(["cosign", *words], env=env, deadline_s=_DEADLINE_S)
        except EngineError as error:
            raise SigningError(error.message, hint=_INSTALL) from None


def _predicate(line: str, kind: str, ref: ImageRef) -> Any:
    """The predicate in a DSSE envelope, which cosign has checked: signature, subject and type."""
    try:
        statement = json.loads(base64.b64decode(json.loads(line)["payload"]))
        stated, predicate = statement["predicateType"], statement["predicate"]
    except (ValueError, KeyError, TypeError) as fault:
        raise SigningError(f"{ref}: an attestation that can't be read: {fault}") from None
    if stated != kind:
        raise SigningError(f"{ref}: cosign gives an attestation of type {stated}, and {kind} was asked for")
    return predicate


def _explained(failure: CommandFailed, what: str) -> SigningError:
    lines: Sequence[str] = [line for line in failure.tail if line.startswith(("Error:", "error:"))] or failure.tail
    return SigningError(f"{what}: {lines[0].removeprefix('Error: ') if lines else failure.message}")
