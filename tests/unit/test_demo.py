"""The demo's judges: they pass what is right, and each of them fails what is not."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from e2e.demo import curve, picture, report, timeline, verdicts
from e2e.demo.curve import Curve, Line
from e2e.demo.picture import State
from e2e.demo.timeline import Broken, Whose
from tests.support.history import History, Seen

JOB, BEGIN, DEBOUNCE = "team/llm", 1_000_000.0, 5.0
BROKEN = Broken("n1", "card-3", BEGIN, "llm-worker-0")


def stamp(at: float) -> str:
    """RFC 3339 with milliseconds, as status has it."""
    return dt.datetime.fromtimestamp(at, tz=dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def pod(name: str, attempt: int, *, role: str = "", ids: dict[str, str] | None = None, **extra: Any) -> dict[str, Any]:
    """A pod of the job; `ids` are its cards with their health."""
    labels = {"cardpool.dev/job": "llm"}
    labels |= {"cardpool.dev/role": role} if role else {"cardpool.dev/rank": "0", "cardpool.dev/attempt": str(attempt)}
    meta = {"name": name, "namespace": "team", "uid": f"{name}-{attempt}", "labels": labels, **extra.pop("meta", {})}
    cards = [{"resourceID": card, "health": health} for card, health in (ids or {}).items()]
    status = {"allocatedResourcesStatus": [{"name": "acme/card", "resources": cards}], **extra.pop("container", {})}
    return {"metadata": meta, "spec": extra.pop("spec", {}), "status": {"containerStatuses": [status], **extra}}


def restart(*, marks: dict[str, float] | None = None, used: str = "card-0", late: float = 0.0) -> History:
    """A whole restart as a watch shows it, in seconds after BEGIN; `late` delays the replacement's binding."""
    times = {"faultSeen": 1.1, "faultSignalled": 6.15, "tornDown": 7.0, "placed": 7.05, "resolved": 9.0}
    times |= {"created": 9.05, "bound": 9.2 + late, "running": 10.0 + late} | (marks or {})
    status = {
        "attempt": 1,
        "checkpoint": {"step": 79, "path": "llm/0/79", "verified": "Light"},
        "marks": {name: stamp(BEGIN + at) for name, at in times.items()},
    }
    ended = {"container": {"state": {"terminated": {"exitCode": 0}}}}
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    bound = {"nodeName": "n1"}
    dying = {"deletionTimestamp": stamp(BEGIN + 36), "deletionGracePeriodSeconds": 30}
    events: list[tuple[float, str, dict[str, Any]]] = [
        (0.0, "ADDED", pod("llm-worker-0", 0, ids={"card-3": "Healthy"}, spec=bound)),
        (1.1, "MODIFIED", pod("llm-worker-0", 0, ids={"card-3": "Unhealthy"}, spec=bound)),
        (6.2, "MODIFIED", pod("llm-worker-0", 0, spec=bound, meta=dying)),
        (7.0, "DELETED", pod("llm-worker-0", 0, spec=bound)),
        (7.1, "ADDED", pod("llm-resolver-a1e1", 1, role="resolver")),
        (9.0, "MODIFIED", pod("llm-resolver-a1e1", 1, role="resolver", **ended)),
        (9.1, "ADDED", pod("llm-worker-0", 1)),
        (9.2 + late, "MODIFIED", pod("llm-worker-0", 1, spec=bound)),
        (10.0 + late, "MODIFIED", pod("llm-worker-0", 1, ids={used: "Healthy"}, spec=bound, **ready)),
    ]
    seen = [
        Seen(BEGIN + at, "Pod", change, {**body, "metadata": {**body["metadata"], "resourceVersion": str(place)}})  # type: ignore[arg-type]
        for place, (at, change, body) in enumerate(events)
    ]
    job = {"metadata": {"name": "llm", "namespace": "team", "uid": "j", "resourceVersion": "99"}, "status": status}
    return History.of([*seen, Seen(BEGIN + 11, "TrainingJob", "MODIFIED", job)])


def told(history: History, first_step: float | None = None) -> timeline.Timeline:
    """The timeline of that history."""
    return timeline.build(history, JOB, BROKEN, DEBOUNCE, first_step)


def test_the_restart_is_told_in_parts_without_gaps() -> None:
    """Every part begins where the one before ended, and each has somebody who spent it."""
    line = told(restart(), BEGIN + 13)

    assert [round(part.seconds, 3) for part in line.parts] == [1.1, 5.0, 0.1, 0.8, 0.1, 1.9, 0.2, 0.8, 3.0]
    assert all(one.end == two.begin for one, two in zip(line.parts, line.parts[1:], strict=False))
    assert line.parts[-1].whose is Whose.TRAINING


def test_the_operators_own_gap_leaves_out_what_others_spend() -> None:
    """Debounce, the old pods' time to go and the resolver's run do not count; a late binding does."""
    assert round(told(restart()).own_seconds, 3) == 0.4
    assert verdicts.quick(told(restart())).holds
    assert not verdicts.quick(told(restart(late=0.7))).holds


