"""The service that stands in for BinderHub: a local git repository for GitHub, fakes for the engine and repo2docker."""

from __future__ import annotations

import asyncio
import re
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hubstack.errors import CommandFailed, HubstackError
from hubstack.graph import resolve
from hubstack.hub.choice import offers
from hubstack.hub.expression import ANY_IMAGE
from hubstack.preview.build import Builds, Event
from hubstack.preview.options import LOCAL_PREFIX, Options
from hubstack.preview.source import address, image_name
from hubstack.preview.stack import as_json, find_stacks, parse
from hubstack.project import load_project
from hubstack.repository.choice import Offer

STACK = "127.0.0.1:5000/hubstack/minimal:1"


@dataclass
class Engine:
    """Its images, by name; and what has been built, as repo2docker would leave it there."""

    images: dict[str, str] = field(default_factory=lambda: {STACK: "sha256:1"})
    built: list[str] = field(default_factory=list)
    fault: HubstackError | None = None
    hold: threading.Event | None = None

    def pull(self, image: str, on_line: Callable[[str], None]) -> str:
        return self.images[image]

    def has(self, image: str) -> bool:
        return image in self.images

    def build(
        self,
        url_or_dir: str,
        ref: str,
        *,
        stack_image: str,
        image: str,
        on_line: Callable[[str], None],
        cancel: threading.Event | None,
        offers: Sequence[Offer],
        ca_bundle: Path | None,
    ) -> str:
        assert stack_image in {one.image for one in offers}
        on_line(f"FROM {stack_image}")
        if self.hold is not None:
            assert self.hold.wait(10)
        if self.fault:
            raise self.fault
        self.images[image] = f"sha256:{len(self.images)}"
        self.built.append(image)
        return image


@pytest.fixture
def repositories(tmp_path: Path) -> Path:
    """``ada/notes`` with a branch, an annotated tag, and a branch of a name with a slash."""
    folder = tmp_path / "ada" / "notes"
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, "one")
    git(folder, "tag", "--annotate", "--message=first", "v1")
    git(folder, "branch", "topic/new")
    commit(folder, "two")
    return tmp_path


def git(folder: Path, *words: str) -> str:
    author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    argv = ["git", "-C", str(folder), *author, *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, text: str) -> str:
    (folder / "README.md").write_text(text, encoding="utf-8")
    git(folder, "add", "README.md")
    git(folder, "commit", "--quiet", f"--message={text}")
    return git(folder, "rev-parse", "HEAD")


def builds(engine: Engine, repositories: Path) -> Builds:
    options = Options(
        project="/project",
        state="/state",
        password="",
        port=1,
        hub_port=2,
        proxy_port=3,
        binder_port=4,
        repositories=f"{repositories}/{{repo}}",
        stack_image=STACK,
        stacks=tuple(as_json(Offer(name=name, image=image)) for name, image in (("small", "host/s:1"), ("own", STACK))),
    )
    return Builds(options=options, images=engine, build_repository=engine.build)


async def heard(service: Builds, repo: str = "ada/notes", ref: str = "main") -> list[Event]:
    return [event async for event in service.stream(repo, ref)]


def ask(engine: Engine, repositories: Path, repo: str = "ada/notes", ref: str = "main") -> list[Event]:
    return asyncio.run(heard(builds(engine, repositories), repo, ref))


def phases(events: list[Event]) -> list[str]:
    return [*dict.fromkeys(event["phase"] for event in events)]


def test_the_phases_come_in_binderhub_s_order_and_the_last_names_the_image(repositories: Path) -> None:
    engine = Engine()
    events = ask(engine, repositories)
    assert phases(events) == ["waiting", "fetching", "building", "pushing", "ready"]
    assert {"phase": "building", "message": f"FROM {STACK}\n"} in events
    assert [events[-1]["imageName"]] == engine.built
    assert all(event["message"].endswith("\n") for event in events)  # the page writes them as they are
    assert re.match(ANY_IMAGE, engine.built[0])  # else no server starts of it


def test_an_image_is_used_again_until_the_repository_or_the_stack_changes(repositories: Path) -> None:
    engine = Engine()
    first = ask(engine, repositories)
    again = ask(engine, repositories)
    assert phases(again) == ["waiting", "ready"]
    assert again[-1]["imageName"] == first[-1]["imageName"]
    assert len(engine.built) == 1
    commit(repositories / "ada" / "notes", "three")
    ask(engine, repositories)
    assert len(engine.built) == 2
    engine.images[STACK] = "sha256:new"
    ask(engine, repositories)
    assert len(set(engine.built)) == 3


