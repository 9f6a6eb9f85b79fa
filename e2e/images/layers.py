"""What the layers hold: Debian with Python, wheels, the cardpool package, the pause program, the training script.

Invariant: a layer's recipe names everything that decides its content, so that a changed source makes a new layer of
a few hundred kilobytes and leaves Debian and the wheels alone. Byte code is compiled by the image's own Python and
never checked against source times, since the root file system is read-only where it runs.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.cluster import errors, paths
from e2e.images import store as stores

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from e2e.images.store import Blob, Store

SUITE = "bookworm"
PYTHON = "3.11"  # Debian's in that suite
PACKAGES = ("python3", "ca-certificates")
SITE = "usr/local/lib/python3.11/dist-packages"
USER = 65532
BASE_RECIPE = ("base-2", SUITE, *PACKAGES, platform.machine())
WITHOUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/lintian/*")
LAUNCHER = """#!/usr/bin/python3
import sys

from cardpool.cli import main

sys.exit(main())
"""


def base(store: Store) -> Blob:
    """Debian's smallest set with Python and the public certificate authorities."""
    rootfs(store)
    root = rootfs(store)

    def make(tree: Path) -> None:
        stores.run(["cp", "-a", f"{root}/.", tree])

    return store.layer("Debian", BASE_RECIPE, make)


def rootfs(store: Store) -> Path:
    """The unpacked base, in which byte code is compiled; made once."""
    target = store.root / "rootfs" / stores.key(BASE_RECIPE)
    if target.exists():
        os.utime(target)
        return target
    with stores.step(f"Debian {SUITE} with Python {PYTHON} (once, about 40 s)"), store.scratch() as folder:
        made = folder / "rootfs"
        account = f"nonroot:x:{USER}:{USER}::/home/nonroot:/usr/sbin/nologin"
        hooks = (
            f'echo "{account}" >> "$1/etc/passwd"; echo "nonroot:x:{USER}:" >> "$1/etc/group"',
            f'mkdir -p "$1/home/nonroot" "$1/{SITE}" && chown {USER}:{USER} "$1/home/nonroot"',
            'rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/* "$1"/var/log/* "$1"/tmp/*',
        )
        exclude = [f"--dpkgopt=path-exclude={pattern}" for pattern in WITHOUT]
        customise = [f"--customize-hook={hook}" for hook in hooks]
        include = f"--include={','.join(PACKAGES)}"
        words = ["mmdebstrap", "--mode=root", "--variant=minbase", "--quiet", include, *exclude, *customise]
        stores.run([*words, *_apt_options(), SUITE, made])
        target.parent.mkdir(parents=True, exist_ok=True)
        made.rename(target)
        os.utime(target)
    return target


def wheels(store: Store, title: str, requirements: Sequence[str]) -> Blob:
    """Binary wheels of the requirements and of all that they need, for the image's Python whatever runs here."""

    def make(tree: Path) -> None:
        site = tree / SITE
        site.mkdir(parents=True)
        listed = tree.parent / "requirements.txt"
        listed.write_text("\n".join(requirements) + "\n")
        target = f"{platform.machine()}-manylinux_2_28"
        words = [
            uv(),
            "pip",
            "install",
            "--quiet",
            "--target",
            site,
            "--python-version",
            PYTHON,
            "--python-platform",
            target,
        ]
        stores.run([*words, "--only-binary", ":all:", "--link-mode", "copy", "--python", sys.executable, "-r", listed])
        shutil.rmtree(site / "bin", ignore_errors=True)  # their shebangs name this machine's Python
        compile_site(store, site)

    return store.layer(title, ("wheels-1", PYTHON, platform.machine(), *BASE_RECIPE, *requirements), make)


