"""A cluster in memory for the pure core: it applies decisions as the API server, scheduler and kubelets would.

One ``step`` is: decide, write what was decided, then let the cluster move (bind, run, finish deletions) as far as the
test allows. Nothing here knows what the core should do.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cardpool.api.cardpool import CardPoolSpec, CardPoolStatus
from cardpool.api.jobstatus import TrainingJobStatus
from cardpool.api.supernode import SupernodeSpec, SupernodeStatus
from cardpool.api.trainingjob import TrainingJobSpec
from cardpool.domain import quantity
from cardpool.domain.changes import Table
from cardpool.domain.world import (
    DeviceHealth,
    Exit,
    JobRecord,
    NodeRecord,
    PodRecord,
    PoolRecord,
    PriorityClassRecord,
    Refused,
    SupernodeRecord,
    World,
)
from cardpool.lifecycle import actions, cycle
from cardpool.names import LABEL_ROLE, Kind
from cardpool.vendors import registry as vendors

RESOURCE = "hygon.com/dcu"
MAKERS = vendors.load_builtin()


def pool_spec(**fields: Any) -> CardPoolSpec:
    """A pool over all nodes with one profile and a supernode level; short fault times."""
    base: dict[str, Any] = {
        "selector": {},
        "profiles": [{"name": "k100", "vendor": "hygon"}],
        "topology": {"levels": [{"name": "supernode", "label": "sn"}]},
        "faults": {"debounceSeconds": 5, "attributionSeconds": 4},
    }
    return CardPoolSpec.model_validate(base | fields)


def job_spec(replicas: int = 2, cards: int = 8, **fields: Any) -> TrainingJobSpec:
    """A job of one group."""
    template = {
        "spec": {
            "containers": [
                {"name": "main", "image": "train", "volumeMounts": [{"name": "ckpt", "mountPath": "/ckpt"}]}
            ],
            "volumes": [{"name": "ckpt", "emptyDir": {}}],
        }
    }
    base: dict[str, Any] = {
        "pool": "main",
        "groups": [{"name": "w", "replicas": replicas, "cardsPerPod": cards, "template": template}],
    }
    return TrainingJobSpec.model_validate(base | fields)


def is_late(job: JobRecord) -> bool:
    """What the API server shows to the watch of settled jobs that have a TTL."""
    return job.status.settled and job.spec is not None and job.spec.ttl_seconds_after_finished is not None


@dataclass
class SimCluster:
    """Nodes, pods and our three kinds, with a clock that only the test moves."""

    nodes: int = 4
    cards: int = 8
    per_supernode: int = 2
    now: float = 1_000_000.0
    spec: CardPoolSpec = field(default_factory=pool_spec)
    binds: Callable[[PodRecord], bool] = lambda _pod: True
    runs: Callable[[PodRecord], bool] = lambda _pod: True
    refuses: Callable[[str], str] = lambda _name: ""
    goes: Callable[[PodRecord], bool] = lambda _pod: True
    words: str = ""

    def __post_init__(self) -> None:
        self.memory = cycle.Memory()
        self._shown: dict[str, Any] = {}
        self.registry = MAKERS
        self._ids = itertools.count(1)
        self.node: dict[str, NodeRecord] = {}
        for place in range(self.nodes):
            self.add_node(f"n-{place}", f"s{place // self.per_supernode}")
        self.pod: dict[str, PodRecord] = {}
        self.manifest: dict[str, Mapping[str, Any]] = {}
        self.jobs: dict[str, JobRecord] = {}
        self.supernodes: dict[str, SupernodeRecord] = {}
        self.pool = PoolRecord("main", "pool-uid", "1", 1, 0.0, False, self.spec, CardPoolStatus())
        self.priorities = {"cardpool-gang": PriorityClassRecord("cardpool-gang", 1000, "Never")}
        self.refused: dict[str, Refused] = {}
        self.namespaces: dict[str, dict[str, str]] = {}
        self.events: list[tuple[str, str, str]] = []
        self.created: list[str] = []

    def add_node(self, name: str, supernode: str, resource: str = RESOURCE) -> None:
        """A ready node full of cards."""
        amounts = {"cpu": 64_000, "memory": 1 << 40, "pods": 110, resource: self.cards}
        self.node[name] = NodeRecord(
            name=name,
            uid=f"uid-{name}",
            created=0.0,
            labels={"sn": supernode},
            taints=(),
            unschedulable=False,
            ready=True,
            deleting=False,
            capacity=amounts,
            allocatable=dict(amounts),
        )

    def submit(self, name: str, spec: TrainingJobSpec, namespace: str = "default") -> str:
        """Create a job; gives its key."""
        key = f"{namespace}/{name}"
        self.jobs[key] = JobRecord(
            namespace, name, f"job-{name}", self._rv(), 1, self.now, False, spec, TrainingJobStatus()
        )
        return key

    def change(self, key: str, **fields: Any) -> None:
        """Edit a job's spec."""
        job = self.jobs[key]
        assert job.spec is not None
        spec = job.spec.model_copy(update=fields)
        self.jobs[key] = replace(job, spec=spec, generation=job.generation + 1, resource_version=self._rv())

    def allocatable(self, node: str, cards: int, capacity: int | None = None) -> None:
        """What the node's plug-in offers."""
        record = self.node[node]
        amounts = {**record.allocatable, RESOURCE: cards}
        total = {**record.capacity, RESOURCE: self.cards if capacity is None else capacity}
        self.node[node] = replace(record, allocatable=amounts, capacity=total)

    def health(self, pod: str, card: str, health: str) -> None:
        """What a pod's status says of one of its cards."""
        record = self.pod[pod]
        devices = tuple(replace(item, health=health) if item.card == card else item for item in record.devices)
        self.pod[pod] = replace(record, devices=devices)

    def end(self, pod: str, code: int, message: str = "") -> None:
        """The pod's container exits."""
        record = self.pod[pod]
        container = record.name if LABEL_ROLE not in record.labels else "resolver"
        self.pod[pod] = replace(
            record,
            phase="Failed" if code else "Succeeded",
            ready=False,
            exits=(Exit(container, code, "Error" if code else "Completed", message, self.now),),
        )

    def world(self) -> World:
        """The view of this moment."""
        owners: dict[str, list[PodRecord]] = defaultdict(list)
        nodes: dict[str, list[PodRecord]] = defaultdict(list)
        for pod in self.pod.values():
            owners[pod.owner].append(pod)
            if pod.holds:
                nodes[pod.holds].append(pod)
        return World(
            now=self.now,
            nodes=self._same("nodes", dict(self.node)),
            pods=self._same("pods", dict(self.pod)),
            pods_by_owner=self._same("owners", self._groups("owner", owners)),
            pods_by_node=self._same("places", self._groups("node", nodes)),
            jobs={key: job for key, job in self.jobs.items() if not job.status.settled},
            late={key: job for key, job in self.jobs.items() if is_late(job)},
            pools={"main": self.pool},
            supernodes=dict(self.supernodes),
            priority_classes=self._same("priorities", dict(self.priorities)),
            namespaces=dict(self.namespaces),
            refused=dict(self.refused),
        )

    def _groups(self, kind: str, groups: Mapping[str, list[PodRecord]]) -> dict[str, tuple[PodRecord, ...]]:
        return {key: self._same(f"{kind}/{key}", tuple(value)) for key, value in groups.items()}

    def _same(self, name: str, value: Any) -> Any:
        """What stood under the name where it is equal: as in the mirror, what did not change keeps its identity."""
        old = self._shown.get(name)
        if isinstance(value, dict) and old != value:
            known = old if old is not None else Table({})
            keys = known.keys() | value.keys()
            self._shown[name] = known.followed(value, {key for key in keys if known.get(key) is not value.get(key)})
        elif old != value:
            self._shown[name] = value
        return self._shown[name]

    def decide(self) -> actions.Decision:
        """What the core wants now; nothing is written."""
        return cycle.decide(self.world(), self.registry, cycle.CycleSettings("operator:1"), self.memory)

    def step(self, seconds: float = 0.0) -> actions.Decision:
        """One cycle after ``seconds``, written, and the cluster moved on."""
        self.now += seconds
        decision = self.decide()
        self.write(decision)
        self.move()
        return decision

    def settle(self, seconds: float = 0.1, most: int = 200) -> None:
        """Cycle until a cycle writes nothing."""
        for _ in range(most):
            before = dict(self.pod)
            if not self.step(seconds).steps and self.pod == before:
                return
        raise AssertionError("the core never comes to rest")

    def write(self, decision: actions.Decision) -> None:
        """Perform everything, as the runtime does."""
        for apply in decision.labels:
            record = self.node[apply.node]
            labels = {key: value for key, value in record.labels.items() if key not in record.owned}
            self.node[apply.node] = replace(record, labels=labels | dict(apply.labels), owned=frozenset(apply.labels))
        for wanted in decision.supernodes:
            spec = SupernodeSpec.model_validate({"pool": wanted.pool, "selector": dict(wanted.selector)})
            assert wanted.name not in self.supernodes or self.supernodes[wanted.name].spec != spec
            self.supernodes[wanted.name] = SupernodeRecord(
                wanted.name, f"sn-{wanted.name}", self._rv(), 1, self.now, False, spec, SupernodeStatus(), True
            )
        for removal in decision.removals:
            del self.supernodes[removal.name]
        for step in decision.steps:
            self._step(step)

    def _step(self, step: actions.Step) -> None:
        if step.status is not None:
            self._status(step)
        self.events.extend((step.key, event.reason.value, event.message) for event in step.events)
        for deletion in step.deletions:
            key = f"{deletion.namespace}/{deletion.name}"
            if key in self.pod and self.pod[key].uid == deletion.uid:
                self.pod[key] = replace(self.pod[key], deleting=True)
        for create in step.pods:
            if not self._create(step, create):
                return
        if step.delete_self:
            job = self.jobs.pop(step.key)
            self.pod = {key: pod for key, pod in self.pod.items() if pod.owner != job.uid}

    def _status(self, step: actions.Step) -> None:
        wire = dict(step.status or {})
        if step.kind is Kind.JOB:
            job = self.jobs[step.key]
            assert job.resource_version == step.resource_version
            status = TrainingJobStatus.model_validate(wire)
            self.jobs[step.key] = replace(job, status=status, resource_version=self._rv())
            known = self.refused.get(step.uid)
            if known is not None and known.attempt < status.attempt:
                del self.refused[step.uid]
        elif step.kind is Kind.POOL:
            self.pool = replace(self.pool, status=CardPoolStatus.model_validate(wire), resource_version=self._rv())
        else:
            record = self.supernodes[step.key]
            status_ = SupernodeStatus.model_validate(wire)
            self.supernodes[step.key] = replace(record, status=status_, resource_version=self._rv())

    def _create(self, step: actions.Step, create: actions.CreateObject) -> bool:
        manifest = create.manifest
        key = f"{manifest['metadata']['namespace']}/{create.name}"
        problem = self.refuses(create.name)
        if key in self.pod and self.pod[key].owner != step.uid:
            self.refused[step.uid] = Refused(step.uid, create.attempt, create.name, 409, "taken", self.now, taken=True)
            return False
        if problem:
            self.refused[step.uid] = Refused(step.uid, create.attempt, create.name, 403, problem, self.now)
            return False
        assert key not in self.pod, f"{key} is made twice"
        terms = manifest["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        self.manifest[key] = manifest
        self.created.append(key)
        self.pod[key] = PodRecord(
            namespace=manifest["metadata"]["namespace"],
            name=create.name,
            uid=f"pod-{next(self._ids)}",
            created=self.now,
            labels=manifest["metadata"]["labels"],
            owner=step.uid,
            node="",
            phase="Pending",
            ready=False,
            deleting=False,
            requests=quantity.pod_requests(manifest["spec"]),
            message=terms["nodeSelectorTerms"][0]["matchFields"][-1]["values"][0],
        )
        return True

    def move(self) -> None:
        """Deletions end, pods bind where their cards are, bound pods run."""
        self.pod = {key: pod for key, pod in self.pod.items() if not (pod.deleting and self.goes(pod))}
        for key, pod in list(self.pod.items()):
            if pod.deleting or pod.finished:
                continue
            current = pod
            if not pod.node:
                current = self._bind(pod) if self.binds(pod) else replace(pod, scheduling=self.words)
            if current.node and current.phase == "Pending" and self.runs(current):
                current = replace(current, phase="Running", ready=True)
            self.pod[key] = current

    def _bind(self, pod: PodRecord) -> PodRecord:
        node, cards = pod.message, self.registry.all_card_resources()
        resource = next((name for name in pod.requests if name in cards), RESOURCE)
        used = sum(
            other.requests.get(resource, 0) for other in self.pod.values() if other.node == node and not other.finished
        )
        wanted = pod.requests.get(resource, 0)
        if node not in self.node or used + wanted > self.node[node].allocatable.get(resource, 0):
            return replace(pod, scheduling="0/4 nodes are available: Insufficient cards")
        held = {item.card for other in self.pod.values() if other.node == node for item in other.devices}
        free = [f"card-{place}" for place in range(self.cards) if f"card-{place}" not in held][:wanted]
        devices = tuple(DeviceHealth(resource, card, "Healthy") for card in free)
        return replace(pod, node=node, scheduled_at=self.now, devices=devices)

    def pods_of(self, key: str) -> list[PodRecord]:
        """The job's pods, resolvers left out, by name."""
        uid = self.jobs[key].uid
        mine = [pod for pod in self.pod.values() if pod.owner == uid and LABEL_ROLE not in pod.labels]
        return sorted(mine, key=lambda pod: pod.name)

    def resolver_of(self, key: str) -> PodRecord | None:
        """The job's resolver pod, if there is one."""
        uid = self.jobs[key].uid
        return next((pod for pod in self.pod.values() if pod.owner == uid and LABEL_ROLE in pod.labels), None)

    def condition(self, key: str, kind: str) -> tuple[str, str]:
        """Status and reason of a job's condition."""
        found = next(item for item in self.jobs[key].status.conditions if item.type == kind)
        return found.status.value, found.reason

    def foreign(self, name: str, node: str, cards: int) -> None:
        """A pod of somebody else, bound."""
        self.pod[f"default/{name}"] = PodRecord(
            "default", name, f"pod-{next(self._ids)}", self.now, {}, "", node, "Running", True, False, {RESOURCE: cards}
        )

    def _rv(self) -> str:
        return str(next(self._ids))
