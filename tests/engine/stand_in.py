"""What stands in for the actions of others: a clone, a copied folder, and what is installed here already."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from tests.engine.machine import Machine

StandIn: TypeAlias = Callable[[Machine, Mapping[str, str]], None]
"""Gets what stands under ``with:``, and of the run ``origin``, ``ref``, ``commit`` and the folder ``artifacts``."""


def _checkout(machine: Machine, given: Mapping[str, str]) -> None:
    assert given["persist-credentials"] == "false"
    depth, branch = given.get("fetch-depth", "1"), given["ref"].removeprefix("refs/heads/")
    place = ["--detach"] if branch.startswith("refs/") else ["-B", branch]
    for words in (
        ["init", "--quiet", "."],
        ["remote", "add", "origin", given["origin"]],
        ["fetch", "--quiet", *([] if depth == "0" else [f"--depth={depth}"]), "origin", given["commit"]],
        ["checkout", "--quiet", *place, "FETCH_HEAD"],
    ):
        assert machine.run(["git", *words], {}, machine.folder / "job.log") == 0, words


def _there(command: str) -> StandIn:
    def look(machine: Machine, _given: Mapping[str, str]) -> None:
        assert shutil.which(command, path=machine.env["PATH"]), f"{command} is not installed here"

    return look


def _upload(machine: Machine, given: Mapping[str, str]) -> None:
    target = Path(given["artifacts"]) / given["name"]
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for word in given["path"].split():
        source = machine.workspace / word
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copy(source, target)


def _download(machine: Machine, given: Mapping[str, str]) -> None:
    shutil.copytree(Path(given["artifacts"]) / given["name"], machine.workspace / given["path"], dirs_exist_ok=True)


STAND_INS: Mapping[str, StandIn] = {
    "actions/checkout": _checkout,
    "actions/setup-python": _there("python"),
    "actions/upload-artifact": _upload,
    "actions/download-artifact": _download,
    "sigstore/cosign-installer": _there("cosign"),
}