def package(store: Store) -> Blob:
    """The cardpool package as its wheel installs it, and its command."""
    with store.scratch() as folder:  # a copy, since setuptools leaves its build folder beside the source
        copy = folder / "source"
        _copy_source(copy)

        def make(tree: Path) -> None:
            site = tree / SITE
            words = [uv(), "pip", "install", "--quiet", "--no-deps", "--target", site, "--link-mode", "copy"]
            stores.run([*words, "--python", sys.executable, copy])
            shutil.rmtree(site / "bin", ignore_errors=True)
            compile_site(store, site)
            command = tree / "usr" / "local" / "bin" / "cardpool"
            command.parent.mkdir(parents=True)
            command.write_text(LAUNCHER)
            command.chmod(0o755)

        recipe = ("package-3", LAUNCHER, *BASE_RECIPE, fingerprint(_files(copy), copy))
        return store.layer("the cardpool package", recipe, make)


def files(store: Store, title: str, content: dict[str, Path], mode: int = 0o755) -> Blob:
    """Single files at given places of the image."""

    def make(tree: Path) -> None:
        for place, source in content.items():
            target = tree / place
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            target.chmod(mode)

    return store.layer(title, ("files-1", oct(mode), *content, fingerprint(content.values(), paths.ROOT)), make)


def compile_site(store: Store, site: Path) -> None:
    """Compile a folder of packages with the image's Python, as if it already stood in its place."""
    root = rootfs(store)
    inside = f"/{SITE}"
    compileall = f"python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash {inside}"
    # Some packages carry files that no Python compiles (templates, tests of syntax errors): that is no failure.
    script = f'mount --bind "$0" "$1{inside}" && {{ chroot "$1" {compileall} > /dev/null || true; }}'
    stores.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, site, root])
    if not any(site.rglob("*.pyc")):
        raise errors.ClusterError(f"the image's Python compiled nothing in {inside}")


def operator_requirements() -> list[str]:
    """What the operator needs: from the lock file where there is one, else as pyproject asks for it."""
    if (paths.ROOT / "uv.lock").exists():
        words = [
            uv(),
            "export",
            "--quiet",
            "--frozen",
            "--no-dev",
            "--no-emit-project",
            "--no-hashes",
            "--no-annotate",
        ]
        exported = stores.run([*words, "--no-header", "--project", paths.ROOT])
        return [line for line in exported.splitlines() if line.strip()]
    with (paths.ROOT / "pyproject.toml").open("rb") as stream:
        return list(tomllib.load(stream)["project"]["dependencies"])


def training_requirements() -> list[str]:
    """What the training job needs."""
    listed = (paths.ROOT / "e2e" / "training" / "requirements.txt").read_text().splitlines()
    return [line.strip() for line in listed if line.strip() and not line.startswith("#")]


def fingerprint(sources: Iterable[Path], root: Path) -> str:
    """One digest over places (below the root) and contents of files, in their order."""
    digest = hashlib.sha256()
    for source in sources:
        content = source.read_bytes()
        place = source.relative_to(root) if source.is_relative_to(root) else source.name
        digest.update(f"{place} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def uv() -> str:
    """The uv program: beside this Python, else on the path."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise errors.ClusterError("uv is missing; run `make install`")
    return found


def _files(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sorted(found)


def _copy_source(target: Path) -> None:
    target.mkdir()
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copyfile(paths.ROOT / name, target / name)
    (target / "README.md").write_text("See the project.\n")  # the build asks for one; its text is no part of the image
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    shutil.copytree(paths.ROOT / "operator", target / "operator", ignore=ignore)


def _apt_options() -> list[str]:
    """The proxy and clock settings of this machine's apt, which the image's apt has to follow too."""
    wanted = ("Acquire::http::Proxy ", "Acquire::https::Proxy ", "Acquire::Check-Valid-Until ", "Acquire::Check-Date ")
    lines = stores.run(["apt-config", "dump"], env={**os.environ, "LC_ALL": "C"}).splitlines()
    return [f"--aptopt={line}" for line in lines if line.startswith(wanted)]
