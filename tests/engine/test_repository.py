"""Repositories built on real stacks: the small project's, and `make demo`'s minimal, from the registry that the Makefile uses."""

from __future__ import annotations

import json
import subprocess
import tarfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from hubstack.errors import Cancelled
from hubstack.names import FINGERPRINT_LABEL
from hubstack.reference import ImageRef
from hubstack.registry import Registry
from hubstack.repository.binder import FOLDER, build_image_files, extra_args
from hubstack.repository.build import STACK_LABEL, build_repository

from tests.engine.workbench import HUBSTACK, NO_ENGINE, Json, Run, Work, docker, with_canary

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]
FILES = {
    "binder/apt.txt": "hello\n",
    "binder/requirements.txt": "-e .\nhumanize\n",
    "binder/postBuild": "#!/usr/bin/env python3\nimport humanize, mine\nopen('made', 'w').write(humanize.intcomma(1234))\n",
    "binder/start": '#!/bin/bash\nexport STARTED=yes\nexec "$@"\n',
    "mine.py": "",
    "pyproject.toml": '[project]\nname = "mine"\nversion = "1"\n[tool.setuptools]\npy-modules = ["mine"]\n',
    "notes.md": "one",
}
SEEN = """\
import json, os, shutil, subprocess, sys, humanize, mine
print(json.dumps({
    "user": os.getuid(), "group": os.getgid(), "folder": os.getcwd(), "mine": mine.__file__, "made": open("made").read(),
    "started": os.environ.get("STARTED"), "hello": shutil.which("hello"), "writable": os.access(".", os.W_OK),
    "login": subprocess.run(["bash", "-lc", "command -v python"], capture_output=True, text=True).stdout.strip(),
    "first": open("/proc/1/comm").read().strip(), "jupyter": shutil.which("jupyter"),
}))
"""


