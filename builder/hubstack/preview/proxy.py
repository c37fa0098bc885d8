"""The hub's proxy: configurable-http-proxy of PyPI, which hands on what servers say as they say it.

By itself it waits for the whole of an answer, and for 20 seconds at most: nobody could watch a build's log. And it
keeps the subprotocol of a web socket to itself, and sends binary messages as text: what kernels do.
"""

from __future__ import annotations

from configurable_http_proxy import cli, configproxy  # type: ignore[import-untyped]
from configurable_http_proxy.handlers import ProxyHandler  # type: ignore[import-untyped]
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.iostream import StreamClosedError

MAX_CLIENTS = 1000  # an event stream is one for as long as it lasts; tornado's own limit is 10
MAX_BYTES = 1 << 40  # of one answer
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding"})
OWN = frozenset({"server", "date", "content-type"})  # headers that tornado has set before anybody answers


class Handler(ProxyHandler):  # type: ignore[misc]  # it ships no types
    async def call_proxy(self, path: str | None = None) -> None:
        url = await self.get_target_url(path)
        if url is None:
            return
        try:
            await AsyncHTTPClient().fetch(self._as_it_came(url), raise_error=False)
        except Exception as error:  # noqa: BLE001 - whatever it is, the person behind the browser is told
            if self._headers_written:
                self.request.connection.close()
            else:
                await self.handle_proxy_error(503, error)
            return
        self.finish()

    def _as_it_came(self, url: str) -> HTTPRequest:
        request: HTTPRequest = self._get_proxy_request(url)
        request.request_timeout = 0  # none
        request.decompress_response = False
        request.header_callback = self._hear_header
        request.streaming_callback = self._hear_body
        return request

    def _hear_header(self, line: str) -> None:
        line = line.rstrip("\r\n")
        if line.startswith("HTTP/"):
            self.clear_header("Content-Type")
            self.set_status(int(line.split()[1]))
            return
        name, colon, value = line.partition(":")
        if not colon or name.lower() in HOP_BY_HOP:
            return
        add = self.set_header if name.lower() in OWN else self.add_header
        add(name, value.strip())

    def _hear_body(self, chunk: bytes) -> None:
        self.write(chunk)
        try:
            self.flush()
        except StreamClosedError:
            return  # the browser has left; the server's answer goes nowhere

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """What the server has selected: Chromium refuses a kernel's channel without it."""
        selected: str | None = self.ws_client.selected_subprotocol if self.ws_client else None
        return selected

    def on_message(self, message: str | bytes) -> None:
        if self.ws_client:
            self.proxy.update_last_activity(self.target["prefix"])
            self.ws_client.write_message(message, binary=isinstance(message, bytes))


def main() -> None:
    AsyncHTTPClient.configure(None, max_clients=MAX_CLIENTS, max_body_size=MAX_BYTES)
    configproxy.ProxyHandler = Handler  # what its application is made of as it starts
    cli.main()


if __name__ == "__main__":
    main()
