"""What packages make of all files in a folder: spoilt, and made anew by firing their triggers, on each release.

Every merge believes the table that says so (:mod:`hubstack.merge.aggregate`). Here the packages themselves are asked, with the
script that settles merges.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hubstack.merge.aggregate import AGGREGATES, NAMES, Aggregate, aggregates
from hubstack.merge.interest import TRIGGERS, Interest
from hubstack.merge.settle import settle_script
from hubstack.oci import SOURCE_DATE_EPOCH
from hubstack.render.packages import RUN_SCRIPT, script

from tests.proof.survey import LABEL, SurveyFailed

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

_WITH = (
    *("shared-mime-info", "glib-networking", "gsettings-desktop-schemas", "librsvg2-common", "libgtk-4-1"),
    *(
        "desktop-file-utils",
        "feh",
        "vlc-bin",
        "vlc-plugin-base",
        "octave",
        "octave-io",
        "sgml-base",
        "docbook",
        "docbook-xml",
    ),
    *("udev", "libgphoto2-6", "systemd"),
    *("ca-certificates", "lmodern", "texlive-latex-base", "texlive-luatex", "texlive-lang-german"),
)  # the packages of the table, and such as have something for each
_AND = {"bookworm": ("libgtk-3-0", "libgtk2.0-0"), "trixie": ("libgtk-3-0t64", "libgtk2.0-0t64")}
_INSTALL = "apt-get -q update && apt-get -qy --no-install-recommends install"
_LIST = "find / -xdev -type f -printf '%P\\n'"
_CLEAN = script(RUN_SCRIPT).content.decode()
_STEP = f"""
rm -rf /tmp/* /tmp/.[!.]*
export SOURCE_DATE_EPOCH={SOURCE_DATE_EPOCH}
printf '%s' "$0" | sh -c "$1"
"""  # as merges are settled
_SPOIL = """
import json, sys
for path in json.loads(sys.argv[1]):
    with open(f"/{path}", "rb") as file:
        first = file.readline(200)
    with open(f"/{path}", "wb") as file:
        file.write(first + b"spoilt")
"""  # but for the first line: mktexlsr writes over nothing that isn't an ls-R
_READ = """
import hashlib, json, os, sys
def read(path):
    with open(f"/{path}", "rb") as file:
        content = file.read()
    return "" if content.endswith(b"spoilt") else hashlib.sha256(content).hexdigest()
print(json.dumps({path: read(path) for path in json.loads(sys.argv[1]) if os.path.exists(f"/{path}")}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """``other`` are made anew as something else, with a clock in it say; ``lost`` are gone, or not made anew."""

    release: str
    package: str
    trigger: str
    row: int  # of the table
    made: int = 0  # files
    other: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


def fire(client: DockerClient, release: str, base: str) -> Iterator[Firing]:
    """One for each trigger of the table's that is there, and one without a trigger for each row that has none.

    ``base`` is an image of that release. Raises SurveyFailed where its packages can't be installed.
    """
    with _container(client, base) as container:
        _run(container, f"{_INSTALL} {' '.join([*_WITH, *_AND[release]])}")
        files = _run(container, _LIST).splitlines()
        seen = set()
        for package, trigger, one in _watched(container):
            seen.add(one)
            paths = [path for path in files if one.makes(trigger.lstrip("/"), path)]
            firing = Firing(release=release, package=package, trigger=trigger, row=AGGREGATES.index(one))
            yield _fired(container, firing, paths)
    for row, one in enumerate(AGGREGATES):
        if one not in seen:
            yield Firing(release=release, package=one.packages[0], trigger="", row=row)


def _watched(container: Container) -> list[tuple[str, str, Aggregate]]:
    """Package, trigger, and what is made then."""
    places = [TRIGGERS, *(f"var/lib/dpkg/triggers/{name}" for name in NAMES)]
    lines = _run(container, f"cd / && grep -s '' {' '.join(places)} || true").splitlines()
    found = set()
    for place, _, line in (line.partition(":") for line in lines):
        *trigger, package = line.split()
        found.add((package.partition("/")[0], trigger[0] if trigger else place.rpartition("/")[2]))
    return [(package, name, one) for package, name in sorted(found) for one in aggregates(package, name.lstrip("/"))]


def _fired(container: Container, firing: Firing, paths: Sequence[str]) -> Firing:
    words = settle_script([Interest(host="", guest="", who=firing.package, path="", trigger=firing.trigger)])
    _run(container, _STEP, words, _CLEAN)
    before = _asked(container, _READ, paths)
    _asked(container, _SPOIL, paths)
    _run(container, _STEP, words, _CLEAN)
    after = _asked(container, _READ, paths)
    lost = tuple(path for path in paths if not after.get(path))
    other = tuple(path for path in paths if path not in lost and after[path] != before[path])
    return Firing(**{**asdict(firing), "made": len(paths), "other": other, "lost": lost})


def _asked(container: Container, program: str, paths: Sequence[str]) -> Mapping[str, str]:
    answer = _run(container, 'exec /usr/bin/python3 -I -c "$0" "$1"', program, json.dumps(paths))
    found: dict[str, str] = json.loads(answer or "{}")
    return found


def _run(container: Container, command: str, *words: str) -> str:
    code, output = container.exec_run(["sh", "-c", command, *words], user="0:0", workdir="/")
    assert isinstance(output, bytes)
    text = output.decode(errors="replace")
    if code:
        raise SurveyFailed(text[-2000:])
    return text


@contextmanager
def _container(client: DockerClient, base: str) -> Iterator[Container]:
    container = client.containers.run(
        base, entrypoint=["sleep"], command=["infinity"], user="0:0", detach=True, init=True, labels={LABEL: ""}
    )
    try:
        yield container
    finally:
        container.remove(force=True)


def write_firings(path: Path, firings: Sequence[Firing], generation: str) -> None:
    """In the place of those of the same release, and of another generation of the code."""
    releases = {one.release for one in firings}
    kept = [one for one in read_firings(path, generation) if one.release not in releases]
    lines = [json.dumps({"generation": generation, **asdict(one)}) for one in (*kept, *firings)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read_firings(path: Path, generation: str) -> list[Firing]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = [one for one in map(json.loads, lines) if one.pop("generation") == generation]
    return [Firing(**one | {name: tuple(one[name]) for name in ("other", "lost")}) for one in found]
