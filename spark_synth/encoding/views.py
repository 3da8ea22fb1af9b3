"""Columns as the codecs see them: a double (numbers, days, seconds) or text, as Spark expressions."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from spark_synth.encoding.plan import How, ValuePlan
from spark_synth.encoding.time_plan import TimePlan
from spark_synth.schema.names import quote

SECONDS_PER_DAY = 86400
DAY_MINUTES = 1440
EPOCH = "1970-01-01"


def quoted(name: str) -> Column:
    """The column of that exact name, whatever characters it holds."""
    return F.col(quote(name))


def is_date(type_: str) -> bool:
    """Whether a Spark type is a calendar date."""
    return type_ == "date"


def number_of(column: Column, type_: str) -> Column:
    """A double: the number itself, days since 1970 of a date, seconds since 1970 of a timestamp."""
    if is_date(type_):
        return F.datediff(column, F.lit(EPOCH)).cast("double")
    if type_.startswith("timestamp"):
        return column.cast("timestamp").cast("double")
    return column.cast("double")


def key_text(columns: list[Column]) -> Column:
    """One text of a possibly composite key; NULL where any part is NULL."""
    parts = [c.cast("string") for c in columns]
    whole = F.concat_ws("\x1f", *parts)
    complete = F.lit(True)
    for part in parts:
        complete = complete & part.isNotNull()
    return F.when(complete, whole)


def value_view(value: ValuePlan, types: dict[str, str]) -> Column:
    """What `value` encodes: double or text (see How)."""
    if value.how is How.REFERENCE:
        return key_text([quoted(c) for c in value.keys])
    if value.how is How.FLAG:
        return F.when(quoted(value.column).isNotNull(), "1.0")
    column = quoted(value.column)
    if value.how in (How.CATEGORY, How.SAME):
        return column.cast("string")
    if value.how is How.CLOCK:
        return minutes_after(column, quoted(value.base)) if value.base else minutes(column)
    own = number_of(column, types[value.column])
    if value.how is How.NEAR:
        assert value.base is not None
        return own - number_of(quoted(value.base), types[value.base])
    if value.how is How.SINCE:
        assert value.base is not None
        base = in_seconds(number_of(quoted(value.base), types[value.base]), types[value.base])
        return F.floor((in_seconds(own, types[value.column]) - base) / value.unit).cast("double")
    return own


def in_seconds(number: Column, type_: str) -> Column:
    """Days to seconds for dates; seconds stay."""
    return number * SECONDS_PER_DAY if is_date(type_) else number


def time_units(time: TimePlan, column: Column, type_: str) -> Column:
    """bigint: a date, timestamp or number of `type_` in the whole units of `time`."""
    if time.type not in ("date",) and not time.type.startswith("timestamp"):
        return number_of(column, type_).cast("bigint")
    per_unit = time.unit * (SECONDS_PER_DAY if is_date(time.type) else 1)
    return F.floor(in_seconds(number_of(column, type_), type_) / per_unit).cast("bigint")


def whole_days(time: TimePlan, column: Column) -> Column:
    """bigint: a time in units as what `time` counts, days where it codes the time of day apart."""
    return F.floor(column / time.counted).cast("bigint")


def since_base(time: TimePlan, base: str, fill: int) -> Column:
    """bigint: what `time` counts from the owner's date __base_<base>, or from `fill` where there is none, to a row."""
    return whole_days(time, F.col("__t")) - whole_days(time, F.coalesce(quoted(f"__base_{base}"), F.lit(fill)))


def day_gap(time: TimePlan) -> Column:
    """bigint: what `time` counts between a row (__t) and the one before it (__dt earlier)."""
    return whole_days(time, F.col("__t")) - whole_days(time, F.col("__t") - F.col("__dt"))


def minutes(column: Column) -> Column:
    """Minutes after midnight of a time of day written HHMM, a double."""
    whole = column.cast("bigint")
    return (F.floor(whole / 100) * 60 + whole % 100).cast("double")


def minutes_after(column: Column, base: Column) -> Column:
    """Minutes from one time of day to the next occurrence of another, 0 to 1439, a double."""
    return F.pmod(minutes(column) - minutes(base), F.lit(float(DAY_MINUTES)))
