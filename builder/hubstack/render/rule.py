"""What a layer's Dockerfile may not do, looked up in the rendered text by a parser (security.md, 5).

The people who write layers are not the people who run the builds: nothing here relies on a Dockerfile being well meant.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hubstack.errors import Problem, Severity
from hubstack.render.dockerfile import INSTRUCTIONS, Dockerfile, DockerfileError, Instruction, parse_dockerfile
from hubstack.source import Position
from hubstack.spelling import did_you_mean, quote

CA_SECRET = "hubstack-ca"  # noqa: S105 - the name of a BuildKit secret, not a secret
IMAGE_USER = "1000:100"
_BARE_FLAGS = frozenset({"keep-git-dir", "link", "parents", "unpack"})
_MOUNTS = ("bind", "cache", "secret", "tmpfs")
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|git@|github\.com/", re.IGNORECASE)
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:PASS(?:WORD|WD|PHRASE)?|SECRETS?|TOKENS?|CREDENTIALS?|(?:API|PRIVATE|ACCESS)_?KEY)(?:$|_)"
)
_SYNTAX = re.compile(r"(?:#|//)\s*syntax\s*=|\{", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What a layer's Dockerfile may name, besides ``parent``, ``scratch`` and its own stages."""

    base: bool = False
    copy_from: frozenset[str] = frozenset()
    upstream: frozenset[str] = frozenset()  # declared references; locked ones with their digest
    context: frozenset[str] = frozenset()  # the paths of the build context


@dataclass(slots=True, kw_only=True)
class _Stage:
    name: str
    on_parent: bool  # whether what lies below the layer is in it
    user: str | None  # None: whatever an upstream image says
    at: Instruction
    empty: bool = False  # it began with nothing, so nothing in it can be changed
    folder: str = "/"  # its WORKDIR


@dataclass(slots=True, kw_only=True)
class _Walk:
    allowed: Allowed
    stages: list[_Stage] = field(default_factory=list)
    faults: list[tuple[int, str, str]] = field(default_factory=list)
    warnings: list[tuple[int, str, str]] = field(default_factory=list)

    def fault(self, at: Instruction, what: str, remedy: str = "Remove it.") -> None:
        self.faults.append((at.line, what, remedy))

    def stage_named(self, name: str) -> _Stage | None:
        if name.isdecimal():
            return self.stages[int(name)] if int(name) < len(self.stages) else None
        return next((one for one in reversed(self.stages) if one.name == name.lower()), None)


def check_dockerfile(text: str, place: Callable[[int], Position], allowed: Allowed) -> list[Problem]:
    """Every fault of a rendered Dockerfile; ``place`` gives the template's position of a line (from 1)."""
    walk = _Walk(allowed=allowed)
    walk.faults.extend(_foreign_frontend(text))
    try:
        _walk(parse_dockerfile(text), walk)
    except DockerfileError as error:
        walk.faults.append((error.line, error.what, error.remedy))
    found = [Problem(position=place(line), what=what, remedy=remedy) for line, what, remedy in walk.faults]
    return found + [
        Problem(position=place(line), what=what, remedy=remedy, severity=Severity.WARNING)
        for line, what, remedy in walk.warnings
    ]


def _foreign_frontend(text: str) -> Iterator[tuple[int, str, str]]:
    """``# syntax=``, ``// syntax=`` and ``{"syntax": …}`` in front of the first instruction, behind ``#!`` too."""
    for number, line in enumerate(map(str.strip, text.split("\n")), start=1):
        if _SYNTAX.match(line):
            yield number, "a syntax line hands the build to a program from a registry", "Remove it."
        elif line and not line.startswith(("#", "//")):
            return


def _walk(dockerfile: Dockerfile, walk: _Walk) -> None:
    for one in dockerfile.instructions:
        if one.name not in INSTRUCTIONS:
            near = did_you_mean(one.name, (name.lower() for name in INSTRUCTIONS))
            walk.fault(one, f"{quote(one.name)} is no instruction{near}", "Correct it.")
            continue
        if not walk.stages and one.name not in ("FROM", "ARG"):
            walk.fault(one, f"{one.name} before the first FROM", "Begin with FROM parent.")
            continue
        _flags(one, walk)
        if (rule := _RULES.get(one.name)) is not None:
            rule(one, walk)
    _last_stage(dockerfile, walk)


def _flags(one: Instruction, walk: _Walk) -> None:
    for name, value in one.flags:
        if not value and name not in _BARE_FLAGS:  # newer BuildKits take the next word for the value
            walk.fault(one, f"--{name} without a value", f"Write it as --{name}=VALUE.")


def _from(one: Instruction, walk: _Walk) -> None:
    words = one.words
    named = len(words) == 3 and words[1].lower() == "as"
    if not named and len(words) != 1:
        walk.fault(one, "FROM takes an image, or an image AS a name", "Write FROM parent.")
    image, name = words[0], words[2].lower() if named else ""
    if name in walk.allowed.copy_from or (name == "parent" and not walk.allowed.base) or name in ("scratch", "context"):
        walk.fault(one, f"a stage can't be called {quote(name)}: that name is taken", "Give it another name.")
    below = walk.stage_named(image)
    _image(image, one, walk)
    if below is not None:
        walk.stages.append(_Stage(name=name, on_parent=below.on_parent, user=below.user, at=one))
        return
    is_parent = image == "parent" or (walk.allowed.base and name == "parent")
    user = IMAGE_USER if image == "parent" and not walk.allowed.base else None
    walk.stages.append(_Stage(name=name, on_parent=is_parent, user=user, at=one, empty=image == "scratch"))


