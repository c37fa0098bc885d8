from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml
from hubstack.errors import ProjectError
from hubstack.files.hub import parse_defaults, parse_hub
from hubstack.files.layer import RESERVED, parse_base, parse_layer
from hubstack.files.scalar import MAX_NAME
from hubstack.files.settings import parse_settings
from hubstack.files.stack import parse_stack
from hubstack.files.trait import settable, trait_kinds
from hubstack.model import Bootstrap, Kind, Layer, Matrix, Refresh, Settings, Stack, VariableType
from hubstack.offer import External, Hub, Resource, Retired
from hubstack.reference import Digest, ImageRef, Layout
from hubstack.render.template import CONTEXT, FUNCTIONS
from hubstack.source import Position
from hubstack.yamlfile import parse_yaml


def layer(text: str) -> Layer:
    return parse_layer(parse_yaml(text.encode(), "f.yaml"), name="scipy", files={})


def base(text: str) -> Layer:
    return parse_base(parse_yaml(text.encode(), "f.yaml"), name="debian", files={})


def stack(text: str) -> Stack:
    return parse_stack(parse_yaml(text.encode(), "f.yaml"), name="scipy")


def hub(text: str, defaults: str = "") -> Hub:
    shared = parse_yaml(defaults.encode(), "_defaults.yaml")
    one = parse_hub(parse_yaml(text.encode(), "f.yaml"), name="demo", defaults=shared)
    assert one is not None
    return one


def settings(text: str) -> Settings:
    return parse_settings(parse_yaml(text.encode(), "f.yaml"))


def faults(parse: Callable[..., object], *texts: str) -> list[str]:
    with pytest.raises(ProjectError) as caught:
        parse(*texts)
    return [str(problem).removeprefix("f.yaml:") for problem in caught.value.problems]


DIGEST = "sha256:" + "0" * 64
HUB = "configmap: {name: profiles, namespace: jhub}\n"
PROFILE = HUB + "profiles:\n  - slug: python\n    title: Python\n    stacks: [scipy]\n"


# --- what the formats of design.md mean --------------------------------------------------------------------------------


def test_a_layer() -> None:
    one = layer(
        """\
summary: JupyterLab and the single-user server
requires: [python]
after: [build-tools]
conflicts: [rstudio-only]
provides: [notebook-server]
copy_from: [nodejs]
variables:
  jupyterlab: {type: version, default: 4.4, choices: {4.4: JupyterLab 4.4, "4.5": JupyterLab 4.5}, help: release line}
refresh: monthly
tests:
  - run: jupyter lab --version
    stdout: "^4\\\\."
  - run: |
      set -e
      jupyter lab path
    network: yes
    timeout_s: 5
    exit_code: 1
versions:
  JupyterLab: jupyter lab --version
owners: ["@jupyter-team"]
python: "{{ release }}"
upstream: ["node:{{ release }}"]
draft: waits for 4.5
"""
    )
    assert (one.name, one.kind, one.summary) == ("scipy", Kind.LAYER, "JupyterLab and the single-user server")
    assert (one.requires, one.after, one.conflicts) == (("python",), ("build-tools",), ("rstudio-only",))
    assert (one.provides, one.copy_from, one.refresh) == (("notebook-server",), ("nodejs",), Refresh.MONTHLY)
    assert (one.python, one.upstream, one.draft) == ("{{ release }}", ("node:{{ release }}",), "waits for 4.5")
    assert (one.versions, one.owners) == ({"JupyterLab": "jupyter lab --version"}, ("@jupyter-team",))
    variable = one.variables["jupyterlab"]
    assert (variable.name, variable.type, variable.default) == ("jupyterlab", VariableType.VERSION, "4.4")
    assert variable.choices == {"4.4": "JupyterLab 4.4", "4.5": "JupyterLab 4.5"}
    assert variable.position == Position(path="f.yaml", line=8, column=3)
    first, second = one.tests
    assert (first.run, first.stdout, first.network, first.timeout_s) == ("jupyter lab --version", "^4\\.", False, 60)
    assert (second.run, second.network, second.timeout_s) == ("set -e\njupyter lab path", True, 5)
    assert (first.exit_code, second.exit_code) == (0, 1)
    assert second.position == Position(path="f.yaml", line=13, column=5)


