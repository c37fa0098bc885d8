"""Who owns what, as a CODEOWNERS file ("About code owners", GitHub's documentation): the last line that matches counts."""

from __future__ import annotations

from collections.abc import Iterator

from hubstack.errors import Problem, Severity
from hubstack.files.policy import is_owner
from hubstack.model import Kind, Layer, Project
from hubstack.policy.layer import owners_of
from hubstack.spelling import quote

FILE = ".github/CODEOWNERS"
_HEAD = """\
# Written by `hubstack owners` from the layers' `owners:` and the policy in hubstack.yaml: change those, not this file.
"""
_MAINTAINED = ("hubstack.yaml", "hubstack.lock", "profiles/", "layers/_macros/")


def render_codeowners(project: Project, below: str = "") -> tuple[str, list[Problem]]:
    """The file, and warnings of owners that GitHub doesn't know. Layers without owners are the maintainers'.

    ``below`` is where in its repository the project is, as ``images/``; empty at its top.
    """
    below = below.replace(" ", "\\ ")
    policy = project.settings.policy
    lines: list[tuple[str, tuple[str, ...]]] = [("*", policy.maintainers)] if policy.maintainers else []
    problems: list[Problem] = []
    for layer in sorted(project.layers.values(), key=lambda one: one.folder):
        if layer.kind is not Kind.REPOSITORY:
            problems += _unknown(layer)
            known = tuple(owner for owner in owners_of(layer, policy) if is_owner(owner))
            lines += [(f"/{below}{layer.folder}/", known)] if known else []
    if policy.maintainers:  # behind the layers', which may be anywhere
        paths = (*(f"/{below}{path}" for path in _MAINTAINED), "/.github/")
        lines += [(path, policy.maintainers) for path in paths]
    width = max((len(path) for path, _ in lines), default=0)
    return _HEAD + "".join(f"{path:<{width}}  {' '.join(owners)}\n" for path, owners in lines), problems


def _unknown(layer: Layer) -> Iterator[Problem]:
    for index, owner in enumerate(layer.owners):
        if not is_owner(owner):
            yield Problem(
                position=layer.source.at("owners", index),
                what=f"{quote(owner)} can't stand in a CODEOWNERS file",
                remedy="Write @user, @organisation/team or an e-mail address.",
                severity=Severity.WARNING,
            )
