"""What must stay, and what follows from it; nothing is asked of a registry here."""

from __future__ import annotations

from pathlib import Path

import pytest
from hubstack.errors import ProjectError, UsageError
from hubstack.hub.configmap import render_configmap
from hubstack.names import Names, joint
from hubstack.oci import digest_of
from hubstack.offer import Hub
from hubstack.prune.need import Needs, needs_of_text, needs_of_tree, parse_configmaps, parse_in_use, unknown_hubs
from hubstack.prune.survey import Held, Kind, read_tag, repositories
from hubstack.prune.verdict import BELONGS, NAMED, STRANGE, TREE, UNKNOWN, judge
from hubstack.reference import Digest, Fingerprint, ImageRef, Layout
from hubstack.source import Source

from tests.family import MERGED

pytestmark = pytest.mark.long

NESTED = Names(prefix=ImageRef.parse("registry.example/family"), layout=Layout.NESTED)
SINGLE = Names(prefix=ImageRef.parse("registry.example/family"), layout=Layout.SINGLE)
FP = [Fingerprint(f"{number:064x}"[::-1]) for number in range(1, 6)]
HUB = Hub(name="demo", configmap="profiles", namespace="jhub", source=Source(path="profiles/demo.yaml"))


def digest(text: str) -> Digest:
    return digest_of(text.encode())


def held(
    where: str,
    what: str,
    *tags: str,
    parts: tuple[Digest, ...] = (),
    configs: tuple[Digest, ...] = (),
    of: tuple[Fingerprint, ...] = (),
    certified: tuple[Digest, ...] = (),
) -> Held:
    repository = NESTED.prefix.child(where)
    return Held(
        repository=repository,
        digest=digest(what),
        tags=tuple(read_tag(NESTED, repository, tag) for tag in tags),
        parts=parts,
        configs=configs,
        fingerprints=of,
        certified=certified,
    )


def node(number: int, what: str) -> Held:
    return held("build", what, f"fp-{FP[number]}", f"ok-{FP[number]}-{'0' * 32}")


def image(number: int, what: str) -> Held:
    return held("scipy", what, f"trixie-{FP[number].short}", of=(FP[number],), configs=(digest(f"config of {what}"),))


def reasons(things: list[Held], needs: Needs) -> list[str]:
    """Why each is kept; empty: it is not."""
    verdict = judge(things, needs)
    assert {one.name for one in verdict.candidates} == {one.name for one in things} - verdict.kept.keys()
    return [verdict.kept.get(one.name, "") for one in things]


# --- names -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("repository", "tag", "kind"),
    [
        ("build", f"fp-{FP[0]}", Kind.NODE),
        ("build", f"fp-{FP[0]}0", Kind.OTHER),
        ("build", f"ok-{FP[0]}-{'a' * 32}", Kind.TESTED),
        ("build", f"ok-{FP[0]}-{'a' * 16}", Kind.OTHER),
        ("build", f"info-{FP[0]}", Kind.RECORD),
        ("build", f"pair-{'a' * 64}", Kind.CERTIFICATE),
        ("scipy", f"pair-{'a' * 64}", Kind.OTHER),
        ("build", "last-scipy-0123abcd", Kind.LAST),
        ("build", "something-0123456789ab", Kind.OTHER),
        ("build", "prune-marks", Kind.OTHER),
        ("scipy", "trixie-0123456789ab", Kind.PUBLISHED),
        ("scipy", "trixie-0123456789AB", Kind.OTHER),
        ("scipy", "trixie-latest", Kind.OTHER),
        ("scipy", f"fp-{FP[0]}", Kind.OTHER),
        ("scipy", f"sha256-{'a' * 64}", Kind.ATTACHED),
        ("scipy", f"sha256-{'a' * 64}.sig", Kind.ATTACHED),
    ],
)
def test_what_a_tag_is(repository: str, tag: str, kind: Kind) -> None:
    assert read_tag(NESTED, NESTED.prefix.child(repository), tag).kind is kind


