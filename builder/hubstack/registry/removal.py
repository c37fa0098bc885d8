"""What a registry forgets on request: manifests, by digest, with every tag that names them. Blobs are its own business."""

from __future__ import annotations

import json

from hubstack.errors import RegistryError
from hubstack.oci import MANIFEST_LIMIT_BYTES
from hubstack.reference import Digest, ImageRef
from hubstack.registry.blob import Blobs
from hubstack.registry.retry import Budget
from hubstack.registry.transport import Request

_REFUSED = {405: "does not let anybody delete", 400: "does not delete that", 501: "can't delete"}


class Removal(Blobs):
    def delete(self, ref: ImageRef, *, budget: Budget | None = None) -> bool:
        """Delete the manifest with the digest of ``ref``; whether it was there. Raises RegistryError."""
        if ref.digest is None:
            raise ValueError(f"{ref} has no digest: to delete by tag would take the image from every other tag, too")
        request = Request(
            method="DELETE",
            target=f"/v2/{ref.repository}/manifests/{ref.digest}",
            scope=(f"repository:{ref.repository}:pull,push,delete",),
            expect=frozenset({200, 202, 204, 404, *_REFUSED}),
        )
        status = self._run(budget, lambda _tried: self._transport.ask(request)).status
        if status in _REFUSED:
            raise RegistryError(
                f"{ref}: the registry {_REFUSED[status]}",
                hint="A docker-registry needs `storage: {delete: {enabled: true}}`; others have an interface of their own.",
            )
        return status != 404  # nothing more to do after a lost answer, either

    def referrers(self, ref: ImageRef, *, budget: Budget | None = None) -> tuple[Digest, ...]:
        """What says of itself that it belongs to the digest of ``ref`` (distribution-spec 1.1, "Listing Referrers").

        Empty where the registry doesn't know that question; what is found by a tag is no business of this.
        """
        request = Request(
            method="GET",
            target=f"/v2/{ref.repository}/referrers/{ref.digest}",
            scope=self._reading(ref),
            expect=frozenset({200, 400, 404, 405}),
        )
        answer = self._run(budget, lambda _tried: self._transport.ask(request, limit_bytes=MANIFEST_LIMIT_BYTES))
        if answer.status != 200:
            return ()
        try:
            return tuple(Digest(entry["digest"]) for entry in json.loads(answer.content)["manifests"] or ())
        except (ValueError, LookupError, TypeError) as fault:
            raise RegistryError(f"{ref}: no list of referrers: {fault!r}") from fault
