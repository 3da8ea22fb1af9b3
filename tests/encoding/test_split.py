"""What is held out: about the share asked for, some wherever there is a choice, never all."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_synth.encoding.edge_plan import OwnerPlan
from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.training_set import held_out, split_number


@pytest.mark.parametrize(
    ("sizes", "lowest", "highest"),
    [
        ({50: 10, 500: 90}, 10, 10),
        ({900: 5, 950: 95}, 5, 5),
        ({10: 1000, 400: 30, 600: 100}, 30, 130),
        ({7: 9}, 0, 0),
        ({n: 2 for n in range(100, 200)} | {500: 9000}, 20, 40),
    ],
)
def test_about_a_tenth_is_held_out(spark: SparkSession, sizes: dict[int, int], lowest: int, highest: int) -> None:
    rows = [(n,) for n, count in sizes.items() for _ in range(count)]
    frame = spark.createDataFrame(rows, "n int")
    held = frame.where(held_out(frame, F.col("n"), 0.1)).count()
    assert lowest <= held <= highest


def test_segments_are_held_out_where_families_are_few_and_long(spark: SparkSession) -> None:
    rows = spark.range(3000).selectExpr("id % 3 as k", "id div 3 as `__pos`", "cast(id % 3 as int) as `__split`")
    plan = TablePlan("t", {"k": "bigint"}, 3000, owner=OwnerPlan("t.k", ("k",), "p", ("k",), 0, 64, families=3))
    number = split_number(plan, 100)
    found = rows.select(number.alias("n"), "k", F.floor(F.col("__pos") / 100).alias("s")).distinct()
    assert found.count() == 30 and found.select("n").distinct().count() > 20
    few = TablePlan("t", {"k": "bigint"}, 3000, owner=OwnerPlan("t.k", ("k",), "p", ("k",), 0, 64, families=300))
    assert rows.select(split_number(few, 100).alias("n")).distinct().count() == 3
