from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from hubstack.errors import EngineError
from hubstack.oci import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    EMPTY,
    EMPTY_CONTENT,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    ImageConfig,
    Manifest,
    canonical_json,
    digest_of,
    make_artifact,
    make_index,
    read_layout,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.layout import LAYER, write_blob, write_index, write_layout

BLOB = {"mediaType": LAYER, "digest": f"sha256:{'a' * 64}", "size": 3}
IMAGE = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {**BLOB, "mediaType": "c"}, "layers": [BLOB]}
INDEX = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [BLOB]}


def text(value: object) -> bytes:
    return json.dumps(value).encode()


def platform(name: str, letter: str) -> Descriptor:
    return Descriptor(media_type=OCI_MANIFEST, digest=digest_of(letter.encode()), size=1, platform=name)


def test_a_manifest_is_its_bytes() -> None:
    content = b' {"schemaVersion": 2 ,' + text(IMAGE)[1:].replace(b'"schemaVersion": 2, ', b"")
    manifest = Manifest.parse(content)
    assert manifest.content == content
    assert manifest.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert manifest.descriptor("linux/amd64") == Descriptor(
        media_type=OCI_MANIFEST, digest=manifest.digest, size=len(content), platform="linux/amd64"
    )


def test_blobs_are_the_config_and_each_filesystem_layer_once() -> None:
    other = {**BLOB, "digest": f"sha256:{'b' * 64}"}
    manifest = Manifest.parse(text({**IMAGE, "config": other, "layers": [BLOB, BLOB]}))
    assert [blob.digest[7:9] for blob in manifest.blobs] == ["bb", "aa"]
    assert len(manifest.layers) == 2


def test_the_media_type_may_come_from_outside() -> None:
    without = {key: value for key, value in IMAGE.items() if key != "mediaType"}
    assert Manifest.parse(text(without), DOCKER_MANIFEST).media_type == DOCKER_MANIFEST


def test_an_index_has_manifests_and_no_blobs() -> None:
    manifest = Manifest.parse(text({**INDEX, "mediaType": DOCKER_LIST}))
    assert manifest.is_index
    assert manifest.blobs == ()
    assert [one.size for one in manifest.manifests] == [3]


@pytest.mark.parametrize(
    ("content", "media_type", "says"),
    [
        (b"not json", "", "Expecting value"),
        (b"[1]", "", "no JSON object"),
        (b"[" * 100_000, "", "nested too deeply"),
        (text({**IMAGE, "schemaVersion": 1}), "", "schema 1"),
        (text({**IMAGE, "mediaType": "text/html"}), "", "text/html"),
        (text({key: IMAGE[key] for key in ("schemaVersion", "config", "layers")}), "", "media type ''"),
        (text(IMAGE), OCI_INDEX, "handed over as"),
        (text({**IMAGE, "manifests": [BLOB]}), "", "fields are not those"),
        (text({**INDEX, "layers": []}), "", "fields are not those"),
        (text({**INDEX, "mediaType": OCI_MANIFEST}), "", "fields are not those"),
        (text({**IMAGE, "config": None}), "", "descriptor"),
        (text({**IMAGE, "layers": {}}), "", "no list"),
        (text({**IMAGE, "layers": [{**BLOB, "size": -1}]}), "", "size is -1"),
        (text({**IMAGE, "layers": [{**BLOB, "size": True}]}), "", "size is True"),
        (text({**IMAGE, "layers": [{**BLOB, "digest": "sha256:../../etc"}]}), "", "not a sha256 digest"),
        (text({**IMAGE, "layers": [{**BLOB, "mediaType": ""}]}), "", "mediaType is"),
        (text({**IMAGE, "annotations": {"a": 1}}), "", "annotations"),
    ],
)
def test_what_is_no_manifest_is_refused(content: bytes, media_type: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Manifest.parse(content, media_type)


@settings(deadline=None)  # a busy machine is no fault
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda one: (
            st.lists(one)
            | st.dictionaries(
                st.sampled_from(
                    ["schemaVersion", "mediaType", "config", "layers", "manifests", "digest", "size", "platform"]
                ),
                one,
            )
        ),
    )
)
def test_no_json_breaks_the_parser(value: object) -> None:
    for media_type in ("", OCI_MANIFEST, OCI_INDEX):
        try:
            Manifest.parse(text(value), media_type)
        except ValueError:
            continue