def repository(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def git(folder: Path, *words: str) -> str:
    argv = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@example.org", *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, message: str) -> str:
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def demo(real_registry: ImageRef, ca_bundle: Path | None) -> Work:
    """The repository's own tree, whose minimal is built where it is not in the registry yet."""
    return Work(ROOT, real_registry, ca_bundle)


@pytest.fixture(scope="module")
def minimal(demo: Work) -> Work:
    demo.build("minimal")
    return demo


@pytest.fixture
def made(session_prefix: ImageRef) -> Iterator[list[str]]:
    """Images that the engine forgets in the end; those below the session's prefix it would anyway."""
    images: list[str] = []
    yield images
    own = [image for image in images if not image.startswith(str(session_prefix))]
    if own:
        subprocess.run(["docker", "image", "rm", "--force", *own], check=False, capture_output=True)


def repo(work: Work, made: list[str], *words: str) -> Json:
    row: Json = json.loads(work.run("repo", "--json", *words).stdout)
    made.append(row["image"].partition("@")[0])
    return row


def refused(work: Work, *words: str) -> str:
    return ("\n" + work.run("repo", *words, code=1).stderr).rpartition("\nerror: ")[2]


def run(image: str, *words: str) -> str:
    """As a hub does: another volume over the home, the image's own entrypoint."""
    return docker("run", "--rm", "--tmpfs=/home/jovyan:uid=1000,gid=100,exec", "--user=1000:100", image, *words)


def test_it_has_its_packages_and_keeps_the_stacks(minimal: Work, made: list[str], tmp_path: Path) -> None:
    """With a canary among the certificates: they are in none of the image's files, and not in its history."""
    folder = repository(tmp_path / "course", FILES)
    first = commit(folder, "one")
    work = replace(minimal, ca_bundle=with_canary(tmp_path / "CANARY.pem", minimal.ca_bundle, "CANARYTEXT"))
    row = repo(work, made, str(folder), "--ref", "main")
    assert (row["result"], row["stack"], row["commit"]) == ("built", "minimal/default", first)
    assert row["image"].startswith(f"{work.prefix}/repository/")
    seen = json.loads(run(row["image"], "python", "-c", SEEN))
    assert seen == {
        "user": 1000,
        "group": 100,
        "folder": "/srv/repo",
        "mine": "/srv/repo/mine.py",
        "made": "1,234",
        "started": "yes",
        "hello": "/usr/bin/hello",
        "writable": True,
        "login": "/opt/venv/bin/python",
        "first": "tini",
        "jupyter": "/opt/venv/bin/jupyter",
    }
    config = json.loads(docker("image", "inspect", row["image"]))[0]
    assert config["Config"]["User"] == "1000:100"
    labels = config["Config"]["Labels"]
    assert labels[STACK_LABEL] == "minimal/default"
    assert (labels["repo2docker.ref"], labels[FINGERPRINT_LABEL]) == (first, "")
    stack = json.loads(run(row["image"], "pip", "list", "--format=json", "--exclude-editable"))
    assert {one["name"] for one in stack} >= {"jupyterlab", "humanize"}
    assert_no_canary(row["image"])
    assert repo(work, made, str(folder), "--ref", first)["result"] == "reused"
    git(folder, "tag", "v1")
    repository(folder, {"notes.md": "two"})
    commit(folder, "two")
    assert repo(work, made, str(folder), "--ref", "v1")["result"] == "reused"
    again = repo(work, made, str(folder), "--ref", "main")
    assert (again["result"], again["image"] != row["image"]) == ("built", True)


def assert_no_canary(image: str) -> None:
    for words in (("history", "--no-trunc", image), ("image", "inspect", image)):
        assert "CANARY" not in docker(*words)
    saved = subprocess.run(["docker", "save", image], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=BytesIO(saved)) as archive:
        layers = json.load(archive.extractfile("manifest.json") or BytesIO())[0]["Layers"]
        for name in layers[-9:]:  # the repository's own
            content = archive.extractfile(name)
            assert content is not None
            with tarfile.open(fileobj=content) as layer:
                for member in layer:
                    assert "CANARY" not in member.name
                    file = layer.extractfile(member) if member.isfile() else None
                    assert file is None or b"CANARYTEXT" not in file.read()


def test_what_can_not_be_is_one_clear_message(minimal: Work, tmp_path: Path) -> None:
    clash = repository(tmp_path / "clash", {"requirements.txt": "humanize\njupyterlab<4\n"})
    said = refused(minimal, str(clash))
    assert said.startswith(f"{clash}: requirements.txt:2: jupyterlab: minimal/default has 4.")
    assert "and jupyterlab<4 is asked for. Ask for what the stack has" in said

    needs = repository(tmp_path / "needs", {"requirements.txt": "voila==0.2.0\n"})
    assert refused(minimal, str(needs)).startswith(
        f"{needs}: voila 0.2.0 needs jupyter-server<0.4.0 and >=0.3.0, and minimal/default has jupyter-server 2."
    )

    conda = repository(tmp_path / "conda", {"environment.yml": "dependencies: [python=3.13, xarray]\n"})
    assert "environment.yml:1: xarray: minimal/default has neither it nor conda. Move it below `pip:`" in refused(
        minimal, str(conda)
    )

    script = "#!/bin/sh\necho this is why\nexit 7\n"
    fails = repository(tmp_path / "fails", {".binder/postBuild": script})
    assert refused(minimal, str(fails)).splitlines() == [
        f"{fails}: .binder/postBuild ended with code 7.",
        "    this is why",
    ]

    apt = repository(tmp_path / "apt", {"apt.txt": "no-such-package\n"})
    assert "Debian has no package no-such-package" in refused(minimal, str(apt))
    old = repository(tmp_path / "old", {"runtime.txt": "python-2.7\n"})
    assert f"{old}: no stack has Python 2.7. There are: minimal/default (Python 3.13)" in refused(minimal, str(old))
    assert refused(minimal, str(tmp_path / "nothing")).startswith("there is no repository at ")
    assert "no Docker engine answers" in refused(replace(minimal, env=NO_ENGINE), str(apt))


def test_it_is_pushed_onto_the_published_stack(
    built: tuple[Work, Run], registry: Registry, made: list[str], tmp_path: Path
) -> None:
    """And a repository that `hubstack new` writes is built by its Dockerfile, on the stack by its digest."""
    work, _ = built
    folder = repository(tmp_path / "plain", {"binder/stack": "small\n", "data.txt": "1"})
    row = repo(work, made, str(folder), "--push")
    ref = ImageRef.parse(row["image"])
    manifest = registry.manifest(ref)
    assert manifest is not None
    assert (row["stack"], manifest.digest) == ("small/default", ref.digest)
    below = registry.manifest(work.prefix.child("small").with_tag("default-latest"))
    assert below is not None
    assert [blob.digest for blob in manifest.layers[: len(below.layers)]] == [blob.digest for blob in below.layers]
    assert docker("run", "--rm", row["image"], "cat", "/srv/repo/data.txt") == "1"

    new = tmp_path / "new"
    work.run("new", "repository", "--stack", "small", str(new))
    assert f"{work.prefix}/small:default-" in (new / "binder" / "Dockerfile").read_text()
    assert f"@{below.digest}\n" in (new / "binder" / "Dockerfile").read_text()
    row = repo(work, made, str(new))
    assert (row["result"], row["stack"]) == ("built", "")
    assert run(row["image"], "sh", "-c", "id -u; pwd; ls").split() == ["1000", "/srv/repo", "README.md", "binder"]


def test_a_build_can_be_cancelled(minimal: Work, made: list[str], tmp_path: Path) -> None:
    """As the preview does; nothing of the name is left."""
    folder = repository(tmp_path / "slow", {"postBuild": "#!/bin/sh\nsleep 300\n"})
    cancel = threading.Event()
    image = f"{minimal.prefix}/test/cancelled:1"
    made.append(image)

    def hear(line: str) -> None:
        if line.endswith("] postBuild"):
            cancel.set()

    with pytest.raises(Cancelled):
        build_repository(
            str(folder),
            "",
            stack_image=f"{minimal.prefix}/minimal:default-latest",
            image=image,
            on_line=hear,
            cancel=cancel,
        )
    assert docker("image", "ls", "--quiet", image) == ""


def test_as_in_a_binderhubs_build_pod(
    built: tuple[Work, Run], registry: Registry, made: list[str], tmp_path: Path
) -> None:
    """BinderHub's command line with the build image's configuration and arguments; on this machine, not in a pod."""
    work, _ = built
    stack = str(work.prefix.child("small").with_tag("default-latest"))
    for path, content in build_image_files("unused", {"small/default": stack}).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    config = tmp_path / "repo2docker_config.py"
    offline = "from repo2docker.contentproviders import Git\nc.Repo2Docker.content_providers = [Git]\n"
    config.write_text(config.read_text(encoding="utf-8") + offline, encoding="utf-8")
    folder = repository(tmp_path / "repository", {"binder/stack": "small\n", "data.txt": "1"})
    head = commit(folder, "one")
    image = work.prefix.child("pod").with_tag("1")
    made.append(str(image))
    said = subprocess.run(
        [
            str(HUBSTACK.with_name("jupyter-repo2docker")),
            f"--ref={head}",
            f"--image={image}",
            *("--no-clean", "--no-run", "--json-logs", "--user-name=jovyan", "--user-id=1000", "--push"),
            *[one.replace(FOLDER, str(tmp_path)) for one in extra_args(stack)],
            f"file://{folder}",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert "Using StackBuildPack builder" in said.stderr
    below = registry.manifest(ImageRef.parse(stack))
    manifest = registry.manifest(image)
    assert below is not None
    assert manifest is not None
    assert [blob.digest for blob in manifest.layers[: len(below.layers)]] == [blob.digest for blob in below.layers]
    assert run(str(image), "cat", "/srv/repo/data.txt") == "1"