def test_one_repository_for_all() -> None:
    assert repositories(NESTED, ["b", "c"]) == tuple(NESTED.prefix.child(name) for name in ("build", "b", "c"))
    assert repositories(SINGLE, ["b", "c"]) == (SINGLE.prefix,)
    kinds = {f"fp-{FP[0]}": Kind.NODE, "scipy-trixie-0123456789ab": Kind.PUBLISHED, "scipy-trixie-latest": Kind.OTHER}
    kinds |= {"repository-me-notebooks-0a1b2c-0123456789ab-0123456789ab": Kind.OTHER}  # `hubstack repo` made it
    assert {tag: read_tag(SINGLE, SINGLE.prefix, tag).kind for tag in kinds} == kinds


# --- what is kept ------------------------------------------------------------------------------------------------------------


def test_what_this_tree_needs_and_what_nobody_needs() -> None:
    things = [node(0, "a"), image(0, "a"), node(1, "b"), image(1, "b"), held("build", "r", f"info-{FP[0]}")]
    assert reasons(things, Needs(fingerprints=frozenset(FP[:1]))) == [TREE, TREE, "", "", TREE]


def test_a_merged_image_is_needed_by_its_name_and_with_all_that_it_is_made_of() -> None:
    inputs = MERGED.inputs()
    needs = needs_of_tree(inputs, NESTED)
    assert needs.fingerprints == {inputs.fingerprint(node) for node in MERGED.below}
    ref = NESTED.published("all", "default", inputs.fingerprint("kernel.scipy"))
    assert (ref.repository, ref.tag) in needs.tags


def test_an_image_that_is_named_keeps_its_nodes_and_records() -> None:
    things = [image(1, "b"), node(1, "b"), held("build", "r", f"info-{FP[1]}"), node(2, "c")]
    named = Needs(digests=frozenset({digest("b")}))
    assert reasons(things, named) == [NAMED, NAMED, BELONGS, ""]
    by_tag = Needs(tags=frozenset({("family/scipy", f"trixie-{FP[1].short}")}))
    assert all(reasons(things[:3], by_tag))
    by_config = Needs(digests=frozenset({digest("config of b")}))  # as some kubelets show what runs
    assert all(reasons(things[:3], by_config))


def test_a_channel_keeps_its_image_and_what_that_stands_for() -> None:
    moved = held("scipy", "b", f"trixie-{FP[1].short}", "trixie-latest", of=(FP[1],))
    assert reasons([moved, node(1, "b")], Needs()) == [UNKNOWN, BELONGS]


def test_an_index_and_its_platforms_stay_together() -> None:
    parts = (digest("amd64"), digest("arm64"))
    tag = f"trixie-{joint(FP[1:3]).short}"
    index = held("scipy", "index", tag, parts=parts, of=(FP[1], FP[2]))
    nodes = [node(1, "amd64"), node(2, "arm64")]
    assert reasons([index, *nodes], Needs()) == ["", "", ""]
    assert reasons([index, *nodes], Needs(digests=frozenset({parts[1]}))) == [NAMED, BELONGS, NAMED]
    assert reasons([index, *nodes], Needs(digests=frozenset({digest("index")}))) == [NAMED, BELONGS, BELONGS]
    # one platform's node is what this tree needs, too; the old index is not
    assert reasons([index, *nodes], Needs(fingerprints=frozenset(FP[1:2]))) == ["", TREE, ""]
    assert reasons([index, *nodes], Needs(fingerprints=frozenset(FP[1:3]))) == [TREE, TREE, TREE]


def test_attestations_go_with_what_they_are_about() -> None:
    signatures = [held("scipy", f"s{one}", f"sha256-{digest(one).hex}.sig") for one in ("a", "b", "gone")]
    things = [image(0, "a"), image(1, "b"), *signatures]
    assert reasons(things, Needs(fingerprints=frozenset(FP[:1]))) == [TREE, "", BELONGS, "", ""]


def test_a_certificate_goes_with_either_of_the_images_that_it_is_about() -> None:
    things = [node(1, "a"), node(2, "b"), held("build", "c", f"pair-{'c' * 64}", certified=(digest("a"), digest("b")))]
    assert reasons(things, Needs(fingerprints=frozenset(FP[1:3]))) == [TREE, TREE, BELONGS]
    assert reasons(things, Needs(fingerprints=frozenset(FP[1:2]))) == [TREE, "", ""]
    assert reasons([held("build", "d", f"pair-{'d' * 64}")], Needs()) == [""]  # it can't be read


