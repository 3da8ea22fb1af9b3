"""The plan of the column that orders the rows of a family."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from spark_synth.encoding.codecs import NumericCodec


@dataclass
class TimePlan:
    """The column that orders the rows of a family, as whole units since its origin.

    unit: seconds per unit for timestamps, 1 for dates (days) and whole numbers.
    base: column of the owner row that the first row's time is counted from, None for absolute.
    base_fill: stands in for the base where the owner has none, or where there is no owner.
    strict: no two rows of a family share a time.
    clock, per_day: where the time of day has a pattern (shop hours), `first` and `delta` count days of `per_day` units
        and `clock` codes the unit of the day; else None and 0.
    low, last: the first and the last real time; no generated row is later.
    step, cells: the time axis cut into `cells` cells of `step` units from `low`, an input of the generator.
    first_at, delta_at, given_at: sub-columns.
    """

    column: str
    type: str
    unit: int
    base: str | None
    strict: bool
    low: int
    last: int
    step: int
    cells: int
    first: NumericCodec
    delta: NumericCodec
    profile: list[float] = field(default_factory=list)
    first_at: int = -1
    delta_at: int = -1
    given_at: int = -1
    base_fill: int = 0
    clock: NumericCodec | None = None
    clock_at: int = -1
    per_day: int = 0

    @property
    def counted(self) -> int:
        """Units of time in which `first` and `delta` count."""
        return self.per_day or 1

    @property
    def drawn_at(self) -> list[int]:
        """The sub-columns that are drawn, not computed."""
        return [self.first_at, self.delta_at, *([self.clock_at] if self.clock else [])]

    @property
    def calendar(self) -> list[str]:
        """Calendar inputs beside the cell."""
        if self.type == "date":
            return ["weekday", "month"]
        return ["hour", "weekday", "month"] if self.type.startswith("timestamp") else []

    @property
    def given_cards(self) -> list[int]:
        """Codes per given sub-column."""
        return [self.cells + 2, *({"hour": 24, "weekday": 7, "month": 12}[c] for c in self.calendar)]

    def features(self, times: np.ndarray) -> np.ndarray:
        """Given codes int64 (n, G) of times int64 (n,)."""
        cell = np.clip((times - self.low) // self.step, -1, self.cells) + 1
        if not self.calendar:
            return cell[:, None]
        seconds = times * (86400 if self.type == "date" else self.unit)
        days = seconds // 86400
        month = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
        parts = {"hour": seconds // 3600 % 24, "weekday": (days + 3) % 7, "month": month}
        return np.stack([cell, *(parts[c] for c in self.calendar)], axis=1)
