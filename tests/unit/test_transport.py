"""Where a registry sends us: storage services, addresses without HTTPS, certificates that nobody knows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hubstack.errors import RegistryError
from hubstack.oci import digest_of
from hubstack.reference import Digest, ImageRef
from hubstack.registry import Registry
from hubstack.registry.credentials import Credential

from tests.fakes.clock import FakeTime
from tests.fakes.registry import Account, FakeRegistry, Reply, problem

ROBOT = Credential(origin="test", username="robot", password="pa55word")


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        fake.auth, fake.accounts = "basic", {"robot": Account("pa55word")}
        yield fake


@pytest.fixture
def registry(fake: FakeRegistry) -> Iterator[Registry]:
    registry = Registry(fake.host, look_up=lambda _host: ROBOT, retry=FakeTime().retry())
    yield registry
    registry.close()


@pytest.fixture
def lab(fake: FakeRegistry) -> ImageRef:
    return ImageRef.parse(f"{fake.host}/lab")


def test_a_storage_service_does_not_learn_who_we_are(fake: FakeRegistry, registry: Registry, lab: ImageRef) -> None:
    digest = Digest(fake.put_blob("lab", b"content"))
    with FakeRegistry() as storage:
        storage.put_blob("lab", b"content")
        fake.blobs_elsewhere = f"http://{storage.host}"
        assert registry.blob(lab, digest) == b"content"
        assert "authorization" not in storage.requests[0].headers
        assert "authorization" in fake.requests[-1].headers


def test_a_signed_address_is_in_no_error(fake: FakeRegistry, registry: Registry, lab: ImageRef) -> None:
    digest = Digest(fake.put_blob("lab", b"content"))
    with FakeRegistry() as storage:
        fake.blobs_elsewhere = f"http://{storage.host}"
        storage.fault("GET", "", problem(401, "SIGNATURE", f"http://{storage.host}/x?signature=s3cret-signature"))
        with pytest.raises(RegistryError, match="401") as caught:
            registry.blob(lab, digest)
    assert "s3cret" not in caught.value.message


def test_a_storage_service_can_not_ask_for_a_token(fake: FakeRegistry, registry: Registry, lab: ImageRef) -> None:
    fake.auth = "token"
    with FakeRegistry() as storage:
        fake.blobs_elsewhere = f"http://{storage.host}"
        challenge = f'Bearer realm="http://{storage.host}/token",service="x"'
        storage.fault("GET", "/blobs/", Reply(401, {"WWW-Authenticate": challenge}))
        digest = Digest(fake.put_blob("lab", b"content"))
        assert registry.has_blob(lab, digest)
        with pytest.raises(RegistryError, match="401"):
            registry.blob(lab, digest)
        assert storage.asked("GET", "/token") == []


def test_an_upload_s_state_is_in_no_error(fake: FakeRegistry, registry: Registry, lab: ImageRef) -> None:
    fake.fault("PUT", "", problem(413, "TOO_LARGE", "quota"))
    with pytest.raises(RegistryError, match=r"PUT http://127\.0\.0\.1.*/v2/lab/blobs/uploads/upload-1: 413") as caught:
        registry.upload_blob(lab, digest_of(b"x"), b"x")
    assert "s3cret" not in caught.value.message


@pytest.mark.parametrize("address", ["http://storage.example", "ftp://127.0.0.1", "file:///etc"])
def test_only_https_leads_away_from_this_machine(
    fake: FakeRegistry, registry: Registry, lab: ImageRef, address: str
) -> None:
    fake.blobs_elsewhere = address
    with pytest.raises(RegistryError, match="neither HTTPS nor on this machine"):
        registry.blob(lab, Digest(fake.put_blob("lab", b"content")))


def test_an_address_that_is_none(fake: FakeRegistry, registry: Registry, lab: ImageRef) -> None:
    for method, status in (("GET", 307), ("POST", 202)):
        fake.fault(method, "", Reply(status, {"Location": "http://[127.0.0.1/"}))
    with pytest.raises(RegistryError, match="leads to an address that is none"):
        registry.blob(lab, digest_of(b"x"))
    with pytest.raises(RegistryError, match="leads to an address that is none"):
        registry.upload_blob(lab, digest_of(b"x"), b"x")


def test_credentials_go_to_no_token_service_without_https(
    fake: FakeRegistry, registry: Registry, lab: ImageRef
) -> None:
    challenge = {"WWW-Authenticate": 'Bearer realm="http://auth.example/token",service="x"'}
    fake.fault("GET", "/tags/", Reply(401, challenge))
    with pytest.raises(RegistryError, match=r"leads to http://auth\.example/token, which is neither HTTPS"):
        registry.tags(lab)


def test_redirects_without_end(fake: FakeRegistry, registry: Registry, lab: ImageRef) -> None:
    fake.blobs_elsewhere = f"http://{fake.host}"
    with pytest.raises(RegistryError, match="more than 5 redirects"):
        registry.blob(lab, Digest(fake.put_blob("lab", b"content")))


def test_a_certificate_is_trusted_when_it_is_named(fake: FakeRegistry, lab: ImageRef, tmp_path: Path) -> None:
    digest = Digest(fake.put_blob("lab", b"content"))
    bundle = self_signed(tmp_path)
    storage = FakeRegistry()
    storage.certificate = bundle
    with storage:
        storage.put_blob("lab", b"content")
        fake.blobs_elsewhere = f"https://{storage.host}"
        time = FakeTime()
        trusting = Registry(fake.host, look_up=lambda _host: ROBOT, retry=time.retry(), ca_bundle=bundle)
        assert trusting.blob(lab, digest) == b"content"
        trusting.close()
        doubting = Registry(fake.host, look_up=lambda _host: ROBOT, retry=time.retry())
        with pytest.raises(RegistryError, match="certificate is not trusted") as caught:
            doubting.blob(lab, digest)
        doubting.close()
    assert "--ca-bundle" in caught.value.hint
    assert time.slept == []


def test_a_bundle_without_certificates(fake: FakeRegistry, lab: ImageRef, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("no certificate")
    fake.blobs_elsewhere = "https://127.0.0.1:1"
    registry = Registry(fake.host, look_up=lambda _host: ROBOT, ca_bundle=tmp_path / "empty.pem")
    with pytest.raises(RegistryError, match=r"empty\.pem: no certificates"):
        registry.blob(lab, Digest(fake.put_blob("lab", b"content")))
    registry.close()


def self_signed(folder: Path) -> Path:
    """The certificate of 127.0.0.1, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path
