"""``profiles/<hub>.yaml``, and ``profiles/_defaults.yaml``, from which every hub of the project starts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from hubstack.errors import Problem, ProjectError
from hubstack.files.form import FileForm, Form, fill, filled
from hubstack.files.installation import InstallationForm
from hubstack.files.offer import (
    Entry,
    ExternalForm,
    RetiredForm,
    WithdrawnForm,
    entries,
    external_faults,
    repeated,
    retired_faults,
)
from hubstack.files.scalar import (
    Channel,
    DnsName,
    Flag,
    KeyName,
    Name,
    Prose,
    Regex,
    Some,
    Text,
    Unique,
    choice,
    scalar,
    text,
    unfit,
)
from hubstack.files.trait import parse_traits, trait_faults, trait_schemas
from hubstack.offer import External, Hub, Profile, Resource, Retired, Withdrawn
from hubstack.source import Key, Source
from hubstack.value import TRUE
from hubstack.yamlfile import Data, Document, merge

_STACKS = re.compile(r"[a-z0-9*?\[\]!-]+(?:/[A-Za-z0-9._+~*?\[\]!-]+)?")
_VARIANT = re.compile(r"[a-z0-9-]+/[A-Za-z0-9._+~-]+")


def _stacks(value: object) -> str:
    line = text(value)
    if not _STACKS.fullmatch(line):
        raise unfit(line, "STACK or STACK/VARIANT, where * stands for anything")
    return line


def _variant(value: object) -> str:
    line = text(value)
    if not _VARIANT.fullmatch(line):
        raise unfit(line, "STACK/VARIANT", "A stack without a matrix has the variant `default`.")
    return line


class Keys(StrEnum):
    PLAIN = "plain"
    PREFIXED = "prefixed"


class Options(StrEnum):
    MENUS = "menus"
    LIST = "list"


class ConfigMapForm(Form):
    """Where the hub's Helm release looks for its values."""

    name: DnsName = Field(description="Its name.")
    namespace: DnsName = Field(description="Its namespace, which is the HelmRelease's.")
    wrap: tuple[Text, ...] = Field(
        (),
        description="An umbrella chart's keys above those of Zero to JupyterHub, outermost first, as `[jupyterhub]`.",
    )


def _add_traits(schema: dict[str, Any]) -> None:
    schema.setdefault("properties", {}).update(trait_schemas())
    schema.setdefault("title", "KubeSpawner's traits")
    schema["additionalProperties"] = False


