"""``hubstack profiles`` over a life of a project: images change, are withdrawn, promoted, retired."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest
import yaml
from hubstack.cli.profiles import emit
from hubstack.errors import ProjectError, RegistryDenied, UsageError
from hubstack.hub.configmap import EMITTED
from hubstack.reference import ImageRef

from tests.commandline import PROJECTS
from tests.fakes.registry import Account, FakeRegistry
from tests.shell import Here, Shell, TerminalEngine

pytestmark = pytest.mark.slow  # whole runs of the command

CONTENTS = "sh /srv/hubstack/contents.sh"
STAGING = """\
configmap: {name: staging, namespace: jhub}
keys: prefixed
profiles:
  - slug: all
    title: Everything
    stacks: ["small/*"]
"""
PROD = """\
configmap: {name: prod, namespace: jhub}
promoted_from: staging
profiles:
  - slug: small
    title: Small images
    stacks: [small/trixie]
"""


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def shell(tmp_path: Path, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A hub ``demo`` with both variants of a stack; ``previous`` images are offered."""
    folder = Path(shutil.copytree(PROJECTS / "good-small", tmp_path / "small"))
    demo = folder / "profiles" / "demo.yaml"
    demo.write_text(demo.read_text() + "    previous: true\n")
    monkeypatch.chdir(folder)
    engine = TerminalEngine(registry)
    engine.outputs["greet"] = "hello\n"
    shell = Shell(folder, registry, engine)
    publish(shell, 1)
    return shell


def publish(shell: Shell, generation: int) -> None:
    """Another image of each variant. In it is Git 1.GENERATION, a package that stays and one that comes and goes."""
    (shell.folder / "layers" / "git" / "apt.txt").write_text(f"git\nnumber-{generation}\n")
    shell.engine.outputs[CONTENTS] = f"=debian\ngit\t1.{generation}\ntzdata\t2026a\nnumber-{generation}\t1\n"
    assert shell("build", "--push").return_value == 0


def emitted(shell: Shell, hub: str = "demo") -> dict[str, Any]:
    values = yaml.safe_load(yaml.safe_load(memory(shell, hub).read_text())["data"]["values.yaml"])
    found: dict[str, Any] = values["singleuser"]["profileList"][0]["profile_options"]["image"]["choices"]
    return found


def memory(shell: Shell, hub: str = "demo") -> Path:
    return shell.folder / EMITTED / f"{hub}.yaml"


def images(shell: Shell, hub: str = "demo") -> dict[str, str]:
    return {key: choice["kubespawner_override"]["image"] for key, choice in emitted(shell, hub).items()}


def digest(image: str) -> str:
    return image.partition("@")[2]


# --- the image before the last change ----------------------------------------------------------------------------------


def test_the_previous_image_follows_one_change_behind(shell: Shell) -> None:
    shell("profiles")
    first = images(shell)
    assert list(first) == ["small-bookworm", "small-trixie"]
    publish(shell, 2)
    shell("profiles")
    second = images(shell)
    assert list(second) == ["small-bookworm", "small-bookworm-previous", "small-trixie", "small-trixie-previous"]
    assert second["small-trixie"] != first["small-trixie"] == second["small-trixie-previous"]
    assert emitted(shell)["small-trixie-previous"]["display_name"] == "Small, Debian 13, previous"
    publish(shell, 3)
    shell("profiles")
    assert images(shell)["small-trixie-previous"] == second["small-trixie"]


def test_emitted_twice_it_has_the_same_bytes(shell: Shell) -> None:
    shell("profiles")
    publish(shell, 2)
    shell("profiles")
    before = memory(shell).read_bytes()
    assert b"-previous" in before
    assert "unchanged" in shell("profiles").stdout
    assert memory(shell).read_bytes() == before
    assert shell("profiles", "--check").return_value == 0


def test_back_to_an_older_image_the_newer_is_the_previous_one(shell: Shell) -> None:
    shell("profiles")
    first = images(shell)
    publish(shell, 2)
    shell("profiles")
    second = images(shell)
    publish(shell, 1)
    shell("profiles")
    assert images(shell)["small-trixie"] == first["small-trixie"]
    assert images(shell)["small-trixie-previous"] == second["small-trixie"]


