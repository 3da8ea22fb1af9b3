"""Rows and stubs meet inside groups: links whose target must agree with what else is known of a row (its order, its
tenant).

The stubs of a group are scaled to its rows, so that degrees are as even as groups allow. Inside a group, rows meet
stubs of the cluster they ask for as far as both go; what is left over meets in the order of the clusters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from spark_synth.encoding.at_once import written
from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.views import quoted
from spark_synth.generation.degrees import prefix_sums, spread
from spark_synth.generation.matching import numbered
from spark_synth.generation.run import Generation

CELL = ["__group", "__cell"]
COUNTS = ("__rows", "__stubs")
MANY = 1 << 62
FEW = 1000  # targets of a group, all of which a row that repeats another may be offered


def match_within(
    rows: DataFrame, targets: DataFrame, group: Sequence[str], seed: int, keys: Sequence[str], alone: bool, work: str
) -> DataFrame:
    """`rows` with `keys` of the target row that each is linked to, __slot (from 0), and __low and __span, the slots of
    its group; rows of groups without a target have NULL.

    rows: __idx, unique, __cell, a cluster from 0, NULL for rows that want no target, and the text columns `group`.
    targets: __idx, __cell, `size` (stubs, before they are scaled), `keys` and `group`. alone: whether a target should
    have one row at most. work: a folder.
    """
    wants = F.col("__cell").isNotNull()
    for name in group:
        wants = wants & F.col(name).isNotNull()
    asking = rows.where(wants)
    found = asking.groupBy(*group).agg(F.min("__idx").alias("__idx"), F.count(F.lit(1)).alias("__span"))
    placed, sums = prefix_sums(found, "__span")
    named = [F.col("__idx").alias("__group"), F.col("__start").alias("__low"), F.col("__span")]
    groups, count = written(placed.select(*map(F.col, group), *named), f"{work}/groups"), sum(sums.values())
    ranked = F.row_number().over(Window.partitionBy(*CELL).orderBy(F.xxhash64("__idx", F.lit(seed)), "__idx")) - 1
    mine = asking.join(groups, list(group)).withColumn("__rank", ranked.cast("bigint"))
    scattered = F.xxhash64("__idx", F.lit(seed + 1)).alias("__order")
    offered = _scaled(targets.join(groups, list(group)).select("*", scattered), alone)
    before = Window.partitionBy(*CELL).orderBy("__order", "__idx").rowsBetween(Window.unboundedPreceding, -1)
    theirs = offered.withColumn("__rank", F.coalesce(F.sum("size").over(before), F.lit(0)))
    cells = written(_cells(mine, theirs), f"{work}/cells")
    known = mine.join(cells, CELL).withColumn("__slot", _slot(F.col("__rank"), "__left_rows"))
    stubs = theirs.join(cells, CELL).select("__rank", "size", "__low", *cells.columns, *keys)
    stubs = numbered(stubs, ["__low", *cells.columns, *keys], count)
    ends = stubs.select(_slot(F.col("__stub"), "__left_stubs").alias("__slot"), *keys)
    joined = spread(known, ["__slot"], count).join(spread(ends, ["__slot"], count), "__slot", "left")
    made = joined.select(*rows.columns, *keys, "__slot", "__low", "__span")
    return made.unionByName(rows.where(~wants), allowMissingColumns=True)


def _scaled(targets: DataFrame, alone: bool) -> DataFrame:
    """`targets` with `size` scaled so that every group has as many stubs as rows (__span)."""
    group = Window.partitionBy("__group")
    offered = F.sum("size").over(group)
    short = (offered < F.col("__span")) if alone else (offered == 0)  # then all targets of the group share its rows
    shared = targets.withColumn("size", F.when(short, F.lit(1)).otherwise(F.col("size")).cast("bigint"))
    end = F.sum("size").over(group.orderBy("__cell", "__order", "__idx").rowsBetween(Window.unboundedPreceding, 0))
    scaled = shared.withColumns({"__end": end, "__scale": F.col("__span") / F.sum("size").over(group)})
    ends = [F.floor(x * F.col("__scale") + 0.5) for x in (F.col("__end") - F.col("size"), F.col("__end"))]
    return scaled.withColumn("size", (ends[1] - ends[0]).cast("bigint")).drop("__end", "__scale")


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


def redirected(
    rows: DataFrame, targets: DataFrame, own: Sequence[str], link: Mapping[str, str], group: Mapping[str, str]
) -> DataFrame:
    """`rows` (with __idx) in which those that repeat the columns `own` and `link` of another are linked to a target of
    their group that `own` does not have yet, where groups have few.

    A small group cannot always be matched by exchange: three lines of an order, all of them sent twice, need two full
    shipments. link, group: column of `rows` -> of `targets`.
    """
    ends = [quoted(p).cast("string").alias(c) for c, p in (*link.items(), *group.items())]
    offered = targets.select(*ends)
    few = offered.groupBy(*group).count().where(F.col("count") <= FEW).select(*group)
    pairs = rows.select("__idx", *dict.fromkeys([*own, *group, *link])).dropna()
    again = F.row_number().over(Window.partitionBy(*own, *link).orderBy("__idx"))
    repeated = pairs.withColumn("__again", again).where("__again > 1").join(few, list(group), "left_semi")
    families = repeated.select(*dict.fromkeys([*own, *group])).distinct()
    free = families.join(offered, list(group)).join(pairs, [*own, *link], "left_anti")
    number = F.row_number().over(Window.partitionBy(*own).orderBy(F.xxhash64(*own, *link), *link))
    given = free.withColumn("__n", number).select(*own, "__n", *[F.col(c).alias(f"__new_{c}") for c in link])
    asking = repeated.withColumn("__n", F.row_number().over(Window.partitionBy(*own).orderBy("__idx")))
    moved = asking.join(given, [*own, "__n"]).select("__idx", *[f"__new_{c}" for c in link])
    new = {c: F.coalesce(f"__new_{c}", c).alias(c) for c in link}
    return rows.join(moved, "__idx", "left").select(*[new.get(c, F.col(c)) for c in rows.columns])


def with_partners(
    run: Generation, plan: TablePlan, rows: DataFrame, names: Mapping[str, str]
) -> tuple[DataFrame, Column | None]:
    """`rows` and how many rows of the table may take their columns `names` (column of the table -> of `rows`) from each
    of these: none where a link that must have one finds no target with the same values, as many as it finds where each
    may occur once; None where no link asks for that."""
    most: Column | None = None
    for n, link in enumerate(plan.matched):
        shared = [(names[c], p) for c, p in link.within if c in names]
        if shared and len(shared) == len(link.within) and not (link.late or link.nullable):
            ends = [quoted(p).cast("string").alias(f"__e{i}") for i, (_, p) in enumerate(shared)]
            names_of = [f"__e{i}" for i in range(len(shared))]
            there = run.ends(link.parent).select(*ends).groupBy(*names_of).agg(F.count(F.lit(1)).alias(f"__there{n}"))
            met = [F.col(c).cast("string") == F.col(f"__e{i}") for i, (c, _) in enumerate(shared)]
            rows = rows.join(there, met, "left").drop(*names_of)
            found = F.coalesce(f"__there{n}", F.lit(0))
            found = found if plan.once_in_family(link.columns) else F.when(found > 0, MANY).otherwise(0)
            most = found if most is None else F.least(most, found)
    return rows, most
