"""``hubstack.yaml``."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from hubstack.errors import Problem
from hubstack.files.form import FileForm, filled
from hubstack.files.policy import PolicyForm, make_policy
from hubstack.files.scalar import Channel, Fault, Kind, Name, Some, Unique, choice, parse_image, scalar, text, unfit
from hubstack.files.signing import SigningForm, signing_faults
from hubstack.model import Method, Settings
from hubstack.reference import ImageRef, Layout
from hubstack.spelling import quote
from hubstack.yamlfile import Document

_CLAUSE = re.compile(r"(>=|<=|==|!=|>|<)\s*([0-9]+(?:\.[0-9]+)*)")
_COMPARE = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_PLATFORM = re.compile(r"linux/[a-z0-9]+(?:/v[0-9]+)?")


def _requirement(value: object) -> str:
    line = text(value)
    clauses = [_CLAUSE.fullmatch(clause.strip()) for clause in line.split(",")]
    if not all(clauses):
        raise unfit(line, 'one or several comparisons, as ">=0.1,<2"')
    from importlib.metadata import version  # slow to import, and not every project asks

    ours = version("hubstack")
    for clause in clauses:
        if clause and not _COMPARE[clause[1]](_release(ours), _release(clause[2])):
            raise Fault(f"asks for hubstack {line}, and this is {ours}", "Install one that fits.")
    return line


def _release(version: str) -> tuple[int, ...]:
    """The release part without trailing zeros: 1.0 is 1."""
    release = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    parts = [int(part) for part in release[0].split(".")] if release else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def _registry(value: object) -> ImageRef:
    line = text(value)
    ref = parse_image(line)
    if ref.tag or ref.digest:
        raise Fault(f"is {quote(line)}, with a tag or a digest", "Write HOST/PREFIX.")
    if "/" not in line or not line.startswith(ref.host):
        raise unfit(line, "HOST/PREFIX", "Docker Hub's host is docker.io.")
    return ref


def _platform(value: object) -> str:
    line = text(value)
    if not _PLATFORM.fullmatch(line):
        raise unfit(line, "a platform, as linux/amd64")
    return line


class SettingsForm(FileForm):
    """The project: `hubstack.yaml` at the root. It may be empty."""

    elsewhere: ClassVar = {"platform": "Write `platforms: [linux/amd64]`.", "channel": "Write `channels: [latest]`."}

    requires_hubstack: Annotated[str, scalar("version comparisons", _requirement)] = Field(
        "", description='The versions of hubstack that can read this project, as ">=0.1,<2".'
    )
    registry: Annotated[ImageRef | None, Kind(_registry, {"type": "string", "title": "`HOST/PREFIX`"})] = Field(
        None,
        description="Where images are pushed; `--registry` goes before it. A loopback address is spoken to without TLS.",
    )
    layout: Annotated[Layout, choice(Layout)] = Field(
        Layout.NESTED, description="`nested`: a repository for each stack below the prefix. `single`: one for all."
    )
    base: Name = Field(
        "", description="The base that a layer stands on when it is built by itself. Needed where there are several."
    )
    platforms: Annotated[Unique[Annotated[str, scalar("platform", _platform, f"^{_PLATFORM.pattern}$")]], Some] = Field(
        ("linux/amd64",), description="What every image is built for."
    )
    assembly: Annotated[Method, choice(Method)] = Field(
        Method.CHAIN,
        description="How a stack's layers are put together, where it doesn't say so itself. `chain`: each is built on the "
        "one below. `merge`: each is built once, on what it requires, and merged in the registry (merge.md).",
    )
    channels: Unique[Channel] = Field(
        ("latest",), description="Movable tags that follow each stack's newest good images."
    )
    policy: PolicyForm = Field(PolicyForm(), description="What layers may do, how large they may be, who owns them.")
    signing: SigningForm | None = Field(
        None,
        description="Whose signatures images must have. Without it nothing is signed, but in CI (supply-chain.md).",
    )

    def faults(self, document: Document) -> Iterator[Problem]:
        yield from signing_faults(self.signing, document.source)


def parse_settings(document: Document) -> Settings:
    """Raises ProjectError with every fault of the file."""
    form = filled(SettingsForm, document)
    return Settings(
        requires_hubstack=form.requires_hubstack,
        registry=form.registry,
        layout=form.layout,
        base=form.base,
        assembly=form.assembly,
        platforms=form.platforms,
        channels=form.channels,
        policy=make_policy(form.policy, document.source),
        signing=None if form.signing is None else form.signing.record(document.source),
        source=document.source,
    )
