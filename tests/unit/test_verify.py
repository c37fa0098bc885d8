from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hubstack.model import Kind, Layer, SourceFile, Test
from hubstack.source import Position, Source
from hubstack.verify import ImageTestFailed, inside, read_contents, run_tests

from tests.fakes.engine import Call, FakeEngine, Image
from tests.fakes.registry import FakeRegistry

PLACE = Position(path="layers/lab/layer.yaml", line=12, column=5)
HUB_TEST = "python3 /srv/hubstack/hubtest.py 60"
LISTING = "sh /srv/hubstack/contents.sh"


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(FakeRegistry(), images={"x": Image("x", {}, ())})


def layer(name: str, *tests: Test, versions: dict[str, str] | None = None) -> Layer:
    files = {
        path: SourceFile(path=path, content=b"print(1)\n", executable=True)
        for path in ("tests/plot.py", "tests/data/a.csv", "requirements.txt")
    }
    source = Source(path=f"layers/{name}/layer.yaml")
    return Layer(
        name=name, kind=Kind.LAYER, summary="", tests=tests, files=files, versions=versions or {}, source=source
    )


def make_test(run: str, **fields: object) -> Test:
    return replace(Test(run=run, position=PLACE), **fields)  # type: ignore[arg-type]


def verify(engine: FakeEngine, *layers: Layer, hub_test: bool = False) -> list[str]:
    lines: list[str] = []
    run_tests(engine, "x", layers, hub_test=hub_test, node="scipy-1", on_line=lines.append)
    return lines


def failed(engine: FakeEngine, *layers: Layer, hub_test: bool = False) -> ImageTestFailed:
    with pytest.raises(ImageTestFailed) as caught:
        verify(engine, *layers, hub_test=hub_test)
    return caught.value


# --- where tests run -----------------------------------------------------------------------------------------------------


def test_tests_run_lowest_layer_first_in_their_own_folders(engine: FakeEngine) -> None:
    verify(
        engine,
        layer("lab", make_test("one"), make_test("two", timeout_s=7)),
        layer("bare"),
        layer("scipy", make_test("three")),
    )
    assert engine.calls == [
        Call("container", "x"),
        Call("run", "one", "/srv/hubstack/lab", timeout_s=60),
        Call("run", "two", "/srv/hubstack/lab", timeout_s=7),
        Call("run", "three", "/srv/hubstack/scipy", timeout_s=60),
    ]


def test_what_needs_the_network_has_a_container_of_its_own(engine: FakeEngine) -> None:
    verify(
        engine,
        layer("lab", make_test("fetch", network=True), make_test("one")),
        layer("scipy", make_test("two")),
        hub_test=True,
    )
    seen = [(call.verb, call.about, call.network) for call in engine.calls]
    assert seen == [
        ("container", "x", False),
        ("run", "one", False),
        ("run", "two", False),
        ("container", "x", False),
        ("run", "fetch", True),
        ("container", "x", False),  # a home in which no test has been
        ("run", HUB_TEST, False),
    ]


def test_a_container_gets_the_layers_tests_folders_and_nothing_else(engine: FakeEngine) -> None:
    given: dict[str, SourceFile] = {}
    engine.before = lambda call: given.update(engine.alive[0].files) if call.verb == "run" else None
    verify(engine, layer("lab", make_test("one")), layer("bare"))
    assert sorted(given) == [
        "/srv/hubstack/contents.sh",
        "/srv/hubstack/hubtest.py",
        "/srv/hubstack/lab/.layer",
        "/srv/hubstack/lab/data/a.csv",
        "/srv/hubstack/lab/plot.py",
    ]
    assert given["/srv/hubstack/lab/plot.py"].executable


def test_without_tests_no_container_is_made(engine: FakeEngine) -> None:
    verify(engine, layer("bare"))
    assert engine.calls == []


# --- what passes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "code", "output"),
    [
        (make_test("x"), 0, ""),
        (make_test("x", exit_code=3), 3, ""),
        (make_test("x", exit_code=124), 124, ""),
        (make_test("x", stdout=r"^4\."), 0, "warning: old\n4.5.1\n"),
        (make_test("x", stdout=r"works$"), 0, "it works\n"),
    ],
)
def test_passed(engine: FakeEngine, one: Test, code: int, output: str) -> None:
    engine.codes["x"], engine.outputs["x"] = code, output
    verify(engine, layer("lab", one))


