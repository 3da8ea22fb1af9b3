"""Times of a family as it is drawn: in order, within their segment, and fed back."""

from __future__ import annotations

import numpy as np
import pytest

from spark_synth.encoding.codecs import NumericCodec
from spark_synth.encoding.time_plan import TimePlan
from spark_synth.generation.clock import FOREVER, FamilyClock, segment_bounds

LOW = 15_000


def time_plan(strict: bool, profile: list[float] | None = None) -> TimePlan:
    first = NumericCodec(False, special=[float(LOW + i) for i in range(10)], decimals=0)
    gap = NumericCodec(False, special=[0.0, 1.0, 5.0] if not strict else [1.0, 2.0, 9.0], decimals=0)
    return TimePlan("d", "date", 1, None, strict, LOW, LOW + 1399, 7, 200, first, gap, profile or [], 0, 1, 2)


def run(clock: FamilyClock, lengths: np.ndarray, seed: int = 0) -> list[np.ndarray]:
    """Draw all rows with random codes; the times of each family."""
    rng = np.random.default_rng(seed)
    for step in range(int(lengths.max())):
        active = int((lengths > step).sum())
        codes = np.stack([rng.integers(0, 10, active), rng.integers(0, 3, active)], 1)
        given = clock.advance(active, step, codes)
        assert given.shape == (active, 3)
        at = (np.cumsum(lengths) - lengths)[:active] + step
        np.testing.assert_array_equal(given, clock.plan.features(clock.times[at]))
    return np.split(clock.times, np.cumsum(lengths)[:-1])


def plain_clock(plan: TimePlan, lengths: np.ndarray, base: np.ndarray) -> FamilyClock:
    none = np.zeros(len(lengths), dtype=np.int64)
    return FamilyClock(
        plan, lengths, base, none.astype(bool), none, np.full(len(lengths), FOREVER), np.random.default_rng(1)
    )


@pytest.mark.parametrize("strict", [True, False])
def test_times_never_go_back(strict: bool) -> None:
    lengths = np.array([60, 20, 20, 1])
    base = np.array([0, 100, 0, 7])
    families = run(plain_clock(time_plan(strict), lengths, base), lengths)
    for family, b in zip(families, base, strict=True):
        assert LOW + b <= family[0] < LOW + b + 10
        assert (np.diff(family) >= (1 if strict else 0)).all()


def test_only_heads_have_a_first_time_and_only_others_a_gap() -> None:
    plan, lengths = time_plan(True), np.array([5, 5])
    given = np.array([False, True])
    clock = FamilyClock(
        plan, lengths, np.zeros(2, int), given, np.array([0, LOW]), np.full(2, FOREVER), np.random.default_rng(0)
    )
    codes = np.zeros((2, 2), dtype=np.int64)
    assert clock.allowed(0, 2, 0, codes).all(1).tolist() == [True, False]  # type: ignore[union-attr]
    assert not clock.allowed(1, 2, 0, codes).any()  # type: ignore[union-attr]
    assert not clock.allowed(0, 2, 1, codes).any()  # type: ignore[union-attr]
    assert clock.allowed(1, 2, 1, codes).all()  # type: ignore[union-attr]
    assert clock.allowed(7, 2, 0, codes) is None


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("profile", [[], [0.0, 0.0, 0.05, 0.1, 1.0], [0.0, 0.9, 0.95, 1.0]])
@pytest.mark.parametrize(("size", "span"), [(942, 941.0), (1300, 1300.0), (1300, 9000.0), (600, 20.0), (600, np.nan)])
def test_segments_of_a_long_family_follow_each_other(
    strict: bool, profile: list[float], size: int, span: float
) -> None:
    plan, rows = time_plan(strict, profile), 512
    begin = np.arange(0, size, rows)
    count = np.minimum(rows, size - begin)
    same = np.full(len(begin), 1.0)
    start, end = segment_bounds(plan, same * (LOW + 3), same * span, begin, count, np.full(len(begin), size))
    assert start[0] == LOW + 3 and (end[:-1] == start[1:]).all() and end[-1] == FOREVER
    clock = FamilyClock(plan, count, start * 0, np.full(len(begin), True), start, end, np.random.default_rng(2))
    families = run(clock, count)
    whole = np.concatenate(families)
    assert (np.diff(whole) >= (1 if strict else 0)).all()
    assert [int(f[0]) for f in families] == start.tolist()


