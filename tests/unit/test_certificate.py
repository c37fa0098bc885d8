"""Whether a merge is what builds make: the comparison of trees, which pairs there are, and what is said of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hubstack.certificate import Certificate, Pair, certificate_json, parse_certificate
from hubstack.certificate.comparison import Tree, compare
from hubstack.certificate.examination import examine, read_certificates, write_certificate
from hubstack.certificate.pair import Stage, images_with, pairs_of
from hubstack.certificate.standing import Standing, standings
from hubstack.errors import RegistryError
from hubstack.graph import resolve
from hubstack.graph.assembly import joined, stacked
from hubstack.lock import Lock, render_lock
from hubstack.lock.resolution import Package, Resolution, requests
from hubstack.merge.entry import GONE, Entry, Index, Kind, file_entry
from hubstack.model import Preference
from hubstack.names import FINGERPRINT_LABEL, node_tag
from hubstack.oci import OCI_MANIFEST
from hubstack.pipeline import demand, prepare
from hubstack.project import load_project
from hubstack.prune.survey import take
from hubstack.publish import Remote
from hubstack.reference import Digest

from tests.commandline import run
from tests.fakes.registry import FakeRegistry
from tests.family import MERGED
from tests.site import Site
from tests.tree import tree

FOLDER = Entry(kind=Kind.DIRECTORY, mode=0o755)
STATUS = "var/lib/dpkg/status"
HELLO = "Package: hello\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.10-3\n"
VIM = "Package: vim\nStatus: install ok installed\nArchitecture: amd64\nVersion: 9.1\n"


def image(
    files: Mapping[str, str], config: Mapping[str, Any] = {}, *, without: str = "", entries: Mapping[str, Entry] = {}
) -> Tree:
    """``without`` is a file of which nobody keeps the content."""
    contents = {path: text.encode() for path, text in files.items()}
    everything = {"opt": FOLDER, **{path: file_entry(one) for path, one in contents.items()}, **entries}
    kept = {path: one for path, one in contents.items() if path != without}
    return Tree(index=Index(entries=everything, contents=kept), config=config)


def differences(merged: Tree, *chains: Tree) -> list[str]:
    return list(compare(merged, chains).differences)


# --- trees -----------------------------------------------------------------------------------------------------------------


def test_what_is_like_either_chain_is_no_difference() -> None:
    one, other = image({"opt/x": "1", "opt/y": "1"}), image({"opt/x": "2", "opt/y": "2"})
    assert differences(one, one, other) == differences(other, one, other) == []
    assert differences(image({"opt/x": "1", "opt/y": "2"}), one, other) == []  # path by path
    assert compare(one, [one, other]).paths == 3


@pytest.mark.parametrize(
    ("merged", "said"),
    [
        (image({}), "/opt/x is missing, and a file (0644 0:0, 1 bytes, 6b86b273ff34) in a chain"),
        (image({"opt/x": "2"}), "/opt/x is a file (0644 0:0, 1 bytes, d4735e3a265e), and a file"),
        (image({}, entries={"opt/x": Entry(kind=Kind.LINK, mode=0o777, content="y")}), "/opt/x is a link to y, and"),
        (image({}, entries={"opt/x": FOLDER}), "/opt/x is a directory (0755 0:0), and"),
        (image({}, entries={"opt/x": file_entry(b"1", mode=0o4755)}), "/opt/x is a file (4755 0:0"),
        (image({}, entries={"opt/x": file_entry(b"1", gid=7)}), "/opt/x is a file (0644 0:7"),
        (
            image({"opt/x": "1", "opt/z": ""}),
            "/opt/z is a file (0644 0:0, 0 bytes, e3b0c44298fc), and missing in a chain",
        ),
    ],
)
def test_what_is_like_no_chain_is_named(merged: Tree, said: str) -> None:
    (found,) = differences(merged, image({"opt/x": "1"}), image({"opt/x": "1"}))
    assert found.startswith(said)


def test_what_any_chain_has_is_never_missing() -> None:
    """Two layers that look for each other and write different names."""
    chains = [image({"opt/x": "1"}), image({"opt/y": "1"})]
    assert [one.split()[0] for one in differences(image({}), *chains)] == ["/opt/x", "/opt/y"]
    assert differences(image({"opt/x": "1", "opt/y": "1"}), *chains) == []


def test_a_whiteout_is_nothing_that_a_tree_has() -> None:
    chains = [image({"opt/x": "1"}), image({})]
    assert differences(image({}, entries={"opt/x": GONE}), *chains) != []
    assert differences(image({}), image({}, entries={"opt/x": GONE}), image({})) == []
    assert compare(image({}, entries={"opt/x": GONE}), [image({})]).paths == 1  # the folder


def test_of_a_file_that_an_index_keeps_in_part_the_sum_counts() -> None:
    path = "usr/lib/node_modules/x/package.json"
    one, other = (image({path: text}) for text in ('{"name": "x", "main": "a"}', '{"name": "x", "main": "b"}'))
    kept = {path: b'{"name": "x"}'}
    abridged = [Tree(index=Index(entries=tree.index.entries, contents=kept), config={}) for tree in (one, other)]
    assert differences(abridged[0], abridged[1])


def test_noise_is_no_difference_and_a_folder_made_anew_is_a_folder() -> None:
    anew = FOLDER._replace(content="opaque")
    assert differences(image({"var/log/x": "1"}, entries={"opt": anew}), image({"var/log/x": "2"})) == []


@pytest.mark.parametrize(
    ("path", "one", "other"),
    [
        (STATUS, f"{HELLO}\n{VIM}", f"{VIM}\n{HELLO}"),
        (
            "var/lib/apt/extended_states",
            "Package: a\nAuto-Installed: 1\n\nPackage: b\n",
            "Package: b\n\nPackage: a\nAuto-Installed: 1\n",
        ),
        ("etc/passwd", "root:x:0:0\nhub:x:7:7\n", "hub:x:7:7\nroot:x:0:0\n"),
        ("etc/group", "hub:x:7:a,b\n", "hub:x:7:b,a\n"),
        ("var/lib/dpkg/diversions", "/a\n/b\nvim\n/c\n/d\nvim\n", "/c\n/d\nvim\n/a\n/b\nvim\n"),
        ("etc/shells", "/bin/sh\n/bin/zsh\n/bin/zsh\n", "/bin/zsh\n/bin/sh\n"),
    ],
)
def test_in_a_database_the_order_says_nothing(path: str, one: str, other: str) -> None:
    assert differences(image({path: one}), image({path: other})) == []


@pytest.mark.parametrize(
    ("path", "one", "other"),
    [
        (STATUS, HELLO, f"{HELLO}Conffiles:\n /etc/hello abc\n"),
        ("etc/passwd", "hub:x:7:7\n", "hub:x:8:7\n"),
        ("etc/group", "hub:x:7:a\n", "hub:x:7:\n"),
        ("var/lib/dpkg/diversions", "/a\n/b\nvim\n", "/a\n/b\nemacs\n"),
        ("etc/motd", "a\nb\n", "b\na\n"),  # no database
        ("etc/ld.so.cache", "one", "two"),  # can't be read
    ],
)
def test_what_a_database_says_is_compared(path: str, one: str, other: str) -> None:
    (found,) = differences(image({path: one}), image({path: other}))
    assert found.startswith(f"/{path} is a file")


def test_a_database_whose_content_nobody_has_is_compared_by_its_sum() -> None:
    one, other = "root:x\nhub:x\n", "hub:x\nroot:x\n"
    assert differences(image({"etc/passwd": one}, without="etc/passwd"), image({"etc/passwd": other}))


def test_packages_that_a_chain_did_not_need_are_named_and_the_rest_is_compared() -> None:
    """Apt takes the first of several alternatives unless another is there already."""
    merged = image({STATUS: f"{HELLO}\n{VIM}", "opt/x": "1", "usr/bin/vim": "vim"})
    found = compare(merged, [image({STATUS: HELLO, "opt/x": "1"}), image({STATUS: HELLO, "opt/x": "1"})])
    assert (found.differences, found.only) == ((), ("vim",))
    users = "etc/passwd"
    chain = image({STATUS: HELLO, users: "root:x\nhub:x\n"})
    assert differences(image({STATUS: f"{HELLO}\n{VIM}", users: "vim:x\nhub:x\nroot:x\n"}), chain, chain) == []
    assert differences(image({STATUS: f"{HELLO}\n{VIM}", users: "vim:x\nroot:x\n"}), chain, chain)
    lost = image({STATUS: f"{HELLO}\n{VIM}", "usr/bin/vim": "vim"})
    assert differences(lost, image({STATUS: HELLO, "opt/x": "1"}), image({STATUS: HELLO, "opt/x": "1"}))


def test_a_package_that_a_chain_has_is_never_missing() -> None:
    chains = [image({STATUS: f"{HELLO}\n{VIM}"}), image({STATUS: VIM})]
    assert differences(image({STATUS: HELLO}), *chains) == ["vim is missing, and 9.1 in a chain"]
    assert differences(image({STATUS: VIM}), *chains) == ["hello is missing, and 2.10-3 in a chain"]


def test_a_file_that_any_chain_has_is_never_missing() -> None:
    """What a layer puts there if it finds the other, a package or not."""
    found = image({STATUS: f"{HELLO}\n{VIM}", "opt/found": "1"})
    assert differences(image({STATUS: VIM}), found, image({STATUS: VIM})) == [
        "hello is missing, and 2.10-3 in a chain",
        "/opt/found is missing, and a file (0644 0:0, 1 bytes, 6b86b273ff34) or missing in a chain",
    ]


def test_configs_are_compared_field_by_field() -> None:
    mine = {"User": "1000", "Env": ["PATH=/a:/b", "X=1"], "Labels": {FINGERPRINT_LABEL: "a", "title": "T"}}
    theirs = {"User": "1000", "Env": ["X=1", "PATH=/b:/a"], "Labels": {FINGERPRINT_LABEL: "b", "title": "T"}}
    turned = {**theirs, "Env": ["X=1", "PATH=/a:/b"]}
    assert differences(image({}, mine), image({}, theirs), image({}, turned)) == []
    (found,) = differences(image({}, mine), image({}, theirs))
    assert found == "variable PATH of the config is '/a:/b', and '/b:/a' in a chain"
    hidden = [image({}, {"Env": [f"version={one}"], "Labels": {"version": "1"}}) for one in "12"]
    assert differences(hidden[0], hidden[1])


# --- pairs -----------------------------------------------------------------------------------------------------------------

FILES = {
    "hubstack.yaml": "base: debian\nassembly: merge\n",
    "base/debian": "",
    "layers/lab": "",
    "layers/r": "",
    "layers/kernel": "requires: [lab, r]",
    "layers/scipy": "requires: [lab]",
    "stacks/both.yaml": "base: debian\nlayers: [kernel, scipy]",
}


def test_a_chain_has_what_the_upper_one_has_and_the_lower_one_has_not() -> None:
    project = tree(FILES)
    graph = resolve(project)
    names = {node.layer: node.id for node in graph.nodes.values()}
    graph, merge = joined(graph, project, [names["kernel"], names["scipy"]])
    assert graph.nodes[merge].parents == tuple(sorted((names["kernel"], names["scipy"])))
    for lower, upper, above in (("scipy", "kernel", ["r", "kernel"]), ("kernel", "scipy", ["scipy"])):
        stack, top = stacked(graph, project, names[lower], names[upper])
        line = [stack.nodes[one].layer for one in stack.lineage[top]]
        assert line == [*(graph.nodes[one].layer for one in graph.lineage[names[lower]]), *above]
        assert len(stack.nodes[top].parents) == 1


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with FakeRegistry() as fake:
        site = Site.at(tmp_path / "here", fake)
        yield site
        site.close()


def pairs(site: Site) -> Mapping[tuple[str, str], Pair | None]:
    inputs = MERGED.inputs("all")
    return dict(pairs_of(inputs, Remote(registry=site.connect(), names=site.names), inputs.selection.nodes))


def test_pairs_are_of_all_merges_below_and_known_by_the_images_they_are_of(site: Site) -> None:
    assert pairs(site) == {("kernel", "scipy"): None, ("lab", "r"): None}
    outcomes = site.run(MERGED.inputs())
    found = pairs(site)
    pair = found["kernel", "scipy"]
    assert pair is not None
    assert dict(zip(pair.nodes, pair.digests, strict=True)) == {
        one: outcomes[one].digest for one in ("kernel", "scipy")
    }
    assert pair.label == "kernel + scipy"
    inputs = MERGED.inputs()
    assert images_with(inputs.graph, inputs.graph.images, pair) == ("all/default",)
    assert len(inputs.graph.images) > 1


def test_a_certificate_is_about_the_images_that_the_registry_has(site: Site, tmp_path: Path) -> None:
    """Another machine has built the same inputs, with other bytes, and pushed nothing."""
    inputs = MERGED.inputs()
    other = Site.at(tmp_path / "other", site.fake, salt="other")
    other.run(inputs, push=False)
    site.run(inputs)
    pair = pairs(site)["kernel", "scipy"]
    assert pair is not None
    staged = Stage(inputs=inputs, merge="kernel.scipy", chains=("kernel.scipy", "kernel.scipy"))
    shelves = [one.invocation(inputs.project).shelf(inputs, one.connect(), push=False) for one in (site, other)]
    assert examine(shelves[0], staged, pair).is_good
    with pytest.raises(RegistryError, match="other images than"):
        examine(shelves[1], staged, pair)
    other.close()


def test_a_pair_without_a_chain_is_failed_and_no_reason_to_end(site: Site, tmp_path: Path) -> None:
    """In a chain dask would be resolved with scipy's value, which nobody needs else: an update doesn't, either."""
    files = {
        "hubstack.yaml": f"registry: {site.fake.host}/hub\nassembly: merge\n",
        "base/debian/layer.yaml": "summary: Debian\nimage: example.org/one:1\npython: '3.13'\n",
        "layers/scipy/layer.yaml": "summary: SciPy\nvariables: {scipy: {type: version, default: '1.14'}}\n",
        "layers/scipy/requirements.txt": "scipy=={{ scipy }}.*\n",
        "layers/dask/layer.yaml": "summary: Dask\n",
        "layers/dask/requirements.txt": "dask\n",
        "stacks/both.yaml": "title: Both\nbase: debian\nlayers: [scipy, dask]\nvalues: {scipy: '1.15'}\n",
    }
    for path, text in files.items():
        (tmp_path / "project" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "project" / path).write_text(text)
    project, _ = load_project(tmp_path / "project")
    graph = resolve(project)
    locked = {
        str(one.scope): Resolution(
            requirements=one.requirements,
            packages={layer: Package(name=layer, version="1.15.0", hashes=("a" * 64,)) for layer in one.requirements},
        )
        for one in requests(project, graph, demand(project, graph).inputs)
    }
    lock = Lock(python=locked, images={"example.org/one:1": DIGESTS[0]})
    (tmp_path / "project" / "hubstack.lock").write_text(render_lock(lock))
    inputs = prepare(project, lock, [])
    for node in inputs.identities:
        site.fake.put_manifest("hub/build", node_tag(inputs.fingerprint(node)), node.encode(), OCI_MANIFEST)
    done = run("certify", folder=tmp_path / "project")
    assert done.code == 1
    assert done.out.startswith("failed    dask + scipy in both/default\n")
    assert "dask + scipy: one can't be built on the other: " in done.err


DIGESTS = (Digest("sha256:" + "a" * 64), Digest("sha256:" + "b" * 64))
PAIR = Pair(nodes=("kernel", "scipy"), digests=DIGESTS, label="kernel + scipy")


def test_a_verdict_is_about_these_images_and_what_their_merge_is_told() -> None:
    assert PAIR.key == replace(PAIR, nodes=("other", "names"), label="x").key
    assert PAIR.key != replace(PAIR, digests=(DIGESTS[0], Digest("sha256:" + "c" * 64))).key
    told = Preference(path="etc/motd", layer="scipy", reason="it is the older one")
    assert PAIR.key != replace(PAIR, resolve=(told,)).key
    assert replace(PAIR, resolve=(told,)).key == replace(PAIR, resolve=(replace(told, reason="another"),)).key


# --- certificates ----------------------------------------------------------------------------------------------------------

GOOD = Certificate(
    layers="kernel + scipy", digests=DIGESTS, settled=("mime has to be told",), paths=7, tests=3, only=("vim",)
)
BAD = replace(GOOD, layers="lab + r", differing=60, differences=("/opt/x is missing",))


@pytest.mark.parametrize("one", [GOOD, BAD])
def test_certificates_come_back_as_they_were(one: Certificate) -> None:
    assert parse_certificate(json.loads(json.dumps(certificate_json(one)))) == one


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        [],
        {"format": 1},
        {**certificate_json(GOOD), "paths": float("inf")},
        {**certificate_json(GOOD), "digests": ["x"]},
    ],
)
def test_what_is_no_certificate_is_none(data: object) -> None:
    assert parse_certificate(data) is None


def test_an_image_says_how_many_of_its_pairs_are_certified(site: Site) -> None:
    inputs = MERGED.inputs()
    site.run(inputs)
    remote = Remote(registry=site.connect(publish=True), names=site.names)
    plan = inputs.plan(remote)

    def standing() -> Mapping[str, Standing]:
        return standings(inputs, plan, remote, lambda some: read_certificates(remote, some))

    assert {variant: str(one) for variant, one in standing().items()} == {"all/default": "0 of 2 pairs certified"}
    found = pairs(site)
    (kernel_scipy, lab_r) = (found["kernel", "scipy"], found["lab", "r"])
    assert kernel_scipy is not None
    assert lab_r is not None
    write_certificate(remote, kernel_scipy, GOOD)
    write_certificate(remote, lab_r, BAD)
    assert str(standing()["all/default"]) == "1 of 2 pairs certified; lab + r differ from a chain in 60 places"
    assert standing()["all/default"].as_json() == {"pairs": 2, "certified": 1, "differing": ["lab + r"]}


def test_what_the_registry_holds_says_which_images_a_certificate_is_about(site: Site) -> None:
    registry = site.connect(publish=True)
    write_certificate(Remote(registry=registry, names=site.names), PAIR, GOOD)
    (held,) = take(registry, site.names, [site.names.build])
    assert held.certified == DIGESTS
