"""``hub:`` in a hub's file: what the hub is, and all that ``hubstack hub`` needs to write it down for Helm and Flux."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, TypeAlias

from pydantic import Field

from hubstack.files.form import Form
from hubstack.files.scalar import (
    DnsName,
    Fault,
    Flag,
    Kind,
    Text,
    Unique,
    choice,
    dns_name,
    parse_image,
    scalar,
    text,
    unfit,
)
from hubstack.installation import (
    BINDERHUB_CHARTS,
    CHART_S_PULL_SECRET,
    JUPYTERHUB_CHARTS,
    Authentication,
    BuildService,
    Chart,
    Installation,
    Login,
    RegistryKind,
    Secrets,
)

_HOST = r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?"
_ADDRESS = rf"https?://{_HOST}"
_CHARTS = rf"(?:https?|oci)://{_HOST}(?:/[A-Za-z0-9._~-]+)*/?"
_DURATION = r"(?:[0-9]+(?:ms|s|m|h))+"
_SIZE = r"[1-9][0-9]*(?:\.[0-9]+)?(?:Ki|Mi|Gi|Ti|k|M|G|T)?"
_LABEL_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_LABEL = rf"(?:[a-z0-9](?:[a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_LABEL_PART}"
_AGE = r"age1[a-z0-9]{58}"


def _secret(value: object) -> str:
    return "" if value == "none" else dns_name(value)


def _key(value: object) -> str:
    """Never shows what stands there: it may be the private half."""
    line = text(value)
    if not re.fullmatch(_AGE, line):
        raise Fault("is no public key of age", "`age-keygen -y` prints it; it begins with age1.")
    return line


def _matching(pattern: str, wanted: str, more: str = "") -> Callable[[object], str]:
    expression = re.compile(pattern)

    def parse(value: object) -> str:
        line = text(value)
        if not expression.fullmatch(line):
            raise unfit(line, wanted, more)
        return line

    return parse


def _image(value: object) -> str:
    line = text(value)
    parse_image(line)
    return line


def _home(value: object) -> str:
    return "" if value == "none" else _size(value)


_address = _matching(_ADDRESS, "an address without a path, as https://hub.example.org")
_page = _matching(r"https?://\S+", "an address, as https://login.example.org/token")
_charts = _matching(_CHARTS, "the address of a chart repository, as https://charts.example.org")
_duration = _matching(_DURATION, "a time, as 10m or 1h30m")
_size = _matching(_SIZE, "a size as Kubernetes writes it, as 10Gi")
_label = _matching(_LABEL, "the name of a Kubernetes label, as node-purpose")
_label_value = _matching(rf"(?:{_LABEL_PART})?", "the value of a Kubernetes label")

Address: TypeAlias = Annotated[str, scalar("address", _address, f"^{_ADDRESS}$")]
Page: TypeAlias = Annotated[str, scalar("address", _page)]
Duration: TypeAlias = Annotated[str, scalar("time", _duration, f"^{_DURATION}$")]
Size: TypeAlias = Annotated[str, scalar("size", _size)]
Image: TypeAlias = Annotated[str, scalar("image", _image)]
Labels: TypeAlias = dict[
    Annotated[str, scalar("label", _label, f"^{_LABEL}$")], Annotated[str, scalar("value", _label_value)]
]
"""Labels of nodes."""


class ChartForm(Form):
    """A Helm chart."""

    version: Text = Field("", description="Its release.")
    name: DnsName = Field("", description="Its name, where it is another one: an umbrella chart's.")
    repository: Annotated[str, scalar("address", _charts, f"^{_CHARTS}$")] = Field(
        "", description="Where it is, where it is another one; `https://` or `oci://`."
    )

    def chart(self, default: Chart) -> Chart:
        return Chart(
            name=self.name or default.name,
            repository=self.repository or default.repository,
            version=self.version,
        )


class LoginForm(Form):
    """The authenticator. What is secret stands in a Secret: `client_secret`, or the `password` of `dummy`."""

    kind: Annotated[Authentication, choice(Authentication)] = Field(
        description="`dummy` is for trials: one password for every name."
    )
    client_id: Text = Field("", description="The OAuth application's. It is no secret.")
    organizations: Unique[Text] = Field(
        (), description="GitHub's ORGANIZATION or ORGANIZATION:TEAM whose members may log in."
    )
    groups: Unique[Text] = Field((), description="The identity provider's groups whose members may log in (`generic`).")
    users: Unique[Text] = Field((), description="People who may log in.")
    admins: Unique[Text] = Field((), description="People who may log in and administer the hub.")
    everybody: Flag = Field(default=False, description="Whether all may log in whom the provider knows.")
    authorize_url: Page = Field("", description="Where the provider asks people (`generic`).")
    token_url: Page = Field("", description="Where it gives tokens (`generic`).")
    userdata_url: Page = Field("", description="Where it says who somebody is (`generic`).")
    username_claim: Text = Field("preferred_username", description="What a user is called by (`generic`).")
    groups_claim: Text = Field("groups", description="Where the provider lists groups (`generic`).")
    scope: Unique[Text] = Field(("openid", "profile"), description="What is asked of the provider (`generic`).")


class RegistryForm(Form):
    """The registry that the hub pulls from and that BinderHub pushes to."""

    kind: Annotated[RegistryKind | None, choice(RegistryKind)] = Field(
        None, description="Otherwise told from the host's name."
    )
    username: Text = Field("", description="Who pulls and pushes there: a robot, never a person.")


class NodesForm(Form):
    """Node pools. Without labels everything runs anywhere."""

    core: Labels = Field({}, description="The labels of the nodes for the hub itself.")
    user: Labels = Field({}, description="Those of the nodes for people's servers and for builds.")


class HomesForm(Form):
    """People's files."""

    size: Annotated[str, scalar("size or `none`", _home)] = Field(
        "10Gi", description="Of each home's volume. `none`: files vanish with the server."
    )
    storage_class: DnsName = Field("", description="The volumes' class. Otherwise the cluster's default.")


