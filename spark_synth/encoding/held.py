"""The real rows that the weights of a generator were not fitted to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.rows import row_number
from spark_synth.schema.model import Schema


def held_rows(
    spark: SparkSession,
    real: Mapping[str, DataFrame],
    schema: Schema,
    plans: Mapping[str, TablePlan],
    work: str,
    seed: int,
) -> dict[str, DataFrame]:
    """Of every table whose training set is still in the folder `work`, the rows on its `holdout` side, found by the
    hash of their keys (see encoding.rows.order_rows); of a table without a primary key, by that of their columns.

    Tables are fitted one by one, each with a hold-out of its own: a row may be held out and its parent not.
    """
    found = {}
    for t, plan in plans.items():
        path = f"{work}/encoded/{t}"
        if (Path(path) / "_SUCCESS").exists():
            encoded = spark.read.parquet(path)
            held = encoded.where(F.col("__holdout")).select(F.col("__hash").alias("__held"))
            number = row_number(plan, schema.table(t).primary_key, seed)
            found[t] = real[t].join(held, number == F.col("__held"), "left_semi")
    return found
