"""Credentials, read by the official client's loaders so that every kind of kubeconfig works.

One Credentials object serves kopf and our own client. Tokens are asked for before each request: projected tokens are
read again every minute, exec plug-ins run again shortly before their token ends, a token file is read again.
"""

from __future__ import annotations

import asyncio
import math
import os
import ssl
import time
from pathlib import Path
from typing import Any, Final, Protocol

import yaml
from kubernetes.aio import config as untyped_config
from kubernetes.aio.client import Configuration

from cardpool import errors

config: Final[Any] = untyped_config  # the client ships no types for its loaders
_SERVICE_HOST: Final = "KUBERNETES_SERVICE_HOST"
_NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_REFRESH_SECONDS: Final = 60.0
_UNUSABLE: Final = (
    config.ConfigException,
    yaml.YAMLError,
    AttributeError,
    KeyError,
    OSError,
    TypeError,
    ValueError,
)


class Loader(Protocol):
    """What the kubeconfig loader offers for a later refresh."""

    async def load_and_set(self, client_configuration: Any) -> None:
        """Read the user's credentials again, running an exec plug-in where its token is about to end."""


class Credentials:
    """How to reach one API server and who we are there."""

    def __init__(self, configuration: Any, namespace: str, loader: Loader | None = None) -> None:
        self._configuration = configuration
        self._loader = loader
        self._refreshed = time.monotonic()
        self._lock = asyncio.Lock()
        self.namespace = namespace

    @property
    def in_cluster(self) -> bool:
        """True where a pod's own service account is used."""
        return self._loader is None

    @property
    def server(self) -> str:
        """The server's URL without a trailing slash."""
        return str(self._configuration.host).rstrip("/")

    @property
    def ca_path(self) -> str | None:
        """File with the certificates that sign the server's, None = the system's."""
        return self._configuration.ssl_ca_cert or None

    @property
    def cert_path(self) -> str | None:
        """Our client certificate's file, if there is one."""
        return self._configuration.cert_file or None

    @property
    def key_path(self) -> str | None:
        """The client certificate's key file."""
        return self._configuration.key_file or None

    @property
    def insecure(self) -> bool:
        """True where the kubeconfig says not to verify the server."""
        return not self._configuration.verify_ssl

    @property
    def proxy(self) -> str | None:
        """The proxy's URL, if the kubeconfig names one."""
        return self._configuration.proxy or None

    @property
    def tls_server_name(self) -> str | None:
        """The name that the server's certificate must carry where it is not the URL's host."""
        return self._configuration.tls_server_name or None

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return a TLS context for the server, None for plain HTTP; OSError where a file cannot be read."""
        if not self.server.startswith("https:"):
            return None
        context = ssl.create_default_context(cafile=self.ca_path)
        # Certificates that clusters sign for themselves often lack the key usage which strict checking wants.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self.cert_path:
            context.load_cert_chain(self.cert_path, self.key_path)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    async def authorization(self) -> str | None:
        """Return the present Authorization header (``Bearer …`` or ``Basic …``), None with a client certificate.

        UnreachableError where it cannot be had now.
        """
        await self.refresh(_REFRESH_SECONDS)
        try:
            value = await self._configuration.get_api_key_with_prefix("BearerToken")
        except _UNUSABLE as error:
            raise errors.UnreachableError(f"credentials: {error}") from error
        if not value:
            return None
        scheme, _, token = str(value).strip().partition(" ")
        return f"{scheme.capitalize()} {token.strip()}"

    async def refresh(self, older_than: float = -math.inf) -> None:
        """Read the kubeconfig user's token again where it was read more than ``older_than`` seconds ago.

        A pod's token refreshes by itself. UnreachableError where it cannot be read now.
        """
        if self._loader is None or time.monotonic() - self._refreshed <= older_than:
            return
        async with self._lock:
            if time.monotonic() - self._refreshed <= older_than:
                return  # another request did it while this one waited
            self._refreshed = time.monotonic()
            try:
                await self._loader.load_and_set(self._configuration)
            except _UNUSABLE as error:
                raise errors.UnreachableError(f"credentials: {error}") from error

    async def headers(self) -> dict[str, str]:
        """Return the headers that prove who we are."""
        value = await self.authorization()
        return {"Authorization": value} if value else {}


async def load(kubeconfig: str | None = None, context: str | None = None) -> Credentials:
    """Return the credentials of a kubeconfig, of $KUBECONFIG, of the pod, or of ~/.kube/config, in this order.

    SettingsError where nothing usable is found; the message says what was tried.
    """
    path = kubeconfig or os.environ.get("KUBECONFIG")
    try:
        if path is None and context is None and _SERVICE_HOST in os.environ:
            return await asyncio.to_thread(_from_pod)
        return await _from_kubeconfig(_existing(path or "~/.kube/config"), context)
    except _UNUSABLE as error:
        raise errors.SettingsError(
            f"no usable credentials ({path or 'in-cluster, ~/.kube/config'}): {error}"
        ) from error


def _from_pod() -> Credentials:
    configuration = Configuration()
    config.load_incluster_config(client_configuration=configuration)
    namespace = _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else "default"
    return Credentials(configuration, namespace or "default")


def _existing(path: str) -> str:
    if not any(Path(part).expanduser().is_file() for part in path.split(os.pathsep) if part):
        raise FileNotFoundError(f"kubeconfig {path} does not exist; pass --kubeconfig or set KUBECONFIG")
    return path


async def _from_kubeconfig(path: str, context: str | None) -> Credentials:
    configuration = Configuration()
    loader = await config.load_kube_config(
        config_file=path, context=context, client_configuration=configuration, persist_config=False
    )
    namespace = loader.current_context["context"].get("namespace") or "default"
    return Credentials(configuration, namespace, loader)
