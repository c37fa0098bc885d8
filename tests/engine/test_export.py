"""`docker buildx bake` on what `hubstack export bake` has written, beside what hubstack builds itself."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hubstack.oci import read_layout
from hubstack.reference import Digest, ImageRef
from hubstack.registry import Registry

from tests.engine.workbench import Run, Work, layer_of

pytestmark = pytest.mark.engine


def test_bake_makes_the_same_images(built: tuple[Work, Run], registry: Registry, tmp_path: Path) -> None:
    work, run = built
    folder = tmp_path / "bake"
    work.run("export", "bake", "both", "small", "--output", str(folder))
    targets = json.loads((folder / "docker-bake.json").read_text())["group"]["default"]["targets"]
    assert len(targets) == 3
    steps = bake(folder, {target: tmp_path / target for target in targets})
    assert len([step for step in steps if " RUN " in step]) >= 8  # debian, python, tool, numbers, 2 words, 2 both
    for target in targets:
        layout = read_layout(tmp_path / target)
        ours = registry.manifest(work.prefix.child("build").with_digest(Digest(layout.manifest.digest)))
        assert layout.manifest.digest in run.digests.values()
        assert ours is not None
        assert [layer.digest for layer in layout.manifest.layers] == [layer.digest for layer in ours.layers]


def test_a_workflow_s_jobs_one_by_one_make_the_same_images(
    built: tuple[Work, Run], registry: Registry, fresh_prefix: Callable[[], ImageRef], tmp_path: Path
) -> None:
    """Each job as its pod runs it, in a clone of its own, with a builder of this machine; one of them twice."""
    work = replace(built[0], prefix=fresh_prefix())
    written = work.run("export", "argo", "small", "--image", "any", "--ca-secret", "ca").stdout
    templates = {one["name"]: one for one in yaml.safe_load(written)["spec"]["templates"]}
    order = templates["family"]["dag"]["tasks"]
    assert [layer_of(task["name"]) for task in order[:-1]] == ["debian", "python", "numbers"]
    done = {}
    for number, task in enumerate([*order[:-1], order[1], order[-1]]):
        given = {one["name"]: one["value"] for one in task.get("arguments", {}).get("parameters", [])}
        words = templates[task["template"]]["container"]["args"]
        words = [word.replace("{{inputs.parameters.node}}", given.get("node", "")) for word in words]
        words = [word.replace("buildkit-1", "default") for word in words]
        clone = work.clone(tmp_path / str(number))
        done[number] = clone.run(*words).stdout
    assert '"result": "built"' in done[1]
    assert '"result": "built"' not in done[3]  # the same job again
    ref = registry.head(work.prefix.child("small").with_tag("default-latest"))
    assert ref == built[1].digests["small/default"]


def bake(folder: Path, layouts: dict[str, Path]) -> list[str]:
    """The steps of a bake in which no command's result came out of a cache, hubstack's own builds' least of all."""
    for layout in layouts.values():
        layout.mkdir()
    outputs = [f"--set={target}.output=type=oci,dest={layout},tar=false" for target, layout in layouts.items()]
    words = ["docker", "buildx", "bake", "--no-cache", "--progress=plain", *outputs]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    steps = dict(re.findall(r"^(#\d+) (\[.*)$", done.stderr, re.MULTILINE))
    cached = re.findall(r"^(#\d+) CACHED", done.stderr, re.MULTILINE)
    assert not [steps[step] for step in cached if " RUN " in steps[step]]
    return list(steps.values())
