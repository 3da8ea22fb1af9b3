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
class Part:
    """Families of a table that are drawn again in the place of others (generation.part).

    folder: of what is made on the way; old: the Parquet folder of the rows as they are; count, keys, blocks: those of
    all families (generation.families.Families); seed: of the keys.
    """

    folder: str
    old: str
    count: int
    keys: int
    blocks: int
    seed: int


@dataclass(frozen=True)
class Generation:
    """One synthetic database in the making, or one wave of it.

    models: folder of plans and weights; work: folder of intermediate rows; kept: tables whose real rows are used,
    with the Parquet folder of these rows (see generation.kept); plans in generation order. there, used: the rows of a
    table in earlier waves, and the numbers that these have used up for keys (encoding.keys.used_up), if there are any.
    given: those of the kept tables whose rows are the user's, so that their degrees are drawn, not the real ones.
    seeds: of tables that were drawn again, the seed of the last time; that of all others is `seed`. at: tables
    that were drawn before, with the folder of their rows. part: tables of which some families are drawn again.
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
    seeds: Mapping[str, int] = field(default_factory=dict)
    at: Mapping[str, str] = field(default_factory=dict)
    part: Mapping[str, Part] = field(default_factory=dict)

    def seed_of(self, table: str) -> int:
        """The seed of the values of a table."""
        return self.seeds.get(table, self.seed)

    def key_seed(self, table: str) -> int:
        """The seed of the keys of a table."""
        return self.part[table].seed if table in self.part else self.seed_of(table)

    def links_seed(self, table: str) -> int:
        """The seed of how many rows a table has below each of its owners, and of where their links lead."""
        return self.seed_of(self._draws_edges(table) or table)

    def _draws_edges(self, table: str) -> str | None:
        """The table with whose rows the links of a join table are drawn."""
        drawn = (t for t in self.plans if t not in self.kept)
        return next((t for t in drawn if any(s.table == table for s in self.plans[t].sets)), None)

    def rows(self, table: str) -> DataFrame:
        """The finished rows of a table with their hidden columns."""
        return self.spark.read.parquet(self.rows_at(table))

    def rows_at(self, table: str) -> str:
        """The folder of the finished rows of a table."""
        return self.kept.get(table) or self.at.get(table) or f"{self.work}/{table}"

    def ends(self, table: str) -> DataFrame:
        """The rows of a table as links need them: keys, degrees and codes, before or after their values are drawn."""
        early = self.plans[table].sets and table not in self.kept and table not in self.at
        return self.spark.read.parquet(f"{self.structure(table)}/nodes") if early else self.rows(table)

    def edges_first(self, table: str) -> bool:
        """Whether the links of a join table are drawn with the rows that they lead to (see encoding.plan.SetPlan)."""
        return self._draws_edges(table) is not None

    def structure(self, table: str) -> str:
        """The folder of what is drawn of a table before its values."""
        return f"{self.work}/_structure/{table}"

    def linking(self, table: str, edge: Edge) -> str:
        """The folder of what is made on the way to the rows that a foreign key leads to."""
        return f"{self.work}/_links/{table}/{edge.parent}/{self.degree_of(table, edge)}"

    def per_block(self, cut: DataFrame, blocks: int, maker: Maker, fields: Mapping[str, str]) -> DataFrame:
        """What `maker` draws, with these Spark types, of the segments `cut`; partitions are made of whole blocks."""
        placed = cut.repartition(self.tasks(blocks), "block").sortWithinPartitions("block", "row")
        return placed.mapInPandas(maker, ", ".join(f"`{n}` {t}" for n, t in fields.items()))

    def tasks(self, blocks: int) -> int:
        """Tasks that so many blocks are dealt out to."""
        pieces = self.partitions or max(TASKS_PER_SLOT * task_slots(self.spark), -(-blocks // TASK_BLOCKS))
        return min(blocks, pieces)

    def target(self, table: str) -> int:
        """Rows of a table by the ratio alone."""
        return max(1, round(self.plans[table].rows * self.ratio))

    def is_above(self, table: str) -> bool:
        """Whether other tables hang on this one, so that its rows carry their codes."""
        return any(table in p.sources for p in self.plans.values())

    def follows_given(self, table: str) -> bool:
        """Whether the rows of a table hang on given ones by their owners, so that these tell how many they are."""
        return follows(self.plans, table, self.given)

    def degree_of(self, table: str, edge: Edge) -> int:
        """Which degree of the parent counts the rows of `table` under a foreign key."""
        return self.plans[edge.parent].degree_of(table, edge.name)


def descendants(plans: Mapping[str, TablePlan], table: str) -> set[str]:
    """The table, and all whose rows are drawn given rows of those."""
    found = {table}
    while more := {t for t, p in plans.items() if _given(p) & found} - found:
        found |= more
    return found


def ancestors(plans: Mapping[str, TablePlan], tables: Collection[str]) -> set[str]:
    """Other tables than these, given whose rows theirs are drawn."""
    found = set(tables)
    while more := {a for t in found for a in _given(plans[t])} - found:
        found |= more
    return found - set(tables)


def _given(plan: TablePlan) -> set[str]:
    return plan.sources | {s.other for s in plan.sets}


def follows(plans: Mapping[str, TablePlan], table: str, tables: Collection[str]) -> bool:
    """Whether the rows of a table hang on rows of one of `tables` by their owners, at any distance."""
    owner = plans[table].owner
    return owner is not None and (owner.parent in tables or follows(plans, owner.parent, tables))


def task_slots(spark: SparkSession) -> int:
    """Tasks that can run at the same time, once dynamic allocation has as many executors as it may."""
    conf = spark.sparkContext.getConf()
    most, cores = conf.get("spark.dynamicAllocation.maxExecutors"), conf.get("spark.executor.cores")
    growing = conf.get("spark.dynamicAllocation.enabled", "false") == "true"
    slots = int(most) * int(cores) if growing and most and cores else spark.sparkContext.defaultParallelism
    return max(1, slots // int(conf.get("spark.task.cpus", "1")))
