"""``policy:`` in ``hubstack.yaml``."""

from __future__ import annotations

import re
from calendar import monthrange
from typing import Annotated, TypeAlias

from pydantic import Field

from hubstack.files.form import Form
from hubstack.files.scalar import Fault, Flag, Kind, Name, Prose, Unique, choice, number, scalar, text, unfit
from hubstack.rulebook import Budget, Exemption, Policy, Rule
from hubstack.source import Source
from hubstack.spelling import did_you_mean, enumerate_words, quote

INSTRUCTIONS = (
    *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER"),
    *("RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
)  # ONBUILD is allowed to nobody
MOUNTS = ("bind", "cache", "secret", "tmpfs")
_DATE = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
_OWNER = re.compile(r"@[A-Za-z0-9][A-Za-z0-9-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)?|[^\s@]+@[^\s@]+\.[^\s@]+")
_GLOB = re.compile(r"[A-Za-z0-9*?\[\]!._:/@-]+")
_LINT = re.compile(r"(?:DL|SC)[0-9]{4}")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kMG]?)B")
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


def is_owner(name: str) -> bool:
    """Whether a CODEOWNERS file can name it ("About code owners", GitHub's documentation)."""
    return _OWNER.fullmatch(name) is not None


def _owner(value: object) -> str:
    line = text(value)
    if not is_owner(line):
        raise unfit(line, "@user, @organisation/team or an e-mail address")
    return line


def _instruction(value: object) -> str:
    word = text(value).upper()
    if word not in INSTRUCTIONS:
        near = did_you_mean(word, (name.lower() for name in INSTRUCTIONS))
        raise Fault(f"is {quote(word)}{near}", f"It must be {enumerate_words(INSTRUCTIONS)}.")
    return word


def _mount(value: object) -> str:
    word = text(value)
    if word not in MOUNTS:
        raise Fault(f"is {quote(word)}{did_you_mean(word, MOUNTS)}", f"It must be {enumerate_words(MOUNTS)}.")
    return word


def _glob(value: object) -> str:
    line = text(value)
    if not _GLOB.fullmatch(line):
        raise unfit(line, "a name in which * stands for anything")
    return line


def _lint_rule(value: object) -> str:
    line = text(value)
    if not _LINT.fullmatch(line):
        raise unfit(line, "a rule of hadolint or ShellCheck, as DL3008 or SC2086")
    return line


def _size(value: object) -> int:
    line = text(value)
    if (match := _SIZE.fullmatch(line)) is None:
        raise unfit(line, "a size, as 500kB, 50MB or 1.5GB")
    return int(float(match[1]) * _UNITS[match[2]])


def _date(value: object) -> str:
    line = text(value)
    match = _DATE.fullmatch(line)
    if match is None or int(match[3]) > monthrange(int(match[1]), int(match[2]))[1]:
        raise unfit(line, "a date, as 2026-12-31")
    return line


Owner: TypeAlias = Annotated[str, scalar("owner", _owner)]
Glob: TypeAlias = Annotated[str, scalar("name with `*`", _glob)]
Size: TypeAlias = Annotated[int, Kind(_size, {"type": "string", "title": "size", "pattern": f"^{_SIZE.pattern}$"})]


class BudgetForm(Form):
    """How large things may be, compressed, as they are pulled. Checked where sizes are known: `review` and `build`."""

    layer: Size | None = Field(None, description="What a layer may add to the image below it, as 300MB.")
    growth: Size | None = Field(None, description="By how much a change may raise that.")
    percent: Annotated[int, number(0, 1000)] | None = Field(
        None, description="The same, in percent of the whole image as it was."
    )


class ExceptionForm(Form):
    """A layer that need not keep to a rule for a while."""

    layer: Name = Field(description="The layer's name.")
    rule: Annotated[Rule, choice(Rule)] = Field(description="The rule that it need not keep to.")
    reason: Prose = Field(description="Why.")
    until: Annotated[str, scalar("date", _date, f"^{_DATE.pattern}$")] = Field(
        description="The last day on which it holds. See docs/policy.md for whose calendar counts."
    )


class PolicyForm(Form):
    """What layers may do. It belongs to the maintainers; what is absent has no limit but hubstack's own."""

    maintainers: Unique[Owner] = Field(
        (), description="Who owns this file, `profiles/`, `.github/` and all that no layer's owner does."
    )
    require_owners: Flag = Field(default=False, description="Whether every layer must have owners.")
    owners: dict[Glob, Unique[Owner]] = Field(
        {}, description="Layers, and who owns them besides those whom their own `owners` name."
    )
    instructions: Unique[Annotated[str, scalar("instruction", _instruction)]] | None = Field(
        None, description="The instructions that a layer's `Dockerfile.j2` may hold."
    )
    mounts: Unique[Annotated[str, scalar("mount", _mount)]] | None = Field(
        None, description="The kinds of `RUN --mount` that it may add to those that hubstack writes."
    )
    run_network: Flag = Field(
        default=True,
        description="Whether what it runs itself has a network. Without, it writes `RUN --network=none`; packages come "
        "from package files.",
    )
    test_network: Flag = Field(default=True, description="Whether a layer's tests may ask for a network.")
    upstream: Unique[Glob] | None = Field(
        None, description="The images, not built here, that layers and bases may stand on or copy from: HOST/NAME:TAG."
    )
    defaults: Unique[Glob] | None = Field(
        None, description="The layers and bases that may be in a profile's default image."
    )
    size: BudgetForm = Field(BudgetForm(), description="How large layers may be and become.")
    lint_ignore: Unique[Annotated[str, scalar("rule", _lint_rule, f"^{_LINT.pattern}$")]] = Field(
        (), description="Rules of hadolint and ShellCheck that `hubstack check` does not apply."
    )
    exceptions: tuple[ExceptionForm, ...] = Field((), description="Who need not keep to what, why, and until when.")


def make_policy(form: PolicyForm, source: Source) -> Policy:
    plain = {name: getattr(form, name) for name in PolicyForm.model_fields if name not in ("size", "exceptions")}
    exceptions = (
        Exemption(position=source.at("policy", "exceptions", index), **one.model_dump())
        for index, one in enumerate(form.exceptions)
    )
    return Policy(size=Budget(**form.size.model_dump()), exceptions=tuple(exceptions), **plain)
