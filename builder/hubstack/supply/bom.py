"""An image's bill of materials: CycloneDX 1.6 as JSON, from the package lists that its record holds.

The same record gives the same bytes: no clock, and the serial number is made of the image's digest.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hubstack.record import Record
from hubstack.reference import Digest

if TYPE_CHECKING:
    from packageurl import PackageURL

PREDICATE = "https://cyclonedx.org/bom"  # in-toto's name of it
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "hubstack.github.io")
_PURL_TYPES = {"python": "pypi", "r": "cran", "npm": "npm", "conda": "conda"}


def bill(name: str, digest: Digest, record: Record | None, *, suite: str = "") -> dict[str, Any]:
    """``name`` is what people call the image (``scipy/trixie``), ``suite`` its Debian's, where that is known.

    Without a record the bill says that nothing is known.
    """
    from cyclonedx.model import Property
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    purl = PackageURL("oci", name=name.partition("/")[0], version=digest)
    image = Component(type=ComponentType.CONTAINER, name=name, version=digest, purl=purl, bom_ref=purl.to_string())
    packages = record.packages if record else {}
    parts = [
        Component(name=one.name, group=one.namespace if one.type == "npm" else None, version=one.version, purl=one,
                  type=ComponentType.LIBRARY, bom_ref=one.to_string())
        for one in _purls(packages, suite)
    ]  # fmt: skip
    known = ",".join(sorted(packages)) or "none"
    metadata = BomMetaData(component=image, properties=[Property(name="hubstack:lists", value=known)])
    metadata.timestamp = None  # type: ignore[assignment]  # optional in the specification, and the library would ask the clock
    bom = Bom(components=parts, metadata=metadata, serial_number=uuid.uuid5(_NAMESPACE, digest))
    bom.register_dependency(image, parts)
    value: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    return value


def _purls(packages: Mapping[str, Mapping[str, str]], suite: str) -> Iterator[PackageURL]:
    from packageurl import PackageURL

    for manager, versions in packages.items():
        for name, version in versions.items():
            if manager == "debian":
                yield PackageURL("deb", _distribution(versions), name, version, {"distro": suite} if suite else None)
            elif manager == "npm" and name.startswith("@"):
                scope, _, bare = name.partition("/")
                yield PackageURL("npm", scope, bare, version)
            else:
                yield PackageURL(_PURL_TYPES.get(manager, "generic"), None, name, version)


def _distribution(versions: Mapping[str, str]) -> str:
    """A base may be an image of somebody else's: Ubuntu marks what it has changed."""
    return "ubuntu" if any("ubuntu" in version for version in versions.values()) else "debian"
