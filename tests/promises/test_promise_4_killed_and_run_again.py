"""Promise 4: kill the run at any point; run it again; the end state is the same bytes.

Every build of these runs is made without BuildKit's cache, so that equal digests also say that builds are reproducible.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hubstack.reference import ImageRef
from hubstack.registry import Registry

from tests.engine.killing import Killing, assert_no_builder_is_left, at_event, at_request, leftovers
from tests.engine.relay import Relay
from tests.engine.workbench import Work, containers, neutral, published, without_hello, wrap_buildx

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@dataclass(frozen=True)
class Undisturbed:
    digests: dict[str, str]  # what people can choose
    tags: dict[str, str]
    configmap: str


def prepared(work: Work, folder: Path) -> Work:
    """A step and a test take a while, so that they can be interrupted; what takes long for no reason is left out."""
    without_hello(work)
    shutil.rmtree(work.folder / "layers" / "numbers")
    work.edit("stacks/small.yaml", "layers: [numbers]", "layers: [python]")
    work.edit("layers/both/layer.yaml", "requires: [numbers, words]", "requires: [words]")
    work.edit("stacks/both.yaml", "tone: [plain, loud]", "tone: [plain]")
    work.edit("layers/both/tests/greets.sh", 'python -c "import six"', "sleep 1")
    work.edit("layers/python/Dockerfile.j2", "python3 -m venv", "python3 -m venv --without-pip")
    work.edit("layers/words/Dockerfile.j2", "{% call run() %}\n", "{% call run() %}\necho half way; sleep 1\n")
    return wrap_buildx(work, folder, "--no-cache")


@pytest.fixture(scope="module")
def undisturbed(
    make_project: Callable[[Path], Work], registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    work = prepared(make_project(folder / "project"), folder / "docker")
    run = work.build("--profiles", str(work.folder / "out"))
    return Undisturbed(run.digests, neutral_tags(registry, work), neutral(work.configmap(), work))


def neutral_tags(registry: Registry, work: Work) -> dict[str, str]:
    """All tags and digests but those of records, which hold durations."""
    found = published(registry, replace(work, prefix=replace(work.prefix, host=registry.host)).prefix)
    start = f"{work.prefix.repository}/"
    return {name.removeprefix(start): str(digest) for name, digest in found.items() if ":info-" not in name}


@pytest.fixture
def relay(real_registry: ImageRef) -> Iterator[Relay]:
    with Relay(real_registry.host) as relay:
        yield relay


MOMENTS = {
    "while a step runs": at_event(event="line", node="words-", text="half way"),
    "while a test runs": at_event(event="phase", node="both-", phase="testing"),
    "in the middle of an upload": at_request("PUT", "/blobs/uploads/", nth=4),
    "between a node's tags": at_request("PUT", "/manifests/ok-", nth=3),
    "between a name and its channel": at_request("PUT", "/manifests/plain-latest"),
    "between two channels": at_request("PUT", "/manifests/(plain|default)-latest", nth=2, after=True),
}


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=[name.replace(" ", "-") for name in MOMENTS])
def test_the_end_is_the_same(
    moment: Killing,
    undisturbed: Undisturbed,
    make_project: Callable[[Path], Work],
    registry: Registry,
    relay: Relay,
    tmp_path: Path,
) -> None:
    work = prepared(make_project(tmp_path / "project"), tmp_path / "docker")
    work = replace(work, prefix=replace(work.prefix, host=relay.host))
    out = ("--profiles", str(work.folder / "out"))
    with work.start("build", "--push", "--json", *out) as run:
        moment(relay, run)
    assert run.returncode == -signal.SIGKILL
    assert_no_builder_is_left(work)
    assert not (work.folder / "out").exists()
    assert_no_tag_says_too_much(neutral_tags(registry, work), undisturbed)

    again = work.build(*out)
    assert again.digests == undisturbed.digests
    assert neutral_tags(registry, work) == undisturbed.tags
    assert neutral(work.configmap(), work) == undisturbed.configmap
    assert containers(work) == []
    assert leftovers(work) == []


def assert_no_tag_says_too_much(there: dict[str, str], undisturbed: Undisturbed) -> None:
    """What is named already is named rightly, and is tested if it can be chosen."""
    assert there.items() <= undisturbed.tags.items()
    tested = {digest for name, digest in there.items() if ":ok-" in name}
    assert {digest for name, digest in there.items() if not name.startswith("build:")} <= tested
