"""The hub test itself, in real containers: good servers pass, and each bad one is told what is wrong with it.

No image is built: a container gets the server as a file.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hubstack.engine import Docker, Execution
from hubstack.model import SourceFile
from hubstack.reference import ImageRef
from hubstack.verify import inside

from tests.engine.workbench import PROJECT

pytestmark = pytest.mark.engine

GOOD = (PROJECT / "base/debian/files/usr/local/bin/jupyterhub-singleuser").read_text(encoding="utf-8")
SHORT_S, LONG_S = 3, 30  # for servers that don't answer, and for those that do on a machine with much else to do


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Docker:
    return Docker(scratch=tmp_path_factory.mktemp("scratch"))


@pytest.fixture(scope="module")
def image(engine: Docker, rootfs: ImageRef) -> str:
    return engine.pull(rootfs)


def hub_test(
    engine: Docker, image: str, server: str | None, more: Mapping[str, str] | None = None, deadline_s: int = LONG_S
) -> Execution:
    """What the hub test says of an image with that ``jupyterhub-singleuser``, and with more files."""
    files = {"/srv/hubstack": [SourceFile(path="hubtest.py", content=inside("hubtest.py"))]}
    if server is not None:
        program = SourceFile(path="jupyterhub-singleuser", content=server.encode(), executable=True)
        files["/usr/local/bin"] = [program]
    for path, text in (more or {}).items():
        folder, _, name = path.rpartition("/")
        files[folder] = [SourceFile(path=name, content=text.encode())]
    with engine.container(image, network=False, files=files) as container:
        return container.run(f"python3 /srv/hubstack/hubtest.py {deadline_s}", timeout_s=2 * LONG_S + 30)


def patched(line: str) -> str:
    """The good server with a line more before it begins to answer."""
    assert GOOD.count("url = urlsplit(") == 1
    return GOOD.replace("url = urlsplit(", f"{line}\nurl = urlsplit(")


def test_a_good_server_answers_in_both_homes(engine: Docker, image: str) -> None:
    result = hub_test(engine, image, GOOD)
    assert result.code == 0, result.output
    first, second = result.output.splitlines()
    assert first.startswith("answered after")
    assert first.endswith("s with an empty home")
    assert second.endswith("s with an old home")


def test_a_server_that_takes_a_while_is_waited_for(engine: Docker, image: str) -> None:
    assert hub_test(engine, image, patched("import time; time.sleep(1)")).code == 0


def test_a_server_that_does_not_listen_to_an_end_is_ended(engine: Docker, image: str) -> None:
    ignores = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    assert hub_test(engine, image, patched(ignores)).code == 0


BAD = {
    "ends-at-once": ("print('no room', file=sys.stderr); sys.exit(3)", "ended with code 3 (with an empty home)"),
    "never-answers": ("import time; time.sleep(600)", f"did not answer within {SHORT_S} s (with an empty home)"),
    "answers-elsewhere": (
        "os.environ['JUPYTERHUB_SERVICE_URL'] = 'http://127.0.0.1:9999/'",
        f"did not answer within {SHORT_S} s (with an empty home)",
    ),
    "needs-a-file-of-the-home": ("open('/home/jovyan/settings')", "ended with code 1 (with an empty home)"),
    "trips-over-an-old-home": ("import tornado", "ended with code 1 (with an old home)"),
}


@pytest.mark.parametrize(("line", "complaint"), BAD.values(), ids=BAD)
def test_a_bad_server_is_told_what_is_wrong(engine: Docker, image: str, line: str, complaint: str) -> None:
    """Its home holds what it wants, in the image: the volume over it hides that. There is a tornado that can be imported."""
    more = {"/home/jovyan/settings": "", "/usr/lib/python3/dist-packages/tornado.py": ""}
    deadline_s = SHORT_S if "did not answer" in complaint else LONG_S
    result = hub_test(engine, image, patched(line), more, deadline_s)
    assert result.code == 1
    assert result.output.splitlines()[-1] == f"jupyterhub-singleuser {complaint}"


def test_what_the_server_said_comes_first(engine: Docker, image: str) -> None:
    result = hub_test(engine, image, patched("sys.exit('no room for me')"))
    assert "no room for me" in result.output.splitlines()[:-1]


def test_an_image_without_a_server(engine: Docker, image: str) -> None:
    result = hub_test(engine, image, None)
    assert (result.code, result.output.splitlines()[-1]) == (1, "jupyterhub-singleuser is not on PATH")


def test_containers_are_gone_when_they_are_done_with(engine: Docker, image: str) -> None:
    with engine.container(image, network=False, files={}) as container:
        assert container.run("echo here", timeout_s=5).output.strip() == "here"
        assert container.run("sleep 5", timeout_s=1).code == 124
        assert container.run("cd /tmp && pwd; exit 7", timeout_s=5) == Execution(code=7, output="/tmp\n")
    from docker import from_env

    client = from_env()
    assert client.containers.list(all=True, filters={"label": f"io.github.hubstack.scratch={engine.scratch}"}) == []
    client.close()
