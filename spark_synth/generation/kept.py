"""Tables whose real rows are kept (reference and preserved ones), in the form that generated parents have."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.views import quoted


def keep_rows(frame: DataFrame, context: DataFrame | None, plan: TablePlan) -> DataFrame:
    """Real rows with __idx (by key), __deg_<i> and, for a table that others are conditioned on, __context.

    frame: encoding.fit frames; context: encoding.encode.contexts.
    """
    key = plan.primary_key or plan.referenced
    order = Window.orderBy(*[quoted(c) for c in key or plan.columns])
    degrees = [F.col(f"__deg_{i}") for i in range(len(plan.degrees))]
    rows = frame.select(*[quoted(c) for c in plan.columns], *degrees)
    rows = rows.withColumn("__idx", F.row_number().over(order).cast("bigint") - 1)
    if context is None:
        return rows
    named = [quoted(c).alias(f"__k{i}") for i, c in enumerate(plan.referenced)]
    found = context.select(*named, F.col("context").alias("__context"))
    match = [quoted(c).eqNullSafe(F.col(f"__k{i}")) for i, c in enumerate(plan.referenced)]
    joined = rows.join(found, match, "left")
    return joined.drop(*[f"__k{i}" for i in range(len(named))])
