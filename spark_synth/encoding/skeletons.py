"""Real courses of families: how many rows each has and at which times, by the cluster of the row that owns it.

The pipeline that clusters first: rows that own families are clustered without supervision (k-means in Spark ML), the
cluster is one of their sub-columns, and a made row takes the course of a real family of its cluster: number of rows,
and the codes of their times. All else about the rows is drawn given that. A course holds no value but times, as bins.
"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
from pyspark.ml.clustering import KMeans
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.functions import pandas_udf  # type: ignore[attr-defined]

from spark_synth.encoding.at_once import written
from spark_synth.encoding.clusters import point_columns, points_of
from spark_synth.encoding.codecs import NumericCodec
from spark_synth.encoding.plan import CLUSTER, SummaryPlan, TablePlan
from spark_synth.encoding.views import quoted

CLUSTER_ROWS = 10  # rows of a cluster on average, at least
MOST_COURSES = 200_000  # real families whose courses are kept, about


def add_clusters(frame: DataFrame, plan: TablePlan, children: list[TablePlan], seed: int, path: str) -> DataFrame:
    """`frame`, rows of `plan` with degrees and summaries, with their cluster as one more summary of the families of
    each of the `children`. Clusters are numbered by the mean size of these families, so that neighbours are alike.

    path: where the rows are written with their coordinates, which k-means reads over and over.
    """
    before = replace(plan, summaries=list(plan.summaries))

    @pandas_udf("array<double>")  # type: ignore[call-overload,untyped-decorator]
    def point(part: pd.DataFrame) -> pd.Series:
        return pd.Series(list(points_of(part, before)))

    located = written(frame.withColumn("__at", point(F.struct(*point_columns(before)))), path)
    frame = located.withColumn("__point", array_to_vector(F.col("__at")))
    counts = [max(1, min(child.clusters, plan.rows // CLUSTER_ROWS)) for child in children]
    for count in sorted({*counts} - {1}):
        means = KMeans(k=count, seed=seed, featuresCol="__point", predictionCol=f"__cluster_{count}").fit(frame)
        frame = means.transform(frame)
    for child, count in zip(children, counts, strict=True):
        frame = _numbered(frame, plan, child, count)
    return frame.drop("__at", "__point", *[f"__cluster_{count}" for count in counts])


def _numbered(frame: DataFrame, plan: TablePlan, child: TablePlan, count: int) -> DataFrame:
    """`frame` with which of `count` clusters a row is of, by the mean size of its families of `child`."""
    assert child.owner is not None
    name, cluster = f"__sum_{len(plan.summaries)}", f"__cluster_{count}"
    numbers = NumericCodec(False, [float(i) for i in range(count)])
    plan.summaries.append(SummaryPlan(child.table, child.owner.name, "", CLUSTER, numbers))
    if count == 1:
        return frame.withColumn(name, F.lit(0.0))
    degree = f"__deg_{plan.degree_of(child.table, child.owner.name)}"
    sizes = {r[cluster]: r["size"] for r in frame.groupBy(cluster).agg(F.avg(degree).alias("size")).collect()}
    order = sorted(sizes, key=lambda c: (sizes[c], c))
    rank = F.array(*[F.lit(float(order.index(c)) if c in sizes else 0.0) for c in range(count)])
    return frame.withColumn(name, rank.getItem(F.col(cluster)))


def cluster_at(plan: TablePlan, above: TablePlan) -> int:
    """The sub-column of the owner's row that tells the cluster of its families in the table of `plan`."""
    assert plan.owner is not None
    mine = (plan.table, plan.owner.name, CLUSTER)
    return next(s.at for s in above.summaries if (s.table, s.edge, s.stat) == mine)


def write_skeletons(
    encoded: DataFrame, owners: DataFrame, plan: TablePlan, above: TablePlan, segment_rows: int, path: str, seed: int
) -> None:
    """Write the courses of the families of a table, one row per segment: cluster, number (of the family in its cluster,
    in random order), size, segment, codes (of the times of its rows, after each other).

    encoded, owners: encoded rows of the table and of that of its owners. Owners without a family have courses, too.
    """
    owner = plan.owner
    assert owner is not None
    at = plan.time.drawn_at if plan.time else []
    keys = [quoted(c).alias(f"__k{i}") for i, c in enumerate(owner.columns)]
    named = [f"__k{i}" for i in range(len(keys))]
    codes = F.array(*[F.col("codes").getItem(j) for j in at]) if at else F.array().cast("array<smallint>")
    rows = encoded.select(*keys, "__pos", F.floor(F.col("__pos") / segment_rows).alias("segment"), codes.alias("codes"))
    share = min(1.0, MOST_COURSES / max(1, above.rows))
    chosen = F.pmod(F.xxhash64(*named, F.lit(seed + 1)), F.lit(1 << 20)) < int(share * (1 << 20))
    ordered = F.array_sort(F.collect_list(F.struct("__pos", "codes")))
    parts = (
        rows.dropna(subset=named)
        .where(chosen)
        .groupBy(*named, "segment")
        .agg(F.flatten(F.transform(ordered, lambda x: x["codes"])).alias("codes"), F.count(F.lit(1)).alias("rows"))
    )
    sizes = parts.groupBy(*named).agg(F.sum("rows").alias("size"))
    theirs = [quoted(c).alias(f"__k{i}") for i, c in enumerate(owner.parent_columns)]
    cluster = F.col("codes").getItem(cluster_at(plan, above)).cast("int").alias("cluster")
    numbered = Window.partitionBy("cluster").orderBy(F.xxhash64(*named, F.lit(seed)), *named)
    families = owners.select(*theirs, cluster).where(chosen).join(sizes, named, "left").fillna(0, subset=["size"])
    families = families.withColumn("number", F.row_number().over(numbered).cast("bigint") - 1)
    whole = families.join(parts.select(*named, "segment", "codes"), named, "left").fillna(0, subset=["segment"])
    whole.select("cluster", "number", "size", "segment", "codes").write.mode("overwrite").parquet(path)
