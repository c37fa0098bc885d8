"""``hubstack where``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from hubstack.cli.invocation import Invocation, echo_json, examples, json_option

if TYPE_CHECKING:
    from hubstack.catalogue.query import Hit


@click.command(
    "where",
    epilog=examples(
        "hubstack where numpy            every image that has it, in which version, and who offers it",
        "hubstack where 'numpy>=2,<3'    only those with such a version",
        "hubstack where 'deb:libgdal*'   of one package manager: python:, r:, npm: or deb:",
    ),
)
@click.argument("package", metavar="PACKAGE[SPEC]")
@json_option
@click.pass_obj
def command(invocation: Invocation, package: str, as_json: bool) -> None:
    """Which published images have a package: versions, the layer that brings it, and the hubs that offer them.

    SPEC is ==, !=, <, <=, >, or >= and a version, several with commas; for Python packages ~=, === and ==2.* too.
    """
    from hubstack.catalogue.query import parse_query, search
    from hubstack.cli.site import read_entries

    query = parse_query(package)
    hits = search(query, read_entries(invocation))
    if as_json:
        echo_json({"format": 1, "query": query.text, "found": [_json(hit) for hit in hits]})
        return
    for line in _table(hits):
        click.echo(line)


def _json(hit: Hit) -> dict[str, Any]:
    entry, package = hit.entry, hit.package
    return {
        "image": entry.id,
        "stack": entry.stack,
        "variant": entry.variant,
        "ref": str(entry.ref),
        "channels": list(entry.channels),
        "manager": package.manager,
        "package": package.name,
        "version": package.version,
        "layers": list(package.origin.layers),
        "asked": package.origin.asked,
        "hubs": [{"hub": one.hub, "profile": one.profile, "key": one.key} for one in entry.starts],
    }


def _table(hits: Sequence[Hit]) -> list[str]:
    from hubstack.catalogue.query import TITLES

    rows = [("IMAGE", "PACKAGE", "VERSION", "LAYER", "HUBS")]
    for hit in hits:
        entry, package = hit.entry, hit.package
        channels = "" if entry.first else f" ({', '.join(entry.channels)})"
        manager = TITLES.get(package.manager, package.manager)
        hubs = ", ".join(dict.fromkeys(f"{one.hub} ({one.profile})" for one in entry.starts)) or "none"
        rows.append(
            (
                f"{entry.id}{channels}",
                f"{package.name} ({manager})",
                package.version,
                package.origin.text or "unknown",
                hubs,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
