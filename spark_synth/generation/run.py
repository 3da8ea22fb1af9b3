"""One synthetic database in the making: what every step of its generation needs to know."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd
from pyspark.sql import DataFrame, SparkSession

from spark_synth.encoding.edge_plan import Edge
from spark_synth.encoding.plan import TablePlan

TASKS_PER_SLOT = 8  # so that all end at about the same time, though blocks are dealt out by chance
TASK_BLOCKS = 64  # that one task draws at most: a few million rows, and files that are not too large
Maker = Callable[[Iterable[pd.DataFrame]], Iterable[pd.DataFrame]]


@dataclass(frozen=True)
class Generation:
    """One synthetic database in the making, or one wave of it.

    models: folder of plans and weights; work: folder of intermediate rows; kept: tables whose real rows are used,
    with the Parquet folder of these rows (see generation.kept); plans in generation order. there, used: the rows of a
    table in earlier waves, and the numbers that these have used up for keys (encoding.keys.used_up), if there are any.
    given: those of the kept tables whose rows are the user's, so that their degrees are drawn, not the real ones.
    """

    spark: SparkSession
    plans: Mapping[str, TablePlan]
    models: str
    work: str
    kept: Mapping[str, str]
    ratio: float
    seed: int
    segment_rows: int
    partitions: int | None
    there: Callable[[str], DataFrame] | None = None
    used: Mapping[str, int] = field(default_factory=dict)
    given: Collection[str] = ()

    def rows(self, table: str) -> DataFrame:
        """The finished rows of a table with their hidden columns."""
        return self.spark.read.parquet(self.kept.get(table) or f"{self.work}/{table}")

    def ends(self, table: str) -> DataFrame:
        """The rows of a table as links need them: keys, degrees and codes, before or after their values are drawn."""
        early = self.plans[table].sets and table not in self.kept
        return self.spark.read.parquet(f"{self.structure(table)}/nodes") if early else self.rows(table)

    def edges_first(self, table: str) -> bool:
        """Whether the links of a join table are drawn with the rows that they lead to (see encoding.plan.SetPlan)."""
        return any(s.table == table for t, p in self.plans.items() if t not in self.kept for s in p.sets)

    def structure(self, table: str) -> str:
        """The folder of what is drawn of a table before its values."""
        return f"{self.work}/_structure/{table}"

    def linking(self, table: str, edge: Edge) -> str:
        """The folder of what is made on the way to the rows that a foreign key leads to."""
        return f"{self.work}/_links/{table}/{edge.parent}/{self.degree_of(table, edge)}"

    def per_block(self, cut: DataFrame, blocks: int, maker: Maker, fields: Mapping[str, str]) -> DataFrame:
        """What `maker` draws, with these Spark types, of the segments `cut`; partitions are made of whole blocks."""
        pieces = self.partitions or max(TASKS_PER_SLOT * task_slots(self.spark), -(-blocks // TASK_BLOCKS))
        placed = cut.repartition(min(blocks, pieces), "block").sortWithinPartitions("block", "row")
        return placed.mapInPandas(maker, ", ".join(f"`{n}` {t}" for n, t in fields.items()))

    def target(self, table: str) -> int:
        """Rows of a table by the ratio alone."""
        return max(1, round(self.plans[table].rows * self.ratio))

    def follows_given(self, table: str) -> bool:
        """Whether the rows of a table hang on given ones by their owners, so that these tell how many they are."""
        owner = self.plans[table].owner
        return owner is not None and (owner.parent in self.given or self.follows_given(owner.parent))

    def degree_of(self, table: str, edge: Edge) -> int:
        """Which degree of the parent counts the rows of `table` under a foreign key."""
        return self.plans[edge.parent].degree_of(table, edge.name)


def task_slots(spark: SparkSession) -> int:
    """Tasks that can run at the same time, once dynamic allocation has as many executors as it may."""
    conf = spark.sparkContext.getConf()
    most, cores = conf.get("spark.dynamicAllocation.maxExecutors"), conf.get("spark.executor.cores")
    growing = conf.get("spark.dynamicAllocation.enabled", "false") == "true"
    slots = int(most) * int(cores) if growing and most and cores else spark.sparkContext.defaultParallelism
    return max(1, slots // int(conf.get("spark.task.cpus", "1")))
