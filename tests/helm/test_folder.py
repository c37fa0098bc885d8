"""``hubstack hub``: a folder that a GitOps repository can take over, again and again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.commandline import run
from tests.fakes.registry import Account, FakeRegistry
from tests.helm.tree import FORMS, HUBS, THREE_HUBS, Tree, files

pytestmark = pytest.mark.slow  # whole runs of the command, and of helm or kubectl

FILLED = 'hunter2: "correct horse"\nsops: {}\n'


# --- the same bytes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("hub", HUBS)
def test_twice_gives_the_same_bytes_and_touches_nothing(tree: Tree, tmp_path: Path, hub: str, form: str) -> None:
    first = files(tree.emitted(hub, tmp_path / "one", "--form", form))
    assert files(tree.emitted(hub, tmp_path / "two", "--form", form)) == first
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*")}
    again = tree.hub(hub, tmp_path / "one", "--form", form)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*")} == before
    *told, last = again.out.splitlines()
    assert {line.partition(": ")[2] for line in told} <= {"yours, with gaps to fill in"}
    assert last == f"{len(first) - len(told)} files are unchanged"
    assert tree.hub(hub, tmp_path / "one", "--form", form, "--check").code == 0


def test_check_writes_nothing_and_tells(tree: Tree, tmp_path: Path) -> None:
    checked = tree.hub("prod", tmp_path / "out", "--check")
    assert checked.code == 1
    assert "kustomization.yaml: would be written\n" in checked.out
    assert not (tmp_path / "out").exists()
    rows = tree.hub("prod", tmp_path / "out", "--json").json
    assert {row["verdict"] for row in rows} == {"written"}
    assert rows[-1]["path"].endswith("kustomization.yaml")  # it names the others


def test_a_new_image_changes_the_profiles_and_what_is_built_on_stacks(tmp_path: Path, lonely: Tree) -> None:
    tree = lonely
    before = files(tree.emitted("prod", tmp_path / "out"))
    staging = files(tree.emitted("staging", tmp_path / "staging"))
    (tree.folder / "layers/lab/apt.txt").write_text("git\nless\n")
    tree.publish()
    after = files(tree.emitted("prod", tmp_path / "out"))
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"profiles.yaml", "binderhub-values.yaml", "build-image/repo2docker_config.py"}
    assert len({built_on(text["binderhub-values.yaml"]) for text in (before, after)}) == 2
    again = files(tree.emitted("staging", tmp_path / "staging"))  # its BinderHub knows nothing of stacks
    assert again["binderhub-values.yaml"] == staging["binderhub-values.yaml"]
    assert '"image_prefix": "quay.io/example/staging-"' in again["binderhub-values.yaml"]


def built_on(binderhub: str) -> str:
    """The stacks' release, which is in the image that builds and in the names of what is built."""
    (prefix,) = re.findall(r"quay\.io/example/prod-([0-9a-f]{8})-", binderhub)
    (image,) = re.findall(r"quay\.io/example/repo2docker:([0-9a-f]{8})\"", binderhub)
    assert image == prefix
    return str(image)


def test_what_builds_on_stacks_comes_with_its_recipe(emitted: Mapping[tuple[str, str], Path]) -> None:
    for form in FORMS:
        folder = emitted["prod", form] / "build-image"
        assert "FROM quay.io/jupyterhub/repo2docker:" in (folder / "Dockerfile").read_text()
        config = (folder / "repo2docker_config.py").read_text()
        named = set(re.findall(r"127\.0\.0\.1:\d+/\S+@sha256:[0-9a-f]{64}", config))
        profiles = "profiles.yaml" if form == "flux" else "values/profiles.yaml"
        assert all(name in (emitted["prod", form] / profiles).read_text() for name in named)
        assert all(name in config for name in ("science/trixie", "science/bookworm", "torch/default"))
        assert not (emitted["staging", form] / "build-image").exists()  # it builds with repo2docker as it is