def test_a_previous_image_that_is_gone_is_left_out(shell: Shell, registry: FakeRegistry) -> None:
    shell("profiles")
    old = ImageRef.parse(images(shell)["small-trixie"])
    publish(shell, 2)
    del registry.repository(old.repository).tags[old.tag]
    shell("profiles")
    assert list(images(shell)) == ["small-bookworm", "small-bookworm-previous", "small-trixie"]


def test_a_key_that_was_given_out_stays_when_its_image_is_gone(shell: Shell, registry: FakeRegistry) -> None:
    shell("profiles")
    publish(shell, 2)
    shell("profiles")
    for image in images(shell).values():
        if "small:trixie" in image and image != images(shell)["small-trixie"]:
            del registry.repository("x/small").tags[ImageRef.parse(image).tag]
    shell("profiles")
    kept = emitted(shell)["small-trixie-previous"]
    assert kept["kubespawner_override"]["image"] == images(shell)["small-trixie"]
    assert kept["display_name"] == "Small, Debian 13, previous (retired, now Small, Debian 13)"
    second = images(shell)
    publish(shell, 3)
    shell("profiles")
    assert images(shell)["small-trixie-previous"] == second["small-trixie"]
    assert emitted(shell)["small-trixie-previous"]["display_name"] == "Small, Debian 13, previous"


def test_previous_images_are_given_up_as_any_choice(shell: Shell) -> None:
    shell("profiles")
    publish(shell, 2)
    shell("profiles")
    demo = shell.folder / "profiles" / "demo.yaml"
    demo.write_text(demo.read_text().replace("previous: true", "previous: false"))
    with pytest.raises(ProjectError, match="key: small-trixie-previous, successor: small-trixie}"):
        shell("profiles")


# --- withdrawn ---------------------------------------------------------------------------------------------------------


def withdraw(shell: Shell, *images: str, hub: str = "demo") -> None:
    lines = [f"  - {{digest: {digest(image)!r}, reason: it deletes homes}}\n" for image in images]
    path = shell.folder / "profiles" / f"{hub}.yaml"
    path.write_text(path.read_text() + "withdrawn:\n" + "".join(lines))


def test_a_withdrawn_image_is_not_offered(shell: Shell) -> None:
    shell("profiles")
    before = memory(shell).read_bytes()
    withdraw(shell, images(shell)["small-trixie"])
    with pytest.raises(ProjectError) as caught:
        shell("profiles")
    (problem,) = caught.value.problems
    assert str(problem.position) == "profiles/demo.yaml:5:14"
    assert problem.what.startswith(f"small/trixie is {images(shell)['small-trixie']} now, which is withdrawn")
    assert "(profiles/demo.yaml:9:5: it deletes homes)" in problem.what
    assert "hubstack build --push small/trixie" in problem.remedy
    assert memory(shell).read_bytes() == before


def test_what_the_defaults_withdraw_a_hub_s_own_list_does_not_bring_back(shell: Shell) -> None:
    shell("profiles")
    bookworm, trixie = images(shell).values()
    (shell.folder / "profiles" / "_defaults.yaml").write_text("")
    withdraw(shell, trixie, hub="_defaults")
    withdraw(shell, bookworm)
    with pytest.raises(ProjectError) as caught:
        shell("profiles")
    said = str(caught.value)
    assert f"{bookworm} now, which is withdrawn (profiles/demo.yaml:9:5:" in said
    assert f"{trixie} now, which is withdrawn (profiles/_defaults.yaml:2:5:" in said


def test_a_withdrawn_image_is_no_previous_one_and_the_one_before_it_is(shell: Shell) -> None:
    shell("profiles")
    first = images(shell)
    publish(shell, 2)
    shell("profiles")
    withdraw(shell, images(shell)["small-trixie"])
    publish(shell, 3)
    shell("profiles")
    assert images(shell)["small-trixie-previous"] == first["small-trixie"]
    assert images(shell)["small-bookworm-previous"] != first["small-bookworm"]
    again = memory(shell).read_bytes()
    shell("profiles")
    assert memory(shell).read_bytes() == again


# --- from one hub to another -------------------------------------------------------------------------------------------


@pytest.fixture
def two(shell: Shell) -> Shell:
    """Instead of ``demo``: ``staging``, which has both variants, and ``prod`` with one and other keys."""
    (shell.folder / "profiles" / "demo.yaml").unlink()
    (shell.folder / "profiles" / "staging.yaml").write_text(STAGING)
    (shell.folder / "profiles" / "prod.yaml").write_text(PROD)
    return shell


