"""Build steps on a real engine: the same bytes twice, nothing left behind, and nothing of the secret anywhere."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hubstack.buildx import Builder, Job, build, find_plugin
from hubstack.model import Pin, Rendered, SourceFile
from hubstack.oci import Layout, read_layout
from hubstack.reference import Digest, ImageRef
from hubstack.render import render

from tests.engine.workbench import docker
from tests.handmade import handmade_graph, handmade_layer, handmade_project

pytestmark = [pytest.mark.engine, pytest.mark.slow]

CANARY = "canary 5f1c0e"
SIX = Pin(
    name="six",
    version="1.17.0",
    hashes=(
        "sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274",
        "sha256:ff70335d468e7eb6ec65b95b99d3a2836546063f63acc5171de367e834932a81",
    ),
)
FILES = {
    "apt.txt": "dbus\nopenssh-server\nssl-cert\n",
    "requirements.txt": "six==1.17.0\n",
    "postBuild": "#!/bin/sh\nset -eu\n[ \"$(id -u) $HOME\" = '0 /tmp' ]\npython -c 'import six' >/var/log/six\nmkdir /opt/made\n",
    "files/etc/made.conf.j2": "on {{ release }}\n",
    "files/bin/made": "#!/bin/sh\necho made\n",
    "Dockerfile.j2": """\
FROM parent
{{ packages("apt.txt") }}
{% call run() %}
python3 -m venv /opt/venv
{% endcall %}
ENV PATH=/opt/venv/bin:$PATH
{{ packages("requirements.txt", "postBuild") }}
{{ copy("files/", "/") }}
{{ copy("files/bin/made", "/opt/copied/", chown="1000:100", mode="0750") }}
{% call run(apt_cache=true, mounts="type=bind,source=files,target=/tmp/files") %}
apt-get install -y --no-install-recommends jq
cat /tmp/files/etc/made.conf >/opt/made/conf
{% raw %}perl -e 'print join q( ), keys %{{map { $_ => 1 } 1 .. 40}}'{% endraw %} >/opt/made/order
{% endcall %}
""",
}
LOOK = """\
cd /
ls -d run/secrets usr/sbin/policy-rc.d etc/machine-id var/lib/dbus/machine-id etc/ssh/ssh_host_* etc/passwd- etc/shadow- \
    etc/ssl/private/ssl-cert-snakeoil.key var/log/six 2>/dev/null
