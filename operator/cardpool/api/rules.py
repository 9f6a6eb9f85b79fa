"""CEL rules of the three CRDs: what a schema alone cannot say, checked by the API server itself.

Each rule sits as low in the tree as it can, so that the API server's answer names the field. Invariant: every
list and string a rule reads is bounded, which keeps the rules inside the API server's cost limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cardpool.api.checks import FORBIDDEN
from cardpool.names import ENV_PREFIXES, GANG_PODS_MAX, GROUP, NODE_LEVEL

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `path` leads from the root to the schema it stands in, `field` from there to the field at fault."""

    path: str
    rule: str
    message: str
    field: str = ""
    reason: str = "FieldValueInvalid"

    def render(self) -> Schema:
        """The entry of `x-kubernetes-validations`."""
        entry = {"rule": self.rule, "message": self.message, "reason": self.reason}
        return entry | ({"fieldPath": self.field} if self.field else {})


def attach(schema: Schema, rules: Sequence[Rule]) -> None:
    """Writes the rules into the schema in place; a path that does not exist is a KeyError."""
    for rule in rules:
        node = schema
        for part in filter(None, rule.path.split(".")):
            name = part.removesuffix("[]")
            node = node["properties"][name]
            if part.endswith("[]"):
                node = node["items"]
        node.setdefault("x-kubernetes-validations", []).append(rule.render())


TEMPLATE: Final = "spec.groups[].template"
POD: Final = f"{TEMPLATE}.spec"
VARIANT: Final = "spec.groups[].variants[]"
CONTAINERS: Final = (f"{POD}.containers[]", f"{POD}.initContainers[]")


def template_rules(card_resources: Sequence[str]) -> Iterator[Rule]:
    """What a pod template and its variants must not contain; `card_resources` are the makers' resource names."""
    for name, why in FORBIDDEN.items():
        yield Rule(POD, f"!has(self.{name})", f"{name} must not be set: {why}", f".{name}", "FieldValueForbidden")
    yield Rule(
        POD,
        "!has(self.schedulerName) || self.schedulerName == 'default-scheduler'",
        "schedulerName must be default-scheduler or absent",
        ".schedulerName",
        "FieldValueForbidden",
    )
    yield Rule(
        f"{TEMPLATE}.metadata",
        f"!has(self.labels) || !self.labels.exists(key, key.startsWith('{GROUP}/'))",
        f"labels under {GROUP}/ are set by cardpool",
        ".labels",
        "FieldValueForbidden",
    )
    reserved = " && ".join(f"!self.startsWith('{prefix}')" for prefix in ENV_PREFIXES)
    names = ", ".join(f"{prefix}*" for prefix in ENV_PREFIXES)
    for holder in (*CONTAINERS, VARIANT):
        yield Rule(f"{holder}.env[].name", reserved, f"reserved: cardpool sets {names}", reason="FieldValueForbidden")
    listed = ", ".join(f"'{name}'" for name in sorted(card_resources))
    for holder in (*CONTAINERS, VARIANT, POD):
        for part in ("limits", "requests"):
            yield Rule(
                f"{holder}.resources.{part}",
                f"![{listed}].exists(name, name in self)",
                "card resources must not be set: cardsPerPod says how many, the profile which",
                reason="FieldValueForbidden",
            )


# The most pods that a group has on any profile, linear in the number of variants.
LARGEST: Final = (
    "(has(g.variants) && g.variants.exists(v, has(v.replicas) && v.replicas > g.replicas) ? "
    "g.variants.map(v, has(v.replicas) ? v.replicas : 1).max() : g.replicas)"
)

GANG_RULES: Final = (
    Rule(
        "spec.groups[]",
        "!has(self.minReplicas) || self.minReplicas <= self.replicas",
        "minReplicas must not be more than replicas",
        ".minReplicas",
    ),
    Rule(
        "spec.groups[]",
        "!has(self.minReplicas) || !has(self.variants) || "
        "self.variants.all(v, !has(v.replicas) || self.minReplicas <= v.replicas)",
        "minReplicas must not be more than a variant's replicas",
        ".minReplicas",
    ),
    Rule(
        "spec.groups[]",
        "!has(self.container) || self.template.spec.containers.exists(c, c.name == self.container)",
        "container must name a container of the template",
        ".container",
    ),
    Rule(
        "spec.groups[]",
        "!has(self.topology) || !has(self.topology.blocks) || self.topology.blocks.all(b, "
        "b.pods > 0 && self.replicas % b.pods == 0 && (!has(self.variants) || "
        "self.variants.all(v, !has(v.replicas) || v.replicas % b.pods == 0)))",
        "each block must divide the group's replicas",
        ".topology.blocks",
    ),
    *(
        Rule(
            f"{holder}.blocks",
            "(size(self) < 2 || (self[1].pods > 0 && self[0].pods % self[1].pods == 0)) && "
            "(size(self) < 3 || (self[2].pods > 0 && self[1].pods % self[2].pods == 0))",
            "each block must divide the one before",
        )
        for holder in ("spec.topology", "spec.groups[].topology")
    ),
    Rule(
        "spec",
        "!has(self.topology) || !has(self.topology.blocks) || self.topology.blocks.all(b, "
        "b.pods > 0 && self.groups.map(g, g.replicas).sum() % b.pods == 0)",
        "each block must divide the gang: the sum of all groups' replicas",
        ".topology.blocks",
    ),
    Rule(
        "spec",
        "!has(self.topology) || !has(self.topology.blocks) || self.topology.blocks.all(b, b.pods > 0 && "
        "self.groups.all(g, !has(g.variants) || g.variants.all(v, !has(v.replicas) || "
        "(v.replicas - g.replicas) % b.pods == 0)))",
        "a variant's replicas may differ from its group's only by a multiple of each block",
        ".topology.blocks",
    ),
    Rule(
        "spec",
        f"self.groups.map(g, {LARGEST}).sum() <= {GANG_PODS_MAX}",
        f"a gang has at most {GANG_PODS_MAX} pods, on any profile",
        ".groups",
    ),
)

