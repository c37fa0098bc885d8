"""The records in which every part of hubstack speaks.

A *project* holds *bases*, *layers*, *stacks* and *hubs*, as their files say. A stack with its matrix gives *variants*; a
variant's layers, with all that they require, give *nodes*: one planned image build each, shared between variants.
What people choose is an *image*: the topmost node of one (stack, variant, platform).

All records are frozen and are valid once they exist. Paths are POSIX paths relative to the project's root unless the
docstring says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, TypeAlias

from hubstack.reference import Digest, ImageRef, Layout
from hubstack.rulebook import Policy
from hubstack.source import Position, Source

if TYPE_CHECKING:
    from hubstack.offer import Hub

Value: TypeAlias = str | int | bool | tuple[str, ...]
"""A variable's value, after conversion to the type that its layer declares."""

Raw: TypeAlias = str | tuple[str, ...]
"""A value as written in a file: YAML scalars stay text until their type is known, so that 1.10 stays 1.10."""


# --- what the project's files say --------------------------------------------------------------------------------------


NOTHING = "none"
"""Among the layers of an option: none of them."""


class Kind(StrEnum):
    BASE = "base"
    LAYER = "layer"
    REPOSITORY = "repository"  # stands for a stack's repository, and has its name: no folder of the project


class VariableType(StrEnum):
    TEXT = "text"
    INT = "int"
    BOOL = "bool"
    LIST = "list"
    VERSION = "version"


