"""A repository's image: checked out, rendered and built by repo2docker on the local engine.

repo2docker runs as a child with a configuration of ours. Certificates for an intercepting proxy go in as a BuildKit
secret, through the arguments that repo2docker hands on to `docker buildx build`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hubstack import command
from hubstack.buildx import CA_SECRET
from hubstack.engine import USER, Docker
from hubstack.errors import CommandFailed, EngineError, HubstackError
from hubstack.names import FINGERPRINT_LABEL
from hubstack.repository.checkout import RepositoryError, Source, check_out, find_source
from hubstack.repository.choice import Offer, choose
from hubstack.repository.log import ends, explain, readable
from hubstack.repository.specification import Fault, Specification, read_specification

STACK_LABEL = "io.github.hubstack.repository.stack"
_CONFIG = """\
from repo2docker.contentproviders import Local

from hubstack.repository.buildpack import configure
from hubstack.repository.choice import Offer

configure(c, [Offer(name={name!r}, image={image!r})])
c.Repo2Docker.base_image = {image!r}
c.Repo2Docker.content_providers = [Local]
c.DockerEngine.extra_buildx_build_args += {arguments!r}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A repository's files at one commit, and what they ask for. ``scratch`` is a folder beside them."""

    source: Source
    folder: Path
    wanted: Specification
    scratch: Path


def build_repository(
    url_or_dir: str,
    ref: str,
    *,
    stack_image: str,
    image: str,
    on_line: Callable[[str], None],
    cancel: threading.Event | None = None,
    offers: Sequence[Offer] = (),
    ca_bundle: Path | None = None,
) -> str:
    """Build a repository on ``stack_image`` and call it ``image``, which is taken as it is where it is there already.

    So ``image`` should tell commits and stacks apart: see ``hubstack.repository.name``. ``ref`` is a branch, tag or
    commit; empty: a folder as it stands, a remote repository's default branch. With ``offers`` the repository may choose
    one of those instead (``binder/stack``), the smallest first.

    Raises EngineError, RepositoryError, and Cancelled once ``cancel`` is set.
    """
    check_engine()
    if is_there(image):
        on_line(f"{image} is there already")
        return image
    source = find_source(url_or_dir, ref, ca_bundle=ca_bundle)
    with checked_out(url_or_dir, source, on_line=on_line, cancel=cancel, ca_bundle=ca_bundle) as checkout:
        offer = choose_stack(checkout, offers, stack_image)
        build(checkout, offer, image, on_line=on_line, cancel=cancel, ca_bundle=ca_bundle)
    return image


@contextmanager
def checked_out(
    url_or_dir: str,
    source: Source,
    *,
    on_line: Callable[[str], None],
    cancel: threading.Event | None = None,
    ca_bundle: Path | None = None,
    scratch: Path | None = None,
) -> Iterator[Checkout]:
    """A repository's files, for as long as the block lasts. Raises RepositoryError with all that is wrong in them."""
    with tempfile.TemporaryDirectory(prefix="hubstack-repository-", dir=scratch) as name:
        folder = source.local
        if folder is None:
            folder = Path(name) / "repository"
            folder.mkdir()
            commit = check_out(url_or_dir, source, folder, on_line=on_line, cancel=cancel, ca_bundle=ca_bundle)
            source = replace(source, commit=commit)
        try:
            wanted = read_specification(folder)
        except Fault as fault:
            raise _refused(source, fault) from None
        yield Checkout(source=source, folder=folder, wanted=wanted, scratch=Path(name))


def choose_stack(checkout: Checkout, offers: Sequence[Offer], stack_image: str = "") -> Offer:
    """The stack for a repository: see ``hubstack.repository.choice.choose``. Raises RepositoryError."""
    try:
        return choose(checkout.wanted, offers, stack_image)
    except Fault as fault:
        raise _refused(checkout.source, fault) from None


