"""Degrees whose sums are as in the real tables: the baskets of a tenant, over its orders (a key that follows from
another one).

Every row draws its own degree, and degrees are then set to the real distribution by rank, so their sums over the rows
of a group are the real ones only as far as the group is large. Here each group is told how many there should be, by
rank of what was drawn, and degrees are dealt out anew to agree (generation.group_degrees).
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.at_once import written
from spark_synth.encoding.edge_plan import Edge
from spark_synth.encoding.plan import TablePlan, TotalPlan
from spark_synth.encoding.views import quoted
from spark_synth.generation.degrees import running_total, to_real_distribution
from spark_synth.generation.group_degrees import group_degrees
from spark_synth.generation.run import Generation
from spark_synth.generation.seeds import stream


def with_totals(run: Generation, plan: TablePlan, edge: Edge, rows: DataFrame) -> DataFrame:
    """`rows`, those of the table that `edge` leads to, with the degree by it (__deg_..) set so that its sums over
    groups of them are as in the real tables; as they are where no foreign key follows from `edge`.

    rows: __idx, __cell (cluster), the degree and, if bound, __most.
    """
    at = run.degree_of(plan.table, edge)
    degree, name = run.plans[edge.parent].degrees[at], f"__deg_{at}"
    if edge.parent in run.kept or plan.table in run.part:
        return rows
    there = run.ends(edge.parent)
    for n, total in enumerate(t for t in degree.totals if t.sums and set(t.columns) <= set(there.columns)):
        work = f"{run.linking(plan.table, edge)}/total{n}"
        seed = stream(run.links_seed(plan.table), "total", plan.table, edge.name, n)
        group = [quoted(c).cast("string").alias(f"__g{i}") for i, c in enumerate(total.columns)]
        grouped = rows.join(there.select("__idx", *group), "__idx")
        rows = _brought(grouped, name, total, degree.histogram, seed, work)
    return rows


def _brought(
    rows: DataFrame, name: str, total: TotalPlan, histogram: Sequence[tuple[int, int]], seed: int, work: str
) -> DataFrame:
    """`rows` without their group, __g0.., and with the degree `name` brought to the sums of `total`."""
    group = [f"__g{i}" for i in range(len(total.columns))]
    drawn = rows.withColumn("__drawn", F.coalesce(name, F.lit(0)).cast("bigint"))
    ranked = written(to_real_distribution(drawn, histogram).withColumnRenamed("__drawn", "size"), f"{work}/drawn")
    inside = ranked.dropna(subset=group)
    sums = inside.groupBy(*group).agg(F.sum("size").alias("__drawn"), F.min("__idx").alias("__idx"))
    stubs = sum(r["n"] or 0 for r in inside.agg(F.sum("size").alias("n")).collect())
    wanted, count = running_total(to_real_distribution(sums, [(n, 1) for n in total.sums]), "__drawn", stubs)
    named = wanted.select(*group, F.col("__idx").alias("__group"), F.col("size").alias("__span"))
    groups = written(named, f"{work}/groups")
    bound = [c for c in ("__most",) if c in rows.columns]
    targets = inside.select("__idx", "__cell", "size", *group, *bound)
    found = group_degrees(targets, groups, group, count, False, seed, work).select("__idx", F.col("size").alias("__n"))
    outside = F.concat(*group).isNull()
    joined = ranked.join(found, "__idx", "left")
    sized = joined.withColumn(name, F.coalesce("__n", F.when(outside, F.col("size")).otherwise(0)))
    return sized.drop("__n", "size", *group)
