"""Sets of rows at the other end of a join table, that the values of a row are drawn given.

Of many rows a sample is taken, by a hash: a hub's set is as small as that of any row with more than SLOTS links.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.encode import ABSENT
from spark_synth.encoding.join_plan import SetPlan
from spark_synth.encoding.plan import TablePlan

SLOTS = 32  # rows of a set at most
SHOWN = 24  # sub-columns of each
SPARE = 4  # rows looked at for every slot, of a row that has more
PARTS = 1 << 20


def plan_set(join: TablePlan, plans: Mapping[str, TablePlan]) -> SetPlan:
    """What rows that `join` links to are shown of its owners."""
    assert join.owner is not None
    link = next(k for k in join.matched if not k.late)
    return SetPlan(join.table, link.name, join.owner.parent, SLOTS, plans[join.owner.parent].shown[:SHOWN])


def member(plan: SetPlan, codes: Column) -> Column:
    """What a row with the sub-columns `codes` shows in a set."""
    return F.array(*[codes.getItem(i) for i in plan.carried]).cast("array<smallint>")


def nobody(plan: SetPlan) -> Column:
    """The empty set."""
    return F.array_repeat(F.lit(ABSENT).cast("smallint"), plan.width)


def sampled(pairs: DataFrame, keys: Sequence[str], plan: SetPlan) -> DataFrame:
    """One row per `keys` with __set, array<smallint> (slots x carried): of its pairs those of the smallest __order.

    pairs: `keys`, __order (a 64-bit hash) and __member. No task holds more than some SPARE x SLOTS members of a row.
    """
    count = pairs.groupBy(*keys).agg(F.count(F.lit(1)).alias("__n"))
    share = F.lit(SPARE * plan.slots * PARTS) / F.col("__n")
    some = pairs.join(count, list(keys)).where(F.pmod("__order", F.lit(PARTS)) < share)
    ordered = F.array_sort(F.collect_list(F.struct(F.pmod("__order", F.lit(PARTS)).alias("p"), "__order", "__member")))
    grouped = some.groupBy(*keys).agg(F.slice(ordered, 1, plan.slots).alias("__some"))
    whole = F.concat(F.flatten("__some.__member"), nobody(plan))
    return grouped.select(*keys, F.slice(whole, 1, plan.width).alias("__set"))