def test_a_layer_says_no_more_than_it_must() -> None:
    one = layer("summary: NumPy\nrequires:\nvariables: ~\ntests:\nrefresh:\npython:\n")
    assert (one.requires, one.variables, one.tests, one.refresh, one.python) == ((), {}, (), Refresh.NEVER, "")


def test_bases() -> None:
    upstream = base('summary: Debian\nimage: "debian:{{ release }}-slim"\n')
    assert (upstream.kind, upstream.image, upstream.bootstrap) == (Kind.BASE, "debian:{{ release }}-slim", None)
    made = base('summary: Debian\nbootstrap: {suite: "{{ release }}", variant: apt, include: [tini, locales]}\n')
    assert made.bootstrap == Bootstrap(suite="{{ release }}", variant="apt", include=("tini", "locales"))


def test_variables_of_every_type() -> None:
    one = layer(
        "summary: x\nvariables:\n  a: {type: int, default: 3, choices: {3: Three, 4: Four}}\n"
        "  b: {type: bool, default: on, choices: {yes: With, no: Without}}\n  c: {type: list, default: [p, q]}\n"
        "  d: {type: text, default: 1.10}\n  e: {type: list, default: [q], choices: {p: P, q: Q}}\n  f: {type: text}\n"
        '  g: {type: text, default: ""}\n'
    )
    assert {name: variable.default for name, variable in one.variables.items()} == {
        "a": 3, "b": True, "c": ("p", "q"), "d": "1.10", "e": ("q",), "f": None, "g": "",
    }  # fmt: skip
    assert one.variables["b"].choices == {"true": "With", "false": "Without"}, "as value_text writes them"


def test_a_stack() -> None:
    one = stack(
        """\
title: Scientific Python
description: NumPy, SciPy, pandas and Matplotlib
base: debian
layers: [scipy, dask]
values: {dask_dashboard: "yes", extras: [plot, table]}
matrix:
  release: [bookworm, trixie]
  jupyterlab: [4.4, "4.5"]
  exclude: [{release: bookworm, jupyterlab: "4.5"}]
  include: [{release: trixie, extras: []}]
"""
    )
    assert (one.title, one.base, one.layers) == ("Scientific Python", "debian", ("scipy", "dask"))
    assert one.values == {"dask_dashboard": "yes", "extras": ("plot", "table")}
    assert one.matrix == Matrix(
        axes={"release": ("bookworm", "trixie"), "jupyterlab": ("4.4", "4.5")},
        exclude=({"release": "bookworm", "jupyterlab": "4.5"},),
        include=({"release": "trixie", "extras": ()},),
    )
    assert list(one.matrix.axes) == ["release", "jupyterlab"]


def test_a_base_may_be_an_axis() -> None:
    assert stack("title: x\nlayers: [a]\nmatrix: {base: [debian, upstream]}\n").base == ""


def test_a_hub() -> None:
    one = hub(
        f"""\
configmap: {{name: jhub-profiles, namespace: jhub, wrap: [jupyterhub]}}
follow: 2026-11
hub: {{jupyterhub: 5, pull_secret: none, image_prefix: quay.io/example/}}
keys: prefixed
unlisted_regex: "^quay"
profiles:
  - slug: python
    title: Python and R
    stacks: [minimal, "scipy/*", data*/trixie-4.4]
    default: scipy/trixie
    unlisted: true
    build: true
    resources: [{{key: small, title: 2 GB, mem_limit: 2G, cpu_limit: 1.5, default: true}}]
  - slug: gpu
    title: GPU
    stacks: [torch]
    groups: [gpu-users]
    override: {{node_selector: {{gpu: true}}}}
retired: [{{profile: gpu, key: old, successor: new, until: 2026-12-31}}]
external: [{{profile: gpu, key: matlab, title: MATLAB, image: "example.org/matlab:1@{DIGEST}"}}]
"""
    )
    assert (one.configmap, one.namespace, one.wrap) == ("jhub-profiles", "jhub", ("jupyterhub",))
    assert (one.follow, one.jupyterhub, one.pull_secret) == ("2026-11", "5", "")
    assert (one.image_prefix, one.prefixed_keys, one.unlisted_regex) == ("quay.io/example/", True, "^quay")
    python, gpu = one.profiles
    assert (python.slug, python.title, python.default) == ("python", "Python and R", "scipy/trixie")
    assert (python.stacks, python.unlisted, python.build) == (("minimal", "scipy/*", "data*/trixie-4.4"), True, True)
    assert python.resources == (
        Resource(key="small", title="2 GB", default=True, override={"mem_limit": "2G", "cpu_limit": 1.5}),
    )
    assert (gpu.groups, gpu.override) == (("gpu-users",), {"node_selector": {"gpu": "true"}})
    assert one.retired == (Retired(profile="gpu", key="old", successor="new", until="2026-12-31"),)
    image = ImageRef(host="example.org", repository="matlab", tag="1", digest=Digest(DIGEST))
    assert one.external == (External(profile="gpu", key="matlab", title="MATLAB", image=image),)


