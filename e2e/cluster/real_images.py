"""Gets images into the nodes' containerd: unpacked once on this machine, then cloned by hard links.

Invariant: the template of a set of images is only ever made complete and then never written again, so every node's
copy of it starts with those images and with no container of an earlier run. A node that runs already is given only
the blobs that it lacks.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from e2e.cluster import paths, real_config
from e2e.cluster.errors import ClusterError
from e2e.images import catalogue, oci
from e2e.images import store as stores

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from e2e.images.oci import Image
    from e2e.images.store import Store

KEEP = 2  # templates; unchanged files are shared between them
START_SECONDS = 20.0


def template(store: Store, images: Sequence[Image]) -> Path:
    """Containerd's folder with exactly these images in it; made from the newest template where there is one."""
    home = paths.cache() / "containerd"
    target = home / stores.key([image.manifest.digest for image in images])
    if target.exists():
        os.utime(target)
        return target
    home.mkdir(parents=True, exist_ok=True)
    known = _newest_first(home)
    with stores.step(f"unpacking {len(images)} images"), store.scratch() as folder:
        made = folder / "root"
        if known:
            clone(known[0], made)
        with _containerd(folder, made) as ctr:
            load(store, images, ctr)
        made.rename(target)
        os.utime(target)  # a clone has the age of what it was cloned from
    for old in _newest_first(home)[KEEP:]:
        shutil.rmtree(old)
    return target


def clone(source: Path, target: Path) -> None:
    """A copy that shares the files which containerd never changes: layers and blobs, but not its data bases."""
    target.parent.mkdir(parents=True, exist_ok=True)
    linked = subprocess.run(["cp", "-a", "--link", source, target], capture_output=True, check=False)
    if linked.returncode != 0:  # on another file system
        shutil.rmtree(target, ignore_errors=True)
        stores.run(["cp", "-a", source, target])
        return
    for data in target.rglob("*.db"):
        if "/fs/" in str(data.relative_to(target)):
            continue
        own = data.with_name(f"{data.name}.own")
        shutil.copy2(data, own)
        own.replace(data)


def load(store: Store, images: Sequence[Image], ctr: Sequence[str | Path]) -> list[Image]:
    """Import what containerd lacks of the images, by digest; the images that were new or had changed."""
    listed = stores.run([*ctr, "images", "list"]).splitlines()[1:]
    have = {fields[0]: fields[2] for fields in (line.split() for line in listed)}
    new = [image for image in images if have.get(image.name) != image.manifest.digest]
    if not new:
        return []
    present = set(stores.run([*ctr, "content", "list", "--quiet"]).split())
    with subprocess.Popen(
        [str(word) for word in (*ctr, "images", "import", "-")],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as importing:
        if importing.stdin is None or importing.stderr is None:
            raise AssertionError("both were asked for")
        _feed(store, new, importing.stdin, present)
        complaint = importing.stderr.read().decode(errors="replace")
    if importing.returncode != 0:
        raise ClusterError(f"containerd refuses an image archive: {complaint.strip()}")
    return new


def _feed(store: Store, images: Sequence[Image], pipe: IO[bytes], present: set[str]) -> None:
    with contextlib.suppress(BrokenPipeError), pipe:  # its exit code and complaint tell why it hung up
        oci.write_archive(store, images, pipe, present)


@contextlib.contextmanager
def _containerd(folder: Path, root: Path) -> Iterator[list[str | Path]]:
    """A containerd for imports alone, ended at the end; gives the words before a `ctr` command."""
    socket, config = folder / "c.sock", folder / "config.toml"
    config.write_text(
        f'version = 2\nroot = "{root}"\nstate = "{folder / "run"}"\n'
        f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{socket}"\n{real_config.KEEP_ALL}'
    )
    log = folder / "containerd.log"
    with log.open("wb") as output:
        daemon = subprocess.Popen(["containerd", "--config", str(config)], stdout=output, stderr=output)
    try:
        ctr: list[str | Path] = ["ctr", "--address", socket, "--namespace", "k8s.io"]
        deadline = time.monotonic() + START_SECONDS
        while subprocess.run([*map(str, ctr), "version"], capture_output=True, check=False).returncode != 0:
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise ClusterError(f"containerd does not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield ctr
    finally:
        daemon.terminate()
        daemon.wait(timeout=30)


def _newest_first(home: Path) -> list[Path]:
    return sorted(home.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)


def build(pause: Path) -> tuple[Store, list[Image]]:
    """All images of the catalogue."""
    store = catalogue.store()
    return store, catalogue.build(store, catalogue.ALL, pause)
