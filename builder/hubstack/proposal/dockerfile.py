"""A Dockerfile, or an image's history, as a finding."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hubstack.model import SourceFile
from hubstack.proposal.finding import Finding, Note
from hubstack.proposal.script import Meaning, expand, is_state, meaning, split_commands
from hubstack.proposal.sketch import raw
from hubstack.proposal.tree import Tree, take_environment, take_requirements
from hubstack.render.dockerfile import DockerfileError, Instruction, parse_dockerfile
from hubstack.render.rule import IMAGE_USER

_JOVYAN = ("jovyan", "1000")
_CONVENTION = {"NB_USER": "jovyan", "NB_UID": "1000", "NB_GID": "100", "HOME": "/home/jovyan"}  # of Jupyter's images
_JUPYTER = re.compile(r"jupyter|notebook|binder", re.IGNORECASE)
_ALONE = re.compile(
    r"""(?:(?:/bin/)?(?:ba)?sh(?:\s+-[a-z]+)*\s+|sh\ /tmp/\.hubstack/run\.sh\ (?:apt\ )?)?
    <<-?['"]?(?P<end>\w+)['"]?(?:\n(?P<body>.*)\n(?P=end))?""",
    re.VERBOSE | re.DOTALL,
)  # a here-document that a shell, or a RUN of hubstack's, reads; in a history with what it says
_CONTEXT = re.compile(  # hubstack's mounts
    r"/tmp/(?:files|requirements\.txt|environment\.yml|install\.R|postBuild)\b"  # noqa: S108 - a pattern
)
_HISTORY = re.compile(r"(?:RUN )?(?:\|(?P<count>\d+) )?(?P<rest>.*?)(?: # buildkit)?", re.DOTALL)
_SHELL = re.compile(r"/bin/(?:ba|da)?sh(?: -(?!c )\S+(?: pipefail)?)* -o pipefail -c |/bin/(?:ba|da)?sh(?: -\S+)*? -c ")
_NAME = re.compile(r"[A-Z]+\s")


def read_dockerfile(text: str, path: str, name: str, folder: Tree) -> Finding:
    """``folder`` is what COPY reads from. What is no Dockerfile is one unexplained note."""
    finding = Finding(name=name)
    try:
        instructions = parse_dockerfile(text).instructions
    except DockerfileError as error:
        finding.leave(f"{path}:{error.line}", "", f"it can't be read: {error.what}. {error.remedy}")
        return finding
    reader = _Reader(finding, lambda line: f"{path}:{line}", folder, text.split("\n"))
    reader.read(_last_image(instructions, reader))
    return finding


def read_history(history: Sequence[str], image: str, name: str) -> Finding:
    """Each entry is ``IMAGE#NUMBER`` in notes; what an image's COPY brought is not in its history."""
    finding = Finding(name=name)
    reader = _Reader(finding, lambda line: f"{image}#{line}", Tree(Path(), "", {}), [])
    for number, entry in enumerate(history, 1):
        if (instruction := _instruction(entry, number, reader)) is not None:
            reader.meet(instruction)
    reader.finish()
    return finding


