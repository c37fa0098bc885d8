"""``profiles/<hub>.yaml``, and ``profiles/_defaults.yaml``, from which every hub of the project starts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from hubstack.errors import Problem, ProjectError
from hubstack.files.form import FileForm, Form, fill, filled
from hubstack.files.scalar import (
    Channel,
    DnsName,
    Fault,
    Flag,
    KeyName,
    Kind,
    Prose,
    Regex,
    Some,
    Text,
    Unique,
    choice,
    dns_name,
    parse_image,
    scalar,
    text,
    unfit,
)
from hubstack.files.trait import parse_traits, trait_faults, trait_schemas
from hubstack.model import External, Hub, ImageRef, Key, Position, Profile, Resource, Retired, Source
from hubstack.spelling import did_you_mean, quote
from hubstack.value import TRUE
from hubstack.yamlfile import Data, Document, merge

_STACKS = re.compile(r"[a-z0-9*?\[\]!-]+(?:/[A-Za-z0-9._+~*?\[\]!-]+)?")
_VARIANT = re.compile(r"[a-z0-9-]+/[A-Za-z0-9._+~-]+")
_DATE = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])")


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


def _date(value: object) -> str:
    line = text(value)
    if not _DATE.fullmatch(line):
        raise unfit(line, "a date, as 2026-12-31")
    return line


def _pinned(value: object) -> ImageRef:
    image = parse_image(text(value))
    if image.digest is None:
        raise Fault(f"is {quote(text(value))}, without a digest", "Write name:tag@sha256:….")
    return image


def _secret(value: object) -> str:
    return "" if value == "none" else dns_name(value)


class Keys(StrEnum):
    PLAIN = "plain"
    PREFIXED = "prefixed"


class ConfigMapForm(Form):
    """Where the hub's Helm release looks for its values."""

    name: DnsName = Field(description="Its name.")
    namespace: DnsName = Field(description="Its namespace, which is the HelmRelease's.")
    wrap: tuple[Text, ...] = Field(
        (),
        description="An umbrella chart's keys above those of Zero to JupyterHub, outermost first, as `[jupyterhub]`.",
    )


class InstallationForm(Form):
    """What the hub is."""

    jupyterhub: Text = Field("", description="Its JupyterHub's release, compared with the one in the images.")
    pull_secret: Annotated[str, Kind(_secret, {"type": "string", "title": "Kubernetes name or `none`"})] = Field(
        "", description="The secret that it pulls images with. `none`: without credentials."
    )
    image_prefix: Text = Field("", description="Its BinderHub's `image_prefix`. What people build begins with it.")


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
    resources: tuple[ResourceForm, ...] = Field((), description="Sizes to choose from.")
    groups: Unique[Text] = Field((), description="The groups that see it. Without any, everybody does.")
    override: dict[str, Any] = Field(
        {}, description="KubeSpawner's traits for its servers.", json_schema_extra=_add_traits
    )


class RetiredForm(Form):
    """A choice that is offered no more. Saved servers that name it get its successor."""

    profile: KeyName = Field(description="The profile's slug.")
    key: KeyName = Field(description="The choice's key, as the ConfigMap had it.")
    successor: KeyName = Field(description="The key of the choice that takes its place.")
    until: Annotated[str, scalar("date", _date, f"^{_DATE.pattern}$")] = Field(
        "", description="When it may go. For people."
    )


class ExternalForm(Form):
    """An image that is offered without being built here."""

    profile: KeyName = Field(description="The slug of the profile that offers it, behind its stacks.")
    key: KeyName = Field(description="Stays the same once people have used it.")
    title: Prose = Field(description="What people read in the launcher.")
    description: Prose = Field("", description="One line more for them.")
    image: Annotated[ImageRef, Kind(_pinned, {"type": "string", "title": "image with digest"})] = Field(
        description="As `name:tag@sha256:…`."
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
    hub: InstallationForm = Field(InstallationForm(), description="What is known of its installation.")
    keys: Annotated[Keys, choice(Keys)] = Field(
        Keys.PLAIN,
        description="How choices keep their order, which Helm forgets. `plain`: by a snippet in the hub's `extraConfig`. "
        "`prefixed`: by numbers at the beginning of each key.",
    )
    unlisted_regex: Regex = Field(
        "", description="What people may name as an image. Otherwise any with a tag or a digest."
    )
    profiles: Annotated[tuple[ProfileForm, ...], Some] = Field(
        (), description="What its launcher shows, in this order."
    )
    retired: tuple[RetiredForm, ...] = Field((), description="Choices that are gone and still resolve.")
    external: tuple[ExternalForm, ...] = Field((), description="Images offered without being built here.")

    def faults(self, document: Document) -> Iterator[Problem]:
        source, slugs = document.source, []
        for index, profile in _entries(document.data, "profiles"):
            slugs.append(profile.get("slug"))
            yield from _profile_faults(profile, source, ("profiles", index))
        yield from _repeated(_entries(document.data, "profiles"), ("slug",), source, "profiles")
        for name in ("retired", "external"):
            yield from _repeated(_entries(document.data, name), ("profile", "key"), source, name)
            for index, entry in _entries(document.data, name):
                yield from _profile_known(entry, [str(slug) for slug in slugs], source, (name, index))
        yield from _empty_profiles(document)


_Entry = Mapping[str, Data]
_Path = tuple[Key, ...]


def _entries(data: Data, name: str) -> Iterator[tuple[int, _Entry]]:
    """The mappings of the list under ``name``. These checks read the data itself, since forms may be half filled."""
    items = data.get(name) if isinstance(data, dict) else None
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict):
            yield index, item