def test_a_hub_starts_from_the_defaults() -> None:
    defaults = "configmap: {namespace: jhub}\nhub: {jupyterhub: 5, pull_secret: robot}\nfollow: stable\n"
    one = hub(PROFILE.replace(", namespace: jhub", "") + "hub: {pull_secret: none}\n", defaults)
    assert (one.configmap, one.namespace, one.follow) == ("profiles", "jhub", "stable")
    assert (one.jupyterhub, one.pull_secret) == ("5", "")
    assert one.source.at("follow").path == "_defaults.yaml"


def test_what_the_settings_are_by_default() -> None:
    one = settings("")
    assert (one.registry, one.layout, one.platforms, one.channels) == (
        None,
        Layout.NESTED,
        ("linux/amd64",),
        ("latest",),
    )


def test_settings() -> None:
    one = settings(
        "requires_hubstack: '>=0.1, <99'\nregistry: 127.0.0.1:5000/team/images\nlayout: single\nbase: debian\n"
        "platforms: [linux/amd64, linux/arm64]\nassembly: chain\nchannels: [latest, 2026-11]\n"
    )
    assert str(one.registry) == "127.0.0.1:5000/team/images"
    assert (one.layout, one.base, one.channels) == (Layout.SINGLE, "debian", ("latest", "2026-11"))
    assert one.platforms == ("linux/amd64", "linux/arm64")


@pytest.mark.parametrize("wanted", [">=0.1", "==0.1", "==0.1.0.0", "<=0.10", ">=0.1,!=0.1.1"])
def test_versions_of_hubstack_that_fit(wanted: str) -> None:
    """Ours is 0.1.0; as text 0.10 would be before 0.2, and 0.1 not 0.1.0."""
    assert settings(f"requires_hubstack: '{wanted}'\n").requires_hubstack == wanted


@pytest.mark.parametrize("wanted", [">0.1", "<0.1.1,!=0.1.0", ">=0.10", "==0.1.1", "<=0.0.9"])
def test_versions_of_hubstack_that_do_not(wanted: str) -> None:
    assert "and this is 0.1.0. Install" in faults(settings, f"requires_hubstack: '{wanted}'\n")[0]


# --- faults ------------------------------------------------------------------------------------------------------------


def test_every_fault_of_a_file_is_found_at_once() -> None:
    """Faults of single values don't hide those between values."""
    said = faults(
        layer,
        "requires: [a, b, a]\nconflicts: [a]\nvariables:\n  good: {type: int, default: x}\n  bad: {type: float}\n"
        "tests: [{stdout: x}]\nrefresh: [daily]\nnonsense:\n",
    )
    assert [fault.split(". ")[0] for fault in said] == [
        "1:1: summary is missing",
        "1:18: an item of requires stands twice: a",
        '4:30: default must be a whole number, not "x"',
        '5:15: type is "float"',
        "6:9: run is missing",
        "7:10: refresh is a list",
        '8:1: unknown field "nonsense"',
    ]


def test_a_wrong_field_does_not_hide_that_another_contradicts() -> None:
    said = faults(stack, "title: <b>\nlayers: [a]\nbase: debian\nvalues: {x: 1}\nmatrix: {base: [a], x: [1], y: 2}\n")
    assert [fault.split(". ")[0] for fault in said] == [
        '1:8: title holds "<"',
        "3:1: base stands here and as an axis of the matrix",
        "5:21: x is an axis of the matrix and stands in f.yaml:4:10, too",
        '5:32: y is "2"',
    ]


def test_a_value_that_is_wrong_is_not_said_to_be_missing() -> None:
    assert (
        len(faults(stack, "title: Y\nlayers: [B b]\nmatrix:\n  release: x\n  exclude: [{release: x}]\nbase: B\n")) == 3
    )