@pytest.mark.parametrize(
    ("one", "code", "output", "complaint"),
    [
        (make_test("x"), 1, "", "ended with code 1, not 0"),
        (make_test("x", exit_code=3), 0, "", "ended with code 0, not 3"),
        (make_test("x", timeout_s=9), 124, "", "took longer than 9 s"),
        (make_test("x", stdout=r"^4\."), 0, "14.5\n", r"printed nothing that matches '^4\\.'"),
    ],
)
def test_not_passed(engine: FakeEngine, one: Test, code: int, output: str, complaint: str) -> None:
    engine.codes["x"], engine.outputs["x"] = code, output
    error = failed(engine, layer("lab", make_test("before"), one, make_test("after")))
    assert error.message == f"scipy-1: `x` {complaint}"
    assert error.position == PLACE
    assert engine.verbs("run") == ["before", "x"]
    assert engine.alive == []


def test_a_failure_shows_the_first_line_of_a_script_and_the_last_of_its_output(engine: FakeEngine) -> None:
    script = "\nset -e\npython plot.py\n"
    engine.codes[script] = 1
    engine.outputs[script] = "".join(f"line {number}\n" for number in range(100)) + "\x1b[31mred\x1b[0m\n"
    error = failed(engine, layer("lab", make_test(script)))
    assert error.message.startswith("scipy-1: `set -e` ended")
    assert (len(error.tail), error.tail[0], error.tail[-1]) == (20, "line 81", "red")


@pytest.mark.parametrize(
    ("output", "message", "tail"),
    [
        ("Traceback\nit ended with code 1\n", "it ended with code 1", ("Traceback",)),
        ("", "python3 is not on PATH", ()),
    ],
)
def test_the_hub_test_s_last_line_is_what_is_wrong(
    engine: FakeEngine, output: str, message: str, tail: tuple[str, ...]
) -> None:
    engine.codes[HUB_TEST], engine.outputs[HUB_TEST] = 1, output
    error = failed(engine, hub_test=True)
    assert (error.message, error.tail) == (f"scipy-1: the hub can't use it: {message}", tail)
    assert error.position is None


def test_all_that_tests_print_is_told(engine: FakeEngine) -> None:
    engine.outputs |= {"one": "1\n\n\x1b[1mtwo\n"}
    assert verify(engine, layer("lab", make_test("one"), make_test("  \nfirst\nsecond\n"))) == [
        "$ one",
        "1",
        "",
        "two",
        "$ first",
        "$ second",
    ]


# --- what is in an image -----------------------------------------------------------------------------------------------------


def test_contents(engine: FakeEngine) -> None:
    engine.outputs = {
        LISTING: "=debian\nbash\t5.2\nlibc6\t2.36-9\n=python\nnumpy\t2.1\n=r\n=npm\nnpm: not found\n=other\na\t1\n",
        "jupyter lab --version": "4.5.1\n",
        "R --version": "R version 4.4.1 (2024-06-14) -- Race for Your Life\n",
        "java -version": 'openjdk version "21.0.4" 2024-07-16\n',
        "odd": "no number here\n",
    }
    engine.codes = {"broken": 1}
    versions = {"JupyterLab": "jupyter lab --version", "R": "R --version", "Broken": "broken", "Odd": "odd"}
    contents = read_contents(
        engine, "x", [layer("lab", versions=versions), layer("java", versions={"Java": "java -version"})]
    )
    assert contents.versions == {"JupyterLab": "4.5.1", "R": "4.4.1", "Java": "21.0.4"}
    assert contents.packages == {"debian": {"bash": "5.2", "libc6": "2.36-9"}, "python": {"numpy": "2.1"}}


