"""The static catalogue: entries → files. Pages need no other host, no script but the search's own, and no web server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from hubstack.catalogue.change import Since
from hubstack.catalogue.entry import Entry, Package
from hubstack.catalogue.query import TITLES
from hubstack.graph.select import Selection
from hubstack.model import Graph, Project
from hubstack.picture import graph_svg

if TYPE_CHECKING:
    import jinja2

PICTURE = "graph.svg"
DATA = "catalogue.json"
_STATIC = ("style.css", "search.js")


@dataclass(frozen=True, kw_only=True)
class Site:
    project: Project
    graph: Graph
    entries: Sequence[Entry]
    registry: str  # host and prefix

    @cached_property
    def addresses(self) -> frozenset[str]:
        """The hubs that have one."""
        return frozenset(hub.name for hub in self.project.hubs.values() if hub.installation.url)

    @cached_property
    def paths(self) -> Mapping[str, Entry]:
        """Page → entry. Names are a tag's characters and no page is called as another, in whichever letters."""
        return {_path(entry, number): entry for number, entry in enumerate(self.entries)}


def _path(entry: Entry, number: int) -> str:
    if not entry.stack:
        return f"elsewhere/{number}.html" if entry.ref.digest is None else f"elsewhere/{entry.ref.digest.hex[:16]}.html"
    if entry.first:
        return f"images/{entry.stack}/{entry.variant}.html"
    return f"images/{entry.stack}/{entry.variant}/{'+'.join(entry.channels) or (entry.ref.digest or '')[7:19]}.html"


def render_site(site: Site) -> dict[str, str]:
    """POSIX path → text. Equal entries give equal bytes."""
    environment = _environment()
    pages = {
        path: environment.get_template("image.html").render(
            site=site,
            entry=entry,
            root="../" * path.count("/"),
            picture=_picture_of(path) if entry.stack else "",
            packages=_by_manager(entry.packages),
            changes=_by_kind(entry.since),
        )
        for path, entry in site.paths.items()
    }
    pictures = {_picture_of(path): _drawn(site, [entry]) for path, entry in site.paths.items() if entry.stack}
    index = environment.get_template("index.html").render(site=site, root="", data=_search_data(site), picture=PICTURE)
    data = json.dumps(site_json(site), indent=1, ensure_ascii=False) + "\n"
    static = {name: (files("hubstack.catalogue") / "templates" / name).read_text(encoding="utf-8") for name in _STATIC}
    return {**static, **pictures, **pages, PICTURE: _drawn(site, site.entries), "index.html": index, DATA: data}


def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hubstack.catalogue"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["size"] = size
    environment.filters["manager"] = lambda name: TITLES.get(name, name)
    return environment


def size(number: float) -> str:
    """Bytes as people compare them."""
    return f"{number / 1e9:.2f} GB" if abs(number) >= 1e9 else f"{number / 1e6:.0f} MB"


def _picture_of(path: str) -> str:
    return f"{path.removesuffix('.html')}.svg"


def _drawn(site: Site, entries: Iterable[Entry]) -> str:
    wanted = {(entry.stack, entry.variant) for entry in entries}
    images = tuple(one for one in site.graph.images if (one.variant.stack, one.variant.name) in wanted)
    nodes = tuple(dict.fromkeys(image.node for image in images))
    return graph_svg(site.project, site.graph, Selection(nodes=nodes, images=images))


def _by_manager(packages: Sequence[Package]) -> list[tuple[str, list[Package]]]:
    groups: dict[str, list[Package]] = {name: [] for name in TITLES}
    for package in packages:
        groups.setdefault(package.manager, []).append(package)
    return [(manager, some) for manager, some in groups.items() if some]


def _by_kind(since: Since | None) -> dict[str, list[Any]]:
    changes = since.changes if since else ()
    return {
        "newer": [one for one in changes if one.was and one.now],
        "added": [one for one in changes if not one.was],
        "removed": [one for one in changes if not one.now],
    }


# --- data ------------------------------------------------------------------------------------------------------------------


def _search_data(site: Site) -> str:
    """For the search: every package and version once, with the numbers of the images that have it."""
    found: dict[tuple[str, str], dict[str, list[int]]] = {}
    for number, entry in enumerate(site.entries):
        for one in entry.packages:
            found.setdefault((one.manager, one.name), {}).setdefault(one.version, []).append(number)
    rows = [[manager, name, list(versions.items())] for (manager, name), versions in sorted(found.items())]
    text = json.dumps(rows, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c")  # the end of a script element, wherever it stands


def site_json(site: Site) -> dict[str, Any]:
    return {
        "format": 1,
        "registry": site.registry,
        "images": [{"page": path, **_json(entry)} for path, entry in site.paths.items()],
    }


def _json(entry: Entry) -> dict[str, Any]:
    record = entry.record
    return {
        "stack": entry.stack,
        "variant": entry.variant,
        "title": entry.title,
        "description": entry.description,
        "draft": entry.draft or None,
        "withdrawn": entry.withdrawn or None,
        "ref": str(entry.ref),
        "digest": entry.ref.digest,
        "channels": list(entry.channels),
        "platforms": list(entry.platforms),
        "fingerprint": record.fingerprint if record else None,
        "size_bytes": record.size_bytes if record else None,
        "built": (record.built or None) if record else None,
        "as_of": entry.as_of or None,
        "versions": dict(record.versions) if record else {},
        "layers": [{"layer": one.layer, "epoch": one.epoch or None} for one in entry.layers],
        "packages": [
            {
                "manager": one.manager,
                "name": one.name,
                "version": one.version,
                "layers": list(one.origin.layers),
                "asked": one.origin.asked,
            }
            for one in entry.packages
        ],
        "since": _since_json(entry.since),
        "hubs": [
            {
                "hub": one.hub,
                "profile": one.profile,
                "key": one.key,
                "groups": list(one.groups),
                "launcher": one.launcher,
                "login": one.login,
                "contents": one.contents or None,
            }
            for one in entry.starts
        ],
    }


def _since_json(since: Since | None) -> dict[str, Any] | None:
    if since is None:
        return None
    changes = [{"manager": c.manager, "package": c.package, "was": c.was, "now": c.now} for c in since.changes]
    return {"tag": since.tag, "size_bytes": since.size_bytes, "changes": changes}
