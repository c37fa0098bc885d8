"""File trees in a few words: path → a file's content, or an entry of another kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from hubstack.merge.entry import Entry, Index, file_entry

Content: TypeAlias = bytes | Entry


def index(files: Mapping[str, Content]) -> Index:
    """What a filesystem layer with these files says, with the content of each."""
    return Index(
        entries={path: file_entry(one) if isinstance(one, bytes) else one for path, one in files.items()},
        contents={path: one for path, one in files.items() if isinstance(one, bytes)},
    )
