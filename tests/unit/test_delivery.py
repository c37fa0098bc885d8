"""ConfigMaps into a GitOps repository, by git itself: what is pushed, what is not, and who wins."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hubstack.ci.delivery import Delivery, Origin, Target, deliver, record_ref
from hubstack.ci.mirror import Mirror
from hubstack.errors import CommandFailed, HubstackError, UsageError

pytestmark = pytest.mark.long

FILE = "apps/demo.yaml"


def git(folder: Path, *words: str) -> str:
    argv = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@example.org", *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, path: str, text: str) -> str:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text)
    git(folder, "add", path)
    git(folder, "commit", "--quiet", "--message", f"{path}: {text}")
    return git(folder, "rev-parse", "HEAD")


@dataclass(frozen=True)
class Cluster:
    """A GitOps repository somewhere else, and the project of which three commits are known."""

    folder: Path  # bare
    project: Path
    commits: Sequence[str]

    @property
    def url(self) -> str:
        return f"file://{self.folder}"

    def origin(self, number: int, *, project: Path | None = None) -> Origin:
        return Origin(git=Origin.at(project or self.project).git, commit=self.commits[number - 1])

    def deliver(self, number: int, text: str, *, path: str = FILE, branch: str = "", base: str = "") -> Delivery:
        """``text`` as made from the project's commit of that number."""
        target = Target(repository=self.url, branch=branch, base=base)
        return deliver(target, {path: text.encode()}, self.origin(number), message="ConfigMaps")

    def read(self, path: str = FILE, branch: str = "main") -> str:
        return git(self.folder, "show", f"{branch}:{path}")

    def log(self, branch: str = "main") -> list[str]:
        return git(self.folder, "log", "--format=%s", branch).splitlines()

    def someone(self, path: str, text: str) -> str:
        """Somebody else's commit on main."""
        clone = self.folder.parent / "someone"
        if not clone.exists():
            git(self.folder.parent, "clone", "--quiet", self.url, str(clone))
        git(clone, "pull", "--quiet", "--rebase")
        made = commit(clone, path, text)
        git(clone, "push", "--quiet")
        return made


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    project = tmp_path / "project"
    project.mkdir()
    git(project, "init", "--quiet", "--initial-branch=main")
    commits = [commit(project, "hubstack.yaml", f"# {number}\n") for number in (1, 2, 3)]
    folder = tmp_path / "cluster.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(folder))
    made = Cluster(folder, project, commits)
    git(tmp_path, "clone", "--quiet", made.url, str(tmp_path / "someone"))
    commit(tmp_path / "someone", "apps/other.yaml", "theirs")
    git(tmp_path / "someone", "push", "--quiet", "origin", "HEAD:main")
    return made


# --- what is pushed ------------------------------------------------------------------------------------------------------


def test_a_configmap_is_one_commit_that_says_where_it_comes_from(cluster: Cluster) -> None:
    done = cluster.deliver(1, "one")
    assert cluster.read() == "one"
    assert cluster.read("apps/other.yaml") == "theirs"
    assert done.changed == (FILE,)
    assert done.commit == git(cluster.folder, "rev-parse", "main")
    assert git(cluster.folder, "diff", "--name-only", "main~1", "main") == FILE
    assert (
        git(cluster.folder, "log", "-1", "--format=%(trailers:key=Hubstack-Source,valueonly)", "main").strip()
        == (cluster.commits[0])
    )
    git(cluster.folder, "fsck", "--strict")


def test_equal_bytes_are_no_commit(cluster: Cluster) -> None:
    cluster.deliver(1, "one")
    before = cluster.log()
    assert cluster.deliver(1, "one") == Delivery(branch="main")
    assert cluster.deliver(2, "one") == Delivery(branch="main")
    assert cluster.log() == before


def test_a_newer_commit_replaces_an_older_one_s(cluster: Cluster) -> None:
    cluster.deliver(1, "one")
    cluster.someone("apps/other.yaml", "theirs, later")
    cluster.deliver(2, "two")
    assert cluster.read() == "two"
    assert cluster.read("apps/other.yaml") == "theirs, later"


