"""Promise 4 where images are merged: kill the run while it merges, settles, tests or publishes; the end is the same bytes.

All cases go on from the same built layers, so that nothing but merges is repeated; these without BuildKit's cache.
"""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hubstack.reference import ImageRef
from hubstack.registry import Registry

from tests.engine.killing import assert_no_builder_is_left, at_event, at_request, leftovers
from tests.engine.merging import branch
from tests.engine.relay import Relay
from tests.engine.workbench import DEADLINE_S, Run, Work, containers, docker, tags, wrap_buildx

pytestmark = [pytest.mark.engine, pytest.mark.slow]

REPOSITORIES = ("build", "calm", "told")
DEB = """\
FROM parent

{{% call run() %}}
cd "$(mktemp --directory)"
mkdir --parents it/DEBIAN it/usr/share/herald
printf '%s\\n' 'Package: {name}' 'Version: 1' 'Architecture: all' 'Description: {name}' \\
    'Maintainer: nobody <nobody@example.org>' >it/DEBIAN/control
{more}
dpkg-deb --root-owner-group --build it it.deb
PATH="$PATH:/usr/sbin:/sbin" dpkg --install it.deb
rm -r "$PWD"
{{% endcall %}}

USER 1000:100
"""
HERALD = """\
echo 'interest-noawait /usr/share/herald' >it/DEBIAN/triggers
printf '%s\\n' '#!/bin/sh' 'if [ "$1" = triggered ]; then echo half way; sleep 1; fi' \\
    'ls /usr/share/herald >/var/lib/herald' >it/DEBIAN/postinst
chmod 0755 it/DEBIAN/postinst"""
LAYERS = {"herald": HERALD, "crier": "echo hear >it/usr/share/herald/crier", "mute": "echo >it/usr/share/mute"}


@dataclass(frozen=True)
class Undisturbed:
    """``layers`` is the project with its layers in its store and in the registry, and nothing merged; ``work`` has all."""

    layers: Work
    work: Work
    digests: dict[str, str]  # what people can choose
    tags: dict[str, str]


def prepared(work: Work) -> Work:
    """Packages that nobody has to fetch: `herald` watches a folder in which `crier` has a file, and none knows `mute`."""
    for folder in ("layers", "stacks", "profiles"):
        shutil.rmtree(work.folder / folder)
    work.edit("hubstack.yaml", "base: debian\n", "base: debian\nassembly: merge\n")
    for name, more in LAYERS.items():
        work.write(f"layers/{name}/layer.yaml", f"summary: {name}\ntests: [{{run: dpkg --verify {name}}}]\n")
        work.write(f"layers/{name}/Dockerfile.j2", DEB.format(name=name, more=more))
    for name, layers in (("calm", "crier, mute"), ("told", "herald, crier")):
        work.write(f"stacks/{name}.yaml", f"title: {name}\nbase: debian\nlayers: [{layers}]\n")
    return work


def lasting(registry: Registry, work: Work) -> dict[str, str]:
    """All tags and digests but those of records, which hold durations."""
    found = tags(registry, *(work.prefix.child(name) for name in REPOSITORIES))
    start = f"{work.prefix.repository}/"
    lasting = {name: digest for name, digest in found.items() if ":info-" not in name and ":last-" not in name}
    return {name.removeprefix(start): str(digest) for name, digest in lasting.items()}


def broken(registry: Registry, work: Work) -> list[str]:
    """The tags of which something is not there."""
    repositories = [work.prefix.child(name) for name in REPOSITORIES]
    refs = [repository.with_tag(tag) for repository in repositories for tag in registry.tags(repository)]
    return [str(ref) for ref in refs if not whole(registry, ref)]


def whole(registry: Registry, ref: ImageRef) -> bool:
    manifest = registry.manifest(ref)
    return manifest is not None and all(registry.has_blob(ref, blob.digest) for blob in manifest.blobs)


def branched(work: Work, folder: Path, prefix: ImageRef, registry: Registry) -> Work:
    """As if its layers were just built."""
    return wrap_buildx(branch(work, folder / "project", prefix, registry), folder / "docker", "--no-cache")


