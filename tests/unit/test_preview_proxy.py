"""The preview's proxy, as JupyterHub starts it, before a small server."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler, websocket_connect

pytestmark = pytest.mark.long

pytest.importorskip("configurable_http_proxy")

PAUSE_S = 0.5
PROTOCOL = "v1.kernel.example.org"
START_S = 20


class Stream(RequestHandler):
    async def get(self) -> None:
        self.set_header("content-type", "text/event-stream")
        self.add_header("set-cookie", "a=1")
        self.add_header("set-cookie", "b=2")
        for number in range(3):
            self.write(f"data: {number}\n\n")
            await self.flush()
            await asyncio.sleep(PAUSE_S)

    def post(self) -> None:
        self.set_status(201)
        self.write(self.request.body[::-1])


class Echo(WebSocketHandler):
    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return PROTOCOL if PROTOCOL in subprotocols else None

    def on_message(self, message: str | bytes) -> None:
        self.write_message(message, binary=isinstance(message, bytes))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@asynccontextmanager
async def proxied() -> AsyncIterator[str]:
    """Where the server behind the proxy is: ``127.0.0.1:PORT``."""
    server = HTTPServer(Application([("/stream", Stream), ("/socket", Echo)]))
    behind, port = free_port(), free_port()
    server.listen(behind, "127.0.0.1")
    words = [
        "--ip=127.0.0.1",
        f"--port={port}",
        f"--api-port={free_port()}",
        f"--default-target=http://127.0.0.1:{behind}",
    ]
    argv = [sys.executable, "-P", "-m", "hubstack.preview.proxy", *words]
    process = await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.DEVNULL)
    try:
        await until_it_listens(port)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()
        server.stop()
        await server.close_all_connections()


async def until_it_listens(port: int) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return


def test_what_a_server_says_arrives_as_it_is_said() -> None:
    async def ask() -> tuple[list[tuple[float, bytes]], list[str]]:
        arrived: list[tuple[float, bytes]] = []
        async with proxied() as at:
            request = HTTPRequest(
                f"http://{at}/stream", streaming_callback=lambda chunk: arrived.append((time.monotonic(), chunk))
            )
            reply = await AsyncHTTPClient().fetch(request)
            return arrived, reply.headers.get_list("set-cookie")

    arrived, cookies = asyncio.run(ask())
    assert b"".join(chunk for _, chunk in arrived) == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
    assert arrived[-1][0] - arrived[0][0] >= PAUSE_S
    assert cookies == ["a=1", "b=2"]


def test_an_answer_to_a_body_comes_whole() -> None:
    async def ask() -> tuple[int, bytes]:
        async with proxied() as at:
            reply = await AsyncHTTPClient().fetch(f"http://{at}/stream", method="POST", body=b"abc")
            return reply.code, reply.body

    assert asyncio.run(ask()) == (201, b"cba")


def test_a_web_socket_keeps_its_protocol_and_its_bytes() -> None:
    async def ask() -> tuple[str | None, list[object]]:
        async with proxied() as at:
            wire = await websocket_connect(f"ws://{at}/socket", subprotocols=["other", PROTOCOL])
            protocol, heard = wire.selected_subprotocol, list[object]()
            for message in ("text", b"\xff\x00", json.dumps({"a": 1})):
                await wire.write_message(message, binary=isinstance(message, bytes))
                heard.append(await wire.read_message())
            wire.close()
            return protocol, heard

    protocol, heard = asyncio.run(ask())
    assert protocol == PROTOCOL
    assert heard == ["text", b"\xff\x00", '{"a": 1}']
