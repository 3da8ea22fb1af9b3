"""How the times of a table are coded: what the first one is counted from, gaps, time of day, and the time axis."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.codecs import NumericCodec, fit_numeric
from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.profile import NumericProfile, numeric_profiles, value_counts
from spark_synth.encoding.time_plan import TimePlan
from spark_synth.encoding.views import SECONDS_PER_DAY, day_gap, quoted, since_base, whole_days

MAX_CELLS = 1024  # cells of the time axis
MAX_BASELESS = 0.5  # share of rows without the owner's date up to which times may be counted from it
CURVE = 32  # points of the mean course of a long family
FEW = 140  # distinct values up to which each is looked at
TICKS = 32  # distinct gaps up to which they are a regular beat, which keeps the time of day by itself
CLOCK_BINS = 96


def fit_time(rows: DataFrame, plan: TablePlan, names: list[str], segment_rows: int) -> None:
    """Fit `plan.time` in place. rows: encoding.rows; names: date columns of the owner, there as __base_<name>."""
    time = plan.time
    if time is None:
        return
    views = {"t": F.col("__t"), "gap": F.col("__dt")} | {f"base {b}": quoted(f"__base_{b}") for b in names}
    per_day = SECONDS_PER_DAY // time.unit if time.type.startswith("timestamp") else 0
    if per_day > 1:
        views["clock"] = F.pmod("__t", F.lit(per_day))
    seen = numeric_profiles(rows, {k: v.cast("double") for k, v in views.items()})
    if per_day > 1 and _keeps_hours(seen["gap"], per_day):
        time.per_day = per_day
        time.clock = _codec(rows, views["clock"], seen["clock"], CLOCK_BINS)
    _fit_first(rows, time, [b for b in names if seen[f"base {b}"].nulls < MAX_BASELESS * seen["t"].rows], seen)
    gap = day_gap(time)
    time.delta = _codec(rows, gap, seen["gap"] if not time.per_day else _profile(rows, gap), 64)
    gaps, whole = seen["gap"].grid, seen["t"]
    time.strict = bool(gaps) and gaps[0] > 0
    time.low = int(whole.grid[0])
    time.last = int(whole.grid[-1])
    extent = time.last - time.low + 1
    time.step = -(-extent // MAX_CELLS)
    time.cells = -(-extent // time.step)
    time.profile = _course(rows, segment_rows)


def _keeps_hours(gap: NumericProfile, per_day: int) -> bool:
    """Whether times are better drawn as a day and a time of day: gaps vary, and most are not short."""
    return gap.distinct > TICKS and gap.grid[len(gap.grid) // 2] >= per_day / 24


def _fit_first(rows: DataFrame, time: TimePlan, names: list[str], seen: dict[str, NumericProfile]) -> None:
    """The first time of a family, counted from the date of the owner that leaves least to be said, if any does."""
    start = F.col("__pos") == 0
    fill = {b: round(seen[f"base {b}"].mean) for b in names}
    views = {"": F.when(start, whole_days(time, F.col("__t")))}
    views |= {b: F.when(start, since_base(time, b, fill[b])) for b in names}
    profiles = numeric_profiles(rows, {k: v.cast("double") for k, v in views.items()})
    best = min(names, key=lambda b: profiles[b].std, default="")
    if best and profiles[best].std < 0.7 * profiles[""].std:
        time.base, time.base_fill = best, fill[best]
    chosen = time.base or ""
    time.first = _codec(rows, views[chosen], profiles[chosen], 64 if time.base else 128)


def _profile(rows: DataFrame, view: Column) -> NumericProfile:
    return numeric_profiles(rows, {"v": view.cast("double")})["v"]


def _codec(rows: DataFrame, view: Column, profile: NumericProfile, bins: int) -> NumericCodec:
    """A codec of whole units, each value a code where they are few; whether a row has one is not its business."""
    counts = None
    if profile.distinct <= FEW:
        counts = value_counts(rows, {"v": view.cast("bigint")}, FEW)["v"]
    codec = fit_numeric(profile, counts, bins)
    return NumericCodec(False, codec.special, codec.bins, 0)


def _course(rows: DataFrame, segment_rows: int) -> list[float]:
    """Mean share of the time span that has passed in each CURVE-th of a long family; empty if there is none."""
    long = rows.where((F.col("__n") > segment_rows) & F.col("__null").isNull())
    passed = (F.col("__t") - F.col("__t0")) / F.greatest(F.col("__t1") - F.col("__t0"), F.lit(1))
    part = F.floor(F.col("__pos") * CURVE / F.col("__n")).alias("part")
    found = {r["part"]: r["share"] for r in long.groupBy(part).agg(F.avg(passed).alias("share")).collect()}
    return [float(found[i]) for i in sorted(found)]