@dataclass(slots=True)
class _Reader:
    finding: Finding
    where: Callable[[int], str]
    folder: Tree
    lines: Sequence[str]
    values: dict[str, str] = field(default_factory=lambda: dict(_CONVENTION))  # of ARG and ENV
    cwd: str = "/"
    user: str = "root"
    written_user: str = IMAGE_USER
    pieces: list[tuple[str, str]] = field(default_factory=list)  # instruction, text

    def read(self, instructions: Sequence[Instruction]) -> None:
        for one in instructions:
            self.meet(one)
        self.finish()

    def meet(self, one: Instruction) -> None:
        match one.name:
            case "FROM":
                self._from(one)
            case "ARG" | "ENV":
                self._values(one)
            case "RUN":
                self._run(one)
            case "COPY" | "ADD":
                self._copy(one)
            case "USER":
                self.user = expand("".join(one.words), self.values)
            case "WORKDIR":
                self.cwd = posixpath.join(self.cwd, expand("".join(one.words), self.values))
                self.pieces.append((one.name, self._verbatim(one)))
            case "SHELL" | "CMD" | "ENTRYPOINT" | "EXPOSE" | "HEALTHCHECK" | "STOPSIGNAL":
                self.pieces.append((one.name, self._verbatim(one)))
            case "LABEL" | "MAINTAINER":
                pass  # hubstack labels images by itself
            case _:
                self._leave(one, "a layer has no such instruction")

    def finish(self) -> None:
        """The Dockerfile's pieces, without those that only served others, if any is left."""
        self._forget_temporary()
        hard = [text for name, text in self.pieces if name not in ("ARG", "WORKDIR", "SHELL", "USER", "FILES")]
        if hard:
            used = "\n".join(text for name, text in self.pieces if name != "ARG")
            self.finding.pieces = [
                text for name, text in self.pieces if name != "ARG" or re.search(rf"\$\{{?{_named(text)}\b", used)
            ]
        elif any(name == "FILES" for name, _ in self.pieces):
            self.finding.pieces = []

    def _forget_temporary(self) -> None:
        """What was copied to /tmp for a command that is understood, such as a list of packages, is not needed."""
        said = "\n".join(text for _, text in self.pieces)
        for path in [*self.finding.files]:
            if path.startswith("files/tmp/") and path.removeprefix("files") not in said:
                del self.finding.files[path]
        if not self.finding.files:
            self.pieces = [piece for piece in self.pieces if piece[0] != "FILES"]

    # --- instructions ------------------------------------------------------------------------------------------------

    def _from(self, one: Instruction) -> None:
        self.finding.base = self.finding.base or expand(one.words[0], self.values)
        self.user = IMAGE_USER if _JUPYTER.search(self.finding.base) else "root"

    def _values(self, one: Instruction) -> None:
        words = one.words if one.name == "ARG" or "=" in one.words[0] else ("=".join(one.text.split(None, 1)),)
        for word in words:
            name, equals, value = word.partition("=")
            if equals:
                self.values[name] = expand(value, self.values)
        self.pieces.append((one.name, self._verbatim(one)))

    def _run(self, one: Instruction) -> None:
        if odd := [f"--{name}={value}" for name, value in one.flags if not _harmless(name, value)]:
            self._leave(one, f"{' '.join(odd)} is not taken over")
            return
        script = _script(one)
        if not self.lines and _CONTEXT.search(script):
            self._leave(one, "files and lists that were there at build time; what was installed, the image itself says")
            return
        commands = None if "<<" in script else split_commands(script)
        if commands is None:
            self._keep(one, _own(one) or self._verbatim(one))
            return
        rest = [command for command in commands if not self._take(command, one)]
        if all(is_state(command) for command in rest):
            return
        rest = [command for command in commands if command in rest or _tidies(command)]
        whole = len(rest) == len(commands)
        self._keep(one, (_own(one) or self._verbatim(one)) if whole else "RUN " + " && \\\n    ".join(rest))

    def _take(self, command: str, one: Instruction) -> bool:
        """Whether a command is understood, and so in the finding."""
        known = meaning(command, self.values)
        if known is None:
            return False
        where = self.where(one.line)
        match known.manager:
            case "requirements":
                return take_requirements(self.finding, self.folder, self._local(known.items[0]), where)
            case "environment":
                return take_environment(self.finding, self.folder, self._local(known.items[0]), where)
            case "r":
                self.finding.install_r += [item for item in known.items if item not in self.finding.install_r]
            case _ if known.manager:
                self._packages(known, where)
            case _:
                pass
        return True

    def _packages(self, known: Meaning, where: str) -> None:
        found: dict[str, str] = getattr(self.finding, known.manager)
        for item in known.items:
            found.setdefault(item, where)

    def _copy(self, one: Instruction) -> None:
        if one.flag("from") is not None:
            self._leave(one, "it copies from another image: make that a layer, and name it under `copy_from:`")
            return
        *sources, target = (expand(word, self.values) for word in one.words)
        target = posixpath.normpath(posixpath.join(self.cwd, target)) + ("/" if target.endswith(("/", ".")) else "")
        if reason := self._unfit(one.name, sources, target):
            self._leave(one, reason)
            return
        taken = [file for source in sources for file in self._sources(source, target, len(sources), one)]
        if not taken:
            self._leave(one, "what it copies is not there, or can't be read from here")
            return
        executable = re.fullmatch(r"(?:0?[0-7])?[1357]\d\d|\+x|.*x.*", one.flag("chmod") or "") is not None
        for file in taken:
            self.finding.files[file.path] = replace(file, executable=file.executable or executable)
        owner = one.flag("chown")
        if owner and owner not in ("root", "root:root", "0", "0:0"):
            note = "its files belong to root here, as all that a layer brings"
            self.finding.kept.append(Note(where=self.where(one.line), text=f"COPY --chown={owner}", why=note))
        if not any(name == "FILES" for name, _ in self.pieces):
            self.pieces.append(("FILES", '{{ copy("files/", "/") }}'))

    def _unfit(self, name: str, sources: Sequence[str], target: str) -> str:
        if "$" in target or any("$" in source for source in sources):
            return "it names variables whose values are not known"
        if any("://" in source or source.startswith("git@") for source in sources):
            return "what comes from the network needs a checksum: write ADD --checksum=sha256:… into a Dockerfile.j2"
        if name == "ADD" and any(re.search(r"\.(?:tar(?:\.\w+)?|t[gx]z)$", source) for source in sources):
            return "an archive that ADD unpacks: put what is in it under files/"
        if target.startswith("/home/"):
            return "a hub mounts a volume over the home: put it elsewhere"
        return ""

    def _sources(self, source: str, target: str, count: int, one: Instruction) -> Iterator[SourceFile]:
        if source.startswith("<<"):
            name = source.lstrip("<-").strip("'\"")
            content = next((heredoc.content for heredoc in one.heredocs if heredoc.name == name), "")
            yield SourceFile(path=f"files{target}".rstrip("/"), content=content.encode())
            return
        folder = target.endswith("/") or count > 1 or self.folder.is_folder(source)
        for path, file in self.folder.below(source):
            inside = path or posixpath.basename(source)
            yield replace(file, path=posixpath.normpath(f"files{target}/{inside}" if folder else f"files{target}"))

    # --- what stays as it was ----------------------------------------------------------------------------------------

    def _keep(self, one: Instruction, text: str) -> None:
        own = text.startswith("{% call run")
        user = IMAGE_USER if self.user.partition(":")[0] in _JOVYAN else "root"
        if user != self.written_user and not own:
            self.pieces.append(("USER", f"USER {user}"))
            self.written_user = user
        self.pieces.append(("RUN", text if own else raw(text)))
        self.finding.kept.append(Note(where=self.where(one.line), text=_short(text), why="kept in Dockerfile.j2"))

    def _leave(self, one: Instruction, why: str) -> None:
        self.finding.leave(self.where(one.line), f"{one.name} {_short(one.text)}", why)

    def _verbatim(self, one: Instruction) -> str:
        text = "\n".join(self.lines[one.line - 1 : one.end]) if self.lines else f"{one.name} {one.text}"
        return raw(expand(text, _CONVENTION)) if one.name != "RUN" else text

    def _local(self, path: str) -> str:
        """A file that was copied into the image, by the name that it has beside the Dockerfile."""
        target = posixpath.normpath(posixpath.join(self.cwd, path))
        return path if self.folder.text(path) is not None else posixpath.basename(target)


