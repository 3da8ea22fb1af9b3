"""The training sets of all tables: encoded rows, what children are conditioned on, and packs of families."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_synth.encoding.at_once import each
from spark_synth.encoding.encode import contexts, encode_rows, families, frequencies, write_packs
from spark_synth.encoding.fit import Fitted
from spark_synth.encoding.linked import fill_linked
from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.rows import SPLITS
from spark_synth.encoding.sets import member, nobody, sampled
from spark_synth.encoding.skeletons import write_skeletons
from spark_synth.encoding.views import quoted

FEW_FAMILIES = 30  # below it single segments are held out, if families are long


@dataclass(frozen=True)
class TrainingSet:
    """Where the packs of a table are, rows on either side of the split, code counts of all rows."""

    table: str
    path: str
    train_rows: int
    holdout_rows: int
    frequencies: list[list[float]]


def write_training_sets(
    spark: SparkSession,
    fitted: Fitted,
    segment_rows: int,
    holdout: float,
    shards: Callable[[int], int],
    note: Callable[[str], None],
) -> dict[str, TrainingSet]:
    """Write `encoded/`, `linked/`, `context/` and `packs/` below the work folder, parents before children.

    shards: how many processes train a table of so many rows together.
    """
    work, sets = fitted.work, {}

    def encode(t: str) -> None:
        plan, frame = fitted.plans[t], fitted.frame(spark, t)
        held = held_out(frame, split_number(plan, segment_rows), holdout)
        frame = encode_rows(frame, plan, segment_rows, held)
        frame.write.mode("overwrite").parquet(f"{work}/encoded/{t}")

    each(list(fitted.plans), encode)
    for t, plan in fitted.plans.items():  # in the order of generation: what a link leads to may itself have links
        if plan.matched:
            _link(spark, fitted, t)
    parents: dict[str, DataFrame] = {}
    seen = {t for plan in fitted.plans.values() for t in plan.sources}
    for t, plan in fitted.plans.items():
        if t in seen:
            above = parents[plan.owner.parent] if plan.owner else None
            made = contexts(encoded_rows(spark, work, plan), plan, above)
            made.write.mode("overwrite").parquet(f"{work}/context/{t}")
            parents[t] = spark.read.parquet(f"{work}/context/{t}")

    def pack(t: str) -> None:
        plan = fitted.plans[t]
        encoded = encoded_rows(spark, work, plan)
        if plan.sets:
            encoded = _with_sets(spark, fitted, encoded, plan)
        above = parents[plan.owner.parent] if plan.owner else None
        segments = families(encoded, plan.owner, above, len(plan.context_cards), segment_rows)
        write_packs(segments, plan.rows, f"{work}/packs/{t}", shards(plan.rows))
        held = encoded.where(F.col("__holdout")).count()
        counts = frequencies(encoded, plan.cards)
        sets[t] = TrainingSet(t, f"{work}/packs/{t}", plan.rows - held, held, counts)
        note(f"families of {t} encoded")

    each([t for t, plan in fitted.plans.items() if not plan.reference], pack)
    return sets


def write_courses(
    spark: SparkSession, fitted: Fitted, segment_rows: int, seed: int, path: Callable[[str], str]
) -> None:
    """Write the courses of the families of all clustered tables to the folders that `path` tells, once their training
    sets are written (see encoding.skeletons)."""
    for t, plan in fitted.plans.items():
        if plan.clusters and plan.owner:
            above = fitted.plans[plan.owner.parent]
            rows, owners = (encoded_rows(spark, fitted.work, p) for p in (plan, above))
            write_skeletons(rows, owners, plan, above, segment_rows, path(t), seed)


def encoded_rows(spark: SparkSession, work: str, plan: TablePlan) -> DataFrame:
    """The encoded rows of a table, those with links with what the links lead to."""
    return spark.read.parquet(f"{work}/{'linked' if plan.matched else 'encoded'}/{plan.table}")


def _with_sets(spark: SparkSession, fitted: Fitted, encoded: DataFrame, plan: TablePlan) -> DataFrame:
    """`encoded` with `sets`: of every row, what the real rows show that it is joined with (see encoding.sets)."""
    parts = []
    for n, found in enumerate(plan.sets):
        join = fitted.plans[found.table]
        owner, link = join.owner, next(k for k in join.matched if k.name == found.link)
        assert owner is not None
        above = [quoted(c).alias(f"__o{i}") for i, c in enumerate(owner.parent_columns)]
        others = encoded_rows(spark, fitted.work, fitted.plans[found.other])
        shown = others.select(*above, member(found, F.col("codes")).alias("__member"))
        ends = [quoted(c).alias(f"__k{i}") for i, c in enumerate(link.columns)]
        own = [quoted(c).alias(f"__o{i}") for i, c in enumerate(owner.columns)]
        edges = encoded_rows(spark, fitted.work, join).select(*ends, *own, F.col("__hash").alias("__order"))
        keys = [f"__k{i}" for i in range(len(ends))]
        sets = sampled(edges.dropna(subset=keys).join(shown, [f"__o{i}" for i in range(len(above))]), keys, found)
        match = [quoted(c) == F.col(f"__k{i}") for i, c in enumerate(link.parent_columns)]
        encoded = encoded.join(sets.withColumnRenamed("__set", f"__set{n}"), match, "left").drop(*keys)
        parts.append(F.coalesce(f"__set{n}", nobody(found)))
    return encoded.withColumn("sets", F.concat(*parts))


def _link(spark: SparkSession, fitted: Fitted, t: str) -> None:
    work, plan = fitted.work, fitted.plans[t]
    late = {k.parent: spark.read.parquet(f"{work}/encoded/{k.parent}") for k in plan.matched if k.late}
    early = {k.parent: encoded_rows(spark, work, fitted.plans[k.parent]) for k in plan.matched if not k.late}
    rows = fill_linked(spark.read.parquet(f"{work}/encoded/{t}"), plan, fitted.plans, late | early)
    rows.write.mode("overwrite").parquet(f"{work}/linked/{t}")


def split_number(plan: TablePlan, segment_rows: int) -> Column:
    """0..999, the same for all rows that stay on one side of the split: a family, or a segment where families are few
    and long."""
    owner = plan.owner
    if owner is None or owner.families >= FEW_FAMILIES or plan.rows < 2 * segment_rows * owner.families:
        return F.col("__split")
    segment = F.floor(F.col("__pos") / segment_rows)
    return F.pmod(F.xxhash64("__split", *map(quoted, owner.columns), segment), F.lit(SPLITS)).cast("int")


def held_out(frame: DataFrame, number: Column, share: float) -> Column:
    """Whether a row is held out: about `share` of the rows, by the smallest numbers.

    Numbers are uneven where families are few or one is huge: there those are passed over that would hold out far too
    much. Some rows are held out wherever there are two numbers, and never all.
    """
    counts = {r["n"]: r["count"] for r in frame.groupBy(number.alias("n")).count().collect()}
    rows, bound = sum(counts.values()), round(share * SPLITS)
    if share / 2 <= sum(c for n, c in counts.items() if n < bound) / max(1, rows) <= 2 * share:
        return number < bound
    chosen: list[int] = []
    below, most = 0, 1.5 * share * len(counts)  # the families beside a huge one are a small share of the rows
    for n in sorted(counts):
        if len(chosen) < most and below < share * rows and below + counts[n] <= 2 * share * rows:
            chosen.append(n)
            below += counts[n]
    if not chosen and len(counts) > 1:
        chosen = [min(counts, key=lambda n: (counts[n], n))]
    return number.isin(chosen)