class Refresh(StrEnum):
    """How often ``hubstack update`` gives a layer a new epoch, so that it is built again from newer packages."""

    NEVER = "never"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A value that a layer's template reads, and a stack gives."""

    name: str
    type: VariableType
    default: Value | None  # None: every stack must give a value
    choices: Mapping[str, str]  # value as text → label for people; empty: any value of the type
    help: str
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """A command run in the built image as the hub's user, its working directory the layer's ``tests/`` folder."""

    __test__ = False  # pytest would collect a class of this name

    run: str
    stdout: str = ""  # a regular expression that is searched for in the output; empty: anything
    exit_code: int = 0
    network: bool = False
    timeout_s: int = 60
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file or a symbolic link of a layer, or of a build context; ``path`` is relative to that folder."""

    path: str
    content: bytes = b""
    executable: bool = False
    link: str | None = None  # the target, verbatim; content is then empty


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """A base made from Debian packages by mmdebstrap. ``suite`` and ``include`` may be templates."""

    suite: str
    variant: str = "minbase"
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """Somebody's notebooks, which a stack prebuilds on another stack."""

    url: str
    ref: str = ""  # a branch, tag or whole commit; empty: the default branch
    stack: str  # STACK, with all its variants, or STACK/VARIANT

    @property
    def below(self) -> str:
        """The stack that it is built on."""
        return self.stack.partition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What a repository's ref meant when somebody last asked: ``commit`` is 40 hex digits."""

    url: str
    ref: str
    commit: str


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A folder under ``layers/`` or ``base/``; or a stack's repository, which people don't call a layer."""

    name: str
    kind: Kind
    summary: str
    requires: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    copy_from: tuple[str, ...] = ()
    variables: Mapping[str, Variable] = field(default_factory=dict)
    refresh: Refresh = Refresh.NEVER
    tests: tuple[Test, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)  # label → command
    owners: tuple[str, ...] = ()
    python: str = ""  # a template for the Python release ("3.11") that requirements above this layer are resolved for
    image: str = ""  # bases: an upstream image, a template
    bootstrap: Bootstrap | None = None  # bases
    upstream: tuple[str, ...] = ()  # further upstream images that the Dockerfile may name
    draft: str = ""  # why it is checked and rendered, but built only when somebody names it
    files: Mapping[str, SourceFile] = field(default_factory=dict)  # all but layer.yaml, by path in the folder
    repository: Repository | None = None
    source: Source

    @property
    def folder(self) -> str:
        """Where the layer's files lie, relative to the project's root."""
        return self.source.path.rpartition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Axes in the author's order, and GitHub's ``include`` and ``exclude``."""

    axes: Mapping[str, tuple[Raw, ...]] = field(default_factory=dict)
    include: tuple[Mapping[str, Raw], ...] = ()
    exclude: tuple[Mapping[str, Raw], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """Whose version of a path stands where a merge has no rule for it, and why."""

    path: str  # without a leading slash
    layer: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A choice that a stack leaves to people: one of some layers, or several of them."""

    name: str
    title: str  # what people read
    one_of: tuple[str, ...] = ()  # layers, and NOTHING; the first is the default
    any_of: tuple[str, ...] = ()  # instead of one_of
    at_most: int = 0  # of any_of
    titles: Mapping[str, str] = field(default_factory=dict)  # layer or NOTHING → what people read

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(one for one in (*self.one_of, *self.any_of) if one != NOTHING)

    @property
    def count(self) -> int:
        """How many ways there are to choose."""
        return len(self.one_of) or sum(comb(len(self.any_of), size) for size in range(self.at_most + 1))

    def ways(self) -> Iterator[tuple[str, ...]]:
        """Layers chosen together, in the author's order; the default first, and of any_of the fewest first."""
        if self.one_of:
            return (() if one == NOTHING else (one,) for one in self.one_of)
        return (some for size in range(self.at_most + 1) for some in combinations(self.any_of, size))

    def title_of(self, layers: Sequence[str]) -> str:
        return ", ".join(self.titles.get(one, one) for one in layers or (NOTHING,))


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A base and the layers above it, as one or several images."""

    name: str
    title: str
    description: str = ""
    base: str = ""  # empty: the matrix has an axis ``base``
    layers: tuple[str, ...]
    values: Mapping[str, Raw] = field(default_factory=dict)
    matrix: Matrix = field(default_factory=Matrix)
    options: tuple[Option, ...] = ()
    repository: Repository | None = None  # then it is made of nothing else, and has no matrix or options of its own
    assembly: Method | None = None  # None: as the project says
    resolve: tuple[Preference, ...] = ()
    draft: str = ""  # why it is built only when somebody names it
    source: Source


class Method(StrEnum):
    """How layers are put together: one line of builds, or each built once and the rest merged in the registry."""

    CHAIN = "chain"
    MERGE = "merge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """Whose signatures the project trusts: those of a key, or of whom an OIDC issuer knows (keyless)."""

    key: str = ""  # the public key's file; empty: keyless
    identity: str = ""  # a regular expression of Go's over the certificate's subject
    issuer: str = ""
    transparency_log: bool = True
    position: Position


@dataclass(frozen=True, kw_only=True)
class Settings:
    """``hubstack.yaml``."""

    requires_hubstack: str = ""
    registry: ImageRef | None = None  # host and prefix; neither tag nor digest
    layout: Layout = Layout.NESTED
    base: str = ""  # what a layer stands on when it is built by itself; empty: the only base there is
    assembly: Method = Method.CHAIN
    platforms: tuple[str, ...] = ("linux/amd64",)
    channels: tuple[str, ...] = ("latest",)
    policy: Policy = field(default_factory=Policy)
    signing: Signing | None = None
    source: Source


@dataclass(frozen=True, kw_only=True)
class Project:
    """A whole tree, read and checked file by file; what needs more than one file is ``graph``'s business."""

    settings: Settings
    layers: Mapping[str, Layer]  # bases and repositories too, by name: no two of them share one
    stacks: Mapping[str, Stack]
    hubs: Mapping[str, Hub]
    macros: Mapping[str, SourceFile] = field(default_factory=dict)  # layers/_macros/, by path in that folder

    def method(self, stack: Stack) -> Method:
        """How a stack's layers are put together: as it says, else as the project does. A repository's are those of its stack."""
        ground = stack if stack.repository is None else self.stacks.get(stack.repository.below, stack)
        return ground.assembly or self.settings.assembly

    def bases(self) -> Iterator[Layer]:
        return (layer for layer in self.layers.values() if layer.kind is Kind.BASE)


# --- the graph ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One point of a stack's matrix, with layers chosen. ``name`` is ``default`` where there is no matrix and no choice."""

    stack: str
    name: str
    base: str
    axes: Mapping[str, Value]  # what the matrix gave, in the author's order; for the labels that people see
    values: Mapping[str, Value]  # of every variable of its layers: given ones and defaults
    point: str = ""  # the name that it would have without options
    chosen: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # each option of the stack → layers; in its order

    @property
    def id(self) -> str:
        return f"{self.stack}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One planned image build.

    ``id`` is the layer's name and 8 hex digits of what the node is (layer, values, parents, platform), not of what its
    files say: it stays while somebody edits the layer, so that durations and reasons can be compared over time.

    One with several parents has no layer of its own: it is what a merge makes of them (:mod:`hubstack.merge`).
    """

    id: str
    layer: str  # empty: a merge
    base: str
    values: Mapping[str, Value]  # of the variables declared by this layer and by those below it, sorted by name
    platform: str
    parents: tuple[str, ...]  # node ids below it in the image; empty for a base; several, sorted, for a merge
    resolve: tuple[Preference, ...] = ()  # of a merge, sorted
    copies: Mapping[str, str] = field(default_factory=dict)  # copy_from layer → node id
    stacks: tuple[str, ...] = ()  # the variants ("scipy/bookworm") whose images stand on it or are it

    @property
    def is_merge(self) -> bool:
        return not self.layer

    @property
    def label(self) -> str:
        """For people: the layer, or those that are merged."""
        return self.layer or " + ".join(parent.rpartition("-")[0] for parent in self.parents)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Every node that must be built before this one."""
        return (*self.parents, *self.copies.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What is published for one (stack, variant), on one platform."""

    variant: Variant
    platform: str
    node: str


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Nodes in build order, parents before children, and the images that are made of them."""

    nodes: Mapping[str, Node]
    images: tuple[Image, ...]
    alone: Mapping[str, tuple[str, ...]]  # layer → its nodes (one a platform) when built by itself, on what it requires

    @cached_property
    def lineage(self) -> Mapping[str, tuple[str, ...]]:
        """For each node, those of its image's layers, lowest first: itself last, unless it is a merge.

        Neither merges nor copied-from nodes are among them.
        """
        below: dict[str, tuple[str, ...]] = {}
        for node in self.nodes.values():  # tuples carried up: asking networkx for ancestors node by node is quadratic
            chain = dict.fromkeys(one for parent in node.parents for one in below[parent])
            below[node.id] = tuple(chain) if node.is_merge else (*chain, node.id)
        return below

    @cached_property
    def children(self) -> Mapping[str, tuple[str, ...]]:
        """For each node, those that need it (as a parent or to copy from), in build order."""
        above: dict[str, list[str]] = {node: [] for node in self.nodes}
        for node in self.nodes.values():
            for needed in dict.fromkeys(node.inputs):
                above[needed].append(node.id)
        return {node: tuple(users) for node, users in above.items()}


# --- rendering and the lock --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A Python distribution at one version. ``hashes`` are sorted, as pip writes them (``sha256:…``)."""

    name: str
    version: str
    hashes: tuple[str, ...]


DEBS, IDS = ".hubstack/debs", ".hubstack/ids"
"""Where a node's slices of the lock lie in its build context, for build steps to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What a node is built from, exactly as the engine will get it."""

    dockerfile: str
    origins: tuple[Position, ...]  # for each line of the Dockerfile, the line of the template or package file behind it
    context: tuple[SourceFile, ...]  # sorted by path; the Dockerfile is not in it
    sources: Mapping[str, str] = field(default_factory=dict)  # project file → sha256 hex, of every file that was read
    bootstrap: Bootstrap | None = None  # with its templates resolved
    arguments: Mapping[str, str] = field(default_factory=dict)  # --build-arg
    pins: tuple[Pin, ...] = ()  # the layer's slice of the lock
    debs: Mapping[str, str] = field(default_factory=dict)  # another: Debian package → version
    ids: Mapping[str, int] = field(default_factory=dict)  # and of its ledger: user or group → number
    upstream: Mapping[str, Digest] = field(default_factory=dict)  # locked images that the Dockerfile names
    written: Mapping[str, str] = field(default_factory=dict)  # RUNs of hubstack's own, whole → what they are for
    repository: Revision | None = None  # whose own files say, once they are fetched, what the Dockerfile leaves open
