"""Blobs of a registry: there or not, down, up, and from one repository into another."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, TypeAlias, TypeVar
from urllib.parse import urlsplit

from hubstack.errors import DigestMismatch, EngineError, RegistryError
from hubstack.oci import digest_of
from hubstack.reference import Digest, ImageRef
from hubstack.registry.authorization import Scope
from hubstack.registry.retry import Budget, Fault, Retry
from hubstack.registry.transport import Answer, Body, Request, Transport, resolve

T = TypeVar("T")

CHUNK_BYTES = 1 << 20
ONE_REQUEST_BYTES = 1 << 20  # what is smaller travels with the request that names its digest
BLOB_LIMIT_BYTES = 64 << 20
OCTETS = {"Content-Type": "application/octet-stream"}
SPOILED = frozenset({"DIGEST_INVALID", "SIZE_INVALID"})
FORGOTTEN = frozenset({"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"})  # the registry was started anew in between

Progress: TypeAlias = Callable[[Digest, int, int], None]
"""(blob, bytes sent, bytes in all or 0), as they leave; from the start again when an upload is repeated."""


class Blobs:
    """The part of a registry client that knows nothing of manifests; every method waits and tries again by itself.

    ``budget`` is what may be lost to faults; calls that belong together share one.
    """

    def __init__(self, host: str, transport: Transport, retry: Retry, *, publish: bool) -> None:
        self.host, self._transport, self._retry, self._publish = host, transport, retry, publish
        self._seen: set[tuple[str, Digest]] = set()  # repositories and what this client has found or put there

    def has_blob(self, repo: ImageRef, digest: Digest, *, budget: Budget | None = None) -> bool:
        """Asked once while it is not there, and never again once it is: images of one family share most blobs."""
        return self._run(budget, lambda _tried: self._has(repo, digest))

    def blob(
        self, repo: ImageRef, digest: Digest, *, limit_bytes: int = BLOB_LIMIT_BYTES, budget: Budget | None = None
    ) -> bytes:
        """The content, compared with its digest.

        Raises RegistryError where it is missing or longer than ``limit_bytes``, DigestMismatch where it twice was
        something else.
        """

        def attempt(_tried: int) -> bytes:
            content = self._transport.ask(self._get(repo, digest), limit_bytes=limit_bytes).content
            return b"".join(_compared([content], digest, self._spoiled(repo, digest)))

        return self._run(budget, attempt)

    def fetch_blob(self, repo: ImageRef, digest: Digest, file: IO[bytes], *, budget: Budget | None = None) -> None:
        """As ``blob``, into an empty file, for what is too big for memory."""

        def attempt(_tried: int) -> None:
            file.seek(0)
            file.truncate()
            for chunk in self._down(repo, digest, None):
                file.write(chunk)

        self._run(budget, attempt)

    def mount_blob(self, target: ImageRef, digest: Digest, source: ImageRef, *, budget: Budget | None = None) -> bool:
        """Whether ``target`` has the blob of ``source`` now, without any bytes sent. False: the registry refuses."""
        return self._run(budget, lambda _tried: self._mount(target, digest, source))

    def upload_blob(
        self,
        target: ImageRef,
        digest: Digest,
        content: bytes | Path,
        *,
        missing: bool = False,
        progress: Progress | None = None,
        budget: Budget | None = None,
    ) -> bool:
        """Whether anything was sent; what is there already is not. A file's size does not matter to the memory needed.

        ``missing``: the caller has just asked.

        Raises EngineError where the content is not what its digest says, DigestMismatch where it twice arrived as
        something else.
        """

        def attempt(tried: int) -> bool:
            # also what the attempt before has stored, when only the answer was lost
            if (tried or not missing) and self._has(target, digest):
                return False
            if isinstance(content, Path) and content.stat().st_size > ONE_REQUEST_BYTES:
                self._send_stream(target, digest, partial(_read, content, digest, progress), content.stat().st_size)
            else:
                self._send_whole(
                    target, digest, content if isinstance(content, bytes) else content.read_bytes(), progress
                )
            return True

        try:
            return self._run(budget, attempt)
        except OSError as fault:
            raise EngineError(f"{content!r:.200}: a blob to push can't be read: {fault.strerror}") from fault

    def copy_blob(
        self,
        target: ImageRef,
        digest: Digest,
        source: ImageRef,
        *,
        progress: Progress | None = None,
        budget: Budget | None = None,
    ) -> bool:
        """Down from ``source`` and up to ``target`` at the same time, for registries that refuse mounts.

        Returns whether anything was sent.
        """

        def attempt(_tried: int) -> bool:
            if self._has(target, digest):
                return False
            self._send_stream(target, digest, partial(self._down, source, digest, progress))
            return True

        return self._run(budget, attempt)

    def _run(self, budget: Budget | None, attempt: Callable[[int], T]) -> T:
        return (budget or self._retry.budget()).run(attempt)

    def _reading(self, repo: ImageRef) -> Scope:
        return push_scope(repo) if self._publish else pull_scope(repo)

    def _has(self, repo: ImageRef, digest: Digest) -> bool:
        if (repo.repository, digest) in self._seen:
            return True
        request = self._get(repo, digest)
        head = Request(method="HEAD", target=request.target, scope=request.scope, expect=frozenset({200, 404}))
        return self._transport.ask(head).status == 200 and self._saw(repo, digest)

    def _saw(self, repo: ImageRef, digest: Digest) -> bool:
        self._seen.add((repo.repository, digest))
        return True

    def _get(self, repo: ImageRef, digest: Digest) -> Request:
        target = f"/v2/{repo.repository}/blobs/{digest}"
        return Request(method="GET", target=target, scope=self._reading(repo), expect=frozenset({200}))

    def _down(self, source: ImageRef, digest: Digest, progress: Progress | None) -> Iterator[bytes]:
        with self._transport.stream(self._get(source, digest)) as (answer, chunks):
            total = int(answer.headers.get("content-length", 0))
            compared = _compared(chunks, digest, self._spoiled(source, digest))
            yield from _reported(compared, digest, total, progress)

    def _mount(self, target: ImageRef, digest: Digest, source: ImageRef) -> bool:
        request = Request(
            method="POST",
            target=f"/v2/{target.repository}/blobs/uploads/?mount={digest}&from={source.repository}",
            scope=(*push_scope(target), *pull_scope(source)),
            expect=frozenset({201, 202}),
        )
        try:
            answer = self._transport.ask(request)
        except RegistryError:
            return False  # the upload that follows says what is wrong, if anything is
        if answer.status == 202:
            self._cancel(target, answer, request)
        return answer.status == 201 and self._saw(target, digest)

    def _cancel(self, target: ImageRef, answer: Answer, opened: Request) -> None:
        """A refused mount has begun an upload, which nobody will finish."""
        location = self._location(answer, opened)
        request = Request(method="DELETE", target=location, scope=push_scope(target), expect=frozenset({200, 202, 204}))
        try:
            self._transport.ask(request)
        except (RegistryError, Fault):
            return  # many registries can't cancel; they forget it by themselves

    def _send_whole(self, target: ImageRef, digest: Digest, content: bytes, progress: Progress | None) -> None:
        if digest_of(content) != digest:
            raise EngineError(f"{digest}: the content to push has another digest")
        self._commit(target, digest, self._open(target), content)
        if progress is not None:
            progress(digest, len(content), len(content))

    def _send_stream(self, target: ImageRef, digest: Digest, body: Body, size: int | None = None) -> None:
        """The bytes first and their digest after them: content that turns out wrong on the way is never stored."""
        headers = OCTETS if size is None else {**OCTETS, "Content-Length": str(size)}
        request = Request(
            method="PATCH",
            target=self._open(target),
            scope=push_scope(target),
            expect=frozenset({202, 204}),
            headers=headers,
            body=body,
        )
        self._commit(target, digest, self._location(self._upload(request, digest), request), b"")

    def _open(self, target: ImageRef) -> str:
        path = f"/v2/{target.repository}/blobs/uploads/"
        request = Request(method="POST", target=path, scope=push_scope(target), expect=frozenset({202}))
        return self._location(self._transport.ask(request), request)

    def _commit(self, target: ImageRef, digest: Digest, location: str, content: bytes) -> None:
        request = Request(
            method="PUT",
            target=f"{location}{'&' if '?' in location else '?'}digest={digest}",
            scope=push_scope(target),
            expect=frozenset({201}),
            headers=OCTETS,
            body=content,
        )
        stored = self._upload(request, digest).headers.get("docker-content-digest", digest)
        if stored != digest:
            raise self._spoiled(target, digest)
        self._saw(target, digest)

    def _upload(self, request: Request, digest: Digest) -> Answer:
        try:
            return self._transport.ask(request)
        except RegistryError as error:
            if error.code in SPOILED:
                raise Fault(
                    DigestMismatch(f"{error.message}: {digest} arrived as something else"), once=True
                ) from error
            if error.code in FORGOTTEN:
                raise Fault(error, once=True) from error
            raise

    def _location(self, answer: Answer, opened: Request) -> str:
        """Where the upload goes on. Behind a TLS proxy many registries hand out http:// for themselves."""
        location = answer.headers.get("location", "")
        if not location:
            raise RegistryError(f"{self.host}: has begun an upload and does not say where it goes on")
        parts = urlsplit(resolve(opened.target, location))
        return parts._replace(scheme="", netloc="").geturl() if parts.netloc == self.host else parts.geturl()

    def _spoiled(self, repo: ImageRef, digest: Digest) -> Fault:
        return Fault(DigestMismatch(f"{self.host}/{repo.repository}: {digest} arrived as something else"), once=True)


def pull_scope(repo: ImageRef) -> Scope:
    return (f"repository:{repo.repository}:pull",)


def push_scope(repo: ImageRef) -> Scope:
    return (f"repository:{repo.repository}:pull,push",)


def _read(path: Path, digest: Digest, progress: Progress | None) -> Iterator[bytes]:
    with path.open("rb") as file:
        chunks = iter(partial(file.read, CHUNK_BYTES), b"")
        wrong = EngineError(f"{path}: the content to push has another digest")
        yield from _reported(_compared(chunks, digest, wrong), digest, path.stat().st_size, progress)


def _compared(chunks: Iterable[bytes], digest: Digest, wrong: Exception) -> Iterator[bytes]:
    """The same chunks; raises ``wrong`` after the last one where they are not what ``digest`` says."""
    seen = hashlib.sha256()
    for chunk in chunks:
        seen.update(chunk)
        yield chunk
    if seen.hexdigest() != digest.hex:
        raise wrong


def _reported(chunks: Iterable[bytes], digest: Digest, total: int, progress: Progress | None) -> Iterator[bytes]:
    sent = 0
    for chunk in chunks:
        yield chunk
        sent += len(chunk)
        if progress is not None:
            progress(digest, sent, total)
