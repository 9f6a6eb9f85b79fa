"""The models accept what the documentation shows, keep it, fill in the settled defaults and refuse bad specs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic
import pytest
import yaml

from cardpool.api import common
from cardpool.api.cardpool import CardPool
from cardpool.api.jobstatus import Placement, Segment, TrainingJobStatus
from cardpool.api.supernode import Supernode, SupernodeStatus
from cardpool.api.trainingjob import TrainingJob
from tests.support import samples, specs

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLES = sorted(Path(__file__).parents[3].joinpath("docs", "examples").glob("*.yaml"))
MODELS: Mapping[str, type[pydantic.BaseModel]] = {model.__name__: model for model in (CardPool, Supernode, TrainingJob)}


def _documents(path: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


def _refusal(manifest: specs.Json) -> str:
    with pytest.raises(pydantic.ValidationError) as caught:
        MODELS[manifest["kind"]].model_validate(manifest)
    lines = []
    for error in caught.value.errors():
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])
        lines.append(f"{path.removeprefix('.')}: {error['msg']}")
    return "\n".join(lines)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_survive_a_round_trip(path: Path) -> None:
    """Every example parses, and what is dumped parses to an equal model that says all the example said."""
    for manifest in _documents(path):
        model = MODELS[manifest["kind"]].model_validate(manifest)
        dumped = common.to_wire(model)
        assert MODELS[manifest["kind"]].model_validate(dumped) == model
        assert _missing(manifest["spec"], dumped["spec"]) == []


def _missing(said: Any, kept: Any, path: str = "spec") -> list[str]:
    match said, kept:
        case dict(), dict():
            return [
                line
                for key, value in said.items()
                for line in (_missing(value, kept[key], f"{path}.{key}") if key in kept else [f"{path}.{key}"])
            ]
        case list(), list() if len(said) == len(kept):
            return [
                line
                for at, pair in enumerate(zip(said, kept, strict=True))
                for line in _missing(*pair, path=f"{path}[{at}]")
            ]
        case _:
            return [] if said == kept else [path]


@pytest.mark.parametrize("case", [case for case in specs.JOBS.values() if case.local], ids=lambda case: case.field)
def test_bad_jobs_are_refused_with_the_field(case: specs.Bad) -> None:
    """Each bad job that needs no data of Kubernetes or of the makers is refused, and the field is named."""
    assert case.local in _refusal(specs.changed(specs.good_job(), case.change))


@pytest.mark.parametrize("case", [case for case in specs.POOLS.values() if case.local], ids=lambda case: case.field)
def test_bad_pools_are_refused_with_the_field(case: specs.Bad) -> None:
    """The same for pools."""
    assert case.local in _refusal(specs.changed(specs.good_pool(), case.change))


def test_the_good_manifests_are_good() -> None:
    """The manifests that the bad ones are made from are accepted, so that each case is bad for its own reason."""
    assert TrainingJob.model_validate(specs.good_job()).spec.pods == 16
    assert CardPool.model_validate(specs.good_pool()).spec.profiles[1].vendor == "ascend"


def test_job_defaults_are_the_settled_ones() -> None:
    """A job that says only what it must gets the documented defaults, and absent parts stay absent."""
    group = {"name": "w", "replicas": 1, "cardsPerPod": 1, "template": {"spec": {"containers": [{"name": "m"}]}}}
    spec = TrainingJob.model_validate({"spec": {"pool": "p", "groups": [group]}}).spec
    expected = {
        "pool": "p",
        "managedBy": "cardpool.dev/operator",
        "suspend": False,
        "accept": [],
        "mixing": "None",
        "groups": [{**group, "variants": []}],
        "rendezvous": {"style": "torch", "port": 29500},
        "restart": {
            "maxRestarts": 3,
            "maxFaultRestarts": 100,
            "windowSeconds": 86400,
            "backoff": {"baseSeconds": 10, "capSeconds": 600},
            "nonRetryableExitCodes": [42],
            "noProgressLimit": 3,
            "subHealth": "Ignore",
            "stall": {"factor": 10, "action": "Report"},
        },
        "deadlines": {},
        "success": "All",
        "cleanPodPolicy": "Running",
    }
    assert common.to_wire(spec) == expected


def test_pool_defaults_are_the_settled_ones() -> None:
    """A minimal pool waits for backfill, never preempts, keeps no spares and deletes no finished job."""
    spec = CardPool.model_validate({"spec": {"selector": {}, "profiles": [{"name": "a", "vendor": "b"}]}}).spec
    expected = {
        "debounceSeconds": 15,
        "attributionSeconds": 12,
        "quarantine": {"faults": 3, "windowSeconds": 86400, "releaseAfterSeconds": 172800},
        "breaker": {"percent": 20, "windowSeconds": 300},
        "deadNode": {"graceSeconds": 60, "action": "Wait"},
        "unknown": {"nodes": 3, "withinSeconds": 5, "graceSeconds": 300},
    }
    assert common.to_wire(spec.faults) == expected
    assert (spec.queue.strategy, spec.queue.preemption.within_team, spec.queue.preemption.reclaim_borrowed) == (
        "Backfill",
        "Never",
        "Never",
    )
    assert (spec.spares, spec.retention, spec.teams, spec.pod_priority_class_name) == (None, None, (), "cardpool-gang")


def test_checkpoint_defaults_are_the_settled_ones() -> None:
    """A checkpoint that says only where gets the documented defaults."""
    checkpoint = TrainingJob.model_validate(specs.good_job()).spec.checkpoint
    assert checkpoint is not None
    assert common.to_wire(checkpoint) == {
        "format": "orbax",
        "volumeMount": "/ckpt",
        "path": "llm",
        "verify": "Light",
        "candidates": 3,
        "fencing": "AttemptPath",
        "onNone": "Fresh",
        "onAllInvalid": "Fail",
        "reshardable": False,
    }


def test_times_are_utc_with_milliseconds() -> None:
    """A time in another zone with microseconds is written in UTC with milliseconds and read back the same."""
    moment = datetime(2026, 1, 1, 2, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    status = TrainingJobStatus(start_time=moment)
    assert common.to_wire(status)["startTime"] == "2026-01-01T00:00:00.123Z"
    assert TrainingJobStatus.model_validate(common.to_wire(status)) == status
    assert status.start_time == datetime(2026, 1, 1, 0, 0, 0, 123000, tzinfo=UTC)


def test_a_time_without_a_zone_is_refused() -> None:
    """Naive times are an error and never silently local."""
    with pytest.raises(pydantic.ValidationError, match="timezone"):
        TrainingJobStatus.model_validate({"startTime": "2026-01-01T00:00:00"})


def test_status_ignores_fields_of_a_newer_version() -> None:
    """An operator that is older than the status it reads does not fail on it."""
    assert SupernodeStatus.model_validate({"nodes": 3, "novelty": 1}).nodes == 3


def test_models_cannot_be_changed() -> None:
    """Models are values: assigning to a field is an error."""
    placement = Placement(segments=(Segment(group="w", nodes=("a",)),))
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        placement.attempt = 3  # type: ignore[misc]


@pytest.mark.parametrize(("value", "expected"), [(0.04, "0.0"), (3, "3.0"), (2.06, "2.1"), (-1, "0.0")])
def test_durations_are_decimal_strings(value: float, expected: str) -> None:
    """Seconds are written to a tenth and never below zero."""
    assert common.format_seconds(value) == expected


@pytest.mark.parametrize("kind", MODELS)
def test_a_full_status_survives_a_round_trip(kind: str) -> None:
    """A status with every field of the CRD set is read and written by the model without a loss."""
    status = samples.status(kind)
    model = MODELS[kind].model_fields["status"].annotation
    assert model is not None
    assert common.to_wire(model.model_validate(status)) == status
