"""As much of GitHub's expression language as our workflows use. What isn't known here is an error, not an empty text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

_TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|([A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*)|(&&|\|\||==|!=|[!(),]))")
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
STATUS = ("success", "failure", "cancelled", "always")


class Unknown(Exception):
    """An expression that says something this evaluator knows nothing of."""


class Anything(dict[str, Any]):
    """A context in which GitHub, too, takes what isn't there for an empty text: variables, secrets, a step's outputs."""

    def __missing__(self, key: str) -> str:
        return ""


def evaluate(expression: str, contexts: Mapping[str, Any]) -> Any:
    """The value of what stands between ``${{`` and ``}}``. ``contexts`` holds functions, too."""
    parser = _Parser(_tokens(expression), contexts)
    value = parser.disjunction()
    if parser.tokens:
        raise Unknown(f"{expression!r}: {parser.tokens[0]!r} is left over")
    return value


def interpolate(value: Any, contexts: Mapping[str, Any]) -> Any:
    """A YAML value with its expressions replaced; a text that is one expression alone becomes that one's value."""
    if isinstance(value, dict):
        return {key: interpolate(one, contexts) for key, one in value.items()}
    if not isinstance(value, str):
        return value
    if value.count("${{") == 1 and (whole := _EXPRESSION.fullmatch(value.strip())) is not None:
        return evaluate(whole[1], contexts)
    return _EXPRESSION.sub(lambda match: as_text(evaluate(match[1], contexts)), value)


def holds(condition: str | None, contexts: Mapping[str, Any]) -> bool:
    """Whether an ``if:`` is met. Without a status function, success() is part of it."""
    text = condition or "success()"
    whole = _EXPRESSION.fullmatch(text.strip())
    body = whole[1] if whole else text
    if not re.search(rf"\b({'|'.join(STATUS)})\s*\(", body):
        body = f"success() && ({body})"
    return bool(evaluate(body, contexts))


def as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Unknown(f"{text!r}: {text[at:]!r} is nothing that is known")
        tokens.append(match[0].strip())
        at = match.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[str], contexts: Mapping[str, Any]) -> None:
        self.tokens, self.contexts = tokens, contexts

    def _take(self, *wanted: str) -> str:
        return self.tokens.pop(0) if self.tokens and self.tokens[0] in wanted else ""

    def disjunction(self) -> Any:
        value = self._conjunction()
        while self._take("||"):
            other = self._conjunction()
            value = value or other
        return value

    def _conjunction(self) -> Any:
        value = self._comparison()
        while self._take("&&"):
            other = self._comparison()
            value = value and other
        return value

    def _comparison(self) -> Any:
        value = self._term()
        if sign := self._take("==", "!="):
            same = as_text(value).lower() == as_text(self._term()).lower()
            return same == (sign == "==")
        return value

    def _term(self) -> Any:
        if self._take("!"):
            return not self._term()
        if self._take("("):
            value = self.disjunction()
            self._expect(")")
            return value
        if not self.tokens:
            raise Unknown("an expression ends too early")
        token = self.tokens.pop(0)
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        return self._call(token) if self._take("(") else self._look_up(token)

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise Unknown(f"{sign!r} is missing before {self.tokens}")

    def _call(self, name: str) -> Any:
        arguments = []
        while not self._take(")"):
            arguments.append(self.disjunction())
            self._take(",")
        functions: dict[str, Callable[..., Any]] = {"fromJSON": json.loads, **self.contexts.get("functions", {})}
        if name not in functions:
            raise Unknown(f"{name}() is not known")
        return functions[name](*arguments)

    def _look_up(self, name: str) -> Any:
        value: Any = self.contexts
        for part in name.split("."):
            try:
                value = value[part]
            except (KeyError, TypeError):
                raise Unknown(f"{name}: nothing is known of {part!r}") from None
        return value
