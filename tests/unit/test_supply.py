"""Bills of materials and provenance: what they say, that a validator takes them, and that equal inputs give equal bytes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hubstack.errors import UsageError
from hubstack.model import Bootstrap, Revision
from hubstack.names import Names
from hubstack.pipeline import Inputs
from hubstack.record import Record
from hubstack.reference import Digest, Fingerprint, ImageRef, Layout
from hubstack.supply.bom import bill
from hubstack.supply.circumstances import find_circumstances
from hubstack.supply.cluster import cluster_policy
from hubstack.supply.cosign import TOKENS, Cosign, Trust, github_trust
from hubstack.supply.provenance import Circumstances, fingerprint_in, provenance

from tests.family import DIAMOND

pytestmark = pytest.mark.long

GOLDEN = Path(__file__).parents[1] / "golden" / "supply"
DIGEST = Digest("sha256:" + "ab" * 32)
PACKAGES = {
    "debian": {"bash": "5.2.15-2", "tzdata": "1:2026a-1~deb12u1"},
    "python": {"Jinja2": "3.1.6", "jupyter_core": "5.8.1"},
    "npm": {"@jupyterlab/builder": "4.5.0", "yarn": "1.22.22"},
    "r": {"data.table": "1.17.0"},
    "conda": {"gdal": "3.10.2"},
    "brew": {"tea": "1.0"},
}


def record(packages: dict[str, dict[str, str]]) -> Record:
    return Record(
        node="lab-1", fingerprint=Fingerprint("1" * 64), facts=(), sources={}, seconds=1, size_bytes=2, packages=packages
    )  # fmt: skip


def purls(packages: dict[str, dict[str, str]]) -> set[str]:
    return {one["purl"] for one in bill("lab/default", DIGEST, record(packages))["components"]}


# --- bills of materials -----------------------------------------------------------------------------------------------------


def test_each_manager_s_packages_have_the_names_that_scanners_know() -> None:
    assert purls(PACKAGES) == {
        "pkg:deb/debian/bash@5.2.15-2",
        "pkg:deb/debian/tzdata@1:2026a-1~deb12u1",
        "pkg:pypi/jinja2@3.1.6",
        "pkg:pypi/jupyter-core@5.8.1",
        "pkg:npm/%40jupyterlab/builder@4.5.0",
        "pkg:npm/yarn@1.22.22",
        "pkg:cran/data.table@1.17.0",
        "pkg:conda/gdal@3.10.2",
        "pkg:generic/tea@1.0",
    }


def test_what_is_made_of_packages_has_a_known_release() -> None:
    value = bill("lab/default", DIGEST, record({"debian": {"bash": "5.3-1"}, "python": {"six": "1"}}), suite="trixie")
    assert {one["purl"] for one in value["components"]} == {"pkg:deb/debian/bash@5.3-1?distro=trixie", "pkg:pypi/six@1"}


def test_ubuntus_packages_are_ubuntus() -> None:
    packages = {"debian": {"bash": "5.2.21-2ubuntu4", "hostname": "3.23"}}
    assert purls(packages) == {"pkg:deb/ubuntu/bash@5.2.21-2ubuntu4", "pkg:deb/ubuntu/hostname@3.23"}


@pytest.mark.parametrize("packages", [PACKAGES, {}], ids=["many", "none"])
def test_the_librarys_own_validator_takes_it(packages: dict[str, dict[str, str]]) -> None:
    text = json.dumps(bill("scipy/trixie-4.5", DIGEST, record(packages)))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_equal_records_give_equal_bytes(golden: Callable[[Path, str], None]) -> None:
    backwards = {name: dict(reversed(list(PACKAGES[name].items()))) for name in reversed(list(PACKAGES))}
    texts = {json.dumps(bill("lab/default", DIGEST, record(one)), indent=1) for one in (PACKAGES, backwards)}
    (text,) = texts
    assert "timestamp" not in text
    golden(GOLDEN / "bom.json", f"{text}\n")


def test_other_images_have_other_serial_numbers() -> None:
    other = Digest("sha256:" + "cd" * 32)
    assert bill("x/y", DIGEST, None)["serialNumber"] != bill("x/y", other, None)["serialNumber"]


def test_without_a_record_the_bill_says_that_nothing_is_known() -> None:
    value = bill("lab/default", DIGEST, None)
    assert value["metadata"]["properties"] == [{"name": "hubstack:lists", "value": "none"}]
    assert "components" not in value


# --- provenance -------------------------------------------------------------------------------------------------------------


NOW = Circumstances(
    builder="https://github.com/example/images/.github/workflows/publish.yml@refs/heads/main",
    run="https://github.com/example/images/actions/runs/1/attempts/2",
    repository="https://github.com/example/images",
    commit="c" * 40,
    lock="d" * 64,
    tools={"hubstack": "0.1.0", "buildx": "0.13.1"},
)


def diamond() -> Inputs:
    """With an upstream image below, packages of a base, and a repository on top."""
    inputs = DIAMOND.inputs("all")
    more: dict[str, dict[str, Any]] = {
        "debian": {"bootstrap": Bootstrap(suite="trixie", include=("ca-certificates",))},
        "lab": {"upstream": {"quay.io/x/tool:1": DIGEST}},
        "both": {"repository": Revision(url="https://example.org/notebooks", ref="main", commit="e" * 40)},
    }
    rendered = {node: replace(one, **more.get(node, {})) for node, one in inputs.rendered.items()}
    return replace(inputs, rendered=rendered)


def test_what_a_provenance_says(golden: Callable[[Path, str], None]) -> None:
    below = {"scipy": Digest("sha256:" + "1" * 64), "r": Digest("sha256:" + "2" * 64)}
    value = provenance(diamond(), "both", below, NOW)
    assert value == provenance(diamond(), "both", dict(reversed(below.items())), NOW)
    golden(GOLDEN / "provenance.json", json.dumps(value, indent=1) + "\n")


def test_its_fingerprint_is_the_whole_one() -> None:
    inputs = diamond()
    assert fingerprint_in(provenance(inputs, "lab", {}, NOW)) == inputs.fingerprint("lab")


@pytest.mark.parametrize("value", [None, {}, {"buildDefinition": {"buildType": "https://actions.github.io/buildtypes/workflow/v1"}}])  # fmt: skip
def test_what_others_state_has_no_fingerprint_of_ours(value: object) -> None:
    assert fingerprint_in(value) is None


def test_uncommitted_changes_are_said() -> None:
    said = provenance(diamond(), "lab", {}, replace(NOW, dirty=True))["buildDefinition"]["internalParameters"]["dirty"]
    assert said is True


# --- circumstances ----------------------------------------------------------------------------------------------------------


def git(folder: Path, *words: str) -> str:
    argv = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@example.org", *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_and_whether_files_differ_from_it(tmp_path: Path) -> None:
    lock = tmp_path / "hubstack.lock"
    lock.write_text("x\n")
    assert find_circumstances(tmp_path, lock, {}).commit == ""
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "remote", "add", "origin", "https://somebody:s3cret@example.org/images.git")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=x")
    clean = find_circumstances(tmp_path, lock, {})
    assert (clean.commit, clean.dirty) == (git(tmp_path, "rev-parse", "HEAD"), False)
    assert clean.repository == "https://example.org/images.git"
    assert clean.lock == "73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac"
    (tmp_path / "new").touch()
    assert find_circumstances(tmp_path, lock, {}).dirty


def test_in_ci_the_workflow_is_the_builder(tmp_path: Path) -> None:
    environ = {
        "GITHUB_SERVER_URL": "https://github.example.org",
        "GITHUB_REPOSITORY": "example/images",
        "GITHUB_WORKFLOW_REF": "example/images/.github/workflows/publish.yml@refs/heads/main",
        "GITHUB_RUN_ID": "17",
        "GITHUB_RUN_ATTEMPT": "2",
    }
    found = find_circumstances(tmp_path, tmp_path / "none", environ)
    assert found.builder == "https://github.example.org/example/images/.github/workflows/publish.yml@refs/heads/main"
    assert found.run == "https://github.example.org/example/images/actions/runs/17/attempts/2"
    assert find_circumstances(tmp_path, tmp_path / "none", {}).builder == "local"


# --- trust ------------------------------------------------------------------------------------------------------------------


JOB = {
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://token.example.org",
    "GITHUB_REPOSITORY": "example/my.images",
    "GITHUB_REF": "refs/heads/main",
}


def test_a_job_with_a_token_trusts_this_repositorys_workflows_at_this_ref() -> None:
    import re

    trust = github_trust(JOB)
    assert trust is not None
    here = "https://github.com/example/my.images/.github/workflows/build.yml@refs/heads/main"
    assert re.search(trust.identity, here)
    for other in ("my.images", "my-images"), ("main", "main2"), ("main", "proposal"), ("https", "x/https"):
        assert not re.search(trust.identity, here.replace(*other) if other[0] != "my.images" else here.replace("my.", "myx"))  # fmt: skip
    assert trust.issuer == "https://token.actions.githubusercontent.com"
    assert trust.options[0].startswith("--certificate-identity-regexp=^https://github")


def test_a_job_without_a_token_trusts_nobody() -> None:
    assert github_trust({name: value for name, value in JOB.items() if not name.startswith("ACTIONS")}) is None


def test_a_closed_network_has_no_log() -> None:
    assert Trust(key="cosign.pub", transparency_log=False).options == [
        "--key=cosign.pub",
        "--insecure-ignore-tlog=true",
    ]


IMAGE = ImageRef.parse(f"registry.example.org/lab@{DIGEST}")


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """A cosign on PATH that does nothing but keep its command lines; with what else it was told."""
    log, program = tmp_path / "log", tmp_path / "bin" / "cosign"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$* ca=$SSL_CERT_FILE password=$COSIGN_PASSWORD" >>{log}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    for name in (*TOKENS, "SSL_CERT_FILE", "COSIGN_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return lambda: log.read_text().splitlines() if log.exists() else []


def test_with_a_token_nobody_asks_for_a_key(told: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKENS[0], "https://token.example.org")
    cosign = Cosign(trust=Trust(identity="^me$", issuer="https://issuer"), ca_bundle=Path("/etc/ca.pem"))
    cosign.sign(IMAGE)
    assert cosign.signed(IMAGE)
    asked = "--certificate-identity-regexp=^me$ --certificate-oidc-issuer=https://issuer"
    assert told() == [
        f"sign --yes {IMAGE} ca=/etc/ca.pem password=",
        f"verify {asked} {IMAGE} ca=/etc/ca.pem password=",
    ]


def test_with_a_key_its_password_goes_by_the_environment(
    told: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COSIGN_PASSWORD", "s3cret")
    Cosign(trust=Trust(key="cosign.pub", transparency_log=False), key="env://KEY").sign(IMAGE)
    assert told() == [f"sign --yes --key=env://KEY --tlog-upload=false {IMAGE} ca= password=s3cret"]


def test_with_neither_nothing_is_signed(told: Callable[[], list[str]]) -> None:
    """Else a browser would be opened, and waited for."""
    with pytest.raises(UsageError, match="there is none here"):
        Cosign(trust=Trust(identity="^me$", issuer="https://issuer")).sign(IMAGE)
    assert told() == []


# --- the cluster ------------------------------------------------------------------------------------------------------------

# The fields of policy-controller's ClusterImagePolicy (config/300-clusterimagepolicy.yaml there) that we write.
TEXT = {"type": "string", "minLength": 1}
POLICY = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "policy.sigstore.dev/v1beta1"},
        "kind": {"const": "ClusterImagePolicy"},
        "metadata": {"properties": {"name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"}}},
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["images", "authorities"],
            "properties": {
                "mode": {"enum": ["enforce", "warn"]},
                "images": {"type": "array", "items": {"type": "object", "properties": {"glob": {"type": "string", "pattern": r"^[a-zA-Z0-9-_:/*.]+$"}}, "additionalProperties": False}},
                "authorities": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {
                            "name": TEXT,
                            "key": {"type": "object", "properties": {"data": TEXT}, "additionalProperties": False},
                            "keyless": {
                                "type": "object",
                                "additionalProperties": False,
                                "properties": {
                                    "url": TEXT,
                                    "identities": {"type": "array", "items": {"type": "object", "properties": {"issuer": TEXT, "subjectRegExp": TEXT}, "additionalProperties": False}},
                                },
                            },
                            "ctlog": {"type": "object", "properties": {"url": TEXT}, "additionalProperties": False},
                        },
                        "oneOf": [{"required": ["key"]}, {"required": ["keyless"]}],
                    },
                },
            },
        },
    },
}  # fmt: skip


def policy(prefix: str, layout: Layout = Layout.NESTED, *, key: str = "") -> dict[str, Any]:
    names = Names(prefix=ImageRef.parse(prefix), layout=layout)
    value = cluster_policy(names, key=key, identity="^x$", issuer="https://issuer", transparency_log=not key)
    jsonschema.Draft202012Validator(POLICY).validate(value)
    return value


def test_a_cluster_trusts_the_same_key_or_the_same_workflow() -> None:
    (keyless,) = policy("ghcr.io/example/images")["spec"]["authorities"]
    assert keyless["keyless"]["identities"] == [{"issuer": "https://issuer", "subjectRegExp": "^x$"}]
    assert keyless["ctlog"] == {"url": "https://rekor.sigstore.dev"}
    (keyed,) = policy("ghcr.io/example/images", key="PEM")["spec"]["authorities"]
    assert keyed == {"name": "hubstack", "key": {"data": "PEM"}}


@pytest.mark.parametrize(
    ("prefix", "layout", "glob"),
    [
        ("ghcr.io/example/images", Layout.NESTED, "ghcr.io/example/images/**"),
        ("quay.io/example/images", Layout.SINGLE, "quay.io/example/images*"),
        ("docker.io/example/images", Layout.NESTED, "index.docker.io/example/images/**"),
    ],
)
def test_the_images_that_a_policy_is_about(prefix: str, layout: Layout, glob: str) -> None:
    assert policy(prefix, layout)["spec"]["images"] == [{"glob": glob}]
