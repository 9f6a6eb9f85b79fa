"""What changed between two mappings: never a key too few, whether it was noted on the way or has to be looked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cardpool.domain import changes
from cardpool.domain.changes import Table
from cardpool.lifecycle.sums import Label, Sums

KEYS = st.sampled_from("abcdef")
STEPS = st.lists(
    st.tuples(st.dictionaries(KEYS, st.integers(0, 2), max_size=3), st.sets(KEYS, max_size=2)), max_size=25
)


def differing(old: dict[str, list[int]], new: dict[str, list[int]]) -> set[str]:
    """Keys whose entries are not the same object in both."""
    return {key for key in old.keys() | new.keys() if old.get(key) is not new.get(key)}


@given(STEPS, st.data())
def test_between_two_versions_no_change_is_missed(
    steps: list[tuple[dict[str, int], set[str]]], data: st.DataObject
) -> None:
    """Of any two versions, near or far apart, older or newer, plain copies or not, every key that differs is named."""
    versions: list[Table[list[int]]] = [Table({"a": [0], "b": [1]})]
    for entries, gone in steps:
        fresh = {key: [value] for key, value in entries.items()}
        versions.append(versions[-1].replaced(fresh, gone - fresh.keys()))
    one, two = (data.draw(st.sampled_from(versions)) for _ in range(2))
    plain = dict(two)

    assert differing(one, two) <= set(changes.between(one, two))
    assert differing(one, plain) == set(changes.between(one, plain))


def test_what_was_noted_is_not_looked_for() -> None:
    """Between near versions the answer is the notes: it costs what changed, and may name what came back."""
    first: Table[object] = Table({str(number): object() for number in range(100)})
    second = first.replaced({"7": object()})
    third = second.replaced({"7": first["7"]}, ["8"])

    assert set(changes.between(first, second)) == {"7"}
    assert set(changes.between(first, third)) == {"7", "8"}
    assert set(changes.between(third, third)) == set()


LABELS = st.tuples(st.sampled_from("xy"), st.sampled_from("pq"), st.just(""))


@given(st.lists(st.tuples(KEYS, st.dictionaries(LABELS, st.integers(0, 3), max_size=3)), max_size=20))
def test_sums_are_the_sums_of_what_is_there(puts: list[tuple[str, dict[Label, int]]]) -> None:
    """After any changes the sums are those of everybody's last part, labels of nobody left out."""
    sums, last = Sums(), dict[str, dict[Label, int]]()
    for owner, parts in puts:
        sums.put(owner, parts)
        last[owner] = parts
    wanted: dict[Label, int] = {}
    for parts in last.values():
        for label, amount in parts.items():
            wanted[label] = wanted.get(label, 0) + amount

    assert wanted == sums.totals
