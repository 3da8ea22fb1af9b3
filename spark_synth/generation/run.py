"""One synthetic database in the making: what every step of its generation needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession

from spark_synth.encoding.plan import LinkPlan, TablePlan


@dataclass(frozen=True)
class Generation:
    """One synthetic database in the making.

    models: folder of plans and weights; work: folder of intermediate rows; kept: tables whose real rows are used,
    with the Parquet folder of these rows (see generation.kept); plans in generation order.
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

    def rows(self, table: str) -> DataFrame:
        """The finished rows of a table with their hidden columns."""
        return self.spark.read.parquet(self.kept.get(table) or f"{self.work}/{table}")

    def target(self, table: str) -> int:
        """Rows of a table by the ratio alone."""
        return max(1, round(self.plans[table].rows * self.ratio))

    def degree_of(self, table: str, link: LinkPlan) -> int:
        """Which degree of the target counts the rows of `table` under a link."""
        degrees = self.plans[link.parent].degrees
        return next(i for i, d in enumerate(degrees) if (d.table, d.edge) == (table, link.name))
