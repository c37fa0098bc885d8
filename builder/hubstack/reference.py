"""The names of images and of what goes into them: valid once they exist."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum


class Digest(str):
    """``sha256:`` and 64 hex digits (OCI image-spec, descriptor.md, "Digests")."""

    __slots__ = ()

    def __new__(cls, text: str) -> Digest:
        if re.fullmatch(r"sha256:[0-9a-f]{64}", text) is None:
            raise ValueError(f"not a sha256 digest: {text!r}")
        return super().__new__(cls, text)

    @property
    def hex(self) -> str:
        return self.removeprefix("sha256:")


class Fingerprint(str):
    """64 hex digits: our identity of a node, computed from its inputs."""

    __slots__ = ()

    def __new__(cls, text: str) -> Fingerprint:
        if re.fullmatch(r"[0-9a-f]{64}", text) is None:
            raise ValueError(f"not a fingerprint: {text!r}")
        return super().__new__(cls, text)

    @property
    def short(self) -> str:
        """The 12 digits that a published tag carries."""
        return self[:12]


_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"


_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"


_REFERENCE = re.compile(
    rf"(?:(?P<host>{_HOST})/)?(?P<path>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


DEFAULT_HOST = "docker.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRef:
    """``host/repository[:tag][@digest]``, by the grammar of the distribution project's ``reference`` package."""

    host: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> ImageRef:
        """The reference that ``text`` means; a name without a host means Docker Hub, as every engine reads it.

        Raises ValueError where ``text`` is none.
        """
        match = _REFERENCE.fullmatch(text)
        if match is None:
            raise ValueError(f"not an image reference: {text!r}")
        host, path = match["host"], match["path"]
        if host is not None and not (set(".:[") & set(host) or host == "localhost"):
            host, path = None, f"{host}/{path}"  # the first component is a host only if it looks like one
        if host is None:
            host, path = DEFAULT_HOST, path if "/" in path else f"library/{path}"
        digest = Digest(match["digest"]) if match["digest"] else None
        return cls(host=host, repository=path, tag=match["tag"] or "", digest=digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.host}/{self.repository}{tag}{digest}"

    def with_tag(self, tag: str) -> ImageRef:
        return replace(self, tag=tag, digest=None)

    def with_digest(self, digest: Digest) -> ImageRef:
        return replace(self, digest=digest)

    def child(self, name: str) -> ImageRef:
        return replace(self, repository=f"{self.repository}/{name}", tag="", digest=None)


class Layout(StrEnum):
    """Where published images go: a repository for each stack, or one for all."""

    NESTED = "nested"
    SINGLE = "single"
