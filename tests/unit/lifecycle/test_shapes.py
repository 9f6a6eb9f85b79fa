"""What the planner weighs of a template is what kube-scheduler would weigh."""

from __future__ import annotations

from cardpool.api.trainingjob import Group
from cardpool.domain.gangs import Requirement
from cardpool.lifecycle import shapes


def group(spec: dict[str, object], **fields: object) -> Group:
    """A group of one container."""
    containers = [{"name": "main", "image": "a", "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}}]
    template = {"spec": {"containers": containers, **spec}}
    return Group.model_validate({"name": "w", "replicas": 2, "cardsPerPod": 8, "template": template} | fields)


def test_match_fields_keep_their_operator() -> None:
    """NotIn over metadata.name keeps nodes off, and is no list of allowed nodes."""
    field = {"key": "metadata.name", "operator": "NotIn", "values": ["n-1"]}
    affinity = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": [field]}]}
        }
    }

    shape = shapes.group_shape(group({"affinity": affinity}), "k100", tolerate_pool=False)

    assert shape.nodes.terms == ((Requirement("metadata.name", "NotIn", ("n-1",)),),)


def test_variant_lies_over_the_template() -> None:
    """Image, env by name, resources and tolerations of the profile's variant."""
    variant = {
        "profile": "npu",
        "image": "b",
        "replicas": 4,
        "env": [{"name": "A", "value": "2"}],
        "resources": {"requests": {"cpu": "2"}},
        "tolerations": [{"key": "npu", "operator": "Exists"}],
    }
    one = group({}, variants=[variant])

    spec = shapes.pod_spec(one, "npu")
    shape = shapes.group_shape(one, "npu", tolerate_pool=True)

    assert (spec["containers"][0]["image"], spec["containers"][0]["env"]) == ("b", [{"name": "A", "value": "2"}])
    assert (shape.replicas, shape.requests) == (4, {"cpu": 2000})
    assert [item.key for item in shape.tolerations] == ["npu", "cardpool.dev/pool"]
    assert shapes.pod_spec(one, "k100")["containers"][0]["image"] == "a"
