"""What a repository's image is called: by the repository, its commit and the stack below it."""

from __future__ import annotations

import hashlib
import re

from hubstack.reference import ImageRef, Layout

_LONGEST = 50


def escape(url: str) -> str:
    """A repository's address as a part of an image's name: its last two words, and 6 digits that tell it from others."""
    plain = re.sub(r"\.git/?$|/+$", "", url)
    words = re.split(r"[/:]", plain)[-2:]
    slug = re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")[-_LONGEST:].strip("-")
    return f"{slug or 'repository'}-{hashlib.sha256(plain.lower().encode()).hexdigest()[:6]}"


def repository_image(prefix: ImageRef, layout: Layout, url: str, commit: str, stack: str) -> ImageRef:
    """``stack`` is the stack image's fingerprint, or another digest of it in hexadecimal digits."""
    tag = f"{commit[:12]}-{stack[:12]}"
    if layout is Layout.SINGLE:
        return prefix.with_tag(f"repository-{escape(url)}-{tag}")
    return prefix.child("repository").child(escape(url)).with_tag(tag)