def test_the_repository_s_mode_links_and_hooks_have_no_say(cluster: Cluster, tmp_path: Path) -> None:
    """A link in it is replaced, not followed."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    clone = tmp_path / "someone"
    (clone / FILE).symlink_to(victim)
    git(clone, "add", FILE)
    git(clone, "commit", "--quiet", "--message", "a link")
    git(clone, "push", "--quiet", "origin", "HEAD:main")
    cluster.deliver(1, "one")
    assert git(cluster.folder, "ls-tree", "main", FILE).startswith("100644 blob")
    assert victim.read_text() == "mine"


def test_several_hubs_are_one_commit_of_what_changes(cluster: Cluster) -> None:
    target = Target(repository=cluster.url)
    files = {"a.yaml": b"a", "b.yaml": b"b"}
    deliver(target, files, cluster.origin(1), message="both")
    done = deliver(target, {**files, "b.yaml": b"b2"}, cluster.origin(2), message="one")
    assert done.changed == ("b.yaml",)
    assert git(cluster.folder, "diff", "--name-only", "main~1", "main") == "b.yaml"


def test_a_repository_as_large_as_one_likes_costs_a_tree(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its files nor its history are fetched, where its server can leave them out."""
    git(cluster.folder, "config", "uploadpack.allowFilter", "true")
    for number in range(3):
        cluster.someone("big", f"{number}" * 100_000)
    trace = cluster.folder.parent / "trace"
    monkeypatch.setenv("GIT_TRACE_PACKET", str(trace))
    cluster.deliver(1, "one")
    assert cluster.read("big") == "2" * 100_000
    packets = trace.read_text(errors="replace")
    assert "filter blob:none" in packets
    assert "deepen 1" in packets


# --- never an older commit's over a newer one's -----------------------------------------------------------------------------


def test_an_older_commit_s_is_refused(cluster: Cluster) -> None:
    cluster.deliver(2, "two")
    before = git(cluster.folder, "for-each-ref")
    with pytest.raises(HubstackError, match=r"comes from a newer commit than .* nothing was pushed"):
        cluster.deliver(1, "one")
    assert git(cluster.folder, "for-each-ref") == before
    assert cluster.read() == "two"


def test_an_older_commit_s_is_fine_where_it_is_the_same(cluster: Cluster) -> None:
    cluster.deliver(2, "two")
    assert cluster.deliver(1, "two") == Delivery(branch="main")
    with pytest.raises(HubstackError):
        cluster.deliver(1, "one")


def test_a_newer_commit_that_had_nothing_to_change_counts(cluster: Cluster) -> None:
    """Commit 3 takes back what 2 did; its run is quicker. What 2 brings then is old."""
    cluster.deliver(1, "one")
    cluster.deliver(3, "one")
    with pytest.raises(HubstackError, match="newer commit"):
        cluster.deliver(2, "two")
    assert cluster.read() == "one"


def test_where_the_ref_is_gone_the_message_counts(cluster: Cluster) -> None:
    cluster.deliver(2, "two")
    cluster.someone("apps/other.yaml", "and something after it")
    git(cluster.folder, "update-ref", "-d", record_ref("main", FILE))
    with pytest.raises(HubstackError, match="newer commit"):
        cluster.deliver(1, "one")
    assert cluster.deliver(3, "three").commit


def test_what_people_wrote_there_is_replaced(cluster: Cluster) -> None:
    cluster.someone(FILE, "by hand")
    cluster.deliver(1, "one")
    assert cluster.read() == "one"


def test_hubs_are_delivered_each_at_its_own_pace(cluster: Cluster) -> None:
    cluster.deliver(3, "three", path="apps/staging.yaml")
    cluster.deliver(1, "one", path="apps/prod.yaml")
    assert (cluster.read("apps/staging.yaml"), cluster.read("apps/prod.yaml")) == ("three", "one")


def test_another_project_s_commit_is_unknown(cluster: Cluster, tmp_path: Path) -> None:
    cluster.deliver(1, "one")
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    commit(other, "hubstack.yaml", "# another\n")
    with pytest.raises(HubstackError, match="is not known here") as caught:
        deliver(Target(repository=cluster.url), {FILE: b"x"}, Origin.at(other), message="x")
    assert "Another project" in caught.value.hint


def test_a_shallow_clone_fetches_what_it_lacks(cluster: Cluster, tmp_path: Path) -> None:
    """As actions/checkout makes it."""
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{cluster.project}", str(shallow))
    cluster.deliver(1, "one")
    done = deliver(Target(repository=cluster.url), {FILE: b"three"}, Origin.at(shallow), message="x")
    assert done.changed == (FILE,)
    assert cluster.read() == "three"


