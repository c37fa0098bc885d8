"""An HTTP server on loopback for fakes: it keeps what was asked, and befalls chosen requests with chosen troubles."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit


class Trouble(Enum):
    LOSE_REPLY = auto()  # does what was asked, then hangs up without a word
    SILENCE = auto()  # accepts and never answers
    RESET = auto()  # TCP reset instead of doing anything
    HANG_UP = auto()  # end of file instead of doing anything
    TRUNCATE = auto()  # half of the answer's body, then end of file
    STALL = auto()  # half of the answer's body, then nothing
    CORRUPT_REPLY = auto()  # one bit of the answer's body is another
    CORRUPT_REQUEST = auto()  # one bit of what was sent is another


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Seen:
    """A request as it came in; ``path`` is without its query."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]  # names in lower case
    body: bytes


@dataclass
class Fault:
    method: str
    path: str  # a regular expression
    do: Trouble | Reply
    nth: int
    times: int
    matched: int = 0

    def befalls(self, seen: Seen) -> bool:
        if seen.method != self.method or re.search(self.path, seen.path) is None:
            return False
        self.matched += 1
        return self.nth <= self.matched < self.nth + self.times


class WireServer(ABC):
    """A context manager; ``host`` is ``127.0.0.1:PORT``."""

    def __init__(self) -> None:
        self.certificate: Path | None = None  # certificate and key: then it speaks HTTPS
        self.requests: list[Seen] = []
        self.stopping = threading.Event()
        self._faults: list[Fault] = []
        self._wire_lock = threading.Lock()

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads, self._server.block_on_close = True, False
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @abstractmethod
    def answer(self, seen: Seen) -> Reply:
        """Called by many threads."""

    def fault(self, method: str, path: str, do: Trouble | Reply, *, nth: int = 1, times: int = 1) -> None:
        """From the ``nth`` request on (counted from now, from 1) whose path holds ``path``, ``times`` of them."""
        self._faults.append(Fault(method, path, do, nth, times))

    def asked(self, method: str, path: str = "") -> list[Seen]:
        return [one for one in self.requests if one.method == method and re.search(path, one.path)]

    def trouble(self, seen: Seen) -> Trouble | Reply | None:
        with self._wire_lock:
            self.requests.append(seen)
            befallen = [fault.do for fault in self._faults if fault.befalls(seen)]
            return befallen[0] if befallen else None


class _Handler(BaseHTTPRequestHandler):
    fake: WireServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, parts.path, parse_qs(parts.query), headers, self._body(headers))
        trouble = self.fake.trouble(seen)
        match trouble:
            case Reply():
                self._send(trouble)
            case Trouble.RESET | Trouble.HANG_UP | Trouble.SILENCE:
                self._break(trouble)
            case Trouble.LOSE_REPLY:
                self.fake.answer(seen)
                self._break(trouble)
            case Trouble.CORRUPT_REQUEST:
                self._send(self.fake.answer(replace(seen, body=_flipped(seen.body))))
            case Trouble.CORRUPT_REPLY:
                reply = self.fake.answer(seen)
                self._send(replace(reply, body=_flipped(reply.body)))
            case _:
                self._send(self.fake.answer(seen), trouble)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815 - http.server's names

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline() or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _break(self, how: Trouble) -> None:
        self.close_connection = True
        if how is Trouble.SILENCE:
            self.fake.stopping.wait(30)
        if how is Trouble.RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _send(self, reply: Reply, trouble: Trouble | None = None) -> None:
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body[: len(reply.body) // 2] if trouble else reply.body)
        self.wfile.flush()
        if trouble:
            self.close_connection = True
        if trouble is Trouble.STALL:
            self.fake.stopping.wait(30)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Silent: what was asked is in ``requests``."""


def _flipped(content: bytes) -> bytes:
    return bytes([content[0] ^ 1]) + content[1:] if content else content
