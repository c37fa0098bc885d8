"""What of a Docker daemon hubstack asks before and after a build: who it is, and which containers there are."""

from __future__ import annotations

import json
import re

from tests.fakes.wire import Reply, Seen, WireServer


class FakeDaemon(WireServer):
    """``address`` is for DOCKER_HOST."""

    def __init__(self) -> None:
        super().__init__()
        self.version = "26.1.5"
        self.driver_status = [["driver-type", "io.containerd.snapshotter.v1"]]
        self.containers: dict[str, str] = {}  # id → its one label, "name=value"
        self.removed: list[str] = []

    @property
    def address(self) -> str:
        return f"tcp://{self.host}"

    def answer(self, seen: Seen) -> Reply:
        path = re.sub(r"^/v1\.\d+", "", seen.path)
        if path == "/version":
            return _json(200, {"ApiVersion": "1.45", "MinAPIVersion": "1.24", "Version": self.version})
        if path == "/info":
            return _json(200, {"DriverStatus": self.driver_status})
        if path == "/containers/json":
            labels = json.loads(seen.query["filters"][0])["label"]
            return _json(200, [{"Id": one} for one, label in self.containers.items() if label in labels])
        if (found := re.fullmatch(r"/containers/([^/]+)(/json)?", path)) is not None:
            return self._container(seen.method, found[1])
        return _json(404, {"message": f"page not found: {path}"})

    def _container(self, method: str, name: str) -> Reply:
        if name not in self.containers:
            return _json(404, {"message": f"No such container: {name}"})
        if method == "DELETE":
            del self.containers[name]
            self.removed.append(name)
            return Reply(204)
        return _json(200, {"Id": name, "Name": f"/{name}"})


def _json(status: int, value: object) -> Reply:
    return Reply(status, {"Content-Type": "application/json"}, json.dumps(value).encode())
