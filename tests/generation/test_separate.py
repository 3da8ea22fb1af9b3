"""Pairs that may occur once: separated by exchanges, so that every target keeps its rows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_synth.generation.separate import separate


def pairs(df: DataFrame) -> list[tuple[int | None, str | None]]:
    return [(r["a b"], r["t"]) for r in df.orderBy("__idx").collect()]


@pytest.fixture(scope="module")
def enrolled(spark: SparkSession) -> DataFrame:
    """1,000 rows of 100 students: 5 courses of 200 rows each, at random, two rows without a course."""
    return spark.range(1000).select(
        F.col("id").alias("__idx"),
        F.floor(F.col("id") / 10).alias("a b"),
        F.when(F.col("id") > 1, F.concat(F.lit("c"), F.pmod(F.hash("id"), F.lit(40)))).alias("t"),
        F.lit("x").alias("note"),
    )


def test_no_pair_stays_twice_and_targets_keep_their_rows(enrolled: DataFrame, tmp_path: Path) -> None:
    before, after = pairs(enrolled), pairs(separate(enrolled, ["a b", "t"], ["t"], 1, str(tmp_path), drop=False))
    assert max(n for p, n in Counter(before).items() if p[1]) > 1
    assert max(n for p, n in Counter(after).items() if p[1]) == 1
    assert Counter(t for _, t in after) == Counter(t for _, t in before)
    assert [a for a, _ in after] == [a for a, _ in before] and after[:2] == before[:2]


@pytest.mark.slow
def test_the_order_of_rows_and_partitions_does_not_matter(enrolled: DataFrame, tmp_path: Path) -> None:
    one = separate(enrolled, ["a b", "t"], ["t"], 1, str(tmp_path / "a"), drop=False)
    other = separate(enrolled.repartition(5, "t"), ["a b", "t"], ["t"], 1, str(tmp_path / "b"), drop=False)
    assert pairs(one) == pairs(other)


@pytest.mark.slow
def test_what_cannot_be_separated_goes_only_where_it_must(spark: SparkSession, tmp_path: Path) -> None:
    df = spark.createDataFrame([(0, 1, "c"), (1, 1, "c"), (2, 2, "c")], "`__idx` bigint, `a b` int, t string")
    assert len(pairs(separate(df, ["a b", "t"], ["t"], 1, str(tmp_path / "a"), drop=False))) == 3
    assert pairs(separate(df, ["a b", "t"], ["t"], 1, str(tmp_path / "b"), drop=True)) == [(1, "c"), (2, "c")]
