"""The time of every row while its family is drawn: gaps added up, bounds kept, calendar features fed back."""

from __future__ import annotations

import numpy as np

from spark_synth.encoding.time_plan import TimePlan

FOREVER = np.iinfo(np.int64).max // 4
PACE = 2.0  # longest gap of a family that is late, in mean gaps that are left
TRIES = 4  # draws of a time of day that has not passed


class FamilyClock:
    """Implements models.base.Clock and Masks for families drawn side by side, longest first.

    lengths int64 (B,): rows of each family or segment. base int64 (B,): what the first time is counted from (0 for
    absolute). start int64 (B,): the given time of a segment's first row where `given` bool (B,) is True; its rows end
    before `end`, and all rows before the end of the real time axis. Times never decrease within a family; under a
    strict plan they always increase, and room is kept for the rows still to come.
    """

    def __init__(
        self,
        plan: TimePlan,
        lengths: np.ndarray,
        base: np.ndarray,
        given: np.ndarray,
        start: np.ndarray,
        end: np.ndarray,
        rng: np.random.Generator,
    ) -> None:
        self.plan, self.lengths, self.base, self.rng = plan, lengths, base, rng
        self.given, self.start = given, start
        self.end = np.minimum(end, plan.last + 1)
        self.now = start.copy()
        self.day: np.ndarray | None = None
        self.shortest = plan.delta.lowest()
        self.last = plan.clock.highest() if plan.clock else np.zeros(0)
        self.first_row = np.cumsum(lengths) - lengths
        self.times = np.zeros(int(lengths.sum()), dtype=np.int64)

    def advance(self, active: int, step: int, codes: np.ndarray) -> np.ndarray:
        """Given codes int64 (active, G) of this row; see models.base.Clock."""
        before, least = self.now[:active], 1 if self.plan.strict else 0
        now = self._day(active, step, codes)
        if self.plan.clock:
            now = self._with_hours(now, before, step, codes)
        if step == 0:
            now = np.where(self.given[:active], self.start[:active], now)
        else:
            now = np.maximum(np.minimum(now, self._latest(active, step)), before + least)
        self.now[:active], self.day = now, None
        self.times[self.first_row[:active] + step] = now
        return self.plan.features(now)

    def allowed(self, column: int, active: int, step: int, codes: np.ndarray) -> np.ndarray | None:
        """Which time codes a row may have: a first time only at the head of a family, a gap only after it and none
        that leads past the end, and no time of day that has passed on the same day or lies past the end."""
        heads = ~self.given[:active] & (step == 0)
        if column == self.plan.first_at:
            return np.repeat(heads[:, None], self.plan.first.card, 1)
        if column == self.plan.delta_at:
            longest = self._longest(active, step) if step else np.full(active, -np.inf)
            return self.shortest[None, :] <= longest[:, None]
        if self.plan.clock is None or column != self.plan.clock_at:
            return None
        if step == 0:
            return np.repeat(heads[:, None], self.plan.clock.card, 1)
        midnight = self._day(active, step, codes) * self.plan.per_day
        passed, left = self.now[:active] - midnight, self._latest(active, step) - midnight
        later = self.last[None, :] > passed[:, None] - (not self.plan.strict)
        free: np.ndarray = later & (self.plan.clock.lowest()[None, :] <= left[:, None])
        return free

    def drawn(self, codes: np.ndarray) -> None:
        """Nothing: `advance` has seen the row."""

    def _longest(self, active: int, step: int) -> np.ndarray:
        """float64 (active,): the longest gap before this row, in what the plan counts.

        A family whose pace so far leads past the end slows down to the pace that just reaches it: gaps of up to PACE
        times the mean that is left, a random part added so that whole gaps keep that mean. Without it all the rows
        after the end would share the last time.
        """
        now, counted, left = self.now[:active], self.plan.counted, self.lengths[:active] - step
        room = self._latest(active, step) // counted - now // counted
        late = (now - self.times[self.first_row[:active]]) // counted * left > room * step
        slow = PACE * room / left + self.rng.random(active)
        return np.maximum(np.where(late, np.minimum(room, slow), room), self.shortest.min())

    def _latest(self, active: int, step: int) -> np.ndarray:
        """int64 (active,): the last time this row may have, so that the rows still to come have room."""
        least = 1 if self.plan.strict else 0
        latest: np.ndarray = self.end[:active] - np.maximum(1, (self.lengths[:active] - step) * least)
        return latest

    def _day(self, active: int, step: int, codes: np.ndarray) -> np.ndarray:
        """int64 (active,): the day of this row (its time, where the plan does not count days), drawn once a step."""
        if self.day is None:
            codec, at = (self.plan.first, self.plan.first_at) if step == 0 else (self.plan.delta, self.plan.delta_at)
            place = self.rng.random(active)
            drawn = np.nan_to_num(codec.decode(codes[:, at], place)).astype(np.int64)
            since = (self.base if step == 0 else self.now)[:active] // self.plan.counted
            if step:
                room = self._latest(active, step) // self.plan.counted - since
                drawn = self._in_room(drawn, room, codes[:, at], place)
            self.day = drawn + since
        return self.day

    def _in_room(self, gap: np.ndarray, room: np.ndarray, codes: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Gaps int64 (active,), those past `room` placed anew in the part of their bin that is not."""
        least = np.nan_to_num(self.shortest[np.maximum(codes, 0)]).astype(np.int64)
        part = least + np.floor(place * (np.maximum(room - least, 0) + 1)).astype(np.int64)
        return np.where(gap > room, part, gap)

    def _with_hours(self, day: np.ndarray, before: np.ndarray, step: int, codes: np.ndarray) -> np.ndarray:
        """Times from days and drawn times of day; one that has passed is drawn anew within its code."""
        assert self.plan.clock is not None
        out = np.zeros(len(day), dtype=np.int64)
        todo = np.arange(len(day))
        for _ in range(TRIES):
            hours = self.plan.clock.decode(codes[todo, self.plan.clock_at], self.rng.random(len(todo)))
            out[todo] = day[todo] * self.plan.per_day + np.nan_to_num(hours).astype(np.int64)
            todo = todo[out[todo] <= before[todo]] if step else todo[:0]
        return out


def segment_bounds(
    plan: TimePlan, first: np.ndarray, span: np.ndarray, begin: np.ndarray, rows: np.ndarray, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(start, end) int64 (B,) of segments of long families: the family's span cut along the mean course of time.

    first, span: float64 (B,), the family's first time and time span; begin, rows, size: int64 (B,), the position of
    the segment's first row, its rows and those of the whole family. Under a strict plan every row has room.
    """
    shares = np.asarray(plan.profile or [0.0, 1.0])
    places = np.linspace(0, 1, len(shares))
    least = 1 if plan.strict else 0  # what every row takes; the course of time spreads the rest
    free = np.maximum(np.where(np.isnan(span), 0, span) - least * size, 0)
    origin = np.where(np.isnan(first), plan.low, first)

    def at(position: np.ndarray) -> np.ndarray:
        moment = least * position + np.interp(position / size, places, shares) * free
        out: np.ndarray = np.floor(origin + moment).astype(np.int64)
        return out

    end = np.where(begin + rows < size, at(begin + rows), FOREVER)
    return at(begin), end
