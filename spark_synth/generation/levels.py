"""A self reference by level: each row below the first level is linked to a row of the level above it.

So depths are as drawn, there is no circle, and the rows of every level share the degrees of the one above it.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.at_once import written
from spark_synth.encoding.plan import LinkPlan, TablePlan
from spark_synth.encoding.views import quoted
from spark_synth.generation.degrees import prefix_sums, to_real_distribution
from spark_synth.generation.matching import match
from spark_synth.generation.orphans import with_orphans
from spark_synth.generation.run import Generation
from spark_synth.generation.seeds import stream


def link_levels(
    run: Generation, rows: DataFrame, plan: TablePlan, link: LinkPlan, cell: Column, level: str
) -> DataFrame:
    """`rows` (with __idx and __context) with __p0.., the key of the row above; rows of the first level have none.

    cell: the cluster of the row above, NULL for none; level: the column of the drawn level, the one after the last for
    orphans, which stand on the first.
    """
    assert plan.code is not None
    own = F.col("__context").getItem(plan.code.at).cast("int")
    drawn = F.col(level).cast("int")
    found = rows.withColumn("__lost", drawn == link.levels)
    found = found.withColumn("__level", F.when(F.col("__lost"), 0).otherwise(drawn))
    counts = _counts(found, "__level")
    placed = found.withColumn("__level", _contiguous(F.col("__level"), counts)).withColumn("__own", own)
    at = run.degree_of(plan.table, link)
    degree = F.coalesce(F.col(f"__deg_{at}"), F.lit(0)).cast("bigint")
    sized = _sized(to_real_distribution(placed.withColumn("__drawn", degree), plan.degrees[at]))
    wide, keys = link.clusters, [quoted(c).alias(f"__p{i}") for i, c in enumerate(link.parent_columns)]
    offered = F.col("__level") * wide + F.col("__own")
    targets = sized.select("__idx", offered.cast("int").alias("__cell"), "size", *keys)
    wanted = (F.col("__level") - 1) * wide + F.coalesce(F.when(cell < wide, cell), F.col("__own"))
    asking = placed.withColumn("__cell", F.when(F.col("__level") > 0, wanted.cast("int")))
    cells = wide * link.levels
    if link.orphans:
        asking = asking.withColumn("__cell", F.when(F.col("__lost"), cells).otherwise(F.col("__cell")))
        targets = with_orphans(run, plan.table, link, targets, asking.where("__lost"), cells)
    targets = written(targets, f"{run.linking(plan.table, link)}/targets")
    seed, names = stream(run.seed, "link", plan.table, link.name), [f"__p{i}" for i in range(len(keys))]
    return match(asking, targets, cells + bool(link.orphans), seed, names)


def _counts(rows: DataFrame, level: str) -> dict[int, int]:
    return {int(r[level]): r["count"] for r in rows.groupBy(level).count().collect()}


def _contiguous(level: Column, counts: dict[int, int]) -> Column:
    """The level, or the first that no row has drawn where that is above it; the first row starts where none does."""
    empty = next(n for n in range(1, len(counts) + 2) if n not in counts)
    if 0 not in counts:
        level = F.when(F.col("__idx") == 0, 0).otherwise(level)
    return F.least(level, F.lit(empty))


def _sized(drawn: DataFrame) -> DataFrame:
    """`drawn` with `size`: __drawn scaled so that every level has as many children as the next has rows.

    Where all degrees of a level that has children are 0, its rows share them.
    """
    counted = drawn.groupBy("__level").agg(F.sum("__drawn").alias("d"), F.count(F.lit(1)).alias("n")).collect()
    found = {r["__level"]: (r["d"], r["n"]) for r in counted}
    barren = [n for n, (d, _) in found.items() if not d]
    shared = F.when(F.col("__level").isin(barren), F.lit(1)).otherwise(F.col("__drawn"))
    ranked, sums = prefix_sums(drawn.withColumn("__drawn", shared), "__drawn", "__level")
    scale = F.lit(0.0)
    for n, total in sums.items():
        share = found[n + 1][1] / total if n + 1 in found else 0.0
        scale = F.when(F.col("__level") == n, F.lit(share)).otherwise(scale)
    ends = [F.floor(x * scale + 0.5) for x in (F.col("__start"), F.col("__start") + F.col("__drawn"))]
    return ranked.withColumn("size", (ends[1] - ends[0]).cast("bigint")).drop("__start", "__drawn")
