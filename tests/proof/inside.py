"""What an image is, asked from inside: started as root in a container of it, prints one JSON object.

Section → key → text. It runs where there is no hubstack, on the image's own Python. The file tree is read first, as the
tools that are asked afterwards write caches.
"""

from __future__ import annotations

import base64
import grp
import hashlib
import importlib.util
import json
import os
import pwd
import re
import stat
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO

Facts = dict[str, str]
ROOT = Path("/")
VENV = Path("/opt/venv/bin/python")
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
ENVIRONMENT |= {"PYTHONDONTWRITEBYTECODE": "1", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/tmp"}
ON_TOP = ("hello", "libsodium23")  # in no layer; the second has ldconfig run
APT = ("-oDir::State::lists=/proof/lists", "-oDir::Cache::archives=/proof/archives", "-oDebug::NoLocking=1")
FIRST_PERSON = 1000  # below it, Debian's packages take numbers as they come


def run(*words: str) -> str:
    """What a command prints, and behind it the code with which it ends unless that is 0."""
    done = subprocess.run(words, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    text = (done.stdout + done.stderr).decode("utf-8", "surrogateescape")
    return text if done.returncode == 0 else f"{text}\nended with {done.returncode}"


def lines(*words: str) -> list[str]:
    return [line for line in run(*words).splitlines() if line.strip()]


def pairs(found: list[str], separator: str = "\t") -> Facts:
    return {key: value for key, _, value in (line.partition(separator) for line in found)}


# --- the file tree -------------------------------------------------------------------------------------------------------


@cache
def user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"nobody has {number}"


@cache
def group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return f"nobody has {number}"


def walk(folder: str, mounts: set[str]) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            if entry.path in mounts:
                continue
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from walk(entry.path, mounts)


def mounted() -> set[str]:
    table = Path("/proc/self/mountinfo").read_text().splitlines()
    return {line.split()[4] for line in table} - {"/"} | {"/.dockerenv", "/proof"}


def described(entry: os.DirEntry[str]) -> str:
    path, status = entry.path, entry.stat(follow_symlinks=False)
    mode = stat.filemode(status.st_mode)
    words = [mode, f"{user(status.st_uid)}:{group(status.st_gid)}"]
    if stat.S_ISREG(status.st_mode):
        words += content(path, status.st_size)
    elif stat.S_ISLNK(status.st_mode):
        words = ["l", *words[1:], str(Path(path).readlink())]
    elif not stat.S_ISDIR(status.st_mode):
        words.append(f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}")
    names = sorted(os.listxattr(path, follow_symlinks=False))
    return " ".join([*words, *(f"{name}={os.getxattr(path, name, follow_symlinks=False).hex()}" for name in names)])


def content(path: str, size: int) -> list[str]:
    """Size and sum; of a file whose order says nothing, those of its sorted parts."""
    for pattern, normal in NORMAL.items():
        if re.fullmatch(pattern, path):
            parts = "\n".join(normal(Path(path).read_text("utf-8", "surrogateescape")))
            return ["sorted", hashlib.sha256(parts.encode("utf-8", "surrogateescape")).hexdigest()]
    with Path(path).open("rb") as file:
        return [str(size), hashlib.file_digest(file, "sha256").hexdigest()]


def by_line(text: str) -> list[str]:
    return sorted(text.splitlines())


def by_different_line(text: str) -> list[str]:
    """Of lists that are sets: on bookworm update-shells writes zsh twice."""
    return sorted(set(text.splitlines()))


def by_stanza(text: str) -> list[str]:
    return sorted("\n".join(sorted(one.splitlines())) for one in text.split("\n\n"))


def by_three(text: str) -> list[str]:
    all_lines = text.splitlines()
    return sorted("\n".join(all_lines[at : at + 3]) for at in range(0, len(all_lines), 3))


def by_name(text: str) -> list[str]:
    """Users and groups without the numbers of packages' users, which are in the order in which they came."""
    found = []
    for line in text.splitlines():
        fields = line.split(":")
        fields[2] = fields[2] if int(fields[2]) >= FIRST_PERSON else "system"
        if len(fields) > 4:
            fields[3] = group(int(fields[3]))
        else:
            fields[3] = ",".join(sorted(fields[3].split(",")))
        found.append(":".join(fields))
    return sorted(found)


def libraries(_: str) -> list[str]:
    return lines("ldconfig", "-p")


NORMAL: dict[str, Callable[[str], list[str]]] = {
    r"/var/lib/dpkg/status": by_stanza,
    r"/var/lib/apt/extended_states": by_stanza,
    r"/var/cache/debconf/(config|templates|passwords)\.dat": by_stanza,
    r"/var/lib/dpkg/diversions": by_three,
    r"/var/lib/dpkg/(statoverride|triggers/.*)": by_line,
    r"/var/lib/ucf/(hashfile|registry)": by_line,
    r"/(var/lib/shells\.state|etc/shells)": by_different_line,
    r"/etc/(shadow|gshadow|subuid|subgid)": by_line,
    r"/etc/(passwd|group)": by_name,
    r"/etc/ld\.so\.cache": libraries,
    r"/usr/share/info/dir": by_line,
    r".*\.dist-info/RECORD": by_line,
    r"/var/lib/texmf/ls-R": by_line,
}


def tree() -> Facts:
    return {entry.path: described(entry) for entry in walk("/", mounted())}


# --- Debian --------------------------------------------------------------------------------------------------------------


def packages() -> Facts:
    return pairs(lines("dpkg-query", "-W", "-f", "${binary:Package}\\t${db:Status-Status} ${Version}\\n"))


def marks() -> Facts:
    return {name: mark for mark in ("auto", "manual", "hold") for name in lines("apt-mark", f"show{mark}")}


def checks() -> Facts:
    return {
        "dpkg --audit": run("dpkg", "--audit"),
        "apt-get check": run("apt-get", "check", "-qq"),
        "apt-get install": on_top(),
        "dpkg --audit after it": run("dpkg", "--audit"),
    }


def on_top() -> str:
    """The packages are beside, downloaded by whoever has started this."""
    text = run("apt-get", *APT, "install", "-qqy", "--no-download", "--no-install-recommends", *ON_TOP)
    there = run("dpkg-query", "-W", "-f", "${binary:Package} ${db:Status-Abbrev}\\n", *ON_TOP)
    return there if "ended with" not in text else text


def alternatives() -> Facts:
    names = [line.split()[0] for line in lines("update-alternatives", "--get-selections")]
    return {name: run("update-alternatives", "--query", name) for name in names}


def debconf() -> Facts:
    owners = sorted({owner for line in lines("debconf-show", "--listowners") for owner in [line.strip()]})
    return {owner: "\n".join(sorted(lines("debconf-show", owner))) for owner in owners}


def users() -> Facts:
    return {
        one.pw_name: f"{group(one.pw_gid)} {one.pw_gecos} {one.pw_dir} {one.pw_shell}"
        f"{f' {one.pw_uid}' if one.pw_uid >= FIRST_PERSON else ''}"
        for one in pwd.getpwall()
    }


def groups() -> Facts:
    return {one.gr_name: " ".join(sorted(one.gr_mem)) for one in grp.getgrall()}


def verified() -> Facts:
    """By path; documentation that an image leaves out on purpose is missing everywhere."""
    return {line.split()[-1]: line[:11] for line in lines("dpkg", "-V") if "ended with" not in line}


# --- what runs -----------------------------------------------------------------------------------------------------------


def python(interpreter: str) -> Facts:
    script = (
        "import importlib.metadata as m\nfor d in m.distributions(): print(d.name, d.version, d.requires, sep='\\t')"
    )
    return pairs(lines(interpreter, "-c", script))


def pip() -> Facts:
    if not VENV.exists():
        return {}
    found = json.loads(run(str(VENV), "-m", "pip", "--disable-pip-version-check", "list", "--format=json"))
    return {one["name"]: one["version"] for one in found} | {
        "pip check": run(str(VENV), "-m", "pip", "--disable-pip-version-check", "check")
    }


def r() -> Facts:
    if not Path("/usr/bin/Rscript").exists():
        return {}
    script = (
        "i <- installed.packages(); for (p in i[,1]) cat(p, '\\t', i[p,'Version'], ' ', "
        "tryCatch({loadNamespace(p); 'loads'}, error = conditionMessage), '\\n', sep = '')"
    )
    return pairs(lines("Rscript", "--vanilla", "-e", script))


def cached_libraries() -> Facts:
    found = lines("ldconfig", "-p")
    return {"in order": "\n".join(line.strip() for line in found)}


def missing_libraries(paths: Facts) -> Facts:
    """Of each program and library what ``ldd`` doesn't find; it is asked where the cache doesn't have a name."""
    known = {line.split()[0] for line in lines("ldconfig", "-p")[1:]}
    found = {}
    for path, what in paths.items():
        if what[0] == "-" and what.split()[2:3] not in (["0"], ["sorted"]) and not known.issuperset(needed(path)):
            lost = [line.strip() for line in lines("ldd", path) if "not found" in line]
            if lost:
                found[path] = " ".join(sorted(lost))
    return found


def needed(path: str) -> list[str]:
    """The names of DT_NEEDED (System V ABI, chapter 5), of 64-bit little-endian files."""
    with Path(path).open("rb") as file:
        head = file.read(64)
        if head[:6] != b"\x7fELF\x02\x01":
            return []
        start, size, count = struct.unpack("<Q", head[32:40])[0], *struct.unpack("<HH", head[54:58])
        file.seek(start)
        table = file.read(size * count)
        segments = [struct.unpack_from("<IIQQQQ", table, size * at) for at in range(count)]
        dynamic = next((one for one in segments if one[0] == 2), None)
        if dynamic is None:
            return []
        file.seek(dynamic[2])
        tags = [*struct.iter_unpack("<QQ", file.read(dynamic[5] // 16 * 16))]
        strings = next((value for tag, value in tags if tag == 5), 0)
        return [name for tag, value in tags if tag == 1 if (name := _text(file, segments, strings + value))]


def _text(file: BinaryIO, segments: list[tuple[int, ...]], address: int) -> str:
    at = next((s[2] + address - s[3] for s in segments if s[0] == 1 and s[3] <= address < s[3] + s[5]), 0)
    file.seek(at)
    return str(file.read(256).partition(b"\0")[0].decode())


def stale(paths: Facts) -> Facts:
    """Bytecode that isn't of the module beside it (PEP 552), of this Python's own release."""
    found = {}
    for path in paths:
        folder, _, name = path.rpartition("/__pycache__/")
        module = Path(folder, f"{name.split('.')[0]}.py")
        if not name.endswith(".pyc") or not module.exists():
            continue
        header = Path(path).read_bytes()[:16]
        if header[:4] == importlib.util.MAGIC_NUMBER and not fresh(header, module):
            found[path] = "stale"
    return found


def fresh(header: bytes, module: Path) -> bool:
    flags, first, second = struct.unpack("<III", header[4:])
    if flags & 1:
        return bytes(importlib.util.source_hash(module.read_bytes())) == header[8:]
    status = module.stat()
    return bool((first, second) == (int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF))


def survey(*, whole: bool) -> dict[str, Facts]:
    """Without ``whole``, only what takes little time: no sums of files, and nothing installed on top."""
    paths = tree() if whole else {}
    found = {
        "tree": paths,
        "missing libraries": missing_libraries(paths),
        "stale bytecode": stale(paths),
        "packages": packages(),
        "verify": verified() if whole else {},
        "marks": marks(),
        "users": users(),
        "groups": groups(),
        "alternatives": alternatives(),
        "diversions": dict.fromkeys(lines("dpkg-divert", "--list"), ""),
        "statoverrides": {one: "" for one in lines("dpkg-statoverride", "--list") if "ended" not in one},
        "debconf": debconf(),
        "ldconfig": cached_libraries(),
        "python": python("/usr/bin/python3"),
        "pip": pip(),
        "r": r(),
    }
    return found | {"checks": checks() if whole else {"dpkg --audit": run("dpkg", "--audit")}}


if __name__ == "__main__":
    data = json.dumps(survey(whole="--quick" not in sys.argv)).encode()
    sys.stdout.write(base64.b64encode(zlib.compress(data, 1)).decode())
