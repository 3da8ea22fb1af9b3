"""Families that take the courses of real ones: how many rows, and at which times (see encoding.skeletons)."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.edge_plan import OwnerPlan
from spark_synth.encoding.plan import COURSES, TablePlan
from spark_synth.encoding.skeletons import cluster_at
from spark_synth.generation.degrees import ranks, running_total
from spark_synth.generation.run import Generation


def follow_courses(
    run: Generation, plan: TablePlan, owner: OwnerPlan, seen: DataFrame, most: Column | None
) -> tuple[DataFrame, int]:
    """Owners `seen` (see generation.families.owners) with __cluster and __number, the real family of their cluster that
    theirs takes after, each as often as the others, with its `size`, `most` at most, and `first` (see exact_degrees);
    and the sum of the sizes."""
    courses = _courses(run, plan).where(F.col("segment") == 0)
    there = {r["cluster"]: r["count"] for r in courses.groupBy("cluster").count().collect()}
    at = cluster_at(plan, run.plans[owner.parent])
    count = F.create_map(*[F.lit(x) for pair in there.items() for x in pair])
    placed, _ = ranks(seen.withColumn("__cluster", F.col("__context").getItem(at).cast("int")), "__cluster")
    placed = placed.withColumn("__number", F.pmod(F.col("__start"), count[F.col("__cluster")])).drop("__start")
    sizes = courses.select(F.col("cluster").alias("__cluster"), F.col("number").alias("__number"), "size")
    size = F.coalesce("size", F.lit(0)).cast("bigint")
    found = placed.join(sizes, ["__cluster", "__number"], "left")
    found = found.withColumn("__drawn", size if most is None else F.least(size, most)).drop("size")
    return running_total(found, "__drawn", None)


def with_courses(run: Generation, plan: TablePlan, cut: DataFrame) -> DataFrame:
    """Segments `cut` (with __cluster and __number) with __course, the codes of the times of their rows."""
    renamed = {"cluster": "__cluster", "number": "__number", "codes": "__course"}
    courses = _courses(run, plan).drop("size").withColumnsRenamed(renamed)
    return cut.join(courses, ["__cluster", "__number", "segment"], "left").drop("__cluster", "__number")


def _courses(run: Generation, plan: TablePlan) -> DataFrame:
    return run.spark.read.parquet(f"{run.models}/{plan.table}/{COURSES}")
