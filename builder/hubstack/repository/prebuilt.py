"""A stack's repository as a node among the others: fetched, and then built as they are.

repo2docker itself has no part in it: it would build by its own rules, on the engine, and leave no OCI layout behind. The
Dockerfile is the one that the build pack gives to repo2docker, on a ``parent`` as every node has it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hubstack.buildx import BuildFailed, Job
from hubstack.engine import Engine
from hubstack.model import Rendered, Revision
from hubstack.render.repository import SCRIPTS
from hubstack.repository.build import STACK_LABEL, Checkout, checked_out
from hubstack.repository.checkout import RepositoryError, Source
from hubstack.repository.log import account, ends, readable
from hubstack.repository.recipe import render_dockerfile
from hubstack.repository.specification import Specification

_OWN_DOCKERFILE = (
    "the repository has a Dockerfile, which says itself what it stands on. Delete it, or build it by `hubstack repo --push` "
    "and offer it under `external`, in profiles/."
)


@dataclass(frozen=True, kw_only=True)
class Prebuilt:
    """How repositories are built in one run. ``scratch`` is a folder for their files."""

    engine: Engine
    scratch: Path
    ca_bundle: Path | None
    cancel: threading.Event

    def build(self, job: Job, *, stack: str, cache: str, on_line: Callable[[str], None]) -> None:
        """Build ``job``, whose rendered part names the repository, on ``stack``, as messages call it.

        Raises BuildFailed, with the place in the project's file, for what is wrong with the repository or in it, and
        whatever the engine raises.
        """
        revision = job.rendered.repository
        assert revision is not None
        with _blamed(job), self._checked_out(revision, on_line) as checkout:
            for warning in _warnings(checkout.wanted, stack):
                on_line(f"hubstack: warning: {warning}")
            _drop_ignored(checkout)
            labels = {STACK_LABEL: stack, "repo2docker.repo": revision.url, "repo2docker.ref": revision.commit}
            self._run(
                replace(
                    job,
                    rendered=_filled(job.rendered, checkout, stack, cache),
                    repository=checkout.folder,
                    labels={**job.labels, **labels},
                ),
                on_line,
            )

    @contextmanager
    def _checked_out(self, revision: Revision, on_line: Callable[[str], None]) -> Iterator[Checkout]:
        source = Source(url=revision.url, commit=revision.commit)
        on_line(f"fetching {revision.url} at {revision.commit}")
        with checked_out(
            revision.url, source, on_line=on_line, cancel=self.cancel, ca_bundle=self.ca_bundle, scratch=self.scratch
        ) as checkout:
            if checkout.wanted.dockerfile:
                raise RepositoryError(f"{checkout.wanted.path('Dockerfile')}: {_OWN_DOCKERFILE}")
            yield checkout

    def _run(self, job: Job, on_line: Callable[[str], None]) -> None:
        lines: list[str] = []

        def keep(line: str) -> None:
            lines.append(line)
            on_line(readable(line))

        try:
            self.engine.build(job, on_line=keep, cancel=self.cancel)
        except BuildFailed as failed:
            if not any(ends(line) for line in lines):
                raise  # not in one of the repository's steps: BuildKit's own words say it best
            said, tail = account(lines)
            raise BuildFailed(" ".join(said), position=failed.position, tail=tail, hint=failed.hint) from None


@contextmanager
def _blamed(job: Job) -> Iterator[None]:
    """Faults of a repository at the place where the project's file names it."""
    position = job.rendered.origins[0]
    revision = job.rendered.repository
    assert revision is not None
    try:
        yield
    except RepositoryError as error:
        raise BuildFailed(f"{job.node}: {error.message}", position=position, tail=(), hint=error.hint) from None
    except BuildFailed as error:
        what = error.message.removeprefix(f"{job.node}: ")
        shown = f"{job.node}: {revision.url}: {what}"
        raise BuildFailed(shown, position=position, tail=error.tail, hint=error.hint) from None


def _filled(rendered: Rendered, checkout: Checkout, stack: str, cache: str) -> Rendered:
    wanted = checkout.wanted
    script = checkout.folder / wanted.install_r if wanted.install_r else None
    dockerfile = render_dockerfile(
        wanted,
        image="parent",
        stack=stack,
        scripts={path.rpartition("/")[2]: path for path in SCRIPTS},
        labels={},
        install_r=script.read_text(encoding="utf-8", errors="replace") if script else "",
        cache=cache,
    )
    origins = rendered.origins[:1] * len(dockerfile.splitlines())
    return replace(rendered, dockerfile=dockerfile, origins=origins)


def _warnings(wanted: Specification, stack: str) -> Iterator[str]:
    yield from wanted.warnings
    if wanted.stack and wanted.stack not in {stack, stack.partition("/")[0]}:
        yield f"{wanted.path('stack')} names {wanted.stack}, but this is built on {stack}"


def _drop_ignored(checkout: Checkout) -> None:
    """What a .dockerignore names is not copied: by repo2docker's rule, beside the other files that it reads."""
    from docker.utils.build import exclude_paths

    folder = checkout.folder
    files = [folder / checkout.wanted.path(name) for name in (".dockerignore", ".containerignore")]
    lines = [line.strip() for file in files if file.is_file() for line in _text(file, folder).splitlines()]
    patterns = [line for line in lines if line and not line.startswith("#")]
    kept = exclude_paths(str(folder), patterns) if patterns else ()
    for path in sorted(folder.rglob("*")) if patterns else ():
        if str(path.relative_to(folder)) not in kept and (path.is_symlink() or not path.is_dir()):
            path.unlink()


def _text(file: Path, folder: Path) -> str:
    """Nothing where a link leads out of the repository."""
    inside = file.resolve().is_relative_to(folder.resolve())
    return file.read_text(encoding="utf-8", errors="replace") if inside else ""
