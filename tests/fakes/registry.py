"""An OCI registry in this process, over real HTTP on loopback, that on request does what real ones do on a bad day.

It keeps the distribution specification's rules: a blob must match its digest, a manifest's blobs must be there first.
Options are attributes and may change while it runs; ``fault`` befalls single requests.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qs

from tests.fakes.wire import Reply, Seen, Trouble, WireServer

__all__ = ["Account", "FakeRegistry", "Reply", "Seen", "Trouble", "problem", "sha256"]

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"


@dataclass
class Repository:
    blobs: set[str] = field(default_factory=set)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # digest → media type, content
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Account:
    password: str
    may: frozenset[str] = frozenset({"pull", "push"})


class FakeRegistry(WireServer):
    def __init__(self) -> None:
        super().__init__()
        self.auth = ""  # "basic" or "token"
        self.accounts: dict[str, Account] = {}
        self.identity_tokens: dict[str, str] = {}  # token → account
        self.anonymous_may: frozenset[str] = frozenset()
        self.token_life_s = 300
        self.hide_missing = False  # as Quay: who may not push learns nothing of a repository that isn't there
        self.refuse_mounts = False
        self.immutable_tags = False
        self.state_digests = True  # False: no Docker-Content-Digest
        self.heads = True  # False: 405
        self.page_size = 0  # tags a page; 0: all at once, whatever is asked for
        self.blobs_elsewhere = ""  # an address that blob GETs are redirected to
        self.announced = ""  # scheme and host of upload locations; empty: they are relative
        self.before: Callable[[Seen], None] = lambda _seen: None  # such as another run, which is quicker
        self.repositories: dict[str, Repository] = {}
        self.content: dict[str, bytes] = {}
        self.uploads: dict[str, bytearray] = {}
        self._tokens: dict[str, list[str]] = {}
        self._counter = 0
        self._lock = threading.RLock()

    def repository(self, name: str) -> Repository:
        """Made by whoever names it first; a request that only reads makes none."""
        return self.repositories.setdefault(name, Repository())

    def _existing(self, name: str) -> Repository:
        return self.repositories.get(name, Repository())

    def put_blob(self, repository: str, content: bytes) -> str:
        digest = sha256(content)
        self.content[digest] = content
        self.repository(repository).blobs.add(digest)
        return digest

    def put_manifest(self, repository: str, tag: str, content: bytes, media_type: str) -> str:
        """As another client would, and without looking whether it makes sense."""
        digest = sha256(content)
        self.repository(repository).manifests[digest] = (media_type, content)
        if tag:
            self.repository(repository).tags[tag] = digest
        return digest

    def forget_tokens(self) -> None:
        """What was handed out is not accepted any more, before its time."""
        self._tokens.clear()

    def answer(self, seen: Seen) -> Reply:
        self.before(seen)
        with self._lock:
            if seen.path == "/token":
                return self._token(seen)
            if self.auth and (refusal := self._refusal(seen)) is not None:
                return refusal
            for pattern, methods in self.routes.items():
                if (found := re.fullmatch(pattern, seen.path)) and seen.method in methods:
                    return methods[seen.method](self, seen, *found.groups())
            return Reply(405)

    # --- who may -----------------------------------------------------------------------------------------------------

    def _refusal(self, seen: Seen) -> Reply | None:
        name = re.sub(r"^/v2/|/(blobs|manifests|tags)/.*", "", seen.path)
        action = "pull" if seen.method in {"GET", "HEAD"} else "push"
        given = seen.headers.get("authorization", "")
        if self.auth == "basic":
            may, challenge = self._basic(given), 'Basic realm="fake"'
        else:
            may = self._granted(given.removeprefix("Bearer "), name)
            challenge = f'Bearer realm="http://{self.host}/token",service="fake",scope="repository:{name}:{action}"'
        hidden = self.hide_missing and name not in self.repositories and "push" not in may
        if action in may and not hidden:
            return None
        if self.auth == "basic" and may:
            return problem(403, "DENIED", "may not push")
        return problem(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": challenge})

    def _basic(self, header: str) -> frozenset[str]:
        if not header.startswith("Basic "):
            return self.anonymous_may
        name, _, password = b64decode(header.removeprefix("Basic ")).decode().partition(":")
        account = self.accounts.get(name)
        return account.may if account and account.password == password else frozenset()

    def _granted(self, token: str, name: str) -> frozenset[str]:
        scopes = [one.rpartition(":") for one in self._tokens.get(token, ())]
        return frozenset(
            right for one, _, rights in scopes if one == f"repository:{name}" for right in rights.split(",")
        )

    def _token(self, seen: Seen) -> Reply:
        form = seen.query if seen.method == "GET" else parse_qs(seen.body.decode())
        if seen.method == "GET":
            may = self._basic(seen.headers.get("authorization", ""))
        else:
            name = self.identity_tokens.get(form["refresh_token"][0])
            may = self.accounts[name].may if name else frozenset()
        if not may:
            return problem(401, "UNAUTHORIZED", "unknown account")
        scopes = [one.rpartition(":") for given in form.get("scope", []) for one in given.split(" ")]
        self._counter += 1
        token = f"token-{self._counter}-{'x' * 20}"
        self._tokens[token] = [f"{one}:{','.join(may & set(rights.split(',')))}" for one, _, rights in scopes]
        return as_json(200, {"token": token, "expires_in": self.token_life_s})

    # --- blobs -------------------------------------------------------------------------------------------------------

    def _get_blob(self, seen: Seen, name: str, digest: str) -> Reply:
        if digest not in self._existing(name).blobs:
            return problem(404, "BLOB_UNKNOWN", digest)
        if self.blobs_elsewhere and seen.method == "GET":
            return Reply(307, {"Location": f"{self.blobs_elsewhere}{seen.path}?signature=s3cret-signature"})
        return Reply(200, {"Content-Type": "application/octet-stream"}, self.content[digest])

    def _begin_upload(self, seen: Seen, name: str) -> Reply:
        digest, source = seen.query.get("mount", [""])[0], seen.query.get("from", [""])[0]
        if digest and not self.refuse_mounts and digest in self._existing(source).blobs:
            self.repository(name).blobs.add(digest)
            return Reply(201, {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest})
        self._counter += 1
        upload = f"upload-{self._counter}"
        self.uploads[upload] = bytearray()
        return Reply(202, {"Location": self._upload_address(name, upload)})

    def _upload_address(self, name: str, upload: str) -> str:
        return f"{self.announced}/v2/{name}/blobs/uploads/{upload}?_state=s3cret-state"

    def _patch_upload(self, seen: Seen, name: str, upload: str) -> Reply:
        if upload not in self.uploads:
            return problem(404, "BLOB_UPLOAD_UNKNOWN", upload)
        self.uploads[upload] += seen.body
        return Reply(202, {"Location": self._upload_address(name, upload)})

    def _put_upload(self, seen: Seen, name: str, upload: str) -> Reply:
        if upload not in self.uploads:
            return problem(404, "BLOB_UPLOAD_UNKNOWN", upload)
        content = bytes(self.uploads.pop(upload)) + seen.body
        if sha256(content) != seen.query["digest"][0]:
            return problem(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        digest = self.put_blob(name, content)
        return Reply(201, {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest})

    def _delete_upload(self, _seen: Seen, _name: str, upload: str) -> Reply:
        return Reply(204 if self.uploads.pop(upload, None) is not None else 404)

    # --- manifests and tags ------------------------------------------------------------------------------------------

    def _get_manifest(self, seen: Seen, name: str, reference: str) -> Reply:
        if seen.method == "HEAD" and not self.heads:
            return Reply(405)
        repository = self._existing(name)
        digest = repository.tags.get(reference, reference)
        if digest not in repository.manifests:
            return problem(404, "MANIFEST_UNKNOWN", reference)
        media_type, content = repository.manifests[digest]
        if media_type not in seen.headers.get("accept", ""):
            if media_type != DOCKER_MANIFEST:
                return problem(404, "MANIFEST_UNKNOWN", "OCI manifest found, but Accept does not have it")
            # What docker-registry 2.8 does: 200, other bytes, another digest.
            media_type, content = SCHEMA_1, b'{"schemaVersion":1}' + content
        stated = {"Docker-Content-Digest": sha256(content)} if self.state_digests else {}
        return Reply(200, {"Content-Type": media_type, **stated}, content)

    def _put_manifest(self, seen: Seen, name: str, reference: str) -> Reply:
        repository, digest = self.repository(name), sha256(seen.body)
        if ":" in reference and reference != digest:
            return problem(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        missing = _missing(json.loads(seen.body), repository)
        if missing:
            return problem(400, "MANIFEST_BLOB_UNKNOWN", ", ".join(missing))
        if self.immutable_tags and repository.tags.get(reference, digest) != digest:
            return problem(412, "PRECONDITION", f"tag {reference} is immutable")
        self.put_manifest(name, "" if ":" in reference else reference, seen.body, seen.headers["content-type"])
        stated = {"Docker-Content-Digest": digest} if self.state_digests else {}
        return Reply(201, {"Location": f"/v2/{name}/manifests/{digest}", **stated})

    def _get_tags(self, seen: Seen, name: str) -> Reply:
        if name not in self.repositories:
            return problem(404, "NAME_UNKNOWN", name)
        tags = sorted(tag for tag in self.repository(name).tags if tag > seen.query.get("last", [""])[0])
        if not self.page_size or len(tags) <= self.page_size:
            return as_json(200, {"name": name, "tags": tags or None})
        page = tags[: self.page_size]
        link = f'</v2/{name}/tags/list?last={page[-1]}&n={self.page_size}>; rel="next"'
        return as_json(200, {"name": name, "tags": page}, {"Link": link})

    def _base(self, _seen: Seen) -> Reply:
        return as_json(200, {})

    routes: ClassVar[Mapping[str, Mapping[str, Callable[..., Reply]]]] = {
        r"/v2/": {"GET": _base},
        r"/v2/(.+)/blobs/uploads/": {"POST": _begin_upload},
        r"/v2/(.+)/blobs/uploads/([^/]+)": {"PATCH": _patch_upload, "PUT": _put_upload, "DELETE": _delete_upload},
        r"/v2/(.+)/blobs/(sha256:[0-9a-f]{64})": {"GET": _get_blob, "HEAD": _get_blob},
        r"/v2/(.+)/manifests/([^/]+)": {"GET": _get_manifest, "HEAD": _get_manifest, "PUT": _put_manifest},
        r"/v2/(.+)/tags/list": {"GET": _get_tags},
    }


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def as_json(status: int, value: object, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(value).encode())


def problem(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Reply:
    return as_json(status, {"errors": [{"code": code, "message": message}]}, headers)


def _missing(manifest: Mapping[str, Any], repository: Repository) -> list[str]:
    """The digests that a manifest names and its repository does not have."""
    missing = []
    for key, there in (("config", repository.blobs), ("layers", repository.blobs), ("manifests", repository.manifests)):
        value = manifest.get(key) or []
        entries = value if isinstance(value, list) else [value]
        missing += [entry["digest"] for entry in entries if entry["digest"] not in there]
    return missing
