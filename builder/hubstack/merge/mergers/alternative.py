"""Groups of alternatives (update-alternatives(1), FILES; dpkg's utils/update-alternatives.c, alternative_load and _save).

A group's file: its status, the master link; name and link of each slave; an empty line; each choice with its priority and
its file for each slave, or an empty line where it has none; an empty line. Slaves and choices are sorted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hubstack.merge.mergers.side import Clash, Sides, raw, text, three_way

GROUPS = "var/lib/dpkg/alternatives/"
LINKS = "etc/alternatives/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of a group's alternatives."""

    priority: int
    files: Mapping[str, str]  # slave → file


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """``link``, and those of the slaves, are absolute: links to /etc/alternatives/NAME."""

    status: str = "auto"
    link: str = ""
    slaves: Mapping[str, str] = field(default_factory=dict)  # name → link
    choices: Mapping[str, Choice] = field(default_factory=dict)  # file → what else it brings

    def best(self, pointed: Sequence[str]) -> str:
        """The highest priority. Of several, one that is ``pointed`` at already (alternative_get_best), else the first by
        path.
        """
        highest = max(choice.priority for choice in self.choices.values())
        among = sorted(file for file, choice in self.choices.items() if choice.priority == highest)
        return next((file for file in among if file in pointed), among[0])


def parse_group(content: bytes) -> Group:
    """Raises Clash for what is no such file."""
    lines = iter(text(content).split("\n"))
    try:
        status, link = next(lines), next(lines)
        slaves = {name: next(lines) for name in iter(lambda: next(lines), "")}
        choices = {}
        for path in iter(lambda: next(lines), ""):
            priority = int(next(lines))
            files = {name: next(lines) for name in slaves}
            choices[path] = Choice(
                priority=priority, files={name: files[name] for name in sorted(files) if files[name]}
            )
    except (StopIteration, ValueError):
        raise Clash("is no file of update-alternatives") from None
    return Group(status=status, link=link, slaves=slaves, choices=choices)


def render_group(group: Group) -> bytes:
    lines = [group.status, group.link]
    for name, link in sorted(group.slaves.items()):
        lines += [name, link]
    lines.append("")
    for path, choice in sorted(group.choices.items()):
        lines += [path, str(choice.priority), *(choice.files.get(name, "") for name in sorted(group.slaves))]
    return raw("".join(f"{line}\n" for line in (*lines, "")))


def merge_alternatives(sides: Sides) -> bytes:
    """Choices by file, slaves by name. What a person has chosen stands; two such choices are a clash."""
    base, *versions = (parse_group(one) if one else Group() for one in (sides.base, *sides.versions))
    choices = three_way(base.choices, [one.choices for one in versions], _refuse)
    chosen = chosen_by_name(sides)
    if not choices:
        raise Clash("has no choice left in all together")
    if chosen and chosen not in choices:
        raise Clash(f"is set to {chosen} by one, which another has removed")
    used = sorted({name for choice in choices.values() for name in choice.files})
    link = _agreed("its link", base.link, [one.link for one in versions])
    slaves = {
        name: _agreed(f"the link of {name}", base.slaves.get(name, ""), [one.slaves.get(name) for one in versions])
        for name in used
    }
    return render_group(Group(status="manual" if chosen else "auto", link=link, slaves=slaves, choices=choices))


def chosen_by_name(sides: Sides) -> str:
    """The choice that a person has made, which only the link tells; "" where it is automatic."""
    contents = (sides.base, *sides.versions)
    links = sides.pointed or ("",) * len(contents)
    was, *now = (
        link if content and parse_group(content).status == "manual" else ""
        for content, link in zip(contents, links, strict=True)
    )
    return _agreed("what it is set to", was, now)


def _agreed(what: str, was: str, now: Sequence[str | None]) -> str:
    """None is said by who has no use for it."""
    changed = [(number, one) for number, one in enumerate(now) if one is not None and one != was]
    wanted = sorted({one for _, one in changed})
    if len(wanted) > 1:
        said = [one or "automatic" for _, one in changed]
        raise Clash(f"is a group of alternatives, and they differ in {what}", [number for number, _ in changed], said)
    return wanted[0] if wanted else was


def _refuse(file: str, _: Choice | None, changed: Sequence[tuple[int, Choice | None]]) -> Choice:
    said = [f"of priority {choice.priority}" if choice else "gone" for _, choice in changed]
    raise Clash(f"says different things of the choice {file}", [number for number, _ in changed], said)
