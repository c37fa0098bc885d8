"""A repository to start from."""

from __future__ import annotations

from collections.abc import Mapping

from hubstack.repository.recipe import REPO_DIR, USER

_DOCKERFILE = """\
# The stack {stack}, by its digest. Where a BinderHub builds on stacks by itself, delete this file: then binder/stack counts.
FROM {image}
COPY --chown={user} . {folder}/
WORKDIR {folder}
# What the stack has keeps its version.
RUN python -m pip list --format=freeze >/tmp/stack.txt && \\
    python -m pip install --no-cache-dir --constraint /tmp/stack.txt --requirement binder/requirements.txt && \\
    rm /tmp/stack.txt
"""
_REQUIREMENTS = """\
# Python packages that the stack {stack} has not, one a line.
"""
_README = """\
# {title}

Notebooks on the stack `{stack}`. Everything that a hub needs to build them is in `binder/`:

* `requirements.txt`: Python packages on top of the stack's;
* `stack`: the stack's name, for hubs that build repositories on stacks;
* `Dockerfile`: the same for every other BinderHub and for repo2docker. Where it stands, it alone counts.

`repo2docker .` or `hubstack repo .` builds it here.
"""


def repository_files(title: str, stack: str, image: str) -> Mapping[str, str]:
    """The files by path. ``image`` is the stack's, as name:tag@digest."""
    return {
        "README.md": _README.format(title=title, stack=stack),
        "binder/Dockerfile": _DOCKERFILE.format(stack=stack, image=image, user=USER, folder=REPO_DIR),
        "binder/requirements.txt": _REQUIREMENTS.format(stack=stack),
        "binder/stack": f"{stack}\n",
    }
