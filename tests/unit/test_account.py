"""What stands before adduser and its like in a build: which calls get their ids from the ledger, and how they are passed on."""

from __future__ import annotations

import subprocess
from importlib import resources
from pathlib import Path

import pytest

IDS = "foo:700\n_ssh:701\nmessagebus:702\ns.d:703\n"
ECHO = '#!/bin/sh\necho "${0##*/} $*"\nfor one; do case $one in /*.conf) cat "$one" ;; esac; done\n'


class Step:
    """A machine with these tools, which say how they were called; what is in /tmp in a build is in ``tmp``."""

    def __init__(self, tmp: Path) -> None:
        text = resources.files("hubstack").joinpath("render", "templates", "account.sh").read_text(encoding="utf-8")
        self.tmp, self.tools, script = tmp, tmp / "tools", tmp / ".hubstack" / "account.sh"
        for folder in (self.tools, script.parent, tmp / ".bin"):
            folder.mkdir()
        (script.parent / "ids").write_text(IDS)
        _program(script, text.replace("/tmp/", f"{tmp}/"))
        for tool in ("useradd", "groupadd", "systemd-sysusers"):
            _program(self.tools / tool, ECHO)
            (tmp / ".bin" / tool).symlink_to(script)

    def __call__(self, *words: str, stdin: str = "") -> str:
        path = f"{self.tmp}/.bin:{self.tools}:/usr/bin:/bin"
        argv = [f"{self.tmp}/.bin/{words[0]}", *words[1:]]
        done = subprocess.run(argv, env={"PATH": path}, input=stdin, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def step(tmp_path: Path) -> Step:
    return Step(tmp_path)


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("useradd --system foo", "-u 700"),
        ("useradd foo -m -s /bin/bash", "-u 700"),
        ("useradd foo --home-dir /dev/null", "-u 700"),
        ("useradd --gid nogroup foo", "-u 700"),
        ("useradd -rg messagebus foo", "-u 700"),
        ("useradd -rc messagebus foo", "-u 700"),
        ("useradd --comment messagebus --create-home foo", "-u 700"),
        ("useradd -g messagebus other", ""),
        ("useradd --groups=messagebus -G messagebus _ssh", "-u 701"),
        ("useradd -d /dev/null -c ^.*$ other", ""),
        ("useradd sxd", ""),  # a name is no pattern
        ("useradd s.d", "-u 703"),
        ("groupadd -r foo", "-g 700"),
        ("groupadd foo --users _ssh", "-g 700"),
        ("groupadd --users _ssh foo", "-g 700"),
        ("groupadd -U foo other", ""),
        ("useradd -D", ""),
        ("groupadd -K GID_MIN=100 messagebus", "-g 702"),
    ],
)
def test_the_account_gets_its_number_wherever_its_name_stands(step: Step, words: str, number: str) -> None:
    tool, *rest = words.split()
    assert step(tool, *rest).splitlines()[0] == " ".join(filter(None, (tool, number, *rest)))


@pytest.mark.parametrize(
    "words",
    [
        "useradd -u 450 foo",
        "useradd --uid=450 foo",
        "useradd foo --uid 450",
        "useradd -u450 foo",
        "groupadd --gid 9 foo",
    ],
)
def test_one_that_brings_a_number_keeps_it(step: Step, words: str) -> None:
    assert step(*words.split()).splitlines() == [words]


def test_sysusers_reads_a_copy_with_numbers(step: Step, tmp_path: Path) -> None:
    (tmp_path / "my.conf").write_text("u foo - Foo\ng _ssh -\nu other - Other\n")
    said = step("systemd-sysusers", f"{tmp_path}/my.conf").splitlines()
    assert said == [f"systemd-sysusers {tmp_path}/.sysusers/my.conf", "u foo 700 Foo", "g _ssh 701", "u other - Other"]


@pytest.mark.parametrize(
    "words", [["-"], ["--inline", "u foo -"], ["--replace=/usr/lib/sysusers.d/a.conf", "-"], ["nowhere.conf"]]
)
def test_sysusers_gets_as_it_is_what_is_no_file_here(step: Step, words: list[str]) -> None:
    said = step("systemd-sysusers", *words, stdin="u foo -\n")
    assert said.splitlines()[0] == " ".join(["systemd-sysusers", *words])
