"""The cache keeps what builds use, and lets go of what they stopped to use."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from e2e.images import oci, prune, store

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(20)
SETTINGS = oci.Settings(("/bin/true",))
HOUR = 3600.0


@pytest.fixture
def blobs(tmp_path: Path) -> store.Store:
    """An empty store."""
    return store.Store(tmp_path / "images")


def layer(blobs: store.Store, title: str, text: str) -> store.Blob:
    """A layer of one file with that text."""

    def make(tree: Path) -> None:
        (tree / "file").write_text(text)

    return blobs.layer(title, (title, text), make)


def build(blobs: store.Store, number: int) -> oci.Image:
    """What one build makes: a base that is always the same, and a package of its own."""
    parts = (layer(blobs, "base", "debian"), layer(blobs, "package", f"version {number}"))
    return oci.assemble(blobs, "docker.io/cardpool/x:dev", parts, SETTINGS)


def age(blobs: store.Store, seconds: float) -> None:
    """Let everything in the store be used last so long before it was."""
    for path in (*blobs.root.rglob("*.json"), *(blobs.root / "blobs" / "sha256").iterdir()):
        used = path.stat().st_mtime - seconds
        os.utime(path, (used, used))


def whole(blobs: store.Store, image: oci.Image) -> bool:
    """Whether every blob of the image is there."""
    return all(blobs.path(blob).exists() for blob in image.blobs)


def test_the_builds_of_the_last_hour_stay(blobs: store.Store) -> None:
    """Many builds within the hour: another process may be about to import any of them, so all stay whole."""
    images = [build(blobs, number) for number in range(prune.KEEP + 3)]

    assert prune.prune(blobs) == 0
    assert [whole(blobs, image) for image in images] == [True] * len(images)


def test_old_builds_go_and_the_current_one_stays(blobs: store.Store) -> None:
    """After the hour the last package layers stay, older ones go with their manifests, and the base is untouched."""
    images = []
    for number in range(prune.KEEP + 2):
        images.append(build(blobs, number))
        age(blobs, 2 * HOUR)
    current = build(blobs, 99)
    freed = prune.prune(blobs)
    titles = [path.read_text().count('"package"') for path in (blobs.root / "layers").glob("*.json")]

    assert freed > 0
    assert whole(blobs, current)
    assert [blobs.path(image.layers[1]).exists() for image in images] == [False] * 3 + [True] * (prune.KEEP - 1)
    assert not any(blobs.path(image.manifest).exists() for image in images)
    assert blobs.path(images[0].layers[0]).exists()
    assert sum(titles) == prune.KEEP


def test_what_went_is_made_again_when_it_is_asked_for(blobs: store.Store) -> None:
    """An old checkout that builds after the removal gets its layers anew, with the same digests."""
    old = build(blobs, 0)
    for number in range(1, prune.KEEP + 2):
        age(blobs, 2 * HOUR)
        build(blobs, number)
    prune.prune(blobs)

    assert not whole(blobs, old)
    assert build(blobs, 0) == old
    assert whole(blobs, old)


def test_a_use_counts_as_much_as_the_making(blobs: store.Store) -> None:
    """The oldest layer stays where a build took it up a moment ago."""
    first = build(blobs, 0)
    for number in range(1, prune.KEEP + 2):
        build(blobs, number)
    age(blobs, 2 * HOUR)
    again = build(blobs, 0)
    prune.prune(blobs)

    assert again == first
    assert whole(blobs, again)


def test_scratch_of_a_killed_build_goes_after_a_day(blobs: store.Store) -> None:
    """A scratch folder that is in use stays, one that a killed build left behind goes; so do bases out of use."""
    made = [blobs.root / name for name in (".scratch-new", ".scratch-old")]
    bases = [blobs.root / "rootfs" / str(number) for number in range(prune.KEEP + 1)]
    for place, folder in enumerate((*made, *bases)):
        folder.mkdir(parents=True)
        used = time.time() - (0 if place == 0 else 48 * HOUR - place)
        os.utime(folder, (used, used))
    prune.prune(blobs)

    assert [folder.exists() for folder in made] == [True, False]
    assert [base.exists() for base in bases] == [False] + [True] * prune.KEEP


def test_an_empty_store_has_nothing_to_lose(blobs: store.Store) -> None:
    """Nothing is there before the first build."""
    assert prune.prune(blobs) == 0