def test_a_shallow_clone_is_told_what_it_lacks(cluster: Cluster, tmp_path: Path) -> None:
    cluster.deliver(1, "one")
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{cluster.project}", str(shallow))
    git(shallow, "remote", "set-url", "origin", "file:///nonexistent")
    with pytest.raises(HubstackError, match="is not known here") as caught:
        deliver(Target(repository=cluster.url), {FILE: b"x"}, Origin.at(shallow), message="x")
    assert "fetch-depth: 0" in caught.value.hint


# --- several at once --------------------------------------------------------------------------------------------------------


def test_somebody_else_s_push_in_between_is_looked_at_again(cluster: Cluster) -> None:
    """The branch moves after we have looked, before our push arrives."""
    theirs = cluster.someone("apps/other.yaml", "in between")
    git(cluster.folder, "update-ref", "refs/heads/main", f"{theirs}~1")
    meddle(cluster, f"refs/heads/main {theirs}")
    cluster.deliver(1, "one")
    assert (cluster.read(), cluster.read("apps/other.yaml")) == ("one", "in between")
    assert len(cluster.log()) == 3


def test_a_newer_commit_in_between_wins(cluster: Cluster) -> None:
    """Commit 3 had nothing to change and only left its ref, after we have looked."""
    cluster.deliver(1, "one")
    cluster.deliver(3, "one")
    ref = record_ref("main", FILE)
    newest = git(cluster.folder, "rev-parse", ref)
    git(cluster.folder, "update-ref", "-d", ref)
    meddle(cluster, f"{ref} {newest}")
    with pytest.raises(HubstackError, match="newer commit"):
        cluster.deliver(2, "two")
    assert cluster.read() == "one"


@pytest.mark.parametrize("moved", ["refs/heads/main", record_ref("main", FILE)])
def test_what_has_moved_since_it_was_seen_stops_the_whole_push(cluster: Cluster, tmp_path: Path, moved: str) -> None:
    """Before our push begins, so that its server has nothing against it."""
    cluster.deliver(1, "one")
    (folder := tmp_path / "mirror").mkdir()
    mirror = Mirror.at(folder, cluster.url, branch="", base="", ca_bundle=None)
    git(cluster.folder, "update-ref", moved, git(cluster.folder, "rev-parse", "main~1"))
    before = git(cluster.folder, "for-each-ref")
    ours = mirror.commit(mirror.below, {FILE: mirror.add(b"two")}, "two")
    with pytest.raises(CommandFailed):
        mirror.push({"refs/heads/main": ours, record_ref("main", FILE): mirror.note("two")})
    assert git(cluster.folder, "for-each-ref") == before


def meddle(cluster: Cluster, update: str) -> None:
    """Let somebody set a ref of the repository when the next push arrives, and be first."""
    hook = cluster.folder / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        f"#!/bin/sh\n[ -e meddled ] || {{ touch meddled; unset GIT_QUARANTINE_PATH; git update-ref {update}; }}\n"
    )
    hook.chmod(0o755)


