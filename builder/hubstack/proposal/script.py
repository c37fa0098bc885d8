"""Shell commands, as far as they install packages: what is understood becomes names, everything else stays text.

This is no shell: a script with loops, conditions or here-documents is left whole.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hubstack.proposal.sketch import distribution

_COMPOUND = frozenset(
    [
        "if",
        "then",
        "else",
        "elif",
        "fi",
        "for",
        "while",
        "until",
        "do",
        "done",
        "case",
        "esac",
        "function",
        "select",
        "{",
        "}",
        "!",
        "[[",
    ]
)  # what makes more of a command than words
_APT = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.](?::[a-z0-9-]+)?(?:=[A-Za-z0-9.+:~-]+)?")
_NPM = re.compile(r"(?:@[a-z0-9~-][\w.~-]*/)?[a-z0-9~-][\w.~-]*@\d+\.\d+\.\d+(?:[-+][\w.+-]+)?")
_CONDA = re.compile(r"(?:conda-forge::)?[A-Za-z0-9_][\w.-]*(?:\s*[=<>!~][^\s]*)?")
_HARMLESS = re.compile(
    r"(?:DEBIAN_FRONTEND|DEBIAN_PRIORITY|TZ|LC_ALL|LANG|(?:PIP|CONDA|MAMBA|UV|NPM)_\w+)=.*", re.DOTALL
)
_LEFTOVER = re.compile(
    r"(?:/var/(?:lib/apt/lists|cache|log|tmp)|/tmp|(?:/root|/home/[^/]+|~|\$\{?HOME\}?)/\.(?:cache|npm|conda)\b|/root/)"
)
_QUIET = frozenset(
    [
        "-y",
        "--yes",
        "--assume-yes",
        "-q",
        "--quiet",
        "-qq",
        "-qy",
        "-yq",
        "-yqq",
        "--no-install-recommends",
        "--no-install-suggests",
        "--fix-missing",
        "--no-cache-dir",
        "--no-cache",
        "--upgrade",
        "-U",
        "--user",
        "--system",
        "--break-system-packages",
        "--no-input",
        "--no-compile",
        "--disable-pip-version-check",
        "--root-user-action=ignore",
        "--no-warn-script-location",
        "--prefer-binary",
        "--freeze-installed",
        "--no-update-deps",
        "--override-channels",
        "--allow-downgrades",
        "--no-audit",
        "--no-fund",
        "--unsafe-perm",
        "-g",
        "--global",
    ]
)
_BOOTSTRAP = frozenset({"pip", "setuptools", "wheel", "uv"})  # what is needed to install, and is there


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """``manager`` is apt, pip, conda, npm, r, requirements or environment (files); empty: nothing that a layer needs."""

    manager: str = ""
    items: tuple[str, ...] = ()


def split_commands(script: str) -> list[str] | None:
    """The commands of a list joined by ``&&``, ``;`` or line ends; None where there is more to it than that."""
    found, current, depth = [], "", 0
    for token in _TOKEN.findall(script.replace("\\\n", " ")):
        if token in ("&&", ";", "\n") and depth == 0:
            found.append(current.strip())
            current = ""
            continue
        if token.startswith("<<") or token in (";;", "&"):
            return None
        depth += token.count("(") - token.count(")") if token in ("(", ")", "$(") else 0
        current += "" if token.startswith("#") and (not current or current[-1].isspace()) else token
    found = [one for one in (*found, current.strip()) if one]
    compound = depth or any(one.split()[0] in _COMPOUND or one.startswith("(") for one in found)
    return None if compound else found


_TOKEN = re.compile(
    r"""\\.|"(?:[^"\\]|\\.)*"|'[^']*'|&&|\|\||;;|\d*>+&\d?|&>+|<<|\$\(|#[^\n]*|[;&|()\n]|[^\s\\"'&|;()#$<>\d]+|.|\s""",
    re.DOTALL,
)


def expand(text: str, values: Mapping[str, str]) -> str:
    """``$NAME``, ``${NAME}`` and ``${NAME:-default}`` replaced where they are known."""

    def value(match: re.Match[str]) -> str:
        default = match[0] if match[2] is None else match[2]
        return values.get(match[1] or match[3], default)

    return re.sub(r"\$\{(\w+)(?::?-([^}]*))?\}|\$(\w+)", value, text)


def meaning(command: str, values: Mapping[str, str]) -> Meaning | None:
    """What a simple command is for; None where it is not understood."""
    command = re.sub(r"\s(?:[12]|&)?>+\s*/dev/null|\s2>&1", "", command)
    try:
        raw, words = shlex.split(command), shlex.split(expand(command, values))
    except ValueError:
        return None
    while words and (words[0] == "sudo" or _HARMLESS.fullmatch(words[0])):
        words, raw = words[1:], raw[1:]
    if not words or (words[0] == "export" and all(map(_HARMLESS.fullmatch, words[1:]))):
        return Meaning()
    plain = re.sub(r"""\\.|"(?:[^"\\]|\\.)*"|'[^']*'""", "", command)
    if re.search(r"[|<>`&]", _without_versions(plain, words)):
        return None
    if words[0] in ("R", "Rscript"):
        return _r(raw)
    name = words[0].rpartition("/")[2]
    rule = next((rule for pattern, rule in _RULES if re.fullmatch(pattern, name)), None)
    found = rule(words) if rule is not None else None
    if found is None or any("$" in item or "`" in item for item in found.items):
        return None
    return found


