"""Rendering: what a node is built from, where each line of it came from, and all faults of all layers at once."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hubstack.errors import ProjectError, Severity
from hubstack.model import Bootstrap, Graph, Layer, Pin, Project, Rendered, SourceFile, Value
from hubstack.reference import Digest
from hubstack.render import render, render_leniently, render_requirements, slice_text, upstream_images
from hubstack.render.fork import Bounds

from tests.handmade import handmade_graph, handmade_layer, handmade_project

GOLDEN = Path(__file__).parents[1] / "golden" / "render"
IMAGE = Digest("sha256:" + "1" * 64)
TOOL = Digest("sha256:" + "2" * 64)
PINS = (
    Pin(name="numpy", version="2.1.0", hashes=(f"sha256:{'a' * 64}", f"sha256:{'b' * 64}")),
    Pin(name="scipy", version="1.14.1", hashes=(f"sha256:{'c' * 64}",)),
)


def layer(name: str, texts: Mapping[str, str] | None = None, **fields: Any) -> Layer:
    files = {path: SourceFile(path=path, content=text.encode()) for path, text in (texts or {}).items()}
    return handmade_layer(name, files=files, **fields)


BASE = layer("base", bootstrap=Bootstrap(suite="trixie"), default={"release": "trixie"})


def project_of(*layers: Layer, macros: Mapping[str, str] | None = None) -> Project:
    given = {name: SourceFile(path=name, content=text.encode()) for name, text in (macros or {}).items()}
    project = handmade_project(*layers)
    return Project(
        settings=project.settings, layers=project.layers, stacks=project.stacks, hubs=project.hubs, macros=given
    )


def chain(project: Project, *names: str, **values: Value) -> Graph:
    return handmade_graph(project, [(names, values)])


def rendered_of(one: Layer, *, pins: Sequence[Pin] = (), base: Layer = BASE, **values: Value) -> Rendered:
    """``one`` on a base."""
    project = project_of(base, one)
    graph = chain(project, "base", one.name, **values)
    top = list(graph.nodes)[-1]
    return render(project, graph, pins={top: tuple(pins)}, images={})[top]


def faults_of(*layers: Layer, macros: Mapping[str, str] | None = None, bounds: Bounds | None = None) -> list[str]:
    """What is wrong with the chain of the layers on a base."""
    project = project_of(BASE, *layers, macros=macros)
    graph = chain(project, "base", *(one.name for one in layers))
    return [str(one) for one in render_leniently(project, graph, pins={}, images={}, bounds=bounds)[1]]


# --- Dockerfiles --------------------------------------------------------------------------------------------------------

EVERYTHING = layer(
    "everything",
    {
        "apt.txt": "# sound and pictures\nffmpeg\n{% if release == 'trixie' %}\ngraphviz=2.42*\n{% endif %}\ng++ # C++\n".replace("*", ""),
        "environment.yml": "dependencies: [gdal]\n",
        "requirements.txt": "numpy\nscipy\n",
        "npm.txt": "@bazel/bazelisk@1.25.0\nleft-pad@1.3.0\n",
        "install.R": 'install.packages("sf")\n',
        "postBuild": "#!/bin/sh\njupyter lab build\n",
        "files/etc/app.conf.j2": "on {{ release }}\n",
        "files/usr/local/bin/app": "#!/bin/sh\n",
    },
)  # fmt: skip

BY_HAND = layer(
    "by-hand",
    {
        "apt.txt": "jq\n",
        "Dockerfile.j2": """\
{% import "shell.j2" as shell %}
FROM ghcr.io/tool/tool:{{ tool }} AS tool

FROM parent
COPY --from=nodejs /usr/local/bin/node /usr/local/bin/
COPY --from=tool /bin/tool /usr/local/bin/

RUN whoami
{{ packages() }}
{{ copy("files/etc/", "/etc/", chown="0:100", mode="0640") }}
{{ copy("files/etc/a.conf", "/opt/") }}
RUN whoami
{% call run(apt_cache=true, mounts="type=bind,source=files,target=/tmp/files") %}
    {{ shell.greet(layer) }}
    cat <<EOF >/etc/motd
    {{ release }}
EOF
{% endcall %}
{% if release == "bookworm" %}


ENV OLD=1
{% endif %}