def test_marks_that_differ_from_the_api_are_found() -> None:
    """A mark in status that is a second off fails, and is named."""
    wrong = verdicts.agrees(told(restart(marks={"tornDown": 8.1})))

    assert verdicts.agrees(told(restart())).holds
    assert (wrong.holds, "old pods gone" in wrong.detail) == (False, True)


def test_an_event_that_never_came_is_named() -> None:
    """A history without a signal tells no timeline."""
    silent = restart().only(lambda seen: seen.at != BEGIN + 1.1)

    with pytest.raises(ValueError, match="calls the card Unhealthy"):
        told(silent)


def test_a_card_that_is_handed_out_again_is_found() -> None:
    """The broken card among the new pods' cards fails, and so does silence about them."""
    assert verdicts.card_unused(restart(), JOB, BROKEN, 1).holds
    assert not verdicts.card_unused(restart(used="card-3"), JOB, BROKEN, 1).holds
    assert not verdicts.card_unused(restart(), JOB, BROKEN, 2).holds


def trained(first: int = 80, restored: float = 0.5) -> Curve:
    """Steps to 85, a checkpoint at 79, and a second attempt."""
    lost = [Line("step", step, 0, 0.0, 1.0) for step in range(86)]
    saved = Line("checkpoint", 79, 0, 0.0, 0.5)
    again = [Line("step", step, 1, 0.0, 1.0) for step in range(first, 90)]
    return Curve((*lost, saved, Line("restored", 79, 1, 0.0, restored), *again))


CURVES = {
    "as it must be": (trained(), [True, True]),
    "a step left out": (trained(first=81), [False, True]),
    "a step done twice": (trained(first=79), [False, True]),
    "another loss": (trained(restored=0.500001), [True, False]),
    "no second attempt": (Curve(trained().lines[:87]), [False, False]),
}


@pytest.mark.parametrize(("seen", "wanted"), CURVES.values(), ids=CURVES.keys())
def test_the_curve_must_go_on_where_the_checkpoint_stands(seen: Curve, wanted: list[bool]) -> None:
    """Step after resume and restored loss, to the precision of the floats."""
    status = {"checkpoint": {"step": 79, "path": "llm/0/79", "verified": "Light"}}

    assert [one.holds for one in verdicts.continues(seen, status, 1)] == wanted


def test_a_step_that_comes_out_otherwise_is_found() -> None:
    """Every step of both attempts is compared."""
    same = trained()
    other = Curve((*same.lines, Line("step", 85, 1, 0.0, 1.0001)))

    assert (verdicts.repeats(same, 1).holds, verdicts.repeats(other, 1).holds) == (True, False)


def test_a_half_written_line_is_not_read(tmp_path: Path) -> None:
    """The training may be writing just now, or not have begun."""
    file = tmp_path / "loss.jsonl"
    before = curve.read(file)
    whole = {"event": "step", "step": 3, "loss": 0.25, "attempt": 0, "rank": 0, "job": "llm", "time": 1.0}
    file.write_text(json.dumps(whole) + "\n" + json.dumps(whole)[:20])

    assert (before.lines, curve.read(file).losses("step")) == ((), {3: 0.25})


def test_the_map_knows_named_and_unnamed_cards() -> None:
    """Held and faulty cards take their own places; of unnamed ones only the number is known."""
    fault = {"node": "n1", "resource": "acme/card", "card": "card-3", "state": "Faulty"}
    supernode = {"metadata": {"name": "s"}, "spec": {"selector": {"matchLabels": {"sn": "a"}}}}
    supernodes = {
        "s": {**supernode, "status": {"faults": [fault, {**fault, "node": "n3", "card": "*", "state": "Unknown"}]}}
    }
    nodes = {
        name: {
            "metadata": {"name": name, "labels": {"sn": "a"}},
            "status": {"capacity": {"acme/card": "4", "cpu": "8"}},
        }
        for name in ("n1", "n2", "n3")
    }
    asks = {"containers": [{"name": "main", "resources": {"limits": {"acme/card": "1"}}}]}
    named = pod("llm-worker-0", 0, ids={"card-1": "Healthy"}, spec={"nodeName": "n1", **asks})
    unnamed = pod("llm-worker-1", 0, spec={"nodeName": "n2", **asks})

    (row,) = picture.draw(supernodes, nodes, {"a": named, "b": unnamed})
    assert {node.name: node.cells for node in row.nodes} == {
        "n1": (State.FREE, State.HELD, State.FREE, State.FAULTY),
        "n2": (State.HELD, State.FREE, State.FREE, State.FREE),
        "n3": (State.UNKNOWN,) * 4,
    }


def test_the_report_is_one_file_with_everything_in_it() -> None:
    """Curve, bars and map are pictures inside the page; what is quoted is escaped."""
    page = report.page("t", "n", [verdicts.Verdict("a < b", False, "c")], told(restart()), trained(), 79, [], "<none>")

    assert page.count("<svg") == 2
    assert ("a &lt; b" in page, "&lt;none&gt;" in page, "src=" in page) == (True, True, False)
