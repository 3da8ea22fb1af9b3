"""Rules: a column that is the year, month, weekday, hour ... of a date or timestamp of the same row."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from spark_synth.encoding.derive_sample import EVIDENCE, Rule, Sample, differs, literal
from spark_synth.schema.names import quote

_PARTS: dict[str, Callable[[pd.DatetimeIndex], pd.Index | pd.Series]] = {
    "year({})": lambda t: t.year,
    "month({})": lambda t: t.month,
    "dayofmonth({})": lambda t: t.day,
    "hour({})": lambda t: t.hour,
    "minute({})": lambda t: t.minute,
    "second({})": lambda t: t.second,
    "weekday({})": lambda t: t.dayofweek,  # Monday is 0
    "weekday({}) + 1": lambda t: t.dayofweek + 1,
    "dayofweek({})": lambda t: (t.dayofweek + 1) % 7 + 1,  # Sunday is 1
    "dayofweek({}) - 1": lambda t: (t.dayofweek + 1) % 7,
    "dayofyear({})": lambda t: t.dayofyear,
    "quarter({})": lambda t: t.quarter,
    "weekofyear({})": lambda t: t.isocalendar().week,
}
# Timestamps are often stored in UTC beside the local date and hour. One zone for each common pair of offset and
# daylight saving rule; the first that explains the hours is taken.
_ZONES = (
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Phoenix",
    "America/Anchorage",
    "Pacific/Honolulu",
    "America/Halifax",
    "America/Sao_Paulo",
    "America/Mexico_City",
    "America/Bogota",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Athens",
    "Europe/Moscow",
    "Europe/Istanbul",
    "Africa/Johannesburg",
    "Africa/Lagos",
    "Asia/Dubai",
    "Asia/Karachi",
    "Asia/Kolkata",
    "Asia/Dhaka",
    "Asia/Bangkok",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Australia/Brisbane",
    "Australia/Perth",
    "Australia/Adelaide",
    "Pacific/Auckland",
)


def calendar_rules(sample: Sample) -> list[Rule]:
    """At most one rule per column: the first part of the first date that it equals in every sampled row."""
    open_ = {c: _values(sample, c) for c in sample.targets}
    wanted = {c: v for c, v in open_.items() if v is not None and sample.evidence(c) >= EVIDENCE}
    rules: list[Rule] = []
    for base, seconds in sample.moments.items():
        when = _index(seconds)
        rules += _matches(sample, wanted, base, quote(base), when)
        zone = _zone(when, wanted) if sample.types[base] == "timestamp" else None
        if zone:
            local = f"from_utc_timestamp({quote(base)}, {literal(zone)})"
            rules += _matches(sample, wanted, base, local, when.tz_convert(zone))
    return rules


def _matches(
    sample: Sample, wanted: dict[str, np.ndarray], base: str, source: str, when: pd.DatetimeIndex
) -> Iterator[Rule]:
    """Rules for the columns of `wanted` that `when` explains; these leave `wanted`."""
    for form, part in _PARTS.items():
        expected = _floats(part(when))
        for column in [c for c, v in wanted.items() if np.array_equal(v, expected, equal_nan=True)]:
            del wanted[column]
            sql = form.format(source)
            yield Rule("derived", column, sql, (base,), differs(sql, column, sample.types[column]))


def _zone(when: pd.DatetimeIndex, wanted: dict[str, np.ndarray]) -> str | None:
    """The first time zone in which the hour of `when` is one of the columns."""
    hours = [v for v in wanted.values() if np.nanmin(v) >= 0 and np.nanmax(v) <= 23 and len(np.unique(v)) >= 6]
    if not hours:
        return None
    for zone in _ZONES:
        hour = _floats(when.tz_convert(zone).hour)
        if any(np.array_equal(v, hour, equal_nan=True) for v in hours):
            return zone
    return None


def _values(sample: Sample, column: str) -> np.ndarray | None:
    if column in sample.numbers:
        return sample.numbers[column] if sample.whole(column) else None
    return sample.digits.get(column)


def _index(seconds: np.ndarray) -> pd.DatetimeIndex:
    present = ~np.isnan(seconds)
    when = np.full(len(seconds), np.datetime64("NaT", "s"))
    when[present] = np.floor(seconds[present]).astype(np.int64).astype("datetime64[s]")
    return pd.DatetimeIndex(when).tz_localize("UTC")


def _floats(part: pd.Index | pd.Series) -> np.ndarray:
    out: np.ndarray = part.to_numpy(dtype=float, na_value=np.nan)
    return out
