"""One layer's templates → its Dockerfile and the files of its build context. Runs in ``render``'s child process."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from hubstack.errors import Problem
from hubstack.model import Bootstrap, Kind, Layer, Project, SourceFile, Value
from hubstack.reference import Digest, ImageRef
from hubstack.render.dockerfile import DockerfileError, Instruction, parse_dockerfile
from hubstack.render.fork import Step
from hubstack.render.origin import Text, mark, separate
from hubstack.render.packages import (
    APT_WORD,
    FILES,
    IN_CONTEXT,
    Site,
    Writer,
    check_packages,
    check_requirements,
    package_lines,
)
from hubstack.render.privilege import with_privileges
from hubstack.render.rule import IMAGE_USER, Allowed, check_dockerfile
from hubstack.render.template import CONTEXT, MACROS, TemplateFault, Templates, parse_text
from hubstack.source import Position
from hubstack.spelling import did_you_mean, quote
from hubstack.value import value_text

DOCKERFILE = "Dockerfile.j2"

_SUITE = re.compile("[a-z][a-z0-9.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A layer with the values that it sees; ``pins`` says whether its slice of the lock holds anything."""

    layer: Layer
    context: Mapping[str, Value]
    pins: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """Plain data, as it goes through the pipe. ``origins`` are paths and lines; ``files`` maps paths to texts."""

    dockerfile: str = ""
    origins: tuple[tuple[str, int], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    bootstrap: Bootstrap | None = None
    upstream: tuple[str, ...] = ()  # locked references that the Dockerfile names
    macros: frozenset[str] = frozenset()
    written: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the lock must know of a layer: requirements without comments, the Python it brings, upstream images."""

    python: str = ""
    requirements: tuple[tuple[str, Position], ...] = ()
    images: tuple[tuple[str, Position], ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianAnswer:
    """And what an update must know: the lines of its apt.txt, or what a base is made from."""

    lines: tuple[str, ...] = ()
    bootstrap: Bootstrap | None = None
    problems: tuple[Problem, ...] = ()


class Composer:
    """``images`` holds the digests of the lock, by reference as the project writes them."""

    def __init__(self, project: Project, images: Mapping[str, Digest]) -> None:
        self._project, self._images = project, images
        self._macros: dict[str, str] = {}
        self._macro_faults: list[Problem] = []
        for name, file in project.macros.items():
            try:
                self._macros[name] = parse_text(file.content, f"{MACROS}/{name}")
            except TemplateFault as fault:
                self._macro_faults += fault.problems
        declared = {name: layer.name for layer in project.layers.values() for name in layer.variables}
        self.templates = Templates(self._macros, declared)
        self._texts: dict[str, str] = {}

    def check(self) -> list[Problem]:
        """What is wrong whatever the values are: macros, names of variables, files that nothing reads."""
        found = list(self._macro_faults)
        for name, text in self._macros.items():
            found += self.templates.check(f"{MACROS}/{name}", text, dict.fromkeys(CONTEXT, ""))
        for layer in self._project.layers.values():
            found += _stray_files(layer)
        return found

    def compose(self, job: Job, step: Step) -> Composed:
        return _Composition(self, job, step).result()

    def inquire(self, job: Job, step: Step) -> Answer:
        return _Composition(self, job, step).answer()

    def inquire_debian(self, job: Job, step: Step) -> DebianAnswer:
        return _Composition(self, job, step).debian()

    def text(self, layer: Layer, name: str) -> str:
        """A text file of a layer. Raises TemplateFault where it is none."""
        path = f"{layer.folder}/{name}"
        if path not in self._texts:
            self._texts[path] = parse_text(layer.files[name].content, path)
        return self._texts[path]

    def cache(self, context: Mapping[str, Value]) -> str:
        """What the archive caches of one base and release are called by."""
        base = str(context["base"])
        values = [value_text(context[name]) for name in sorted(self._project.layers[base].variables) if name in context]
        return re.sub(r"[^A-Za-z0-9._-]", "-", "-".join((base, *values)))

    def digest(self, reference: str) -> Digest | None:
        return self._images.get(reference)


class _Composition:
    def __init__(self, composer: Composer, job: Job, step: Step) -> None:
        self._composer, self._job, self._step = composer, job, step
        self._layer = job.layer
        self._problems: list[Problem] = []
        self._macros: frozenset[str] = frozenset()
        self._written_runs: Mapping[str, str] = {}

    def result(self) -> Composed:
        package_texts = {name: text for name in FILES if (text := self._render(name)) is not None}
        for name in ("apt.txt", "npm.txt"):
            if name in package_texts:
                self._problems += check_packages(name, package_texts[name])
        files = {name: text.text for name, text in package_texts.items() if name in IN_CONTEXT}
        for name, file in self._layer.files.items():
            if is_file_template(name, file) and (text := self._render(name)) is not None:
                files[name.removesuffix(".j2")] = text.text
        upstream = {reference: self._composer.digest(reference) for reference, _ in self._references()}
        top, bootstrap = self._top()
        dockerfile = self._dockerfile(package_texts, top)
        if dockerfile is None:
            return Composed(problems=tuple(self._problems))
        dockerfile, used = pin_images(dockerfile, {name: digest for name, digest in upstream.items() if digest})
        self._check(dockerfile, upstream, files)
        return Composed(
            dockerfile=dockerfile.text,
            origins=dockerfile.origins,
            files=files,
            bootstrap=bootstrap,
            upstream=used,
            macros=self._macros,
            written=self._written_runs,
            problems=tuple(self._problems),
        )

    def answer(self) -> Answer:
        layer = self._layer
        text = self._render("requirements.txt")
        lines = () if text is None else tuple(package_lines(text))
        self._problems += check_requirements(lines)
        return Answer(
            python=self._value(layer.python, "python") if layer.python else "",
            requirements=lines,
            images=tuple(self._references()),
            problems=tuple(self._problems),
        )

    def debian(self) -> DebianAnswer:
        text = self._render("apt.txt")
        if text is not None:
            self._problems += check_packages("apt.txt", text)
        lines = () if text is None else tuple(line for line, _ in package_lines(text))
        return DebianAnswer(lines=lines, bootstrap=self._bootstrap(), problems=tuple(self._problems))

    def _render(self, name: str, functions: Mapping[str, Callable[..., str]] | None = None) -> Text | None:
        """A text of the layer; its faults are kept for the result."""
        if name not in self._layer.files:
            return None
        path = f"{self._layer.folder}/{name}"
        self._step(path)
        try:
            text = self._composer.text(self._layer, name)
            if faults := self._composer.templates.check(path, text, self._job.context):
                self._problems += faults
                return None
            self._macros |= self._composer.templates.macros_used(path, text)
            return self._composer.templates.render(path, text, self._job.context, functions)
        except TemplateFault as fault:
            self._problems += fault.problems
            return None

    def _value(self, text: str, *keys: str | int) -> str:
        position = self._layer.source.at(*keys)
        self._step(position.path)
        try:
            return self._composer.templates.render_value(text, position, self._job.context)
        except TemplateFault as fault:
            self._problems += fault.problems
            return ""

    def _top(self) -> tuple[Text | None, Bootstrap | None]:
        """The stage ``parent`` of a base, which no named context gives."""
        if self._layer.image:
            reference = self._value(self._layer.image, "image")
            return self._stage(f"FROM {reference} AS parent", "image"), None
        if (bootstrap := self._bootstrap()) is not None:
            return self._stage("FROM scratch AS parent\nADD rootfs.tar /", "bootstrap"), bootstrap
        return None, None

    def _bootstrap(self) -> Bootstrap | None:
        """With its templates resolved."""
        bootstrap = self._layer.bootstrap
        if bootstrap is None:
            return None
        return Bootstrap(
            suite=self._word(bootstrap.suite, _SUITE, "a Debian release", "suite"),
            variant=self._value(bootstrap.variant, "bootstrap", "variant"),
            include=tuple(
                self._word(one, APT_WORD, "a Debian package", "include", at) for at, one in enumerate(bootstrap.include)
            ),
        )

    def _word(self, text: str, pattern: re.Pattern[str], wanted: str, *keys: str | int) -> str:
        """A word of mmdebstrap's, which runs on the builder's own machine and takes options that run commands there."""
        word = self._value(text, "bootstrap", *keys)
        if word and pattern.fullmatch(word) is None:
            position = self._layer.source.at("bootstrap", *keys)
            remedy = "Write it as in bookworm." if keys == ("suite",) else "Write one name, as in ca-certificates."
            self._problems.append(Problem(position=position, what=f"{quote(word)} is not {wanted}", remedy=remedy))
        return word

    def _stage(self, text: str, key: str) -> Text:
        position = self._layer.source.at(key)
        lines = (*text.split("\n"), "")
        return Text("\n".join(lines), ((position.path, position.line),) * len(lines))

    def _references(self) -> Iterator[tuple[str, Position]]:
        """The upstream images that the Dockerfile may name."""
        layer = self._layer
        named: list[tuple[str, tuple[str | int, ...]]] = [(layer.image, ("image",))] if layer.image else []
        named += [(one, ("upstream", at)) for at, one in enumerate(layer.upstream)]
        for text, keys in named:
            position = layer.source.at(*keys)
            if not (reference := self._value(text, *keys)):
                continue
            try:
                ImageRef.parse(reference)
            except ValueError:
                remedy = "Write it as registry/name:tag."
                self._problems.append(Problem(position=position, what=f"{quote(reference)} is no image", remedy=remedy))
            else:
                yield reference, position

    def _dockerfile(self, texts: Mapping[str, Text], top: Text | None) -> Text | None:
        job, layer = self._job, self._layer
        site = Site(
            folder=layer.folder,
            cache=self._composer.cache(job.context),
            packages=texts,
            pins=job.pins,
            files={
                name.removesuffix(".j2"): file.executable
                for name, file in layer.files.items()
                if name.startswith("files/")
            },
        )
        writer = Writer(self._composer.templates, site)
        self._written_runs = writer.written
        if DOCKERFILE not in layer.files:
            body: Text | None = self._written(writer)
        elif (body := self._render(DOCKERFILE, writer.functions())) is not None:
            self._check_installed(writer)
        if body is None:
            return None
        if top is not None:
            body = Text(f"{top.text}\n{body.text}", top.origins + body.origins)
        try:
            return with_privileges(body, base=layer.kind is Kind.BASE)
        except TemplateFault as fault:
            self._problems += fault.problems
            return None

    def _written(self, writer: Writer) -> Text:
        """The Dockerfile of a layer that has none: packages, then its files, then postBuild, which may need both."""
        first = [name for name in FILES if name in writer.site.packages and name != "postBuild"]
        here = mark(self._layer.source.path, 1)
        blocks = [
            "FROM parent",
            writer.packages(*first) if first else "",
            f"{here}{writer.copy('files/', '/')}" if writer.site.files else "",
            writer.packages("postBuild") if "postBuild" in writer.site.packages else "",
            f"{here}USER {IMAGE_USER}\n",
        ]
        return separate("\n\n".join(filter(None, blocks)), self._layer.source.path)

    def _check_installed(self, writer: Writer) -> None:
        for name in writer.site.packages.keys() - writer.asked:
            what = f"{DOCKERFILE} does not install {name}"
            position = Position(path=f"{self._layer.folder}/{name}")
            self._problems.append(Problem(position=position, what=what, remedy="Write {{ packages() }} in it."))

    def _check(self, dockerfile: Text, upstream: Mapping[str, Digest | None], files: Mapping[str, str]) -> None:
        layer = self._layer
        context = {*files, *(name for name, file in layer.files.items() if is_plain_file(name, file))}
        context |= {"requirements.txt"} if self._job.pins else set()
        context |= {"rootfs.tar"} if layer.bootstrap is not None else set()
        allowed = Allowed(
            base=layer.kind is Kind.BASE,
            copy_from=frozenset(layer.copy_from),
            upstream=frozenset(pinned(name, digest) if digest else name for name, digest in upstream.items()),
            context=frozenset(context),
        )

        def place(line: int) -> Position:
            path, number = dockerfile.origins[min(line, len(dockerfile.origins)) - 1]
            return Position(path=path, line=number)

        self._problems += check_dockerfile(dockerfile.text, place, allowed)


def pinned(reference: str, digest: Digest) -> str:
    return reference if "@" in reference else f"{reference}@{digest}"


def pin_images(dockerfile: Text, images: Mapping[str, Digest]) -> tuple[Text, tuple[str, ...]]:
    """Write the digest behind every locked reference that FROM, ``--from`` or a mount names; those that were found."""
    if not images:
        return dockerfile, ()
    try:
        instructions = parse_dockerfile(dockerfile.text).instructions
    except DockerfileError:  # the rules say so at the right line
        return dockerfile, ()
    lines, used = dockerfile.text.split("\n"), dict[str, None]()
    for one in instructions:
        for reference in images.keys() & set(images_named(one)):
            used[reference] = None
            name = re.compile(rf"(?<![\w./:@-]){re.escape(reference)}(?![\w./:@-])")
            for number in range(one.line - 1, one.end - one.heredoc_lines):
                lines[number] = name.sub(pinned(reference, images[reference]), lines[number])
    return Text("\n".join(lines), dockerfile.origins), tuple(sorted(used))


def images_named(one: Instruction) -> Iterator[str]:
    if one.name == "FROM":
        yield one.words[0]
    if (origin := one.flag("from")) is not None:
        yield origin
    yield from (mount["from"] for mount in one.mounts() if "from" in mount)


def is_plain_file(name: str, file: SourceFile) -> bool:
    """Whether it goes into the build context as it is."""
    return name.startswith("files/") and not is_file_template(name, file)


def is_file_template(name: str, file: SourceFile) -> bool:
    return name.startswith("files/") and name.endswith(".j2") and file.link is None


def _stray_files(layer: Layer) -> Iterator[Problem]:
    """Files that nothing reads, but whose name says that somebody thinks so; and two that become one."""
    known = (*FILES, DOCKERFILE)
    for name, file in layer.files.items():
        position = Position(path=f"{layer.folder}/{name}")
        if is_file_template(name, file) and name.removesuffix(".j2") in layer.files:
            what = f"{name} and {name.removesuffix('.j2')} become one file"
            yield Problem(position=position, what=what, remedy="Remove one.")
        if "/" not in name and name not in known and (near := did_you_mean(name, known)):
            yield Problem(position=position, what=f"nothing reads {quote(name)}{near}", remedy="Rename or remove it.")
