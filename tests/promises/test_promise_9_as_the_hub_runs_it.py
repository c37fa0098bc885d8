"""Promise 9: an image runs as the hub will run it: uid 1000, no new privileges, an empty or an old home mounted.

Each test builds one layer more, whose own tests look round in the container, or whose server can't live there.
"""

from __future__ import annotations

import pytest
from hubstack.registry import Registry

from tests.engine.workbench import PROJECT, Work

pytestmark = pytest.mark.engine

LOOKS_ROUND = r"""tests:
  - run: id -u; id -g
    stdout: '1000\n100'
  - run: grep NoNewPrivs /proc/self/status
    stdout: '1$'
  - run: grep CapEff /proc/self/status
    stdout: '0000000000000000$'
  - run: grep CapBnd /proc/self/status
    stdout: '0000000000000000$'
  - run: /opt/setuid-id -u
    stdout: '^1000$'
  - run: ls -A "$HOME" | wc -l; echo "$HOME"
    stdout: '^0\n/home/jovyan$'
  - run: echo x >~/x && cat ~/x && rm ~/x
    stdout: '^x$'
  - run: touch /opt/x
    exit_code: 1
  - run: cat /proc/net/route | wc -l
    stdout: '^1$'
"""
ASKS_FOR_A_NETWORK = "tests:\n  - run: cat /proc/net/route | wc -l\n    stdout: '^[2-9]$'\n    network: true\n"
LEAVES = """install --mode 4755 /usr/bin/id /opt/setuid-id
echo left >/home/jovyan/settings
mkdir --parents /usr/lib/python3/dist-packages
touch /usr/lib/python3/dist-packages/tornado.py"""
SERVER = (PROJECT / "base/debian/files/usr/local/bin/jupyterhub-singleuser").read_text(encoding="utf-8")


def add_layer(work: Work, step: str, *, tests: str = "", server: str = "") -> None:
    """A stack ``more`` of one layer ``more``; it may bring a server of its own."""
    work.write("layers/more/layer.yaml", f"summary: One more\n{tests}")
    copies = ""
    if server:
        work.write("layers/more/files/jupyterhub-singleuser", server)
        copies = '{{ copy("files/jupyterhub-singleuser", "/usr/local/bin/", mode="0755") }}\n\n'
    run = f"{{% call run() %}}\n{step}\n{{% endcall %}}\n\n"
    work.write("layers/more/Dockerfile.j2", f"FROM parent\n\n{copies}{run}USER 1000:100\n")
    work.write("stacks/more.yaml", "title: More\nbase: debian\nlayers: [more]\n")


@pytest.mark.parametrize("tests", [LOOKS_ROUND, ASKS_FOR_A_NETWORK], ids=["locked-up", "with-a-network"])
def test_tests_run_as_the_hub_would_run_the_image(settled: Work, tests: str) -> None:
    add_layer(settled, LEAVES, tests=tests)
    assert settled.build("more").results["more"] in {
        "built",
        "tested",
    }  # the second of them only tests the first's image


BAD_SERVERS = {  # what is wrong with an image, and what people are told
    "needs-a-file-of-the-home": ('open("/home/jovyan/settings")', "ended with code 1 (with an empty home)"),
    "trips-over-an-old-home": ("import tornado", "ended with code 1 (with an old home)"),
    "ends-at-once": ("sys.exit(3)", "ended with code 3 (with an empty home)"),
}


@pytest.mark.parametrize(("line", "complaint"), BAD_SERVERS.values(), ids=BAD_SERVERS)
def test_an_image_that_a_hub_can_not_use_is_not_published(
    settled: Work, registry: Registry, line: str, complaint: str
) -> None:
    """What each server wants is there as long as nothing is mounted over the home."""
    add_layer(settled, LEAVES, server=SERVER.replace("url = urlsplit(", f"{line}\nurl = urlsplit("))
    assert_refused(settled, registry, f"jupyterhub-singleuser {complaint}")


def test_an_image_without_a_server_is_not_published(settled: Work, registry: Registry) -> None:
    add_layer(settled, "rm /usr/local/bin/jupyterhub-singleuser")
    assert_refused(settled, registry, "jupyterhub-singleuser is not on PATH")


def assert_refused(work: Work, registry: Registry, complaint: str) -> None:
    before = registry.tags(work.prefix.child("more"))  # of other tests
    run = work.build("more", code=1)
    (failed,) = [one for one in run.of("finished") if one["result"] == "failed"]
    assert failed["node"].startswith("more-")
    assert f"the hub can't use it: {complaint}" in failed["message"]
    fingerprint = work.nodes("more")["more"]["fingerprint"]
    assert [tag for tag in registry.tags(work.prefix.child("build")) if fingerprint in tag] == []
    assert registry.tags(work.prefix.child("more")) == before
