"""Addresses that open a hub's launcher with a choice already made.

jupyterhub-fancy-profiles reads the choice from what stands behind ``#``, as ``fancy-forms-config=`` and URL-encoded
JSON. Browsers keep that part to themselves, so it survives a log-in only where it travels in ``next=``:

* :func:`launcher`: ``/hub/spawn#fancy-forms-config=…``, for people who are logged in;
* :func:`through_login`: ``/hub/login?next=…`` with the whole launcher's address encoded in it: for pages and mails,
  whoever opens it. JupyterHub sends those on at once who are logged in already.

With :class:`Contents` the launcher gets a ``next=`` of its own, ``/hub/user-redirect/git-pull?…``: JupyterHub goes
there when the server is up, and nbgitpuller, which must be in the image, fetches the repository and opens it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

SPAWN = "/hub/spawn"
PARAMETER = "fancy-forms-config"
BUILD = "--extra-selectable-item"
"""The value of the option ``image`` that stands for "Build your own image"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """A git repository to open: ``path`` is a file or folder in it; empty: the repository's own folder."""

    repository: str
    branch: str = ""
    path: str = ""

    @property
    def folder(self) -> str:
        """What nbgitpuller calls the clone: the address's last part."""
        return self.repository.rstrip("/").rpartition("/")[2].removesuffix(".git")

    @property
    def address(self) -> str:
        opened = "/".join(part for part in ("lab/tree", self.folder, self.path.strip("/")) if part)
        query = {"repo": self.repository} | ({"branch": self.branch} if self.branch else {}) | {"urlpath": opened}
        return f"/hub/user-redirect/git-pull?{urlencode(query, quote_via=quote)}"


def choice(
    profile: str, image: str, resources: str = "", chosen: Mapping[str, str] | None = None, *, start: bool = False
) -> Mapping[str, str]:
    """One of a profile's images; ``chosen`` holds the keys of its options' choices, by their names.

    ``start`` spares the click, so that a link starts a server.
    """
    return _config(profile, image, resources, chosen or {}, start=start)


def repository(profile: str, name: str, ref: str = "HEAD", resources: str = "") -> Mapping[str, str]:
    """An image to be built of a GitHub repository, ``OWNER/NAME``."""
    build = {"image:binderProvider": "gh", "image:binderRepo": name, "image:ref": ref}
    return _config(profile, BUILD, resources, build, start=False)


def _config(profile: str, image: str, resources: str, more: Mapping[str, str], *, start: bool) -> Mapping[str, str]:
    config = {"profile": profile, "image": image, **more}
    if resources:
        config["resources"] = resources
    return config | ({"autoStart": "true"} if start else {})


def launcher(hub: str, config: Mapping[str, str], contents: Contents | None = None) -> str:
    """``hub`` is the hub's public address; empty: the link is one for pages on the same host."""
    return hub.rstrip("/") + _launcher(config, contents)


def through_login(hub: str, config: Mapping[str, str], contents: Contents | None = None) -> str:
    return f"{hub.rstrip('/')}/hub/login?next={quote(_launcher(config, contents), safe='')}"


def _launcher(config: Mapping[str, str], contents: Contents | None) -> str:
    query = f"?next={quote(contents.address, safe='')}" if contents else ""
    text = json.dumps(dict(config), separators=(",", ":"), ensure_ascii=False)
    return f"{SPAWN}{query}#{PARAMETER}={quote(text, safe='')}"
