"""Images as the OCI describes them: configuration and manifest over layers, and archives that containerd imports.

Invariant: the same layers and settings give the same digests, so "is it imported already" is a comparison of names.
"""

from __future__ import annotations

import io
import json
import platform
import tarfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from e2e.images.store import Blob

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from e2e.images.store import Store

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True, slots=True)
class Settings:
    """How a container of the image starts."""

    entrypoint: tuple[str, ...]
    user: str = ""
    env: tuple[str, ...] = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)
    workdir: str = "/"


@dataclass(frozen=True, slots=True)
class Image:
    """A built image: its full name, its manifest and every blob that the manifest reaches."""

    name: str
    manifest: Blob
    config: Blob
    layers: tuple[Blob, ...]

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """Manifest, configuration and layers."""
        return (self.manifest, self.config, *self.layers)


def assemble(store: Store, name: str, layers: tuple[Blob, ...], settings: Settings) -> Image:
    """Write configuration and manifest of an image; layers from the lowest up, none of them compressed."""
    config = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {
            "User": settings.user,
            "Env": list(settings.env),
            "Entrypoint": list(settings.entrypoint),
            "WorkingDir": settings.workdir,
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        "history": [{"created": "1970-01-01T00:00:00Z"} for _ in layers],
    }
    config_blob = store.add_bytes(_encode(config))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _descriptor(config_blob, CONFIG),
        "layers": [_descriptor(layer, LAYER) for layer in layers],
    }
    return Image(name, store.add_bytes(_encode(manifest)), config_blob, layers)


def write_archive(store: Store, images: Iterable[Image], out: IO[bytes], present: Container[str] = ()) -> None:
    """Write one archive for `ctr images import` and `docker load`; blobs whose digest is in `present` are left out."""
    chosen = list(images)
    index = {"schemaVersion": 2, "manifests": [_entry(image) for image in chosen]}
    legacy = [
        {"Config": _place(image.config), "RepoTags": [image.name], "Layers": [_place(one) for one in image.layers]}
        for image in chosen
    ]
    blobs = {blob.digest: blob for image in chosen for blob in image.blobs}
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT, bufsize=1 << 20) as tar:
        _add_bytes(tar, "oci-layout", _encode({"imageLayoutVersion": "1.0.0"}))
        _add_bytes(tar, "index.json", _encode(index))
        if not present:  # an archive without some layers is for containerd alone, which knows them by digest
            _add_bytes(tar, "manifest.json", _encode(legacy))
        for blob in blobs.values():
            if blob.digest not in present:
                header = tarfile.TarInfo(_place(blob))
                header.size = blob.size
                with store.path(blob).open("rb") as stream:
                    tar.addfile(header, stream)


def _entry(image: Image) -> dict[str, object]:
    names = {"io.containerd.image.name": image.name, "org.opencontainers.image.ref.name": image.name.rpartition(":")[2]}
    return {**_descriptor(image.manifest, MANIFEST), "annotations": names}


def _descriptor(blob: Blob, media_type: str) -> dict[str, object]:
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size}


def _place(blob: Blob) -> str:
    return f"blobs/{blob.digest.replace(':', '/')}"


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    header = tarfile.TarInfo(name)
    header.size = len(content)
    tar.addfile(header, io.BytesIO(content))


def _encode(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
