"""Runs inside a stack's image while a repository is built on it, with the image's own Python (3.9 or newer).

Usage: python3 provide.py check|install|postBuild <ASKED.json

``check`` compares what the repository asks for with what the stack has, before anything is installed; ``install`` brings
its Python packages, held to the stack's versions; ``postBuild`` runs the repository's own script. Each fault is one line
that begins with MARK; whoever reads the log of a build looks for those.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any


def packaging(part: str) -> Any:
    """Pip carries a copy, where there is no other."""
    try:
        return importlib.import_module(f"packaging.{part}")
    except ImportError:
        return importlib.import_module(f"pip._vendor.packaging.{part}")


markers, requirements, specifiers, versions = map(packaging, ("markers", "requirements", "specifiers", "version"))

MARK = "hubstack: "
CA = Path("/run/secrets/hubstack-ca")
SCRATCH = Path("/tmp")  # a tmpfs in every step
CA_VARIABLES = (
    "SSL_CERT_FILE CURL_CA_BUNDLE REQUESTS_CA_BUNDLE GIT_SSL_CAINFO NODE_EXTRA_CA_CERTS PIP_CERT "
    "CONDA_SSL_VERIFY MAMBA_SSL_VERIFY"
)
ELSE = "Ask for what the stack has, or for another stack in binder/stack"
_CONSTRAINT = re.compile(r"\s*The user requested \(constraint\) ([\w.-]+)===?(\S+)")
_DEPENDS = re.compile(r"\s*(\S+) (\S+) depends on (.+)")


def name_of(text: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", text).lower()


def installed() -> dict[str, str]:
    """The stack's Python packages: name → version."""
    found: dict[str, str] = {}
    for one in metadata.distributions():
        name = one.metadata["Name"]
        if name and one.version:
            found.setdefault(name_of(name), one.version)
    return found


def conda() -> tuple[str, Path] | None:
    """The program that installs conda packages, and conda's prefix; or nothing."""
    program = shutil.which("mamba") or shutil.which("conda")
    prefix = Path(os.environ.get("CONDA_DIR") or os.environ.get("CONDA_PREFIX") or sys.prefix)
    return (program, prefix) if program and (prefix / "conda-meta").is_dir() else None


def conda_packages(prefix: Path) -> dict[str, str]:
    records = [json.loads(path.read_bytes()) for path in sorted((prefix / "conda-meta").glob("*.json"))]
    return {record["name"]: record["version"] for record in records}


