"""A specification as a Dockerfile on top of a stack.

What does not depend on the repository's other files comes before they are copied, so that editing a notebook installs
nothing again. The steps find what hubstack brings to them in bind mounts: nothing of it stays in the image.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hubstack.repository.specification import Line, Specification

REPO_DIR = "/srv/repo"  # a volume over the home does not cover it
UID, GID = 1000, 100  # as hubs run images of the Jupyter family
USER = f"{UID}:{GID}"
SOURCE_DATE_EPOCH = 1767225600  # as in the stack's own layers
PROVIDE, STEP, ENTRYPOINT = "provide.py", "run.sh", "entrypoint.sh"
_HERE = "/tmp/.hubstack"  # noqa: S108 - in a step, where /tmp is a tmpfs
_SECRET = "--mount=type=secret,id=hubstack-ca,required=false,mode=0444"  # noqa: S105 - the name of one
_READS_FILES = re.compile(r"\b(source|install_local|read\w*|file\w*|renv|here|load_all)\b\s*(::|\()")


def render_dockerfile(
    wanted: Specification,
    *,
    image: str,
    stack: str,
    scripts: Mapping[str, str],
    labels: Mapping[str, str],
    install_r: str = "",
    cache: str = "",
) -> str:
    """``stack`` is what messages call ``image``; ``scripts`` says where in the build context PROVIDE and the others lie.

    ``install_r`` is the text of install.R, of which it depends when that is run. ``cache`` tells apt's caches of one
    stack from another's where ``image`` doesn't. The context has the repository in src/.
    """
    late_r = bool(_READS_FILES.search(install_r))
    late = wanted.local or wanted.package
    lines = [
        f"FROM {image}",
        "USER root",
        f"ARG SOURCE_DATE_EPOCH={SOURCE_DATE_EPOCH}",
        f"ARG REPO_DIR={REPO_DIR}",
        "ENV REPO_DIR=${REPO_DIR}",
        *_check(wanted, stack, scripts),
        *_apt(wanted, cache or image, scripts),
        *([] if late else _install(wanted, stack, scripts)),
        *(_install_r(wanted, scripts, late=False) if not late_r else []),
        *_repository(),
        *(_install(wanted, stack, scripts) if late else []),
        *(_install_r(wanted, scripts, late=True) if late_r else []),
        *_post_build(wanted, stack, scripts),
        *_start(wanted, scripts),
        *(f"LABEL {json.dumps(name)}={_quote(value)}" for name, value in sorted(labels.items())),
        f"USER {USER}",
    ]
    return "\n".join(lines) + "\n"


def _check(wanted: Specification, stack: str, scripts: Mapping[str, str]) -> Iterator[str]:
    if wanted.runtime or wanted.apt or wanted.requirements or wanted.conda:
        asked = {
            "stack": stack,
            "runtime": _runtime(wanted),
            "apt": _lines(wanted.apt),
            "requirements": _lines(wanted.requirements),
            "conda": [
                {
                    "name": line.spec.name,
                    "alternatives": line.spec.alternatives,
                    "text": line.text,
                    "where": line.where,
                }
                for line in wanted.conda
            ],
        }
        yield f"USER {USER}"
        yield from _provide("check", asked, scripts)


def _apt(wanted: Specification, stack: str, scripts: Mapping[str, str]) -> Iterator[str]:
    if wanted.apt:
        cache = hashlib.sha256(stack.encode()).hexdigest()[:12]
        mounts = [
            f"--mount=type=cache,id=hubstack-repository-apt-lists-{cache},target=/var/lib/apt/lists,sharing=locked",
            f"--mount=type=cache,id=hubstack-repository-apt-{cache},target=/var/cache/apt,sharing=locked",
        ]
        # what the stack has, stays: neither upgraded because it is named, nor removed for something else
        options = "--no-install-recommends --no-upgrade --no-remove"
        packages = " \\\n".join(sorted({line.text for line in wanted.apt}))
        yield "USER root"
        yield from _run(f"sh {_HERE}/{STEP} apt", f"apt-get install -y {options} \\\n{packages}", STEP, scripts, mounts)


def _install(wanted: Specification, stack: str, scripts: Mapping[str, str]) -> Iterator[str]:
    if wanted.requirements or wanted.environment or wanted.package:
        asked = {
            "stack": stack,
            "requirements": _lines(wanted.requirements),
            "path": wanted.requirements_path if wanted.local else "",
            "environment": wanted.environment,
            "environment_path": wanted.environment_path if wanted.local else "",
            "package": wanted.package,
        }
        yield f"USER {USER}"
        yield from _provide("install", asked, scripts)


def _install_r(wanted: Specification, scripts: Mapping[str, str], *, late: bool) -> Iterator[str]:
    """As root, for a stack's R keeps its packages where users may not write. ``late``: in the repository."""
    if wanted.install_r:
        path = wanted.install_r if late else f"{_HERE}/install.R"
        mounts = [] if late else [_bind(f"src/{wanted.install_r}", "install.R")]
        # install.packages() only warns when a package can't be installed
        body = f"umask 002\nRscript --no-save --no-restore -e 'options(warn = 2)' -e 'source(\"{path}\", echo = TRUE)'"
        yield "USER root"
        yield from _run(f"sh {_HERE}/{STEP}", body, STEP, scripts, mounts)


