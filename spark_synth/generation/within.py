"""Rows and stubs meet inside groups: links whose target must agree with what else is known of a row (its order, its
tenant).

Degrees are brought to the rows of each group first (generation.group_degrees). Inside a group, rows meet stubs of the
cluster they ask for as far as both go; what is left over meets in the order of the clusters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from spark_synth.encoding.at_once import written
from spark_synth.encoding.edge_plan import Edge
from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.views import key_text, quoted
from spark_synth.generation.degrees import prefix_sums, spread
from spark_synth.generation.group_degrees import group_degrees
from spark_synth.generation.matching import numbered
from spark_synth.generation.run import Generation

CELL = ["__group", "__cell"]
COUNTS = ("__rows", "__stubs")
MANY = 1 << 62  # rows of a target that nothing bounds


def match_within(
    rows: DataFrame,
    targets: DataFrame,
    within: Sequence[tuple[str, str]],
    seed: int,
    keys: Sequence[str],
    alone: bool,
    work: str,
) -> DataFrame:
    """`rows` with `keys` of the target row that each is linked to, __slot (from 0), and __low and __span, the slots of
    its group; rows of groups without a target have NULL.

    rows: __idx, unique, and __cell, a cluster from 0, NULL for rows that want no target. targets: __idx, __cell, `size`
    (stubs, not yet those of its group), `keys` and, if bound, __most. within: (column of rows, column of targets) that
    are equal in a group. alone: whether a target should have one row at most. work: a folder.
    """
    group = [f"__g{i}" for i in range(len(within))]
    mine, theirs = ([quoted(pair[side]).cast("string") for pair in within] for side in (0, 1))
    wants = F.col("__cell").isNotNull() & key_text(mine).isNotNull()
    asking = rows.where(wants).withColumns(dict(zip(group, mine, strict=True)))
    targets = targets.withColumns(dict(zip(group, theirs, strict=True)))
    found = asking.groupBy(*group).agg(F.min("__idx").alias("__idx"), F.count(F.lit(1)).alias("__span"))
    placed, sums = prefix_sums(found, "__span")
    named = [F.col("__idx").alias("__group"), F.col("__start").alias("__low"), F.col("__span")]
    groups, count = written(placed.select(*map(F.col, group), *named), f"{work}/groups"), sum(sums.values())
    ranked = F.row_number().over(Window.partitionBy(*CELL).orderBy(F.xxhash64("__idx", F.lit(seed)), "__idx")) - 1
    asked = asking.join(groups, group).withColumn("__rank", ranked.cast("bigint"))
    offered = group_degrees(targets, groups, group, count, alone, seed + 1, work)
    offered = offered.withColumn("__order", F.xxhash64("__idx", F.lit(seed + 1)))
    before = Window.partitionBy(*CELL).orderBy("__order", "__idx").rowsBetween(Window.unboundedPreceding, -1)
    offered = offered.withColumn("__rank", F.coalesce(F.sum("size").over(before), F.lit(0)))
    cells = written(_cells(asked, offered), f"{work}/cells")
    known = asked.join(cells, CELL).withColumn("__slot", _slot(F.col("__rank"), "__left_rows"))
    stubs = offered.join(cells, CELL).select("__rank", "size", "__low", *cells.columns, *keys)
    stubs = numbered(stubs, ["__low", *cells.columns, *keys], count)
    ends = stubs.select(_slot(F.col("__stub"), "__left_stubs").alias("__slot"), *keys)
    joined = spread(known, ["__slot"], count).join(spread(ends, ["__slot"], count), "__slot", "left")
    made = joined.select(*rows.columns, *keys, "__slot", "__low", "__span")
    return made.unionByName(rows.where(~wants), allowMissingColumns=True)


def _cells(rows: DataFrame, targets: DataFrame) -> DataFrame:
    """For every cluster of every group how many rows meet stubs inside it, and where these and the others begin."""
    asked = rows.groupBy(*CELL).agg(F.count(F.lit(1)).alias("__rows"))
    offered = targets.groupBy(*CELL).agg(F.sum("size").alias("__stubs"))
    both = asked.join(offered, CELL, "full").fillna(0, subset=list(COUNTS))
    both = both.withColumn("__inside", F.least(*COUNTS))
    group = Window.partitionBy("__group")
    before = group.orderBy("__cell").rowsBetween(Window.unboundedPreceding, -1)
    begin = {"__begin": F.col("__inside")} | {f"__left{c[1:]}": F.col(c) - F.col("__inside") for c in COUNTS}
    sums = [F.coalesce(F.sum(v).over(before), F.lit(0)).alias(name) for name, v in begin.items()]
    return both.select(*CELL, "__inside", F.sum("__inside").over(group).alias("__met"), *sums)


def _slot(rank: Column, left: str) -> Column:
    """The slot of the row or stub with that rank in its cell; left: where what its side has left over begins."""
    inside = F.col("__begin") + rank
    outside = F.col("__met") + F.col(left) + rank - F.col("__inside")
    return (F.col("__low") + F.when(rank < F.col("__inside"), inside).otherwise(outside)).cast("bigint")


def with_partners(
    run: Generation, plan: TablePlan, rows: DataFrame, names: Mapping[str, str], edge: Edge
) -> tuple[DataFrame, Column | None]:
    """`rows`, and (as __most) how many rows of the table may take their columns `names` (column of the table -> of
    `rows`) from each of these over `edge`: none where another link that must have one finds no target with the same
    values, as many as it finds where each may occur once; None where no link asks for that."""
    bound = [k for k in plan.matched if k.within and not (k.late or k.nullable or k is edge)]
    asking = [k for k in bound if all(c in names for c, _ in k.within)]
    if not asking:
        return rows, None
    rows = rows.withColumn("__most", F.lit(MANY))
    for link in asking:
        ends = [quoted(p).cast("string").alias(f"__e{i}") for i, (_, p) in enumerate(link.within)]
        there = run.ends(link.parent).groupBy(*ends).agg(F.count(F.lit(1)).alias("__there"))
        met = [F.col(names[c]).cast("string") == F.col(f"__e{i}") for i, (c, _) in enumerate(link.within)]
        found = F.coalesce("__there", F.lit(0))
        room = found if plan.once_in_family(link.columns) else F.when(found > 0, MANY).otherwise(0)
        joined = rows.join(there, met, "left").withColumn("__most", F.least("__most", room))
        rows = joined.select(*rows.columns)
    return rows, F.col("__most")