def test_an_image_with_a_tag_is_taken_as_it_is(tree: Tree, tmp_path: Path) -> None:
    prod = tree.folder / "profiles/prod.yaml"
    prod.write_text(
        prod.read_text().replace("example/repo2docker", "example/repo2docker:mine\n    arguments: [--debug]")
    )
    folder = tree.emitted("prod", tmp_path / "out", "--form", "helm")
    executor = yaml.safe_load((folder / "values/binderhub.yaml").read_text())["config"]["KubernetesBuildExecutor"]
    assert executor["build_image"] == "quay.io/example/repo2docker:mine"
    assert executor["repo2docker_extra_args"] == ["--config=/srv/stack/repo2docker_config.py", "--debug"]


def test_a_hub_of_foreign_images_has_nothing_to_build_on(tree: Tree, tmp_path: Path) -> None:
    profiles = files(tree.emitted("gpu", tmp_path / "gpu"))["profiles.yaml"]
    foreign = re.findall(r"\"(127\S+@sha256:[0-9a-f]{64})\"", profiles)[0]
    prod = tree.folder / "profiles/prod.yaml"
    prod.write_text(
        f"{prod.read_text()}profiles: [{{slug: other, title: Other, unlisted: true, build: true}}]\n"
        f"external: [{{profile: other, key: one, title: One, image: '{foreign}'}}]\n"
    )
    folder = tree.emitted("prod", tmp_path / "out", "--form", "helm")
    assert not (folder / "build-image").exists()
    config = yaml.safe_load((folder / "values/binderhub.yaml").read_text())["config"]
    assert config["BinderHub"]["image_prefix"] == "quay.io/example/prod-"
    assert "repo2docker_extra_args" not in config["KubernetesBuildExecutor"]


# --- whose files they are ------------------------------------------------------------------------------------------------------


def test_files_with_secrets_are_written_once(tree: Tree, tmp_path: Path) -> None:
    folder = tree.emitted("prod", tmp_path / "out")
    assert "CHANGE-ME: the robot's token" in (folder / "binderhub-secrets.yaml").read_text()
    (folder / "jupyterhub-secrets.yaml").write_text(FILLED)
    (folder / "binderhub-secrets.yaml").write_text(FILLED.replace("sops: {}\n", ""))
    again = tree.hub("prod", folder)
    assert (folder / "jupyterhub-secrets.yaml").read_text() == FILLED
    assert "jupyterhub-secrets.yaml: yours\n" in again.out
    assert "binderhub-secrets.yaml: yours, not encrypted\n" in again.out
    assert "correct horse" not in again.out + again.err + tree.hub("prod", folder, "--json").out


def test_what_is_needed_no_more_goes(tree: Tree, tmp_path: Path) -> None:
    folder = tree.emitted("staging", tmp_path / "out")
    (folder / "ours.yaml").write_text("kind: ConfigMap\n")
    defaults = tree.folder / "profiles/_defaults.yaml"
    prod = tree.emitted("prod", tmp_path / "prod")
    text = defaults.read_text().replace("build: true", "build: false")
    defaults.write_text(text.replace("registry: {", "registry: {kind: quay, "))  # a host on loopback doesn't tell
    done = tree.hub("staging", folder)
    assert "binderhub.yaml: removed\n" in done.out
    there = set(files(folder))
    assert {"ours.yaml", "binderhub-secrets.yaml"} <= there  # people's
    assert not there & {"binderhub.yaml", "binderhub-values.yaml"}
    tree.emitted("prod", prod)
    assert not [name for name in files(prod) if name.startswith("build-image/")]
    assert "binder" not in (folder / "kustomization.yaml").read_text() + (folder / "jupyterhub-values.yaml").read_text()


