"""What is signed and when: nodes before they get their tag, images before they get their name.

So whatever is killed in between, nothing that has a name is unsigned. A node's seal is its provenance, signed by the job
that built and tested it; it binds the digest to the whole fingerprint, so that a tag which somebody has moved to another
signed image is found out as well. An image's are its bill of materials, its provenance and a signature, beside it.

The index of several platforms is signed; what is attested stands beside each platform's image.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from hubstack.model import Image
from hubstack.names import Names, joint
from hubstack.pipeline import Inputs
from hubstack.plan import Action, Plan
from hubstack.record import MEDIA_TYPE, parse_record
from hubstack.reference import Digest, Fingerprint, ImageRef
from hubstack.registry import Registry
from hubstack.supply import bom, provenance
from hubstack.supply.cosign import Cosign, SigningError

_TRIES = 2  # cosign adds to what is attested by reading and writing: of two runs at once one may lose
_WORKERS = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Seal:
    """``circumstances`` is asked once, when something is first to be attested."""

    cosign: Cosign
    registry: Registry
    names: Names
    inputs: Inputs
    circumstances: Callable[[], provenance.Circumstances]
    _asking: threading.Lock = field(default_factory=threading.Lock)

    # --- nodes -------------------------------------------------------------------------------------------------------

    def node(self, fingerprint: Fingerprint, digest: Digest) -> bool:
        """Have the provenance of a node that was built here signed; whether it had to be made.

        The image is in the registry, by digest. Raises SigningError.
        """
        ref = self.names.build.with_digest(digest)
        return self._have(
            lambda: self.has_node(fingerprint, digest),
            lambda: self.cosign.attest(ref, provenance.PREDICATE, self._made(self._named(fingerprint))),
            f"{ref}: its provenance",
        )

    def has_node(self, fingerprint: Fingerprint, digest: Digest) -> bool:
        """Whether a job that the project trusts has built this image from what ``fingerprint`` stands for."""
        return self._provenance(self.names.build.with_digest(digest), fingerprint) is not None

    def check_node(self, fingerprint: Fingerprint, digest: Digest) -> Any:
        """The provenance that the job which built the node has signed. Raises SigningError unless ``has_node``."""
        found = self._provenance(self.names.build.with_digest(digest), fingerprint)
        if found is None:
            node, ref = self._named(fingerprint), self.names.node(fingerprint)
            raise SigningError(
                f"{node} would be reused, and nobody whom the project trusts has signed it: {ref.with_digest(digest)}",
                hint=f"Trusted is {self.cosign.trust.name}. If you know that image: `hubstack attest --adopt node:{node}`. "
                "If not: remove that tag from the registry, and it is built again.",
            )
        return found

    def check_plan(self, plan: Plan, ours: Collection[Digest] = ()) -> None:
        """Check every node that would be built on or published as it is, several at a time; but for ``ours``."""
        known = {
            step.identity.fingerprint: step.digest
            for step in plan.steps
            if step.action in {Action.REUSE, Action.TEST} and step.digest is not None and step.digest not in ours
        }
        at_once(lambda item: self.check_node(*item), [*known.items()])

    def _named(self, fingerprint: Fingerprint) -> str:
        """A node of that fingerprint: one of several, where they differ in a value that nothing reads."""
        return next(node for node, identity in self.inputs.identities.items() if identity.fingerprint == fingerprint)

    # --- images ------------------------------------------------------------------------------------------------------

    def image(self, whole: ImageRef, parts: Mapping[Digest, Image]) -> bool:
        """Have an image signed, with all that is attested of it; whether anything was missing.

        ``whole`` has a digest: the only part's own, or an index's. Everything is in its repository, by digest.
        """
        made = [self._part(whole.with_tag("").with_digest(digest), image) for digest, image in parts.items()]
        bare = whole.with_tag("").with_digest(_digest(whole))
        signed = self._have(lambda: self.cosign.signed(bare), lambda: self.cosign.sign(bare), f"{whole}: its signature")
        return any(made) or signed

    def _part(self, ref: ImageRef, image: Image) -> bool:
        fingerprint, digest = self.inputs.fingerprint(image.node), _digest(ref)
        stated = self._have(
            lambda: self._provenance(ref, fingerprint) is not None,
            lambda: self.cosign.attest(ref, provenance.PREDICATE, self.check_node(fingerprint, digest)),
            f"{ref}: its provenance",
        )
        listed = self._have(
            lambda: bool(self.cosign.predicates(ref, bom.PREDICATE)),
            lambda: self.cosign.attest(ref, bom.PREDICATE, self._bill(image, digest)),
            f"{ref}: its bill of materials",
        )
        return stated or listed

    def faults(self, whole: ImageRef, fingerprints: Collection[Fingerprint] = ()) -> Iterator[str]:
        """What a published image lacks. It is ``name:tag@digest``; without ``fingerprints`` its tag must fit."""
        bare = whole.with_tag("").with_digest(_digest(whole))
        if not self.cosign.signed(bare):
            yield f"is not signed by {self.cosign.trust.name}"
            return
        stated = [self._stated(ref) for ref in self._parts(bare)]
        found = set().union(*stated)
        if not all(stated):
            yield f"has no provenance signed by {self.cosign.trust.name}"
        elif not (found.issuperset(fingerprints) if fingerprints else whole.tag.endswith(joint(found).short)):
            yield f"is another build than its name says: its provenance is of {', '.join(sorted(one.short for one in found))}"
        if not all(self.cosign.predicates(ref, bom.PREDICATE) for ref in self._parts(bare)):
            yield "has no signed bill of materials"

    def refuse_unsigned(self, refs: Iterable[ImageRef]) -> None:
        """Raises SigningError with every published image that lacks something."""
        wanted = [*dict.fromkeys(refs)]
        found = at_once(lambda ref: [f"{ref} {fault}" for fault in self.faults(ref)], wanted)
        if faults := [fault for each in found for fault in each]:
            raise SigningError(
                "\n".join(faults), hint="`hubstack publish` signs what it names; `hubstack verify` says it all."
            )

    def only_signed(self, refs: Iterable[ImageRef]) -> frozenset[ImageRef]:
        wanted = [*refs]
        return frozenset(
            ref for ref, bad in zip(wanted, at_once(lambda ref: [*self.faults(ref)], wanted), strict=True) if not bad
        )

    def _parts(self, whole: ImageRef) -> list[ImageRef]:
        manifest = self.registry.manifest(whole)
        if manifest is None:
            raise SigningError(f"{whole} is not in the registry")
        return [whole.with_digest(one.digest) for one in manifest.manifests] or [whole]

    # --- what is attested --------------------------------------------------------------------------------------------

    def _stated(self, ref: ImageRef) -> set[Fingerprint]:
        found = map(provenance.fingerprint_in, self.cosign.predicates(ref, provenance.PREDICATE))
        return {one for one in found if one is not None}

    def _provenance(self, ref: ImageRef, fingerprint: Fingerprint) -> Any:
        found = self.cosign.predicates(ref, provenance.PREDICATE)
        return next((one for one in found if provenance.fingerprint_in(one) == fingerprint), None)

    def _made(self, node: str) -> dict[str, Any]:
        below = {one: self.names.node(self.inputs.fingerprint(one)) for one in self.inputs.graph.nodes[node].inputs}
        there = self.registry.heads(below.values())
        digests = {one: digest for one, ref in below.items() if (digest := there[ref]) is not None}
        with self._asking:
            circumstances = self._circumstances
        return provenance.provenance(self.inputs, node, digests, circumstances)

    @cached_property
    def _circumstances(self) -> provenance.Circumstances:
        return self.circumstances()

    def _bill(self, image: Image, digest: Digest) -> dict[str, Any]:
        content = self.registry.read_record(
            self.names.record(self.inputs.fingerprint(image.node)), artifact_type=MEDIA_TYPE
        )
        record = parse_record(content) if content is not None else None
        base = self.inputs.rendered[self.inputs.graph.lineage[image.node][0]].bootstrap
        return bom.bill(image.variant.id, digest, record, suite=base.suite if base else "")

    def _have(self, there: Callable[[], bool], make: Callable[[], None], what: str) -> bool:
        """Make what isn't there; whether it had to be made."""
        for tried in range(_TRIES):
            if there():
                return tried > 0
            make()
        if not there():
            raise SigningError(
                f"{what} was signed, and {self.cosign.trust.name} has not signed it",
                hint="The key given is not the one that the project trusts: compare `signing:` in hubstack.yaml.",
            )
        return True


def at_once(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """``work`` on each, several at a time, in their order. The first error ends it."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_WORKERS) as pool:
        return list(pool.map(work, items))


def _digest(ref: ImageRef) -> Digest:
    assert ref.digest is not None
    return ref.digest
