"""The training sets of all tables: encoded rows, what children are conditioned on, and packs of families."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_synth.encoding.encode import contexts, encode_rows, families, frequencies, write_packs
from spark_synth.encoding.fit import Fitted, each
from spark_synth.schema.graph import owned_children
from spark_synth.schema.model import ForeignKey


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
    owners: Mapping[str, ForeignKey | None],
    segment_rows: int,
    holdout: float,
    note: Callable[[str], None],
) -> dict[str, TrainingSet]:
    """Write `encoded/`, `context/` and `packs/` below the work folder, parents before children, levels side by side."""
    work, sets = fitted.work, {}

    def encode(t: str) -> None:
        frame = encode_rows(fitted.frame(spark, t), fitted.plans[t], segment_rows, holdout)
        frame.write.mode("overwrite").parquet(f"{work}/encoded/{t}")

    each(list(fitted.plans), encode)
    parents: dict[str, DataFrame] = {}
    for t, plan in fitted.plans.items():
        owned = owned_children(t, owners)
        if owned:
            above = parents[plan.owner.parent] if plan.owner else None
            key = owned[0][1].parent_columns
            made = contexts(spark.read.parquet(f"{work}/encoded/{t}"), plan, key, above)
            made.write.mode("overwrite").parquet(f"{work}/context/{t}")
            parents[t] = spark.read.parquet(f"{work}/context/{t}")

    def pack(t: str) -> None:
        plan = fitted.plans[t]
        encoded = spark.read.parquet(f"{work}/encoded/{t}")
        above = parents[plan.owner.parent] if plan.owner else None
        segments = families(encoded, plan.owner, above, len(plan.context_cards), segment_rows)
        write_packs(segments, plan.rows, f"{work}/packs/{t}")
        held = encoded.where(F.col("__holdout")).count()
        counts = frequencies(encoded, plan.cards)
        sets[t] = TrainingSet(t, f"{work}/packs/{t}", plan.rows - held, held, counts)
        note(f"families of {t} encoded")

    each([t for t, plan in fitted.plans.items() if not plan.reference], pack)
    return sets