def test_an_index_is_the_same_in_whichever_order_the_platforms_came() -> None:
    amd, arm = platform("linux/amd64", "a"), platform("linux/arm64/v8", "b")
    index = make_index([arm, amd], annotations={"org.opencontainers.image.title": "x"})
    assert index.content == make_index([amd, arm], annotations={"org.opencontainers.image.title": "x"}).content
    assert index.manifests == (amd, arm)
    assert index.media_type == OCI_INDEX
    assert json.loads(index.content)["manifests"][1]["platform"] == {
        "os": "linux",
        "architecture": "arm64",
        "variant": "v8",
    }


@pytest.mark.parametrize("names", [["linux/amd64", "linux/amd64"], ["linux/amd64", ""]])
def test_an_index_needs_each_platform_once(names: list[str]) -> None:
    with pytest.raises(ValueError, match="each platform once"):
        make_index([platform(name, name) for name in names])


def test_an_artifact_has_one_blob_and_the_empty_config() -> None:
    artifact = make_artifact(b'{"a":1}', artifact_type="application/vnd.example")
    assert artifact.artifact_type == "application/vnd.example"
    assert artifact.config is not None
    assert (artifact.config.media_type, artifact.config.digest) == (EMPTY, digest_of(EMPTY_CONTENT))
    assert [one.digest for one in artifact.layers] == [digest_of(b'{"a":1}')]


def test_equal_values_are_equal_bytes() -> None:
    assert canonical_json({"b": "ü", "a": [1]}) == canonical_json({"a": [1], "b": "ü"}) == '{"a":[1],"b":"ü"}'.encode()


def test_a_layout_whose_blobs_are_a_link_to_a_shared_folder(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "blobs").symlink_to("../shared")
    layout = write_layout(tmp_path / "node", [b"one", b"two"], {"hub": "stack"})
    assert [layout.path(one.digest).read_bytes() for one in layout.manifest.layers] == [b"one", b"two"]
    assert layout.config == ImageConfig(
        platform="linux/amd64",
        created="2026-11-01T00:00:00Z",
        user="1000:100",
        env={"PATH": "/usr/bin", "OPTS": "a=b"},
        labels={"hub": "stack"},
        diff_ids=(digest_of(b"tar of one"), digest_of(b"tar of two")),
    )


def test_what_an_image_config_leaves_out_is_empty() -> None:
    config = ImageConfig.parse(text({"os": "linux", "architecture": "arm64", "rootfs": {"diff_ids": None}}))
    assert (config.env, config.labels, config.diff_ids, config.user, config.created) == ({}, {}, (), "", "")


def test_no_layout(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no OCI layout"):
        read_layout(tmp_path / "none")


def test_a_layout_with_an_index_says_how_not_to_make_one(tmp_path: Path) -> None:
    write_layout(tmp_path)
    write_index(tmp_path, [write_blob(tmp_path, text(INDEX), OCI_INDEX)])
    with pytest.raises(EngineError, match="an index") as caught:
        read_layout(tmp_path)
    assert "--provenance=false" in caught.value.hint


def test_a_layout_with_two_images(tmp_path: Path) -> None:
    write_layout(tmp_path)
    write_index(tmp_path, [write_blob(tmp_path, text(IMAGE), OCI_MANIFEST)] * 2)
    with pytest.raises(EngineError, match="2 images"):
        read_layout(tmp_path)


def test_a_layout_with_a_broken_manifest(tmp_path: Path) -> None:
    path = write_layout(tmp_path).path(read_layout(tmp_path).manifest.digest)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(EngineError, match="another digest"):
        read_layout(tmp_path)


def test_a_layout_with_a_broken_config(tmp_path: Path) -> None:
    layout = write_layout(tmp_path)
    assert layout.manifest.config is not None
    os.truncate(layout.path(layout.manifest.config.digest), 5)
    with pytest.raises(EngineError, match="another digest"):
        _ = layout.config