def test_prod_gets_what_staging_has_and_keeps_it(two: Shell) -> None:
    two("profiles", "staging")
    first = images(two, "staging")["020-small-trixie"]
    assert "written" in two("profiles", "--promote", "staging", "prod").stdout
    assert images(two, "prod") == {"small-trixie": first}
    publish(two, 2)
    two("profiles")
    assert images(two, "staging")["020-small-trixie"] != first
    assert images(two, "prod") == {"small-trixie": first}
    two("profiles", "--promote", "staging", "prod")
    assert images(two, "prod") == {"small-trixie": images(two, "staging")["020-small-trixie"]}
    assert "unchanged" in two("profiles", "--promote", "staging", "prod").stdout


def test_it_is_the_newest_image_of_staging_and_not_its_previous_one(two: Shell) -> None:
    (two.folder / "profiles" / "staging.yaml").write_text(STAGING + "    previous: true\n")
    two("profiles", "staging")
    publish(two, 2)
    two("profiles", "staging")
    given = images(two, "staging")
    assert given["020-small-trixie-previous"] != given["020-small-trixie"]
    two("profiles", "--promote", "staging", "prod")
    assert images(two, "prod") == {"small-trixie": given["020-small-trixie"]}


def test_a_promotion_shows_what_changes_and_can_be_tried(two: Shell) -> None:
    two("profiles", "staging")
    two("profiles", "--promote", "staging", "prod")
    publish(two, 2)
    two("profiles", "staging")
    before = memory(two, "prod").read_bytes()
    tried = two("profiles", "--promote", "staging", "prod", "--check")
    assert tried.return_value == 1
    assert "would change" in tried.stdout
    assert "git 1.1 → 1.2" in tried.stdout
    assert memory(two, "prod").read_bytes() == before
    (row,) = json.loads(two("profiles", "--promote", "staging", "prod", "--json").stdout)
    assert (row["hub"], row["changed"]) == ("prod", True)
    (change,) = row["diff"]["changes"]
    assert (change["change"], change["after"]) == ("new image", images(two, "staging")["020-small-trixie"])
    assert {"manager": "debian", "name": "git", "before": "1.1", "after": "1.2"} in change["packages"]


def test_without_promoted_from_a_promotion_says_that_it_will_not_last(two: Shell) -> None:
    prod = two.folder / "profiles" / "prod.yaml"
    prod.write_text(PROD.replace("promoted_from: staging\n", ""))
    two("profiles", "staging")
    result = two("profiles", "--promote", "staging", "prod")
    assert "without `promoted_from: staging` the next `hubstack profiles` gives prod what its channel" in result.stderr
    assert images(two, "prod") == {"small-trixie": images(two, "staging")["020-small-trixie"]}


def test_what_staging_does_not_offer_is_not_promoted(two: Shell) -> None:
    staging = two.folder / "profiles" / "staging.yaml"
    staging.write_text(STAGING.replace("small/*", "small/bookworm"))
    two("profiles", "staging")
    with pytest.raises(ProjectError) as caught:
        two("profiles", "--promote", "staging", "prod")
    assert str(caught.value) == (
        "profiles/prod.yaml:6:14: staging does not offer small/trixie: it is not in profiles/emitted/staging.yaml. "
        "Offer it there first (`hubstack profiles staging`), or remove it here."
    )
    assert not memory(two, "prod").exists()


