from __future__ import annotations

import pytest
from hubstack.lock.resolution import Request, Scope
from hubstack.lock.uvlock import blamed, explanation, parse_lock, render_preferences, render_project

SCOPE = Scope(python="3.13", platform="linux/arm64")
SPLIT = "error: No solution found when resolving dependencies for split (markers: python_full_version == '3.13')"
HINT = "hint: While the active Python version is 3.11, the resolution failed for other Python versions supported by your project."

# As uv 0.13 wrote them to stderr, lines in the middle of long derivations left out.
CONFLICT = f"""\
{SPLIT}
  cause: Because hubstack-resolution:scipy depends on numpy<2 and hubstack-resolution:geo depends on numpy>=2, we can conclude that hubstack-resolution:geo and hubstack-resolution:scipy are incompatible.
         And because your project requires hubstack-resolution:geo and hubstack-resolution:scipy, we can conclude that your project's requirements are unsatisfiable.

{HINT}
"""
DERIVED = f"""\
{SPLIT}
  cause: Because notebook==7.5.0a0 depends on jupyterlab>=4.5.0a0,<4.6 and notebook==7.5.0a1 depends on jupyterlab>=4.5.0a2,<4.6, we can conclude that notebook>=7.5.0a0,<=7.5.0a1 depends on jupyterlab>=4.5.0a0,<4.6.
         And because notebook==7.5.7 depends on jupyterlab>=4.5.8,<4.6 and notebook==7.5.8 depends on jupyterlab>=4.5.11,<4.6, we can conclude that notebook>=7.5.0a0,<=7.5.8 depends on jupyterlab>=4.5.0a0,<4.6.
         And because hubstack-resolution:scipy depends on jupyterlab==4.4.* and hubstack-resolution:geo depends on notebook==7.5.*, we can conclude that hubstack-resolution:geo and hubstack-resolution:scipy are incompatible.
         And because your project requires hubstack-resolution:geo and hubstack-resolution:scipy, we can conclude that your project's requirements are unsatisfiable.
"""
WHEELS = f"""\
{SPLIT}
  cause: Because tensorflow>=2.18.0rc0,<=2.18.1 has no `python_full_version == '3.13' and sys_platform == 'linux'`-compatible wheels and only the following versions of tensorflow are available:
             tensorflow<2.18.dev0
             tensorflow>2.19.dev0
         we can conclude that tensorflow==2.18.* cannot be used.
         And because hubstack-resolution:ml depends on tensorflow==2.18.* and your project requires hubstack-resolution:ml, we can conclude that your project's requirements are unsatisfiable.
"""
UNKNOWN = f"""\
{SPLIT}
  cause: Because nunpy was not found in the package registry and hubstack-resolution:scipy depends on nunpy, we can conclude that hubstack-resolution:scipy's requirements are unsatisfiable.
         And because your project requires hubstack-resolution:scipy, we can conclude that your project's requirements are unsatisfiable.
"""
LABS = (
    "notebook>=7.5.0a0,<=7.5.8 depends on jupyterlab>=4.5.0a0,<4.6; "
    'layer "scipy" depends on jupyterlab==4.4.* and layer "geo" depends on notebook==7.5.*'
)
TOLD = [
    (
        CONFLICT,
        'layer "scipy" depends on numpy<2 and layer "geo" depends on numpy>=2',
        {"scipy": "numpy", "geo": "numpy"},
    ),
    (DERIVED, LABS, {"scipy": "jupyterlab", "geo": "notebook"}),
    (
        WHEELS,
        'tensorflow>=2.18.0rc0,<=2.18.1 has no wheels that fit; layer "ml" depends on tensorflow==2.18.*',
        {"ml": "tensorflow"},
    ),
    (UNKNOWN, 'nunpy was not found in the package registry and layer "scipy" depends on nunpy', {"scipy": "nunpy"}),
]


@pytest.mark.parametrize(("said", "told", "pairs"), TOLD, ids=["conflict", "derived", "wheels", "unknown"])
def test_uvs_reasons_are_told_in_our_words(said: str, told: str, pairs: dict[str, str]) -> None:
    assert explanation(said.splitlines()) == told
    assert dict(blamed(said.splitlines())) == pairs


def test_the_end_of_a_long_derivation_is_enough() -> None:
    assert explanation(DERIVED.splitlines()[2:]) == LABS


def test_other_failures_are_not_taken_for_a_conflict() -> None:
    assert explanation(["error: Failed to fetch", "  cause: Because the network is down"]) == ""


def test_the_project_is_narrowed_to_one_environment() -> None:
    text = render_project(Request(scope=SCOPE, requirements={"scipy": ('numpy; python_version < "4"',)}))
    assert 'scipy = ["numpy; python_version < \\"4\\""]' in text
    environment = next(line for line in text.splitlines() if line.startswith("environments"))
    assert "python_full_version == '3.13.0'" in environment
    assert "platform_machine == 'aarch64'" in environment


FORKED = """\
version = 1
[[package]]
name = "hubstack-resolution"
version = "0"
[package.dev-dependencies]
scipy = [
    { name = "numpy", version = "1.0", marker = "platform_machine == 'x86_64'" },
    { name = "numpy", version = "2.0", marker = "platform_machine == 'aarch64'" },
    { name = "Dask", extra = ["Complete_Set"], marker = "python_full_version < '3.14'" },
]
[[package]]
name = "numpy"
version = "1.0"
resolution-markers = ["platform_machine == 'x86_64'"]
sdist = { url = "https://files.index.test/numpy-1.0.tar.gz", hash = "sha256:aa" }
[[package]]
name = "numpy"
version = "2.0"
resolution-markers = ["platform_machine == 'aarch64'"]
sdist = { url = "https://files.index.test/numpy-2.0.tar.gz", hash = "sha256:bb" }
[[package]]
name = "Dask"
version = "2026.8.0+local.1"
dependencies = [{ name = "numpy", version = "2.0" }]
wheels = [{ url = "https://files.index.test/dask-2026.8.0%2Blocal.1-py3-none-any.whl", hash = "sha256:cc" }]
[package.optional-dependencies]
complete-set = [{ name = "Dask", extra = ["array"] }, { name = "numpy", version = "1.0", marker = "os_name == 'nt'" }]
array = [{ name = "numpy", version = "2.0" }]
unused = [{ name = "numpy", version = "2.0" }]
"""


def test_markers_forks_and_extras_are_settled() -> None:
    found = parse_lock(FORKED.replace("Dask", "dask"), SCOPE)
    assert {name: one.version for name, one in found.items()} == {"dask": "2026.8.0+local.1", "numpy": "2.0"}
    assert (found["dask"].needs, found["dask"].hashes) == (("numpy",), ("cc",))
    assert found["dask"].extras == {"complete-set": ("dask[array]",), "array": ("numpy",)}


def test_preferences_are_a_lock_that_uv_reads() -> None:
    text = render_preferences({"numpy": "2.1", "click": "8.1"})
    assert text.index('name = "click"\nversion = "8.1"') < text.index('name = "numpy"\nversion = "2.1"')
