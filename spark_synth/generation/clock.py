"""The time of every row while its family is drawn: gaps added up, bounds kept, calendar features fed back."""

from __future__ import annotations

import numpy as np

from spark_synth.encoding.plan import TimePlan

FOREVER = np.iinfo(np.int64).max // 4


class FamilyClock:
    """Implements models.base.Clock and Masks for families drawn side by side, longest first.

    lengths int64 (B,): rows of each family or segment. base int64 (B,): what the first time is counted from (0 for
    absolute). start int64 (B,): the given time of a segment's first row where `given` bool (B,) is True; its rows end
    before `end`. Times never decrease within a family; under a strict plan they always increase, and a segment keeps
    room for the rows still to come, so that times never meet those of the next one.
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
        self.given, self.start, self.end = given, start, end
        self.now = start.copy()
        self.first_row = np.cumsum(lengths) - lengths
        self.times = np.zeros(int(lengths.sum()), dtype=np.int64)

    def advance(self, active: int, step: int, codes: np.ndarray) -> np.ndarray:
        """Given codes int64 (active, G) of this row; see models.base.Clock."""
        uniform = self.rng.random(active)
        if step == 0:
            drawn = self.plan.first.decode(codes[:, self.plan.first_at], uniform)
            first = np.nan_to_num(drawn).astype(np.int64) + self.base[:active]
            now = np.where(self.given[:active], self.start[:active], first)
        else:
            gap = np.nan_to_num(self.plan.delta.decode(codes[:, self.plan.delta_at], uniform)).astype(np.int64)
            least = 1 if self.plan.strict else 0
            left = (self.lengths[:active] - step) * least
            now = self.now[:active] + np.maximum(gap, least)
            now = np.maximum(np.minimum(now, self.end[:active] - left), self.now[:active] + least)
        self.now[:active] = now
        self.times[self.first_row[:active] + step] = now
        return self.plan.features(now)

    def allowed(self, column: int, active: int, step: int, codes: np.ndarray) -> np.ndarray | None:
        """Which time codes a row may have: a first time only at the head of a family, a gap only after it."""
        if column == self.plan.first_at:
            free = ~self.given[:active] if step == 0 else np.zeros(active, dtype=bool)
            return np.repeat(free[:, None], self.plan.first.card, 1)
        if column == self.plan.delta_at and step == 0:
            return np.zeros((active, self.plan.delta.card), dtype=bool)
        return None


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