def _last_image(instructions: Sequence[Instruction], reader: _Reader) -> list[Instruction]:
    """The instructions of the last stage and of those that it begins with; the others are left, one note each."""
    stages: list[list[Instruction]] = [[]]
    for one in instructions:
        if one.name == "FROM":
            stages.append([])
        stages[-1].append(one)
    names = {one[0].words[2].lower(): one for one in stages[1:] if len(one[0].words) == 3}
    wanted = stages[-1:]
    while wanted[0] and wanted[0][0].name == "FROM" and (below := names.get(wanted[0][0].words[0].lower())) is not None:
        if any(below is one for one in wanted):
            break
        wanted.insert(0, below)
    for stage in stages[1:]:
        if not any(stage is one for one in wanted):
            why = "another stage: make it a layer, and name it under `copy_from:`"
            reader.finding.leave(reader.where(stage[0].line), f"FROM {stage[0].text}", why)
    return [one for stage in [stages[0], *wanted] for one in stage] if len(stages) > 1 else stages[0]


def _instruction(entry: str, number: int, reader: _Reader) -> Instruction | None:
    """An entry of a history as the instruction that made it; None for what says nothing."""
    entry = entry.strip().removeprefix("/bin/sh -c #(nop)").strip()
    first = entry.partition(" ")[0]
    if first.isupper() and first != "RUN":
        text = _legible(first, entry.removeprefix(first).removesuffix("# buildkit").strip())
        return Instruction(name=first, text=text, line=number, end=number) if text else None
    match = _HISTORY.fullmatch(entry)
    if match is None or not (shell := _SHELL.search(match["rest"])):
        if entry:
            reader.finding.leave(reader.where(number), _short(entry), "no command of a shell")
        return None
    for word in shlex.split(match["rest"][: shell.start()]):
        name, _, value = word.partition("=")
        reader.values.setdefault(name, value)
    return Instruction(name="RUN", text=match["rest"][shell.end() :].strip(), line=number, end=number)


def _legible(name: str, text: str) -> str:
    """A history's text as a Dockerfile has it: engines print lists and mappings as Go does."""
    if name in ("CMD", "ENTRYPOINT", "SHELL") and text.startswith("["):
        return re.sub(r'" "', '", "', text)
    return " ".join(re.findall(r"(\d+(?:/\w+)?):\{\}", text)) if name == "EXPOSE" and "{" in text else text


def _script(one: Instruction) -> str:
    """What a shell runs: the text, or the here-document that it is all about."""
    match = _ALONE.fullmatch(one.text)
    if match is None:
        return one.text
    return one.heredocs[0].content if one.heredocs else match["body"] or ""


def _own(one: Instruction) -> str:
    """A RUN of hubstack's in an image's history, as its template had it; empty for others."""
    if not one.text.startswith("sh /tmp/.hubstack/run.sh"):
        return ""
    cache = "apt_cache=true" if one.text.startswith("sh /tmp/.hubstack/run.sh apt ") else ""
    return f"{{% call run({cache}) %}}\n{raw(_script(one))}\n{{% endcall %}}"


def _tidies(command: str) -> bool:
    """Whether it removes what the commands around it may have left."""
    return command.startswith("rm ") and "/var/lib/apt/lists" not in command


def _harmless(name: str, value: str) -> bool:
    return name == "mount" and re.search(r"type=(?:cache|tmpfs)", value) is not None


def _named(text: str) -> str:
    """The variable of an ARG."""
    return re.escape(re.split(r"[\s=]+", text.strip(), maxsplit=2)[1])


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 70 else f"{line[:69]}…"
