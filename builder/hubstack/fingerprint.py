"""What identifies a node, and nothing else does. The list, in this order:

======== ===================== ==========================================================================
kind     name                  value
======== ===================== ==========================================================================
format                         FORMAT: how hubstack builds; raised when the same inputs give another image
docker   Dockerfile            sha256 of its text
recipe                         RECIPE, in place of a Dockerfile: how a repository's files become one
address  repository            where it is
commit   stack (for people)    the repository's, in the lock
file     path in the context   sha256 of the content and ``x`` if executable, or ``-> target`` of a link
argument name                  the build argument's value
platform                       ``linux/amd64``
epoch                          the layer's refresh epoch in the lock
pin      distribution          version and sha256 of its hashes
deb      package               version of a Debian package that this node is the first to install, in the lock
id       user or group         the number that the lock gives to what the layer makes
image    reference             digest of an upstream image that the Dockerfile names
base     suite, variant, …     what mmdebstrap is asked for
merge                          MERGE, in place of all above: what is made of its parents
resolve  path                  the layer whose version stands
parent   node id (for people)  fingerprint; a merge's are sorted
copy     layer                 fingerprint
======== ===================== ==========================================================================

Left out: mtimes, host paths, tags, branches, the project's own commits, labels, titles, owners, *tests* (which have their
own fingerprint), and names that are for people: so a variable that nothing reads changes nothing above its layer either.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from hubstack.model import DEBS, IDS, Graph, Layer, Node, Rendered, SourceFile
from hubstack.record import Fact
from hubstack.reference import Fingerprint

FORMAT = 1
MERGE = 7  # raised when the same nodes are merged into another image; before a release, when that had been a right one
RECIPE = 1  # how repository/recipe.py writes a Dockerfile; raised when the same repository gives another image
HARNESS = "1"  # part of every test fingerprint: raised when the same test would be run in another way

_FOR_PEOPLE = frozenset({"parent", "commit"})  # whose names are
_FROM_FILES = frozenset({"docker", "file", "argument", "base", "pin"})
_MOST_REASONS = 3
_WORK = {"recipe": "builds repositories", "merge": "merges"}
_DIGITS = 12  # of a commit, for people


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """``facts`` in the order of the list above."""

    fingerprint: Fingerprint
    facts: tuple[Fact, ...]


def fingerprints(graph: Graph, rendered: Mapping[str, Rendered], epochs: Mapping[str, str]) -> Mapping[str, Identity]:
    """The identity of every node in ``rendered``, which holds with each node all that it stands on, and of their merges."""
    found: dict[str, Identity] = {}
    for node in graph.nodes.values():
        if node.is_merge and all(parent in found for parent in node.parents):
            facts = tuple(_merge_facts(node, found))
        elif node.id in rendered:
            facts = tuple(_facts(node, rendered[node.id], epochs, found))
        else:
            facts = ()
        if facts:
            found[node.id] = Identity(fingerprint=fingerprint_of(facts), facts=facts)
    return found


def fingerprint_of(facts: Iterable[Fact]) -> Fingerprint:
    counted = [[fact.kind, "" if fact.kind in _FOR_PEOPLE else fact.name, fact.value] for fact in facts]
    return Fingerprint(_sum(counted))


def _facts(node: Node, rendered: Rendered, epochs: Mapping[str, str], below: Mapping[str, Identity]) -> Iterator[Fact]:
    yield Fact(kind="format", name="", value=str(FORMAT))
    if rendered.repository is None:
        yield Fact(kind="docker", name="Dockerfile", value=_sha256(rendered.dockerfile.encode()))
    else:
        yield Fact(kind="recipe", name="", value=str(RECIPE))
        yield Fact(kind="address", name="repository", value=rendered.repository.url)
        yield Fact(kind="commit", name=node.layer, value=rendered.repository.commit)
    # written from slices of the lock, which say it better
    sliced = {DEBS, IDS, *(["requirements.txt"] if rendered.pins else [])}
    yield from (_file_fact(one) for one in rendered.context if one.path not in sliced)
    yield from (Fact(kind="argument", name=name, value=value) for name, value in sorted(rendered.arguments.items()))
    yield Fact(kind="platform", name="", value=node.platform)
    if node.layer in epochs:
        yield Fact(kind="epoch", name="", value=epochs[node.layer])
    for pin in rendered.pins:
        yield Fact(kind="pin", name=pin.name, value=f"{pin.version} {_sum(list(pin.hashes))}")
    yield from (Fact(kind="deb", name=name, value=version) for name, version in sorted(rendered.debs.items()))
    yield from (Fact(kind="id", name=name, value=str(number)) for name, number in sorted(rendered.ids.items()))
    yield from (Fact(kind="image", name=name, value=digest) for name, digest in sorted(rendered.upstream.items()))
    if (bootstrap := rendered.bootstrap) is not None:
        yield Fact(kind="base", name="suite", value=bootstrap.suite)
        yield Fact(kind="base", name="variant", value=bootstrap.variant)
        yield Fact(kind="base", name="include", value=" ".join(bootstrap.include))
    yield from (Fact(kind="parent", name=one, value=below[one].fingerprint) for one in node.parents)
    for layer, one in sorted(node.copies.items()):
        yield Fact(kind="copy", name=layer, value=below[one].fingerprint)


def _merge_facts(node: Node, below: Mapping[str, Identity]) -> Iterator[Fact]:
    yield Fact(kind="merge", name="", value=str(MERGE))
    yield Fact(kind="platform", name="", value=node.platform)
    yield from (Fact(kind="resolve", name=one.path, value=one.layer) for one in node.resolve)
    parents = sorted((below[one].fingerprint, one) for one in node.parents)
    yield from (Fact(kind="parent", name=name, value=fingerprint) for fingerprint, name in parents)


def _file_fact(file: SourceFile) -> Fact:
    if file.link is not None:
        return Fact(kind="file", name=file.path, value=f"-> {file.link}")
    return Fact(kind="file", name=file.path, value=_sha256(file.content) + (" x" if file.executable else ""))


def test_fingerprint(layers: Sequence[Layer], hub_test: bool, harness: str) -> str:  # noqa: FBT001 - a fact of three
    """32 hex digits over the tests of ``layers`` (lowest first) with their files, the hub test, and the harness.

    Positions don't count: moving a test in its file is no change.
    """
    tests = [
        [
            layer.name,
            [[one.run, one.stdout, one.exit_code, one.network, one.timeout_s] for one in layer.tests],
            [
                [fact.name, fact.value]
                for path, file in sorted(layer.files.items())
                if path.startswith("tests/")
                for fact in [_file_fact(file)]
            ],
        ]
        for layer in layers
        if layer.tests
    ]
    return _sum([harness, hub_test, tests])[:32]


test_fingerprint.__test__ = False  # type: ignore[attr-defined]  # pytest would collect a function of this name


def difference(
    old: Iterable[Fact], old_sources: Mapping[str, str], new: Iterable[Fact], new_sources: Mapping[str, str]
) -> str:
    """Why a node that was built from ``old`` is to be built from ``new``: the file, lock line or parent, most telling
    first.

    ``sources`` map project files to the sha256 of their content. A file that changed without an effect, as by a comment
    in an apt.txt, is not named.
    """
    before = {(fact.kind, fact.name): fact.value for fact in old}
    after = {(fact.kind, fact.name): fact.value for fact in new}
    changed = [key for key in dict.fromkeys([*after, *before]) if before.get(key) != after.get(key)]
    own = any(kind in _FROM_FILES for kind, _ in changed)
    reasons = [*(_changed_files(old_sources, new_sources) if own else ())]
    reasons += filter(None, (_reason(*key, before.get(key, ""), after.get(key, "")) for key in changed))
    if not reasons:
        return "hubstack writes another Dockerfile or build script" if changed else "its build is no longer there"
    more = f", and {len(reasons) - _MOST_REASONS} more" if len(reasons) > _MOST_REASONS else ""
    return ", ".join(reasons[:_MOST_REASONS]) + more


def _changed_files(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for path in sorted({*old, *new}):
        if path not in new:
            yield f"{path} removed"
        elif path not in old:
            yield f"{path} added"
        elif old[path] != new[path]:
            yield f"{path} changed"


def _reason(kind: str, name: str, was: str, now: str) -> str:
    """What a changed fact says to people; nothing where the project's file behind it says it."""
    said = ""
    match kind:
        case "format" | "recipe" | "merge":
            said = f"this hubstack {_WORK.get(kind, 'builds')} in another way"
        case "resolve":
            said = f"/{name} is to be as in {now or 'no layer of its own'}"
        case "commit":
            said = _moved(f"the commit of {name}", was[:_DIGITS], now[:_DIGITS])
        case "pin":
            said = _moved(name, was.partition(" ")[0], now.partition(" ")[0])
        case "deb" | "image" | "id" | "epoch":
            said = _moved({"id": f"the id of {name}", "epoch": "its refresh epoch"}.get(kind, name), was, now)
        case "base" | "address":
            said = f"{name} is {now or 'gone'}, was {was or 'none'}"
        case "parent":
            said = f"{name} changes"
        case "copy":
            said = f"{name}, which it copies from, changes"
        case _:
            pass
    return said


def _moved(name: str, was: str, now: str) -> str:
    if was == now:
        return f"{name} has other files in hubstack.lock"
    if not was or not now:
        return f"{name} {now} added to hubstack.lock" if now else f"{name} {was} removed from hubstack.lock"
    return f"{name} {_short(was)} → {_short(now)} in hubstack.lock"


def _short(value: str) -> str:
    return value[:19] if value.startswith("sha256:") else value


@lru_cache(maxsize=4096)  # the nodes of one layer share its files
def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sum(value: object) -> str:
    return _sha256(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())
