"""Fabrics by brute force: the count of pods is what the worst place of the doubtful cards leaves, and nothing is lost."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cardpool.domain.fabrics import FabricTable
from cardpool.engine.fabrics import Fabrics

QUICK = settings(max_examples=300, deadline=None, derandomize=True)
ROWS = np.array([0])


def working(size: int, free: Sequence[int], doubt: int, unit: int = 1) -> Fabrics:
    """One node."""
    return Fabrics(FabricTable((size,), (unit,), np.array([free]), np.array([doubt]), {}), 0, ROWS)


def splits(free: Sequence[int], doubt: int, unit: int) -> Iterator[tuple[int, ...]]:
    """What is left per fabric for every place of the doubtful cards."""
    for taken in itertools.product(*(range(0, amount + 1, unit) for amount in free)):
        if sum(taken) == doubt:
            yield tuple(amount - gone for amount, gone in zip(free, taken, strict=True))


def pods(left: tuple[int, ...], size: int, cards: int) -> int:
    """The most pods that some choice of fabrics holds, by trying every one."""
    whole, rest = divmod(cards, size)
    best = 0
    full = [at for at, amount in enumerate(left) if amount == size]
    for chosen in itertools.combinations(full, whole):
        after = [0 if at in chosen else amount for at, amount in enumerate(left)]
        if not rest:
            best = max(best, 1 + pods(tuple(after), size, cards))
        for at, amount in enumerate(after) if rest else ():
            if amount >= rest:
                next_ = tuple(value - rest * (place == at) for place, value in enumerate(after))
                best = max(best, 1 + pods(next_, size, cards))
    return best


@st.composite
def nodes(draw: st.DrawFn) -> tuple[int, int, list[int], int]:
    """Unit, size, free cards per fabric and the doubtful cards among them."""
    unit = draw(st.sampled_from((1, 2)))
    size = unit * draw(st.integers(1, 4 // unit + 1))
    free = [unit * amount for amount in draw(st.lists(st.integers(0, size // unit), min_size=1, max_size=3))]
    return unit, size, free, unit * draw(st.integers(0, sum(free) // unit))


@QUICK
@given(nodes(), st.integers(1, 6))
def test_the_count_is_that_of_the_worst_split(node: tuple[int, int, list[int], int], wanted: int) -> None:
    """Exact for pods of at most one fabric and where nothing is in doubt; never too many for larger ones."""
    unit, size, free, doubt = node
    cards = wanted * unit
    worst = min(pods(left, size, cards) for left in splits(free, doubt, unit))
    found = int(working(size, free, doubt, unit).slots(cards)[0])

    assert found <= worst
    if cards <= size or not doubt:
        assert worst == found


@QUICK
@given(nodes(), st.lists(st.integers(1, 8), max_size=4))
def test_taking_leaves_what_was_free_less_what_was_taken(
    node: tuple[int, int, list[int], int], wanted: list[int]
) -> None:
    """As many pods as were counted can be taken one by one; sums hold, nothing is negative, and all can be undone."""
    unit, size, free, doubt = node
    work = working(size, free, doubt, unit)
    start, taken = work.snapshot(), 0
    for number in wanted:
        cards = number * unit
        count = int(work.slots(cards)[0])
        if count:
            work.take(ROWS, np.array([1]), cards)
            taken += cards
            assert (work.free >= 0).all()
            assert int(work.slots(cards)[0]) == count - 1 or (doubt and int(work.slots(cards)[0]) < count)
    assert sum(free) - doubt - taken == int(work.free.sum() - work.doubt.sum())

    lost = work.since(start)
    work.restore(start)
    assert ([free], [doubt]) == (work.free.tolist(), work.doubt.tolist())
    work.lose(lost)
    assert sum(free) - doubt - taken == int(work.free.sum() - work.doubt.sum())


@QUICK
@given(nodes(), st.lists(st.integers(1, 8), min_size=2, max_size=4))
def test_what_is_promised_one_after_the_other_is_there(
    node: tuple[int, int, list[int], int], wanted: list[int]
) -> None:
    """Pods of several sizes that were each found room for go to the tightest fabrics wherever the doubtful cards lie."""
    unit, size, free, doubt = node
    work, chosen = working(size, free, doubt, unit), []
    for cards in (number * unit for number in wanted):
        if work.slots(cards)[0]:
            work.take(ROWS, np.array([1]), cards)
            chosen.append(cards)
    for left in splits(free, doubt, unit):
        assert settled(list(left), size, chosen), f"{chosen} in {left}"


def settled(left: list[int], size: int, pods: Sequence[int]) -> bool:
    """Whether each pod in turn finds the fabrics that it needs, the tightest first."""
    for cards in pods:
        whole, rest = divmod(cards, size)
        for part in [size] * whole + [rest] * bool(rest):
            room = [(amount, at) for at, amount in enumerate(left) if amount >= part]
            if not room:
                return False
            left[min(room)[1]] -= part
    return True


@QUICK
@given(nodes(), nodes(), st.integers(1, 6))
def test_the_least_of_two_holds_no_more_than_either(
    one: tuple[int, int, list[int], int], other: tuple[int, int, list[int], int], cards: int
) -> None:
    """Room that is bounded by a future never has a pod that the present, or the future, has not."""
    free = [*other[2], 0, 0][: len(one[2])]
    first, second = working(one[1], one[2], one[3]), working(one[1], [min(a, one[1]) for a in free], other[3])
    most = min(int(first.slots(cards)[0]), int(second.slots(cards)[0]))
    first.limit(second)
    assert int(first.slots(cards)[0]) <= most
