"""The benchmark's own arithmetic: what a raw client would send, what a ratio is, when a figure is out of range."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cardpool.planning import asking
from e2e.bench import engine, floor, load, report
from e2e.bench.measures import Figures

RANGES = """
sizes:
  full:
    figures:
      bound_ratio: {value: 1.1, most: 1.3}
"""


def test_a_pod_is_stripped_to_what_a_client_sends() -> None:
    """Defaults, the bound node, tokens, owners and the server's metadata go; affinity and what was asked for stay."""
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}
    token = {"name": "kube-api-access-x", "mountPath": "/var/run/secrets"}
    pod = {
        "metadata": {
            "name": "gang-worker-0", "namespace": "bench", "uid": "u", "labels": {"a": "b"},
            "ownerReferences": [{"uid": "j"}], "resourceVersion": "7",
        },
        "spec": {
            "nodeName": "n", "schedulerName": "default-scheduler", "affinity": affinity, "restartPolicy": "Never",
            "hostname": "gang-worker-0", "subdomain": "gang", "volumes": [{"name": "kube-api-access-x"}, {"name": "data"}],
            "tolerations": [
                {"key": "node.kubernetes.io/not-ready", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/not-ready", "tolerationSeconds": 30},
            ],
            "containers": [
                {"name": "main", "imagePullPolicy": "Always", "volumeMounts": [token, {"name": "data", "mountPath": "/d"}]}
            ],
        },
        "status": {"phase": "Running"},
    }  # fmt: skip

    assert floor.strip_pod(pod, "raw-ns", "gang", "raw") == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "raw-worker-0", "namespace": "raw-ns", "labels": {"a": "b"}},
        "spec": {
            "affinity": affinity,
            "restartPolicy": "Never",
            "hostname": "raw-worker-0",
            "subdomain": "raw",
            "volumes": [{"name": "data"}],
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "tolerationSeconds": 30}],
            "containers": [{"name": "main", "volumeMounts": [{"name": "data", "mountPath": "/d"}]}],
        },
    }


def test_the_ratio_is_taken_round_by_round() -> None:
    """A slow minute of the machine hits both sides of its round and leaves the ratio alone."""
    figures = Figures(floor_seconds=[4.0, 40.0, 4.0], bound_seconds=[4.4, 44.0, 6.0])

    assert figures.ratio == pytest.approx(1.1)


@pytest.mark.parametrize(
    ("value", "ok"), [(1.3, True), (1.31, False)], ids=["at the edge of the range", "beyond the range"]
)
def test_a_figure_is_judged_by_its_range(tmp_path: Path, value: float, *, ok: bool) -> None:
    """The recorded most still passes, more does not, and a figure without a range always does."""
    ranges = tmp_path / "ranges.yaml"
    ranges.write_text(RANGES)
    verdicts = report.judge({"bound_ratio": value, "no_seconds": 99.0}, "full", ranges)

    assert [one.ok for one in verdicts] == [ok, True]


def test_the_recorded_ranges_name_figures_that_exist() -> None:
    """Every figure in the range file is one that the benchmark reports, and its value is inside its range."""
    recorded = report.yaml.safe_load(report.RANGES.read_text())["sizes"]

    for size in recorded.values():
        for name, one in size["figures"].items():
            assert name in report.MEANING
            assert one["value"] <= one["most"]


def test_the_ranges_of_the_planner_name_its_figures() -> None:
    """Every figure of the planner's benchmark has a range above its value, and no range is for nothing."""
    recorded = yaml.safe_load(engine.RANGES.read_text())["sizes"]["engine"]["figures"]

    assert set(recorded) == set(engine.MEANING)
    assert all(one["value"] < one["most"] for one in recorded.values())


def test_every_form_of_the_manifests_is_the_same_pool(tmp_path: Path) -> None:
    """JSON, YAML documents and a YAML list give one plan; the pods beside them hold their nodes' cards."""
    replies = {
        form: asking.ask(asking.Question(places=[str(path) for path in paths], now=load.NOW))
        for form, paths in load.write(tmp_path, 200, 50).items()
    }
    free = {form: [(pool.total, pool.free) for pool in reply.plan.pools] for form, reply in replies.items()}

    assert replies["json"].plan == replies["yaml"].plan == replies["kubectl"].plan
    assert free == {
        "json": [(1600, 1600)],
        "yaml": [(1600, 1600)],
        "kubectl": [(1600, 1600)],
        "kubectl_pods": [(1600, 1200)],
    }


def test_the_forms_that_are_measured_have_ranges() -> None:
    """Processor time, time on the clock and memory of each; every figure of the file is one that is measured."""
    recorded = yaml.safe_load(load.RANGES.read_text())["sizes"]["load"]["figures"]
    forms = ("json", "yaml", "kubectl", "kubectl_pods")

    assert {f"{form}_{kind}" for form in forms for kind in ("cpu_s", "s", "gib")} == recorded.keys()
    assert all(one["value"] <= one["most"] for one in recorded.values())