def test_a_stranger_s_file_is_left_alone(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kustomization.yaml").write_text("resources: []\n")
    done = tree.hub("prod", tmp_path / "out")
    assert done.code == 1
    assert "out/kustomization.yaml was not written by hubstack for this hub, and would be overwritten" in done.err
    assert files(tmp_path / "out") == {"kustomization.yaml": "resources: []\n"}


def test_each_hub_has_a_folder_of_its_own(tree: Tree, tmp_path: Path) -> None:
    before = files(tree.emitted("prod", tmp_path / "out"))
    assert "was not written by hubstack for this hub" in tree.hub("gpu", tmp_path / "out").err
    assert files(tmp_path / "out") == before
    done = tree.hub("prod", tree.folder / "profiles/emitted")
    assert (done.code, "where hubs are read from" in done.err) == (2, True)


@pytest.mark.parametrize("form", ["flux", "generator"])
@pytest.mark.parametrize("hub", HUBS)
def test_sops_encrypts_the_secrets_and_nothing_else(tree: Tree, tmp_path: Path, hub: str, form: str) -> None:
    """SOPS takes a rule where its path fits; Flux must be able to read kind, name and namespace."""
    folder = tree.emitted(hub, tmp_path / "out", "--form", form)
    (rule,) = yaml.safe_load((folder / ".sops.yaml").read_text())["creation_rules"]
    chosen = {name for name in files(folder) if re.search(rule["path_regex"], name)}
    documents = {name: list(yaml.safe_load_all(text)) for name, text in files(folder).items() if name in chosen}
    assert chosen == {name for name, text in files(folder).items() if "CHANGE-ME" in text}
    assert all([one["kind"] for one in found] == ["Secret"] for found in documents.values())
    encrypted = {key for (one,) in documents.values() for key in one if re.search(rule["encrypted_regex"], key)}
    assert encrypted == {"stringData"}
    assert rule["age"].startswith("age1")


def test_secrets_may_come_by_other_means(tree: Tree, tmp_path: Path) -> None:
    defaults = tree.folder / "profiles/_defaults.yaml"
    defaults.write_text(re.sub(r"secrets: \{.*\}", "secrets: {kind: existing}", defaults.read_text()))
    there = files(tree.emitted("prod", tmp_path / "out"))
    assert not [name for name, text in there.items() if "secret" in name or "sops" in name or "kind: Secret" in text]
    assert '"name": "jupyterhub-secrets"' in there["jupyterhub.yaml"]


def test_asks_with_the_hub_s_own_credentials(lonely: Tree, tmp_path: Path) -> None:
    """Promise 1: what the hub could not pull is not written down."""
    lonely.registry.auth = "basic"
    lonely.registry.accounts["hub"] = Account("correct-horse", frozenset({"pull"}))
    account = {"auths": {lonely.registry.host: {"username": "hub", "password": "correct-horse"}}}
    (tmp_path / "pull.json").write_text(json.dumps(account))
    refused = lonely.hub("prod", tmp_path / "out")
    assert refused.code == 1
    assert "401, refused" in refused.err
    assert not (tmp_path / "out").exists()
    done = lonely.hub("prod", tmp_path / "out", "--pull-config", str(tmp_path / "pull.json"))
    assert done.code == 0
    assert "correct-horse" not in "".join(files(tmp_path / "out").values()) + done.out + done.err


# --- what is missing -----------------------------------------------------------------------------------------------------------


def test_a_project_that_never_asks_needs_none_of_it() -> None:
    bare = THREE_HUBS.with_name("good-small")
    assert run("check", folder=bare).code == 0
    done = run("hub", "demo", "--output", "/nowhere/at/all", folder=bare)
    assert done.code == 2
    places, faults = zip(*(line.split(" ", 1) for line in done.err.splitlines()), strict=True)
    assert set(places) == {"profiles/demo.yaml:1:1:"}
    assert [fault.partition(". ")[0] for fault in faults] == [
        "image is missing: the chart's own hub has no jupyterhub-fancy-profiles",
        "nothing says who may log in",
        "the release of the chart jupyterhub is missing",
        "url is missing",
    ]


FAULTS = [  # in prod's file: what is written instead of what, and what is said
    ("  url: https://hub.example.org\n", "", "prod.yaml:4:3: url is missing."),
    ("    client_id: Iv1.0123456789abcdef\n", "", "github needs client_id."),
    ("    organizations: [example-science]\n    admins: [maintainer]\n", "", "nobody may log in."),
    ("organizations: [example-science]", "groups: [staff]", "groups are what generic asks for, and this is github."),
    ("kind: github", "kind: generic", "generic needs token_url."),
    ("prod-\n", "prod/\n", 'image_prefix "quay.io/example/prod/" has 2 names between the host and the last part; Quay wants exactly 1.'),
    ("quay.io/example/prod-", "harbor.example.org/a/b-", "nothing says what kind of registry harbor.example.org is."),
    ("quay.io/example/prod-", "ghcr.io/example/prod-\n  registry: {kind: gar}", "ghcr.io is no registry of kind gar."),
    ("  login:", "  registry: {username: me}\n  login:", 'username is "me", and Quay calls nobody so.'),
    ("  login:", "  pull_secret: none\n  login:", "Quay keeps what is pushed private, and this hub pulls without"),
    ("https://hub", "http://hub", "url has no https, for which letsencrypt gets a certificate."),
    ("  login:", "  release: binderhub\n  login:", "the HelmRelease binderhub is BinderHub's."),
    ("{namespace: prod}", "{namespace: gpu}", "hub gpu is in namespace gpu, too, and a namespace holds one."),
    ("{namespace: prod}", "{namespace: prod, name: jupyterhub-values}", "would hold other values, too."),
    ("quay.io/example/prod-", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/hub-\n  registry: {username: AWS}",
     "Amazon ECR's passwords are worthless after 12 hours, and secrets in git stay as they are."),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), FAULTS, ids=lambda text: str(text)[:40])