OTHER_RULES: Final = (
    Rule(
        "spec.checkpoint",
        "!has(self.path) || !('/' + self.path + '/').contains('/../')",
        "path must stay inside the mount",
        ".path",
    ),
    Rule(
        "spec.restart.backoff",
        "!has(self.capSeconds) || !has(self.baseSeconds) || self.capSeconds >= self.baseSeconds",
        "capSeconds must not be less than baseSeconds",
        ".capSeconds",
    ),
)

# The fields that change never, and those that change only while no pod is left. All others are free.
NEVER: Final = ("pool", "managedBy", "rendezvous.style")
WHILE_SUSPENDED: Final = ("accept", "checkpoint", "groups", "mixing", "rendezvous.port", "success", "topology")
OPTIONAL: Final = ("accept", "checkpoint", "topology")
IDLE: Final = (
    "oldSelf.spec.suspend && (!has(oldSelf.status) || "
    "(!has(oldSelf.status.conditions) && !has(oldSelf.status.placement)) || (has(oldSelf.status.conditions) && "
    "oldSelf.status.conditions.exists(c, c.type == 'Suspended' && c.status == 'True')))"
)


def mutability_rules() -> Iterator[Rule]:
    """The table of what may change when, as transition rules at the root, which alone sees spec and status."""
    for name in NEVER:
        yield Rule("", f"self.spec.{name} == oldSelf.spec.{name}", f"{name} never changes", f".spec.{name}")
    yield Rule(
        "",
        "!has(self.spec.checkpoint) || !has(oldSelf.spec.checkpoint) || "
        "self.spec.checkpoint.format == oldSelf.spec.checkpoint.format",
        "checkpoint.format never changes",
        ".spec.checkpoint.format",
    )
    for name in WHILE_SUSPENDED:
        new, old = f"self.spec.{name}", f"oldSelf.spec.{name}"
        same = f"{new} == {old}"
        if name in OPTIONAL:
            same = f"has({new}) == has({old}) && (!has({new}) || {same})"
        yield Rule(
            "",
            f"({same}) || ({IDLE})",
            f"{name} changes only while the job is suspended and no pod of it is left",
            f".spec.{name}",
            "FieldValueForbidden",
        )


SELECTOR_RULE: Final = (
    (
        "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 : "
        "!has(self.values) || size(self.values) == 0"
    ),
    "values are needed for In and NotIn and must be absent for Exists and DoesNotExist",
    ".values",
)


def pool_rules() -> Iterator[Rule]:
    """Rules of the CardPool."""
    for selector in ("selector", "profiles[].selector", "teams[].namespaceSelector"):
        yield Rule(f"spec.{selector}.matchExpressions[]", *SELECTOR_RULE)
    for levels in ("levels", "overrides[].levels"):
        yield Rule(
            f"spec.topology.{levels}[].name", f"self != '{NODE_LEVEL}'", f"{NODE_LEVEL} is always the last level"
        )
        yield Rule(
            f"spec.topology.{levels}",
            "self.all(one, self.exists_one(other, other.label == one.label))",
            "each level needs a label of its own",
        )
    yield Rule(
        "spec.profiles[]",
        "!has(self.diePairs) || !self.diePairs || !has(self.fabricCards) || self.fabricCards % 2 == 0",
        "fabricCards must be even with diePairs",
        ".fabricCards",
    )
    yield Rule(
        "spec.teams[].quota[]",
        "has(self.cards) != has(self.compute)",
        "a quota has either cards or compute",
        ".cards",
    )
    yield Rule(
        "spec",
        "!has(self.topology.overrides) || self.topology.overrides.all(o, self.profiles.exists(p, p.name == o.profile))",
        "overrides must name profiles of the pool",
        ".topology.overrides",
    )
    yield Rule(
        "spec",
        "!has(self.teams) || self.teams.all(t, !has(t.quota) || t.quota.all(q, q.profile == '*' || "
        "self.profiles.exists(p, p.name == q.profile)))",
        "quotas must name profiles of the pool, or *",
        ".teams",
    )
    gang = "self.queue.defragmentation.gang"
    none = f"!has(self.queue) || !has(self.queue.defragmentation) || !has({gang})"
    yield Rule(
        "spec",
        f"{none} || !has({gang}.profile) || self.profiles.exists(p, p.name == {gang}.profile)",
        "the gang's profile must be one of the pool",
        ".queue.defragmentation.gang.profile",
    )
    yield Rule(
        "spec",
        f"{none} || !has({gang}.level) || {gang}.level == '{NODE_LEVEL}' || has(self.topology) && "
        f"(has(self.topology.levels) && self.topology.levels.exists(l, l.name == {gang}.level) || "
        f"has(self.topology.overrides) && self.topology.overrides.exists(o, has(o.levels) && "
        f"o.levels.exists(l, l.name == {gang}.level)))",
        "the gang's level must be one of the pool, or node",
        ".queue.defragmentation.gang.level",
    )


def job_rules(card_resources: Sequence[str]) -> tuple[Rule, ...]:
    """Rules of the TrainingJob."""
    return (*template_rules(card_resources), *GANG_RULES, *OTHER_RULES, *mutability_rules())


def supernode_rules() -> tuple[Rule, ...]:
    """Rules of the Supernode."""
    return (Rule("spec.selector.matchExpressions[]", *SELECTOR_RULE),)
