"""A repository's Dockerfile, as the build pack renders it; and that stock repo2docker takes the same repository."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hubstack.repository.binder import build_image_files, extra_args
from hubstack.repository.choice import Offer

from tests.unit.test_repository_specification import repository

pytestmark = pytest.mark.long

IMAGE = "hub.example.org/minimal:default-1@sha256:" + "a" * 64
FILES = {
    "binder/apt.txt": "hello\n",
    "binder/requirements.txt": "humanize\n",
    "binder/postBuild": "#!/bin/sh\n",
    "binder/start": '#!/bin/sh\nexec "$@"\n',
    "binder/stack": "minimal\n",
    "hello.ipynb": "{}",
}


def repo2docker(folder: Path, *options: str, code: int = 0) -> str:
    """The Dockerfile that repo2docker renders, without building."""
    argv = [sys.executable, "-P", "-m", "repo2docker", *options, "--user-id=1000", "--user-name=jovyan", "--no-build"]
    done = subprocess.run([*argv, "--debug", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def config(folder: Path, *offers: Offer, image: str = IMAGE) -> str:
    """The configuration that a BinderHub's build image has, in ``folder``."""
    for path, content in build_image_files(image, {one.name: one for one in offers}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return f"--config={folder / 'repo2docker_config.py'}"


def test_it_stands_on_the_stack_and_does_not_end_as_root(tmp_path: Path) -> None:
    said = repo2docker(repository(tmp_path / "repo", FILES), config(tmp_path / "image"))
    steps = [line for line in said.splitlines() if line.split(" ")[0] in {"FROM", "USER", "COPY", "WORKDIR", "CMD"}]
    assert steps[0] == f"FROM {IMAGE}"
    assert steps[-1] == "USER 1000:100"
    assert "ARG REPO_DIR=/srv/repo" in said
    assert "COPY --chown=1000:100 src/ ${REPO_DIR}/" in said
    assert "mamba" not in said
    order = [said.index(word) for word in ("provide.py check", "apt-get install", "provide.py install", "COPY --chown")]
    assert order == sorted(order)
    assert said.index("provide.py postBuild") > order[-1]
    assert "hubstack-ca,required=false" in said


def test_requirements_that_point_into_the_repository_wait_for_it(tmp_path: Path) -> None:
    folder = repository(tmp_path / "repo", {"requirements.txt": "-e .\n"})
    said = repo2docker(folder, config(tmp_path / "image"))
    assert said.index("provide.py install") > said.index("COPY --chown")


@pytest.mark.parametrize(("text", "late"), [("install.packages('x')", False), ("source('lib/deps.R')", True)])
def test_install_r_waits_for_the_repository_where_it_reads_from_it(tmp_path: Path, text: str, *, late: bool) -> None:
    said = repo2docker(repository(tmp_path / "repo", {"install.R": text}), config(tmp_path / "image"))
    assert (said.index("Rscript") > said.index("COPY --chown")) is late


def test_without_a_start_script_the_stacks_entrypoint_stays(tmp_path: Path) -> None:
    said = repo2docker(repository(tmp_path / "repo", {"a": ""}), config(tmp_path / "image"))
    assert "ENTRYPOINT" not in said
    assert "CMD" not in said


def test_what_the_repository_says_is_data_and_no_shell(tmp_path: Path) -> None:
    evil = 'x; $(touch /owned) `id`\nEOF\nUSER root\n"\\'
    said = repo2docker(repository(tmp_path / "repo", {"requirements.txt": evil}), config(tmp_path / "image"))
    asked = said[said.index("<<'EOF'\n") + 8 :]
    assert json.loads(asked[: asked.index("\nEOF")])["requirements"][0]["text"] == "x; $(touch /owned) `id`"
    assert said.count("\nUSER root\n") == 2  # ours: at the top, and before the repository is copied


def test_a_dockerfile_wins(tmp_path: Path) -> None:
    folder = repository(tmp_path / "repo", {**FILES, "binder/Dockerfile": "FROM its-own\n"})
    assert "FROM its-own" in repo2docker(folder, config(tmp_path / "image"))


def test_the_build_image_chooses_among_the_stacks_that_it_was_given(tmp_path: Path) -> None:
    offers = (
        Offer(name="minimal/default", image=IMAGE, python="3.13", provides={"python"}),
        Offer(name="stats/default", image="with-r", python="3.13", provides={"python", "r"}),
    )
    option = config(tmp_path / "image", *offers)
    assert "FROM with-r\n" in repo2docker(repository(tmp_path / "a", {"install.R": ""}), option)
    assert "FROM with-r\n" in repo2docker(repository(tmp_path / "b", {"binder/stack": "stats\n"}), option)
    assert f"FROM {IMAGE}\n" in repo2docker(repository(tmp_path / "c", {"a": ""}), option)
    other = repo2docker(tmp_path / "c", option, extra_args("another")[1])
    assert "FROM another\n" in other
    wrong = repo2docker(repository(tmp_path / "d", {"binder/stack": "stat\n"}), option, code=1)
    assert "hubstack: error: binder/stack:1: there is no stack 'stat' (did you mean" in wrong


def test_the_build_image_has_all_that_its_configuration_imports(tmp_path: Path) -> None:
    """As in the image: nothing of hubstack but what its folder holds."""
    config(tmp_path)
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import hubstack.repository.buildpack as b; print(b.__file__)"
    script += "; print([m.__file__ for n, m in sys.modules.items() if n.startswith('hubstack') and m.__file__])"
    said = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[0].startswith(str(tmp_path))
    assert "builder/hubstack" not in said
    assert (tmp_path / "Dockerfile").read_text().startswith("# The image in which BinderHub runs repo2docker")
    assert extra_args()[0] == "--config=/srv/stack/repo2docker_config.py"


def test_stock_repo2docker_takes_the_same_repository(tmp_path: Path) -> None:
    """With its own build packs and its own base; binder/stack is nothing to it."""
    said = repo2docker(repository(tmp_path / "repo", FILES))
    assert "FROM docker.io/library/buildpack-deps" in said
    assert 'pip install --no-cache-dir -r "binder/requirements.txt"' in said
    assert "RUN ./binder/postBuild" in said
