"""From what a person types (OWNER/NAME) to an address for git, and the name of the image that is built of it."""

from __future__ import annotations

import hashlib
import re

from hubstack.errors import HubstackError
from hubstack.spelling import quote

_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*")
_ESCAPED = re.compile("[^a-z0-9]")


def address(template: str, repo: str) -> str:
    """Where git finds the repository. Raises HubstackError for what is no OWNER/NAME."""
    owner, _, name = repo.partition("/")
    for one in (owner, name):
        if _NAME.fullmatch(one) is None or one in {".", ".."}:
            raise HubstackError(f"{quote(repo)} is no repository's name", hint="Give OWNER/NAME.")
    return template.format(repo=f"{owner}/{name.removesuffix('.git')}")


def image_name(prefix: str, url: str, repo: str, commit: str, below: str) -> str:
    """As BinderHub names what it builds; another commit or another image ``below`` it is another name."""
    escaped = _ESCAPED.sub(lambda match: f"-{ord(match[0]):02x}", repo.lower())
    identity = hashlib.sha256(f"{url} {below}".encode()).hexdigest()
    return f"{prefix}{escaped}-{identity[:12]}:{commit}"