class ResourceForm(Form):
    """A choice of sizes. Beside these fields it holds any of KubeSpawner's traits, as `mem_limit: 2G`."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_add_traits)

    key: KeyName = Field(description="Stays the same once people have used it.")
    title: Prose = Field(description="What people read in the launcher.")
    description: Prose = Field("", description="One line more for them.")
    default: Flag = Field(default=False, description="Whether it is chosen beforehand. Otherwise the first one is.")


class ProfileForm(Form):
    """An entry of the launcher: images to choose from, and what servers started from it get."""

    slug: KeyName = Field(
        description="Its name in links and in saved choices. Stays the same once people have used it."
    )
    title: Prose = Field(description="What people read in the launcher.")
    description: Prose = Field("", description="One line more for them.")
    stacks: Unique[Annotated[str, scalar("stack, variant or pattern", _stacks, f"^{_STACKS.pattern}$")]] = Field(
        (), description="The images offered, in this order: STACK or STACK/VARIANT, where `*` stands for anything."
    )
    default: Annotated[str, scalar("STACK/VARIANT", _variant, f"^{_VARIANT.pattern}$")] = Field(
        "", description="The image chosen beforehand. Otherwise the first one is."
    )
    unlisted: Flag = Field(default=False, description="Whether people may name any image.")
    build: Flag = Field(
        default=False, description="Whether people may have an image built from a repository. Needs `unlisted`."
    )
    previous: Flag = Field(
        default=False,
        description="Whether each stack's image is offered a second time as it was before its last change, under the key "
        "`<key>-previous`. Nodes then pull both beforehand.",
    )
    resources: tuple[ResourceForm, ...] = Field((), description="Sizes to choose from.")
    groups: Unique[Text] = Field((), description="The groups that see it. Without any, everybody does.")
    override: dict[str, Any] = Field(
        {}, description="KubeSpawner's traits for its servers.", json_schema_extra=_add_traits
    )


class HubForm(FileForm):
    """A hub: `profiles/<hub>.yaml`, merged over `profiles/_defaults.yaml`. The file's name is the hub's name.

    Mappings are merged; a list replaces the defaults' list.
    """

    required: ClassVar[tuple[str, ...]] = ("configmap", "profiles")
    elsewhere: ClassVar[Mapping[str, str]] = {
        "name": "The file's name is the hub's name.",
        "namespace": "Write it in `configmap`.",
        "pull_secret": "Write it in `hub`.",
        "image_prefix": "Write it in `hub`.",
    }

    configmap: ConfigMapForm | None = Field(None, description="The ConfigMap that is written for it.")
    follow: Channel = Field(
        "latest", description="The channel it offers: one of hubstack.yaml's, or a dated one to stay on."
    )
    promoted_from: Name = Field(
        "",
        description="Another hub, whose images it has instead of a channel's: those of that hub's ConfigMap at the time "
        "of the last `hubstack profiles --promote`.",
    )
    hub: InstallationForm = Field(InstallationForm(), description="What is known of its installation.")
    keys: Annotated[Keys, choice(Keys)] = Field(
        Keys.PLAIN,
        description="How choices keep their order, which Helm forgets. `plain`: by a snippet in the hub's `extraConfig`. "
        "`prefixed`: by numbers at the beginning of each key.",
    )
    options: Annotated[Options, choice(Options)] | None = Field(
        None,
        description="How people choose among a stack's options. `menus`: a menu for each, and a snippet in the hub's "
        "`extraConfig` that looks up the image. `list`: each combination is a choice of its own. Otherwise `menus`, and "
        "`list` with `keys: prefixed`.",
    )
    unlisted_regex: Regex = Field(
        "", description="What people may name as an image. Otherwise any with a tag or a digest."
    )
    profiles: Annotated[tuple[ProfileForm, ...], Some] = Field(
        (), description="What its launcher shows, in this order."
    )
    retired: tuple[RetiredForm, ...] = Field((), description="Choices and profiles that are gone and still resolve.")
    external: tuple[ExternalForm, ...] = Field((), description="Images offered without being built here.")
    withdrawn: tuple[WithdrawnForm, ...] = Field(
        (), description="Images that are never offered again. A hub's list adds to the defaults' list."
    )

    def faults(self, document: Document) -> Iterator[Problem]:
        source, slugs = document.source, []
        for index, profile in entries(document.data, "profiles"):
            slugs.append(profile.get("slug"))
            yield from _profile_faults(profile, source, ("profiles", index))
        yield from repeated(entries(document.data, "profiles"), ("slug",), source, "profiles")
        if known := [str(slug) for slug in slugs]:  # the defaults needn't have any
            yield from retired_faults(document.data, known, source)
            yield from external_faults(document.data, known, source)
        yield from _empty_profiles(document)
        if self.keys is Keys.PREFIXED and self.options is Options.MENUS:
            what = (
                "menus need the hub's extraConfig, and `keys: prefixed` is for hubs whose extraConfig nobody may touch"
            )
            yield Problem(position=source.key("options"), what=what, remedy="Write `options: list`, or `keys: plain`.")


_Path = tuple[Key, ...]


def _is_true(value: Data) -> bool:
    return isinstance(value, str) and value.lower() in TRUE


def _profile_faults(profile: Entry, source: Source, path: _Path) -> Iterator[Problem]:
    if _is_true(profile.get("build")) and not _is_true(profile.get("unlisted")):
        what = "build needs unlisted: the launcher shows the one only beside the other"
        yield Problem(position=source.at(*path, "build"), what=what, remedy="Write `unlisted: true`, too.")
    override = profile.get("override")
    yield from trait_faults(override if isinstance(override, dict) else {}, source, (*path, "override"))
    resources = list(entries(dict(profile), "resources"))
    yield from repeated(resources, ("key",), source, *path, "resources")
    defaults = [index for index, resource in resources if _is_true(resource.get("default"))]
    for index in defaults[1:]:
        first = source.at(*path, "resources", defaults[0], "default")
        what = f"a second default; the first is in {first}"
        yield Problem(position=source.at(*path, "resources", index, "default"), what=what, remedy="Keep one.")
    for index, resource in resources:
        traits = {name: value for name, value in resource.items() if name not in ResourceForm.model_fields}
        yield from trait_faults(traits, source, (*path, "resources", index))


def _empty_profiles(document: Document) -> Iterator[Problem]:
    """A launcher whose profile offers no image shows a blank page (hub.md, 0.6)."""
    external = {entry.get("profile") for _, entry in entries(document.data, "external")}
    for index, profile in entries(document.data, "profiles"):
        if not profile.get("stacks") and profile.get("slug") not in external:
            what = "this profile offers no image"
            remedy = "Give it stacks, or an image under `external`."
            yield Problem(position=document.source.at("profiles", index), what=what, remedy=remedy)


def parse_defaults(document: Document) -> Document:
    """``profiles/_defaults.yaml`` as it is, if it is right; it needn't be complete. Raises ProjectError."""
    _, problems = fill(HubForm, document, partial=True)
    if problems:
        raise ProjectError(problems)
    return document