def debian_version(package: str) -> str:
    """The version of an installed Debian package, or nothing."""
    if shutil.which("dpkg-query") is None:
        return ""
    asked = ["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}${Version}", package]
    said = subprocess.run(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.decode()
    return said[3:] if said.startswith("ii") else ""


def r_version() -> str:
    if shutil.which("Rscript") is None:
        return ""
    asked = ["Rscript", "-e", "cat(as.character(getRversion()))"]
    return subprocess.run(asked, stdout=subprocess.PIPE, check=False).stdout.decode().strip()


# --- what clashes ------------------------------------------------------------------------------------------------------


def check(asked: Mapping[str, Any]) -> Iterator[str]:
    stack = asked["stack"]
    yield from check_runtime(stack, asked["runtime"])
    for line in asked["apt"]:
        name, _, version = line["text"].partition("=")
        there = debian_version(name) if version else ""
        if there and there != version:
            yield f"{line['where']}: {name}: {stack} has {there}, and {version} is asked for. {ELSE}."
    have = installed()
    for line in asked["requirements"]:
        yield from check_requirement(stack, line, have)
    place = conda()
    for line in asked["conda"]:
        yield from check_conda(stack, line, conda_packages(place[1]) if place else None, have)


def check_runtime(stack: str, runtime: Mapping[str, str] | None) -> Iterator[str]:
    if runtime is None:
        return
    name, asked, where = runtime["name"], runtime["version"], runtime["where"]
    have = ".".join(str(part) for part in sys.version_info[:3]) if name == "python" else r_version()
    word = "Python" if name == "python" else "R"
    if not have:
        yield f"{where}: {stack} has no {word}. Ask for another stack in binder/stack."
    elif asked and asked.split(".") != have.split(".")[: len(asked.split("."))]:
        yield f"{where}: {word}: {stack} has {have}, and {asked} is asked for. {ELSE}."


def check_requirement(stack: str, line: Mapping[str, str], have: Mapping[str, str]) -> Iterator[str]:
    text = re.split(r"\s+--|\s*\\$", line["text"])[0].strip()
    try:
        wanted = requirements.Requirement(text)
        skipped = wanted.marker is not None and not wanted.marker.evaluate({"extra": ""})
    except (requirements.InvalidRequirement, markers.UndefinedEnvironmentName):
        return  # an option, a path or an address: pip's own business
    version = have.get(name_of(wanted.name))
    if version is None or skipped or wanted.specifier.contains(version, prereleases=True):
        return
    yield f"{line['where']}: {wanted.name}: {stack} has {version}, and {wanted.name}{wanted.specifier} is asked for. {ELSE}."


def check_conda(
    stack: str, line: Mapping[str, Any], packages: Mapping[str, str] | None, have: Mapping[str, str]
) -> Iterator[str]:
    """``packages``: conda's, or nothing where the stack has no conda and everything must be there already."""
    name, text, where = line["name"], line["text"], line["where"]
    version = (packages or {}).get(name) or version_of(name, have)
    if version and not satisfies(version, line["alternatives"]):
        yield f"{where}: {name}: {stack} has {version}, and {text} is asked for. {ELSE}."
    elif not version and packages is None:
        yield (
            f"{where}: {name}: {stack} has neither it nor conda. Move it below `pip:` where PyPI has it, or into apt.txt, "
            "or ask for a stack with conda in binder/stack."
        )


def version_of(name: str, have: Mapping[str, str]) -> str:
    """The version of what conda calls ``name``, wherever the stack has it from."""
    if name == "python":
        return ".".join(str(part) for part in sys.version_info[:3])
    if name == "r-base":
        return r_version()
    debian = f"r-cran-{name[2:]}" if name.startswith("r-") else name
    return have.get(name_of(name)) or re.sub(r"^\d+:|[-+~].*$", "", debian_version(debian))


def satisfies(version: str, alternatives: Sequence[str]) -> bool:
    try:
        number = versions.Version(version)
    except versions.InvalidVersion:
        return not alternatives
    return not alternatives or any(
        specifiers.SpecifierSet(one).contains(number, prereleases=True) for one in alternatives
    )


# --- what is brought ---------------------------------------------------------------------------------------------------


def install(asked: Mapping[str, Any]) -> Iterator[str]:
    target = sysconfig.get_paths()["purelib"]
    if not os.access(target, os.W_OK):
        yield f"{target} of {asked['stack']} can't be written by user {os.getuid()}, so nothing can be added to it."
        return
    constraints = write("constraints.txt", (f"{name}=={version}" for name, version in sorted(installed().items())))
    place = conda()
    if asked["environment"] and place:
        yield from mamba(asked, place, constraints)
        return
    arguments = []
    if asked["path"]:
        arguments = ["-r", asked["path"]]
    elif asked["requirements"]:
        arguments = ["-r", str(write("requirements.txt", (line["text"] for line in asked["requirements"])))]
    if asked["package"]:
        arguments.append(".")
    if arguments:
        yield from pip(asked, arguments, constraints)


def write(name: str, lines: Iterable[str]) -> Path:
    path = SCRATCH / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def pip(asked: Mapping[str, Any], arguments: Sequence[str], constraints: Path) -> Iterator[str]:
    options = ["--no-cache-dir", "--no-input", "--progress-bar=off", "--disable-pip-version-check"]
    code, said = echoed([sys.executable, "-m", "pip", "install", *options, "-c", str(constraints), *arguments])
    if code:
        yield from clashes(asked["stack"], said) or ["pip could not install what the repository asks for."]


def clashes(stack: str, said: Sequence[str]) -> list[str]:
    """Pip's account of a conflict with the stack's versions, as sentences."""
    held = {name_of(match[1]): match[2] for line in said for match in [_CONSTRAINT.match(line)] if match}
    found = []
    for line in said:
        match = _DEPENDS.match(line)
        name = name_of(re.split(r"[^\w.-]", match[3])[0]) if match else ""
        if match and name in held:
            found.append(
                f"{match[1]} {match[2]} needs {match[3].strip()}, and {stack} has {name} {held[name]}. {ELSE}."
            )
    return list(dict.fromkeys(found))


def mamba(asked: Mapping[str, Any], place: tuple[str, Path], constraints: Path) -> Iterator[str]:
    """Everything that is there stays as it is: conda's solver reads conda-meta/pinned, pip its constraints."""
    program, prefix = place
    os.environ |= {"PIP_CONSTRAINT": str(constraints), "CONDA_PKGS_DIRS": str(SCRATCH / "conda")}
    os.environ |= {"CONDA_ALWAYS_YES": "true", "MAMBA_ALWAYS_YES": "true"}
    environment = asked["environment_path"] or write("environment.yml", asked["environment"])
    pinned = prefix / "conda-meta" / "pinned"
    before = pinned.read_text(encoding="utf-8") if pinned.exists() else ""
    pins = "".join(f"{name} =={version}\n" for name, version in sorted(conda_packages(prefix).items()))
    pinned.write_text(before + pins, encoding="utf-8")
    code, _ = echoed([program, "env", "update", "--prefix", str(prefix), "--file", str(environment)])
    if before:
        pinned.write_text(before, encoding="utf-8")
    else:
        pinned.unlink()
    if code:
        yield f"{Path(program).name} could not add what environment.yml asks for to {asked['stack']}."


def echoed(argv: Sequence[str]) -> tuple[int, list[str]]:
    """Run ``argv``, its output passed on line by line; the exit code and the output."""
    said = []
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        assert child.stdout is not None
        for line in child.stdout:
            text = line.decode(errors="replace").rstrip("\n")
            said.append(text)
            print(text, flush=True)
    return child.returncode, said


def post_build(asked: Mapping[str, Any]) -> Iterator[str]:
    home = os.environ.get("HOME", "")
    began = time.time()
    Path(asked["post_build"]).chmod(0o755)
    code = subprocess.run(["./" + asked["post_build"]], stdin=subprocess.DEVNULL, check=False).returncode
    if code:
        yield f"{asked['post_build']} ended with code {code}."
    elif home and written_since(Path(home), began):
        print(f"{MARK}warning: {asked['post_build']} has written into {home}, which a hub that keeps homes covers.")


def written_since(folder: Path, began: float) -> bool:
    return any(path.lstat().st_mtime >= began - 1 for path in folder.rglob("*") if not path.is_dir())


STEPS: Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    "check": check,
    "install": install,
    "postBuild": post_build,
}


def main(step: str) -> int:
    asked = json.load(sys.stdin)
    os.umask(0o002)
    if CA.exists() and CA.stat().st_size:
        os.environ.update(dict.fromkeys(CA_VARIABLES.split(), str(CA)))
    os.environ["PIP_USER"] = "0"  # a package in the home would be lost below a volume
    faults = list(STEPS[step](asked))
    for fault in faults:
        print(f"{MARK}error: {fault}", flush=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