def _image(name: str, one: Instruction, walk: _Walk) -> None:
    """A name in FROM, COPY --from or RUN --mount=from must be one that the graph or the lock knows."""
    allowed = walk.allowed
    if "$" in name:
        walk.fault(
            one, f"{quote(name)} is only known when it is built", "Write the name out, or by a template variable."
        )
    elif name in ("parent", "scratch") or name in allowed.copy_from or walk.stage_named(name) is not None:
        return
    elif name in allowed.upstream:
        if "@sha256:" not in name:
            walk.fault(one, f"the upstream image {quote(name)} is not in hubstack.lock", "Run `hubstack update`.")
    else:
        stages = [stage.name for stage in walk.stages if stage.name]
        near = did_you_mean(name, ("parent", "scratch", *stages, *allowed.copy_from, *allowed.upstream))
        remedy = "A layer goes under `copy_from:` in layer.yaml, an upstream image under `upstream:`."
        walk.fault(one, f"{quote(name)} is not declared{near}", remedy)


def _run(one: Instruction, walk: _Walk) -> None:
    for flag, harmless in (("network", ("none", "default")), ("security", ("sandbox",))):
        if (value := one.flag(flag)) and value not in harmless:
            walk.fault(one, f"RUN --{flag}={value} is not allowed")
    if one.flag("device") is not None:
        walk.fault(one, "RUN --device is not allowed")
    for mount in one.mounts():
        _mount(mount.get("type", ""), mount.get("from", ""), mount.get("id", ""), one, walk)


def _mount(kind: str, origin: str, name: str, one: Instruction, walk: _Walk) -> None:
    if kind == "ssh":
        walk.fault(one, "RUN --mount=type=ssh is not allowed", "Nobody's keys belong in a build.")
    elif kind == "secret" and name != CA_SECRET:
        walk.fault(one, f"the secret {quote(name)} is not one of this build", f"There is one, {CA_SECRET}.")
    elif kind not in _MOUNTS:
        walk.fault(one, f"RUN --mount=type={kind} is not allowed{did_you_mean(kind, _MOUNTS)}")
    if origin:
        _image(origin, one, walk)


def _copy(one: Instruction, walk: _Walk) -> None:
    *sources, target = one.words
    origin = one.flag("from")
    if origin is not None:
        _image(origin, one, walk)
    stage = walk.stages[-1]
    if not stage.empty and posixpath.normpath(posixpath.join(stage.folder, target)) in ("/", "//"):
        what = f"{one.name} onto / gives /tmp and every other folder in it the source's mode"
        walk.fault(one, what, 'Write {{ copy("files/", "/") }}.')
    for source in sources:
        if origin is None and not source.startswith("<<"):
            _source(source, one, walk)


def _source(source: str, one: Instruction, walk: _Walk) -> None:
    path = posixpath.normpath(f"/{source}").lstrip("/")
    if _REMOTE.match(source) or set("$*?[") & set(source) or not path:
        return
    context = walk.allowed.context
    if path not in context and not any(known.startswith(f"{path}/") for known in context):
        near = did_you_mean(source, context)
        walk.fault(one, f"{quote(source)} is not in the build context{near}", "What is copied belongs under files/.")


def _add(one: Instruction, walk: _Walk) -> None:
    if one.flag("checksum") is None:
        for source in one.words[:-1]:
            if _REMOTE.match(source) or source.endswith(".git"):
                walk.fault(
                    one, f"ADD of {quote(source)} without --checksum", "Write --checksum=sha256:… of what it is."
                )
            elif "$" in source:
                walk.fault(one, f"ADD of {quote(source)}, only known when it is built", "Write the source out.")
    _copy(one, walk)


def _names(one: Instruction, walk: _Walk) -> None:
    """ARG and ENV end up in the image's history and configuration, for everybody to read."""
    words = one.words if one.name == "ARG" or "=" in one.words[0] else one.words[:1]
    for word in words:
        name = word.partition("=")[0]
        if _SECRET_NAME.search(name.upper()):
            what = f"{one.name} {name} looks like a secret, and everybody who has the image can read it"
            walk.warnings.append((one.line, what, "Leave it out; no build needs one."))


def _user(one: Instruction, walk: _Walk) -> None:
    walk.stages[-1].user = "".join(one.words)


def _workdir(one: Instruction, walk: _Walk) -> None:
    walk.stages[-1].folder = posixpath.join(walk.stages[-1].folder, "".join(one.words))


def _refused(one: Instruction, walk: _Walk) -> None:
    remedy = "Instructions for later builds belong in the layers that are built then."
    walk.fault(one, "ONBUILD is not allowed", remedy)


def _last_stage(dockerfile: Dockerfile, walk: _Walk) -> None:
    if not walk.stages:
        end = dockerfile.instructions[-1] if dockerfile.instructions else Instruction(name="", text="", line=1, end=1)
        walk.fault(end, "no FROM", "Begin with FROM parent.")
        return
    last = walk.stages[-1]
    if not last.on_parent:
        walk.fault(
            last.at, "the last stage does not stand on parent, so what is below would be lost", "Write FROM parent."
        )
    if last.user != IMAGE_USER:
        users = [one for one in dockerfile.instructions if one.name == "USER" and one.line > last.at.line]
        what = "the last stage has no USER" if last.user is None else f"the image would run as {quote(last.user)}"
        walk.fault(users[-1] if users else last.at, what, f"End with USER {IMAGE_USER}: hubs run images as that.")


_RULES: dict[str, Callable[[Instruction, _Walk], None]] = {
    "FROM": _from,
    "RUN": _run,
    "COPY": _copy,
    "ADD": _add,
    "ARG": _names,
    "ENV": _names,
    "USER": _user,
    "WORKDIR": _workdir,
    "ONBUILD": _refused,
}
