"""Drawn codes to columns: doubles, integers and text as the worker returns them; Spark casts them to the real types."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pyspark.sql import Column
from pyspark.sql import functions as F

from spark_synth.encoding.plan import SAME, How, TablePlan, ValuePlan
from spark_synth.encoding.views import SECONDS_PER_DAY, is_date
from spark_synth.schema.check import INTEGERS


def decode_values(
    plan: TablePlan, codes: np.ndarray, times: np.ndarray | None, rng: np.random.Generator
) -> pd.DataFrame:
    """Columns x<i> of the values (double or text) and `t` (int64) of the row's time.

    codes: int (n, C); times: int64 (n,) in units of the time plan. Dates are days, timestamps seconds since 1970.
    """
    n = len(codes)
    out: dict[str, np.ndarray] = {}
    seconds: dict[str, np.ndarray] = {}
    if plan.time is not None and times is not None:
        out["t"] = times
        seconds[plan.time.column] = times * (SECONDS_PER_DAY if is_date(plan.time.type) else plan.time.unit)
    for i, value in sorted(enumerate(plan.values), key=lambda x: x[1].how is How.SINCE):
        drawn = [c.decode(codes[:, value.at + k], rng.random(n)) for k, c in enumerate(value.codecs)]
        if value.how is How.MOMENT:
            out[f"x{i}"] = drawn[0] * SECONDS_PER_DAY + drawn[1]
        elif value.how is How.SINCE:
            out[f"x{i}"] = _since(value, plan, drawn[0], seconds)
        elif value.how is How.CLOCK and value.base is None:
            out[f"x{i}"] = drawn[0] // 60 * 100 + drawn[0] % 60
        else:
            out[f"x{i}"] = drawn[0]
        if value.how in (How.DAY, How.MOMENT):
            seconds[value.column] = out[f"x{i}"] * (SECONDS_PER_DAY if value.how is How.DAY else 1)
    return pd.DataFrame(out, index=range(n))


def decoded_fields(plan: TablePlan) -> dict[str, str]:
    """Spark types of what `decode_values` returns."""
    text = (How.CATEGORY, How.FLAG, How.SAME, How.REFERENCE)
    fields = {"t": "bigint"} if plan.time else {}
    return fields | {f"x{i}": "string" if v.how in text else "double" for i, v in enumerate(plan.values)}


def typed_columns(plan: TablePlan) -> dict[str, Column]:
    """The value and time columns of a table in their real types, from decoded ones."""
    out: dict[str, Column] = {}
    if plan.time:
        out[plan.time.column] = _typed_time(plan)
    for i, value in enumerate(plan.values):
        drawn = F.col(f"x{i}")
        if value.how is How.REFERENCE:
            parts = F.split(drawn, "\x1f")
            out |= {c: parts.getItem(k).cast(plan.columns[c]) for k, c in enumerate(value.keys)}
        elif value.how not in (How.FLAG, How.SAME) and not _is_late(value):
            out[value.column] = _typed(drawn, value.how, plan.columns[value.column])
    return out


def same_columns(plan: TablePlan, made: dict[str, Column]) -> dict[str, Column]:
    """The columns of which a row may say that they equal one at the other end of a foreign key; made: all columns by
    name, and what is taken from there as SAME + name."""
    out: dict[str, Column] = {}
    for i, value in enumerate(plan.values):
        if value.how is How.SAME:
            name = value.column.removeprefix(SAME)
            theirs = made[value.column].cast(plan.columns[name])
            out[name] = F.when(F.col(f"x{i}") == "true", theirs).otherwise(made[name].cast(plan.columns[name]))
    return out


def late_columns(plan: TablePlan) -> list[Column]:
    """Decoded columns that a rule turns into the real ones, as __since_<column> (see encoding.hhmm and near)."""
    return [F.col(f"x{i}").alias(f"__since_{v.column}") for i, v in enumerate(plan.values) if _is_late(v)]


def _is_late(value: ValuePlan) -> bool:
    return value.how in (How.CLOCK, How.NEAR) and value.base is not None


def computed(plan: TablePlan) -> list[tuple[str, Column]]:
    """Derived columns, in the order they must be added."""
    return [(d["column"], F.expr(d["sql"]).cast(plan.columns[d["column"]])) for d in plan.derived]


def _typed(drawn: Column, how: How, type_: str) -> Column:
    if how in (How.DAY, How.MOMENT, How.SINCE):
        if is_date(type_):
            days = drawn if how is How.DAY else F.floor(drawn / SECONDS_PER_DAY)
            return _date(days)
        return F.timestamp_seconds(drawn).cast(type_)
    if type_ in INTEGERS:
        return F.round(drawn.cast("double")).cast(type_) if how is How.NUMERIC else drawn.cast(type_)
    return drawn.cast(type_)


def _date(days: Column) -> Column:
    return F.date_add(F.lit("1970-01-01").cast("date"), days.cast("int"))


def _typed_time(plan: TablePlan) -> Column:
    assert plan.time is not None
    if is_date(plan.time.type):
        return _date(F.col("t"))
    if plan.time.type.startswith("timestamp"):
        return F.timestamp_seconds(F.col("t") * plan.time.unit).cast(plan.time.type)
    return F.col("t").cast(plan.time.type)


def _since(value: ValuePlan, plan: TablePlan, drawn: np.ndarray, seconds: dict[str, np.ndarray]) -> np.ndarray:
    """Seconds since 1970 of a column coded as the difference to another one."""
    assert value.base is not None
    out: np.ndarray = seconds[value.base] + drawn * value.unit
    return out