def parse_hub(document: Document, *, name: str, defaults: Document | None) -> Hub | None:
    """The hub that ``document``, merged over ``defaults``, says. Raises ProjectError with every fault.

    With None for defaults that can't be read, only what the file has by itself is checked.
    """
    if defaults is None:
        parse_defaults(document)
        return None
    inherited = tuple(_inherited(defaults, document))
    document = merge(defaults, document)
    form = filled(HubForm, document)
    assert form.configmap is not None  # it is required
    return Hub(
        name=name,
        configmap=form.configmap.name,
        namespace=form.configmap.namespace,
        wrap=form.configmap.wrap,
        follow=form.follow,
        promoted_from=form.promoted_from,
        jupyterhub=form.hub.jupyterhub,
        pull_secret=form.hub.pull_secret,
        image_prefix=form.hub.image_prefix,
        installation=form.hub.installation(),
        prefixed_keys=form.keys is Keys.PREFIXED,
        lists_options=(form.options or (Options.LIST if form.keys is Keys.PREFIXED else Options.MENUS)) is Options.LIST,
        unlisted_regex=form.unlisted_regex,
        profiles=tuple(_profile(profile) for profile in form.profiles),
        retired=tuple(Retired(**retired.model_dump()) for retired in form.retired),
        external=tuple(External(**{**external.model_dump(), "image": external.image}) for external in form.external),
        withdrawn=(*inherited, *_withdrawn(form, document)),
        source=document.source,
    )


def _inherited(defaults: Document, document: Document) -> Iterator[Withdrawn]:
    """What the defaults withdraw and a hub's own list would hide: it was withdrawn for every hub."""
    if isinstance(document.data, dict) and document.data.get("withdrawn") is not None:
        yield from _withdrawn(fill(HubForm, defaults, partial=True)[0], defaults)


def _withdrawn(form: HubForm, document: Document) -> Iterator[Withdrawn]:
    for index, one in enumerate(form.withdrawn):
        yield Withdrawn(digest=one.digest, reason=one.reason, position=document.source.at("withdrawn", index))


def _profile(form: ProfileForm) -> Profile:
    return Profile(
        slug=form.slug,
        title=form.title,
        description=form.description,
        stacks=form.stacks,
        default=form.default,
        unlisted=form.unlisted,
        build=form.build,
        previous=form.previous,
        resources=tuple(_resource(resource) for resource in form.resources),
        groups=form.groups,
        override=parse_traits(form.override),
    )


def _resource(form: ResourceForm) -> Resource:
    return Resource(
        key=form.key,
        title=form.title,
        description=form.description,
        default=form.default,
        override=parse_traits(form.model_extra or {}),
    )
