"""An Argo Workflow: one pod a node, in the graph's order, then the names. The registry is the only state.

A pod runs ``hubstack build --push node:ID``. BuildKit runs beside it, without root, or is a pool elsewhere; the images'
tests run in a Docker engine beside it, or elsewhere. What is there already ends its pod within seconds, so a workflow
may be retried, or submitted again, at any time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hubstack.errors import HubstackError
from hubstack.model import Node
from hubstack.plan import Plan

if TYPE_CHECKING:
    from hera.workflows import Container, UserContainer, Workflow

BUILDKIT_IMAGE = "docker.io/moby/buildkit:v0.25.0-rootless"
ENGINE_IMAGE = "docker.io/library/docker:29-dind-rootless"  # the first with containerd's image store by default
PROJECT = "/project"
RUN = "/run/hubstack"  # sockets, shared by a pod's containers
BUILDKIT = f"unix://{RUN}/buildkitd.sock"
ENGINE = f"unix://{RUN}/docker.sock"
CREDENTIALS = "/run/secrets/registry"
CERTIFICATES = "/run/secrets/certificates"
NODE_DEADLINE_S = 4 * 3600
USER = 1000  # whom both rootless images run as

# What a pod needs before the command, which it then becomes: builders of buildx, numbered, and both engines awake.
START = """\
number=0
for address in $BUILDKIT; do
  number=$((number + 1))
  docker buildx create --name "buildkit-$number" --driver remote "$address" >/dev/null
  until docker buildx inspect --bootstrap "buildkit-$number" >/dev/null 2>&1; do sleep 1; done
done
until docker version >/dev/null 2>&1; do sleep 1; done
exec "$@"
"""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where a workflow runs. Secrets are named, never held."""

    image: str  # holds hubstack, docker's client and buildx
    registry: str  # HOST/PREFIX
    repository: str = ""  # the project's git repository; empty: a parameter to be given on submission
    revision: str = ""
    registry_secret: str = "hubstack-registry"  # noqa: S105 - a name
    git_secret: str = ""
    ca_secret: str = ""
    buildkit: Sequence[str] = ()  # addresses of a pool; none: BuildKit in each pod
    engine: str = ""  # the address of a Docker engine for tests; empty: one in each pod
    pods: int = 8


def render_workflow(plan: Plan, select: Sequence[str], cluster: Cluster, *, everything: bool, template: bool) -> str:
    """The YAML of a Workflow, or of a WorkflowTemplate. Raises HubstackError where hera is not installed."""
    workflow = _workflow(_tasks(plan, everything=everything), select, cluster, template=template)
    text: str = workflow.to_yaml()
    return f"# Written by `hubstack export argo`.\n{text}"


def _tasks(plan: Plan, *, everything: bool) -> dict[str, tuple[Node, tuple[str, ...]]]:
    """The nodes that get a pod, and which of the others each waits for."""
    nodes = {step.node.id: step.node for step in (plan.steps if everything else plan.dirty())}
    return {
        name: (node, tuple(one for one in dict.fromkeys(node.inputs) if one in nodes)) for name, node in nodes.items()
    }


def _workflow(
    tasks: Mapping[str, tuple[Node, tuple[str, ...]]], select: Sequence[str], cluster: Cluster, *, template: bool
) -> Workflow:
    hera = _hera()
    kind = hera.WorkflowTemplate if template else hera.Workflow
    workflow: Workflow = kind(
        **({"name": "hubstack"} if template else {"generate_name": "hubstack-"}),
        entrypoint="family",
        arguments=[
            hera.Parameter(name="repository", **({"value": cluster.repository} if cluster.repository else {})),
            hera.Parameter(name="revision", **({"value": cluster.revision} if cluster.revision else {})),
        ],
        parallelism=cluster.pods,
        security_context=hera.models.PodSecurityContext(fs_group=USER),  # else nobody could write to an emptyDir
        pod_gc=hera.models.PodGC(strategy="OnPodSuccess"),
        volumes=_volumes(cluster),
    )
    with workflow:
        node, publish = _node(cluster), _publish(select, cluster)
        with hera.DAG(name="family", fail_fast=False):  # independent branches go on
            for name, (one, waits) in tasks.items():
                hera.Task(
                    name=name,
                    template=node,
                    arguments={"node": name, "arch": one.platform.split("/")[1]},
                    depends=" && ".join(f"{other}.Succeeded" for other in waits) or None,
                )
            hera.Task(name="publish", template=publish, depends=_when_all_have_ended(tasks) or None)
    return workflow


def _when_all_have_ended(tasks: Mapping[str, tuple[Node, tuple[str, ...]]]) -> str:
    """However they ended: what has failed is a stack that keeps its last image. To wait for the last ones is enough."""
    needed = {other for _, waits in tasks.values() for other in waits}
    ends = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted")
    last = [name for name in tasks if name not in needed]
    return " && ".join(f"({' || '.join(f'{name}.{end}' for end in ends)})" for name in last)


