"""BuildKit through buildx: one build as a command line, a context on stdin, and an OCI layout that comes out.

Nothing is pushed by BuildKit (it would retry what it should not, and name an image before its tests have passed).
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import tarfile
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from hubstack import command
from hubstack.bootstrap import make_rootfs
from hubstack.errors import CommandFailed, EngineError, HubstackError
from hubstack.model import Rendered, SourceFile
from hubstack.oci import SOURCE_DATE_EPOCH, read_layout
from hubstack.reference import Digest
from hubstack.source import Position

CA_SECRET = "hubstack-ca"  # noqa: S105 - the name of a BuildKit secret, not a secret
PLUGIN_FOLDERS = (  # where the docker CLI looks, in its order
    "~/.docker/cli-plugins",
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
    "/Applications/Docker.app/Contents/Resources/cli-plugins",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One build. ``contexts`` are buildx's named contexts: ``parent`` and the layers that are copied from."""

    node: str
    platform: str
    rendered: Rendered
    contexts: Mapping[str, str]
    labels: Mapping[str, str]
    layout: Path  # an empty folder for the result, with ``blobs`` in place
    below: tuple[Digest, ...] = ()  # the parent's diff ids, on which the result must stand; empty: nobody asks
    repository: Path | None = None  # a folder that lies in the context as src/
    near: str = ""  # jobs that say the same here go to one builder, where there are several


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """What builds: buildx's plugin binary, called without docker's client in between, and one of its builders."""

    plugin: str
    name: str = ""  # empty: the engine's own
    driver: str = ""
    ca_bundle: Path | None = None
    limits: command.Limits = field(default_factory=command.Limits)


class BuildFailed(HubstackError):
    """A build step failed. ``position`` is the template's line, ``tail`` the step's last lines."""

    def __init__(self, message: str, *, position: Position | None, tail: Sequence[str], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.position, self.tail = position, tuple(tail)


def find_plugin() -> str:
    """The path of buildx. Raises EngineError."""
    config = os.environ.get("DOCKER_CONFIG")
    folders = [Path(config) / "cli-plugins"] if config else []
    folders += [Path(folder).expanduser() for folder in PLUGIN_FOLDERS]
    for path in (folder / "docker-buildx" for folder in folders):
        if os.access(path, os.X_OK):
            return str(path)
    if (found := shutil.which("docker-buildx") or shutil.which("buildx")) is None:
        raise EngineError("docker buildx is not installed", hint="Install Docker's buildx plugin, 0.12 or newer.")
    return found


def build(
    job: Job, builder: Builder, *, scratch: Path, on_line: Callable[[str], None], cancel: threading.Event | None
) -> None:
    """Build ``job`` into its layout. Raises BuildFailed, DeadlineExceeded, EngineError, or Cancelled."""
    with tempfile.TemporaryDirectory(dir=scratch, prefix="build-") as name:
        folder = Path(name)
        rootfs = _rootfs(job, folder, on_line, cancel)
        metadata = folder / "metadata.json"
        lines: list[str] = []

        def keep(line: str) -> None:
            lines.append(line)
            on_line(line)

        with tempfile.TemporaryFile(dir=folder) as context:
            write_context(context, job, rootfs)
            context.seek(0)
            argv = buildx_argv(builder, job, metadata=metadata)
            try:
                command.run(
                    argv, env=environment(builder), stdin=context, on_line=keep, limits=builder.limits, cancel=cancel
                )
            except CommandFailed:
                raise failure(job, lines) from None
        _forget(metadata)
    if job.below and read_layout(job.layout).config.diff_ids[: len(job.below)] != job.below:
        what = f"{job.node}: the engine has put it on other filesystem layers than its parent's"
        raise EngineError(what, hint="They are in its cache, which `docker builder prune` empties.")


def environment(builder: Builder) -> dict[str, str]:
    """A docker context is a builder only while it is the current one, and DOCKER_HOST would hide it."""
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(SOURCE_DATE_EPOCH)}
    if builder.driver == "docker" and builder.name not in {"", "default"}:
        env.pop("DOCKER_HOST", None)
        env["DOCKER_CONTEXT"] = builder.name
    return env


def _rootfs(job: Job, folder: Path, on_line: Callable[[str], None], cancel: threading.Event | None) -> Path | None:
    if job.rendered.bootstrap is None:
        return None
    target = folder / "rootfs.tar"
    make_rootfs(
        job.rendered.bootstrap,
        job.platform,
        target,
        source_date_epoch=SOURCE_DATE_EPOCH,
        on_line=on_line,
        cancel=cancel,
    )
    return target


