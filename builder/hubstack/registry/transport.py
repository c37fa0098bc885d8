"""One request to a registry and its answer: addresses, deadlines, redirects, 401, and which faults may pass.

Nothing here tries again, except with an Authorization that the registry has asked for.
"""

from __future__ import annotations

import json
import logging
import re
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urljoin, urlsplit

from hubstack.errors import RegistryDenied, RegistryError, RegistryUnreachable
from hubstack.reference import DEFAULT_HOST
from hubstack.registry.authorization import Authorization, Scope
from hubstack.registry.credentials import Lookup
from hubstack.registry.retry import Fault, parse_retry_after

if TYPE_CHECKING:
    import httpx

Body: TypeAlias = bytes | Callable[[], Iterator[bytes]]
"""A stream is made anew each time that it is sent."""

TRANSIENT = frozenset({408, 429, *range(500, 600)})
DENIED = frozenset({401, 403})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5
ERROR_LIMIT_BYTES = 64 << 10
TOKEN_LIMIT_BYTES = 1 << 20
FIRST_CONTACT_S = 10.0  # a host that has never answered is rather misspelt than busy

log = logging.getLogger(__name__)
# httpx brings its own command line along, and with it rich and pygments, where these are installed: a tenth of what a
# run costs that has nothing to do. None makes that import fail, which httpx expects.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """``silence_s`` is how long an answer's first byte may take, and any pause between two bytes, sent or received."""

    connect_s: float = 10.0
    silence_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """``target`` is a path on the registry, or an address that it has handed out. Every status but ``expect`` is an error."""

    method: str
    target: str
    scope: Scope
    expect: frozenset[int]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """To a request, with a status that was expected."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    content: bytes = b""


class Transport:
    """HTTP to one registry, for any number of threads."""

    def __init__(
        self,
        host: str,
        *,
        look_up: Lookup,
        ca_bundle: Path | None = None,
        deadlines: Deadlines | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host, self._ca_bundle = host, ca_bundle
        self._address = api_address(host)
        self._deadlines = deadlines or Deadlines()
        self._clients: dict[str, httpx.Client] = {}
        self._lock = threading.Lock()
        self._reached: set[str] = set()
        self._authorization = Authorization(host, look_up=look_up, fetch=self._fetch_token, clock=clock)

    def close(self) -> None:
        with self._lock:
            for client in self._clients.values():
                client.close()

    def ask(self, request: Request, *, limit_bytes: int = ERROR_LIMIT_BYTES) -> Answer:
        """The whole answer. Raises RegistryError, or Fault for what may pass."""
        with self.stream(request) as (answer, chunks):
            return Answer(
                status=answer.status, headers=answer.headers, content=self._gather(request, chunks, limit_bytes)
            )

    @contextmanager
    def stream(self, request: Request) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        """The answer without its content, and the content as it arrives."""
        response = self._send(request)
        try:
            answer = Answer(status=response.status_code, headers=response.headers)
            yield answer, self._chunks(request.method, response)
        finally:
            response.close()

    def _gather(self, request: Request, chunks: Iterator[bytes], limit_bytes: int) -> bytes:
        gathered = bytearray()
        for chunk in chunks:
            gathered += chunk
            if len(gathered) > limit_bytes:
                raise RegistryError(f"{self._name(request)}: more than the {limit_bytes} bytes that were expected")
        return bytes(gathered)

    def _send(self, request: Request) -> httpx.Response:
        """An answer with an expected status; its content is not read yet."""
        authorization = self._authorization.header(request.scope)
        response = self._follow(request, authorization)
        if response.status_code == 401 and _origin(str(response.url)) == _origin(self._address):
            content = self._drain(request.method, response)
            challenges = response.headers.get_list("www-authenticate")
            better = self._authorization.answer(request.scope, challenges=challenges, refused=authorization)
            if better == authorization:
                raise self._denied(request, response.status_code, content)
            response = self._follow(request, better)
        if response.status_code in request.expect:
            return response
        raise self._error(request, response, self._drain(request.method, response))

    def _follow(self, request: Request, authorization: str) -> httpx.Response:
        url = urljoin(self._address, request.target)
        headers = dict(request.headers)
        for _ in range(MAX_REDIRECTS):
            # An address that the registry hands out may lie on a storage service, which must not learn who we are.
            if authorization and _origin(url) == _origin(self._address):
                headers["Authorization"] = authorization
            else:
                headers.pop("Authorization", None)
            response = self._exchange(request.method, url, headers, request.body)
            location = response.headers.get("location", "")
            if request.method not in {"GET", "HEAD"} or response.status_code not in REDIRECTS or not location:
                return response
            self._drain(request.method, response)
            url = resolve(url, location)
        raise RegistryError(f"{self._name(request)}: more than {MAX_REDIRECTS} redirects")

    def _exchange(self, method: str, url: str, headers: Mapping[str, str], body: Body | None) -> httpx.Response:
        import httpx

        client = self._client(url)
        content = body() if callable(body) else body
        try:
            # Identity: what is compared with a digest must not be compressed on the way.
            request = client.build_request(
                method, url, headers={"Accept-Encoding": "identity", **headers}, content=content
            )
            response = client.send(request, stream=True)
        except (httpx.TransportError, httpx.InvalidURL) as fault:
            raise self._broken(method, url, fault) from fault
        self._reached.add(urlsplit(url).netloc)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s %s: %d", method, _without_query(url), response.status_code)
        return response

    def _chunks(self, method: str, response: httpx.Response) -> Iterator[bytes]:
        import httpx

        try:
            yield from response.iter_raw()
        except httpx.TransportError as fault:
            raise self._broken(method, str(response.url), fault) from fault

    def _drain(self, method: str, response: httpx.Response) -> bytes:
        """Reads what is short, so that the connection can be used again, and closes what is not."""
        content = b""
        try:
            for chunk in self._chunks(method, response):
                content += chunk
                if len(content) > ERROR_LIMIT_BYTES:
                    break
        finally:
            response.close()
        return content

    def _client(self, url: str) -> httpx.Client:
        scheme, host = urlsplit(url).scheme, urlsplit(url).hostname or ""
        if scheme != "https" and not (scheme == "http" and is_loopback(host)):
            raise RegistryError(
                f"{self._host}: leads to {_without_query(url)}, which is neither HTTPS nor on this machine"
            )
        with self._lock:
            if scheme not in self._clients:
                self._clients[scheme] = self._make_client(scheme)
            return self._clients[scheme]

    def _make_client(self, scheme: str) -> httpx.Client:
        import httpx

        for name in ("httpx", "httpcore"):  # they would log whole addresses and Authorization headers
            logging.getLogger(name).setLevel(logging.WARNING)
        plain = scheme == "http"
        # To read a few hundred certificates takes longer than a plan does, and plain HTTP needs none.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else httpx.create_ssl_context()
        if self._ca_bundle is not None and not plain:
            _trust(context, self._ca_bundle)
        return httpx.Client(
            verify=context,
            trust_env=not plain,  # a proxy can't reach this machine's loopback
            headers={"User-Agent": "hubstack"},
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32, keepalive_expiry=30),
            timeout=httpx.Timeout(self._deadlines.silence_s, connect=self._deadlines.connect_s, pool=None),
        )

    def _fetch_token(self, address: str, authorization: str, form: bytes | None) -> bytes:
        headers = {"Authorization": authorization} if authorization else {}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        method = "GET" if form is None else "POST"
        request = Request(method=method, target=address, scope=(), expect=frozenset({200}), headers=headers, body=form)
        response = self._exchange(method, address, headers, form)
        content = self._drain(method, response)
        if response.status_code == 200:
            return content
        if response.status_code in {400, 404}:  # what services answer to a wrong or expired identity token
            raise self._denied(request, response.status_code, content)
        raise self._error(request, response, content)

    def _error(self, request: Request, response: httpx.Response, content: bytes) -> Exception:
        status = response.status_code
        if status in DENIED:
            return self._denied(request, status, content)
        code, said = self._said(content)
        error = RegistryError(f"{self._name(request)}: {status} {response.reason_phrase}{said}", code=code)
        if status not in TRANSIENT:
            return error
        wait_s = parse_retry_after(response.headers.get("retry-after", ""), response.headers.get("date", ""))
        return Fault(error, wait_s=wait_s)

    def _denied(self, request: Request, status: int, content: bytes) -> RegistryDenied:
        code, said = self._said(content)
        return RegistryDenied(
            f"{self._name(request)}: {status}, refused with {self._authorization.origin}{said}",
            hint=f"To use another account: docker login {self._host}",
            code=code,
        )

    def _broken(self, method: str, url: str, fault: Exception) -> Exception:
        """What has happened to a connection, as an error for people; a Fault where it may pass."""
        import httpx

        place, netloc = f"{method} {_without_query(url)}", urlsplit(url).netloc
        if (certificate := _cause(fault, ssl.SSLCertVerificationError)) is not None:
            return RegistryError(
                f"{place}: its certificate is not trusted ({certificate})",
                hint="Behind an intercepting proxy, name its certificate with --ca-bundle.",
            )
        if isinstance(fault, httpx.LocalProtocolError | httpx.UnsupportedProtocol | httpx.InvalidURL):
            return RegistryError(f"{place}: can't be sent: {self._authorization.redact(str(fault))}")
        if isinstance(fault, httpx.TimeoutException):
            connecting = isinstance(fault, httpx.ConnectTimeout)
            seconds = self._deadlines.connect_s if connecting else self._deadlines.silence_s
            what = f"{'no connection' if connecting else 'silent'} for {seconds:g} s"
        else:
            what = self._authorization.redact(str(fault)) or type(fault).__name__
        patience_s = float("inf") if netloc in self._reached else FIRST_CONTACT_S
        return Fault(RegistryUnreachable(f"{place}: {what}"), patience_s=patience_s)

    def _name(self, request: Request) -> str:
        return f"{request.method} {_without_query(urljoin(self._address, request.target))}"

    def _said(self, content: bytes) -> tuple[str, str]:
        """The registry's first error code, and its own words on one line and without secrets."""
        try:
            errors = json.loads(content)["errors"]
            said = "; ".join(f"{error['code']}: {error.get('message', '')}" for error in errors)
            code = str(errors[0]["code"])
        except (ValueError, LookupError, TypeError, AttributeError):
            return "", ""
        said = re.sub(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+", " ", self._authorization.redact(said))
        return code, f" ({said[:300]})"


def api_address(host: str) -> str:
    """Where a registry's API is. Docker Hub's name is not its API's; this machine needs no HTTPS, as every engine has it."""
    if host == DEFAULT_HOST:
        return "https://registry-1.docker.io"
    return f"{'http' if is_loopback(urlsplit(f'//{host}').hostname or '') else 'https'}://{host}"


def resolve(address: str, location: str) -> str:
    """Where a header Location leads from ``address``."""
    try:
        return urlsplit(urljoin(address, location)).geturl()
    except ValueError:
        raise RegistryError(f"{_without_query(address)}: leads to an address that is none") from None


def is_loopback(hostname: str) -> bool:
    return hostname in {"localhost", "::1"} or re.fullmatch(r"127(\.\d{1,3}){3}", hostname) is not None


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _without_query(url: str) -> str:
    """Queries hold upload states and signatures; what stands before an @ is a password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _cause(fault: BaseException, kind: type[BaseException]) -> BaseException | None:
    seen: BaseException | None = fault
    while seen is not None and not isinstance(seen, kind):
        seen = seen.__cause__ or seen.__context__
    return seen


def _trust(context: ssl.SSLContext, ca_bundle: Path) -> None:
    """On top of what the machine trusts: a bundle may hold the proxy's certificate only."""
    try:
        context.load_verify_locations(cafile=ca_bundle)
    except (OSError, ssl.SSLError) as fault:
        raise RegistryError(f"{ca_bundle}: no certificates that can be read: {fault}") from fault
