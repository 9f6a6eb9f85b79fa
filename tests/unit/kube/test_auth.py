"""Credentials out of kubeconfigs."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cardpool import errors
from cardpool.kube import auth


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No cluster around, no home with a kubeconfig."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def write(path: Path, user: dict[str, Any], cluster: dict[str, Any] | None = None, **context: str) -> str:
    """A kubeconfig with one context "main"."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "main",
        "clusters": [{"name": "c", "cluster": {"server": "https://api.example.com:6443/", **(cluster or {})}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [
            {"name": "main", "context": {"cluster": "c", "user": "u", **context}},
            {"name": "other", "context": {"cluster": "c", "user": "u", "namespace": "elsewhere"}},
        ],
    }
    path.write_text(yaml.safe_dump(config))
    return str(path)


async def test_token(tmp_path: Path) -> None:
    """A token, the server and the context's namespace are read."""
    credentials = await auth.load(write(tmp_path / "config", {"token": "t-1"}, namespace="ops"))
    assert (
        credentials.server,
        credentials.namespace,
        credentials.in_cluster,
        await credentials.headers(),
    ) == ("https://api.example.com:6443", "ops", False, {"Authorization": "Bearer t-1"})


async def test_namespace_defaults(tmp_path: Path) -> None:
    """A context without namespace means default; another context may be named."""
    path = write(tmp_path / "config", {"token": "t-1"})
    assert (await auth.load(path)).namespace == "default"
    assert (await auth.load(path, "other")).namespace == "elsewhere"


async def test_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KUBECONFIG may name several files; those that are missing do not matter."""
    path = write(tmp_path / "config", {"token": "t-1"})
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/missing:{path}")
    assert (await auth.load()).server == "https://api.example.com:6443"


async def test_basic_auth_and_no_verification(tmp_path: Path) -> None:
    """User and password make a Basic header; a cluster that is not to be verified gives such a context."""
    path = write(tmp_path / "config", {"username": "a", "password": "b"}, {"insecure-skip-tls-verify": True})
    credentials = await auth.load(path)
    assert (await credentials.headers(), credentials.insecure) == ({"Authorization": "Basic YTpi"}, True)
    context = credentials.ssl_context()
    assert context is not None
    assert not context.check_hostname


async def test_token_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token file that was renewed is picked up, its line end left away."""
    token = tmp_path / "token"
    token.write_text("first\n")
    credentials = await auth.load(write(tmp_path / "config", {"tokenFile": str(token)}))
    assert await credentials.authorization() == "Bearer first"
    token.write_text("second\n")
    assert await credentials.authorization() == "Bearer first"
    monkeypatch.setattr(auth, "_REFRESH_SECONDS", -1.0)
    assert await credentials.authorization() == "Bearer second"


async def test_exec_plugin(tmp_path: Path) -> None:
    """An exec plug-in's token is used, and asked for again on a refresh."""
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "e-1"}}
    script = tmp_path / "plugin.py"
    script.write_text(f"print({json.dumps(json.dumps(answer))})")
    run = {
        "apiVersion": answer["apiVersion"],
        "command": sys.executable,
        "args": [str(script)],
        "interactiveMode": "Never",
    }
    credentials = await auth.load(write(tmp_path / "config", {"exec": run}))
    assert await credentials.authorization() == "Bearer e-1"
    script.write_text(script.read_text().replace("e-1", "e-2"))
    await credentials.refresh()
    assert await credentials.authorization() == "Bearer e-2"


NOTHING = {
    "no such file": ("missing", "does not exist"),
    "no such context": ("config", "nowhere"),
}


@pytest.mark.parametrize(("name", "message"), NOTHING.values(), ids=NOTHING.keys())
async def test_nothing_usable(tmp_path: Path, name: str, message: str) -> None:
    """What cannot be used is said with the place that was tried."""
    write(tmp_path / "config", {"token": "t"})
    with pytest.raises(errors.SettingsError, match=message):
        await auth.load(str(tmp_path / name), "nowhere")


GARBAGE = {
    "empty": "",
    "no YAML": "{[",
    "another document": "- 1\n- 2\n",
    "no clusters": "current-context: main\ncontexts: [{name: main, context: {cluster: c, user: u}}]\n",
    "no user": (
        "current-context: m\ncontexts: [{name: m, context: {cluster: c}}]\n"
        "clusters: [{name: c, cluster: {server: 'https://x'}}]\n"
    ),
}


@pytest.mark.parametrize("text", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_is_said(tmp_path: Path, text: str) -> None:
    """A file that is no kubeconfig ends in a message with its name, never in a trace."""
    (tmp_path / "config").write_text(text)
    with pytest.raises(errors.SettingsError, match=str(tmp_path / "config")):
        await auth.load(str(tmp_path / "config"))


async def test_a_token_that_cannot_be_read_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token file that vanished makes requests fail for now; the last token is tried again once it is back."""
    token = tmp_path / "token"
    token.write_text("first")
    credentials = await auth.load(write(tmp_path / "config", {"tokenFile": str(token)}))
    monkeypatch.setattr(auth, "_REFRESH_SECONDS", -1.0)
    token.unlink()
    with pytest.raises(errors.UnreachableError, match="credentials"):
        await credentials.authorization()
    token.write_text("second")
    assert await credentials.authorization() == "Bearer second"


async def test_many_requests_refresh_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many requests find the token old, it is read once."""
    credentials = await auth.load(write(tmp_path / "config", {"token": "t-1"}))
    loaded = 0

    class Loader:
        async def load_and_set(self, client_configuration: Any) -> None:
            nonlocal loaded
            assert client_configuration is credentials._configuration
            await asyncio.sleep(0.01)
            loaded += 1

    credentials._loader = Loader()
    credentials._refreshed -= 100.0
    await asyncio.gather(*(credentials.headers() for _ in range(20)))
    assert loaded == 1


async def test_no_kubeconfig_at_all() -> None:
    """Outside a cluster, without any kubeconfig, the message says what to set."""
    with pytest.raises(errors.SettingsError, match="set KUBECONFIG"):
        await auth.load()