def _node(cluster: Cluster) -> Container:
    builders = [f"--builder=buildkit-{number + 1}" for number in range(len(cluster.buildkit) or 1)]
    hera = _hera()
    return _hubstack(
        cluster,
        "node",
        ["build", "--push", "--json", *builders, "node:{{inputs.parameters.node}}"],
        inputs=[hera.Parameter(name="node"), hera.Parameter(name="arch"), _project(cluster)],
        node_selector={"kubernetes.io/arch": "{{inputs.parameters.arch}}", "kubernetes.io/os": "linux"},
        active_deadline_seconds=NODE_DEADLINE_S,
        sidecars=[
            *([] if cluster.buildkit else [_buildkitd()]),
            *([] if cluster.engine else [_dockerd()]),
        ],
        env=_env(
            {
                "BUILDKIT": " ".join(cluster.buildkit) or BUILDKIT,
                "BUILDX_CONFIG": "/tmp/buildx",  # noqa: S108 - in the pod; docker's own configuration is a secret there
                "DOCKER_CONFIG": CREDENTIALS,
                "DOCKER_HOST": cluster.engine or ENGINE,
            }
        ),
    )


def _publish(select: Sequence[str], cluster: Cluster) -> Container:
    return _hubstack(
        cluster,
        "publish",
        ["publish", "--json", *select],
        inputs=[_project(cluster)],
        env=_env({"BUILDKIT": "", "DOCKER_CONFIG": CREDENTIALS}),
    )


def _hubstack(cluster: Cluster, name: str, words: Sequence[str], **options: Any) -> Container:
    """A pod that runs hubstack. Only a pod that was lost is tried again: a command that fails is never repeated."""
    hera = _hera()
    bundle = [f"--ca-bundle={CERTIFICATES}/ca.crt"] if cluster.ca_secret else []
    mounts = {"run": RUN, "registry": CREDENTIALS, **({"certificates": CERTIFICATES} if cluster.ca_secret else {})}
    start = ["sh", "-ec", START, "sh"] if name == "node" else []
    command = [*start, "hubstack", "-C", PROJECT, f"--registry={cluster.registry}", *bundle]
    container: Container = hera.Container(
        name=name,
        image=cluster.image,
        command=command,
        args=list(words),
        volume_mounts=[
            hera.models.VolumeMount(name=volume, mount_path=path, read_only=volume != "run" or None)
            for volume, path in mounts.items()
        ],
        retry_strategy=hera.RetryStrategy(limit=3, retry_policy="OnError"),
        **options,
    )
    return container


def _project(cluster: Cluster) -> Any:
    secret = {
        f"{key}_secret": _hera().models.SecretKeySelector(name=cluster.git_secret, key=key)
        for key in ("username", "password")
        if cluster.git_secret
    }
    return _hera().GitArtifact(
        name="project",
        path=PROJECT,
        repo="{{workflow.parameters.repository}}",
        revision="{{workflow.parameters.revision}}",
        **secret,
    )


def _buildkitd() -> UserContainer:
    """As BuildKit's own example for Kubernetes has it (examples/kubernetes, "rootless")."""
    models = _hera().models
    return _sidecar(
        "buildkitd",
        BUILDKIT_IMAGE,
        args=[f"--addr={BUILDKIT}", "--oci-worker-no-process-sandbox"],
        mounts={"run": RUN, "buildkit": "/home/user/.local/share/buildkit"},
        security=models.SecurityContext(
            run_as_user=USER,
            run_as_group=USER,
            seccomp_profile=models.SeccompProfile(type="Unconfined"),
            app_armor_profile=models.AppArmorProfile(type="Unconfined"),
        ),
    )


def _dockerd() -> UserContainer:
    """For tests alone. Rootless inside, but its image asks for a privileged container (docker's own documentation)."""
    return _sidecar(
        "dockerd",
        ENGINE_IMAGE,
        args=["dockerd", f"--host={ENGINE}"],
        mounts={"run": RUN, "docker": "/home/rootless/.local/share/docker"},
        security=_hera().models.SecurityContext(privileged=True),
    )


def _sidecar(name: str, image: str, *, args: Sequence[str], mounts: Mapping[str, str], security: Any) -> UserContainer:
    hera = _hera()
    container: UserContainer = hera.UserContainer(
        name=name,
        image=image,
        args=list(args),
        security_context=security,
        volume_mounts=[hera.models.VolumeMount(name=volume, mount_path=path) for volume, path in mounts.items()],
    )
    return container


def _volumes(cluster: Cluster) -> list[Any]:
    models = _hera().models
    credentials = models.SecretVolumeSource(
        secret_name=cluster.registry_secret, items=[models.KeyToPath(key=".dockerconfigjson", path="config.json")]
    )
    secrets = {"registry": credentials}
    if cluster.ca_secret:
        secrets["certificates"] = models.SecretVolumeSource(secret_name=cluster.ca_secret)
    empty = ["run", *([] if cluster.buildkit else ["buildkit"]), *([] if cluster.engine else ["docker"])]
    return [
        *(models.Volume(name=name, secret=secret) for name, secret in secrets.items()),
        *(models.Volume(name=name, empty_dir=models.EmptyDirVolumeSource()) for name in empty),
    ]


def _env(variables: Mapping[str, str]) -> list[Any]:
    return [_hera().Env(name=name, value=value) for name, value in variables.items() if value]


def _hera() -> Any:
    """Its generated models are behind more than one module: typed as Any, and checked by tests against themselves."""
    try:
        import hera.workflows
    except ModuleNotFoundError:
        raise HubstackError(
            "this needs hera, which is not installed", hint="pip install 'hubstack[argo]', or hera itself."
        ) from None
    return hera.workflows
