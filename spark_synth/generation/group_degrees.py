"""Degrees of targets inside groups, as many stubs in each as rows ask there.

Scaling them alone changes what degrees there are: a group with twice the rows would have targets with twice as many,
one with half of them hardly any with none. Degrees are scaled and dealt out anew by rank, so that they stay what they
are (iterative proportional fitting to both sides; Deming and Stephan, 1940); what is left over is scaled.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from spark_synth.encoding.at_once import written
from spark_synth.generation.degrees import rounded, to_real_distribution

ROUNDS = 4  # degrees dealt out at random to 12 groups are then 0.01 from the real ones (KS), 0.06 when only scaled
STEEPEST = 4.0  # factor of one round
DAMPED = 0.7  # its power, as groups of few targets would swing
SMOOTHED = 0.25  # rows added to both sides of a ratio
STEPS = 64  # ranks in a factor of e: a few thousand in all, whatever the rows
UNIT = 1 << 30
RARE = 1e-3  # mean degree added to that of a cluster
LAST = -(1 << 20)  # rank of a target that nobody asks for


def group_degrees(
    targets: DataFrame, groups: DataFrame, group: Sequence[str], rows: int, alone: bool, seed: int, work: str
) -> DataFrame:
    """`targets` of the groups, with the columns of these, and `size` set so that it sums to __span in each.

    targets: __idx, __cell (cluster), `size`, `group`, and __most, if any may not have more. groups: `group`, __group
    (an integer from 0, unique) and __span, the rows that ask in it; `rows` in all. alone: whether a target should have
    one row at most. work: a folder.
    """
    counts = targets.groupBy("size").count().collect()
    sizes = sorted((r["size"], r["count"]) for r in counts)
    stubs, linked = sum(d * n for d, n in sizes), sum(n for d, n in sizes if d)
    means = targets.groupBy("__cell").agg(F.avg("size").alias("__mean"))
    placed = targets.join(F.broadcast(means), "__cell").join(groups, list(group), "left")
    chance = (F.pmod(F.xxhash64("__idx", F.lit(seed)), F.lit(UNIT)) + 0.5) / UNIT
    rarity = (stubs / max(1, sum(n for _, n in sizes)) + RARE) / (F.col("__mean") + RARE)
    placed = placed.withColumn("__luck", F.greatest(F.pow(chance, rarity), F.lit(1 / UNIT)))
    placed = placed.withColumn("__group", F.coalesce("__group", -1 - F.col("__idx"))).drop("__mean")
    if "__most" not in targets.columns:
        placed = placed.withColumn("__most", F.lit(None).cast("bigint"))  # the least of it and another is the other
    if not alone and stubs and rows:
        placed = placed.withColumns({"__scale": F.lit(1.0), "__score": F.col("size") + F.col("__luck")})
        for n in range(ROUNDS):
            placed = written(_dealt(placed, sizes, stubs / rows), f"{work}/dealt{n}")
        placed = placed.drop("__scale", "__score")
    found = placed.where(F.col("__span") > 0)
    return _scaled(found, alone, max(1.0, stubs / max(1, linked)), seed).drop("__luck")


def _dealt(targets: DataFrame, sizes: Sequence[tuple[int, int]], share: float) -> DataFrame:
    """`targets` with `size` dealt out anew: the `sizes` (with how many have each), by the rank of __score and __scale,
    which grows where a group has less than its share (the rows that ask there, times `share`)."""
    span = F.coalesce("__span", F.lit(0))
    ratio = (span * share + SMOOTHED) / (F.sum("size").over(Window.partitionBy("__group")) + SMOOTHED)
    scale = F.col("__scale") * F.pow(F.least(F.greatest(ratio, F.lit(1 / STEEPEST)), F.lit(STEEPEST)), F.lit(DAMPED))
    scaled = targets.withColumn("__scale", scale)
    score = F.least(F.col("__score") * F.col("__scale"), F.col("__most") + F.col("__luck"))
    step = F.floor(STEPS * F.log(score)).cast("bigint")
    ranked = to_real_distribution(scaled.withColumn("__drawn", F.when(span == 0, LAST).otherwise(step)), sizes)
    return ranked.withColumn("size", F.least("__drawn", "__most")).drop("__drawn")


def _scaled(targets: DataFrame, alone: bool, mean: float, seed: int) -> DataFrame:
    """`targets` with `size` scaled so that every group has as many stubs as rows (__span); where there are none, as
    many targets as would have `mean` each share the rows.

    Rounding the scaled running sum keeps every size within one of its scaled value and zero at zero.
    """
    group = Window.partitionBy("__group")
    offered = F.sum("size").over(group)
    first = F.row_number().over(group.orderBy(F.desc("__luck"), "__idx"))
    if alone:
        shared = F.when(offered < F.col("__span"), F.lit(1))
    else:
        shared = F.when(offered == 0, (first <= F.ceil(F.col("__span") / mean)).cast("int"))
    sized = targets.withColumn("size", F.coalesce(shared, "size").cast("bigint"))
    order = group.orderBy("__cell", F.xxhash64("__idx", F.lit(seed)), "__idx")
    end = F.sum("size").over(order.rowsBetween(Window.unboundedPreceding, 0))
    scaled = sized.withColumns({"__end": end, "__times": F.col("__span") / F.sum("size").over(group)})
    _, size = rounded(F.col("__end") - F.col("size"), F.col("size"), F.col("__times"))
    return scaled.withColumn("size", size).drop("__end", "__times")
