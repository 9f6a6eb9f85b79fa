"""A cycle that is only studied answers as the one that is carried out, and leaves everything as it was."""

from __future__ import annotations

from cardpool.lifecycle import cycle
from tests.support.simworld import MAKERS, SimCluster, job_spec


def test_a_study_answers_what_the_cycle_does() -> None:
    """Same placement, same refusal, nothing reserved; asked twice, the same again."""
    cluster = SimCluster(nodes=3)
    small, large = cluster.submit("small", job_spec(2)), cluster.submit("large", job_spec(9))
    world, settings = cluster.world(), cycle.CycleSettings()
    one, two = (cycle.study(world, MAKERS, settings, cycle.Memory()) for _ in range(2))
    written = {step.key: step.status or {} for step in cycle.decide(world, MAKERS, settings).steps}
    (pool,) = one.answers
    answer = one.answers[pool]

    assert answer == two.answers[pool]
    assert [item.gang for item in answer.refusals] == [large]
    assert {item.gang: list(item.nodes()) for item in answer.placements} == {
        small: [node for segment in written[small]["placement"]["segments"] for node in segment["nodes"]]
    }
    assert {key: draft.status.placement for key, draft in one.drafts.items()} == {small: None, large: None}
    assert one.totals[pool].counts["free"] == 24
