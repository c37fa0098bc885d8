"""What a repository asks for, from the files that repo2docker reads too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hubstack.repository.condaspec import parse_condaspec
from hubstack.repository.specification import Fault, Specification, read_specification


def repository(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def read(folder: Path, files: Mapping[str, str]) -> Specification:
    return read_specification(repository(folder, files))


def faults(folder: Path, files: Mapping[str, str]) -> tuple[str, ...]:
    with pytest.raises(Fault) as caught:
        read(folder, files)
    return caught.value.messages


def test_an_empty_repository_asks_for_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, {"README.md": "hello"}) == Specification()


@pytest.mark.parametrize("folder", ["binder", ".binder"])
def test_only_the_folder_counts_where_there_is_one(tmp_path: Path, folder: str) -> None:
    wanted = read(tmp_path, {f"{folder}/apt.txt": "hello\n", "requirements.txt": "numpy\n", "postBuild": "#!/bin/sh\n"})
    assert [line.text for line in wanted.apt] == ["hello"]
    assert wanted.requirements == ()
    assert wanted.post_build == ""
    assert wanted.path("start") == f"{folder}/start"


def test_two_folders_are_one_too_many(tmp_path: Path) -> None:
    assert "both binder/ and .binder/" in faults(tmp_path, {"binder/apt.txt": "", ".binder/apt.txt": ""})[0]


def test_every_file_is_read(tmp_path: Path) -> None:
    wanted = read(
        tmp_path,
        {
            "binder/stack": "# ours\nscipy/trixie-4.5\n",
            "binder/runtime.txt": "python-3.13\n",
            "binder/apt.txt": "# tools\nhello  cowsay=3.03\n",
            "binder/requirements.txt": "numpy>=1 # why\n\n-r more.txt\n",
            "binder/install.R": "",
            "binder/postBuild": "",
            "binder/start": "",
        },
    )
    assert (wanted.stack, wanted.python) == ("scipy/trixie-4.5", "3.13")
    assert [(line.text, line.where) for line in wanted.apt] == [
        ("hello", "binder/apt.txt:2"),
        ("cowsay=3.03", "binder/apt.txt:2"),
    ]
    assert [(line.text, line.where) for line in wanted.requirements] == [
        ("numpy>=1", "binder/requirements.txt:1"),
        ("-r more.txt", "binder/requirements.txt:3"),
    ]
    assert wanted.local
    assert wanted.needs_r
    assert (wanted.install_r, wanted.post_build, wanted.start) == (
        "binder/install.R",
        "binder/postBuild",
        "binder/start",
    )


def test_a_dockerfile_wins(tmp_path: Path) -> None:
    wanted = read(
        tmp_path, {"binder/Dockerfile": "FROM x", "binder/apt.txt": "Not A Package", "binder/stack": "minimal"}
    )
    assert wanted == Specification(folder="binder", dockerfile=True, stack="minimal")


def test_an_environment_wins_over_requirements_and_says_so(tmp_path: Path) -> None:
    wanted = read(
        tmp_path,
        {
            "environment.yml": "dependencies:\n  - python=3.12\n  - numpy=1.26\n  - pip:\n      - humanize\n",
            "requirements.txt": "flask\n",
        },
    )
    assert [line.text for line in wanted.requirements] == ["humanize"]
    assert wanted.requirements[0].where == "environment.yml:5"
    assert [(line.spec.name, line.spec.alternatives) for line in wanted.conda] == [
        ("python", ("==3.12.*",)),
        ("numpy", ("==1.26.*",)),
    ]
    assert wanted.python == "3.12"
    assert wanted.warnings == ("requirements.txt is not read, because there is environment.yml: as in repo2docker",)


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    wanted = read(tmp_path, {"Pipfile": "", "Project.toml": ""})
    assert [warning.split()[0] for warning in wanted.warnings] == ["Project.toml", "Pipfile"]


def test_a_python_package_is_installed_by_repo2dockers_rule(tmp_path: Path) -> None:
    built = "[project]\nname='x'\n[build-system]\nrequires=[]\n"
    assert read(tmp_path / "a", {"pyproject.toml": built}).package
    assert not read(tmp_path / "b", {"pyproject.toml": "[tool.ruff]\n"}).package
    assert not read(tmp_path / "c", {"pyproject.toml": built, "binder/apt.txt": ""}).package


def test_all_faults_come_together_with_file_and_line(tmp_path: Path) -> None:
    said = faults(
        tmp_path,
        {
            "binder/stack": "one\ntwo\n",
            "binder/runtime.txt": "julia-1.9\n",
            "binder/apt.txt": "fine\n; rm -rf /\n",
            "binder/environment.yml": "dependencies:\n  - a b c d\n  - {conda: [x]}\n",
        },
    )
    for place in ("stack:2", "runtime.txt:1", "apt.txt:2", "environment.yml:2", "environment.yml:3"):
        assert any(one.startswith(f"binder/{place}: ") for one in said), (place, said)


def test_a_link_out_of_the_repository_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the machine's own\n")
    folder = repository(tmp_path / "repository", {"binder/more/list": "humanize\n"})
    (folder / "binder" / "requirements.txt").symlink_to("more/list")
    assert [line.text for line in read_specification(folder).requirements] == ["humanize"]
    (folder / "binder" / "apt.txt").symlink_to("../../secret")
    assert faults(folder, {}) == ("binder/apt.txt leads out of the repository. Put the file itself there.",)


@pytest.mark.parametrize("text", ["- just\n- a list\n", "dependencies: text\n"])
def test_an_environment_is_a_mapping_with_a_list(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, {"environment.yml": text}) == (
        "environment.yml: it is no mapping with a list of `dependencies`.",
    )


def test_broken_yaml_has_a_line(tmp_path: Path) -> None:
    assert faults(tmp_path, {"environment.yml": "dependencies:\n  - [a\n"})[0].startswith("environment.yml:")


@pytest.mark.parametrize(
    ("text", "name", "alternatives"),
    [
        ("numpy", "numpy", ()),
        ("Numpy=1.26", "numpy", ("==1.26.*",)),
        ("numpy=1.26.*", "numpy", ("==1.26.*",)),
        ("numpy==1.26.4", "numpy", ("==1.26.4",)),
        ("numpy 1.26.4", "numpy", ("==1.26.4",)),
        ("numpy >=1.2, <2", "numpy", (">=1.2,<2",)),
        ("numpy=1.26=py311_0", "numpy", ("==1.26.*",)),
        ("conda-forge::numpy>=1", "numpy", (">=1",)),
        ("numpy[version='>=1.2']", "numpy", (">=1.2",)),
        ("python=3.11|3.12", "python", ("==3.11.*", "==3.12")),
        ("numpy=*", "numpy", ()),
    ],
)
def test_condas_way_to_ask_for_a_version(text: str, name: str, alternatives: tuple[str, ...]) -> None:
    spec = parse_condaspec(text)
    assert (spec.name, spec.alternatives) == (name, alternatives)


@pytest.mark.parametrize("text", ["", "-e .", "numpy=>1", "numpy>=oops!"])
def test_what_is_no_package(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$|>"):
        parse_condaspec(text)
