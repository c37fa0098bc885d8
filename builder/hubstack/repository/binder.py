"""What a BinderHub needs to build on stacks: the image in which it starts repo2docker, and that program's arguments.

A build pod can't be given a file of ours, so the configuration and the build pack come in the image. Of hubstack it has
only what the build pack imports.
"""

from __future__ import annotations

import pprint
from collections.abc import Mapping, Sequence
from pathlib import Path

from hubstack.repository.choice import Offer

FOLDER = "/srv/stack"  # in the image
CONFIG = "repo2docker_config.py"
REPO2DOCKER = "quay.io/jupyterhub/repo2docker"
_PACKAGE = Path(__file__).parents[1]
_MODULES = (
    "__init__.py",
    "inside/entrypoint.sh",
    "inside/provide.py",
    "render/templates/run.sh",
    "repository/__init__.py",
    "repository/buildpack.py",
    "repository/choice.py",
    "repository/condaspec.py",
    "repository/recipe.py",
    "repository/specification.py",
)
_DOCKERFILE = """\
# The image in which BinderHub runs repo2docker (its KubernetesBuildExecutor.build_image), written by hubstack.
# Build it in this folder and push it to where the cluster pulls from:
#     docker build --tag REGISTRY/NAME:TAG . && docker push REGISTRY/NAME:TAG
FROM {repo2docker}
COPY hubstack/ {folder}/hubstack/
COPY {config} {folder}/
"""
_CONFIG = """\
# What repo2docker builds repositories on, written by hubstack. Dockerfiles still win.
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))

from hubstack.repository.buildpack import configure
from hubstack.repository.choice import Offer

offers = {offers}
configure(c, [Offer(**one) for one in offers])
c.Repo2Docker.base_image = {image!r}
"""


def build_image_files(
    stack_image: str, stacks: Mapping[str, str | Offer], *, repo2docker: str = ""
) -> Mapping[str, bytes]:
    """The build image's recipe: a folder's files by path, with a Dockerfile.

    ``stacks`` are those that a repository may name in binder/stack: STACK/VARIANT → image by digest, the smallest first;
    as an Offer with its Python and layers, by which a repository that names none is given one that fits. ``stack_image``
    is the default, and the only one where there are none. ``repo2docker`` is its image's tag; empty: the release that
    hubstack runs here.
    """
    offers = [one if isinstance(one, Offer) else Offer(name=name, image=one) for name, one in stacks.items()]
    dockerfile = _DOCKERFILE.format(
        repo2docker=f"{REPO2DOCKER}:{repo2docker or _release()}", folder=FOLDER, config=CONFIG
    )
    config = _CONFIG.format(
        offers=_literal(offers),
        image=stack_image,
    )
    files = {f"hubstack/{name}": (_PACKAGE / name).read_bytes() for name in _MODULES}
    return {"Dockerfile": dockerfile.encode(), CONFIG: config.encode(), **files}


def extra_args(stack_image: str = "") -> list[str]:
    """KubernetesBuildExecutor.repo2docker_extra_args. ``stack_image`` is the default in place of the build image's own."""
    base = [f"--Repo2Docker.base_image={stack_image}"] if stack_image else []
    return [f"--config={FOLDER}/{CONFIG}", *base]


def _literal(offers: Sequence[Offer]) -> str:
    values = [
        {"name": one.name, "image": one.image, "python": one.python, "provides": sorted(one.provides)} for one in offers
    ]
    return pprint.pformat(values, width=110, sort_dicts=False)


def _release() -> str:
    """PyPI calls 2026.04.0, as its tags and images are called, 2026.4.0."""
    from importlib.metadata import version

    year, month, *rest = version("jupyter-repo2docker").split(".")
    return ".".join([year, month.zfill(2), *rest])
