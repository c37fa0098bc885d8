"""Which of two versions is the later one, by the rules of the package manager that wrote them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from hubstack.errors import UsageError
from hubstack.spelling import enumerate_words, quote

PYTHON = "python"
DEBIAN = "debian"
R = "r"
NPM = "npm"

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_CLAUSE = re.compile(r"(==|!=|<=|>=|<|>)\s*([A-Za-z0-9][A-Za-z0-9.+~:_-]*)")

Test = Callable[[str, str], bool]
"""Of a package manager and a version."""


def specifier(text: str) -> Test:
    """Whether a version is one of those that ``text`` means: ``>=2,<3``. Raises UsageError.

    Python's packages obey PEP 440, with ``~=``, ``===`` and ``==2.*``; a pre-release counts where it is installed.
    All others know ``==``, ``!=``, ``<``, ``<=``, ``>`` and ``>=``: what is written for Python alone fits none of them.
    """
    if not text.strip():
        return lambda _manager, _version: True
    python, others = _python(text), _others(text)
    if python is None and others is None:
        known = enumerate_words(_OPERATORS)
        raise UsageError(
            f"{quote(text)} is no version that one can look for",
            hint=f"Write {known} before a version, several with commas; for Python packages ~= too.",
        )

    def test(manager: str, version: str) -> bool:
        chosen = python if manager == PYTHON else others
        return chosen is not None and chosen(manager, version)

    return test


def _python(text: str) -> Test | None:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion

    try:
        wanted = SpecifierSet(text)
    except InvalidSpecifier:
        return None

    def test(_manager: str, version: str) -> bool:
        try:
            return wanted.contains(version, prereleases=True)
        except InvalidVersion:
            return False  # older than PEP 440, and so than every version that somebody looks for

    return test


def _others(text: str) -> Test | None:
    clauses = [_CLAUSE.fullmatch(part.strip()) for part in text.split(",")]
    if not all(clauses):
        return None
    wanted = [(_OPERATORS[clause[1]], clause[2]) for clause in clauses if clause]

    def test(manager: str, version: str) -> bool:
        return all(holds(order(manager, version), order(manager, than)) for holds, than in wanted)

    return test


def order(manager: str, version: str) -> tuple[Any, ...]:
    """A key that sorts versions of one manager, oldest first."""
    if manager == PYTHON:
        return _python_order(version)
    return {DEBIAN: _debian_order, NPM: _npm_order}.get(manager, _numbers)(version)


def _python_order(version: str) -> tuple[Any, ...]:
    from packaging.version import InvalidVersion, Version

    try:
        return (1, Version(version))
    except InvalidVersion:
        return (0, _numbers(version))


def _numbers(version: str) -> tuple[Any, ...]:
    """As R does it: what stands between points and hyphens are numbers. A word is less than any of them."""
    parts = re.split(r"[.-]", version)
    return tuple((1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts)


def _npm_order(version: str) -> tuple[Any, ...]:
    """Semantic Versioning 2.0, "Precedence": a pre-release comes before its release; build metadata doesn't count."""
    release, _, before = version.partition("+")[0].partition("-")
    words = ((0, int(word), "") if word.isdecimal() else (1, 0, word) for word in before.split("."))
    return (_numbers(release), (0, *words) if before else (1,))


def _debian_order(version: str) -> tuple[Any, ...]:
    """deb-version(7), "Sorting algorithm": ``~`` before the end, letters before all else, digits as numbers."""
    epoch, _, rest = version.rpartition(":")
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return (int(epoch) if epoch.isdecimal() else 0, _debian_part(upstream), _debian_part(revision))


def _debian_part(text: str) -> tuple[Any, ...]:
    pieces = re.findall(r"([^0-9]*)([0-9]*)", text)
    return tuple(one for letters, digits in pieces for one in (_letters(letters), int(digits or 0)))


def _letters(text: str) -> tuple[int, ...]:
    weights = (-1 if one == "~" else ord(one) if one.isalpha() else ord(one) + 256 for one in text)
    return (*weights, 0)