find tmp home root var/log/apt var/log/dpkg.log var/cache/apt/archives var/lib/apt/lists var/cache/man var/cache/ldconfig \
    var/cache/debconf/*-old -type f ! -name lock ! -name '.bash*' ! -name .profile 2>/dev/null
stat -c '%a %u:%g %n' tmp etc bin/made opt/copied/made opt/made/conf
cat etc/made.conf opt/made/conf
"""


def rendered() -> Rendered:
    files = {
        name: SourceFile(path=name, content=text.encode(), executable=name == "files/bin/made")
        for name, text in FILES.items()
    }
    project = handmade_project(
        handmade_layer("base", default={"release": "trixie"}), handmade_layer("made", files=files)
    )
    graph = handmade_graph(project, [(("base", "made"), {})])
    return render(project, graph, pins={"base>made": (SIX,)}, images={}, nodes=["base>made"])["base>made"]


@dataclass(frozen=True)
class Built:
    layout: Path
    said: str

    def blobs(self) -> Iterator[bytes]:
        """Everything that would be pushed, unpacked."""
        for blob in (self.layout / "blobs" / "sha256").iterdir():
            content = blob.read_bytes()
            yield gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content


@pytest.fixture(scope="module")
def twice(rootfs: ImageRef, ca_bundle: Path | None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Built, Built]:
    """The same node, built twice from nothing; with a secret that says who it is."""
    folder = tmp_path_factory.mktemp("steps")
    secret = folder / "ca.pem"
    secret.write_text(f"# {CANARY}\n{ca_bundle.read_text() if ca_bundle else ''}")
    uncached = folder / "docker-buildx"
    uncached.write_text(f'#!/bin/sh\nshift\nexec {find_plugin()} build --no-cache "$@"\n')
    uncached.chmod(0o755)

    def once(name: str) -> Built:
        layout = folder / name
        (layout / "blobs").mkdir(parents=True)
        said: list[str] = []
        job = Job(
            node="made",
            platform="linux/amd64",
            rendered=rendered(),
            contexts={"parent": f"docker-image://{rootfs}"},
            labels={},
            layout=layout,
        )
        build(job, Builder(plugin=str(uncached), ca_bundle=secret), scratch=folder, on_line=said.append, cancel=None)
        return Built(layout, "\n".join(said))

    return once("one"), once("two")


def test_the_same_bytes_twice(twice: tuple[Built, Built]) -> None:
    one, two = (read_layout(built.layout).manifest for built in twice)
    assert one.digest == two.digest


def test_the_secret_is_nowhere(twice: tuple[Built, Built]) -> None:
    built = twice[0]
    assert CANARY not in built.said
    assert all(CANARY.encode() not in blob for blob in built.blobs())


def test_what_is_left_in_the_image(twice: tuple[Built, Built]) -> None:
    name = f"hubstack-test-steps:{uuid.uuid4().hex}"
    layout = twice[0].layout
    archive = layout.parent / "image.tar"
    _write_archive(archive, layout, name)
    try:
        docker("load", "--quiet", f"--input={archive}")
        said = docker("run", "--rm", "--network=none", "--user=0", "--entrypoint=sh", name, "-c", LOOK)
        assert said.splitlines() == [
            "1777 0:0 tmp",
            "755 0:0 etc",
            "755 0:0 bin/made",
            "750 1000:100 opt/copied/made",
            "644 0:0 opt/made/conf",
            "on trixie",
            "on trixie",
        ]
        assert docker("run", "--rm", name, "sh", "-c", "id -u; jq --version; python -c 'import six'").startswith(
            "1000\njq"
        )
    finally:
        docker("image", "rm", "--force", name)


def test_a_step_with_a_secret_stands_on_its_parent_whatever_the_cache_has(rootfs: ImageRef, tmp_path: Path) -> None:
    """Two parents that hold the same in other filesystem layers, as one of them has had something else in between."""
    ours = uuid.uuid4().hex

    def made(name: str, dockerfile: str, parent: str, below: tuple[Digest, ...] = ()) -> Layout:
        (tmp_path / name / "blobs").mkdir(parents=True)
        job = Job(
            node=name,
            platform="linux/amd64",
            rendered=Rendered(dockerfile=f"FROM parent\nUSER root\n{dockerfile}", origins=(), context=()),
            contexts={"parent": parent},
            labels={},
            layout=tmp_path / name,
            below=below,
        )
        build(job, Builder(plugin=find_plugin()), scratch=tmp_path, on_line=print, cancel=None)
        return read_layout(tmp_path / name)

    def layers(name: str) -> tuple[list[Digest], list[Digest]]:
        before = f"RUN echo {name} {ours} >/made\nRUN echo {ours} >/made\n"
        parent = made(name, before, f"docker-image://{rootfs}")
        where, ids = f"oci-layout://{parent.folder}@{parent.manifest.digest}", parent.config.diff_ids
        mounts = "--mount=type=bind,source=.hubstack,target=/hubstack --mount=type=secret,id=none,required=false"
        child = made(f"{name}-child", f"RUN {mounts} cp /made /copy\n", where, ids)
        return [*ids], [*child.config.diff_ids[: len(ids)]]

    one, two = layers("one"), layers("two")
    assert one[0] == one[1]
    assert two[0] == two[1]
    assert one[0] != two[0]


def _write_archive(archive: Path, layout: Path, name: str) -> None:
    """The layout as a tar that ``docker load`` takes, with a name."""
    import tarfile

    index = json.loads((layout / "index.json").read_bytes())
    index["manifests"][0].setdefault("annotations", {})["io.containerd.image.name"] = f"docker.io/library/{name}"
    (layout / "index.json").write_text(json.dumps(index))
    with tarfile.open(archive, "w") as tar:
        for part in ("oci-layout", "index.json", "blobs"):
            tar.add(layout / part, arcname=part)
