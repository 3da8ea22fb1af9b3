"""What foreign keys that follow from others lead to: the baskets of an order have its tenant, so those of a tenant are
the degrees of its orders, summed up."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.plan import TablePlan, TotalPlan
from spark_synth.encoding.views import quoted
from spark_synth.schema.model import ForeignKey, Schema

MAX_TOTALS = 4096  # sums kept of one foreign key; of more, quantiles


def fit_totals(frame: DataFrame, plan: TablePlan, schema: Schema) -> None:
    """The sums of every degree over the rows that a foreign key leads to which follows from that of the degree (in
    place); none of degrees that are one at most, which are not dealt out anew. frame: the rows with __deg_0.."""
    for i, degree in enumerate(plan.degrees):
        if degree.unique:
            continue
        table = schema.table(degree.table)
        edge = next(fk for fk in table.foreign_keys if fk.name == degree.edge)
        following = [fk for fk in table.foreign_keys if fk.implied == edge.name]
        groups = [_columns_there(fk, edge, schema) for fk in following]
        degree.totals = [TotalPlan(columns, _sums(frame, columns, f"__deg_{i}")) for columns in groups]


def _columns_there(fk: ForeignKey, edge: ForeignKey, schema: Schema) -> list[str]:
    """The columns of the row that `edge` leads to which have the values of `fk`, a key that follows from it."""
    if fk.onward:
        return list(next(k.columns for k in schema.table(edge.parent).foreign_keys if k.name == fk.onward))
    return [edge.parent_columns[edge.columns.index(c)] for c in fk.columns]


def _sums(frame: DataFrame, columns: list[str], degree: str) -> list[int]:
    group = [quoted(c).alias(f"__g{i}") for i, c in enumerate(columns)]
    grouped = frame.select(*group, degree).dropna().groupBy(*[f"__g{i}" for i in range(len(group))])
    found = grouped.agg(F.sum(degree).alias("n"))
    count = min(found.count(), MAX_TOTALS)
    if not count:
        return []
    at = [(i + 0.5) / count for i in range(count)]  # of as many sums as these, each once
    row = found.agg(F.percentile_approx("n", at, 10 * MAX_TOTALS).alias("sums")).head()
    return [int(n) for n in row["sums"]] if row else []
