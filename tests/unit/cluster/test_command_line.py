"""What `python -m e2e.cluster kubectl` hands on to kubectl."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from e2e.cluster import __main__ as command_line

CASES = {
    "plain": (["get", "nodes"], ["get", "nodes"]),
    "our own separator": (["--", "get", "nodes"], ["get", "nodes"]),
    "a separator of kubectl": (["exec", "pod", "--", "ls", "-l"], ["exec", "pod", "--", "ls", "-l"]),
    "both separators": (["--", "exec", "-it", "pod", "--", "sh", "-c", "ls"], ["exec", "-it", "pod", "--", "sh", "-c", "ls"]),
    "our name first": (["--name", "dev", "exec", "pod", "--", "ls"], ["exec", "pod", "--", "ls"]),
    "a flag first": (["-n", "team", "get", "pods", "-o", "name"], ["-n", "team", "get", "pods", "-o", "name"]),
    "kubectl's own --name": (["create", "x", "--name", "y"], ["create", "x", "--name", "y"]),
    "its help": (["get", "--help"], ["get", "--help"]),
}  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), CASES.values(), ids=CASES)
def test_kubectl_gets_every_word(given: list[str], expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """All words from the first one on reach kubectl as they were written."""
    asked: list[str] = []
    handed: list[list[str]] = []

    def running(name: str) -> SimpleNamespace:
        asked.append(name)
        return SimpleNamespace(programs={"kubectl": Path("/bin/kubectl")}, kubeconfig=Path("/config"))

    monkeypatch.setattr(command_line, "_running", running)
    monkeypatch.setattr(os, "execve", lambda _program, argv, _env: handed.append(argv))
    done = CliRunner().invoke(command_line.app, ["kubectl", *given])

    assert done.exit_code == 0, done.output
    assert handed == [["/bin/kubectl", *expected]]
    assert asked == ["dev"]
