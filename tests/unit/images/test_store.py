"""Layers by recipe, images by digest, archives that leave out what the receiver has."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from typing import TYPE_CHECKING

import pytest

from e2e.cluster import errors
from e2e.images import oci, store

if TYPE_CHECKING:
    from pathlib import Path

needs_tar = pytest.mark.skipif(shutil.which("tar") is None, reason="layers are packed with tar")
pytestmark = [needs_tar, pytest.mark.timeout(20)]
SETTINGS = oci.Settings(("/bin/true",), user="65532:65532")


@pytest.fixture
def blobs(tmp_path: Path) -> store.Store:
    """An empty store."""
    return store.Store(tmp_path / "images")


def layer(blobs: store.Store, text: str, made: list[str] | None = None) -> store.Blob:
    """A layer of one file with that text; `made` notes each time it is really made."""

    def make(tree: Path) -> None:
        (tree / "file").write_text(text)
        if made is not None:
            made.append(text)

    return blobs.layer(text, ("test", text), make)


def members(archive: bytes) -> set[str]:
    """The names in a tar archive."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return set(tar.getnames())


def archive(blobs: store.Store, image: oci.Image, present: set[str] | None = None) -> bytes:
    """The image's archive without the blobs that are present elsewhere."""
    out = io.BytesIO()
    oci.write_archive(blobs, [image], out, present or set())
    return out.getvalue()


def test_an_equal_recipe_is_made_once(blobs: store.Store) -> None:
    """The second request for a layer reads the record; another recipe is made."""
    made: list[str] = []

    first, again, other = (layer(blobs, text, made) for text in ("a", "a", "b"))

    assert made == ["a", "b"]
    assert first == again
    assert first != other


def test_a_truncated_blob_is_made_again(blobs: store.Store) -> None:
    """A blob that lost bytes on disk is not believed."""
    made: list[str] = []
    blob = layer(blobs, "a", made)
    blobs.path(blob).write_bytes(b"")

    assert layer(blobs, "a", made) == blob
    assert made == ["a", "a"]


def test_equal_content_has_an_equal_digest_whenever_it_is_packed(tmp_path: Path) -> None:
    """Times and owners of the packed files do not show in the layer."""
    one, two = store.Store(tmp_path / "one"), store.Store(tmp_path / "two")

    assert layer(one, "a") == layer(two, "a")


def test_a_failed_layer_leaves_neither_record_nor_scratch(blobs: store.Store) -> None:
    """What fails while it is made is made from the start the next time."""

    def fail(tree: Path) -> None:
        (tree / "half").write_text("half")
        store.run(["false"])

    with pytest.raises(errors.ClusterError, match="false"):
        blobs.layer("broken", ("broken",), fail)

    assert list(blobs.root.rglob("*half*")) == []
    assert not (blobs.root / "layers").exists()


def test_an_image_names_its_layers_in_order(blobs: store.Store) -> None:
    """Manifest and configuration list the layers from the lowest up, with the digests of the bytes that are there."""
    parts = (layer(blobs, "low"), layer(blobs, "high"))
    image = oci.assemble(blobs, "docker.io/cardpool/x:dev", parts, SETTINGS)

    manifest = json.loads(blobs.path(image.manifest).read_text())
    config = json.loads(blobs.path(image.config).read_text())
    digests = [part.digest for part in parts]
    assert [entry["digest"] for entry in manifest["layers"]] == digests
    assert config["rootfs"]["diff_ids"] == digests
    assert config["config"]["User"] == "65532:65532"
    assert manifest["config"]["digest"] == image.config.digest


def test_an_archive_has_every_blob_that_the_receiver_lacks(blobs: store.Store) -> None:
    """All of an image the first time; later only what is new, and never a list that docker would take for whole."""
    low, high = layer(blobs, "low"), layer(blobs, "high")
    image = oci.assemble(blobs, "docker.io/cardpool/x:dev", (low, high), SETTINGS)
    every = {f"blobs/{blob.digest.replace(':', '/')}" for blob in image.blobs}

    assert members(archive(blobs, image)) == every | {"oci-layout", "index.json", "manifest.json"}
    less = every - {f"blobs/{low.digest.replace(':', '/')}"}
    assert members(archive(blobs, image, {low.digest})) == less | {"oci-layout", "index.json"}
