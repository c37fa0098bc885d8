"""A client of the OCI distribution API for one registry: manifests, tags, whole images and records.

What is pushed is compared, by digest, with what the registry says it holds; after a lost answer it is compared before
anything is sent again. There is no conditional PUT in the API: who finds a tag taken adopts it or says so.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import TypeVar

from hubstack.errors import DigestMismatch, RegistryError, RegistryUnreachable, TagTaken
from hubstack.oci import (
    EMPTY_CONTENT,
    JSON,
    MANIFEST_LIMIT_BYTES,
    MANIFEST_TYPES,
    Layout,
    Manifest,
    canonical_json,
    digest_of,
    make_artifact,
)
from hubstack.reference import Digest, ImageRef
from hubstack.registry.blob import Progress, push_scope
from hubstack.registry.credentials import Lookup, docker_credentials
from hubstack.registry.removal import Removal
from hubstack.registry.retry import Budget, Fault, Retry
from hubstack.registry.transport import Answer, Deadlines, Request, Transport, resolve

Item = TypeVar("Item")
Result = TypeVar("Result")

_GRACE_S = 1.0  # for what is under way when another request has failed
THREADS = 8  # more are not quicker: httpx and the registry's own speed are the bound
TAGS_LIMIT_BYTES = 64 << 20
RECORD_LIMIT_BYTES = 16 << 20
SETTLE_S, SETTLE_MOST_S = 0.5, 10.0  # of two that put one tag at once, each waits so long for the other;
PUTS = 3  # or, where a registry is slow, as long as so many like its own would take
ARTIFACT_LIMIT_BYTES = 256 << 20  # the index of a layer of five million files
# Without all four, docker-registry answers 200 with a conversion to schema 1, and with that conversion's digest.
ACCEPT = {"Accept": ", ".join(MANIFEST_TYPES)}


class Registry(Removal):
    """Any number of threads may use one. Methods raise RegistryError; RegistryDenied and RegistryUnreachable are such."""

    def __init__(
        self,
        host: str,
        *,
        look_up: Lookup | None = None,
        publish: bool = False,
        ca_bundle: Path | None = None,
        deadlines: Deadlines | None = None,
        retry: Retry | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``publish``: asks for the right to push from the first question on.

        Quay answers 401 about a repository that does not exist yet to who only wants to pull.
        """
        transport = Transport(
            host, look_up=look_up or docker_credentials(), ca_bundle=ca_bundle, deadlines=deadlines, clock=clock
        )
        super().__init__(host, transport, retry or Retry(), publish=publish)
        self._took_s: dict[ImageRef, float] = {}  # from seeing no such tag to having put it

    def close(self) -> None:
        """Also wakes every thread that waits to try again, with the error that it waits for."""
        self._retry.stop()
        self._transport.close()

    # --- manifests and tags ------------------------------------------------------------------------------------------

    def head(self, ref: ImageRef, *, budget: Budget | None = None) -> Digest | None:
        """The digest of what ``ref`` names, None where there is nothing."""
        return self._run(budget, lambda _tried: self._head(ref))

    def heads(self, refs: Iterable[ImageRef]) -> dict[ImageRef, Digest | None]:
        """``head`` of many, several at a time. The first error ends it."""
        wanted = list(dict.fromkeys(refs))
        return dict(zip(wanted, _together(self.head, wanted), strict=True))

    def manifest(self, ref: ImageRef, *, budget: Budget | None = None) -> Manifest | None:
        """What ``ref`` names, compared with every digest that is known of it; None where there is nothing."""
        return self._run(budget, lambda _tried: self._manifest(ref))

    def tags(self, repo: ImageRef) -> tuple[str, ...]:
        """Sorted; empty also where there is no such repository."""
        return tuple(sorted({tag for page in self._pages(repo) for tag in page}))

    def tags_within(self, repo: ImageRef, *, pages: int) -> frozenset[str] | None:
        """All tags; None where there are more than so many pages of them, or the registry does not list any."""
        found: set[str] = set()
        try:
            for number, page in enumerate(self._pages(repo)):
                if number == pages:
                    return None
                found.update(page)
        except RegistryUnreachable:
            raise
        except RegistryError:
            return None
        return frozenset(found)

    def _pages(self, repo: ImageRef) -> Iterator[list[str]]:
        target = f"/v2/{repo.repository}/tags/list?n=1000"
        while target:
            page, target = self._run(None, partial(self._tags_page, repo, target))
            yield page

    def put_manifest(self, ref: ImageRef, manifest: Manifest, *, budget: Budget | None = None) -> Digest:
        """Stores it under the tag, or under its digest where ``ref`` has no tag. Whatever the tag named is replaced."""
        self._run(budget, lambda tried: self._put(ref, manifest, look_first=tried > 0))
        return manifest.digest

    def put_tag_once(
        self, ref: ImageRef, manifest: Manifest, *, adopt: bool = False, budget: Budget | None = None
    ) -> Digest:
        """For tags that never move. Sends nothing where the tag is there.

        Returns what the tag names. With ``adopt`` that may be what another run has put there; without, raises TagTaken.
        """
        ref = _named(ref, manifest)

        def attempt(_tried: int) -> Digest:
            began = self._retry.clock()
            found = self._head(ref)
            if found is None:
                found = self._put_unless_taken(ref, manifest)
                self._took_s[ref] = self._retry.clock() - began
            if found != manifest.digest and not adopt:
                raise TagTaken(ref, found=found, wanted=manifest.digest)
            return found

        return self._run(budget, attempt)

    def settled(self, ref: ImageRef) -> Digest:
        """What ``ref`` names for good, for who has just put it there with ``put_tag_once``, or has found it there then.

        A registry can't put a tag on the condition that there is none. Of runs that both saw none, the last one's is in
        force, and each finds it here: it waits for longer than any of them needs from seeing none to putting its own,
        which is judged by its own (Fischer's algorithm, in L. Lamport, "A Fast Mutual Exclusion Algorithm", ACM TOCS
        5(1), 1987).
        """
        self._retry.wait(min(SETTLE_MOST_S, max(SETTLE_S, PUTS * self._took_s.pop(ref, 0.0))))
        found = self.head(ref)
        if found is None:
            raise RegistryError(f"{ref} was put there a moment ago and is gone")
        return found

    def move_tag(self, ref: ImageRef, manifest: Manifest, *, budget: Budget | None = None) -> bool:
        """For channels. Whether the tag had to be moved."""
        budget = budget or self._retry.budget()
        if self.head(_named(ref, manifest), budget=budget) == manifest.digest:
            return False
        self.put_manifest(ref, manifest, budget=budget)
        return True

    # --- images ------------------------------------------------------------------------------------------------------

    def push_image(
        self,
        image: Layout | Manifest,
        target: ImageRef,
        *,
        sources: Sequence[ImageRef] = (),
        adopt: bool = False,
        progress: Progress | None = None,
    ) -> Digest:
        """Blobs first, the manifest last, so that a push that ends in between leaves no tag.

        A blob comes from the repository itself, from ``sources`` (repositories of this registry) by mount, from the
        layout, or from ``sources`` by copy. The manifest goes to the tag as ``put_tag_once`` does it, or to its digest
        where ``target`` has no tag. An index needs its manifests to be there. Returns what ``target`` then names.
        """
        budget = self._retry.budget()
        manifest = image.manifest if isinstance(image, Layout) else image
        target = _named(target, manifest)
        if self.head(target, budget=budget) is None:  # what is there already needs no blobs
            layout = image if isinstance(image, Layout) else None
            self._bring_blobs(manifest, target, layout, sources, progress, budget)
        return self.put_tag_once(target, manifest, adopt=adopt, budget=budget)

    def copy_image(
        self, source: ImageRef, target: ImageRef, *, adopt: bool = False, progress: Progress | None = None
    ) -> Digest:
        """An image or an index of this registry into another repository or under another tag, its platforms included."""
        manifest = self.manifest(source)
        if manifest is None:
            raise RegistryError(f"{source}: not in the registry")
        for platform in manifest.manifests:
            self.copy_image(source.with_digest(platform.digest), target.with_tag(""), progress=progress)
        return self.push_image(manifest, target, sources=(source,), adopt=adopt, progress=progress)

    # --- records -----------------------------------------------------------------------------------------------------

    def read_record(self, ref: ImageRef, *, artifact_type: str) -> object:
        """The JSON that ``write_record`` has stored; None where there is none, or something else."""
        content = self.read_artifact(ref, artifact_type=artifact_type, limit_bytes=RECORD_LIMIT_BYTES)
        try:
            return None if content is None else json.loads(content)
        except ValueError as fault:
            raise RegistryError(f"{ref}: a record that is no JSON: {fault}") from fault

    def write_record(self, ref: ImageRef, record: object, *, artifact_type: str, once: bool = False) -> Digest:
        """Stores ``record`` as ``write_artifact`` does."""
        return self.write_artifact(ref, canonical_json(record), artifact_type=artifact_type, once=once, media_type=JSON)

    def read_artifact(
        self, ref: ImageRef, *, artifact_type: str, limit_bytes: int = ARTIFACT_LIMIT_BYTES
    ) -> bytes | None:
        """The bytes that ``write_artifact`` has stored; None where there are none, or something else."""
        manifest = self.manifest(ref)
        if manifest is None or manifest.artifact_type != artifact_type or len(manifest.layers) != 1:
            return None
        return self.blob(ref, manifest.layers[0].digest, limit_bytes=limit_bytes)

    def write_artifact(
        self, ref: ImageRef, payload: bytes, *, artifact_type: str, media_type: str = "", once: bool = False
    ) -> Digest:
        """Stores ``payload`` under the tag and returns what the tag then names. Its media type is ``artifact_type``, if no other.

        Nothing is sent where the tag names an equal one or, with ``once``, anything; otherwise the tag is moved.
        """
        manifest = make_artifact(payload, artifact_type=artifact_type, media_type=media_type or artifact_type)
        budget = self._retry.budget()
        found = self.head(ref, budget=budget)
        if found == manifest.digest or (found is not None and once):
            return found
        for content in (EMPTY_CONTENT, payload):
            self.upload_blob(ref, digest_of(content), content, budget=budget)
        put = partial(self.put_tag_once, adopt=True) if once else self.put_manifest
        return put(ref, manifest, budget=budget)

    # --- one attempt each --------------------------------------------------------------------------------------------

    def _head(self, ref: ImageRef) -> Digest | None:
        answer = self._transport.ask(self._manifest_request("HEAD", ref, {200, 404, 405}))
        if answer.status == 404:
            return None
        stated = _stated_digest(answer)
        as_asked = stated is not None and stated == (ref.digest or stated) and _media_type(answer) in MANIFEST_TYPES
        if answer.status == 200 and as_asked:
            return stated
        manifest = self._manifest(ref)
        return manifest.digest if manifest else None

    def _manifest(self, ref: ImageRef) -> Manifest | None:
        request = self._manifest_request("GET", ref, {200, 404})
        answer = self._transport.ask(request, limit_bytes=MANIFEST_LIMIT_BYTES)
        if answer.status == 404:
            return None
        digest = digest_of(answer.content)
        for stated in (ref.digest, _stated_digest(answer)):
            if stated is not None and stated != digest:
                raise Fault(DigestMismatch(f"{ref}: the manifest arrived as {digest}, expected {stated}"), once=True)
        try:
            return Manifest.parse(answer.content, _media_type(answer))
        except ValueError as fault:
            raise RegistryError(f"{ref}: {fault}") from fault

    def _put(self, ref: ImageRef, manifest: Manifest, *, look_first: bool) -> None:
        if look_first and self._head(_named(ref, manifest)) == manifest.digest:
            return
        request = self._manifest_request("PUT", _named(ref, manifest), {201}, manifest)
        answer = self._upload(request, manifest.digest)
        stored = _stated_digest(answer) or self._head(_named(ref, manifest))
        if stored != manifest.digest:
            message = f"{ref}: the registry has stored {stored}, expected {manifest.digest}"
            raise Fault(DigestMismatch(message), once=True)

    def _put_unless_taken(self, ref: ImageRef, manifest: Manifest) -> Digest:
        """A registry may refuse to move tags, each with a status of its own; what it then has there decides."""
        try:
            self._put(ref, manifest, look_first=False)
        except RegistryError as refusal:
            found = self._head(ref)
            if found is None:
                raise refusal from None
            return found
        return manifest.digest

    def _tags_page(self, repo: ImageRef, target: str, _tried: int) -> tuple[list[str], str]:
        request = Request(method="GET", target=target, scope=self._reading(repo), expect=frozenset({200, 404}))
        answer = self._transport.ask(request, limit_bytes=TAGS_LIMIT_BYTES)
        if answer.status == 404:
            return [], ""
        try:
            tags = [str(tag) for tag in json.loads(answer.content)["tags"] or ()]
        except (ValueError, LookupError, TypeError) as fault:
            raise RegistryError(f"{self.host}/{repo.repository}: no list of tags: {fault!r}") from fault
        link = answer.headers.get("link", "")  # <…>; rel="next" (distribution-spec, "Listing Tags")
        return tags, resolve(target, link[1 : link.index(">")]) if link.startswith("<") and ">" in link else ""

    def _manifest_request(
        self, method: str, ref: ImageRef, expect: set[int], manifest: Manifest | None = None
    ) -> Request:
        if ref.host != self.host:
            raise ValueError(f"{ref} is not on {self.host}")
        return Request(
            method=method,
            target=f"/v2/{ref.repository}/manifests/{ref.digest or ref.tag}",
            scope=push_scope(ref) if manifest else self._reading(ref),
            expect=frozenset(expect),
            headers={"Content-Type": manifest.media_type} if manifest else ACCEPT,
            body=manifest.content if manifest else None,
        )

    def _bring_blobs(
        self,
        manifest: Manifest,
        target: ImageRef,
        layout: Layout | None,
        sources: Sequence[ImageRef],
        progress: Progress | None,
        budget: Budget,
    ) -> None:
        digests = [blob.digest for blob in manifest.blobs]
        there = _together(partial(self.has_blob, target), digests)
        for digest, is_there in zip(digests, there, strict=True):
            if is_there or any(self.mount_blob(target, digest, source, budget=budget) for source in sources):
                continue
            if layout is not None:
                self.upload_blob(target, digest, layout.path(digest), missing=True, progress=progress, budget=budget)
                continue
            source = next((one for one in sources if self.has_blob(one, digest, budget=budget)), None)
            if source is None:
                raise RegistryError(f"{target}: {digest} is in none of {', '.join(map(str, sources)) or 'no sources'}")
            self.copy_blob(target, digest, source, progress=progress, budget=budget)


def _named(ref: ImageRef, manifest: Manifest) -> ImageRef:
    if ref.digest not in {None, manifest.digest}:
        raise ValueError(f"{ref} can't name {manifest.digest}")
    return ref.with_tag(ref.tag) if ref.tag else ref.with_digest(manifest.digest)


def _media_type(answer: Answer) -> str:
    return answer.headers.get("content-type", "").partition(";")[0].strip()


def _stated_digest(answer: Answer) -> Digest | None:
    try:
        return Digest(answer.headers.get("docker-content-digest", ""))
    except ValueError:
        return None


def _together(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """The results in the items' order. After an error, or Ctrl-C, what has not begun does not begin."""
    if len(items) < 3:
        return [work(item) for item in items]
    pool = ThreadPoolExecutor(max_workers=min(THREADS, len(items)))
    asked = [pool.submit(work, item) for item in items]
    try:
        return [one.result() for one in asked]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        wait([one for one in asked if not one.cancelled()], timeout=_GRACE_S)  # for connections to be given back
