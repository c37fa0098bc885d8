"""What a layer's Dockerfile does that the policy does not allow, looked up in the rendered text by a parser.

Only what its author has written counts. What hubstack writes for package files and ``copy()`` is known by its whole text:
where a line comes from is no proof, for a template can print anything.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from fnmatch import fnmatchcase

from hubstack.errors import Problem
from hubstack.model import Graph, Kind, Layer, Project, Rendered
from hubstack.policy.violation import Violation
from hubstack.reference import ImageRef
from hubstack.render.compose import images_named
from hubstack.render.dockerfile import Dockerfile, Instruction, parse_dockerfile
from hubstack.render.rule import CA_SECRET
from hubstack.rulebook import Policy, Rule
from hubstack.source import Position
from hubstack.spelling import enumerate_words, quote

SCRIPTS = {
    "postBuild": "Write it into Dockerfile.j2, between {% call run(network=false) %} and {% endcall %}.",
    "install.R": "Name Debian's r-cran-* packages in apt.txt, or agree on an exception in hubstack.yaml.",
}
"""Package files that are programs of their author's, and what to do instead where these have no network."""
ROOTFS = "rootfs.tar /"  # how a base that hubstack makes gets its file system
_ALWAYS = frozenset({"FROM", "USER"})  # hubstack asks for them


def dockerfile_violations(project: Project, graph: Graph, rendered: Mapping[str, Rendered]) -> Iterator[Violation]:
    policy = project.settings.policy
    seen: set[tuple[str, str]] = set()
    for node, one in rendered.items():
        layer = project.layers[graph.nodes[node].layer]
        if layer.kind is not Kind.REPOSITORY and (layer.name, one.dockerfile) not in seen:
            seen.add((layer.name, one.dockerfile))
            for rule, problem in _problems(policy, layer, one):
                yield Violation(layer=layer.name, rule=rule, problem=problem)


def _problems(policy: Policy, layer: Layer, rendered: Rendered) -> Iterator[tuple[Rule, Problem]]:
    dockerfile, lines = parse_dockerfile(rendered.dockerfile), rendered.dockerfile.split("\n")
    inside = {"parent", "scratch", *layer.copy_from, *_stages(dockerfile)}
    for one in dockerfile.instructions:
        place, ours = rendered.origins[one.line - 1], rendered.written.get("\n".join(lines[one.line - 1 : one.end]))
        yield from _upstream(policy, one, inside, place)
        if ours is None and not (layer.bootstrap and one.name == "ADD" and one.text == ROOTFS):
            yield from _instruction(policy, one, place)
            yield from _mounts(policy, one, place)
        if ours is None or ours in SCRIPTS:
            yield from _network(policy, one, place, ours)


def _instruction(policy: Policy, one: Instruction, place: Position) -> Iterator[tuple[Rule, Problem]]:
    allowed = policy.instructions
    ours = one.name in _ALWAYS or (one.name == "ARG" and one.text == "SOURCE_DATE_EPOCH")
    if allowed is not None and one.name not in allowed and not ours:
        remedy = f"Layers may use {enumerate_words(sorted({*allowed, *_ALWAYS}), 'and')}."
        yield Rule.INSTRUCTIONS, Problem(position=place, what=f"{one.name} is not allowed in layers", remedy=remedy)


def _mounts(policy: Policy, one: Instruction, place: Position) -> Iterator[tuple[Rule, Problem]]:
    allowed = policy.mounts
    for mount in one.mounts() if allowed is not None else ():
        if mount["type"] not in (allowed or ()) and not _is_ours(mount):
            remedy = f"Layers may use {enumerate_words(allowed or (), 'and') or 'none'}."
            what = f"RUN --mount=type={mount['type']} is not allowed in layers"
            yield Rule.MOUNTS, Problem(position=place, what=what, remedy=remedy)


def _is_ours(mount: Mapping[str, str]) -> bool:
    """What ``run()`` brings, whatever its author asks for."""
    match mount:
        case {"type": "tmpfs", "target": "/tmp"}:  # noqa: S108 - a mount
            return True
        case {"type": "bind", "source": ".hubstack", "target": "/tmp/.hubstack"}:  # noqa: S108
            return "from" not in mount
        case {"type": "secret", "id": name}:
            return name == CA_SECRET
        case {"type": "cache", "id": name, "target": "/var/lib/apt/lists" | "/var/cache/apt"}:
            return name.startswith("hubstack-apt-")
        case _:
            return False


def _network(policy: Policy, one: Instruction, place: Position, ours: str | None) -> Iterator[tuple[Rule, Problem]]:
    if one.name == "RUN" and not policy.run_network and one.flag("network") != "none":
        what = "this runs with a network, which only lists of packages have here"
        remedy = (
            "Write RUN --network=none, or {% call run(network=false) %}; what it fetches belongs in a package file."
        )
        yield Rule.RUN_NETWORK, Problem(position=place, what=what, remedy=SCRIPTS.get(ours or "", remedy))


def _upstream(
    policy: Policy, one: Instruction, known: Container[str], place: Position
) -> Iterator[tuple[Rule, Problem]]:
    for reference in dict.fromkeys(images_named(one)) if policy.upstream is not None else ():
        if reference.lower() in known or reference.isdecimal():
            continue
        name = _full_name(reference)
        if not any(fnmatchcase(name, glob) for glob in policy.upstream or ()):
            what = f"the image {quote(name)} is from nowhere that layers may take images from"
            remedy = f"Allowed are {enumerate_words(policy.upstream or (), 'and') or 'none'}."
            yield Rule.UPSTREAM, Problem(position=place, what=what, remedy=remedy)


def _stages(dockerfile: Dockerfile) -> Iterator[str]:
    for one in dockerfile.instructions:
        if one.name == "FROM" and len(one.words) > 1:
            yield one.words[-1].lower()


def _full_name(reference: str) -> str:
    """HOST/NAME:TAG, Docker Hub's host included."""
    image = ImageRef.parse(reference)
    return str(ImageRef(host=image.host, repository=image.repository, tag=image.tag))
