"""How deep rows lie that refer to their own table: 0 for those that refer to no other row, one more below."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.edge_plan import LinkPlan
from spark_synth.encoding.embed import node

MAX_LEVELS = 16  # deeper chains, and circles, are not told by level
Write = Callable[[DataFrame, str], DataFrame]


def depths(rows: DataFrame, link: LinkPlan, write: Write) -> tuple[DataFrame, int] | None:
    """(__node: the row by embed.node of its key, __depth; levels) for a self reference, None where it has circles or
    chains of more than MAX_LEVELS. Orphans that are kept lie as deep as there are levels, which tells them apart; rows
    below them are of the second level. write: a DataFrame and a name to a DataFrame that is read back."""
    whole = rows.select(node(link.parent_columns).alias("__node"), _above(link).alias("__above"))
    rest = write(whole, "all")
    level = rest.where("__above IS NULL OR __above = __node")
    found = level.select("__node", F.lit(0).alias("__depth"))
    if link.orphans:
        known = rest.select(F.col("__node").alias("__above"))
        lost = rest.where("__above != __node").join(known, "__above", "left_anti")
        level = level.unionByName(lost)
        found = found.unionByName(lost.select("__node", F.lit(None).cast("int").alias("__depth")))
    count, levels = level.count(), 1
    total = rest.count()
    while count < total and levels < MAX_LEVELS:
        above = level.select(F.col("__node").alias("__above"))
        level = write(rest.where("__above != __node").join(above, "__above", "left_semi"), str(levels))
        size = level.count()
        if not size:
            return None
        found = found.unionByName(level.select("__node", F.lit(levels).alias("__depth")))
        count, levels = count + size, levels + 1
    return (found.fillna(levels, subset=["__depth"]), levels) if count == total else None


def _above(link: LinkPlan) -> Column:
    present = F.lit(True)
    for c in link.columns:
        present = present & F.col(f"`{c}`").isNotNull()
    return F.when(present, node(link.columns))
