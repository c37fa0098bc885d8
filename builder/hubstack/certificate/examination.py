"""What a pair's images come to, once they are built; and where certificates are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from hubstack.certificate import MEDIA_TYPE, MOST_KEPT, Certificate, Pair, certificate_json, parse_certificate
from hubstack.certificate.comparison import Tree, compare
from hubstack.certificate.pair import Stage
from hubstack.errors import RegistryDenied, RegistryError, RegistryUnreachable
from hubstack.merge.assembly import Workshop
from hubstack.merge.shelf import Shelf
from hubstack.names import SETTLED_LABEL
from hubstack.publish import Remote
from hubstack.reference import ImageRef
from hubstack.registry import THREADS, Registry


def examine(shelf: Shelf, staged: Stage, pair: Pair) -> Certificate:
    """All images are looked into blob by blob, and have passed their tests. Raises RegistryError where one isn't there."""
    fingerprints = [staged.inputs.fingerprint(node) for node in (staged.merge, *staged.chains)]
    digests = {staged.inputs.fingerprint(node): digest for node, digest in zip(pair.nodes, pair.digests, strict=True)}
    built = shelf.take(fingerprints, digests)
    if set(built[fingerprints[0]].below) != set(pair.digests):
        what = f"{pair.label} were merged of other images than the registry has of them"
        raise RegistryError(what, hint="Delete .hubstack/, which holds an older build of them, and try again.")
    workshop = Workshop(built=built)
    merged, *chains = (Tree(index=workshop.tree(one), config=built[one].config) for one in fingerprints)
    found = compare(merged, chains)
    settled = (merged.config.get("Labels") or {}).get(SETTLED_LABEL, "")
    return Certificate(
        layers=pair.label,
        digests=pair.digests,
        settled=tuple(settled.splitlines()),
        paths=found.paths,
        tests=sum(len(layer.tests) for layer in staged.inputs.tested_layers(staged.merge)),
        only=found.only,
        differing=len(found.differences),
        differences=found.differences[:MOST_KEPT],
    )


def read_certificates(remote: Remote, pairs: Iterable[Pair]) -> Mapping[str, Certificate]:
    """By the pairs' keys; those without are left out."""

    def read(key: str) -> Certificate | None:
        return read_certificate(remote.registry, remote.names.certificate(key))

    keys = list(dict.fromkeys(pair.key for pair in pairs))
    with ThreadPoolExecutor(THREADS) as pool:
        found = zip(keys, pool.map(read, keys), strict=True)
        return {key: one for key, one in found if one is not None}


def read_certificate(registry: Registry, ref: ImageRef) -> Certificate | None:
    """None where there is none, or nothing that can be read: then the pair is looked at again."""
    try:
        return parse_certificate(registry.read_record(ref, artifact_type=MEDIA_TYPE))
    except (RegistryDenied, RegistryUnreachable):
        raise
    except RegistryError:
        return None


def write_certificate(remote: Remote, pair: Pair, one: Certificate) -> None:
    remote.registry.write_record(remote.names.certificate(pair.key), certificate_json(one), artifact_type=MEDIA_TYPE)
