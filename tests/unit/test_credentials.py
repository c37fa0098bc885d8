from __future__ import annotations

import json
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hubstack.errors import RegistryDenied, RegistryError
from hubstack.oci import digest_of
from hubstack.reference import ImageRef
from hubstack.registry import Registry
from hubstack.registry.credentials import Credential, anonymous, credentials_file, docker_credentials

from tests.fakes.clock import FakeTime
from tests.fakes.registry import Account, FakeRegistry, problem

SECRET = "pa55:wörd"
HOST = "registry.example:5000"


def joined(name: str, password: str) -> str:
    return b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture
def config(tmp_path: Path) -> Callable[[object], Path]:
    def write(value: object) -> Path:
        path = tmp_path / "config.json"
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    return write


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts ``docker-credential-test`` on PATH, which runs this Python text."""

    def write(code: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        path = folder / "docker-credential-test"
        path.write_text(f"#!{sys.executable}\nimport json, sys\nhost = sys.stdin.read()\n{code}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))

    return write


Config = Callable[[object], Path]
Helper = Callable[[str], None]

# --- where they are found --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [HOST, f"https://{HOST}", f"https://{HOST}/v2/"])
def test_what_docker_login_has_written(config: Config, key: str) -> None:
    path = config({"auths": {key: {"auth": joined("robot", SECRET)}}, "HttpHeaders": {"X": "y"}})
    found = credentials_file(path)(HOST)
    assert (found.username, found.password, found.identity_token) == ("robot", SECRET, "")
    assert found.origin == f"the credential in {path}"


def test_a_file_older_than_auths(config: Config) -> None:
    assert credentials_file(config({f"https://{HOST}": {"auth": joined("robot", SECRET)}}))(HOST).username == "robot"


def test_docker_hub_goes_by_its_old_name(config: Config) -> None:
    path = config({"auths": {"https://index.docker.io/v1/": {"auth": joined("robot", SECRET)}}})
    assert credentials_file(path)("docker.io").username == "robot"


def test_a_pull_secret_with_name_and_password_side_by_side(config: Config) -> None:
    path = config({"auths": {HOST: {"username": "robot", "password": SECRET}}})
    assert credentials_file(path)(HOST).password == SECRET


def test_an_identity_token(config: Config) -> None:
    path = config({"auths": {HOST: {"auth": joined("0", ""), "identitytoken": "t0ken"}}})
    found = credentials_file(path)(HOST)
    assert (found.username, found.identity_token) == ("", "t0ken")


@pytest.mark.parametrize("settings", [{"credsStore": "test"}, {"credHelpers": {HOST: "test"}}])
def test_a_helper_is_asked(config: Config, helper: Helper, settings: dict[str, object]) -> None:
    helper(f"print(json.dumps({{'ServerURL': host, 'Username': 'robot@' + host, 'Secret': {SECRET!r}}}))")
    path = config({"auths": {HOST: {}}, **settings})
    found = credentials_file(path)(HOST)
    assert (found.username, found.password) == (f"robot@{HOST}", SECRET)
    assert found.origin == f"the credential from docker-credential-test (named in {path})"


def test_a_helper_may_give_an_identity_token(config: Config, helper: Helper) -> None:
    helper("print(json.dumps({'Username': '<token>', 'Secret': 't0ken'}))")
    assert credentials_file(config({"credsStore": "test"}))(HOST).identity_token == "t0ken"


def test_a_helper_that_knows_nothing_leaves_the_file(config: Config, helper: Helper) -> None:
    helper("print('credentials not found in native keychain'); sys.exit(1)")
    path = config({"credsStore": "test", "auths": {HOST: {"auth": joined("robot", SECRET)}}})
    assert credentials_file(path)(HOST).origin == f"the credential in {path}"


@pytest.mark.parametrize(
    "value", [{}, {"auths": {}}, {"auths": {"other.example": {"auth": "eDp5"}}}, {"auths": {HOST: {}}}]
)
def test_no_credential_is_said_as_well(config: Config, value: object) -> None:
    path = config(value)
    found = credentials_file(path)(HOST)
    assert (found.basic, found.identity_token) == ("", "")
    assert found.origin == f"no credential ({path} has none for {HOST})"


def test_docker_config_names_the_folder(tmp_path: Path, config: Config) -> None:
    config({"auths": {HOST: {"auth": joined("robot", SECRET)}}})
    assert docker_credentials({"DOCKER_CONFIG": str(tmp_path)})(HOST).username == "robot"
    assert docker_credentials({"DOCKER_CONFIG": str(tmp_path / "none")})(HOST).basic == ""


def test_the_file_is_read_late_and_once(config: Config) -> None:
    path = config("not json")
    look_up = credentials_file(path)
    config({"auths": {HOST: {"auth": joined("robot", SECRET)}}})
    assert look_up(HOST).username == "robot"
    path.unlink()
    assert look_up(HOST).username == "robot"


# --- what is wrong with them -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ('{"auths": {"pa55', "not JSON"),
        ("[]", "no JSON object"),
        ({"auths": {HOST: "pa55"}}, "can't be used"),
        ({"auths": {HOST: {"auth": "pa55"}}}, "can't be used"),
        ({"auths": {HOST: {"auth": "////pa55"}}}, "can't be used"),
        ({"auths": ["pa55"]}, "can't be used"),
        ({"credHelpers": "pa55"}, "can't be used"),
        ({"credsStore": "absent"}, "docker-credential-absent for registry.example:5000, which is not on PATH"),
    ],
)
def test_a_broken_file_is_named_and_not_quoted(config: Config, value: object, says: str) -> None:
    path = config(value)
    with pytest.raises(RegistryDenied, match=says) as caught:
        credentials_file(path)(HOST)
    assert str(path) in caught.value.message
    assert "pa55" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("code", ["print('pa55'); sys.exit(1)", "print('pa55')", "print('{}')"])
def test_what_a_broken_helper_prints_is_not_shown(config: Config, helper: Helper, code: str) -> None:
    helper(code)
    with pytest.raises(RegistryDenied, match="can't be used") as caught:
        credentials_file(config({"credsStore": "test"}))(HOST)
    assert "pa55" not in caught.value.message


def test_a_helper_that_asks_a_person_who_is_not_there(
    config: Config, helper: Helper, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper("import time; time.sleep(2)")
    monkeypatch.setattr("hubstack.registry.credentials.HELPER_DEADLINE_S", 0.2)
    with pytest.raises(RegistryDenied, match=r"docker-credential-test has not answered within 0\.2 s"):
        credentials_file(config({"credsStore": "test"}))(HOST)


def test_a_credential_does_not_print_itself() -> None:
    credential = Credential(origin="test", username="robot", password="pa55", identity_token="t0ken")
    assert repr(credential) == "Credential(origin='test')"


# --- how a registry is answered --------------------------------------------------------------------------------------

ROBOT = Credential(origin="the credential in /etc/test", username="robot", password=SECRET)


class Door:
    """A registry that asks who is there."""

    def __init__(self, fake: FakeRegistry, time: FakeTime) -> None:
        self.fake, self.time = fake, time
        fake.accounts = {"robot": Account(SECRET), "reader": Account(SECRET, frozenset({"pull"}))}
        fake.put_blob("lab", b"x")
        self.repo = ImageRef.parse(f"{fake.host}/lab")
        self.open: list[Registry] = []

    def client(self, look_up: Callable[[str], Credential] = lambda _host: ROBOT, *, publish: bool = False) -> Registry:
        self.open.append(
            Registry(self.fake.host, look_up=look_up, publish=publish, retry=self.time.retry(), clock=self.time.clock)
        )
        return self.open[-1]


@pytest.fixture
def door() -> Iterator[Door]:
    with FakeRegistry() as fake:
        door = Door(fake, FakeTime())
        yield door
        for registry in door.open:
            registry.close()


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_a_push_and_a_pull_with_a_credential(door: Door, auth: str) -> None:
    door.fake.auth = auth
    registry = door.client()
    assert registry.upload_blob(door.repo, digest_of(b"new"), b"new")
    assert registry.blob(door.repo, digest_of(b"new")) == b"new"


def test_nobody_is_asked_for_a_credential_that_no_registry_wants(door: Door) -> None:
    def look_up(_host: str) -> Credential:
        raise AssertionError("asked")

    assert door.client(look_up).has_blob(door.repo, digest_of(b"x"))


def test_an_identity_token_is_exchanged(door: Door) -> None:
    door.fake.auth, door.fake.identity_tokens = "token", {"t0ken": "robot"}
    registry = door.client(lambda _host: Credential(origin="test", identity_token="t0ken"))
    assert registry.upload_blob(door.repo, digest_of(b"new"), b"new")


def test_a_mount_asks_for_both_repositories(door: Door) -> None:
    door.fake.auth = "token"
    registry = door.client()
    assert registry.mount_blob(ImageRef.parse(f"{door.fake.host}/other"), digest_of(b"x"), door.repo)
    scopes = door.fake.asked("GET", "/token")[0].query["scope"]
    assert scopes == ["repository:other:pull,push", "repository:lab:pull"]


def test_a_repository_that_is_not_there_yet_is_hidden_from_who_does_not_publish(door: Door) -> None:
    door.fake.auth, door.fake.hide_missing = "token", True
    new = ImageRef.parse(f"{door.fake.host}/new:1")
    assert door.client(publish=True).head(new) is None
    with pytest.raises(RegistryDenied):
        door.client().head(new)


def test_who_may_only_read_is_anybody(door: Door) -> None:
    door.fake.auth, door.fake.anonymous_may = "token", frozenset({"pull"})
    registry = door.client(anonymous)
    assert registry.has_blob(door.repo, digest_of(b"x"))
    with pytest.raises(RegistryDenied, match="no credential"):
        registry.upload_blob(door.repo, digest_of(b"new"), b"new")


def test_one_token_serves_many_requests_and_threads(door: Door) -> None:
    door.fake.auth = "token"
    registry = door.client()
    registry.heads(ImageRef.parse(f"{door.fake.host}/lab:{number}") for number in range(40))
    assert len(door.fake.asked("GET", "/token")) == 1


def test_a_token_is_renewed_before_it_ends(door: Door) -> None:
    door.fake.auth, door.fake.token_life_s = "token", 60
    registry = door.client()
    for wait_s, tokens in ((0, 1), (45, 1), (10, 2)):
        door.time.sleep(wait_s)
        registry.head(door.repo.with_tag("any"))
        assert len(door.fake.asked("GET", "/token")) == tokens
    # Only the very first request was refused.
    assert len(door.fake.asked("HEAD")) == 4


def test_a_token_that_is_not_accepted_any_more_is_renewed(door: Door) -> None:
    door.fake.auth = "token"
    registry = door.client()
    big = b"x" * (2 << 20)
    for content in (b"1" + big, b"2" + big):
        assert registry.upload_blob(door.repo, digest_of(content), content)
        door.fake.forget_tokens()


@pytest.mark.parametrize("auth", ["basic", "token"])
@pytest.mark.parametrize(("name", "password"), [("robot", "wr0ng-pa55"), ("reader", SECRET)])
def test_a_refusal_says_where_the_credential_came_from_and_not_what_it_is(
    door: Door, auth: str, name: str, password: str
) -> None:
    door.fake.auth = auth
    registry = door.client(
        lambda _host: Credential(origin="the credential in /etc/test", username=name, password=password)
    )
    with pytest.raises(RegistryDenied, match="refused with the credential in /etc/test") as caught:
        registry.upload_blob(door.repo, digest_of(b"new"), b"new")
    text = caught.value.message + caught.value.hint
    for secret in (password, joined(name, password), "token-"):
        assert secret not in text
    assert door.time.slept == []
    assert len(door.fake.requests) <= 7


def test_a_wrong_password_is_sent_once(door: Door) -> None:
    """Many registries lock an account after a few wrong ones."""
    door.fake.auth = "basic"
    registry = door.client(lambda _host: Credential(origin="test", username="robot", password="wrong"))
    with pytest.raises(RegistryDenied):
        registry.has_blob(door.repo, digest_of(b"x"))
    assert len([seen for seen in door.fake.requests if "authorization" in seen.headers]) == 1


def test_a_busy_token_service_is_waited_for(door: Door) -> None:
    door.fake.auth = "token"
    door.fake.fault("GET", "/token", problem(503, "UNAVAILABLE", ""))
    assert door.client().has_blob(door.repo, digest_of(b"x"))
    assert door.time.slept == [1.0]


def test_a_token_service_that_says_nothing(door: Door) -> None:
    door.fake.auth = "token"
    door.fake.fault("GET", "/token", problem(200, "", ""))
    with pytest.raises(RegistryDenied, match="sent no token"):
        door.client().has_blob(door.repo, digest_of(b"x"))


def test_an_error_that_repeats_our_secrets_is_cut(door: Door) -> None:
    door.fake.auth = "token"
    registry = door.client()
    registry.has_blob(door.repo, digest_of(b"x"))
    token = door.fake.asked("HEAD")[-1].headers["authorization"].partition(" ")[2]
    said = f"header Bearer {token} of {SECRET} and https://u:p@s.example/x?sig=abc123"
    door.fake.fault("POST", "/uploads/", problem(400, "BAD", said))
    with pytest.raises(RegistryError, match=r"header Bearer \*\*\* of \*\*\* and https://\*\*\*@s.example/x\?\*\*\*"):
        registry.upload_blob(door.repo, digest_of(b"new"), b"new")


def test_threads_that_meet_an_old_token_renew_it_once(door: Door) -> None:
    door.fake.auth = "token"
    registry = door.client()
    registry.has_blob(door.repo, digest_of(b"x"))
    door.fake.forget_tokens()
    threads = [threading.Thread(target=registry.head, args=(door.repo.with_tag("any"),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(door.fake.asked("GET", "/token")) == 2