def build(
    checkout: Checkout,
    offer: Offer,
    image: str,
    *,
    on_line: Callable[[str], None],
    cancel: threading.Event | None = None,
    ca_bundle: Path | None = None,
) -> None:
    """Build what is checked out on the offered stack. Raises as ``build_repository`` does."""
    if not checkout.wanted.dockerfile:
        bring(offer.image, on_line=on_line, cancel=cancel)
    config = checkout.scratch / "repo2docker_config.py"
    arguments = ["--load", *([f"--secret=id={CA_SECRET},src={ca_bundle}"] if ca_bundle else [])]
    config.write_text(_CONFIG.format(name=offer.name, image=offer.image, arguments=arguments), encoding="utf-8")
    lines: list[str] = []
    quiet = False

    def keep(line: str) -> None:
        nonlocal quiet
        lines.append(line)
        quiet = quiet or ends(line)
        if not quiet:
            on_line(readable(line))

    # a configuration that can't be loaded would else be passed over, and the repository built on something else
    env = {**os.environ, "TRAITLETS_APPLICATION_RAISE_CONFIG_FILE_ERROR": "1"}
    try:
        command.run(repo2docker_argv(config, checkout, offer, image), env=env, on_line=keep, cancel=cancel)
    except CommandFailed:
        raise explain(lines, checkout.source.url) from None


def repo2docker_argv(config: Path, checkout: Checkout, offer: Offer, image: str) -> list[str]:
    """Without -P, Python would import what lies in the current directory."""
    source = checkout.source
    origin = "local" if Path(source.url).is_absolute() else source.url  # repo2docker's own word
    labels = {
        STACK_LABEL: offer.name,
        FINGERPRINT_LABEL: "",  # or it would pass for the stack itself
        "repo2docker.repo": origin,
        "repo2docker.ref": source.commit,
    }
    return [
        sys.executable,
        "-P",
        "-m",
        "repo2docker",
        f"--config={config}",
        f"--image-name={image}",
        "--no-run",
        f"--user-id={USER}",
        "--user-name=jovyan",
        *(f"--label={name}={value}" for name, value in labels.items()),
        str(checkout.folder),
    ]


def check_engine() -> None:
    """Raises EngineError unless builds can work."""
    with tempfile.TemporaryDirectory(prefix="hubstack-repository-") as scratch:
        Docker(scratch=Path(scratch)).check()


def is_there(image: str) -> bool:
    """Whether the engine has an image of this name."""
    try:
        command.output(["docker", "image", "inspect", "--format={{.Id}}", image])
    except CommandFailed:
        return False
    return True


def bring(image: str, *, on_line: Callable[[str], None], cancel: threading.Event | None = None) -> None:
    """Have a stack's image on the engine. Raises EngineError."""
    if is_there(image):
        return
    try:
        command.run(["docker", "pull", "--quiet", image], on_line=on_line, cancel=cancel)
    except CommandFailed as error:
        said = error.tail[-1] if error.tail else error.message
        raise EngineError(f"the stack's image {image} is neither on the engine nor can it be pulled: {said}") from None


def tag(image: str, name: str) -> None:
    """Give an image that the engine has another name."""
    command.output(["docker", "image", "tag", image, name])


def push(image: str, *, on_line: Callable[[str], None]) -> str:
    """Push through the engine, with the credentials that it has; name:tag@digest. Raises HubstackError."""
    try:
        said = command.run(["docker", "push", image], on_line=on_line)
    except CommandFailed as error:
        last = error.tail[-1] if error.tail else error.message
        raise HubstackError(
            f"{image} can't be pushed: {last}", hint="`docker login` gives the engine credentials."
        ) from None
    digest = next(word for line in said for word in line.split() if word.startswith("sha256:"))
    return f"{image}@{digest}"


def _refused(source: Source, fault: Fault) -> RepositoryError:
    return RepositoryError("\n".join([f"{source.url}: {fault.messages[0]}", *fault.messages[1:]]))