@pytest.mark.parametrize("numbers", [(1, 1), (2, 3), (1, 2, 3)])
def test_at_once_as_one_after_the_other(cluster: Cluster, numbers: Sequence[int]) -> None:
    """The newest's is there in the end, whoever began first."""
    refused: dict[int, str] = {}

    def work(number: int) -> None:
        try:
            cluster.deliver(number, f"of {number}")
        except HubstackError as error:
            refused[number] = error.message

    threads = [threading.Thread(target=work, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cluster.read() == f"of {max(numbers)}"
    assert max(numbers) not in refused
    assert all("newer commit" in message for message in refused.values())
    assert len(cluster.log()) <= 1 + len(set(numbers))


def test_who_may_not_push_is_told_so(cluster: Cluster) -> None:
    hook = cluster.folder / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'main is protected'\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(HubstackError, match="git can't push to") as caught:
        cluster.deliver(1, "one")
    assert "main is protected" in caught.value.hint
    assert cluster.log() == ["apps/other.yaml: theirs"]


# --- a branch that asks to be merged ------------------------------------------------------------------------------------------


def ask(cluster: Cluster, number: int, text: str) -> Delivery:
    return cluster.deliver(number, text, branch="hubstack/profiles", base="main")


def test_a_branch_asks_to_be_merged(cluster: Cluster) -> None:
    done = ask(cluster, 1, "one")
    assert done.asks
    assert cluster.read(branch="hubstack/profiles") == "one"
    assert cluster.log() == ["apps/other.yaml: theirs"]
    assert ask(cluster, 1, "one") == Delivery(branch="hubstack/profiles", changed=(FILE,), asks=True)
    assert cluster.log("hubstack/profiles")[1:] == cluster.log()


def test_it_stays_one_commit_on_its_base(cluster: Cluster) -> None:
    ask(cluster, 1, "one")
    cluster.someone("apps/other.yaml", "later")
    assert not ask(cluster, 1, "one").commit  # it can still be merged
    done = ask(cluster, 2, "two")
    assert done.asks
    assert git(cluster.folder, "rev-parse", "hubstack/profiles~1") == git(cluster.folder, "rev-parse", "main")
    assert cluster.read(branch="hubstack/profiles") == "two"


def test_it_begins_anew_where_its_base_has_changed_the_same_file(cluster: Cluster) -> None:
    ask(cluster, 1, "one")
    cluster.someone(FILE, "by hand")
    assert ask(cluster, 1, "one").commit
    assert git(cluster.folder, "rev-parse", "hubstack/profiles~1") == git(cluster.folder, "rev-parse", "main")


def test_it_goes_when_there_is_nothing_left_to_ask_for(cluster: Cluster) -> None:
    ask(cluster, 1, "one")
    git(cluster.folder, "update-ref", "refs/heads/main", "hubstack/profiles")  # merged
    assert not ask(cluster, 2, "one").asks
    assert git(cluster.folder, "for-each-ref", "--format=%(refname)", "refs/heads") == "refs/heads/main"


def test_an_older_commit_asks_for_nothing_once_a_newer_one_did(cluster: Cluster) -> None:
    ask(cluster, 2, "two")
    with pytest.raises(HubstackError, match="newer commit"):
        ask(cluster, 1, "one")
    cluster.deliver(3, "three")
    with pytest.raises(HubstackError, match="newer commit"):
        ask(cluster, 2, "two")
    assert cluster.read() == "three"


# --- what can't be done ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (Target(repository="file:///nonexistent.git"), "git can't read file:///nonexistent.git"),
        (Target(repository="https://me:secret@127.0.0.1:9/x.git"), r"git can't read https://\*\*\*@127.0.0.1:9/x.git"),
        (Target(repository="--upload-pack=touch x"), "git can't read --upload-pack"),
        (Target(repository="CLUSTER", branch="nowhere"), 'has no branch "nowhere"'),
        (Target(repository="CLUSTER", branch="a:b"), '"a:b" is no name for a branch'),
    ],
)
def test_a_target_that_is_none(cluster: Cluster, target: Target, message: str) -> None:
    repository = target.repository.replace("CLUSTER", cluster.url)
    target = Target(repository=repository, branch=target.branch)
    with pytest.raises(HubstackError, match=message) as caught:
        deliver(target, {FILE: b"x"}, cluster.origin(1), message="x")
    assert "secret" not in caught.value.message + caught.value.hint


def test_an_empty_repository(cluster: Cluster, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(tmp_path / "empty.git"))
    with pytest.raises(HubstackError, match="has no branch") as caught:
        deliver(Target(repository=str(tmp_path / "empty.git")), {FILE: b"x"}, cluster.origin(1), message="x")
    assert "first commit" in caught.value.hint


def test_a_project_without_git(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="in no git repository"):
        Origin.at(tmp_path)


def test_another_project_takes_over_what_somebody_has_removed(cluster: Cluster, tmp_path: Path) -> None:
    """As docs/deliver.md says: the file goes, and what is recorded."""
    cluster.deliver(1, "one")
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    commit(other, "hubstack.yaml", "# another\n")
    clone = tmp_path / "someone"
    git(clone, "pull", "--quiet")
    git(clone, "rm", "--quiet", FILE)
    git(clone, "commit", "--quiet", "--message", "away")
    git(clone, "push", "--quiet")
    refs = [line.split("\t")[1] for line in git(clone, "ls-remote", cluster.url, "refs/hubstack/*").splitlines()]
    git(clone, "push", "--quiet", cluster.url, "--delete", *refs)
    deliver(Target(repository=cluster.url), {FILE: b"theirs"}, Origin.at(other), message="x")
    assert cluster.read() == "theirs"