def test_prod_without_a_promotion_has_no_images(two: Shell) -> None:
    result = two("profiles")
    assert "prod is left out: it has no images before `hubstack profiles --promote staging prod`." in result.stderr
    assert memory(two, "staging").exists()
    assert not memory(two, "prod").exists()
    two("profiles", "--diff")
    with pytest.raises(ProjectError, match=r"prod was not given small/trixie yet. `hubstack profiles --promote sta"):
        two("profiles", "prod")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--promote", "staging", "prod"), "staging was given nothing yet: there is no profiles/emitted/staging.yaml"),
        (("--promote", "prod", "prod"), "prod can't be promoted to itself"),
        (("--promote", "stagin", "prod"), 'there is no hub "stagin" (did you mean "staging"?)'),
        (("--promote", "staging", "pro"), 'there is no hub "pro" (did you mean "prod"?)'),
        (("prod", "--promote", "staging", "prod"), "--promote STAGING PROD stands without other hubs"),
        (("--diff", "--promote", "staging", "prod"), "--promote STAGING PROD stands without other hubs"),
        (("--diff", "prod"), "--diff prod: there is no such file"),
        (("prod", "--diff", "nowhere"), "--diff nowhere: there is no such file"),
        (("--diff", "profiles/prod.yaml"), "--diff FILE compares one hub"),
    ],
)
def test_what_makes_no_sense_is_said(two: Shell, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(Exception, match=re.escape(message)) as caught:
        two("profiles", *words)
    assert caught.value.exit_code == 2  # type: ignore[attr-defined]  # click's and ours alike


def test_prod_is_promoted_from_one_hub(two: Shell) -> None:
    (two.folder / "profiles" / "other.yaml").write_text(STAGING.replace("name: staging", "name: other"))
    with pytest.raises(UsageError, match="prod takes its images from staging"):
        two("profiles", "--promote", "other", "prod")


def test_a_promotion_asks_with_prod_s_eyes(two: Shell, registry: FakeRegistry) -> None:
    two("profiles", "staging")
    registry.auth, registry.accounts = "token", {"hub": Account("s3cret", frozenset({"pull"}))}
    with pytest.raises(RegistryDenied, match="prod could not pull"):
        two("profiles", "--promote", "staging", "prod")
    assert not memory(two, "prod").exists()


@pytest.mark.parametrize("edit", ["gone", "other"])
def test_a_configmap_by_another_hand_promotes_nothing_that_was_not_published(
    two: Shell, registry: FakeRegistry, edit: str
) -> None:
    """Promise 1 holds though what is promoted stands in a file that anybody may edit."""
    two("profiles", "staging")
    ref = ImageRef.parse(images(two, "staging")["020-small-trixie"])
    tags = registry.repository(ref.repository).tags
    if edit == "gone":
        del tags[ref.tag]
    else:
        foreign = registry.put_manifest(ref.repository, "", b"{}", "application/vnd.oci.image.manifest.v1+json")
        path = memory(two, "staging")
        path.write_text(path.read_text().replace(str(ref.digest), foreign))
    with pytest.raises(ProjectError, match=r"small/trixie can't be pulled as prod would: .* is not there"):
        two("profiles", "--promote", "staging", "prod")


def test_what_is_wrong_in_the_defaults_stops_it_too(shell: Shell) -> None:
    (shell.folder / "profiles" / "_defaults.yaml").write_text(
        "retired: [{profile: small, key: old, successor: smal-trixie}]\n"
    )
    with pytest.raises(ProjectError, match=r'profiles/_defaults.yaml:1:\d+: unknown successor "smal-trixie"'):
        shell("profiles")


# --- what changes ------------------------------------------------------------------------------------------------------


def test_the_diff_names_packages_and_writes_nothing(shell: Shell) -> None:
    shell("profiles")
    before = memory(shell).read_bytes()
    assert shell("profiles", "--diff").stdout == "demo: no choice changed against profiles/emitted/demo.yaml\n"
    publish(shell, 2)
    lines = shell("profiles", "--diff").stdout.splitlines()
    assert lines[0] == "demo: 4 choices changed against profiles/emitted/demo.yaml"
    at = lines.index("  ~ small/small-trixie  Small, Debian 13")
    assert re.fullmatch(r"      small:trixie-[0-9a-f]{12} → small:trixie-[0-9a-f]{12}", lines[at + 1])
    assert [line.strip() for line in lines[at + 2 : at + 5]] == [
        "debian  git 1.1 → 1.2",
        "+ number-2 1",
        "- number-1 1",
    ]
    assert "tzdata" not in "".join(lines)
    assert memory(shell).read_bytes() == before
    assert shell("profiles", "--diff", "--check").return_value == 1


def test_the_diff_for_machines(shell: Shell) -> None:
    shell("profiles")
    publish(shell, 2)
    (found,) = json.loads(shell("profiles", "--diff", "--json").stdout)
    assert (found["hub"], found["against"], found["settings"]) == ("demo", "profiles/emitted/demo.yaml", [])
    assert [(one["change"], one["key"]) for one in found["changes"]] == [
        ("new image", "small-bookworm"),
        ("added", "small-bookworm-previous"),
        ("new image", "small-trixie"),
        ("added", "small-trixie-previous"),
    ]
    assert found["changes"][0]["packages"] == [
        {"manager": "debian", "name": "git", "before": "1.1", "after": "1.2"},
        {"manager": "debian", "name": "number-2", "before": None, "after": "1"},
        {"manager": "debian", "name": "number-1", "before": "1", "after": None},
    ]


def test_the_diff_against_what_a_cluster_has(shell: Shell, tmp_path: Path) -> None:
    """As kubectl prints it: fields sorted, with many more than we wrote."""
    shell("profiles")
    document = yaml.safe_load(memory(shell).read_text())
    document["metadata"] |= {"uid": "0a", "resourceVersion": "1", "managedFields": [{"manager": "kubectl"}]}
    (tmp_path / "used.yaml").write_text(yaml.safe_dump(document))
    memory(shell).unlink()
    publish(shell, 2)
    said = shell("profiles", "demo", "--diff", str(tmp_path / "used.yaml")).stdout
    assert said.startswith(f"demo: 2 choices changed against {tmp_path}/used.yaml\n")
    assert "git 1.1 → 1.2" in said
    assert not memory(shell).exists()


def test_a_diff_against_something_else_is_refused(shell: Shell) -> None:
    with pytest.raises(ProjectError, match=r"hubstack.yaml:1:1: this is not a ConfigMap .* `kubectl get configmap"):
        shell("profiles", "demo", "--diff", "hubstack.yaml")


def test_who_sees_a_profile_is_a_change_too(shell: Shell) -> None:
    shell("profiles")
    demo = shell.folder / "profiles" / "demo.yaml"
    demo.write_text(demo.read_text() + "    groups: [students]\n")
    result = shell("profiles", "--diff", "--check")
    assert result.stdout.splitlines()[1:] == ['  ~ small: allowed_groups nothing → ["students"]']
    assert result.return_value == 1
    (found,) = json.loads(shell("profiles", "--diff", "--json").stdout)
    assert found["settings"] == [{"place": "small", "name": "allowed_groups", "before": None, "after": ["students"]}]


# --- what people may have chosen ---------------------------------------------------------------------------------------


def test_a_variant_that_goes_is_refused_with_the_lines_to_write(shell: Shell) -> None:
    """And the lines are good as they are printed."""
    shell("profiles")
    demo = shell.folder / "profiles" / "demo.yaml"
    demo.write_text(demo.read_text().replace('"small/*"', "small/trixie"))
    before = memory(shell).read_bytes()
    text = refusal(shell)
    assert text == (
        "Write into profiles/demo.yaml:\n\nretired:\n  - {profile: small, key: small-bookworm, successor: small-trixie}\n\n"
    )
    assert memory(shell).read_bytes() == before
    demo.write_text(demo.read_text() + text.partition("\n\n")[2])
    shell("profiles")
    assert images(shell)["small-bookworm"] == images(shell)["small-trixie"]


def test_so_is_a_stack_that_goes_with_its_file(shell: Shell) -> None:
    """It is still named in the hub's file, and is not taken for a slip of the pen: the hub was offering it."""
    (shell.folder / "stacks" / "other.yaml").write_text("title: Other\nbase: debian\nlayers: [git]\n")
    demo = shell.folder / "profiles" / "demo.yaml"
    demo.write_text(demo.read_text().replace('["small/*"]', '["small/*", other]'))
    shell("build", "--push", "other")
    shell("profiles")
    before, text = memory(shell).read_text(), demo.read_text()
    (shell.folder / "stacks" / "other.yaml").unlink()
    assert "  - {profile: small, key: other, successor: small-trixie}\n" in refusal(shell)
    for wrong in ("smal", "other/defalt", "small/trixi"):
        memory(shell).write_text(before)
        demo.write_text(text.replace("other]", f"{wrong}]"))
        assert refusal(shell) == ""


def refusal(shell: Shell) -> str:
    """What ``profiles`` prints before it fails."""
    here = Here(
        folder=shell.folder, ca_bundle=None, registry=f"{shell.registry.host}/x", machine=shell.engine, builders=[]
    )
    out = io.StringIO()
    try:
        with redirect_stderr(out), pytest.raises(ProjectError):
            emit(here, (), None)
    finally:
        here.close()
    return out.getvalue()
