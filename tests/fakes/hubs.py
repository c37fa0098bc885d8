"""Small projects for the hub's tests, as records: no file is read and no other module of hubstack resolves them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from hubstack.model import (
    Graph,
    Image,
    Kind,
    Layer,
    Matrix,
    Node,
    Project,
    Settings,
    Stack,
    Variable,
    VariableType,
    Variant,
)
from hubstack.offer import External, Hub, Profile, Resource, Retired
from hubstack.reference import Digest, ImageRef
from hubstack.source import Position, Source


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """A project without hubs and its graph: one layer ``lab`` with the variables, on a base, for each variant a node."""

    stacks: Sequence[Stack]
    variables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # name → value → label
    draft: str = ""  # of the layer

    def project(self, *hubs: Hub) -> Project:
        lab = Layer(
            name="lab",
            kind=Kind.LAYER,
            summary="JupyterLab",
            draft=self.draft,
            source=Source(path="layers/lab/layer.yaml"),
            variables={
                name: Variable(
                    name=name,
                    type=VariableType.TEXT,
                    default=None,
                    choices=labels,
                    help="",
                    position=Position(path="layers/lab/layer.yaml"),
                )
                for name, labels in self.variables.items()
            },
        )
        return Project(
            settings=Settings(source=Source(path="hubstack.yaml")),
            layers={"lab": lab},
            stacks={one.name: one for one in self.stacks},
            hubs={one.name: one for one in hubs},
        )

    @property
    def graph(self) -> Graph:
        images = tuple(
            Image(variant=variant, platform="linux/amd64", node=f"lab-{variant.id}")
            for stack in self.stacks
            for variant in variants(stack)
        )
        nodes = {
            one.node: Node(id=one.node, layer="lab", base="debian", values={}, platform=one.platform, parents=())
            for one in images
        }
        return Graph(nodes=nodes, images=images, alone={})

    @property
    def images(self) -> dict[tuple[str, str], ImageRef]:
        """What a registry would answer for each variant."""
        return {(one.variant.stack, one.variant.name): reference(one.variant.id) for one in self.graph.images}


def variants(stack: Stack) -> list[Variant]:
    axes = stack.matrix.axes
    points = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())] if axes else [{}]
    return [
        Variant(
            stack=stack.name,
            name="-".join(str(value) for value in point.values()) or "default",
            base="debian",
            axes=point,
            values=point,
        )
        for point in points
    ]


def reference(name: str) -> ImageRef:
    """A reference as ``publish`` makes them, the digest made of the name."""
    stack, _, variant = name.partition("/")
    hexadecimal = hashlib.sha256(name.encode()).hexdigest()
    return ImageRef(
        host="registry.example",
        repository=f"hub/{stack}",
        tag=f"{variant}-{hexadecimal[:12]}",
        digest=Digest(f"sha256:{hexadecimal}"),
    )


def stack(name: str, title: str, description: str = "", *, draft: str = "", **axes: Sequence[str]) -> Stack:
    return Stack(
        name=name,
        title=title,
        description=description,
        base="debian",
        layers=("lab",),
        matrix=Matrix(axes={axis: tuple(values) for axis, values in axes.items()}),
        draft=draft,
        source=Source(path=f"stacks/{name}.yaml"),
    )


def hub(*profiles: Profile, name: str = "demo") -> Hub:
    source = Source(path=f"profiles/{name}.yaml")
    return Hub(name=name, configmap="jhub-profiles", namespace="jhub", profiles=profiles, source=source)


def profile(slug: str, *stacks: str, title: str = "") -> Profile:
    return Profile(slug=slug, title=title or slug.title(), stacks=stacks)


EXAMPLE = Shelf(
    stacks=(
        stack("minimal", "JupyterLab", "JupyterLab and nothing else"),
        stack("scipy", "Scientific Python", "NumPy, SciPy, pandas and Matplotlib", release=("bookworm", "trixie")),
        stack("base", "Bare: \"R & Python\" 100% 'data' 🚀", "y"),
    ),
    variables={"release": {"bookworm": "Python 3.11", "trixie": "Python 3.13"}},
)

EXAMPLE_HUB = replace(
    hub(
        replace(
            profile("python", "minimal", "scipy/*", "base", title="Python and R"),
            description="Everything that runs on a CPU",
            default="scipy/trixie",
            unlisted=True,
            build=True,
            resources=(
                Resource(key="small", title="2 GB", override={"mem_limit": "2G", "cpu_limit": 0.5}),
                Resource(key="large", title="8 GB", default=True, override={"mem_limit": "8G", "cpu_limit": 4.0}),
            ),
        ),
        replace(
            profile("gpu", "scipy/trixie", title="GPU"),
            groups=("gpu-users",),
            override={
                "node_selector": {"gpu": "true", "1e3": "y"},
                "tolerations": [{"key": "gpu", "operator": "Exists"}],
                "extra_resource_limits": {"nvidia.com/gpu": "1"},
                "start_timeout": 900,
                "environment": {"OLD": None},
            },
        ),
    ),
    image_prefix="quay.io/example/demo-",
    retired=(
        Retired(profile="python", key="scipy-bullseye", successor="scipy-bookworm", until="2027-03"),
        Retired(profile="python", key="tiny", successor="small"),
    ),
    external=(
        External(
            profile="python",
            key="old-course",
            title="The course of 2024",
            image=ImageRef.parse(f"quay.io/example/course:2024@sha256:{'5' * 64}"),
        ),
    ),
)
"""A hub with everything in it that a hub may say."""