ENV DONE=1
""",
        "files/etc/a.conf": "a\n",
    },
    default={"tool": "1.2"},
    copy_from=("nodejs",),
    upstream=("ghcr.io/tool/tool:{{ tool }}",),
)
MACROS = {"shell.j2": "{% macro greet(name) %}\necho {{ name | quote }}\n{% endmacro %}\n", "unused.j2": ""}

UPSTREAM = layer(
    "base-upstream",
    {"Dockerfile.j2": "FROM parent\n{% call run() %}\nuseradd jovyan\n{% endcall %}\nUSER 1000:100\n"},
    image="debian:{{ release }}-slim",
    default={"release": "trixie"},
)
BOOTSTRAPPED = layer(
    "base-bootstrapped",
    {"apt.txt": "tini\n", "files/etc/a": ""},
    bootstrap=Bootstrap(suite="{{ release }}", include=("ca-certificates", "{{ arch }}-tools")),
    default={"release": "trixie"},
)


def _case(name: str) -> Rendered:
    match name:
        case "everything":
            return rendered_of(EVERYTHING, pins=PINS)
        case "by-hand":
            project = project_of(BASE, BY_HAND, macros=MACROS)
            graph = chain(project, "base", "by-hand")
            images = {"ghcr.io/tool/tool:1.2": TOOL, "unused:1": IMAGE}
            return render(project, graph, pins={}, images=images)["base>by-hand"]
        case "base-upstream":
            project = project_of(UPSTREAM)
            graph = chain(project, "base-upstream")
            return render(project, graph, pins={}, images={"debian:trixie-slim": IMAGE})["base-upstream"]
        case _:
            project = project_of(BOOTSTRAPPED)
            return render(project, chain(project, "base-bootstrapped"), pins={}, images={})["base-bootstrapped"]


CASES = ("everything", "by-hand", "base-upstream", "base-bootstrapped")


@pytest.mark.parametrize("name", CASES)
def test_dockerfiles(name: str, golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / f"{name}.Dockerfile", _case(name).dockerfile)


@pytest.mark.parametrize("name", CASES)
def test_origins(name: str, golden: Callable[[Path, str], None]) -> None:
    """Where each line came from, with the first words of the line."""
    one = _case(name)
    lines = one.dockerfile.removesuffix("\n").split("\n")
    assert len(lines) == len(one.origins)
    golden(
        GOLDEN / f"{name}.origins",
        "".join(f"{at} {line[:30]}".rstrip() + "\n" for line, at in zip(lines, one.origins, strict=True)),
    )


@pytest.mark.parametrize("name", CASES)
def test_hadolint_is_content(name: str) -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    config = resources.files("hubstack.render") / "templates" / "hadolint.yaml"
    result = subprocess.run(
        [hadolint, "--no-color", "--config", str(config), "-"],
        input=_case(name).dockerfile,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize("name", ["run.sh", "account.sh"])
def test_shellcheck_is_content_with_the_scripts(name: str) -> None:
    script = resources.files("hubstack.render") / "templates" / name
    result = subprocess.run(
        [Path(sys.executable).parent / "shellcheck", str(script)], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (0, "")


def test_everything_gets_its_context() -> None:
    one = _case("everything")
    assert [(file.path, file.executable) for file in one.context] == [
        (".hubstack/bytecode.py", True),
        (".hubstack/run.sh", True),
        ("environment.yml", False),
        ("files/etc/app.conf", False),
        ("files/usr/local/bin/app", False),
        ("install.R", False),
        ("postBuild", True),
        ("requirements.txt", False),
    ]
    content = {file.path: file.content.decode() for file in one.context}
    assert content["files/etc/app.conf"] == "on trixie\n"
    assert content["requirements.txt"] == slice_text(PINS)
    assert one.pins == PINS


def test_the_slice_as_pip_reads_it() -> None:
    assert slice_text(PINS[:1]) == (f"numpy==2.1.0 \\\n    --hash=sha256:{'a' * 64} \\\n    --hash=sha256:{'b' * 64}\n")


def test_sources_are_the_files_that_were_read() -> None:
    assert dict(_case("everything").sources) == {
        f"layers/everything/{name}": hashlib.sha256(file.content).hexdigest() for name, file in EVERYTHING.files.items()
    }
    assert set(_case("by-hand").sources) == {
        "layers/_macros/shell.j2",
        "layers/by-hand/Dockerfile.j2",
        "layers/by-hand/apt.txt",
        "layers/by-hand/files/etc/a.conf",
    }


def test_bases() -> None:
    bootstrapped = _case("base-bootstrapped")
    assert bootstrapped.bootstrap == Bootstrap(suite="trixie", include=("ca-certificates", "amd64-tools"))
    assert bootstrapped.upstream == {}
    upstream = _case("base-upstream")
    assert (upstream.bootstrap, dict(upstream.upstream)) == (None, {"debian:trixie-slim": IMAGE})
    assert dict(_case("by-hand").upstream) == {"ghcr.io/tool/tool:1.2": TOOL}


def test_a_layer_of_nothing_is_its_parent() -> None:
    assert rendered_of(layer("nothing")).dockerfile == "FROM parent\n\nUSER 1000:100\n"


@pytest.mark.parametrize(
    "texts", [{"apt.txt": "# none\n\n"}, {"requirements.txt": "numpy\n"}, {"npm.txt": "{% if release == 'x' %}\na@1.2.3\n{% endif %}\n"}]
)  # fmt: skip
def test_package_files_that_ask_for_nothing_write_nothing(texts: dict[str, str]) -> None:
    one = rendered_of(layer("empty", texts))
    assert (one.dockerfile, one.context) == ("FROM parent\n\nUSER 1000:100\n", ())


def test_packages_can_be_installed_apart() -> None:
    dockerfile = 'FROM parent\n{{ packages("npm.txt") }}\nENV A=1\n{{ packages("requirements.txt", "apt.txt") }}\n'
    texts = {"apt.txt": "jq\n", "npm.txt": "a@1.2.3\n", "requirements.txt": "numpy\n", "Dockerfile.j2": dockerfile}
    lines = rendered_of(layer("apart", texts), pins=PINS).dockerfile.split("\n")
    order = ["# npm.txt", "ENV A=1", "# apt.txt", "# requirements.txt"]
    assert [line for line in lines if line in order] == order


def test_links_and_programs_stay_what_they_are() -> None:
    files = {
        "files/bin/a": SourceFile(path="files/bin/a", content=b"\xff", executable=True),
        "files/bin/b": SourceFile(path="files/bin/b", link="a"),
        "files/bin/c.j2": SourceFile(path="files/bin/c.j2", content=b"{{ layer }}", executable=True),
        "files/bin/d.j2": SourceFile(path="files/bin/d.j2", link="c"),
        "tests/x": SourceFile(path="tests/x"),
    }
    one = rendered_of(handmade_layer("links", files=files))
    assert {file.path: file for file in one.context if file.path.startswith("files/")} == {
        "files/bin/a": files["files/bin/a"],
        "files/bin/b": files["files/bin/b"],
        "files/bin/c": SourceFile(path="files/bin/c", content=b"links", executable=True),
        "files/bin/d.j2": files["files/bin/d.j2"],
    }


def test_the_authors_here_document_does_not_end_ours() -> None:
    body = "FROM parent\n{% call run() %}\ncat <<EOF\nx\nEOF\n{% endcall %}\n"
    assert "run.sh <<'EOF_'\ncat <<EOF\nx\nEOF\nEOF_\n" in rendered_of(layer("doc", {"Dockerfile.j2": body})).dockerfile


def test_the_user_before_our_runs_comes_back() -> None:
    body = "FROM parent\nUSER 5:5\n{% call run() %}\na\n{% endcall %}\n# why\nRUN b\n{% call run() %}\nc\n{% endcall %}\nUSER 1000:100\n"
    lines = rendered_of(layer("users", {"Dockerfile.j2": body})).dockerfile.split("\n")
    marks = [line for line in lines if line.split(" ")[0] in ("USER", "ARG", "#") or line in ("a", "RUN b", "c")]
    assert marks == [
        "USER 5:5", "USER root", "ARG SOURCE_DATE_EPOCH", "a", "USER 5:5", "# why", "RUN b", "USER root", "c", "USER 1000:100"
    ]  # fmt: skip


def test_each_stage_says_for_itself_what_it_needs() -> None:
    step = "{% call run() %}\na\n{% endcall %}\n"
    body = (
        f"FROM parent AS one\n{step}FROM scratch AS two\n{step}FROM one\nRUN b\nUSER 0\nARG SOURCE_DATE_EPOCH\n{step}"
    )
    lines = rendered_of(layer("stages", {"Dockerfile.j2": f"{body}USER 1000:100\n"})).dockerfile.split("\n")
    assert [line for line in lines if line.startswith(("FROM", "USER", "ARG", "RUN b"))] == [
        "FROM parent AS one", "USER root", "ARG SOURCE_DATE_EPOCH", "USER 1000:100",
        "FROM scratch AS two", "USER root", "ARG SOURCE_DATE_EPOCH",
        "FROM one", "RUN b", "USER 0", "ARG SOURCE_DATE_EPOCH", "USER 1000:100",
    ]  # fmt: skip


def test_nodes_of_one_layer_differ_where_they_see_other_values() -> None:
    flag = layer(
        "flag",
        {"apt.txt": "{% if flag is boolean %}yes-{{ flag }}{% else %}no-{{ flag }}{% endif %}\n"},
        default={"flag": True},
    )
    project = project_of(BASE, flag)
    graph = handmade_graph(project, [(("base", "flag"), {"flag": value}) for value in (True, 1, "x")])
    texts = [one.dockerfile for node, one in render(project, graph, pins={}, images={}).items() if node != "base"]
    words = [
        next(line.strip() for line in text.split("\n") if "-" in line and line.startswith("    ") and "--" not in line)
        for text in texts
    ]
    assert words == ["yes-true", "no-1", "no-x"]


def test_only_the_nodes_that_are_asked_for() -> None:
    project = project_of(BASE, layer("a"), layer("b", {"Dockerfile.j2": "{{ broken"}))
    graph = chain(project, "base", "a", "b")
    assert list(render(project, graph, pins={}, images={}, nodes=["base>a"])) == ["base>a"]


# --- faults -------------------------------------------------------------------------------------------------------------


INSIDE = (
    "packages(), copy() and run() write instructions, and can't stand inside another one. Put it on a line of its own."
)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"apt.txt": "jq\n  Git\n"}, ['layers/x/apt.txt:2:3: "Git" is not a Debian package. Write one on a line.']),
        ({"apt.txt": "jq git\n"}, ['layers/x/apt.txt:1:1: "jq git" is not a Debian package. Write one on a line.']),
        ({"apt.txt": "jq\n# x\njq\n"}, ['layers/x/apt.txt:3:1: "jq" stands in line 1 already. Remove one.']),
        ({"apt.txt": "jq; rm -rf /\n-y\nvim-\n"}, [
            'layers/x/apt.txt:1:1: "jq; rm -rf /" is not a Debian package. Write one on a line.',
            'layers/x/apt.txt:2:1: "-y" is not a Debian package. Write one on a line.',
            'layers/x/apt.txt:3:1: "vim-" is not a Debian package. Write one on a line.']),
        ({"npm.txt": "a@1.2\n@b/c@1.2.3\nd@latest\n"}, [
            'layers/x/npm.txt:1:1: "a@1.2" is not an npm package at an exact version. Write one on a line, as in name@1.2.3.',
            'layers/x/npm.txt:3:1: "d@latest" is not an npm package at an exact version. Write one on a line, as in name@1.2.3.']),
        ({"apt.txt": "{% if release %}\n\n{{ relese }}\n{% endif %}\n"}, [
            'layers/x/apt.txt:3:1: "relese" is undefined (did you mean "release"?). Visible here: arch, base, layer and release.']),
        ({"apt.txt": "jq\n", "Dockerfile.j2": "FROM parent\n"}, [
            "layers/x/apt.txt:1:1: Dockerfile.j2 does not install apt.txt. Write {{ packages() }} in it."]),
        ({"Dockerfile.j2": 'FROM parent\n{{ packages("apt") }}\n'}, [
            'layers/x/Dockerfile.j2:2:1: "apt" is no package file (did you mean "apt.txt"?). Correct the call.']),
        ({"Dockerfile.j2": 'FROM parent\n{{ copy("files/b", "/b") }}\n', "files/a": ""}, [
            'layers/x/Dockerfile.j2:2:1: there is no "files/b" in this layer (did you mean "files/a"?). Correct the call.']),
        ({"Dockerfile.j2": 'FROM parent\n{{ copy("files/a", "b") }}\n', "files/a": ""}, [
            'layers/x/Dockerfile.j2:2:1: "b" is no absolute path. Correct the call.']),
        ({"Dockerfile.j2": 'FROM parent\n{{ copy("files/a", "/b", chown="$(id)") }}\n', "files/a": ""}, [
            'layers/x/Dockerfile.j2:2:1: "$(id)" is no owner. Write it as in chown="1000:100".']),
        ({"Dockerfile.j2": 'FROM parent\n{{ copy("files/a", "/b", mode="u+s") }}\n', "files/a": ""}, [
            'layers/x/Dockerfile.j2:2:1: "u+s" is no mode. Write it as in mode="0755".']),
        ({"Dockerfile.j2": "FROM parent\n\n# why\nRUN --network=host make\n"}, [
            "layers/x/Dockerfile.j2:4:1: RUN --network=host is not allowed. Remove it."]),
        ({"Dockerfile.j2": "FROM parent\n{% call run() %}\nmake\n{% endcall %}\nUSER root\n"}, [
            'layers/x/Dockerfile.j2:5:1: the image would run as "root". End with USER 1000:100: hubs run images as that.']),
        ({"Dockerfile.j2": "FROM parent\nRUN a && \\\n{{ packages() }}\n", "apt.txt": "jq\n"}, [
            f"layers/x/apt.txt:1:1: {INSIDE}"]),
        ({"Dockerfile.j2": 'FROM parent\nRUN {{ copy("files/a", "/a") }}\n', "files/a": ""}, [
            f"layers/x/Dockerfile.j2:2:1: {INSIDE}"]),
        ({"files/a.j2": "", "files/a": ""}, ["layers/x/files/a.j2:1:1: files/a.j2 and files/a become one file. Remove one."]),
        ({"requirement.txt": ""}, [
            'layers/x/requirement.txt:1:1: nothing reads "requirement.txt" (did you mean "requirements.txt"?). Rename or remove it.']),
    ],
)  # fmt: skip
def test_faults(texts: dict[str, str], said: list[str]) -> None:
    assert sorted(faults_of(layer("x", texts))) == said


def test_all_faults_of_all_layers_at_once() -> None:
    found = faults_of(
        layer("one", {"apt.txt": "A\n", "npm.txt": "b\n", "Dockerfile.j2": "FROM parent\n{{ nothing }}\n{{ less }}\n"}),
        layer("two", {"files/x.j2": "{{ 1 / 0 }}"}),
        macros={"bad.j2": "\n{% nonsense %}"},
    )
    assert [one.split(": ")[0] for one in sorted(found)] == [
        "layers/_macros/bad.j2:2:1",
        "layers/one/Dockerfile.j2:2:1",
        "layers/one/Dockerfile.j2:3:1",
        "layers/one/apt.txt:1:1",
        "layers/one/npm.txt:1:1",
        "layers/two/files/x.j2:1:1",
    ]
    project = project_of(BASE, layer("one", {"apt.txt": "A\n"}))
    with pytest.raises(ProjectError):
        render(project, chain(project, "base", "one"), pins={}, images={})


def test_a_bomb_costs_its_own_layer_only() -> None:
    found = faults_of(
        layer("before", {"apt.txt": "A\n"}),
        layer("bomb", {"apt.txt": "jq\n", "files/x.j2": "{{ 9**(9**8) }}"}),
        layer("behind", {"apt.txt": "B\n"}),
        bounds=Bounds(silence_s=1),
    )
    assert sorted(found) == [
        'layers/before/apt.txt:1:1: "A" is not a Debian package. Write one on a line.',
        'layers/behind/apt.txt:1:1: "B" is not a Debian package. Write one on a line.',
        "layers/bomb/files/x.j2:1:1: this template took more than 1 s, so it was stopped. Render less.",
    ]


def test_warnings_don_t_stop_anything() -> None:
    project = project_of(BASE, layer("x", {"Dockerfile.j2": "FROM parent\nENV API_TOKEN=1\n"}))
    graph = chain(project, "base", "x")
    rendered, problems = render_leniently(project, graph, pins={}, images={})
    assert [(one.severity, one.position.line) for one in problems] == [(Severity.WARNING, 2)]
    assert list(rendered) == list(render(project, graph, pins={}, images={})) == list(graph.nodes)


def test_upstream_images_must_be_declared_and_locked() -> None:
    body = "FROM a/b:1 AS x\nFROM c/d:1 AS y\nFROM parent\nCOPY --from=a/b:12 /x /y\n"
    project = project_of(BASE, layer("x", {"Dockerfile.j2": body}, upstream=("a/b:1",)))
    _, problems = render_leniently(project, chain(project, "base", "x"), pins={}, images={})
    assert [(one.position.line, one.what) for one in problems] == [
        (1, 'the upstream image "a/b:1" is not in hubstack.lock'),
        (2, '"c/d:1" is not declared (did you mean "a/b:1"?)'),
        (4, '"a/b:12" is not declared (did you mean "a/b:1"?)'),
    ]


def test_an_unlocked_base_says_so_where_the_image_is_named() -> None:
    project = project_of(UPSTREAM)
    _, problems = render_leniently(project, chain(project, "base-upstream"), pins={}, images={})
    assert [str(one) for one in problems] == [
        'base/base-upstream/layer.yaml:1:1: the upstream image "debian:trixie-slim" is not in hubstack.lock. Run `hubstack update`.'
    ]


# --- what the lock asks -------------------------------------------------------------------------------------------------

PYTHON = layer("python", {"apt.txt": "python3\n"}, python="{{ {'bookworm': '3.11', 'trixie': '3.13'}[release] }}")
LAB = layer(
    "lab", {"requirements.txt": "jupyterlab=={{ lab }}.* # the line\n\n  notebook>=7\n"}, default={"lab": "4.4"}
)


def test_requirements() -> None:
    project = project_of(BASE, PYTHON, LAB)
    chains: list[tuple[Sequence[str], Mapping[str, Value]]] = [
        (("base", "python", "lab"), {"release": release, "lab": lab}) for release in ("bookworm", "trixie") for lab in ("4.4", "4.5")
    ]  # fmt: skip
    found = render_requirements(project, handmade_graph(project, [*chains, (("base", "lab"), {})]))
    assert {node: (one.python, [line for line, _ in one.lines]) for node, one in found.items()} == {
        "base=bookworm>python>lab=4.4": ("3.11", ["jupyterlab==4.4.*", "notebook>=7"]),
        "base=bookworm>python>lab=4.5": ("3.11", ["jupyterlab==4.5.*", "notebook>=7"]),
        "base=trixie>python>lab=4.4": ("3.13", ["jupyterlab==4.4.*", "notebook>=7"]),
        "base=trixie>python>lab=4.5": ("3.13", ["jupyterlab==4.5.*", "notebook>=7"]),
        "base>lab": ("", ["jupyterlab==4.4.*", "notebook>=7"]),
    }
    assert [str(at) for _, at in found["base>lab"].lines] == [
        "layers/lab/requirements.txt:1:1",
        "layers/lab/requirements.txt:3:3",
    ]


def test_the_nearest_python_counts() -> None:
    project = project_of(BASE, PYTHON, layer("newer", python="3.14"), LAB)
    found = render_requirements(project, chain(project, "base", "python", "newer", "lab"))
    assert [one.python for one in found.values()] == ["3.14"]


def test_requirements_are_names_and_no_options() -> None:
    project = project_of(BASE, layer("x", {"requirements.txt": "--index-url http://x\nnumpy \\\n"}))
    with pytest.raises(ProjectError) as caught:
        render_requirements(project, chain(project, "base", "x"))
    assert [one.position.line for one in caught.value.problems] == [1, 2]


def test_upstream_references() -> None:
    project = project_of(UPSTREAM, BY_HAND)
    graph = handmade_graph(project, [(("base-upstream", "by-hand"), {"release": release}) for release in ("a", "b")])
    assert {name: str(at) for name, at in upstream_images(project, graph).items()} == {
        "debian:a-slim": "base/base-upstream/layer.yaml:1:1",
        "debian:b-slim": "base/base-upstream/layer.yaml:1:1",
        "ghcr.io/tool/tool:1.2": "layers/by-hand/layer.yaml:1:1",
    }


def test_a_reference_that_is_none() -> None:
    project = project_of(layer("base", image="debian {{ arch }}"))
    with pytest.raises(ProjectError, match='"debian amd64" is no image'):
        upstream_images(project, chain(project, "base"))
