"""What integration tests do to a cluster beside plain REST: install the kinds, and play the parts of kubelet.

On fake nodes KWOK starts pods and then leaves their status alone, so a test makes a container exit, a card fall ill or
a node fall silent by the status that kubelet would have written.
"""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from e2e.cluster import nodes, rest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from e2e.cluster.rest import JSON

WAIT_SECONDS = 20.0


@dataclass(slots=True)
class Kube(rest.Client):
    """A client with the verbs of a test; `Kube.open(kubeconfig)` makes one."""

    async def install(self, files: Iterable[Path]) -> None:
        """Apply every manifest of the files and return when each CRD in it is served."""
        manifests = [one for file in files for one in yaml.safe_load_all(file.read_text())]
        for manifest in filter(None, manifests):
            await self.apply(manifest, manager="cardpool-crds")
        for manifest in filter(None, manifests):
            if manifest["kind"] == "CustomResourceDefinition":
                await self._served(manifest)

    async def until(self, kind: str, name: str, namespace: str | None = None, seconds: float = WAIT_SECONDS) -> JSON:
        """The object, once it is there."""

        async def look() -> JSON | None:
            return await self.find(kind, name, namespace)

        return await rest.wait_for(look, seconds, f"{kind} {name}")

    async def until_phase(self, name: str, namespace: str, phase: str, seconds: float = WAIT_SECONDS) -> JSON:
        """The pod, once it is in that phase."""

        async def look() -> JSON | None:
            pod = await self.find("Pod", name, namespace)
            return pod if pod and pod["status"].get("phase") == phase else None

        return await rest.wait_for(look, seconds, f"pod {name} {phase}")

    async def until_true(
        self, kind: str, name: str, namespace: str | None, condition: str, seconds: float = WAIT_SECONDS
    ) -> JSON:
        """The object, once its condition is True."""

        async def look() -> JSON | None:
            found = await self.find(kind, name, namespace)
            held = (found or {}).get("status", {}).get("conditions", [])
            return found if any(one["type"] == condition and one["status"] == "True" for one in held) else None

        return await rest.wait_for(look, seconds, f"{kind} {name} {condition}")

    async def until_gone(
        self, kind: str, name: str, namespace: str | None = None, seconds: float = WAIT_SECONDS
    ) -> None:
        """Return when there is no such object."""

        async def look() -> bool:
            return await self.find(kind, name, namespace) is None

        await rest.wait_for(look, seconds, f"{kind} {name} gone")

    async def finish_pod(self, name: str, namespace: str, exit_code: int = 0, message: str = "") -> JSON:
        """Let every container of a running pod exit with the code, as kubelet would report it."""
        pod = await self.get("Pod", name, namespace)
        ended = {"exitCode": exit_code, "reason": "Error" if exit_code else "Completed", "message": message}
        statuses = [
            one | {"ready": False, "started": False, "state": {"terminated": _times(one) | ended}}
            for one in pod["status"]["containerStatuses"]
        ]
        phase = "Failed" if exit_code else "Succeeded"
        status = {"phase": phase, "containerStatuses": statuses}
        return await self.patch("Pod", name, {"status": status}, namespace, subresource="status")

    async def report_cards(self, name: str, namespace: str, resource: str, health: Mapping[str, str]) -> JSON:
        """Report the health (Healthy, Unhealthy, Unknown) of the pod's cards in `allocatedResourcesStatus`."""
        pod = await self.get("Pod", name, namespace)
        cards = [{"resourceID": card, "health": word} for card, word in health.items()]
        first, *others = pod["status"]["containerStatuses"]
        first["allocatedResourcesStatus"] = [{"name": resource, "resources": cards}]
        status = {"containerStatuses": [first, *others]}
        return await self.patch("Pod", name, {"status": status}, namespace, subresource="status")

    async def set_cards(self, node: str, resource: str, allocatable: int, capacity: int | None = None) -> JSON:
        """Set how many cards the node offers; capacity stays as it is unless given."""
        status: JSON = {"allocatable": {resource: str(allocatable)}}
        if capacity is not None:
            status["capacity"] = {resource: str(capacity)}
        return await self.patch("Node", node, {"status": status}, subresource="status")

    async def silence(self, node: str) -> None:
        """Let nobody play kubelet for this fake node: its lease runs out and its pods neither start nor go.

        KWOK keeps its hands off a node whose lease somebody else holds; the node controller sees it age all the same.
        """
        mine = {"holderIdentity": "silenced", "leaseDurationSeconds": 1_000_000}
        await self._set_lease(node, mine)

        async def let_go() -> bool:
            lease = await self.get("Lease", node, "kube-node-lease")
            if lease["spec"].get("holderIdentity") != "silenced":  # a renewal that was under way took it back
                await self._set_lease(node, mine)
                return False
            return not await self._starts_pods(node)

        await rest.wait_for(let_go, WAIT_SECONDS, f"KWOK to let go of {node}")

    async def wake(self, node: str) -> None:
        """Give a silenced node back to KWOK, which takes it within a quarter of its lease time, with all its pods."""
        await self._set_lease(node, {"holderIdentity": None, "leaseDurationSeconds": None})

        async def taken() -> bool:
            lease = await self.get("Lease", node, "kube-node-lease")
            return bool(lease["spec"].get("holderIdentity"))

        await rest.wait_for(taken, WAIT_SECONDS, f"KWOK to take {node} back")

        async def settled() -> bool:
            # KWOK may look at the pods before it sees its own lease: a change makes it look at them again.
            pods = await self.list("Pod", fields=f"spec.nodeName={node}")
            waiting = [pod["metadata"] for pod in pods if _awaits_kubelet(pod)]
            for pod in waiting:
                touch = {"metadata": {"annotations": {"test/touched": uuid.uuid4().hex}}}
                with contextlib.suppress(rest.ApiError):  # gone in between: the next look tells
                    await self.patch("Pod", pod["name"], touch, pod["namespace"])
            return not waiting

        await rest.wait_for(settled, WAIT_SECONDS, f"KWOK to take up the pods of {node}", every=0.5)

    async def _starts_pods(self, node: str) -> bool:
        """Whether KWOK starts a pod bound to the node within a second (else a few milliseconds do)."""
        name = f"probe-{uuid.uuid4().hex[:8]}"
        spec = {
            "nodeName": node,
            "containers": [{"name": "probe", "image": "probe"}],
            "tolerations": [{"operator": "Exists"}],
        }
        await self.create(_object("Pod", name, namespace="default") | {"spec": spec})
        try:
            await self.until_phase(name, "default", "Running", seconds=1.0)
        except TimeoutError:
            return False
        finally:
            await self.delete("Pod", name, "default", grace=0)
        return True

    async def _set_lease(self, node: str, spec: JSON) -> None:
        await self.until("Lease", node, "kube-node-lease")
        await self.patch("Lease", node, {"spec": spec}, "kube-node-lease")

    async def make_nodes(self, made: Iterable[JSON], seconds: float = WAIT_SECONDS) -> list[str]:
        """Create fake nodes and return their names when all are Ready."""
        listed = list(made)
        names = [node["metadata"]["name"] for node in listed]
        await nodes.create(self, listed)
        await nodes.wait_ready(self, names, seconds + len(names) / 20)
        return names

    async def service_account(self, name: str, namespace: str, rules: list[JSON]) -> str:
        """A token of a new service account that may do what the rules say in the whole cluster."""
        label = f"{namespace}-{name}"
        await self.create(_object("ServiceAccount", name, namespace=namespace))
        await self.create(_object("ClusterRole", label) | {"rules": rules})
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": label}
        subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
        await self.create(_object("ClusterRoleBinding", label) | {"roleRef": role, "subjects": [subject]})
        return await self.token(name, namespace)

    async def token(self, account: str, namespace: str) -> str:
        """A bearer token of the service account, good for an hour."""
        path = rest.path_of("ServiceAccount", account, namespace, "token")
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        return str((await self.request("POST", path, body))["status"]["token"])

    async def _served(self, crd: JSON) -> None:
        """Return when the kind answers; `Established` comes before its storage is there (429 until then)."""
        spec = crd["spec"]
        paths = [f"/apis/{spec['group']}/{one['name']}/{spec['names']['plural']}" for one in spec["versions"]]

        async def look() -> bool:
            try:
                for path in paths:
                    await self.request("GET", path, query={"limit": "1"})
            except rest.ApiError as error:
                if error.status not in {404, 429}:
                    raise
                return False
            return True

        await rest.wait_for(look, WAIT_SECONDS, f"CRD {crd['metadata']['name']} served")


def _awaits_kubelet(pod: JSON) -> bool:
    return "deletionTimestamp" in pod["metadata"] or pod["status"].get("phase") == "Pending"


def _object(kind: str, name: str, **metadata: str) -> JSON:
    return {"apiVersion": rest.KINDS[kind][0], "kind": kind, "metadata": {"name": name, **metadata}}


def _times(status: JSON) -> JSON:
    started = status.get("state", {}).get("running", {}).get("startedAt")
    return {"startedAt": started, "finishedAt": started} if started else {}
