"""What can go wrong between a click and a server, without a hub."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hubstack.errors import EngineError
from hubstack.preview.container import Containers, Server
from hubstack.reference import ImageRef

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.fixture
def containers(tmp_path: Path) -> Iterator[Containers]:
    containers = Containers(project=str(tmp_path), state=str(tmp_path))
    yield containers
    assert containers.left() == {}


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["jupyterhub-singleuser"], "is no image for a hub: it has no jupyterhub-singleuser$"),
        (["sh", "-c", "echo the lamp is out; exit 3"], r"ended at once; exit code 3, its last lines: the lamp is out"),
    ],
)
def test_an_image_that_starts_no_server_says_why_and_leaves_no_container(
    containers: Containers, rootfs: ImageRef, command: list[str], message: str
) -> None:
    image = containers.pull(str(rootfs), print)
    with pytest.raises(EngineError, match=message):
        containers.start(Server(image=str(rootfs), command=command, environment={}), image)


def test_a_server_runs_as_the_hub_s_user_until_it_ends(containers: Containers, rootfs: ImageRef) -> None:
    image = containers.pull(str(rootfs), print)
    script = "id -u; id -g; touch ~/mine && sleep 6; exit 4"
    server = Server(image=str(rootfs), command=["sh", "-c", script], environment={"HOME": "/home/jovyan"})
    container = containers.start(server, image)
    try:
        assert containers.ended(container) is None
        while (code := containers.ended(container)) is None:
            time.sleep(0.1)
        assert code == 4
    finally:
        containers.remove(container)
    assert containers.ended(container) == 1  # it is gone
    containers.remove(container)
