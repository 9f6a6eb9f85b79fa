"""Objects that do not parse: the API server's schema refuses them, so only an older schema or a manual edit makes one.

They end in a condition on the object itself, never in a crash or a silent wait.
"""

from __future__ import annotations

from cardpool.api import common
from cardpool.domain.world import JobRecord
from cardpool.lifecycle.actions import Event, Step
from cardpool.lifecycle.conditions import Board
from cardpool.names import Condition, Kind, Reason


def job_step(job: JobRecord, now: float) -> Step | None:
    """Say on the job which field is wrong, once."""
    if job.spec is not None or job.deleting:
        return None
    board = Board(job.status.conditions, job.generation, now)
    moved = board.put(Condition.ACCEPTED, False, Reason.INVALID_SPEC, job.invalid)
    board.put(Condition.STALLED, True, Reason.INVALID_SPEC, job.invalid)
    board.put(Condition.RECONCILING, False, Reason.INVALID_SPEC, job.invalid)
    update = {"conditions": board.result(), "observed_generation": job.generation}
    status = job.status.model_copy(update=update)
    if status == job.status:
        return None
    events = (Event(Reason.INVALID_SPEC, job.invalid[:1000], warning=True),) if moved else ()
    wire = common.to_wire(status)
    return Step(Kind.JOB, job.key, job.uid, job.resource_version, status=wire, events=events)
