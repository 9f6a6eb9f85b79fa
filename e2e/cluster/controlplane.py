"""Starts etcd, the API server, the controller manager and the scheduler, each waited for until it says it is well.

Invariant: same settings, same arguments; a program that already runs with them is left alone, so a second start
changes nothing, and one with other settings restarts only what they concern.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2e.cluster import context, probes
from e2e.cluster.probes import LOOPBACK

if TYPE_CHECKING:
    from e2e.cluster.context import Context
    from e2e.cluster.settings import Settings

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
START_SECONDS = 90.0


def start(ctx: Context, settings: Settings) -> None:
    """Bring the control plane up and return when it is ready for pods."""
    _etcd(ctx)
    _apiserver(ctx, settings)
    admin = ctx.authority.client(*probes.ADMIN)
    trust = ctx.authority.certificate
    context.write_kubeconfig(ctx.kubeconfig, ctx.server, trust, admin.certificate, admin.key)
    _controllers(ctx, settings)
    _scheduler(ctx, settings)
    for name in ("kube-controller-manager", "kube-scheduler"):
        _wait_secure(ctx, name, LOOPBACK, ctx.port(name), "/healthz")
    # No pod is admitted into a namespace before its default service account is there.
    path = "/api/v1/namespaces/default/serviceaccounts/default"
    _wait_secure(ctx, "kube-controller-manager", ctx.address, ctx.api_port, path)


def _etcd(ctx: Context) -> None:
    server = ctx.authority.server("etcd", "etcd", [LOOPBACK])
    client, peer = f"https://{LOOPBACK}:{ctx.port('etcd')}", f"http://{LOOPBACK}:{ctx.port('etcd-peer')}"
    health = f"http://{LOOPBACK}:{ctx.port('etcd-health')}"
    ctx.processes.ensure("etcd", [
        ctx.programs["etcd"],
        "--name=dev",
        f"--data-dir={ctx.state / 'etcd'}",
        "--unsafe-no-fsync",  # speed; this cluster's data is worth nothing after a power cut
        "--quota-backend-bytes=8589934592",
        "--auto-compaction-retention=5m",
        "--log-level=warn",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=dev={peer}",
        f"--listen-metrics-urls={health}",
        f"--cert-file={server.certificate}",
        f"--key-file={server.key}",
        f"--trusted-ca-file={ctx.authority.certificate}",
        "--client-cert-auth",
        "--enable-grpc-gateway=false",  # it would connect with the server's certificate, which is none for clients
    ])  # fmt: skip
    health_port = ctx.port("etcd-health")
    ctx.processes.wait("etcd", lambda: probes.plain(health_port, "/readyz") == 200, START_SECONDS)


def _apiserver(ctx: Context, settings: Settings) -> None:
    names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        f"kubernetes.default.svc.{context.CLUSTER_DOMAIN}",
    ]
    addresses = dict.fromkeys([LOOPBACK, ctx.address, context.KUBERNETES_SERVICE])
    server = ctx.authority.server("apiserver", "kube-apiserver", [*names, "localhost", *addresses])
    etcd, kubelet = ctx.authority.client("etcd-client"), ctx.authority.client("kubelet-client", ("system:masters",))
    proxy, tokens = ctx.authority.client("front-proxy"), ctx.authority.signing_key("service-accounts")
    on_loopback = ctx.address == LOOPBACK
    ctx.processes.ensure("kube-apiserver", [
        ctx.programs["kube-apiserver"],
        f"--etcd-servers=https://{LOOPBACK}:{ctx.port('etcd')}",
        f"--etcd-cafile={ctx.authority.certificate}",
        f"--etcd-certfile={etcd.certificate}",
        f"--etcd-keyfile={etcd.key}",
        f"--bind-address={ctx.address}",
        f"--advertise-address={ctx.address}",
        f"--secure-port={ctx.api_port}",
        f"--tls-cert-file={server.certificate}",
        f"--tls-private-key-file={server.key}",
        f"--client-ca-file={ctx.authority.certificate}",
        f"--kubelet-client-certificate={kubelet.certificate}",
        f"--kubelet-client-key={kubelet.key}",
        "--kubelet-preferred-address-types=InternalIP,Hostname",
        f"--requestheader-client-ca-file={ctx.authority.certificate}",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={proxy.certificate}",
        f"--proxy-client-key-file={proxy.key}",
        f"--service-account-issuer=https://kubernetes.default.svc.{context.CLUSTER_DOMAIN}",
        f"--service-account-signing-key-file={tokens.key}",
        f"--service-account-key-file={tokens.certificate}",
        f"--service-cluster-ip-range={context.SERVICE_CIDR}",
        # A Service may not point to loopback; only a cluster that pods reach has an endpoint to publish.
        f"--endpoint-reconciler-type={'none' if on_loopback else 'lease'}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--shutdown-delay-duration=0s",
        *settings.extra.get("kube-apiserver", []),
    ])  # fmt: skip
    _wait_secure(ctx, "kube-apiserver", ctx.address, ctx.api_port, "/readyz")


def _controllers(ctx: Context, settings: Settings) -> None:
    tokens = ctx.authority.signing_key("service-accounts")
    ctx.processes.ensure("kube-controller-manager", [
        ctx.programs["kube-controller-manager"],
        *_component(ctx, "kube-controller-manager"),
        f"--kube-api-qps={settings.controller_qps}",
        f"--kube-api-burst={settings.controller_qps * 2}",
        f"--node-monitor-grace-period={settings.node_grace_seconds}s",
        f"--flex-volume-plugin-dir={ctx.state / 'flexvolume'}",  # its default lies in /usr and is made by it
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={tokens.key}",
        f"--root-ca-file={ctx.authority.certificate}",
        f"--cluster-signing-cert-file={ctx.authority.own.certificate}",
        f"--cluster-signing-key-file={ctx.authority.own.key}",
        *settings.extra.get("kube-controller-manager", []),
    ], reads=ctx.server)  # fmt: skip


def _scheduler(ctx: Context, settings: Settings) -> None:
    ctx.processes.ensure("kube-scheduler", [
        ctx.programs["kube-scheduler"],
        *_component(ctx, "kube-scheduler"),
        f"--kube-api-qps={settings.scheduler_qps}",
        f"--kube-api-burst={settings.scheduler_qps * 2}",
        *settings.extra.get("kube-scheduler", []),
    ], reads=ctx.server)  # fmt: skip


def _component(ctx: Context, name: str) -> list[str]:
    """The flags that the controller manager and the scheduler share: who they are and where they listen."""
    config = ctx.write_kubeconfig(f"system:{name}")
    server = ctx.authority.server(name, name, [LOOPBACK, "localhost"])
    return [
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        f"--client-ca-file={ctx.authority.certificate}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={ctx.port(name)}",
        f"--tls-cert-file={server.certificate}",
        f"--tls-private-key-file={server.key}",
        "--leader-elect=false",
    ]


def _wait_secure(ctx: Context, name: str, host: str, port: int, path: str) -> None:
    ctx.processes.wait(name, lambda: probes.secure(ctx.authority, host, port, path) == 200, START_SECONDS)
