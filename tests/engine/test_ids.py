"""Daemons of two layers that never saw each other get different ids from the ledger, whoever makes the accounts: adduser,
systemd-sysusers, useradd. On both releases, since these tools and who calls them differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hubstack.lock import Lock, render_lock
from hubstack.reference import ImageRef
from hubstack.registry import Registry

from tests.engine.workbench import Work, docker

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]

DYNAMIC = (
    "awk -F: '$3 > 100 && $3 < 1000 {print $1, $3}' /etc/passwd /etc/group | sort -u | xargs; "
    "find / -xdev '(' -nouser -o -nogroup ')'; ls -A /tmp; grep -s ^.ID_POOL= /etc/adduser.conf; ls /etc/sysusers.d 2>/dev/null || :"
)
BUS = "dbus\nsystemd-standalone-sysusers\n"  # with which dbus of trixie takes sysusers, and that of bookworm adduser
CERT = "ssl-cert\n"
BARE = "FROM parent\nUSER 1000:100\n"
WORKER = "FROM parent\n{{ packages() }}\n{% call run() %}\nuseradd --system worker\ngroupadd -r helpers\n{% endcall %}\nUSER 1000:100\n"


@pytest.fixture(params=["trixie", "bookworm"])
def work(
    request: pytest.FixtureRequest,
    real_registry: ImageRef,
    registry: Registry,
    fresh_prefix: Callable[[], ImageRef],
    ca_bundle: Path | None,
    tmp_path: Path,
) -> Work:
    """Two layers on a base that a later session finds in the registry."""
    suite = request.param
    below = Work(tmp_path / "base", real_registry.child("test").child(f"minbase-{suite}"), ca_bundle)
    below.write("hubstack.yaml", "base: debian\n")
    below.write(
        "base/debian/layer.yaml", f"summary: Debian\nbootstrap: {{suite: {suite}, include: [ca-certificates]}}\n"
    )
    below.write("base/debian/Dockerfile.j2", BARE)
    below.build("layer:debian")
    ref = below.prefix.child("build").with_tag(f"fp-{below.nodes('layer:debian')['debian']['fingerprint']}")
    digest = registry.head(ref)
    assert digest is not None
    work = Work(tmp_path / "project", fresh_prefix(), ca_bundle)
    work.write("hubstack.yaml", "base: debian\n")
    work.write("hubstack.lock", render_lock(Lock(images={str(ref): digest})))
    work.write("base/debian/layer.yaml", f"summary: Debian\nimage: {ref}\n")
    work.write("base/debian/Dockerfile.j2", BARE)
    for name, packages in (("bus", BUS), ("worker", CERT)):
        work.write(f"layers/{name}/layer.yaml", f"summary: {name}\n")
        work.write(f"layers/{name}/apt.txt", packages)
    work.write("layers/worker/Dockerfile.j2", WORKER)
    return work


def accounts(work: Work, layer: str) -> str:
    (node,) = (one for one in work.nodes(f"layer:{layer}").values() if one["layer"] == layer)
    ref = f"{work.prefix.child('build')}:fp-{node['fingerprint']}"
    return docker("run", "--rm", "--user=0", "--network=none", "--entrypoint=sh", ref, "-c", DYNAMIC).strip()


def test_two_layers_get_ids_that_differ_and_nothing_of_the_ledger_is_left(work: Work) -> None:
    work.build("layer:bus", "layer:worker")
    rows = json.loads(work.run("update", "--only", "ids", "--json").stdout)["changes"]
    assert {row["name"]: row["layers"] for row in rows} == {
        "helpers": ["worker"],
        "messagebus": ["bus"],
        "ssl-cert": ["worker"],
        "worker": ["worker"],
    }
    assert work.plan("layer:bus")[0]["reason"] == "the id of messagebus 701 added to hubstack.lock"
    work.build("layer:bus", "layer:worker")
    assert accounts(work, "bus") == "messagebus 701"
    assert accounts(work, "worker") == "helpers 700 ssl-cert 702 worker 703"
    assert work.run("update", "--only", "ids").stdout == "hubstack.lock: nothing changed\n"