def test_who_asks_meanwhile_hears_the_same_from_the_beginning(repositories: Path) -> None:
    engine = Engine(hold=threading.Event())
    service = builds(engine, repositories)

    async def two() -> tuple[list[Event], list[Event]]:
        first = asyncio.create_task(heard(service))
        stream = service.stream("ada/notes", "main")
        async for event in stream:
            if event["phase"] == "building":
                break
        second = asyncio.create_task(heard(service))
        await asyncio.sleep(0)
        assert engine.hold is not None
        engine.hold.set()
        return await first, await second

    first, second = asyncio.run(two())
    assert first == second
    assert phases(second)[-1] == "ready"
    assert len(engine.built) == 1


def test_a_build_goes_on_when_the_page_is_closed(repositories: Path) -> None:
    engine = Engine(hold=threading.Event())
    service = builds(engine, repositories)

    async def leave_and_return() -> list[Event]:
        stream = service.stream("ada/notes", "main")
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]  # an async generator
        assert engine.hold is not None
        engine.hold.set()
        return await heard(service)

    assert phases(asyncio.run(leave_and_return()))[-1] == "ready"
    assert len(engine.built) == 1


@pytest.mark.parametrize(
    ("repo", "ref", "message"),
    [
        ("ada/other", "main", "there is no repository at"),
        ("ada/notes", "nowhere", 'has no branch, tag or commit "nowhere"'),
        ("ada/notes", "--upload-pack=touch x", "has no branch, tag or commit"),
        ("../notes", "main", "is no repository's name"),
        ("-c/notes", "main", "is no repository's name"),
    ],
)
def test_what_is_not_there_is_one_clear_message(repositories: Path, repo: str, ref: str, message: str) -> None:
    engine = Engine()
    events = ask(engine, repositories, repo, ref)
    assert phases(events) == ["waiting", "failed"]
    assert message in events[-1]["message"]
    assert engine.built == []


def test_a_failed_build_ends_with_its_last_lines_and_can_be_tried_again(repositories: Path) -> None:
    engine = Engine(fault=CommandFailed("postBuild ended with code 3", code=3, tail=tuple(map(str, range(30)))))
    service = builds(engine, repositories)

    async def twice() -> tuple[list[Event], list[Event]]:
        failed = await heard(service)
        engine.fault = None
        return failed, await heard(service)

    failed, better = asyncio.run(twice())
    assert failed[-1]["phase"] == "failed"
    assert failed[-1]["message"].splitlines()[-2:] == ["29", "postBuild ended with code 3"]
    assert len(failed[-1]["message"].splitlines()) < 15
    assert better[-1]["phase"] == "ready"


def test_branches_tags_and_commits_are_found(repositories: Path) -> None:
    folder = repositories / "ada" / "notes"
    tip, first = git(folder, "rev-parse", "main"), git(folder, "rev-parse", "v1^{commit}")
    assert tip != first
    for ref, expected in {"main": tip, "HEAD": tip, "v1": first, "topic/new": first, first: first}.items():
        assert ask(Engine(), repositories, ref=ref)[-1]["imageName"].endswith(f":{expected}")


def test_an_address_is_made_by_the_template() -> None:
    assert address("https://git.example/{repo}", "ada/notes.git") == "https://git.example/ada/notes"


def test_different_repositories_have_different_images() -> None:
    names = {
        image_name(LOCAL_PREFIX, url, repo, "0" * 40, "sha256:1")
        for url, repo in [("u", "a-b/c"), ("u", "a/b-c"), ("u", "A-b/c"), ("v", "a-b/c")]
    }
    assert len(names) >= 3
    assert all(re.match(ANY_IMAGE, name) for name in names)


def test_repositories_may_choose_among_the_stacks_that_the_launcher_shows() -> None:
    project, _ = load_project(Path(__file__).parents[2])
    hub, graph = project.hubs["demo"], resolve(project)
    keys = [one.key for one in offers(project, graph, hub) if one.profile == "python" and one.option == "image"]
    choices = {key: {"kubespawner_override": {"image": f"host/{key}:1"}} for key in keys[:2]}
    shown = [{"slug": "python", "profile_options": {"image": {"choices": choices}}}]
    stacks = find_stacks(hub, project, graph, shown, None)
    assert [(one.name, one.image) for one in stacks] == [
        ("minimal/default", "host/minimal:1"),
        ("scipy/trixie-4.5", "host/scipy-trixie-4-5:1"),
    ]
    assert stacks[1].python == "3.13"
    assert "scipy" in stacks[1].provides
    assert [parse(as_json(one)) for one in stacks] == [*stacks]
