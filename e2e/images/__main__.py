"""Command line: `python -m e2e.images --output FILE [NAME…]` builds images and writes them as one archive."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from e2e.cluster import errors
from e2e.images import catalogue, oci


def main() -> int:
    """Build, write, and print names and digests."""
    parser = argparse.ArgumentParser(prog="python -m e2e.images", description=__doc__)
    parser.add_argument(
        "names", nargs="*", default=[catalogue.OPERATOR, catalogue.TRAIN], help="cardpool/operator:dev …"
    )
    parser.add_argument("--output", type=Path, help="archive for `docker load` or `ctr images import`")
    parser.add_argument("--pause", type=Path, help="the pause program, for the image of that name")
    chosen = parser.parse_args()
    names = [name if name.startswith(catalogue.PREFIX) else catalogue.PREFIX + name for name in chosen.names]
    store = catalogue.store()
    try:
        images = catalogue.build(store, names, chosen.pause)
    except (errors.ClusterError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    if chosen.output is not None:
        with chosen.output.open("wb") as out:
            oci.write_archive(store, images, out)
    for image in images:
        size = sum(blob.size for blob in image.blobs)
        print(f"{image.name} {image.manifest.digest} {size / 1e6:.0f} MB")
    return 0


sys.exit(main())