@pytest.mark.parametrize("name", ["a", "python3", "r-kernel", "a" * MAX_NAME])
def test_names(name: str) -> None:
    assert layer(f"summary: x\nrequires: [{name}]\n").requires == (name,)


@pytest.mark.parametrize("name", ["A", "a_b", "a--b", "-a", "a-", "a.b", "é", "a/b", "..", "a" * (MAX_NAME + 1)])
def test_no_names(name: str) -> None:
    assert len(faults(layer, f"summary: x\nrequires: [{name}]\n")) == 1


@pytest.mark.parametrize(
    "key", ["y", "no", "on", "null", "2026", "a--b", "Bad_Key.1", "a" * 64, "unlisted-choice", "_x"]
)
def test_no_keys(key: str) -> None:
    """hub.md, 1.1 and 1.3: each of these breaks Helm, the image puller, the form or the order of choices."""
    resources = f'    resources: [{{key: "{key}", title: x}}]\n'
    (fault,) = faults(hub, PROFILE + resources)
    assert fault.startswith("6:23: key is ")


CONTRIBUTED: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "summary": (layer, "summary: "),
    "help": (layer, "summary: x\nvariables:\n  a:\n    type: text\n    help: "),
    "label": (layer, "summary: x\nvariables:\n  a:\n    type: text\n    choices:\n      b: "),
    "draft": (layer, "summary: x\ndraft: "),
    "owner": (layer, "summary: x\nowners:\n  - "),
    "title": (stack, "base: b\nlayers: [a]\ntitle: "),
    "description": (stack, "base: b\nlayers: [a]\ntitle: x\ndescription: "),
    "profile title": (hub, HUB + "profiles:\n  - slug: a\n    stacks: [s]\n    title: "),
    "profile description": (hub, PROFILE + "    description: "),
    "resource title": (hub, PROFILE + "    resources:\n      - key: a\n        title: "),
    "external title": (hub, f"{PROFILE}external:\n  - profile: python\n    key: a\n    image: x@{DIGEST}\n    title: "),
}


@pytest.mark.parametrize("character", ["<", ">", "{", "}", "\u202e", "\u2066", "\u200f"])
@pytest.mark.parametrize("place", CONTRIBUTED)
def test_text_for_people_is_harmless(place: str, character: str) -> None:
    """Promise 6: launchers print titles and descriptions as HTML, and KubeSpawner formats them (security.md, 1 and 2)."""
    parse, before = CONTRIBUTED[place]
    (fault,) = faults(parse, f'{before}"a b{character}c"\n')
    lines = before.split("\n")
    assert fault.startswith(f"{len(lines)}:{len(lines[-1]) + 5}: ")


@pytest.mark.parametrize("escape", ["\\x3c", "\\u202e", "\\u2028", "\\n", "\\x1b", "\\x7b"])
def test_escapes_hide_nothing(escape: str) -> None:
    assert faults(layer, f'summary: "a b{escape}c"\n')[0].startswith("1:10: summary ")
    assert faults(layer, f'summary: x\nversions: {{"a b{escape}c": run}}\n')[0].startswith("2:12: a name in versions ")


@pytest.mark.parametrize("text", ["R & Python", "50 % more", "«quoted»", "データ", "👩‍🔬", "C++", "a\u00a0b"])
def test_other_text_for_people_stays_as_it_is(text: str) -> None:
    assert stack(f'title: "{text}"\nbase: b\nlayers: [a]\n').title == text


def test_no_variable_takes_a_name_that_templates_know() -> None:
    assert {*CONTEXT, *FUNCTIONS} <= RESERVED
    for name in RESERVED:
        assert len(faults(layer, f"summary: x\nvariables: {{{name}: {{type: text}}}}\n")) == 1


@pytest.mark.parametrize("text", ["a: b", "- a", "a", '"a"'])
def test_whatever_the_file_holds_there_is_a_message(text: str) -> None:
    for parse in (layer, base, stack, settings, hub):
        assert faults(parse, text)


def test_defaults_need_not_be_complete() -> None:
    document = parse_yaml(b"configmap: {namespace: jhub}\nprofiles: [{slug: a, stacks: [b]}]\n", "d.yaml")
    assert parse_defaults(document) is document


def test_what_only_defaults_lack_is_said_of_the_hub() -> None:
    assert faults(hub, "profiles: [{slug: a, title: A, stacks: [b]}]\n", "configmap: {namespace: jhub}\n") == [
        "_defaults.yaml:1:12: name is missing. Write `name: …`."
    ]


