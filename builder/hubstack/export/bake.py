"""A folder that ``docker buildx bake`` builds the same images from: the same Dockerfiles, contexts, labels and time.

Bake tests nothing, so what it builds gets names of its own and none of those that say "built and tested".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hubstack.buildx import CA_SECRET
from hubstack.errors import UsageError
from hubstack.model import Image, Method, Node, Project, SourceFile
from hubstack.names import FINGERPRINT_LABEL, Names
from hubstack.oci import SOURCE_DATE_EPOCH
from hubstack.pipeline import Inputs
from hubstack.plan import Known
from hubstack.reference import Digest

FILE = "docker-bake.json"
NODES = "nodes"
CHANNEL = "bake"
CA_VARIABLE = "HUBSTACK_CA_BUNDLE"
MARK = {"//": "Written by `hubstack export bake`. Run it from this folder: docker buildx bake"}
ROOTFS = "rootfs.tar"  # as bases made from Debian packages ADD it


@dataclass(frozen=True, kw_only=True)
class Bake:
    """What is to be exported. ``there``: bases made from Debian packages that bake takes from the registry."""

    inputs: Inputs
    names: Names
    there: Mapping[str, Digest]
    ca_bundle: Path | None = None

    @property
    def nodes(self) -> Iterator[Node]:
        """What bake builds, parents before children."""
        graph = self.inputs.graph
        return (graph.nodes[node] for node in self.inputs.rendered if node not in self.there)

    def files(self) -> Iterator[SourceFile]:
        """Everything but root file systems, which no text says."""
        yield SourceFile(path=FILE, content=self.render().encode())
        for node in self.nodes:
            rendered = self.inputs.rendered[node.id]
            for one in (SourceFile(path="Dockerfile", content=rendered.dockerfile.encode()), *rendered.context):
                yield SourceFile(
                    path=f"{NODES}/{node.id}/{one.path}", content=one.content, executable=one.executable, link=one.link
                )

    def rootfs(self) -> Iterator[tuple[str, Node]]:
        """Where a root file system has to be put, and whose."""
        for node in self.nodes:
            if self.inputs.rendered[node.id].bootstrap is not None:
                yield f"{NODES}/{node.id}/{ROOTFS}", node

    def render(self) -> str:
        """The bake file. Raises UsageError where everything that is asked for is in the registry already."""
        wanted = [node for node in self.inputs.selection.nodes if node not in self.there]
        if not wanted:
            raise UsageError("there is nothing to bake: what is selected is in the registry")
        value = {
            **MARK,
            **({"variable": {CA_VARIABLE: {"default": _plain(str(self.ca_bundle))}}} if self.ca_bundle else {}),
            "group": {"default": {"targets": wanted}, **self._stacks()},
            "target": {node.id: self._target(node) for node in self.nodes},
        }
        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"

    def _stacks(self) -> dict[str, object]:
        stacks: dict[str, dict[str, None]] = {}
        for image in self.inputs.selection.images:
            if image.node not in self.there and image.variant.stack != "default":
                stacks.setdefault(image.variant.stack, {})[image.node] = None
        return {name: {"targets": [*nodes]} for name, nodes in stacks.items()}

    def _target(self, node: Node) -> dict[str, object]:
        rendered, fingerprint = self.inputs.rendered[node.id], self.inputs.fingerprint(node.id)
        contexts = {layer: self._locate(source) for layer, source in node.copies.items()}
        if node.parents:
            contexts = {"parent": self._locate(node.parents[0]), **contexts}
        arguments = {"SOURCE_DATE_EPOCH": str(SOURCE_DATE_EPOCH), **rendered.arguments}
        tags = [self._tag(image) for image in self.inputs.selection.images if image.node == node.id]
        return {
            "context": f"{NODES}/{node.id}",
            "contexts": contexts,
            "platforms": [node.platform],
            "args": {name: _plain(value) for name, value in arguments.items()},
            "labels": {FINGERPRINT_LABEL: fingerprint},
            **({"secret": [f"id={CA_SECRET},src=${{{CA_VARIABLE}}}"]} if self.ca_bundle else {}),
            **({"tags": tags} if tags else {}),
            "attest": ["type=provenance,disabled=true", "type=sbom,disabled=true"],  # they hold the time
            "output": ["type=image,oci-mediatypes=true"],
        }

    def _locate(self, node: str) -> str:
        if node not in self.there:
            return f"target:{node}"
        return f"docker-image://{self.names.node(self.inputs.fingerprint(node)).with_digest(self.there[node])}"

    def _tag(self, image: Image) -> str:
        one = len(self.inputs.project.settings.platforms) == 1
        channel = CHANNEL if one else f"{CHANNEL}-{image.platform.partition('/')[2].replace('/', '-')}"
        return str(self.names.channel(image.variant.stack, image.variant.name, channel))


def as_chains(project: Project) -> Project:
    """The project as bake can build it: it knows lines of builds, and no merge."""
    stacks = {name: replace(stack, assembly=None, resolve=()) for name, stack in project.stacks.items()}
    return replace(project, settings=replace(project.settings, assembly=Method.CHAIN), stacks=stacks)


def find_bases(inputs: Inputs, known: Known) -> dict[str, Digest]:
    """The bases made from Debian packages, which bake can't make, as the registry has them. Raises UsageError."""
    made = [node for node, rendered in inputs.rendered.items() if rendered.bootstrap is not None]
    tags = {f"fp-{inputs.fingerprint(node)}": node for node in made}
    found = {tags[tag]: digest for tag, digest in known.digests(list(tags)).items()}
    if missing := [node for node in made if node not in found]:
        layer = inputs.graph.nodes[missing[0]].layer
        what = f"{missing[0]} is made from Debian packages, which bake can't do, and is not in the registry"
        raise UsageError(what, hint=f"hubstack build --push layer:{layer}; or --rootfs, which makes it here.")
    return found


def refuse_blocked(inputs: Inputs) -> None:
    """Raises UsageError where something selected can't be built."""
    if inputs.blocked:
        node, why = next(iter(inputs.blocked.items()))
        raise UsageError(f"{node} can't be built: {why}", hint="`hubstack update` locks what is new.")


def refuse_repositories(inputs: Inputs) -> None:
    """Raises UsageError where a node's Dockerfile comes out of a repository: that is written when it is built."""
    if found := [node for node, rendered in inputs.rendered.items() if rendered.repository is not None]:
        what = f"{found[0]} is made of a repository, whose Dockerfile is written when it is built"
        raise UsageError(what, hint="Name stacks that are made of layers.")


def is_ours(text: str) -> bool:
    """Whether a bake file was written by hubstack."""
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, dict) and value.get("//") == MARK["//"]


def _plain(text: str) -> str:
    """Bake reads strings in JSON as HCL templates: what would be one has to say that it isn't."""
    return text.replace("${", "$${").replace("%{", "%%{")