@pytest.fixture(scope="module")
def undisturbed(
    make_project: Callable[[Path], Work],
    fresh_prefix: Callable[[], ImageRef],
    registry: Registry,
    tmp_path_factory: pytest.TempPathFactory,
) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    layers = prepared(make_project(folder / "layers"))
    layers.build(*(f"layer:{name}" for name in LAYERS))
    work = branched(layers, folder / "work", fresh_prefix(), registry)
    run = work.build()
    assert run.layers("building") == []
    assert run.layers("merging") == ["crier.herald", "crier.mute"]
    assert broken(registry, work) == []
    return Undisturbed(layers, work, run.digests, lasting(registry, work))


@pytest.fixture
def relay(real_registry: ImageRef) -> Iterator[Relay]:
    with Relay(real_registry.host) as relay:
        yield relay


def test_what_is_settled_has_been_told(undisturbed: Undisturbed) -> None:
    ref = f"{undisturbed.work.prefix.child('told')}@{undisturbed.digests['told/default']}"
    assert docker("run", "--rm", "--network=none", "--entrypoint=cat", ref, "/var/lib/herald") == "crier\n"


MERGES = "crier."
MOMENTS = {
    "as a merge begins": at_event(event="phase", node=MERGES, phase="merging"),
    "as what is not settled is sent": at_request("PUT", "/manifests/sha256:", after=True),
    "while it is settled": at_event(event="line", node=MERGES, text="half way"),
    "while it is tested": at_event(event="phase", node="crier.herald", phase="testing"),
    "as its blobs are sent": at_request("PUT", "/blobs/uploads/", nth=2),
    "between its tags": at_request("PUT", "/manifests/ok-"),
    "between two names": at_request("PUT", "/(calm|told)/manifests/default-", nth=2),
}
BARE = {"as what is not settled is sent"}  # on a machine that has no layers, and has the engine fetch what it merges


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.replace(" ", "-"))
def test_the_end_is_the_same(
    moment: str,
    undisturbed: Undisturbed,
    fresh_prefix: Callable[[], ImageRef],
    registry: Registry,
    relay: Relay,
    tmp_path: Path,
) -> None:
    work = branched(undisturbed.layers, tmp_path, fresh_prefix(), registry)
    if moment in BARE:
        shutil.rmtree(work.folder / ".hubstack")
    relayed = replace(work, prefix=replace(work.prefix, host=relay.host))
    with relayed.start("build", "--push", "--json") as run:
        MOMENTS[moment](relay, run)
    assert run.returncode == -signal.SIGKILL
    assert_no_builder_is_left(work)
    assert lasting(registry, work).items() < undisturbed.tags.items()
    assert broken(registry, work) == []

    again = work.build()
    assert again.digests == undisturbed.digests
    assert lasting(registry, work) == undisturbed.tags
    assert broken(registry, work) == []
    assert containers(work) == []
    assert leftovers(work) == []


def test_two_runs_at_once_end_with_the_same_images(
    undisturbed: Undisturbed, fresh_prefix: Callable[[], ImageRef], registry: Registry, tmp_path: Path
) -> None:
    """Under a prefix that has nothing: one has built the layers and sends them, the other has to build all."""
    prefix = fresh_prefix()
    has = replace(branched(undisturbed.layers, tmp_path / "one", fresh_prefix(), registry), prefix=prefix)
    lacks = replace(undisturbed.layers.clone(tmp_path / "other"), prefix=prefix)
    with has.start("build", "--push", "--json") as first, lacks.start("build", "--push", "--json") as second:
        said = [process.communicate(timeout=DEADLINE_S) for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), said
    for out, _ in said:
        run = Run(0, [json.loads(line) for line in out.splitlines()], "")
        assert run.layers("merging") == ["crier.herald", "crier.mute"]
        assert run.digests == undisturbed.digests
    assert lasting(registry, has) == undisturbed.tags
    assert broken(registry, has) == []
