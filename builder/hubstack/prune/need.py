"""What must stay: what this tree would use, what any ConfigMap names, what any server runs.

Whatever can't be read is an error, never an empty answer: of what nobody knows, everything may be needed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from hubstack.errors import Problem, ProjectError, UsageError
from hubstack.names import Names
from hubstack.offer import Hub
from hubstack.pipeline import Inputs
from hubstack.reference import Digest, Fingerprint, ImageRef
from hubstack.source import Position
from hubstack.spelling import quote

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_RUNTIME = re.compile(r"^(?:docker-pullable|docker|containerd|cri-o)://")  # as Kubernetes shows an imageID
_CHECKSUM = "hubstack/sha256"


@dataclass(frozen=True, kw_only=True)
class Needs:
    fingerprints: frozenset[Fingerprint] = frozenset()
    tags: frozenset[tuple[str, str]] = frozenset()  # (repository without host, tag): mirrors have other hosts
    digests: frozenset[Digest] = frozenset()

    def __or__(self, other: Needs) -> Needs:
        return Needs(
            fingerprints=self.fingerprints | other.fingerprints,
            tags=self.tags | other.tags,
            digests=self.digests | other.digests,
        )


def needs_of_tree(inputs: Inputs, names: Names) -> Needs:
    """All nodes that ``inputs`` holds, and the names of its images."""
    images = [inputs.published(names, image) for image in inputs.graph.images if image.node in inputs.identities]
    last = [names.last(node) for node in inputs.graph.nodes]
    return Needs(
        fingerprints=frozenset(identity.fingerprint for identity in inputs.identities.values()),
        tags=frozenset((ref.repository, ref.tag) for ref in (*images, *last)),
    )


def parse_in_use(text: str, path: str) -> Needs:
    """Images that servers run: references, or digests as a kubelet shows them, separated by blanks or lines.

    Raises UsageError where one is neither, and where there is none: that is rather a command that has failed.
    """
    found = [
        _used(word, f"{path}:{number}") for number, line in enumerate(text.splitlines(), 1) for word in line.split()
    ]
    if not found:
        hint = "Every pod of every namespace belongs in it. Where there is no cluster, write a word such as `none`."
        raise UsageError(f"{path}: no images at all", hint=hint)
    return reduce(Needs.__or__, found)


def _used(word: str, place: str) -> Needs:
    bare = _RUNTIME.sub("", word)
    if _DIGEST.fullmatch(bare):
        return Needs(digests=frozenset({Digest(bare)}))
    try:
        ref = ImageRef.parse(bare)
    except ValueError:
        raise UsageError(f"{place}: {quote(word)} is neither an image's name nor a digest") from None
    return needs_of_image(ref)


def needs_of_image(ref: ImageRef) -> Needs:
    return Needs(
        tags=frozenset({(ref.repository, ref.tag)} if ref.tag else ()),
        digests=frozenset({ref.digest} if ref.digest else ()),
    )


@dataclass(frozen=True, kw_only=True)
class ConfigMaps:
    """What some ConfigMaps name, and which they are: (namespace, name)."""

    needs: Needs
    there: frozenset[tuple[str, str]]


def parse_configmaps(text: str, path: str, names: Names) -> ConfigMaps:
    """One ConfigMap that hubstack wrote, or many, as ``kubectl get configmap -o yaml`` prints them.

    Their whole text counts, not only choices that are offered. Raises ProjectError where one is not whole.
    """
    import yaml

    try:
        documents = [one for one in yaml.safe_load_all(text) if one is not None]
        maps = [one for document in documents for one in _items(document)]
        whole = [_whole(one) for one in maps]
    except (yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError) as fault:
        raise _unreadable(path, "this is no ConfigMap, or not all of it") from fault
    if not any(whole):
        raise _unreadable(path, "no ConfigMap that hubstack wrote is in it")
    there = frozenset((str(one["metadata"]["namespace"]), str(one["metadata"]["name"])) for one in maps)
    return ConfigMaps(needs=needs_of_text(text, names), there=there)


def _items(document: Any) -> list[Any]:
    items = document["items"] if document["kind"].endswith("List") else [document]
    if any(one.get("kind", "ConfigMap") != "ConfigMap" for one in items):
        raise ValueError("something else than ConfigMaps")
    return list(items)


def _whole(configmap: Any) -> bool:
    """Whether hubstack wrote it as a hub's. Raises ValueError where it is not as it was written."""
    checksum = (configmap["metadata"].get("annotations") or {}).get(_CHECKSUM)
    if checksum is None:
        return False
    if hashlib.sha256(configmap["data"]["values.yaml"].encode()).hexdigest() != checksum:
        raise ValueError("its content is not what was written")
    return True


def _unreadable(path: str, what: str) -> ProjectError:
    remedy = "Nothing is deleted while nobody knows what it names."
    return ProjectError([Problem(position=Position(path=path), what=what, remedy=remedy)])


def needs_of_text(text: str, names: Names) -> Needs:
    """Every digest, and every tag in one of the project's repositories."""
    ours = re.escape(names.prefix.repository)
    tags = re.findall(rf"({ours}(?:/[a-z0-9._/-]+)?):([A-Za-z0-9_][A-Za-z0-9._-]*)", text)
    return Needs(tags=frozenset(tags), digests=frozenset(map(Digest, _DIGEST.findall(text))))


def unknown_hubs(hubs: Iterable[Hub], there: Iterable[tuple[str, str]], emitted: Mapping[str, object]) -> Iterator[str]:
    """The hubs of which nobody knows what they offer: neither emitted nor among the ConfigMaps given."""
    known = set(there)
    return (hub.name for hub in hubs if hub.name not in emitted and (hub.namespace, hub.configmap) not in known)
