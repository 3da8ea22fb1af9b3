"""Foreign keys that are NULL in some rows while a column that they share with another key is not: a ticket without an
assignee (tenant, NULL) is still of its tenant."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_synth.schema.model import ForeignKey, Schema
from spark_synth.schema.overlap import shared_columns
from spark_synth.sources.spark_util import any_null, measure, run_parallel


def mark_partly(spark: SparkSession, tables: Mapping[str, DataFrame], schema: Schema) -> None:
    """Mark such foreign keys as `partly` (in place); a key that could follow from one must be told by itself."""
    asked = [
        (t, fk)
        for t, v in schema.tables.items()
        for fk in v.foreign_keys
        if len(fk.columns) > len(shared_columns(v, fk)) > 0
    ]

    def partly(edge: tuple[str, ForeignKey]) -> bool:
        table, fk = edge
        null = any_null(fk.columns) & ~any_null(sorted(shared_columns(schema.tables[table], fk)))
        return bool(measure(tables[table], [F.count_if(null).alias("n")])["n"])

    for (_, fk), found in zip(asked, run_parallel(spark, partly, asked), strict=True):
        fk.partly = found