def write_program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def run_script(
    name: str, *words: str, path: Path, home: Path | None = None, prefix: Sequence[str] = ()
) -> tuple[int, str]:
    """One of the scripts that run inside images, with the programs in ``path`` and the system's."""
    (path / name).write_bytes(inside(name))
    program = [sys.executable, "-I"] if name.endswith(".py") else ["sh"]
    done = subprocess.run(
        [*prefix, *program, path / name, *words],
        env={"PATH": f"{path}:/usr/bin:/bin", "HOME": str(home or path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout


def test_the_listing_of_each_package_manager(tmp_path: Path) -> None:
    write_program(tmp_path, "dpkg-query", "#!/bin/sh\nprintf 'bash\\t5.2\\n'\n")
    write_program(tmp_path, "python3", "#!/bin/sh\nprintf 'numpy\\t2.1\\n'\n")
    write_program(tmp_path, "Rscript", "#!/bin/sh\nprintf 'ggplot2\\t3.5.1\\n'\n")
    npm = "/usr/lib\n/usr/lib/node_modules/npm:npm@9.2.0\n/usr/lib/node_modules/@a/b:@a/b@1.0.0-rc.1\n"
    write_program(tmp_path, "npm", f"#!/bin/sh\ncat <<'END'\n{npm}END\n")
    code, output = run_script("contents.sh", path=tmp_path)
    assert code == 0
    assert output == (
        "=debian\nbash\t5.2\n=python\nnumpy\t2.1\n=r\nggplot2\t3.5.1\n=npm\nnpm\t9.2.0\n@a/b\t1.0.0-rc.1\n"
    )


def test_the_listing_of_a_real_python(tmp_path: Path) -> None:
    write_program(tmp_path, "python3", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    _, output = run_script("contents.sh", path=tmp_path)
    assert f"\npytest\t{pytest.__version__}\n" in output


# --- the hub test --------------------------------------------------------------------------------------------------------------

SERVER = """\
#!{python} -I
import http.server, os, pathlib, sys, urllib.parse, urllib.request
if "--version" in sys.argv:
    print("5.2.1")
    sys.exit()
{before}
hub = urllib.request.Request(os.environ["JUPYTERHUB_API_URL"] + "/", headers={{"Authorization": "token x"}})
assert b"5.2.1" in urllib.request.urlopen(hub).read()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/user/jovyan/api" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *args):
        pass
address = urllib.parse.urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
http.server.HTTPServer((address.hostname, address.port), Handler).serve_forever()
"""

AS_JOVYAN = ["unshare", "--user", "--map-user=1000"] if os.getuid() == 0 else []  # it refuses to run as root


def hub_test(folder: Path, before: str = "", deadline_s: float = 10) -> tuple[int, str]:
    if AS_JOVYAN and (not shutil.which("unshare") or subprocess.run([*AS_JOVYAN, "true"], check=False).returncode):
        pytest.skip("needs to run as somebody else than root")
    write_program(folder, "jupyterhub-singleuser", SERVER.format(python=sys.executable, before=before))
    (folder / "home").mkdir()
    return run_script("hubtest.py", str(deadline_s), path=folder, home=folder / "home", prefix=AS_JOVYAN)


def test_a_server_that_answers_twice_passes(tmp_path: Path) -> None:
    code, output = hub_test(tmp_path)
    assert code == 0, output
    assert [line.partition(" s ")[2] for line in output.splitlines()] == ["with an empty home", "with an old home"]


@pytest.mark.parametrize(
    ("before", "wrong"),
    [
        ("print('no module named x'); sys.exit(3)", "jupyterhub-singleuser ended with code 3 (with an empty home)"),
        (
            "if pathlib.Path.home().joinpath('.jupyter').exists(): sys.exit(4)",
            "jupyterhub-singleuser ended with code 4 (with an old home)",
        ),
        (
            """
sys.path[:0] = map(str, pathlib.Path.home().glob(".local/lib/*/site-packages"))
import importlib.util
if importlib.util.find_spec("tornado"): import tornado
""",
            "jupyterhub-singleuser ended with code 1 (with an old home)",
        ),
        ("import time; time.sleep(60)", "jupyterhub-singleuser did not answer within 1.5 s (with an empty home)"),
    ],
)
def test_a_server_that_a_hub_can_not_use(tmp_path: Path, before: str, wrong: str) -> None:
    deadline_s = 1.5 if "sleep" in before else 10
    code, output = hub_test(tmp_path, before, deadline_s)
    assert code == 1
    assert output.splitlines()[-1] == wrong


def test_an_image_without_a_server_or_with_root_as_its_user(tmp_path: Path) -> None:
    code, output = run_script("hubtest.py", "1", path=tmp_path, prefix=AS_JOVYAN)
    assert (code, output) == (1, "jupyterhub-singleuser is not on PATH\n")
    if os.getuid() == 0:
        assert run_script("hubtest.py", "1", path=tmp_path) == (1, "the image runs as root\n")
