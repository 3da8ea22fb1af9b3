"""How closely the rows of each family lie together in time, for tables that several foreign keys could own.

A user's ratings are given in one evening, a movie's over a year: under the user they are a sequence. Where a table has
no time, the numbers that are its primary key stand for it: an invoice's lines are numbered one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_synth.schema.check import INTEGERS
from spark_synth.schema.graph import rivals
from spark_synth.schema.model import ForeignKey, Kind, Schema
from spark_synth.sources.spark_util import any_null, col, measure, run_parallel


def gather(spark: SparkSession, tables: Mapping[str, DataFrame], schema: Schema, rows: Mapping[str, int]) -> None:
    """Tell every foreign key that could own a table, beside others, how gathered its families are (in place)."""
    found = [(t, fk) for t, keys in rivals(schema, rows).items() for fk in keys]
    timed = [(t, fk, time) for t, fk in found if (time := _time(schema, t, tables[t]))]
    shares = run_parallel(spark, lambda x: _gathered(tables[x[0]], x[1], x[2]), timed)
    for (_, fk, _), share in zip(timed, shares, strict=True):
        fk.gathered = share


def _time(schema: Schema, name: str, rows: DataFrame) -> str | None:
    """The column that tells when a row came."""
    table = schema.table(name)
    dates = [c for c, v in table.columns.items() if v.kind is Kind.DATETIME]
    numbers = [c for c in table.primary_key if dict(rows.dtypes)[c] in INTEGERS]
    own = len(table.primary_key) == 1 and not table.foreign_key_columns() & set(numbers)
    return next(iter(dates or (numbers if own else [])), None)


def _gathered(rows: DataFrame, key: ForeignKey, time: str) -> float:
    """Share of the variance of a time that lies between families, by unbiased variances; 0 where families have but one
    time, which is no sequence.
    """
    number = dict(rows.dtypes)[time] in INTEGERS
    at = col(time).cast("double") if number else F.unix_micros(col(time).cast("timestamp")) / F.lit(1e6)
    known = rows.where(~any_null((*key.columns, time))).withColumn("__t", at)
    families = known.groupBy(*[col(c) for c in key.columns]).agg(
        F.count(F.lit(1)).alias("n"), F.var_pop("__t").alias("v")
    )
    inside = measure(families, [F.sum(F.col("n") * F.col("v")).alias("s"), F.sum(F.col("n") - 1).alias("n")])
    whole = measure(known, [F.var_samp("__t").alias("v")])["v"]
    if not inside["s"] or not whole:
        return 0.0
    return max(0.0, 1.0 - float(inside["s"] / inside["n"] / whole))