class SecretsForm(Form):
    """Secrets, which never stand in this project."""

    kind: Annotated[Secrets, choice(Secrets)] = Field(
        Secrets.SOPS,
        description="`sops`: in manifests to fill and encrypt. `existing`: by other means; only their names are written.",
    )
    age: Unique[Annotated[str, scalar("public key", _key, f"^{_AGE}$")]] = Field(
        (), description="age's public keys that SOPS encrypts for: yours and the cluster's."
    )


class FluxForm(Form):
    """Flux's times."""

    interval: Duration = Field("10m", description="How often it looks whether something differs.")
    timeout: Duration = Field("30m", description="How long an upgrade may take, with all images that nodes pull.")


class BuildForm(Form):
    """What builds images from repositories. It is installed where a profile says `build`."""

    chart: ChartForm = Field(ChartForm(), description=f"binderhub-service of <{BINDERHUB_CHARTS}>.")
    image: Image = Field(
        "",
        description="The image that runs repo2docker on stacks; `build-image/` is its recipe. Without a tag it gets one "
        "that changes with the stacks. Otherwise BinderHub's own image, which knows no stacks.",
    )
    arguments: tuple[Text, ...] = Field((), description="repo2docker's further arguments.")
    storage: Size = Field("15Gi", description="What each node's docker daemon may keep.")


class InstallationForm(Form):
    """What the hub is. `hubstack hub` needs most of it; all else needs only the first three."""

    jupyterhub: Text = Field("", description="Its JupyterHub's release, compared with the one in the images.")
    pull_secret: Annotated[str, Kind(_secret, {"type": "string", "title": "Kubernetes name or `none`"})] = Field(
        "",
        description="The secret that it pulls images with. "
        f"`none`: without credentials. `{CHART_S_PULL_SECRET}`: the one that the chart makes of `registry`.",
    )
    image_prefix: Text = Field(
        "",
        description="Its BinderHub's `image_prefix`. What people build begins with it. Otherwise it is the project's "
        "registry and the hub's name.",
    )
    url: Address = Field("", description="Where people find it.")
    letsencrypt: Text = Field(
        "", description="Your e-mail address, for a certificate by Let's Encrypt. Otherwise TLS is not the chart's."
    )
    image: Image = Field("", description="JupyterHub's own image, with jupyterhub-fancy-profiles in it.")
    chart: ChartForm = Field(ChartForm(), description=f"Zero to JupyterHub's, of <{JUPYTERHUB_CHARTS}>.")
    release: DnsName = Field("jupyterhub", description="The HelmRelease's name.")
    login: LoginForm | None = Field(None, description="Who may log in, and how.")
    registry: RegistryForm = Field(RegistryForm(), description="Its account in the registry.")
    nodes: NodesForm = Field(NodesForm(), description="Which nodes run what.")
    homes: HomesForm = Field(HomesForm(), description="Where people's files are.")
    secrets: SecretsForm = Field(SecretsForm(), description="How secrets reach the cluster.")
    flux: FluxForm = Field(FluxForm(), description="How Flux keeps the releases.")
    build: BuildForm = Field(BuildForm(), description="The BinderHub service.")

    def installation(self) -> Installation:
        default, service = Installation(), BuildService()
        return Installation(
            url=self.url,
            letsencrypt=self.letsencrypt,
            chart=self.chart.chart(default.chart),
            release=self.release,
            image=self.image,
            login=Login(**dict(self.login)) if self.login else None,
            registry=self.registry.kind,
            username=self.registry.username,
            core_nodes=self.nodes.core,
            user_nodes=self.nodes.user,
            homes=self.homes.size,
            storage_class=self.homes.storage_class,
            secrets=self.secrets.kind,
            age=self.secrets.age,
            interval=self.flux.interval,
            timeout=self.flux.timeout,
            build=BuildService(
                chart=self.build.chart.chart(service.chart),
                image=self.build.image,
                arguments=self.build.arguments,
                storage=self.build.storage,
            ),
        )
