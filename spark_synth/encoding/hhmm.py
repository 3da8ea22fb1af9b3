"""Times of day written as numbers, HHMM (530, 1745): coded in minutes, so that no bin holds the minutes 60 to 99.

A time of day that keeps near another one of its row (arrival after departure) is coded as the minutes between both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.profile import NumericProfile, numeric_profiles
from spark_synth.encoding.views import DAY_MINUTES, minutes, minutes_after, quoted
from spark_synth.schema.names import quote

NEAR = 0.7  # spread of a difference, as a share of the spread of the time itself, that makes it worth coding
DISTINCT = 24


@dataclass(frozen=True)
class ClockTime:
    """How one HHMM column is coded: `base` is subtracted (None: after midnight); midnight is written 0 or 2400."""

    base: str | None
    midnight: int
    profile: NumericProfile


def may_be_clock(profile: NumericProfile) -> bool:
    """Whether the quantiles of a whole number column leave open that it holds times of day."""
    grid = profile.grid
    if profile.distinct < DISTINCT or not grid or profile.decimals != 0:
        return False
    return grid[0] >= 0 and 1300 < grid[-1] <= 2400 and all(v % 100 < 60 for v in grid)


def find_clocks(
    df: DataFrame, coded: list[str], computed: Mapping[str, tuple[str, ...]], fixed: set[str]
) -> dict[str, ClockTime]:
    """Those of the columns `coded` (see may_be_clock) that hold times of day in every row.

    computed: whole number columns that rules compute, with all that they are computed from; fixed: columns that must
    be coded by themselves, since rules bound them.
    """
    if not coded:
        return {}
    ranges = _ranges(df, [*coded, *computed])
    clocks = [c for c in coded if c in ranges]
    bases = {
        c: [
            b
            for b in ranges
            if b != c and c not in computed.get(b, ()) and (b in computed or coded.index(b) < coded.index(c))
        ]
        for c in clocks
        if c not in fixed
    }
    views = {(c, ""): minutes(quoted(c)) for c in clocks}
    views |= {(c, b): minutes_after(quoted(c), quoted(b)) for c, found in bases.items() for b in found}
    named = {f"v{i}": v for i, v in enumerate(views.values())}
    seen = numeric_profiles(df, named)
    profiles = {pair: seen[name] for pair, name in zip(views, named, strict=True)}
    out = {}
    for c in clocks:
        own = profiles[c, ""]
        near = [b for b in bases.get(c, []) if profiles[c, b].nulls == own.nulls]
        best = min(near, key=lambda b: profiles[c, b].std, default="")
        base = best if best and profiles[c, best].std < NEAR * own.std else ""
        low, high = ranges[c]
        out[c] = ClockTime(base or None, 2400 if high == 2400 and low > 0 else 0, profiles[c, base])
    return out


def clock_rule(column: str, clock: ClockTime, hidden: str) -> dict[str, Any]:
    """The rule that computes a column from its base and the minutes after it, which are in the column `hidden`."""
    assert clock.base is not None
    sql = clock_sql(clock.base, hidden, clock.midnight)
    return {"kind": "clock", "column": column, "sql": sql, "inputs": [clock.base]}


def clock_sql(start: str, more: str, midnight: int) -> str:
    """SQL of the time of day that is the minutes in column `more` after that in column `start`; midnight is written 0
    or 2400."""
    base = f"CAST({quote(start)} AS BIGINT)"
    passed = f"{base} DIV 100 * 60 + {base} % 100 + CAST({quote(more)} AS BIGINT)"
    minute = f"pmod({passed}, {DAY_MINUTES})" if midnight == 0 else f"(pmod({passed} - 1, {DAY_MINUTES}) + 1)"
    return f"{minute} + 40 * ({minute} DIV 60)"  # an hour is 60 minutes, but 100 in HHMM


def _ranges(df: DataFrame, names: list[str]) -> dict[str, tuple[int, int]]:
    """Lowest and highest value of the columns in which every value is a time of day."""
    cells = F.posexplode(F.array(*[quoted(n).cast("bigint") for n in names])).alias("c", "v")
    v = F.col("v")
    bad = F.count(F.when((v % 100 >= 60) | (v < 0) | (v > 2400), 1))
    seen = df.select(cells).where(v.isNotNull()).groupBy("c")
    found = seen.agg(bad.alias("bad"), F.min(v).alias("low"), F.max(v).alias("high")).collect()
    return {names[r["c"]]: (r["low"], r["high"]) for r in found if not r["bad"] and r["high"] > 1300}
