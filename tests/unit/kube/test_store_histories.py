"""Whatever the order of news, the mirror ends at the truth: random histories, seen late, twice and from two sides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cardpool.kube import store
from cardpool.names import Kind
from tests.unit.kube import objects

NAMES = ("a", "b", "c")
NODES = ("", "n1", "n2")
writes = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(["write", "delete"]), st.sampled_from(NODES)), max_size=25
)
# What reaches the mirror between the writes: the next events, an old event again, an own write's answer, a new list.
news = st.lists(st.tuples(st.sampled_from(["watch", "echo", "answer", "list"]), st.integers(0, 30)), max_size=40)


@dataclass
class Truth:
    """An API server's history of pods: every event with its version, and every state that was."""

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    states: list[dict[str, dict[str, Any]]] = field(default_factory=lambda: [{}])

    def write(self, name: str, verb: str, node: str) -> None:
        """Create or change a pod, or delete it; each takes one version."""
        state, version = dict(self.states[-1]), len(self.states)
        held = state.get(name)
        uid = held["metadata"]["uid"] if held else f"{name}-{version}"
        pod = objects.pod(name, version, uid=uid, on=node)
        if verb == "write":
            state[name] = pod
            self.events.append(("MODIFIED" if held else "ADDED", pod))
        elif held:
            del state[name]
            self.events.append(("DELETED", {**held, "metadata": {**held["metadata"], "resourceVersion": str(version)}}))
        else:
            return
        self.states.append(state)


@settings(max_examples=150, deadline=None)
@given(writes, news)
def test_the_mirror_ends_at_the_truth(history: list[tuple[str, str, str]], arrivals: list[tuple[str, int]]) -> None:
    """Echoes, answers of own writes and lists in any interleaving never leave a wrong pod behind, nor hide one."""
    truth, mirror, seen = Truth(), store.Mirror(), 0
    for step in history:
        truth.write(*step)
    for what, number in arrivals:
        match what:
            case "watch":
                for kind, pod in truth.events[seen : seen + number]:
                    mirror.apply(Kind.POD, kind, objects.typed(Kind.POD, pod))
                seen = min(len(truth.events), seen + number)
            case "echo" if seen:
                kind, pod = truth.events[number % seen]
                mirror.apply(Kind.POD, kind, objects.typed(Kind.POD, pod))
            case "answer" if truth.events:
                kind, pod = truth.events[number % len(truth.events)]
                if kind != "DELETED":
                    mirror.overlay(Kind.POD, objects.raw(pod))
            case "list":
                seen = min(len(truth.events), seen + number)
                listed = [mirror.prepare(Kind.POD, objects.typed(Kind.POD, pod)) for pod in truth.states[seen].values()]
                mirror.replace(Kind.POD, listed, str(seen))
            case _:
                continue
    for kind, pod in truth.events[seen:]:
        mirror.apply(Kind.POD, kind, objects.typed(Kind.POD, pod))
    world = mirror.freeze(0.0)
    expected = {name: (pod["metadata"]["uid"], pod["spec"]["nodeName"]) for name, pod in truth.states[-1].items()}
    assert {pod.name: (pod.uid, pod.node) for pod in world.pods.values()} == expected
    by_node = {(node, pod.name) for node, pods in world.pods_by_node.items() for pod in pods}
    assert by_node == {(node, name) for name, (_, node) in expected.items() if node}
