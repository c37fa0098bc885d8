"""Answers a registry's 401: Basic, or a token as the distribution project's token specification describes it.

What was agreed on once is remembered, so a run asks for one token a repository and not one a request.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote, urlencode

from hubstack.errors import RegistryDenied
from hubstack.registry.credentials import Credential, Lookup

Scope: TypeAlias = tuple[str, ...]  # "repository:NAME:pull,push", each a resource; the token spec's grammar
MARGIN_S = 10.0  # a token that ends while it travels is no good
DEFAULT_LIFE_S = 60.0  # token specification, "expires_in"

FetchToken: TypeAlias = Callable[[str, str, bytes | None], bytes]
"""(address, Authorization or "", form to post or None to get) → the answer's body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What a header WWW-Authenticate asks for (RFC 9110, section 11.6.1)."""

    scheme: str  # "bearer" or "basic"
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grant:
    """A token, and for how long."""

    header: str
    ends_s: float  # on the transport's clock


class Authorization:
    """What to send as ``Authorization`` to one host. Any number of threads may ask."""

    def __init__(self, host: str, *, look_up: Lookup, fetch: FetchToken, clock: Callable[[], float]) -> None:
        self._host, self._look_up, self._fetch, self._clock = host, look_up, fetch, clock
        self._lock = threading.Lock()
        self._challenge: Challenge | None = None  # the registry's last one
        self._credential: Credential | None = None
        self._grants: dict[Scope, _Grant] = {}

    @property
    def origin(self) -> str:
        """Where the credential came from, for people. Never what it is."""
        return self._credential.origin if self._credential else "no credential (the registry did not ask for one)"

    def header(self, scope: Scope) -> str:
        """Empty until the registry has asked for more; then, with what is known of it, without being asked again."""
        if self._challenge is None:
            return ""
        with self._lock:
            return self._granted(scope)

    def answer(self, scope: Scope, *, challenges: Sequence[str], refused: str) -> str:
        """The header to try next, after ``refused`` was answered with 401. Equal to ``refused``: there is no other."""
        with self._lock:
            grant = self._grants.get(scope)
            if grant is not None and grant.header != refused:
                return grant.header  # another thread was here first
            if (challenge := parse_challenge(", ".join(challenges))) is not None:
                self._challenge = challenge
            self._grants.pop(scope, None)
            return self._granted(scope)

    def redact(self, text: str) -> str:
        """``text`` without anything that opens a door: what we know, and what looks like it."""
        for secret in sorted(self._secrets(), key=len, reverse=True):
            text = text.replace(secret, "***")
        text = re.sub(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}", r"\1 ***", text)
        text = re.sub(r"://[^/@\s]+@", "://***@", text)
        return re.sub(r"(https?://[^\s?\"'<>]+)\?[^\s\"'<>]*", r"\1?***", text)

    def _secrets(self) -> set[str]:
        headers = [grant.header for grant in list(self._grants.values())]
        known = {header.partition(" ")[2] for header in headers}
        if self._credential is not None:
            known |= {self._credential.password, self._credential.identity_token}
            known |= {self._credential.basic.partition(" ")[2]}
        return {text for secret in known if len(secret) > 2 for text in (secret, quote(secret, safe=""))}

    def _granted(self, scope: Scope) -> str:
        grant = self._grants.get(scope)
        if grant is None or self._clock() > grant.ends_s:
            grant = self._grants[scope] = self._ask(scope)
        return grant.header

    def _ask(self, scope: Scope) -> _Grant:
        if self._credential is None:
            self._credential = self._look_up(self._host)
        if self._challenge is None or self._challenge.scheme == "basic":
            return _Grant(header=self._credential.basic, ends_s=float("inf"))
        return self._token(self._credential, self._challenge.parameters, scope)

    def _token(self, credential: Credential, challenge: Mapping[str, str], scope: Scope) -> _Grant:
        realm, service = challenge.get("realm", ""), challenge.get("service", "")
        if credential.identity_token:
            form = {
                "grant_type": "refresh_token",
                "client_id": "hubstack",
                "service": service,
                "scope": " ".join(scope),
            }
            form["refresh_token"] = credential.identity_token
            body = self._fetch(realm, "", urlencode(form).encode())
        else:
            query = urlencode([("service", service), *(("scope", one) for one in scope)])
            body = self._fetch(f"{realm}{'&' if '?' in realm else '?'}{query}", credential.basic, None)
        return self._parse_token(body)

    def _parse_token(self, body: bytes) -> _Grant:
        try:
            answer = json.loads(body)
            token, life_s = (
                answer.get("token") or answer["access_token"],
                float(answer.get("expires_in") or DEFAULT_LIFE_S),
            )
        except (ValueError, KeyError, AttributeError, TypeError):
            raise RegistryDenied(f"{self._host}: its token service has sent no token") from None
        return _Grant(header=f"Bearer {token}", ends_s=self._clock() + max(life_s - MARGIN_S, life_s / 2))


def parse_challenge(text: str) -> Challenge | None:
    """The best offer of a ``WWW-Authenticate`` (RFC 9110, 11.6.1) that we understand: Bearer, then Basic, then none."""
    offers: dict[str, dict[str, str]] = {}
    scheme = ""
    for found in re.finditer(r'([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))|([A-Za-z][\w-]*)', text):
        name, quoted, plain, word = found.groups()
        if word:
            scheme = word.lower()
            offers[scheme] = {}
        elif scheme:
            offers[scheme][name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
    for known in ("bearer", "basic"):
        if known in offers:
            return Challenge(scheme=known, parameters=offers[known])
    return None
