"""Where a rendered Dockerfile must be root: in front of hubstack's own RUNs, and only there.

The macros can't know who the user is where they are called. They leave a line, ``packages.BEGIN``; it becomes ``USER
root`` and ``ARG SOURCE_DATE_EPOCH`` where these are not in force yet, and the user who was there before comes back in
front of the next RUN that is not ours, and at the end of the stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hubstack.errors import Problem
from hubstack.render.dockerfile import DockerfileError, Instruction, parse_dockerfile
from hubstack.render.origin import Text
from hubstack.render.packages import BEGIN
from hubstack.render.rule import IMAGE_USER
from hubstack.render.template import STEP, TemplateFault
from hubstack.source import Position

_ROOT = ("root", "0", "root:root", "0:0")
_Line = tuple[str, tuple[str, int]]


@dataclass(slots=True)
class _State:
    base: bool  # a base's parent is an upstream image or a bare file system: nobody knows its user
    user: str | None = None
    owed: str | None = None  # the user to bring back
    epoch: bool = False
    ours: bool = False  # the next instruction is hubstack's own
    stages: dict[str, str | None] = field(default_factory=dict)

    def raise_(self) -> list[str]:
        """What goes in front of hubstack's own RUN."""
        lines = []
        if self.user not in _ROOT:
            lines.append("USER root")
            self.owed, self.user = self.owed or self.user, "root"
        if not self.epoch:
            lines.append("ARG SOURCE_DATE_EPOCH")
        self.epoch, self.ours = True, True
        return [*lines, ""] if lines else []

    def meet(self, one: Instruction) -> str | None:
        """Take note of an instruction; the user to bring back in front of it, if any."""
        restored = None
        if (one.name == "RUN" and not self.ours) or one.name == "FROM":
            restored, self.owed = self.owed, None
            self.user = restored or self.user
        self.ours = False
        if one.name == "USER":
            self.user, self.owed = one.text, None
        elif one.name == "ARG" and one.words[0].partition("=")[0] == "SOURCE_DATE_EPOCH":
            self.epoch = bool(self.stages) or self.epoch
        elif one.name == "FROM":
            self._begin_stage(one.words)
        return restored

    def _begin_stage(self, words: Sequence[str]) -> None:
        outside = IMAGE_USER if words[0] == "parent" and not self.base else None
        self.user = self.stages.get(words[0], outside)
        self.owed, self.epoch = None, False
        self.stages[words[-1]] = self.user


def with_privileges(text: Text, *, base: bool) -> Text:
    """The finished Dockerfile; blank lines in a row, which conditions leave, become one. Raises TemplateFault."""
    try:
        begins = {one.line: one for one in parse_dockerfile(text.text).instructions}
    except DockerfileError:  # the rules say so at the right line
        begins = {}
    state, begun, inside = _State(base), 0, 0
    out: list[_Line] = []
    for number, (line, origin) in enumerate(zip(text.text.split("\n"), text.origins, strict=True), start=1):
        if number > inside and line.strip() == BEGIN:
            raised = state.raise_()
            out += [(one, origin) for one in (["", *raised] if out and out[-1][0].strip() else raised)]
            continue
        if STEP in line:
            position = Position(path=origin[0], line=origin[1])
            what = "packages(), copy() and run() write instructions, and can't stand inside another one"
            raise TemplateFault(Problem(position=position, what=what, remedy="Put it on a line of its own."))
        if (one := begins.get(number)) is not None:
            begun, inside = number, one.end
            _restore(out, state.meet(one))
        if number <= inside or line.strip() or (out and out[-1][0].strip()):
            out.append((line, origin))
        if number == inside and begins[begun].heredocs:
            out.append(("", origin))  # easier to read, and hadolint's parser wants it
    _restore(out, state.owed)
    while out and not out[-1][0].strip():
        out.pop()
    return Text("\n".join(line for line, _ in out) + "\n", tuple(origin for _, origin in out))


def _restore(out: list[_Line], user: str | None) -> None:
    """Behind the last instruction, in front of the comment that belongs to the next one."""
    if user is None:
        return
    at = len(out)
    while out[at - 1][0].lstrip().startswith("#") or not out[at - 1][0].strip():
        at -= 1
    origin = out[at - 1][1]
    out[at:at] = [("", origin), (f"USER {user}", origin)]
