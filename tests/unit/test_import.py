"""`hubstack import`: what becomes a package file, what stays as it was, and that nothing is lost in silence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hubstack.folder import MAX_FILES
from hubstack.proposal.script import Meaning, expand, meaning, split_commands

from tests.commandline import PROJECTS, Done, run

pytestmark = pytest.mark.long

SCIPY = """\
# A notebook image in the style of Jupyter's own
ARG REGISTRY=quay.io
ARG BASE_IMAGE=$REGISTRY/jupyter/minimal-notebook
FROM $BASE_IMAGE

LABEL maintainer="Somebody <somebody@example.org>"
SHELL ["/bin/bash", "-o", "pipefail", "-c"]

USER root
RUN apt-get update --yes && \\
    apt-get install --yes --no-install-recommends \\
    # for matplotlib's animations
    ffmpeg \\
    dvipng && \\
    apt-get clean && rm -rf /var/lib/apt/lists/*
USER ${NB_UID}

RUN mamba install --yes \\
    'altair' \\
    'bokeh=3.*' \\
    'conda-forge::blas=*=openblas' \\
    'pytables' && \\
    mamba clean --all -f -y && \\
    fix-permissions "${CONDA_DIR}"

ARG EXTRA="tqdm==4.*"
RUN pip install --no-cache-dir ipympl "${EXTRA}" 'dask[complete]>=2025' && jupyter lab clean -y

WORKDIR /tmp
RUN git clone https://example.org/facets && \\
    jupyter nbextension install facets/dist/ && \\
    rm -rf /tmp/facets

ENV XDG_CACHE_HOME="/home/${NB_USER}/.cache/"
COPY --chown=${NB_UID}:${NB_GID} --chmod=755 start.sh /usr/local/bin/
COPY conf /etc/jupyter/
COPY <<EOT /etc/motd
hello {{ you }}
EOT
RUN <<EOT
set -e
pip install humanize
npm install -g @scope/tool@1.2.3
Rscript -e "install.packages('ggplot2')"
EOT
RUN if [ -x /bin/x ]; then echo ${#a}; fi
COPY --from=example.org/uv:0.5 /uv /bin/uv
VOLUME /data
WORKDIR "${HOME}"
USER ${NB_UID}
"""
GEO = """\
name: geo
channels: [conda-forge, esri]
dependencies:
  - python=3.11
  - altair
  - gdal>=3
  - pip:
    - humanize
    - git+https://example.org/y
"""


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Three sources and no project."""
    write(tmp_path / "scipy-notebook" / "Dockerfile", SCIPY)
    write(tmp_path / "scipy-notebook" / "start.sh", "#!/bin/sh\n")
    write(tmp_path / "scipy-notebook" / "conf" / "a.json", "{}\n")
    write(tmp_path / "geo" / "environment.yml", GEO)
    write(tmp_path / "course" / "binder" / "requirements.txt", "altair\n-e .\nhumanize  # for people\n")
    write(tmp_path / "course" / "binder" / "apt.txt", "ffmpeg\n")
    write(tmp_path / "course" / "requirements.txt", "never-read\n")
    return tmp_path


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """A project whose layer ``python`` brings Python."""
    return Path(shutil.copytree(PROJECTS / "good-locked", tmp_path / "locked"))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def imported(folder: Path, *words: str) -> tuple[dict[str, str], list[str]]:
    """The files that are proposed, and what is said of the rest, as WHERE: TEXT."""
    done = run("import", "--json", *words, folder=folder)
    assert done.code == 0, done.err
    files = {path: text for layer in done.json["layers"].values() for path, text in layer.items()}
    notes = [note for one in done.json["sources"] for note in one["unexplained"]]
    return files, [f"{note['where']}: {note['text']}" for note in notes]


# --- Dockerfiles ---------------------------------------------------------------------------------------------------------


def test_packages_become_package_files(sources: Path) -> None:
    files, _ = imported(sources, "scipy-notebook/Dockerfile")
    layer = "layers/scipy-notebook"
    assert files[f"{layer}/apt.txt"] == "ffmpeg\ndvipng\n"
    wanted = ["ipympl", "tqdm==4.*", "dask[complete]>=2025", "humanize", "altair", "bokeh==3.*", "tables"]
    assert files[f"{layer}/requirements.txt"].split() == wanted
    assert files[f"{layer}/npm.txt"] == "@scope/tool@1.2.3\n"
    assert files[f"{layer}/install.R"] == "install.packages('ggplot2')\n"
    assert 'run: python -c "import ipympl, tqdm, dask, ' in files[f"{layer}/layer.yaml"]
    assert files[f"{layer}/files/etc/motd"] == "hello {{ you }}\n"
    assert files[f"{layer}/files/etc/jupyter/a.json"] == "{}\n"


def test_what_is_only_half_understood_stays_as_it_was(sources: Path) -> None:
    files, _ = imported(sources, "scipy-notebook/Dockerfile")
    dockerfile = files["layers/scipy-notebook/Dockerfile.j2"]
    blocks = dockerfile.strip().split("\n\n")
    assert blocks[:2] == ["FROM parent", "{{ packages() }}"]
    assert blocks[-2:] == ["WORKDIR /home/jovyan", "USER 1000:100"] or blocks[-1] == "USER 1000:100"
    clone = "RUN git clone https://example.org/facets && \\\n    jupyter nbextension install facets/dist/ && \\\n"
    assert clone + "    rm -rf /tmp/facets" in blocks
    assert 'ENV XDG_CACHE_HOME="/home/jovyan/.cache/"' in blocks
    assert "{% raw %}RUN if [ -x /bin/x ]; then echo ${#a}; fi{% endraw %}" in blocks
    assert not [word for word in ("apt-get", "mamba", "pip install", "LABEL", "fix-permissions") if word in dockerfile]


def test_what_is_not_understood_is_said_with_file_and_line(sources: Path) -> None:
    _, notes = imported(sources, "scipy-notebook/Dockerfile")
    lines = SCIPY.splitlines()
    at = {
        word: next(n for n, line in enumerate(lines, 1) if word in line)
        for word in ("--from=", "VOLUME", "mamba install")
    }
    assert notes == [
        f"scipy-notebook/Dockerfile:{at['--from=']}: COPY /uv /bin/uv",
        f"scipy-notebook/Dockerfile:{at['VOLUME']}: VOLUME /data",
        f"scipy-notebook/Dockerfile:{at['mamba install']}: blas=*=openblas",
    ]
    done = run("import", "scipy-notebook/Dockerfile", folder=sources)
    assert "Not explained:\n  scipy-notebook/Dockerfile:" in done.err
    assert "scipy-notebook stands on quay.io/jupyter/minimal-notebook" in done.err


def test_every_line_is_somewhere(sources: Path) -> None:
    """Each instruction that does something is in a package file, in the Dockerfile.j2, or in a note."""
    done = run("import", "scipy-notebook/Dockerfile", folder=sources)
    for word in (
        "ffmpeg",
        "altair",
        "openblas",
        "tqdm",
        "facets",
        "XDG_CACHE",
        "motd",
        "ggplot2",
        "echo ${#a}",
        "/uv",
        "/data",
    ):
        assert word in done.out + done.err, word


def test_other_stages_are_left_and_own_ones_followed(tmp_path: Path) -> None:
    text = "FROM debian AS tools\nRUN make\nFROM debian:13 AS below\nRUN apt-get install -y git\nFROM below\nRUN pip install six\n"
    write(tmp_path / "x" / "Dockerfile", text)
    files, notes = imported(tmp_path, "x")
    assert files["layers/x/apt.txt"] == "git\n"
    assert files["layers/x/requirements.txt"] == "six\n"
    assert notes == ["x/Dockerfile:1: FROM debian AS tools"]


def test_lists_that_a_dockerfile_installs_are_read(tmp_path: Path) -> None:
    lines = [
        "FROM debian",
        "WORKDIR /srv",
        "COPY requirements.txt env.yml /tmp/",
        "RUN pip install -r /tmp/requirements.txt && rm /tmp/requirements.txt",
        "RUN mamba env update --file /tmp/env.yml && conda clean -afy",
        "RUN pip install -r missing.txt",
        "ADD data.tar.gz /srv",
    ]
    write(tmp_path / "x" / "Dockerfile", "\n".join(lines))
    write(tmp_path / "x" / "requirements.txt", "-r more/base.txt\nsix \\\n  --hash=sha256:00\n--index-url x\n")
    write(tmp_path / "x" / "more" / "base.txt", "attrs==25.*\n-r base.txt\n")
    write(tmp_path / "x" / "env.yml", "dependencies: [numpy=2.1, 'pip']\n")
    files, notes = imported(tmp_path, "x")
    assert files["layers/x/requirements.txt"].split() == ["attrs==25.*", "six", "numpy==2.1.*"]
    assert sorted(files) == ["layers/x/layer.yaml", "layers/x/requirements.txt"]
    assert notes == [
        "x/requirements.txt:4: --index-url x",
        "x/Dockerfile:6: missing.txt",
        "x/Dockerfile:7: ADD data.tar.gz /srv",
    ]


def test_what_is_no_dockerfile(tmp_path: Path) -> None:
    write(tmp_path / "Dockerfile", "FROM debian\nRUN\n")
    _, notes = imported(tmp_path, "Dockerfile")
    assert notes == ["Dockerfile:2: "]


def test_lists_that_ask_for_each_other_end(tmp_path: Path) -> None:
    write(tmp_path / "x" / "requirements.txt", "-r b.txt\nsix\n")
    write(tmp_path / "x" / "b.txt", "-r ./requirements.txt\nattrs\n")
    files, notes = imported(tmp_path, "x/requirements.txt")
    assert (files["layers/x/requirements.txt"].split(), notes) == (["attrs", "six"], [])


def test_what_git_keeps_of_a_repository_is_not_read(tmp_path: Path) -> None:
    write(tmp_path / "x" / "requirements.txt", "six\n")
    (tmp_path / "x" / ".git").mkdir()
    for number in range(MAX_FILES + 1):
        (tmp_path / "x" / ".git" / str(number)).touch()
    assert imported(tmp_path, "x")[0]["layers/x/requirements.txt"] == "six\n"


def test_what_is_no_package_of_an_environment_is_said(tmp_path: Path) -> None:
    items = ("numpy", "{pip: six}", "[a]", "{? [x] : y}", "", "{pip: [[a], b]}", "&a {pip: *a}", "pip: [attrs]")
    write(tmp_path / "x" / "environment.yml", "dependencies:\n" + "".join(f"- {item}\n" for item in items))
    files, notes = imported(tmp_path, "x")
    assert files["layers/x/requirements.txt"].split() == ["attrs", "numpy"]
    where = "x/environment.yml"
    said = ((3, "pip"), (4, ""), (5, ""), (6, ""), (7, "pip"), (8, "pip"))
    assert notes == [f"{where}:{line}: {text}" for line, text in said]


@pytest.mark.parametrize("depth", [30, 3000, 50_000])
def test_an_environment_that_nests_without_end(depth: int, tmp_path: Path) -> None:
    write(tmp_path / "x" / "environment.yml", f"dependencies: {'[' * depth}{']' * depth}\n")
    assert imported(tmp_path, "x")[1] == ["x/environment.yml: environment.yml"]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("Dockerfile", b"FROM debian\n\xff\n"),
        ("apt.txt", b"git\xff\n"),
        ("postBuild", b"\xff"),
        ("requirements.txt", b"\xff"),
        ("environment.yml", b"dependencies: 3\n"),
        ("environment.yml", b"name: x\n"),
        ("environment.yml", b"a: &a [*a]\n"),
    ],
)
def test_what_holds_nothing_that_can_be_read_is_not_passed_over(path: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / path).write_bytes(content)
    for source in (f"x/{path}", "x"):
        _, notes = imported(tmp_path, source)
        assert [note.partition(": ")[0] for note in notes] == [f"x/{path}"], source


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (
            "apt-get install -yq --no-install-recommends git=1:2.3 less",
            Meaning(manager="apt", items=("git=1:2.3", "less")),
        ),
        ("DEBIAN_FRONTEND=noninteractive apt install -y tzdata > /dev/null", Meaning(manager="apt", items=("tzdata",))),
        ("sudo pip3 install -U numpy>=2 2>&1", Meaning(manager="pip", items=("numpy>=2",))),
        ("python3.12 -m pip install 'a[b]==1'", Meaning(manager="pip", items=("a[b]==1",))),
        ("uv pip install --system a", Meaning(manager="pip", items=("a",))),
        ("pip install --upgrade pip setuptools", Meaning(manager="pip")),
        ("pip install -r requirements.txt", Meaning(manager="requirements", items=("requirements.txt",))),
        ("conda install -y -n base -c conda-forge 'a=1.2' b", Meaning(manager="conda", items=("a=1.2", "b"))),
        ("mamba env update --name base --file e.yml", Meaning(manager="environment", items=("e.yml",))),
        ("npm i -g --no-audit a@1.0.0", Meaning(manager="npm", items=("a@1.0.0",))),
        ("export DEBIAN_FRONTEND=noninteractive", Meaning()),
        ("rm -rf /var/lib/apt/lists/* /tmp/x", Meaning()),
        ("rm -rf /opt/x", None),
        ("apt-get install -t backports git", None),
        ("apt-get install ./x.deb", None),
        ("pip install git+https://example.org/x", None),
        ("pip install --index-url https://example.org a", None),
        ("pip install .", None),
        ("pip install $UNKNOWN", None),
        ("pip install a | tee log", None),
        ("npm install -g a", None),
        ("npm install a@1.0.0", None),
        ("conda install -c bioconda a", None),
        ("echo 'unclosed", None),
        ("curl -fsSL https://example.org/install.sh", None),
    ],
)
def test_commands(command: str, found: Meaning | None) -> None:
    assert meaning(command, {}) == found


@pytest.mark.parametrize(
    ("script", "commands"),
    [
        ("a && b; c\nd", ["a", "b", "c", "d"]),
        ("a 'x && y' && b \"; c\"", ["a 'x && y'", 'b "; c"']),
        ("a || b && c | d", ["a || b", "c | d"]),
        ("echo $(a && b) && c", ["echo $(a && b)", "c"]),
        ("a 2>&1 && b # c && d", ["a 2>&1", "b"]),
        ("for x in a; do b; done", None),
        ("(a && b)", None),
        ("cat <<X\nX", None),
        ("a & b", None),
    ],
)
def test_scripts(script: str, commands: list[str] | None) -> None:
    assert split_commands(script) == commands


def test_variables() -> None:
    known = {"A": "1", "B": "2"}
    assert expand("$A ${B} ${C:-3} ${A:-4} $D ${D}", known) == "1 2 3 1 $D ${D}"


# --- other sources -------------------------------------------------------------------------------------------------------


def test_what_several_sources_share_is_a_layer_below(sources: Path) -> None:
    files, notes = imported(sources, "scipy-notebook", "geo", "course")
    assert files["layers/common/requirements.txt"].split() == ["humanize", "altair"]
    assert "summary: What scipy-notebook, geo and course share\n" in files["layers/common/layer.yaml"]
    for name in ("scipy-notebook", "geo"):
        assert "common]" in files[f"layers/{name}/layer.yaml"]
        assert "humanize" not in files[f"layers/{name}/requirements.txt"]
    assert files["layers/course/apt.txt"] == "ffmpeg\n"  # two of three share it alone: not worth a layer
    assert notes[-4:] == [
        "geo/environment.yml:2: esri",
        "geo/environment.yml:9: git+https://example.org/y",
        "geo/environment.yml:4: python=3.11",
        "course/binder/requirements.txt:2: -e .",
    ]
    assert not any("never-read" in text for text in files.values())


def test_conda_stays_conda_where_a_layer_brings_it(sources: Path, locked: Path) -> None:
    write(locked / "layers" / "conda" / "layer.yaml", "summary: Conda\n")
    done = run("-C", str(locked), "import", "--json", "geo/environment.yml", folder=sources)
    layer = done.json["layers"]["geo"]
    assert '  - "gdal>=3"\n' in layer["layers/geo/environment.yml"]
    assert "requires: [conda, python]\n" in layer["layers/geo/layer.yaml"]


@pytest.mark.parametrize("source", ["nothing.txt", "./x", "scipy-notebook/start.sh", "Not An Image"])
def test_what_is_no_source(source: str, sources: Path) -> None:
    done = run("import", source, folder=sources)
    assert (done.code, done.out) == (2, "")
    assert "error: " in done.err
    assert "Traceback" not in done.err


# --- writing -------------------------------------------------------------------------------------------------------------


def test_it_is_written_into_the_project_and_passes_check(sources: Path, locked: Path) -> None:
    write(
        sources / "tools" / "Dockerfile",
        "FROM debian\nRUN apt-get install -y htop && echo hi >/etc/hi\nCOPY --chmod=755 x /opt/\n",
    )
    write(sources / "tools" / "x", "#!/bin/sh\n")
    done = run("-C", str(locked), "import", "--write", "tools", folder=sources)
    assert done.code == 0, done.err
    assert run("check", folder=locked) == Done(0, "no faults found\n", "")
    rendered = run("render", "layer:tools", "--layer", "tools", folder=locked).out
    assert "htop" in rendered
    assert "RUN echo hi >/etc/hi\n" in rendered
    assert (locked / "layers" / "tools" / "files" / "opt" / "x").stat().st_mode & 0o111
    again = run("-C", str(locked), "import", "--write", "tools", folder=sources)
    assert (again.code, "layers/tools-1/layer.yaml" in again.out) == (0, True)


def test_several_stand_on_what_they_share(sources: Path, locked: Path) -> None:
    done = run("-C", str(locked), "import", "--write", "geo", "course", folder=sources)
    assert done.code == 0, done.err
    assert "Next:\n  hubstack update --only python\n" in done.err
    faults = run("check", folder=locked).out.splitlines()[:-1]
    assert faults
    assert all(line.endswith("is not in hubstack.lock. Run `hubstack update`.") for line in faults)
    shown = run("graph", "+layer:geo", "--format", "json", folder=locked).out
    assert '"common"' in shown


def test_what_would_not_pass_check_is_not_written(sources: Path, locked: Path) -> None:
    write(
        sources / "x" / "Dockerfile",
        "FROM debian\nENTRYPOINT x\nRUN wget y\nSTOPSIGNAL 9\nHEALTHCHECK --interval CMD x\n",
    )
    before = sorted(locked.rglob("*"))
    done = run("-C", str(locked), "import", "--write", "x", folder=sources)
    assert (done.code, done.out) == (2, "")
    assert "layers/x/Dockerfile.j2:" in done.err
    assert sorted(locked.rglob("*")) == before


def test_without_write_nothing_is_written(sources: Path, locked: Path) -> None:
    before = sorted(locked.rglob("*"))
    done = run("-C", str(locked), "import", "geo", folder=sources)
    assert "# layers/geo/requirements.txt\naltair\ngdal>=3\n" in done.out.replace("humanize\n", "")
    assert sorted(locked.rglob("*")) == before
    assert run("import", "--write", "geo", folder=sources).code == 2  # no project