def is_state(command: str) -> bool:
    """Whether it only prepares commands that follow."""
    return re.match(r"(?:cd|export|set|shopt|source|\.|umask|unset)\s", f"{command} ") is not None


def _without_versions(plain: str, words: Sequence[str]) -> str:
    """``pip install numpy>=2`` redirects in a shell, and everybody who writes it means a version."""
    return re.sub(r"(?<=\w)[<>]=?(?=[\d=])", "", plain) if "install" in words else plain


def _apt(words: Sequence[str]) -> Meaning | None:
    verb, rest = _verb(words[1:])
    if verb in ("update", "clean", "autoclean", "autoremove", "purge"):
        return Meaning() if verb != "purge" else None
    if verb != "install" or rest is None or not all(_APT.fullmatch(item) for item in rest):
        return None
    return Meaning(manager="apt", items=tuple(rest))


def _pip(words: Sequence[str]) -> Meaning | None:
    verb, rest = _verb(words[1:])
    if verb == "cache":
        return Meaning()
    if verb != "install" or rest is None:
        return None
    if len(rest) == 2 and rest[0] in ("-r", "--requirement"):
        return Meaning(manager="requirements", items=(rest[1],))
    if not all(distribution(item) and "@" not in item for item in rest):
        return None
    wanted = [item for item in rest if (distribution(item) or "").lower() not in _BOOTSTRAP]
    return Meaning(manager="pip", items=tuple(wanted))


def _python(words: Sequence[str]) -> Meaning | None:
    return _pip(words[2:]) if words[1:3] == ["-m", "pip"] else None


def _uv(words: Sequence[str]) -> Meaning | None:
    return _pip(words[1:]) if words[1:2] == ["pip"] else None


def _conda(words: Sequence[str]) -> Meaning | None:
    words = _without_channel(words)
    if words[1:3] in (["env", "update"], ["env", "create"]):
        files = [words[at + 1] for at, word in enumerate(words[:-1]) if word in ("-f", "--file")]
        return Meaning(manager="environment", items=(files[0],)) if len(files) == 1 else None
    verb, rest = _verb(words[1:])
    if verb == "clean":
        return Meaning()
    if verb != "install" or rest is None or not all(_CONDA.fullmatch(item) for item in rest):
        return None
    return Meaning(manager="conda", items=tuple(item.removeprefix("conda-forge::") for item in rest))


def _without_channel(words: Sequence[str]) -> list[str]:
    """Without what says where to: conda-forge is what environments come from, and base the environment there is."""
    line = shlex.join(words)
    line = re.sub(r" (?:-c|--channel)[ =]conda-forge(?= |$)", "", line)
    return shlex.split(re.sub(r" (?:(?:-n|--name)[ =]base|(?:-p|--prefix)[ =]/opt/conda)(?= |$)", "", line))


def _npm(words: Sequence[str]) -> Meaning | None:
    verb, rest = _verb(words[1:])
    if verb == "cache":
        return Meaning()
    is_global = {"-g", "--global"} & set(words)
    if verb not in ("install", "i") or rest is None or not is_global or not all(map(_NPM.fullmatch, rest)):
        return None
    return Meaning(manager="npm", items=tuple(rest))


def _r(words: Sequence[str]) -> Meaning | None:
    expressions = [words[at + 1] for at, word in enumerate(words[:-1]) if word in ("-e", "--expr")]
    if not expressions or not all(re.search(r"install|options\(|BiocManager|pak", one) for one in expressions):
        return None
    return Meaning(manager="r", items=tuple(expressions))


def _rm(words: Sequence[str]) -> Meaning | None:
    paths = [word for word in words[1:] if not word.startswith("-")]
    return Meaning() if paths and all(_LEFTOVER.match(path) for path in paths) else None


def _nothing(_words: Sequence[str]) -> Meaning:
    return Meaning()


def _jupyter(words: Sequence[str]) -> Meaning | None:
    return Meaning() if words[1:3] == ["lab", "clean"] else None


def _verb(words: Sequence[str]) -> tuple[str, list[str] | None]:
    """The first word that is no option, and the others without options that change nothing; None: one that does."""
    rest = [word for word in words if word not in _QUIET]
    verbs = [word for word in rest if not word.startswith("-")]
    if not verbs:
        return "", None
    rest.remove(verbs[0])
    odd = [word for word in rest if word.startswith("-") and word not in ("-r", "--requirement", "--all")]
    return verbs[0], None if odd else rest


_RULES: tuple[tuple[str, Callable[[Sequence[str]], Meaning | None]], ...] = (
    (r"apt|apt-get", _apt),
    (r"pip[\d.]*", _pip),
    (r"python[\d.]*", _python),
    (r"uv", _uv),
    (r"conda|mamba|micromamba", _conda),
    (r"npm", _npm),
    (r"rm", _rm),
    (r"jupyter", _jupyter),
    (r"fix-permissions|set|true|:", _nothing),
)


def requirement_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a requirements.txt or an apt.txt that say something, with their numbers, joined where they go on."""
    pending, begun = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        said = re.sub(r"(?:^|\s)#.*", "", line).strip()
        begun = begun if pending else number
        if said.endswith("\\"):
            pending += f"{said[:-1].strip()} "
            continue
        if whole := (pending + said).strip():
            yield begun, whole
        pending = ""