def test_an_image_that_is_not_what_its_name_says_stays() -> None:
    strangers = [held("scipy", "x", "trixie-0123456789ab"), held("scipy", "y", "trixie-0123456789ab", of=(FP[1],))]
    assert reasons(strangers, Needs()) == [STRANGE, STRANGE]


# --- what names them ---------------------------------------------------------------------------------------------------------


def test_what_servers_run() -> None:
    text = (
        f"mirror.example/family/scipy:trixie-0123456789ab other.example/x@{digest('x')}\n"
        f"docker-pullable://registry.example/family/scipy@{digest('y')}\n\n  {digest('z')} busybox\n"
    )
    assert parse_in_use(text, "in-use.txt") == Needs(
        tags=frozenset({("family/scipy", "trixie-0123456789ab")}), digests=frozenset(map(digest, "xyz"))
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "in-use.txt: no images at all"),
        ("\n \n", "in-use.txt: no images at all"),
        ("busybox\nerror: You must be logged in!\n", 'in-use.txt:2: "error:" is neither an image\'s name nor a digest'),
    ],
)
def test_a_list_that_is_none(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_in_use(text, "in-use.txt")
    assert caught.value.message == said


def configmap() -> str:
    ref = f"{NESTED.prefix}/scipy:trixie-0123456789ab"
    choices = {
        "new": {"display_name": "New", "kubespawner_override": {"image": f"{ref}@{digest('new')}"}},
        "old": {"display_name": "Old", "kubespawner_override": {"image": f"mirror.example/x@{digest('old')}"}},
    }
    options = {"image": {"display_name": "Image", "choices": choices}}
    return render_configmap(HUB, {"singleuser": {"profileList": [{"slug": "a", "profile_options": options}]}})


def test_every_image_of_a_configmap_counts() -> None:
    found = parse_configmaps(configmap(), "emitted.yaml", NESTED)
    assert found.needs == Needs(
        tags=frozenset({("family/scipy", "trixie-0123456789ab")}), digests=frozenset({digest("new"), digest("old")})
    )
    assert found.there == {("jhub", "profiles")}


def test_many_configmaps_as_kubectl_prints_them() -> None:
    items = "".join(
        "- " + "\n  ".join(line for line in one.splitlines() if not line.startswith("#")).strip() + "\n"
        for one in (configmap(), 'kind: ConfigMap\nmetadata: {name: else, namespace: n}\ndata: {a: "b"}')
    )
    found = parse_configmaps(f"apiVersion: v1\nkind: List\nitems:\n{items}", "live.yaml", NESTED)
    assert found.there == {("jhub", "profiles"), ("n", "else")}
    assert digest("old") in found.needs.digests


@pytest.mark.parametrize(
    "text",
    [
        "",
        "apiVersion: v1\nkind: List\nitems: []\n",
        "kind: Secret\nmetadata: {name: a, namespace: b}\n",
        "kind: ConfigMap\nmetadata: {name: a, namespace: b}\ndata: {a: b}\n",
        configmap()[:-90],  # cut off: it is YAML still
        configmap()[:300],
        configmap().replace("New", "Newer"),
        "\tno YAML",
    ],
)
def test_a_configmap_that_is_not_whole_is_an_error(text: str) -> None:
    with pytest.raises(ProjectError, match="Nothing is deleted while nobody knows what it names"):
        parse_configmaps(text, "live.yaml", NESTED)


def test_a_hub_of_which_nobody_knows_anything() -> None:
    assert list(unknown_hubs([HUB], [], {})) == ["demo"]
    assert list(unknown_hubs([HUB], [("jhub", "profiles")], {})) == []
    assert list(unknown_hubs([HUB], [("other", "profiles")], {"demo": Path("x")})) == []


def test_tags_are_found_in_one_repository_as_well() -> None:
    text = "image: registry.example/family:scipy-trixie-latest, elsewhere.example/other:1"
    assert needs_of_text(text, SINGLE).tags == {("family", "scipy-trixie-latest")}