def test_says_what_is_missing_or_would_not_work(tmp_path: Path, old: str, new: str, said: str) -> None:
    with FakeRegistry() as registry:
        tree = Tree.copied(tmp_path / "tree", registry)
        path = tree.folder / "profiles/prod.yaml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))
        done = tree.hub("prod", tmp_path / "out")
        assert (done.code, registry.requests) == (2, [])
    assert said in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("prefix", "account", "server", "user"),
    [
        ("quay.io/example/hub-", "{username: example+hub}", "https://quay.io", "example+hub"),
        ("europe-docker.pkg.dev/p/r/hub-", "{}", "https://europe-docker.pkg.dev", "_json_key"),
        ("ghcr.io/example/hub-", "{username: robot}", "https://ghcr.io", "robot"),
        ("example.azurecr.io/hub-", "{username: app-id}", "https://example.azurecr.io", "app-id"),
        ("h.example.org/p/hub-", "{kind: harbor, username: robot$p+hub}", "https://h.example.org", "robot$p+hub"),
    ],
)
def test_each_registry_has_its_server_and_user(
    tree: Tree, tmp_path: Path, prefix: str, account: str, server: str, user: str
) -> None:
    defaults, prod = (tree.folder / "profiles" / name for name in ("_defaults.yaml", "prod.yaml"))
    defaults.write_text(re.sub(r"registry: \{.*\}", f"registry: {account}", defaults.read_text()))
    prod.write_text(prod.read_text().replace("quay.io/example/prod-", prefix))
    folder = tree.emitted("prod", tmp_path / "out", "--form", "helm")
    binderhub, hub = (
        yaml.safe_load((folder / f"values/{name}.yaml").read_text()) for name in ("binderhub", "jupyterhub")
    )
    assert binderhub["config"]["DockerRegistry"] == {"url": server, "username": user}
    assert binderhub["buildPodsRegistryCredentials"] == {"server": server, "username": user}
    assert binderhub["config"]["BinderHub"]["image_prefix"].startswith(prefix)
    secret = {"create": True, "registry": server.removeprefix("https://"), "username": user}
    assert hub["imagePullSecret"] == secret


def test_ecr_renews_its_passwords(tree: Tree, tmp_path: Path) -> None:
    """The nodes pull by their role, and something outside keeps BinderHub's secret fresh."""
    defaults, prod = (tree.folder / "profiles" / name for name in ("_defaults.yaml", "prod.yaml"))
    text = re.sub(r"secrets: \{.*\}", "secrets: {kind: existing}", defaults.read_text())
    defaults.write_text(re.sub(r"registry: \{.*\}", "registry: {kind: ecr}", text).replace("image-pull-secret", "none"))
    host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    prod.write_text(prod.read_text().replace("quay.io/example/prod-", f"{host}/prod-"))
    done = tree.hub("prod", tmp_path / "out", "--form", "helm")
    assert done.code == 0
    assert "warning: a push to Amazon ECR fails where nobody has made the repository" in done.err
    values = yaml.safe_load((tmp_path / "out/values/binderhub.yaml").read_text())
    assert values["buildPodsRegistryCredentials"] == {"server": f"https://{host}", "username": "AWS"}
    assert "imagePullSecret" not in (tmp_path / "out/values/jupyterhub.yaml").read_text()
