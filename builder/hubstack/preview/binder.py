"""The service ``binder`` of a preview: BinderHub's event stream, and builds on the local engine.

It stands in for BinderHub, as far as the launcher asks: one provider (``gh``), ``build_only``, a hub's token.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any
from urllib.parse import urlsplit

from jupyterhub.services.auth import HubAuthenticated
from tornado.iostream import StreamClosedError
from tornado.web import Application, HTTPError, RequestHandler

from hubstack.preview.build import Builds
from hubstack.preview.container import Containers
from hubstack.preview.options import Options

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Builds of this preview</title>
<h1>This stands in for BinderHub</h1>
<p>In a preview, this small service of hubstack builds images from repositories on the local engine, with
repo2docker, and speaks to the launcher as BinderHub does. On a cluster it is BinderHub itself.</p>
<p>Choose “Build your own image” in the <a href="/hub/spawn">launcher</a>.</p>
</html>
"""


class Page(RequestHandler):
    def get(self) -> None:
        self.finish(PAGE)


class BuildHandler(HubAuthenticated, RequestHandler):  # type: ignore[misc]  # jupyterhub ships no types
    def initialize(self, builds: Builds) -> None:
        self.builds = builds

    def check_xsrf_cookie(self) -> None:
        """Only a token in a header counts here, which no foreign page can send."""

    async def get(self, repo: str, ref: str) -> None:
        if self.current_user is None:
            raise HTTPError(403, "A token of the hub is needed")
        if self.get_query_argument("build_only", "") != "true":
            raise HTTPError(400, "Only build_only=true: the hub starts the server")
        self.set_header("content-type", "text/event-stream")
        self.set_header("cache-control", "no-cache")
        try:
            async for event in self.builds.stream(repo, ref):
                self.write(f"data: {json.dumps(event)}\n\n")
                await self.flush()
        except StreamClosedError:
            return  # the page was closed; the build goes on


def application(builds: Builds, prefix: str) -> Application:
    return Application(
        [
            (rf"{prefix}", Page),
            (rf"{prefix}build/gh/([^/]+/[^/]+)/(.+)", BuildHandler, {"builds": builds}),
        ]
    )


async def serve() -> None:
    from hubstack.repository.build import build_repository

    options = Options.of_environment()
    containers = Containers(project=options.project, state=options.state)
    builds = Builds(options=options, images=containers, build_repository=build_repository)
    where: Any = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    application(builds, os.environ["JUPYTERHUB_SERVICE_PREFIX"]).listen(where.port, where.hostname)
    await ended.wait()
    builds.cancel.set()


if __name__ == "__main__":
    asyncio.run(serve())
