"""A self reference by level: each row below the first level is linked to a row of the level above it.

So depths are as drawn, there is no circle, and the rows of every level share the degrees of the one above it.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from spark_synth.encoding.at_once import written
from spark_synth.encoding.edge_plan import LinkPlan
from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.views import quoted
from spark_synth.generation.degrees import prefix_sums, rounded, to_real_distribution
from spark_synth.generation.matching import match
from spark_synth.generation.orphans import with_orphans
from spark_synth.generation.run import Generation
from spark_synth.generation.seeds import stream
from spark_synth.generation.within import match_within


def link_levels(
    run: Generation, rows: DataFrame, plan: TablePlan, link: LinkPlan, cell: Column, level: str
) -> DataFrame:
    """`rows` (with __idx and __context) with __p0.., the key of the row above; rows of the first level have none.

    cell: the cluster of the row above, NULL for none; level: the column of the drawn level, the one after the last for
    orphans, which stand on the first.
    """
    assert plan.code is not None
    own = F.col("__context").getItem(plan.code.at).cast("int")
    deep = F.col(level).cast("int")
    found = rows.withColumn("__lost", deep == link.levels)
    found = found.withColumn("__level", F.when(F.col("__lost"), 0).otherwise(deep))
    counts = _counts(found, "__level")
    placed = found.withColumn("__level", _contiguous(F.col("__level"), counts)).withColumn("__own", own)
    at = run.degree_of(plan.table, link)
    degree = F.coalesce(F.col(f"__deg_{at}"), F.lit(0)).cast("bigint")
    drawn = to_real_distribution(placed.withColumn("__drawn", degree), plan.degrees[at].histogram)
    keys = [quoted(c).alias(f"__p{i}") for i, c in enumerate(link.parent_columns)]
    if link.within:
        return _inside_groups(run, plan, link, drawn.select("*", *keys), cell)
    sized, wide = _sized(drawn), link.clusters
    offered = F.col("__level") * wide + F.col("__own")
    targets = sized.select("__idx", offered.cast("int").alias("__cell"), "size", *keys)
    wanted = (F.col("__level") - 1) * wide + F.coalesce(F.when(cell < wide, cell), F.col("__own"))
    asking = placed.withColumn("__cell", F.when(F.col("__level") > 0, wanted.cast("int")))
    cells = wide * link.levels
    if link.orphans:
        asking = asking.withColumn("__cell", F.when(F.col("__lost"), cells).otherwise(F.col("__cell")))
        targets = with_orphans(run, plan.table, link, targets, asking.where("__lost"), cells)
    targets = written(targets, f"{run.linking(plan.table, link)}/targets")
    seed, names = (
        stream(run.links_seed(plan.table), "link", plan.table, link.name),
        [f"__p{i}" for i in range(len(keys))],
    )
    return match(asking, targets, cells + bool(link.orphans), seed, names)


def _inside_groups(run: Generation, plan: TablePlan, link: LinkPlan, drawn: DataFrame, cell: Column) -> DataFrame:
    """As link_levels, for rows whose row above must agree with them in what the link shares with other keys: these are
    a group, whose levels are made contiguous."""
    folder, seed = run.linking(plan.table, link), stream(run.links_seed(plan.table), "link", plan.table, link.name)
    shared = [c for c, _ in link.within]
    wanted = F.coalesce(F.when(cell < link.clusters, cell), F.col("__own"))
    grouped = written(drawn.withColumn("__wanted", wanted), f"{folder}/rows")
    leveled = written(_contiguous_in(grouped, shared, seed), f"{folder}/levels")
    names = [f"__p{i}" for i in range(len(link.columns))]
    above = {"__cell": F.when(F.col("__level") > 0, F.col("__wanted")), "__above": F.col("__level") - 1}
    asking = leveled.drop(*names).withColumns(above)
    stubs = [F.col("__own").alias("__cell"), F.col("__drawn").alias("size")]
    targets = leveled.select("__idx", "__level", *map(quoted, shared), *names, *stubs)
    within = [*((c, c) for c in shared), ("__above", "__level")]
    return match_within(asking, targets, within, seed, names, False, folder)


def _contiguous_in(rows: DataFrame, group: list[str], seed: int) -> DataFrame:
    """`rows` with __level contiguous from 0 in every group; in all as many rows of level 0 as before, if groups allow.

    In a group without one, its first row becomes one, and one of those that other groups have besides their first does
    not stay one.
    """
    inside = Window.partitionBy(*map(quoted, group))
    scattered = F.xxhash64("__idx", F.lit(seed))
    first = F.row_number().over(inside.orderBy("__level", scattered, "__idx")) == 1
    told = rows.withColumns({"__first": first, "__lowest": F.min("__level").over(inside)})
    rootless = told.where(F.col("__first") & (F.col("__lowest") > 0)).count()
    spare = told.where((F.col("__level") == 0) & ~F.col("__first")).orderBy(scattered, "__idx").limit(rootless)
    told = told.join(spare.select("__idx", F.lit(1).alias("__spare")), "__idx", "left")
    level = F.when(F.col("__first"), 0).otherwise(F.coalesce("__spare", "__level"))
    told = told.withColumn("__level", level).drop("__first", "__lowest", "__spare")
    return told.withColumn("__level", F.dense_rank().over(inside.orderBy("__level")) - 1)


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
    _, size = rounded(F.col("__start"), F.col("__drawn"), scale)
    return ranked.withColumn("size", size).drop("__start", "__drawn")
