"""Findings → layers: what several sources ask for becomes a layer of its own, below theirs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hubstack.files.scalar import MAX_NAME
from hubstack.proposal.finding import Finding
from hubstack.proposal.sketch import Sketch
from hubstack.spelling import enumerate_words

_Item = tuple[str, str]  # package manager, line
_MANAGERS = ("apt", "pip", "conda", "npm")
_FEW = 3
"""So many packages make a layer worth its while, where not all sources share them."""
_PYPI = {  # conda's names of what PyPI calls otherwise
    "dask-core": "dask",
    "graphviz": "",
    "jupyterhub-singleuser": "jupyterhub",
    "matplotlib-base": "matplotlib",
    "nodejs": "",
    "opencv": "opencv-python-headless",
    "py-xgboost": "xgboost",
    "pytables": "tables",
    "python-graphviz": "graphviz",
    "pytorch": "torch",
}
_THERE = frozenset({"python", "pip", "setuptools", "wheel", "conda", "mamba"})
_NOT_PYTHON = re.compile(
    r"r-.*|lib.*|_.*|.*-compiler|compilers|gcc.*|gxx.*|blas|mkl|openblas|make|cmake|git|julia|rust|go"
)
_SPEC = re.compile(r"(?:[\w-]+::)?(?P<name>[\w.-]+)\s*(?P<rest>.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the project has to stand on: the names of its layers and those that they provide."""

    known: frozenset[str] = frozenset()
    taken: frozenset[str] = frozenset()
    owners: tuple[str, ...] = ()

    def below(self, finding: Finding) -> tuple[str, ...]:
        """What a layer of these packages requires."""
        wanted = {
            "conda": bool(finding.conda),
            "python": bool(finding.pip),
            "nodejs": bool(finding.npm),
            "r": bool(finding.install_r),
        }
        return tuple(name for name, needed in wanted.items() if needed and name in self.known)


def without_conda(finding: Finding) -> None:
    """Where no layer brings conda, its packages are asked of PyPI, by the same name; what can't be there is left."""
    for spec, where in finding.conda.items():
        match = _SPEC.fullmatch(spec)
        assert match is not None  # the readers take nothing else
        name = match["name"].lower()
        pypi = _PYPI.get(name, "" if _NOT_PYTHON.fullmatch(name) else name)
        version = _version(match["rest"].strip())
        if name in _THERE:
            if match["rest"] and name == "python":
                finding.leave(where, spec, "the release of Python is what a base or a layer brings")
        elif not pypi or version is None:
            finding.leave(
                where, spec, "conda has it and PyPI may not: look for it in Debian, or make a layer with conda"
            )
        else:
            finding.pip.setdefault(f"{pypi}{version}", where)
    finding.conda = {}


def propose(findings: Sequence[Finding], ground: Ground) -> tuple[Sketch, ...]:
    """Layers, those below first. Names that the project has taken get a number."""
    groups = dict(_groups(findings))
    everybody = frozenset(range(len(findings)))
    lead = _lead(findings)
    if lead:
        groups.setdefault(everybody, [])
    names: dict[frozenset[int], str] = {}
    taken = set(ground.taken)
    sketches = []
    for members in sorted(groups, key=lambda one: (-len(one), sorted(one))):
        shared = Finding(name=_common_name(findings, members), pieces=lead if members == everybody else [])
        _fill(shared, groups[members])
        names[members] = _free(shared.name, taken)
        below = tuple(names[other] for other in names if other > members)
        summary = f"What {enumerate_words((findings[at].name for at in sorted(members)), 'and')} share"
        sketches.append(_sketch(shared, names[members], ground, below, summary))
    for at, finding in enumerate(findings):
        for members, items in groups.items():
            if at in members:
                for manager, line in items:
                    getattr(finding, manager).pop(line)
        finding.pieces = finding.pieces[len(lead) :]
        below = tuple(names[members] for members in names if at in members)
        sketches.append(_sketch(finding, _free(finding.name, taken), ground, below, ""))
    return tuple(sketches)


def _groups(findings: Sequence[Finding]) -> Mapping[frozenset[int], list[_Item]]:
    """Who shares what: at least two sources, and either all of them or a few packages."""
    askers: dict[_Item, set[int]] = {}
    for at, finding in enumerate(findings):
        for manager in _MANAGERS:
            for line in getattr(finding, manager):
                askers.setdefault((manager, line), set()).add(at)
    groups: dict[frozenset[int], list[_Item]] = {}
    for item, members in askers.items():
        if len(members) > 1:
            groups.setdefault(frozenset(members), []).append(item)
    return {members: items for members, items in groups.items() if len(members) == len(findings) or len(items) >= _FEW}


def _lead(findings: Sequence[Finding]) -> list[str]:
    """The instructions with which all begin, as images of one family do; files are each source's own."""
    if len(findings) < 2:
        return []
    lead: list[str] = []
    for pieces in zip(*(finding.pieces for finding in findings), strict=False):
        if len(set(pieces)) > 1 or "copy(" in pieces[0]:
            break
        lead.append(pieces[0])
    return lead


def _fill(finding: Finding, items: Iterable[_Item]) -> None:
    for manager, line in items:
        getattr(finding, manager)[line] = ""


def _sketch(finding: Finding, name: str, ground: Ground, below: tuple[str, ...], summary: str) -> Sketch:
    requires = tuple(dict.fromkeys((*ground.below(finding), *below)))
    if not requires and "jupyterlab" in ground.known:
        requires = ("jupyterlab",)
    packages = any((finding.apt, finding.pip, finding.conda, finding.npm, finding.install_r, finding.post_build))
    return Sketch(
        name=name,
        summary=summary,
        requires=requires,
        apt=tuple(finding.apt),
        pip=tuple(finding.pip),
        conda=tuple(finding.conda),
        npm=tuple(finding.npm),
        install_r="".join(f"{one}\n" for one in finding.install_r),
        post_build=finding.post_build,
        dockerfile=_dockerfile(finding.pieces, packages=packages) if finding.pieces else "",
        files=tuple(file for _, file in sorted(finding.files.items())),
        owners=ground.owners,
    )


def _dockerfile(pieces: Sequence[str], *, packages: bool) -> str:
    first = ["FROM parent", *(["{{ packages() }}"] if packages else [])]
    return "\n\n".join((*first, *pieces, "USER 1000:100")) + "\n"


def _common_name(findings: Sequence[Finding], members: frozenset[int]) -> str:
    if len(members) == len(findings):
        return "common"
    return "-".join(("common", *(findings[at].name for at in sorted(members))))[:MAX_NAME].strip("-")


def _free(name: str, taken: set[str]) -> str:
    numbered = (name if not number else f"{name[: MAX_NAME - 3]}-{number}" for number in range(len(taken) + 2))
    free = next(one for one in numbered if one not in taken)
    taken.add(free)
    return free


def _version(rest: str) -> str | None:
    """Conda's ``=1.2`` is any 1.2.x; what PEP 440 can't say is None."""
    if not rest:
        return ""
    if re.fullmatch(r"=?[\d.]+\*?", rest) and not rest.startswith("=="):
        release = rest.lstrip("=").removesuffix("*").strip(".")
        return f"=={release}.*" if release else ""
    plain = rest.replace(" ", "")
    return plain if re.fullmatch(r"(?:(?:>=|<=|==|!=|~=|>|<)[\w.*]+,?)+", plain) else None
