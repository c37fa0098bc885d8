"""A line of an environment.yml's ``dependencies`` as name and version specifiers.

Conda's match specification (conda.models.match_spec), as far as it can be compared with what is installed: the build
string is left out, and ``|`` between versions is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet

_SPEC = re.compile(r"(?:[\w./-]+::)?(?P<name>[A-Za-z0-9_][\w.-]*)\s*(?P<rest>.*)")
_BRACKET = re.compile(r"""\[\s*version\s*=\s*['"]?(?P<version>[^'"\]]*)['"]?\s*[^\]]*\]""")
_OPERATOR = re.compile(r"(>=|<=|==|!=|~=|>|<)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaSpec:
    """``alternatives``: PEP 440 specifier sets of which one must hold; empty: any version will do."""

    name: str
    alternatives: tuple[str, ...] = ()


def parse_condaspec(text: str) -> CondaSpec:
    """Raises ValueError where ``text`` is none, or one whose version Python's tools can't compare."""
    match = _SPEC.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    rest = match["rest"].strip()
    if (bracket := _BRACKET.fullmatch(rest)) is not None:
        rest = bracket["version"]
    alternatives = tuple(_specifiers(part) for part in rest.split("|")) if rest else ()
    return CondaSpec(name=match["name"].lower(), alternatives=() if "" in alternatives else alternatives)


def _specifiers(text: str) -> str:
    parts = [_specifier(part.strip()) for part in _OPERATOR.sub(r"\1", text.strip()).split(",")]
    joined = ",".join(part for part in parts if part)
    try:
        SpecifierSet(joined)
    except InvalidSpecifier:
        raise ValueError(text) from None
    return joined


def _specifier(text: str) -> str:
    """``=1.2`` is any 1.2.x to conda; ``1.2`` alone, behind a blank, is exactly that; a build string may follow."""
    if text.startswith("=") and not text.startswith("=="):
        version = text[1:].partition("=")[0].strip().removesuffix("*").removesuffix(".")
        return f"=={version}.*" if version else ""
    if _OPERATOR.match(text) is None:
        version = re.split(r"[\s=]+", text)[0]
        return "" if version in {"", "*"} else f"=={version}"
    if text.startswith("=="):
        return "==" + text[2:].partition("=")[0]
    return text.removesuffix(".*") if text.startswith((">", "<")) else text
