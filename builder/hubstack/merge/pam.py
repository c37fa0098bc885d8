"""What pam-auth-update(8) has made of the profiles that were there: of two parts' profiles it has to be asked again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

from hubstack.merge.conflict import Cause, Conflict
from hubstack.merge.entry import Index, Kind

PROFILES = "usr/share/pam-configs/"


def unmerged_profiles(base: Index, parts: Mapping[str, Index]) -> Iterator[Conflict]:
    """Two parts with profiles of their own: each part's /etc/pam.d/common-* knows of its own only, and no path tells."""
    own = {
        name: {
            path
            for path, entry in index.entries.items()
            if path.startswith(PROFILES) and entry.kind is not Kind.DIRECTORY and entry != base.entries.get(path)
        }
        for name, index in parts.items()
    }
    for one, other in combinations(sorted(parts), 2):
        if own[one] - own[other] and own[other] - own[one]:
            first = min(own[one] - own[other])
            what = f"is a profile of {one}, and {other} has others: pam-auth-update has to be told of all"
            yield Conflict(parts=(one, other), path=first, what=what, cause=Cause.INTEREST)
