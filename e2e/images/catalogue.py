"""The images of this project and how each is put together; equal layers are shared between them.

Names carry the registry host that runtimes add to short names, so that a manifest may say `cardpool/train:dev`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from e2e.cluster import paths
from e2e.images import layers, oci, prune
from e2e.images.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from e2e.images.store import Blob

PREFIX = "docker.io/"
PAUSE = "docker.io/cardpool/pause:dev"
BASE = "docker.io/cardpool/base:dev"
OPERATOR = "docker.io/cardpool/operator:dev"
TRAIN = "docker.io/cardpool/train:dev"
ALL = (PAUSE, BASE, OPERATOR, TRAIN)
PYTHON_ENV = (*oci.Settings(()).env, "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1", "HOME=/tmp")


def store() -> Store:
    """The store in the user's cache."""
    return Store(paths.cache() / "images")


def build(blobs: Store, names: Sequence[str], pause: Path | None = None) -> list[oci.Image]:
    """Build the named images, reusing every layer that is there; `pause` is the program built for that image.

    What no build has used for long leaves the store.
    """
    with blobs.locked():
        package = layers.package(blobs) if {OPERATOR, TRAIN} & set(names) else None
        images = [_build(blobs, name, pause, package) for name in names]
        prune.prune(blobs)
        return images


def _build(blobs: Store, name: str, pause: Path | None, package: Blob | None) -> oci.Image:
    if name == PAUSE:
        if pause is None:
            raise ValueError("the pause image needs the pause program")
        layer = layers.files(blobs, "pause", {"pause": pause})
        return oci.assemble(blobs, name, (layer,), oci.Settings(("/pause",), user="65535:65535"))
    base = layers.base(blobs)
    user = f"{layers.USER}:{layers.USER}"
    if name == BASE:
        return oci.assemble(blobs, name, (base,), oci.Settings(("/usr/bin/python3",), user, PYTHON_ENV))
    if name == OPERATOR and package is not None:
        wheels = layers.wheels(blobs, "wheels of the operator", layers.operator_requirements())
        parts = (base, wheels, package)
        return oci.assemble(blobs, name, parts, oci.Settings(("/usr/local/bin/cardpool",), user, PYTHON_ENV))
    if name == TRAIN and package is not None:
        wheels = layers.wheels(blobs, "wheels of the training job", layers.training_requirements())
        script = layers.files(
            blobs, "training script", {"opt/train/train.py": paths.ROOT / "e2e" / "training" / "train.py"}
        )
        settings = oci.Settings(("/usr/bin/python3", "/opt/train/train.py"), user, PYTHON_ENV, "/opt/train")
        return oci.assemble(blobs, name, (base, wheels, package, script), settings)
    raise ValueError(f"no image is called {name}; there are {', '.join(ALL)}")