def _repository() -> list[str]:
    path = "$REPO_DIR/.local/bin:$PATH:${HOME:-/home/jovyan}/.local/bin"
    return [
        "USER root",
        # Debian's /etc/profile sets PATH anew in login shells, and JupyterLab's terminals are login shells
        f'RUN install -d -o {UID} -g {GID} "$REPO_DIR" && mkdir -p /etc/profile.d && \\',
        f"    printf 'PATH=%s\\n' \"{path}\" >/etc/profile.d/zz-repository.sh",
        f"ENV PATH={path}",
        "WORKDIR ${REPO_DIR}",
        f"COPY --chown={USER} src/ ${{REPO_DIR}}/",
    ]


def _post_build(wanted: Specification, stack: str, scripts: Mapping[str, str]) -> Iterator[str]:
    if wanted.post_build:
        yield f"USER {USER}"
        yield from _provide("postBuild", {"stack": stack, "post_build": wanted.post_build}, scripts)


def _start(wanted: Specification, scripts: Mapping[str, str]) -> Iterator[str]:
    """Without a start script the stack's own entrypoint and command stay what they are."""
    if wanted.start:
        yield "USER root"
        yield f"COPY --chmod=0755 {scripts[ENTRYPOINT]} /usr/local/bin/hubstack-entrypoint"
        yield f'RUN chmod +x "$REPO_DIR/{wanted.start}"'
        yield f"ENV HUBSTACK_START=${{REPO_DIR}}/{wanted.start}"
        yield 'ENTRYPOINT ["/usr/local/bin/hubstack-entrypoint"]'
        yield 'CMD ["jupyter", "lab"]'


def _provide(step: str, asked: Mapping[str, Any], scripts: Mapping[str, str]) -> Iterator[str]:
    program = '"$(command -v python || command -v python3)"'
    text = json.dumps(asked, indent=1, ensure_ascii=True)  # one item a line: Docker reads lines of at most 64 KiB
    yield from _run(f"exec {program} {_HERE}/{PROVIDE} {step}", text, PROVIDE, scripts, [])


def _run(command: str, script: str, program: str, scripts: Mapping[str, str], mounts: Sequence[str]) -> Iterator[str]:
    yield "RUN --mount=type=tmpfs,target=/tmp \\"
    yield f"    {_bind(scripts[program], program)} \\"
    yield from (f"    {mount} \\" for mount in mounts)
    yield f"    {_SECRET} \\"
    yield f"    {command} <<'EOF'"
    yield script
    yield "EOF"


def _bind(source: str, name: str) -> str:
    return f"--mount=type=bind,source={source},target={_HERE}/{name}"


def _runtime(wanted: Specification) -> dict[str, str] | None:
    if wanted.runtime is None:
        return None
    return {"name": wanted.runtime.name, "version": wanted.runtime.version, "where": wanted.runtime.where}


def _lines(lines: Sequence[Line]) -> list[dict[str, str]]:
    return [{"text": line.text, "where": line.where} for line in lines]


def _quote(text: str) -> str:
    """As Dockerfiles quote: a dollar sign would be a variable."""
    return '"' + re.sub(r'(["\\$])', r"\\\1", text) + '"'