def test_no_time_is_later_than_the_real_ones() -> None:
    first = NumericCodec(False, special=[float(LOW + i) for i in range(10)], decimals=0)
    gap = NumericCodec(False, special=[1.0, 20.0, 25.0], decimals=0)
    plan = TimePlan("d", "date", 1, None, True, LOW, LOW + 39, 1, 40, first, gap, [], 0, 1, 2)
    lengths = np.array([30, 30, 5])
    (one, two, three) = run(plain_clock(plan, lengths, np.zeros(3, int)), lengths)
    for family in (one, two, three):
        assert (np.diff(family) >= 1).all() and family[-1] < LOW + 40
    clock = plain_clock(plan, lengths, np.zeros(3, int))
    clock.advance(3, 0, np.zeros((3, 2), dtype=np.int64))
    assert clock.allowed(1, 3, 1, np.zeros((3, 2), int)).tolist() == [[True, False, False]] * 2 + [[True] * 3]  # type: ignore[union-attr]


def test_the_time_of_day_is_drawn_apart_and_never_goes_back() -> None:
    first = NumericCodec(False, special=[100.0, 101.0], decimals=0)
    gap = NumericCodec(False, special=[0.0, 1.0], decimals=0)
    hours = NumericCodec(False, special=[8.0], bins=[[9.0, 17.0], [17.0, 20.0]], decimals=0)
    plan = TimePlan("t", "timestamp", 3600, None, False, 2400, 2400 + 24 * 60 - 1, 24, 60, first, gap, [], 0, 1, 3)
    plan.clock, plan.clock_at, plan.per_day = hours, 2, 24
    lengths, rng = np.array([9, 9, 4]), np.random.default_rng(3)
    clock = FamilyClock(
        plan, lengths, np.array([0, 24, 5]), np.zeros(3, bool), np.zeros(3, int), np.full(3, FOREVER), rng
    )
    for step in range(9):
        active = int((lengths > step).sum())
        codes = np.zeros((active, 3), dtype=np.int64)
        codes[:, :2] = rng.integers(0, 2, (active, 2))
        allowed = clock.allowed(2, active, step, codes)
        assert allowed is not None
        codes[:, 2] = [rng.choice(np.flatnonzero(a)) if a.any() else -1 for a in allowed]
        clock.advance(active, step, codes)
    for family, base in zip(np.split(clock.times, [9, 18]), (0, 1, 0), strict=True):
        assert family[0] // 24 - base in (100, 101) and (np.diff(family) >= 0).all()
        assert set(family % 24) <= set(range(8, 21))


def test_a_fast_family_slows_down_before_the_end() -> None:
    first = NumericCodec(False, special=[float(LOW)], decimals=0)
    gap = NumericCodec(False, special=[0.0, 1.0, 2.0, 3.0, 8.0], decimals=0)
    plan = TimePlan("d", "date", 1, None, False, LOW, LOW + 364, 1, 365, first, gap, [], 0, 1, 2)
    lengths, rng = np.array([300, 300, 40]), np.random.default_rng(5)
    clock = plain_clock(plan, lengths, np.zeros(3, int))
    for step in range(300):
        active = int((lengths > step).sum())
        codes = np.zeros((active, 2), dtype=np.int64)
        allowed = clock.allowed(1, active, step, codes)
        assert allowed is not None
        if step:
            codes[:, 1] = [rng.choice(np.flatnonzero(a)) for a in allowed]
        clock.advance(active, step, codes)
    for family in np.split(clock.times, [300, 600]):
        assert (np.diff(family) >= 0).all() and family[-1] < LOW + 365
        assert np.unique(family, return_counts=True)[1].max() < 25  # 2.8 a day apart on their own: most would pile up


def test_a_gap_whose_bin_reaches_past_the_end_ends_before_it() -> None:
    """Rows spread over the days that are left instead of sharing the last one, and none is later than the last."""
    first = NumericCodec(False, special=[float(LOW)], decimals=0)
    gap = NumericCodec(False, special=[1.0], bins=[[30.0, 40.0, 60.0]], decimals=0)
    plan, families = TimePlan("d", "date", 1, None, False, LOW, LOW + 45, 7, 7, first, gap, [], 0, 1, 2), 400
    clock = plain_clock(plan, np.full(families, 2), np.zeros(families, int))
    clock.advance(families, 0, np.zeros((families, 2), dtype=np.int64))
    clock.advance(families, 1, np.tile([0, 1], (families, 1)))
    second = clock.times[1::2] - LOW
    assert second.min() == 30 and second.max() == 45
    assert np.bincount(second, minlength=46)[30:].max() < families / 8
