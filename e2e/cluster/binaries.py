"""Builds every program of the cluster from its pinned module, once per user and not once per checkout.

Programs of a pinned module lie in cache/bin/<key>, the key being a checksum of go.mod, go.sum, the flags and Go's
version; our own small programs (e2e/controlplane/cmd/*) are keyed by their sources as well. Invariant: a file under
its final name is complete (built beside it, then renamed), and a lock keeps two builds from running at once.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from e2e.cluster import paths, stages, toolchain
from e2e.cluster.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

KUBERNETES = "v1.36.3"
HELM = "v4.3.1"
STAMPS = {
    "k8s.io/component-base/version.gitVersion": KUBERNETES,
    "k8s.io/component-base/version.gitMajor": "1",
    "k8s.io/component-base/version.gitMinor": "36",
    "k8s.io/component-base/version.gitTreeState": "clean",
    "helm.sh/helm/v4/internal/version.version": HELM,
}
FLAGS = [
    "-mod=readonly",
    "-trimpath",
    "-buildvcs=false",
    "-ldflags",
    "-s -w " + " ".join(f"-X {name}={value}" for name, value in STAMPS.items()),
]
# In the order of the build: what the fake profile needs comes first.
PINNED = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "helm": "helm.sh/helm/v4/cmd/helm",
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
    "coredns": "github.com/coredns/coredns",
}
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
KWOK_STAGES = "kwok-stages.yaml"


@dataclass(frozen=True, slots=True)
class Program:
    """One program to build: where its module lies, its import path, and the file that it becomes."""

    name: str
    module: Path
    package: str
    target: Path


def ensure(names: Iterable[str]) -> dict[str, Path]:
    """The path of each named program, built now where it is missing; progress goes to standard output."""
    go = toolchain.find()
    wanted = [_program(name, go) for name in names]
    if all(program.target.exists() for program in wanted):
        return {program.name: program.target for program in wanted}
    with _lock():
        missing = [program for program in wanted if not program.target.exists()]
        begun = time.monotonic()
        for position, program in enumerate(missing, 1):
            label = f"building {program.name} ({position} of {len(missing)})"
            _tell(label, begun)
            _build(program, go, functools.partial(_tell, label, begun))
        _say(f"built {len(missing)} programs in {time.monotonic() - begun:.0f} s, kept in {paths.cache() / 'bin'}")
    return {program.name: program.target for program in wanted}


def _build(program: Program, go: toolchain.Go, tick: Callable[[], None]) -> None:
    program.target.parent.mkdir(parents=True, exist_ok=True)
    partial = program.target.with_name(f".{program.name}.partial")
    if program.name == "kwok":  # before the program: where kwok is, its stages are
        folder = go.run(["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok"], program.module).strip()
        stages.write(folder, program.target.with_name(KWOK_STAGES))
    go.run(["build", *FLAGS, "-o", str(partial), program.package], program.module, tick)
    partial.replace(program.target)


def _program(name: str, go: toolchain.Go) -> Program:
    if name in PINNED:
        module = paths.COREDNS_MODULE if name == "coredns" else paths.CONTROLPLANE_MODULE
        sources: list[Path] = []
        package = PINNED[name]
    else:
        module, package = paths.CONTROLPLANE_MODULE, f"./cmd/{name}"
        sources = sorted((module / "cmd" / name).rglob("*.go"))
        if not sources:
            raise ClusterError(f"there is no program {name}: neither pinned nor under {module / 'cmd'}")
    key = _key(go, [module / "go.mod", module / "go.sum", *sources])
    return Program(name, module, package, paths.cache() / "bin" / key / name)


def _key(go: toolchain.Go, files: list[Path]) -> str:
    digest = hashlib.sha256("\0".join([go.version, *FLAGS]).encode())
    for file in files:
        digest.update(b"\0" + file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _lock() -> Iterator[None]:
    folder = paths.cache() / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another build of these programs is running: waiting for it")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _tell(label: str, begun: float) -> None:
    _say(f"{label}, {time.monotonic() - begun:.0f} s so far")


def _say(text: str) -> None:
    print(text, flush=True)
