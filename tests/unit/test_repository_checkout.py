"""Repositories by branch, tag and commit, from git; and folders as they stand."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest
from hubstack.errors import Cancelled
from hubstack.repository.build import checked_out
from hubstack.repository.checkout import RepositoryError, check_out, find_source, without_credentials


def git(folder: Path, *words: str) -> str:
    argv = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@example.org", *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits on main, a tag at the first, a branch."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    for text in ("one", "two"):
        (folder / "file").write_text(text)
        git(folder, "add", "file")
        git(folder, "commit", "--quiet", "--message", text)
        if text == "one":
            git(folder, "tag", "--annotate", "v1", "--message", "v1")
    git(folder, "branch", "side/one", "v1")
    return folder


@pytest.mark.parametrize(("ref", "text"), [("main", "two"), ("HEAD", "two"), ("v1", "one"), ("side/one", "one")])
def test_a_branch_or_tag_is_a_commit(repository: Path, tmp_path: Path, ref: str, text: str) -> None:
    source = find_source(str(repository), ref)
    assert source.commit == git(repository, "rev-parse", f"{ref}^{{commit}}")
    (target := tmp_path / "target").mkdir()
    assert check_out(str(repository), source, target) == source.commit
    assert (target / "file").read_text() == text


def test_a_commit_in_full_or_abbreviated(repository: Path, tmp_path: Path) -> None:
    commit = git(repository, "rev-parse", "v1^{commit}")
    for ref in (commit, commit[:8]):
        (target := tmp_path / ref).mkdir()
        assert check_out(str(repository), find_source(str(repository), ref), target) == commit
        assert (target / "file").read_text() == "one"


def test_an_address_has_a_default_branch_and_keeps_no_credentials(repository: Path, tmp_path: Path) -> None:
    url = f"file://{repository}"
    source = find_source(url)
    assert source.commit == git(repository, "rev-parse", "main")
    assert source.url == url
    assert without_credentials("https://me:secret@example.org/a") == "https://example.org/a"


def test_a_folder_is_taken_as_it_stands(repository: Path, tmp_path: Path) -> None:
    before = find_source(str(repository))
    assert before.local == repository
    assert find_source(str(repository)) == before
    (repository / "new").write_text("not committed")
    after = find_source(str(repository))
    assert after.commit != before.commit
    (repository / ".git" / "anything").write_text("")
    assert find_source(str(repository)) == after


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("mian", 'has no branch, tag or commit "mian" (did you mean "main"?)'),
        ("f" * 40, "can't be fetched at ffffffffffff: "),
        ("fffffff", "can't be fetched at fffffff: "),
    ],
)
def test_a_ref_that_is_not_there(repository: Path, tmp_path: Path, ref: str, message: str) -> None:
    def fetch() -> None:
        check_out(str(repository), find_source(str(repository), ref), tmp_path / "target")

    (tmp_path / "target").mkdir()
    with pytest.raises(RepositoryError) as caught:
        fetch()
    assert message in str(caught.value)


@pytest.mark.parametrize("address", ["/nonexistent/repository", "file:///nonexistent", "--upload-pack=touch /tmp/x"])
def test_a_repository_that_does_not_exist(address: str) -> None:
    with pytest.raises(RepositoryError, match="there is no repository at") as caught:
        find_source(address, "main")
    assert caught.value.hint.startswith("git says: fatal: ")


def test_an_empty_repository(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare")
    with pytest.raises(RepositoryError, match="is empty"):
        find_source(str(tmp_path), "main")


def test_faults_of_its_files_come_with_the_repository(repository: Path) -> None:
    (repository / "apt.txt").write_text("Not-Debian\n")
    with (
        pytest.raises(RepositoryError, match=r"repository: apt.txt:1: 'Not-Debian' is no Debian package"),
        checked_out(str(repository), find_source(str(repository)), on_line=print),
    ):
        pass


def test_a_checkout_can_be_cancelled(repository: Path, tmp_path: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    (tmp_path / "target").mkdir()
    with pytest.raises(Cancelled):
        check_out(str(repository), find_source(str(repository), "main"), tmp_path / "target", cancel=cancel)
