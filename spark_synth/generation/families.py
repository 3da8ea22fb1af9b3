"""The families of a table before any of its rows are drawn: how many rows each has, and the blocks that draw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.edge_plan import OwnerPlan
from spark_synth.encoding.encode import absent
from spark_synth.encoding.plan import DegreePlan, TablePlan
from spark_synth.encoding.views import quoted, time_units
from spark_synth.generation.courses import follow_courses, with_courses
from spark_synth.generation.degrees import exact_degrees, ownerless, segments
from spark_synth.generation.orphans import orphan_targets, reserved
from spark_synth.generation.run import Generation
from spark_synth.generation.totals import with_totals
from spark_synth.generation.waves import with_places
from spark_synth.generation.within import with_partners

SLACK = 0.01  # how far rows may be from the ratio before degrees are scaled to it
ROOT_BLOCK = 4096  # rows of a root table drawn together
BATCH_FAMILIES = 2048  # families drawn side by side: fewer leave most of the time to overhead
LEAST_BLOCK_ROWS, MOST_BLOCK_ROWS = 8192, 131072


@dataclass(frozen=True)
class Families:
    """Segments of a table (see generation.degrees.segments), its rows in all, and its blocks.

    keys: keys that are made at most, for these rows or for orphans of other tables.
    """

    cut: DataFrame
    count: int
    keys: int
    blocks: int


def families_of(run: Generation, plan: TablePlan) -> Families:
    """The families of a table, or those of its part that is drawn again. Its owner's table must be finished."""
    if part := run.part.get(plan.table):
        return Families(run.spark.read.parquet(f"{part.folder}/segments"), part.count, part.keys, part.blocks)
    cut, count, block_rows = _root(run, plan) if plan.owner is None else _child(run, plan)
    keys = max(count, plan.rows) + reserved(run, plan.table)
    return Families(cut, count, keys, max(1, -(-count // block_rows)))


def by_segment(rows: DataFrame, names: Sequence[str]) -> DataFrame:
    """One row per segment: columns of its rows after each other, those that are arrays end to end."""
    arrays = {f.name for f in rows.schema.fields if f.dataType.typeName() == "array"}
    ordered = F.array_sort(F.collect_list(F.struct("__idx", *names))).alias("rows")
    grouped = rows.groupBy("__segment").agg(ordered)
    parts = {n: F.col(f"rows.{n}") for n in names}
    return grouped.select("__segment", *[(F.flatten(p) if n in arrays else p).alias(n) for n, p in parts.items()])


def _root(run: Generation, plan: TablePlan) -> tuple[DataFrame, int, int]:
    count = run.target(plan.table)
    row, one, zero = F.col("id"), F.lit(1).cast("bigint"), F.lit(0).cast("bigint")
    cut = run.spark.range(count).select(
        F.lit(-1).cast("bigint").alias("__idx"),
        one.alias("size"),
        one.alias("segments"),
        zero.alias("segment"),
        zero.alias("start"),
        row.alias("row"),
        one.alias("rows"),
        F.floor(row / ROOT_BLOCK).alias("block"),
    )
    return cut, count, ROOT_BLOCK


def _child(run: Generation, plan: TablePlan) -> tuple[DataFrame, int, int]:
    owner = plan.owner
    assert owner is not None
    at = run.degree_of(plan.table, owner)
    degree = run.plans[owner.parent].degrees[at]
    seen = with_places(run, plan, owner, owners(run, plan, owner))
    given = run.follows_given(plan.table)
    total = None if given else round(degree.total * run.ratio)
    seen, most = with_partners(run, plan, seen, {c: f"o{i}" for i, c in enumerate(owner.columns)}, owner)
    seen = with_totals(run, plan, owner, seen).drop("__cell")
    follows = bool(plan.clusters) and owner.parent not in run.kept
    if follows:
        sized, owned = follow_courses(run, plan, owner, seen, most)
    else:
        sized, owned = exact_degrees(seen, F.col(f"__deg_{at}"), degree, total, owner.parent in run.kept, SLACK, most)
    block_rows = _block_rows(degree)
    cut = segments(sized, run.segment_rows, block_rows).drop(f"__deg_{at}", "__most")
    cut = with_courses(run, plan, cut) if follows else cut
    share = owned / max(1, degree.total) if given else run.ratio
    free = round(owner.null_rows * share)
    if free:
        cut = cut.unionByName(ownerless(run.spark, free, owner.null_size, owned, block_rows), allowMissingColumns=True)
    lost = round(owner.orphans.rows * share) if owner.orphans else 0
    if lost:
        cut = cut.unionByName(_orphans(run, plan, owner, lost, owned + free, block_rows), allowMissingColumns=True)
    return cut, owned + free + lost, block_rows


def owners(run: Generation, plan: TablePlan, owner: OwnerPlan) -> DataFrame:
    """The rows that own those of a table: __idx, what is taken from them (o0..), __context and base of their families,
    their cluster (__cell), and how many rows they were drawn to have (__deg_..)."""
    above, at = run.plans[owner.parent], run.degree_of(plan.table, owner)
    keys = [quoted(c).cast("string").alias(f"o{i}") for i, (_, c) in enumerate(owner.taken)]
    base = F.lit(0).cast("bigint")
    if plan.time and plan.time.base:
        base = time_units(plan.time, quoted(plan.time.base), above.columns[plan.time.base])
    parts = [F.col("__context"), *([F.array(F.lit(0).cast("smallint"))] if owner.orphans else [])]
    cell = F.col("__context").getItem(above.code.at) if above.code else F.lit(0)
    known = [F.concat(*parts).alias("__context"), base.alias("base"), cell.cast("int").alias("__cell")]
    return run.rows(owner.parent).select("__idx", *keys, *known, F.col(f"__deg_{at}"))


def _orphans(run: Generation, plan: TablePlan, owner: OwnerPlan, rows: int, first: int, block_rows: int) -> DataFrame:
    """Segments of the families of `rows` orphans, with indices from `first`."""
    found = orphan_targets(run, plan.table, owner, rows).withColumn("first", F.col("first") + first)
    named = [F.col(f"__p{i}").alias(f"o{i}") for i in range(len(owner.columns))]
    context = F.concat(absent(len(plan.context_cards) - 1), F.array(F.lit(1).cast("smallint")))
    families = found.select("__idx", "size", "first", *named, context.alias("__context"))
    return segments(families, run.segment_rows, block_rows)


def _block_rows(degree: DegreePlan) -> int:
    """Rows per block: enough families to fill a batch, few enough to fit in memory."""
    families = sum(n for d, n in degree.histogram if d)
    return int(min(MOST_BLOCK_ROWS, max(LEAST_BLOCK_ROWS, BATCH_FAMILIES * degree.total / max(1, families))))
