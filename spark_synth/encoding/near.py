"""Numbers that keep near another number of their row (an arrival delay and the departure delay): coded as difference.

Coded apart, each would be placed inside its own bin by itself, and where bins are wide, in a long tail, the two would
part by more than they ever do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pyspark.sql import DataFrame

from spark_synth.encoding.codecs import fit_numeric
from spark_synth.encoding.plan import How, ValuePlan
from spark_synth.encoding.profile import GRID, NumericProfile, numeric_profiles
from spark_synth.encoding.views import value_view
from spark_synth.schema.names import quote

FINEST = 32  # steps of a difference's quantile grid, as a multiple of GRID: where it ends is what it is coded for
STEP_ROWS = 10  # rows that a step stands for, at least


def near_plans(
    df: DataFrame, near: Mapping[str, str], types: dict[str, str], own: Mapping[str, NumericProfile], max_bins: int
) -> dict[str, ValuePlan]:
    """Plans of columns as the differences to their bases, where no row has a value without its base.

    near: column to base; own: profiles of the columns themselves.
    """
    plans = {c: ValuePlan(c, How.NEAR, [], base=b) for c, b in near.items()}
    rows = max((own[c].rows for c in near), default=0)  # the same for all
    steps = GRID * max(1, min(FINEST, rows // (STEP_ROWS * GRID)))
    found = numeric_profiles(df, {c: value_view(p, types) for c, p in plans.items()}, steps)
    return {
        c: replace(plans[c], codecs=[fit_numeric(p, None, max_bins)])
        for c, p in found.items()
        if p.nulls == own[c].nulls
    }


def near_rule(column: str, base: str, own: NumericProfile, hidden: str) -> dict[str, Any]:
    """The rule that computes a column from its base and the difference to it, which is in the column `hidden`.

    The result keeps within the range that the real column has (own, its profile)."""
    total = f"{quote(base)} + {quote(hidden)}"
    if own.decimals is not None:
        total = f"round({total}, {own.decimals})"
    # NULL of either side stays: greatest and least would pass over it
    bounded = f"greatest(least({total}, {own.grid[-1]!r}D), {own.grid[0]!r}D)"
    sql = f"CASE WHEN {quote(base)} IS NOT NULL AND {quote(hidden)} IS NOT NULL THEN {bounded} END"
    return {"kind": "near", "column": column, "sql": sql, "inputs": [base]}