def _is_true(value: Data) -> bool:
    return isinstance(value, str) and value.lower() in TRUE


def _repeated(entries: Iterable[tuple[int, _Entry]], fields: _Path, source: Source, *path: Key) -> Iterator[Problem]:
    seen: dict[tuple[Data, ...], Position] = {}
    for index, entry in entries:
        names = tuple(entry.get(str(field)) for field in fields)
        position = source.at(*path, index, fields[-1])
        if not all(isinstance(name, str) for name in names):
            continue
        if (first := seen.setdefault(names, position)) != position:
            what = f"the {fields[-1]} {quote(str(names[-1]))} stands here and in {first}"
            yield Problem(position=position, what=what, remedy="Rename one of them.")


def _profile_faults(profile: _Entry, source: Source, path: _Path) -> Iterator[Problem]:
    if _is_true(profile.get("build")) and not _is_true(profile.get("unlisted")):
        what = "build needs unlisted: the launcher shows the one only beside the other"
        yield Problem(position=source.at(*path, "build"), what=what, remedy="Write `unlisted: true`, too.")
    override = profile.get("override")
    yield from trait_faults(override if isinstance(override, dict) else {}, source, (*path, "override"))
    resources = list(_entries(dict(profile), "resources"))
    yield from _repeated(resources, ("key",), source, *path, "resources")
    defaults = [index for index, resource in resources if _is_true(resource.get("default"))]
    for index in defaults[1:]:
        first = source.at(*path, "resources", defaults[0], "default")
        what = f"a second default; the first is in {first}"
        yield Problem(position=source.at(*path, "resources", index, "default"), what=what, remedy="Keep one.")
    for index, resource in resources:
        traits = {name: value for name, value in resource.items() if name not in ResourceForm.model_fields}
        yield from trait_faults(traits, source, (*path, "resources", index))


def _profile_known(entry: _Entry, slugs: list[str], source: Source, path: _Path) -> Iterator[Problem]:
    slug = entry.get("profile")
    if isinstance(slug, str) and slug not in slugs:
        what = f"no profile has the slug {quote(slug)}{did_you_mean(slug, slugs)}"
        yield Problem(position=source.at(*path, "profile"), what=what, remedy="It must be one of this hub's.")
    if path[0] == "retired" and entry.get("successor") is not None and entry.get("successor") == entry.get("key"):
        what = "a retired choice can't be its own successor"
        yield Problem(position=source.at(*path, "successor"), what=what, remedy="Name the choice that takes its place.")


def _empty_profiles(document: Document) -> Iterator[Problem]:
    """A launcher whose profile offers no image shows a blank page (hub.md, 0.6)."""
    external = {entry.get("profile") for _, entry in _entries(document.data, "external")}
    for index, profile in _entries(document.data, "profiles"):
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
    document = merge(defaults, document)
    form = filled(HubForm, document)
    assert form.configmap is not None  # it is required
    return Hub(
        name=name,
        configmap=form.configmap.name,
        namespace=form.configmap.namespace,
        wrap=form.configmap.wrap,
        follow=form.follow,
        jupyterhub=form.hub.jupyterhub,
        pull_secret=form.hub.pull_secret,
        image_prefix=form.hub.image_prefix,
        prefixed_keys=form.keys is Keys.PREFIXED,
        unlisted_regex=form.unlisted_regex,
        profiles=tuple(_profile(profile) for profile in form.profiles),
        retired=tuple(Retired(**retired.model_dump()) for retired in form.retired),
        external=tuple(External(**{**external.model_dump(), "image": external.image}) for external in form.external),
        source=document.source,
    )


def _profile(form: ProfileForm) -> Profile:
    return Profile(
        slug=form.slug,
        title=form.title,
        description=form.description,
        stacks=form.stacks,
        default=form.default,
        unlisted=form.unlisted,
        build=form.build,
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
