"""Profiles of PAM that several parts bring."""

from __future__ import annotations

from hubstack.merge.entry import Index, file_entry
from hubstack.merge.pam import unmerged_profiles


def with_profiles(*names: str) -> Index:
    return Index(entries={f"usr/share/pam-configs/{name}": file_entry(b"") for name in names})


def refused(base: Index, one: Index, two: Index) -> list[str]:
    return [str(conflict) for conflict in unmerged_profiles(base, {"b": two, "a": one})]


def test_profiles_of_two_parts_know_nothing_of_each_other() -> None:
    empty, one, two = with_profiles(), with_profiles("systemd"), with_profiles("capability")
    assert refused(empty, one, two) == [
        "a and b: /usr/share/pam-configs/systemd is a profile of a, and b has others: pam-auth-update has to be told of all"
    ]
    both = with_profiles("systemd", "capability")
    assert refused(empty, one, both) == refused(one, one, two) == refused(empty, one, one) == []
