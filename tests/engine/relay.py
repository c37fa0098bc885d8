"""A registry that is the real one behind a relay: it counts what is asked, and something may happen at a chosen request."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import urlencode

import httpx

from tests.fakes.wire import Reply, Seen, Trouble, WireServer

WRITES = ("POST", "PUT", "PATCH", "DELETE")
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass
class Moment:
    """``then`` is called once, at the ``nth`` request whose path holds ``path``: before it is passed on, or ``after``."""

    method: str
    path: str  # a regular expression
    then: Callable[[], None]
    nth: int = 1
    after: bool = False
    seen: int = 0

    def is_now(self, seen: Seen) -> bool:
        if seen.method != self.method or re.search(self.path, seen.path) is None:
            return False
        self.seen += 1
        return self.seen == self.nth


class Relay(WireServer):
    """A context manager; ``host`` is ``127.0.0.1:PORT``, ``real`` the registry's own, on loopback as well."""

    def __init__(self, real: str) -> None:
        super().__init__()
        self.moments: list[Moment] = []
        self._client = httpx.Client(base_url=f"http://{real}", timeout=60, trust_env=False)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._client.__enter__()
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(None, None, None)
        self._client.close()

    def trouble(self, seen: Seen) -> Trouble | Reply | None:
        return super().trouble(replace(seen, body=b""))  # what is kept; a whole root file system may come along here

    def writes(self) -> list[Seen]:
        """Everything that would have changed the registry."""
        return [one for method in WRITES for one in self.asked(method)]

    def answer(self, seen: Seen) -> Reply:
        with self._lock:
            now = [moment for moment in self.moments if moment.is_now(seen)]
        for moment in now:
            if not moment.after:
                moment.then()
        query = f"?{urlencode(seen.query, doseq=True)}" if seen.query else ""
        headers = {name: value for name, value in seen.headers.items() if name not in HOP_BY_HOP}
        answer = self._client.request(
            seen.method, seen.path + query, content=seen.body, headers={**headers, "accept-encoding": "identity"}
        )
        for moment in now:
            if moment.after:
                moment.then()
        kept = {name: value for name, value in answer.headers.items() if name not in HOP_BY_HOP}
        length = answer.headers.get("content-length", str(len(answer.content)))
        return Reply(answer.status_code, {**kept, "Content-Length": length}, answer.content)
