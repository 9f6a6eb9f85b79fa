"""What stands in one waiting job's way, node by node and against its team's quota: read off a plan of the whole queue.

The plan is that of ``cardpool plan``: waits count as over, nothing is written. Names of nodes are examples.
"""

from __future__ import annotations

from typing import Any

from cardpool.domain.gangs import PlanResult
from cardpool.planning import asking
from cardpool.planning.asking import Question
from cardpool.planning.patience import Rest

BEFORE = 5


def of(question: Question, key: str) -> dict[str, Any]:
    """The story as plain data, empty where the planner would not let the job wait; InputError as for a plan."""
    rest = asking.studied(question)
    result = next((one for one in rest.study.answers.values() if _refused(one, key)), None)
    return _of(rest, result, key) if result is not None else {}


def _refused(result: PlanResult, key: str) -> bool:
    return any(refusal.gang == key for refusal in result.refusals)


def _of(rest: Rest, result: PlanResult, key: str) -> dict[str, Any]:
    order = [refusal.gang for refusal in result.refusals]
    at = order.index(key)
    reservation = next((one for one in result.reservations if one.gang == key), None)
    advice, draft = result.advice, rest.study.drafts.get(key)
    return {
        "position": at + 1,
        "of": len(order),
        "before": order[max(0, at - BEFORE) : at],
        "team": draft.team if draft is not None else "",
        "quota": list(advice.quota(key)) if advice is not None else [],
        "nodes": [
            {"cause": cause, "nodes": number, "examples": list(names)}
            for cause, (number, names) in (advice.nodes(key) if advice is not None else {}).items()
        ],
        "keptNodes": list(reservation.nodes) if reservation is not None else [],
    }