def buildx_argv(builder: Builder, job: Job, *, metadata: Path) -> list[str]:
    """The build's command line. The context, with the Dockerfile in it, is a tar on stdin."""
    return [
        builder.plugin,
        "build",
        "-",
        *(["--builder", builder.name] if builder.name else []),
        f"--platform={job.platform}",
        "--progress=plain",
        "--provenance=false",  # attestations hold the time: the digest would differ at every run
        "--sbom=false",
        *(f"--build-context={name}={where}" for name, where in job.contexts.items()),
        *(f"--build-arg={name}={value}" for name, value in job.rendered.arguments.items()),
        *(f"--label={name}={value}" for name, value in job.labels.items()),
        *([f"--secret={_fields(f'id={CA_SECRET}', f'src={builder.ca_bundle}')}"] if builder.ca_bundle else []),
        f"--output={_fields('type=oci', f'dest={job.layout}', 'tar=false')}",
        f"--metadata-file={metadata}",
    ]


def _fields(*fields: str) -> str:
    """Buildx reads such values as a line of CSV: a folder's name may hold a comma."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


def write_context(file: IO[bytes], job: Job, rootfs: Path | None) -> None:
    """The build context as a tar: exactly the bytes that were fingerprinted, and the base's rootfs where there is one.

    Beside them in .hubstack, which each step of ours has mounted, are the filesystem layers below. BuildKit 0.13 to 0.15.1 knows
    a step with a secret by the files below it, and not by how these came there (moby/buildkit#5251): out of its cache would
    come an image on another parent's layers.
    """
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        add_file(tar, SourceFile(path="Dockerfile", content=job.rendered.dockerfile.encode()))
        for one in job.rendered.context:
            add_file(tar, one)
        if job.below:
            add_file(tar, SourceFile(path=".hubstack/below", content="\n".join(job.below).encode()))
        if job.repository is not None:
            _add_folder(tar, job.repository, "src")
        if rootfs is not None:
            _add_path(tar, rootfs, "rootfs.tar")


def _add_folder(tar: tarfile.TarFile, folder: Path, name: str) -> None:
    """As git keeps files: with their names, content and links, and whether they are executable."""
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, SOURCE_DATE_EPOCH
    tar.addfile(info)
    for path in sorted(folder.iterdir()):
        inner = f"{name}/{path.name}"
        if path.is_symlink():
            add_file(tar, SourceFile(path=inner, link=str(path.readlink())))
        elif path.is_dir():
            _add_folder(tar, path, inner)
        elif path.is_file():
            _add_path(tar, path, inner)


def _add_path(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """A file of any size, read bit by bit."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime = path.stat().st_size, SOURCE_DATE_EPOCH
    info.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
    with path.open("rb") as content:
        tar.addfile(info, content)


def add_file(tar: tarfile.TarFile, file: SourceFile) -> None:
    info = tarfile.TarInfo(file.path)
    info.mtime = SOURCE_DATE_EPOCH
    info.mode = 0o755 if file.executable else 0o644
    if file.link is not None:
        info.type, info.linkname = tarfile.SYMTYPE, file.link
    info.size = len(file.content)
    tar.addfile(info, io.BytesIO(file.content))


def failure(job: Job, lines: Sequence[str]) -> BuildFailed:
    """What a failed build's output says: which line of the template, and the failed step's last words."""
    position = None
    for line in lines:
        match = re.match(r"\s*(\d+) \| >>> ", line)
        if match is not None and job.rendered.origins:  # what settles a merge is in no file of the project
            position = job.rendered.origins[int(match[1]) - 1]
            break
    tail = [re.sub(r"^#\d+ (\d+\.\d+ )?", "", line) for line in _last_step(lines)]
    reason = next((line.removeprefix("ERROR: ") for line in reversed(lines) if line.startswith("ERROR: ")), "it failed")
    # BuildKit quotes the whole script, which position and tail show better
    reason = re.sub(r'process ".*" did not complete successfully: exit code:', "a command ended with code", reason)
    hint = ""
    if any("no space left on device" in line.lower() for line in lines):
        hint = "The engine's disk is full: `docker builder prune` frees what builds have cached. "
        hint += "In a step it may be /tmp instead, which is memory."
    return BuildFailed(
        f"{job.node}: {reason.removeprefix('failed to solve: ')}", position=position, tail=tail, hint=hint
    )


def _last_step(lines: Sequence[str]) -> list[str]:
    """The last lines of the step that failed: plain progress names it in ``#7 ERROR: …``."""
    failed = next((line.split()[0] for line in reversed(lines) if re.match(r"#\d+ ERROR", line)), None)
    if failed is None:
        return list(lines[-20:])
    return [line for line in lines if re.match(rf"{failed} \d+\.\d+ ", line)][-20:]


def _forget(metadata: Path) -> None:
    """Remove buildx's note of the build: it keeps one file a build and never cleans up."""
    ref = json.loads(metadata.read_bytes()).get("buildx.build.ref", "")
    config = Path(
        os.environ.get("BUILDX_CONFIG") or f"{os.environ.get('DOCKER_CONFIG') or Path.home() / '.docker'}/buildx"
    )
    if ref:
        (config / "refs" / ref).unlink(missing_ok=True)
