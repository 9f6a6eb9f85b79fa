"""The development cluster: real Kubernetes programs, built from pinned modules, on this machine.

Shape: `paths` (where things lie), `binaries` (build once), `certs` (authority), `processes` (start, stop), `context`
(what a profile gets to see), `controlplane` (etcd and the API server's family), `fake` (KWOK), `layouts` and `nodes`
(fake nodes), `lifecycle` (up, down, status), and `real`, the profile of real kubelets, which `lifecycle` calls through
the four functions named in `context.RealProfile`.
"""
