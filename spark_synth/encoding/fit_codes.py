"""The codes of rows that take part in links, for every table whose rows do: embed both ends, cluster, write."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.clusters import find_clusters
from spark_synth.encoding.embed import Places, embed, node
from spark_synth.encoding.plan import LinkPlan, OwnerPlan, TablePlan
from spark_synth.encoding.views import quoted

End = LinkPlan | OwnerPlan


def coded_tables(plans: Mapping[str, TablePlan]) -> list[str]:
    """Tables whose rows have a code: targets of matched links, and owners of the rows that have such links."""
    found = {k.parent for p in plans.values() for k in p.matched}
    found |= {p.owner.parent for p in plans.values() if p.owner and any(not k.late for k in p.matched)}
    return [t for t in plans if t in found and not plans[t].reference]


def neighbours(rows: DataFrame, plan: TablePlan, seed: int) -> list[tuple[End, DataFrame, int]]:
    """(foreign key, places of its targets, axes) of the ends of a table with links: its owner, or its first link, with
    each other link."""
    ends: list[End] = [*([plan.owner] if plan.owner else []), *(k for k in plan.matched if not k.late)]
    found: list[tuple[End, DataFrame, int]] = []
    for other in ends[1:]:
        places: Places | None = embed(rows, ends[0].columns, other.columns, seed)
        if places:
            found += [(ends[0], places.left, places.axes), (other, places.right, places.axes)]
    return found


def with_codes(
    frame: DataFrame, plan: TablePlan, places: list[tuple[End, DataFrame, int]], copied: Collection[str], seed: int
) -> DataFrame:
    """The frame of a table with __code, the cluster of each row; the plan gets its clusters.

    copied: columns that rows which link to these take over.
    """
    columns, axes = frame.columns, 0
    for end, found, more in places:
        named = [F.col(f"p{i}").alias(f"__p{axes + i}") for i in range(more)]
        right = found.select(F.col("node").alias("__node"), *named)
        frame = frame.join(right, node(end.parent_columns) == F.col("__node"), "left").drop("__node")
        axes += more
    plan.code, code = find_clusters(frame, plan, axes, copied, seed)
    return frame.select(*map(quoted, columns), code.alias("__code"))