# --- KubeSpawner's traits ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("cpu_limit: 2", 2),
        ('cpu_limit: "0.5"', 0.5),
        ("mem_limit: 512M", "512M"),
        ("mem_limit: 1073741824", 1073741824),
        ("uid: 1000", 1000),
        ("privileged: no", False),
        ("debug: on", True),
        ("default_url: /lab", "/lab"),
        ("image_pull_policy: Always", "Always"),
        ("slug_scheme: safe", "safe"),
        ("args: [--port, 8888]", ["--port", "8888"]),
        ("cmd: [start, yes]", ["start", "yes"]),
        ("environment: {A: 1, B: true, C: '', D: {valueFrom: {x: 1}}}", {"A": "1", "B": "true", "C": "", "D": {"valueFrom": {"x": 1}}}),
        ("environment: {A: }", {"A": None}),
        ("node_selector: {gpu: true}", {"gpu": "true"}),
        ("extra_resource_limits: {nvidia.com/gpu: 1}", {"nvidia.com/gpu": "1"}),
        ("supplemental_gids: [100, 200]", [100, 200]),
        ("tolerations: [{key: a, operator: Exists, tolerationSeconds: 60, value: '1'}]",
         [{"key": "a", "operator": "Exists", "tolerationSeconds": 60, "value": "1"}]),
        ("volumes: {data: {name: data, readOnly: true, weight: 1.5}}", {"data": {"name": "data", "readOnly": True, "weight": 1.5}}),
        ("image_pull_secrets: [robot, {name: other}]", ["robot", {"name": "other"}]),
        ("image_pull_secrets: robot", "robot"),
        ("lifecycle_hooks: {postStart: {exec: {command: [sh, -c, 'x\\n']}}}", {"postStart": {"exec": {"command": ["sh", "-c", "x\\n"]}}}),
    ],
)  # fmt: skip
def test_traits_get_the_type_that_kubespawner_wants(text: str, value: object) -> None:
    ((_, found),) = hub(f"{PROFILE}    override:\n      {text}\n").profiles[0].override.items()
    assert found == value
    assert type(found) is type(value)
    ((_, found),) = (
        hub(f"{PROFILE}    resources:\n      - key: a\n        title: A\n        {text}\n")
        .profiles[0]
        .resources[0]
        .override.items()
    )
    assert found == value


def test_overrides_hold_plain_python() -> None:
    """What stays of the reader would break those who write it as YAML."""
    override = (
        hub(
            f"{PROFILE}    override: {{environment: {{A: b}}, volumes: [{{name: x}}], default_url: /lab, mem_limit: 2G}}\n"
        )
        .profiles[0]
        .override
    )
    assert yaml.safe_dump(override)


@pytest.mark.parametrize(
    "text",
    ["iamge: x", "image: x", "profile_list: []", "pre_spawn_hook: x", "cpu_limit: 2Gi", "cpu_limit: [1]", "mem_limit: 2Gi",
     "mem_limit: lots", "uid: 0x3e8", "uid: 1.5", "privileged: 1", "default_url: [a]", "args: --debug", "args: [{a: b}]",
     "node_selector: gpu", "tolerations: [{key: yes}]", "volumes: [{mode: 0644}]", "volumes: [~]", "cpu_limit:", "debug: ~",
     'default_url: "a\\u202eb"', "db: x", "user: x", "_deprecated_x: y"],
)  # fmt: skip
def test_traits_that_kubespawner_would_take_wrong(text: str) -> None:
    assert len(faults(hub, f"{PROFILE}    override:\n      {text}\n")) == 1
    assert len(faults(hub, f"{PROFILE}    resources:\n      - key: a\n        title: A\n        {text}\n")) == 1


def test_a_trait_spelt_wrong() -> None:
    (fault,) = faults(hub, f"{PROFILE}    override: {{iamge: x}}\n")
    assert fault.startswith('6:16: unknown KubeSpawner trait "iamge" (did you mean "image"?). ')


def test_what_can_be_set() -> None:
    assert {"mem_limit", "cpu_limit", "node_selector", "extra_pod_config"} <= set(settable())
    assert {"image", "profile_list", "pre_spawn_hook", "modify_pod_hook"}.isdisjoint(settable())
    assert list(trait_kinds()) == sorted(trait_kinds())
